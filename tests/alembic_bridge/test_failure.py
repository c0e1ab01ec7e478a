"""What is said of a revision that failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError, PendingRollbackError, ProgrammingError

from flask_safemigrate.alembic_bridge.failure import cause_of, migration_failed
from flask_safemigrate.report.redaction import hide


def test_a_mapping_of_the_driver_is_said_in_the_words_of_the_server() -> None:
    """pg8000 raises the fields of PostgreSQL's answer."""
    fields = {
        "S": "ERROR",
        "C": "2BP01",
        "M": "cannot drop table pet because other objects depend on it",
        "D": "view pets depends on table pet",
        "H": "Use DROP ... CASCADE to drop the dependent objects too.",
    }
    error = ProgrammingError("DROP TABLE pet", None, Exception(fields))
    said = migration_failed(error, revision="a1", directory=Path("migrations"), again="x").message
    assert "cannot drop table pet because other objects depend on it\n" in said
    assert "DETAIL:  view pets depends on table pet\n" in said
    assert "SQL: DROP TABLE pet" in said
    assert "{" not in said


def test_values_that_the_driver_wrote_into_the_statement_are_not_cited() -> None:
    """psycopg2 does, and the server cites the line."""
    said = Exception(
        "relation \"n\" does not exist\nLINE 1: INSERT INTO n ('s3cr3t')\n          ^\n"
    )
    error = ProgrammingError("INSERT INTO n (%(x)s)", {"x": "s3cr3t"}, said)
    assert cause_of(error) == 'relation "n" does not exist\nSQL: INSERT INTO n (%(x)s)'
    hide(error, str)
    assert "s3cr3t" not in f"{error} {error.orig}"
    said = Exception("m\nLINE 1: INSERT INTO n")
    assert "LINE 1: INSERT INTO n" in cause_of(ProgrammingError("INSERT INTO n", None, said))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OperationalError("SELECT 1", None, Exception("gone"), connection_invalidated=True),
            ": gone",
        ),
        (PendingRollbackError("Can't reconnect until it is rolled back."), ""),
    ],
    ids=["broken", "afterwards"],
)
def test_nobody_is_told_to_mend_code_where_the_connection_broke(
    error: Exception, says: str
) -> None:
    failed = migration_failed(error, revision="a1", directory=Path("migrations"), again="x")
    first = failed.message.splitlines()[0]
    assert first == f"Revision 'a1' failed: the connection to the server broke{says}"
    assert "nothing of the revision is known to be wrong\nthen run: x" in (failed.hint or "")
