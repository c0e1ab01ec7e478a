"""The SQLite engine: changes of tables, queued and made so that nothing is lost.

It knows SQLite through its driver alone. ``engine`` takes the changes; ``queue`` makes them in a
scratch database in memory; ``apply`` brings the real database to what that one has become.
"""
