"""The real database, brought to what the scratch database has become."""
