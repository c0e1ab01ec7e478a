"""Single cases that were looked for to break the engine, with what must hold afterwards."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused, VerificationFailed
from tests.alembic_bridge.sqlite_run import dump, probe, seed, upgrade

INTEGRITY = "IntegrityError"
TABLE = """
CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(50), n INTEGER, junk TEXT);
INSERT INTO t VALUES (1, 'a', 10, 'j'), (2, 'b', 20, 'j'), (9, 'c', 30, NULL);
"""
RENAME = "op.alter_column('t', 'n', new_column_name='qty')"
REBUILD = """
with op.batch_alter_table('t') as b:
    b.alter_column('name', type_=sa.Text(), nullable=False)
    b.create_unique_constraint('uq_name', ['name'])
"""


@dataclass(frozen=True)
class Case:
    """
    :ivar probes: statements with what the last one gives, rows or an error's class.
    """

    script: str
    body: str
    probes: tuple[tuple[tuple[str, ...], Any], ...]
    foreign_keys: bool = False


VIEW_ROWS = (("SELECT * FROM v ORDER BY 1",), [(1, 20), (2, 40), (9, 60)])


def view(sql: str, *more: tuple[tuple[str, ...], Any]) -> Case:
    return Case(TABLE + sql, RENAME, (VIEW_ROWS, *more))


CASES = {
    "renamed under a common table": view(
        "CREATE VIEW v (a, b) AS WITH x AS (SELECT id, n FROM t WHERE n > 1)"
        " SELECT id, n * 2 FROM x;"
    ),
    "renamed under a recursive common table": view(
        "CREATE VIEW v AS WITH RECURSIVE c (i, n) AS (SELECT id, n FROM t UNION ALL"
        " SELECT i, n FROM c WHERE 0), d AS (SELECT i, n FROM c) SELECT i, n * 2 FROM d;"
    ),
    "renamed under a subquery": view("CREATE VIEW v AS SELECT id, n * 2 FROM (SELECT * FROM t);"),
    "renamed under a qualified subquery": view(
        "CREATE VIEW v AS SELECT s.id, s.n * 2 FROM (SELECT t.id, t.n FROM main.t) AS s;"
    ),
    "renamed under a view on a view": view(
        "CREATE VIEW w AS SELECT * FROM t; CREATE VIEW v AS SELECT w.id, w.n * 2 FROM w;"
    ),
    "renamed under views that join the table again": view(
        "CREATE VIEW w AS SELECT id, n FROM t;"
        "CREATE VIEW v AS SELECT x.id, x.n + y.n FROM w x JOIN t AS y USING (id);"
    ),
    "renamed under a view that is written to": view(
        "CREATE VIEW w AS SELECT id, n FROM t;"
        "CREATE TRIGGER w_update INSTEAD OF UPDATE OF n ON w BEGIN"
        " UPDATE t SET n = new.n WHERE id = old.id; END;"
        "CREATE VIEW v AS SELECT id, n * 2 FROM w WHERE id IN (SELECT id FROM t);",
        (("UPDATE w SET n = 7 WHERE id = 1", "SELECT qty FROM t WHERE id = 1"), [(7,)]),
    ),
    "renamed under a trigger that reads a view": view(
        "CREATE VIEW w AS SELECT id, n FROM t; CREATE TABLE log (w);"
        "CREATE TRIGGER note AFTER UPDATE OF n ON t BEGIN"
        " INSERT INTO log SELECT n FROM w WHERE id = new.id AND new.n > old.n; END;"
        "CREATE VIEW v AS SELECT id, n * 2 FROM w;",
        (("UPDATE t SET qty = 99 WHERE id = 1", "SELECT w FROM log"), [(99,)]),
    ),
    "upsert of another table's trigger into a renamed table": Case(
        TABLE + "CREATE TABLE log (w);"
        "CREATE TRIGGER note AFTER INSERT ON log BEGIN INSERT INTO t (id, n) VALUES (1, 1)"
        " ON CONFLICT (id) DO UPDATE SET n = excluded.n + t.n; END;",
        "op.rename_table('t', 'tt')",
        ((("INSERT INTO log VALUES (1)", "SELECT n FROM tt WHERE id = 1"), [(11,)]),),
    ),
    "AUTOINCREMENT counts on from the rows": Case(
        TABLE,
        "with op.batch_alter_table('t', table_kwargs={'sqlite_autoincrement': True}) as b:\n"
        "    b.alter_column('name', type_=sa.Text())",
        (
            (
                (
                    "DELETE FROM t WHERE id = 9",
                    "INSERT INTO t (name) VALUES ('d')",
                    "SELECT max(id) FROM t",
                ),
                [(10,)],
            ),
        ),
    ),
    "rowid alias goes on numbering as BIGINT": Case(
        TABLE,
        "op.alter_column('t', 'id', existing_type=sa.Integer(), type_=sa.BigInteger())",
        ((("INSERT INTO t (name) VALUES ('d')", "SELECT max(id) FROM t"), [(10,)]),),
    ),
    "trigger that forbids updates, under a conversion": Case(
        TABLE
        + "CREATE TRIGGER frozen BEFORE UPDATE ON t BEGIN SELECT RAISE(ABORT, 'frozen'); END;",
        "op.alter_column('t', 'n', type_=sa.Text())",
        (
            (("UPDATE t SET name = 'x'",), INTEGRITY),
            (("SELECT n FROM t",), [("10",), ("20",), ("30",)]),
        ),
    ),
    "names with percent signs and colons": Case(
        'CREATE TABLE t (id INTEGER PRIMARY KEY, "50%" TEXT, "a:b" TEXT, name TEXT);'
        "INSERT INTO t VALUES (1, 'axb', NULL, 'q');",
        "op.alter_column('t', 'a:b', server_default='%(x)s :y')\n"
        "op.create_check_constraint('c%', 't', sa.text('\"50%\" LIKE :p').bindparams("
        "sa.bindparam('p', '%x%', literal_execute=True)))\n"
        "op.alter_column('t', '50%', new_column_name='51%')",
        (
            (("UPDATE t SET \"51%\" = 'no'",), INTEGRITY),
            (
                ("INSERT INTO t (id) VALUES (2)", 'SELECT "a:b" FROM t WHERE id = 2'),
                [("%(x)s :y",)],
            ),
        ),
    ),
    "table whose name is written as a string": Case(
        "CREATE TABLE 't' ('id' INTEGER PRIMARY KEY, 'name' VARCHAR(50), n INTEGER);"
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2);",
        REBUILD,
        ((("UPDATE t SET name = 'a'",), INTEGRITY),),
    ),
    "strings in double quotes of an index over another column": Case(
        TABLE + 'CREATE UNIQUE INDEX ux ON t (name) WHERE name <> "word";',
        "op.drop_column('t', 'n')",
        (
            (("UPDATE t SET name = 'a'",), INTEGRITY),
            (("UPDATE t SET name = 'word'", "SELECT count(*) FROM t"), [(3,)]),
        ),
    ),
    "UNIQUE of a WITHOUT ROWID table with a descending integer key": Case(
        "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, name VARCHAR(50), n TEXT UNIQUE)"
        " WITHOUT ROWID; INSERT INTO t VALUES (1, 'a', 'x'), (2, 'b', 'y');",
        REBUILD,
        (
            (("UPDATE t SET n = 'x'",), INTEGRITY),
            (("UPDATE t SET name = 'a'",), INTEGRITY),
            (("SELECT id FROM t",), [(2,), (1,)]),
        ),
    ),
    "trigger that inserts by position, a column added": Case(
        TABLE + "CREATE TABLE log (w); CREATE TRIGGER tr AFTER INSERT ON log BEGIN"
        " INSERT OR REPLACE INTO t VALUES (1, new.w, 5, 'q');"
        " INSERT INTO t SELECT 70, w, 6, 'r' FROM log; END;",
        "op.add_column('t', sa.Column('extra', sa.Integer(), server_default='3'))\n"
        "op.add_column('t', sa.Column('more', sa.Integer()))",
        (
            (
                ("INSERT INTO log VALUES ('w')", "SELECT * FROM t WHERE id IN (1, 70)"),
                [(1, "w", 5, "q", 3, None), (70, "w", 6, "r", 3, None)],
            ),
        ),
    ),
    "trigger that inserts by position, the columns moved": Case(
        TABLE + "CREATE TABLE log (w); CREATE TRIGGER tr AFTER INSERT ON log BEGIN"
        " INSERT INTO t VALUES (70, new.w, 5, 'q'); END;",
        "with op.batch_alter_table('t', partial_reordering=[('n', 'name')]) as b:\n"
        "    b.add_column(sa.Column('extra', sa.Integer()), insert_after='id')",
        (
            (
                ("INSERT INTO log VALUES ('w')", "SELECT name, n, junk FROM t WHERE id = 70"),
                [("w", 5, "q")],
            ),
        ),
    ),
    "archive that is filled with all columns and widened too": Case(
        TABLE + "CREATE TABLE old AS SELECT * FROM t WHERE 0;"
        "CREATE TRIGGER tr BEFORE DELETE ON t BEGIN"
        " INSERT INTO old SELECT * FROM t WHERE id = old.id; END;",
        "op.add_column('t', sa.Column('extra', sa.Integer(), server_default='3'))\n"
        "op.add_column('old', sa.Column('extra', sa.Integer()))",
        ((("DELETE FROM t WHERE id = 1", "SELECT * FROM old"), [(1, "a", 10, "j", 3)]),),
    ),
    "savepoint of the migration that is rolled back": Case(
        TABLE,
        "op.alter_column('t', 'name', type_=sa.String(200))\n"
        "point = op.get_bind().begin_nested()\n"
        "op.add_column('t', sa.Column('gone', sa.Integer))\n"
        "op.get_bind().execute(sa.text('UPDATE t SET n = 0'))\n"
        "point.rollback()\n" + REBUILD,
        (
            (("SELECT n FROM t",), [(10,), (20,), (30,)]),
            (("SELECT gone FROM t",), "OperationalError"),
            (("UPDATE t SET name = 'a'",), INTEGRITY),
        ),
    ),
}

SELF = {
    f"{action}{', deferred' if deferred else ''}{', enforced' if enforced else ''}": Case(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up INTEGER REFERENCES t (id)"
        f" ON DELETE {action} {deferred}, other INTEGER, name VARCHAR(50),"
        ' FOREIGN KEY (other) REFERENCES "T");'
        "INSERT INTO t VALUES (1, NULL, 1, 'a'), (4, 1, 4, 'b'), (9, 4, NULL, 'c');",
        REBUILD,
        (
            (("SELECT id, up, other FROM t",), [(1, None, 1), (4, 1, 4), (9, 4, None)]),
            (("INSERT INTO t (other, name) VALUES (77, 'd')",), INTEGRITY),
            (("UPDATE t SET name = 'a'",), INTEGRITY),
        ),
        foreign_keys=enforced,
    )
    for action in ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION")
    for deferred in ("", "DEFERRABLE INITIALLY DEFERRED")
    for enforced in (False, True)
}


@pytest.mark.parametrize("schema_edits", [True, False], ids=["edits", "no edits"])
@pytest.mark.parametrize("name", [*CASES, *SELF])
def test_nothing_is_lost(tmp_path: Path, name: str, schema_edits: bool) -> None:
    case = {**CASES, **SELF}[name]
    path = tmp_path / "app.db"
    seed(path, case.script)
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    upgrade(path, case.body, foreign_keys=case.foreign_keys, options=options)
    assert dump(path)["check"] == [("ok",)]
    for statements, expected in case.probes:
        assert probe(path, tmp_path / "probe.db", statements) == expected, statements


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ("SELECT id, n, rowid AS r FROM t", "a subquery has no rowid"),
        ("WITH t AS (SELECT id, n FROM main.t) SELECT id, n FROM t", "unclear which table"),
    ],
)
def test_a_view_that_cannot_be_kept_refuses_the_rename(
    tmp_path: Path, view: str, says: str
) -> None:
    if view.startswith("WITH") and sqlite3.sqlite_version_info < (3, 36):
        pytest.skip("SQLite renames under it")
    path = tmp_path / "app.db"
    seed(path, TABLE + f"CREATE VIEW w AS {view}; CREATE VIEW v AS SELECT id, w.n FROM w;")
    before = dump(path)
    with pytest.raises((OperationRefused, VerificationFailed), match=says):
        upgrade(path, RENAME)
    assert dump(path) == before


@pytest.mark.parametrize("schema_edits", [True, False], ids=["edits", "no edits"])
def test_rows_that_broke_a_check_before_may_go_on(tmp_path: Path, schema_edits: bool) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 5 AND typeof(n) <> 'text'));"
        "INSERT INTO t VALUES (1, 4); PRAGMA ignore_check_constraints=ON;"
        "INSERT INTO t VALUES (2, 50);",
    )
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    upgrade(path, "op.alter_column('t', 'n', type_=sa.REAL())", options=options)
    assert probe(path, tmp_path / "p.db", ("SELECT n FROM t",)) == [(4.0,), (50.0,)]
    assert probe(path, tmp_path / "p.db", ("UPDATE t SET n = 7 WHERE id = 1",)) == INTEGRITY
    with pytest.raises(OperationRefused, match="2 of 2 rows break CHECK"):
        upgrade(path, "op.alter_column('t', 'n', type_=sa.Text())", options=options)


@pytest.mark.parametrize("schema_edits", [True, False], ids=["edits", "no edits"])
def test_a_trigger_that_would_fail_when_it_fires_undoes_the_upgrade(
    tmp_path: Path, schema_edits: bool
) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        TABLE + "CREATE TABLE old AS SELECT * FROM t WHERE 0;"
        "CREATE TRIGGER tr BEFORE DELETE ON t BEGIN"
        " INSERT INTO old SELECT * FROM t WHERE id = old.id; END;",
    )
    before = dump(path)
    with pytest.raises(VerificationFailed, match='trigger "tr" does not work any more'):
        upgrade(
            path,
            "op.add_column('t', sa.Column('extra', sa.Integer()))",
            options=sqlite.EngineOptions(schema_edits=schema_edits),
        )
    assert dump(path) == before


@pytest.mark.skipif(
    not hasattr(sqlite3.Connection, "setconfig"), reason="the driver cannot make it defensive"
)
@pytest.mark.parametrize("foreign_keys", [True, False])
def test_a_defensive_connection_gets_copies(tmp_path: Path, foreign_keys: bool) -> None:
    path = tmp_path / "app.db"
    seed(path, SELF["CASCADE"].script)
    done = upgrade(path, REBUILD, foreign_keys=foreign_keys, defensive=True)
    assert done.way("t") == "rebuild"
    assert not [sql for sql in done.script if "sqlite_master" in sql]
    for statements, expected in SELF["CASCADE"].probes:
        assert probe(path, tmp_path / "probe.db", statements) == expected, statements


def test_the_tables_that_operations_name_are_told_by_their_old_names(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(path, TABLE)
    done = upgrade(path, "op.rename_table('t', 'tt')\nop.alter_column('tt', 'n', type_=sa.Text())")
    assert {"t", "tt"} <= done.named
    assert probe(path, tmp_path / "probe.db", ("SELECT n FROM tt WHERE id = 9",)) == [("30",)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            "op.create_foreign_key('fk', 't', 'nowhere', ['n'], ['id'])",
            'there is no table "nowhere"',
        ),
        (
            "op.execute('CREATE TEMP TABLE t (name)')\nop.alter_column('t', 'n', nullable=False)",
            'temporary table hides table "t"',
        ),
        ("op.drop_index('ix', table_name='t', schema='other')", "another database file"),
        (
            "op.create_unique_constraint('u', 't', ['name'], deferrable=True)",
            "no UNIQUE constraint",
        ),
    ],
)
def test_what_sqlite_cannot_do_is_said_plainly(tmp_path: Path, body: str, says: str) -> None:
    path = tmp_path / "app.db"
    seed(path, TABLE)
    before = dump(path)
    with pytest.raises(OperationRefused, match=says):
        upgrade(path, body)
    assert dump(path) == before
