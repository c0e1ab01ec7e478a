"""An error that comes up when the queue is applied names the operation that brought it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused
from tests.alembic_bridge.sqlite_run import dump, seed, upgrade

DOC = """
CREATE TABLE doc (id INTEGER PRIMARY KEY, t TEXT, n INTEGER);
INSERT INTO doc VALUES (1, 'x', 1), (2, 'y', NULL);
"""
LATER = "op.add_column('doc', sa.Column('later', sa.Integer))"

FAULTS: dict[str, tuple[str, str, str]] = {
    "a function in a CHECK": (
        "with op.batch_alter_table('doc') as b:\n"
        "    b.create_check_constraint('ck_t', 'char_length(t) > 0')",
        "add check constraint 'ck_t' to 'doc': SQLite has no function char_length",
        "write length(...)",
    ),
    "an operator in a CHECK": (
        "with op.batch_alter_table('doc') as b:\n"
        "    b.create_check_constraint('ck_t', \"t::text <> ''\")",
        "add check constraint 'ck_t' to 'doc': cannot be read",
        "CAST(value AS TYPE)",
    ),
    "a function in a DEFAULT that fills": (
        "made = sa.text('gen_random_uuid()')\n"
        "op.add_column('doc', sa.Column('g', sa.Text, server_default=made))",
        "add_column('doc', 'g'): SQLite has no function gen_random_uuid",
        "randomblob",
    ),
    "a function in a default= that fills": (
        "with op.batch_alter_table('doc', recreate='always') as b:\n"
        "    b.add_column(sa.Column('g', sa.Text, default=sa.func.gen_random_uuid()))",
        "add_column('doc', 'g'): SQLite has no function gen_random_uuid",
        "randomblob",
    ),
    "a function in a stored column": (
        "made = sa.Computed('concat_ws(t, t)', persisted=True)\n"
        "op.add_column('doc', sa.Column('g', sa.Text, made))",
        "add_column('doc', 'g'): SQLite has no function concat_ws",
        "||",
    ),
    "a function in an index": (
        "op.create_index('ix', 'doc', [sa.text('char_length(t)')])",
        "create_index('ix', 'doc'): SQLite has no function char_length",
        "length",
    ),
    "a function in the condition of an index": (
        "op.create_index('ix', 'doc', ['t'], sqlite_where=sa.text('char_length(t) > 0'))",
        "create_index('ix', 'doc'): SQLite has no function char_length",
        "length",
    ),
    "a function in the CHECK of a new table": (
        "op.create_table('d2', sa.Column('n', sa.Integer), sa.CheckConstraint('char_length(n)'))",
        "create_table('d2'): SQLite has no function char_length",
        "length",
    ),
    "a function in an index of a new table": (
        "op.create_table('d2', sa.Column('id', sa.Integer))\n"
        "op.create_index('ix2', 'd2', [sa.text('char_length(id)')])",
        "create_index('ix2', 'd2'): SQLite has no function char_length",
        "length",
    ),
    "a collation in an index": (
        "op.create_index('ix', 'doc', [sa.text('t COLLATE de')])",
        "create_index('ix', 'doc'): SQLite has no collation de",
        "create_collation",
    ),
    "a column that is not there, in a constraint": (
        "with op.batch_alter_table('doc') as b:\n    b.create_unique_constraint('uq', ['none'])",
        "add unique constraint 'uq' to 'doc': table \"doc\" has no column \"none\"",
        "name a column that is there",
    ),
    "rows and NOT NULL": (
        "with op.batch_alter_table('doc') as b:\n    b.alter_column('n', nullable=False)",
        "alter_column('doc', 'n', nullable=False): 1 of 2 rows have NULL",
        "before it",
    ),
    "a table of SQLite's own": (
        "op.drop_table('sqlite_sequence')",
        "drop_table('sqlite_sequence'): table \"sqlite_sequence\" belongs to SQLite",
        "take the line out",
    ),
}


UNNAMED = """
CREATE TABLE p (id INTEGER PRIMARY KEY);
CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT, UNIQUE (a),
  FOREIGN KEY (a) REFERENCES p (id), FOREIGN KEY (b) REFERENCES p (id));
"""
NOT_FOUND = {
    "op.drop_constraint(None, 't', type_='foreignkey')": (
        "drop_constraint(None, 't'): table \"t\" has 2 FOREIGN KEY constraints without a name, and"
        " which one is meant is not said: FOREIGN KEY (a) REFERENCES p (id); FOREIGN KEY (b)",
        "naming_convention={'fk': ",
    ),
    "op.drop_constraint('nope', 't', type_='unique')": (
        "drop_constraint('nope', 't'): table \"t\" has no UNIQUE constraint \"nope\"; it has:"
        " unnamed UNIQUE (a)",
        "b.drop_constraint('uq_t_a', type_='unique')",
    ),
    "op.drop_constraint('nope', 'p', type_='check')": (
        "drop_constraint('nope', 'p'): table \"p\" has no CHECK constraint \"nope\"; it has none"
        " of this kind",
        "take the line out",
    ),
    "with op.batch_alter_table('t', naming_convention={'uq': 'u_%(column_0_name)s'}) as b:\n"
    "    b.drop_constraint('nope', type_='unique')": (
        "drop_constraint('nope', 't'): table \"t\" has no UNIQUE constraint \"nope\"; it has: "
        '"u_a" UNIQUE (a)',
        "name it as the database does",
    ),
}


@pytest.mark.parametrize("body", NOT_FOUND)
def test_a_constraint_that_is_not_found(tmp_path: Path, body: str) -> None:
    path = tmp_path / "app.db"
    seed(path, UNNAMED)
    says, hint = NOT_FOUND[body]
    with pytest.raises(OperationRefused) as raised:
        upgrade(path, body)
    assert raised.value.message.startswith(f'Revision "r1", {says}')
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("name", FAULTS)
def test_the_operation_is_named(tmp_path: Path, name: str, schema_edits: bool) -> None:
    path = tmp_path / "app.db"
    seed(path, DOC)
    before = dump(path)
    body, says, hint = FAULTS[name]
    with pytest.raises(OperationRefused) as raised:
        upgrade(
            path,
            "op.add_column('doc', sa.Column('first', sa.Integer))",
            body,
            LATER,
            options=sqlite.EngineOptions(schema_edits=schema_edits),
        )
    assert raised.value.message.startswith(f'Revision "r2", {says}')
    assert hint in (raised.value.hint or "")
    assert dump(path) == before


def test_the_driver_s_connection_finds_what_was_asked_before(tmp_path: Path) -> None:
    """Nothing tells of its statements, so that changes do not wait for one."""
    path = tmp_path / "app.db"
    seed(path, DOC)
    upgrade(
        path,
        "driver = op.get_bind().connection.driver_connection\n"
        "op.add_column('doc', sa.Column('x', sa.Integer))\n"
        "driver.execute('UPDATE doc SET x = 7')\n"
        "op.create_table('made', sa.Column('id', sa.Integer))\n"
        "driver.execute('INSERT INTO made SELECT x FROM doc')",
    )
    assert [row["id"] for row in dump(path)["rows"]["made"].values()] == [("integer", 7)] * 2
