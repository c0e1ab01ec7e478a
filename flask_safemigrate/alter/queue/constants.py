"""Which defaults SQLite can read out of the schema for rows that do not store the column."""

from __future__ import annotations

from typing import Any

from flask_safemigrate.alter.queue.scratch import Scratch


def literal(scratch: Scratch, declared: str, default: str) -> str | None:
    """The literal that SQLite reads for old rows after ADD COLUMN; None where it refuses that.

    SQLite itself is asked, since it folds signs, parentheses and TRUE
    (https://sqlite.org/lang_altertable.html#alter_table_add_column).

    :param declared: the column's type, whose affinity acts on the literal.
    :param default: what stands after DEFAULT.
    """
    db: Any = scratch.db
    db.execute("SAVEPOINT constants")
    try:
        db.execute("CREATE TABLE safemigrate_constant (a)")
        db.execute("INSERT INTO safemigrate_constant VALUES (1)")
        scratch.execute(
            f"ALTER TABLE safemigrate_constant ADD COLUMN b {declared} DEFAULT {default}"
        )
        row = db.execute("SELECT quote(b) FROM safemigrate_constant").fetchone()
        return str(row[0])
    except Exception as error:
        if "non-constant" in str(error):
            return None
        raise
    finally:
        db.execute("ROLLBACK TO constants")
        db.execute("RELEASE constants")
