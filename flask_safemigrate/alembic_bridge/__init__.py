"""The only user of Alembic: running revisions, our SQLite implementation, the journal."""
