"""Forms in which people and autogenerate write their operations, and what they must come to."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused, VerificationFailed
from tests.alembic_bridge.sqlite_run import dump, probe, seed, upgrade

INTEGRITY = "IntegrityError"
STATE = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, s VARCHAR(3) NOT NULL,"
    " {0}CHECK (s IN ('new','old')));"
    "INSERT INTO t VALUES (1, 'new');"
)
NEW = "sa.Enum('new', 'old', 'paid', name='state', create_constraint=True)"
OLD = "sa.Enum('new', 'old', name='state', create_constraint=True)"
CONVENTION = sa.MetaData(naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s"})
PEOPLE = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER, junk TEXT);"
    "INSERT INTO t VALUES (1, 'a', 10, 'j'), (9, NULL, 30, NULL);"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def ask(path: Path, *statements: str) -> Any:
    return probe(path, path.with_suffix(".probe"), statements)


def altered(arguments: str, batch: bool) -> str:
    if batch:
        return f"with op.batch_alter_table('t') as b:\n    b.alter_column('s', {arguments})"
    return f"op.alter_column('t', 's', {arguments})"


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("existing", ["sa.VARCHAR(3)", OLD])
@pytest.mark.parametrize(
    ("named", "metadata"),
    [
        ("", None),
        ("", CONVENTION),
        ("CONSTRAINT state ", None),
        ("CONSTRAINT state ", CONVENTION),
        ("CONSTRAINT ck_t_state ", CONVENTION),
    ],
)
@pytest.mark.parametrize("name", ["s", "status"])
def test_an_enum_gets_another_value(
    path: Path, name: str, metadata: Any, named: str, existing: str, batch: bool
) -> None:
    seed(path, STATE.format(named))
    renamed = f", new_column_name={name!r}" if name != "s" else ""
    arguments = f"existing_type={existing}, type_={NEW}, existing_nullable=False{renamed}"
    upgrade(path, altered(arguments, batch), context_options={"target_metadata": metadata})
    assert ask(path, f"SELECT id, {name} FROM t") == [(1, "new")]
    assert ask(path, f"INSERT INTO t ({name}) VALUES ('paid')") == []
    assert ask(path, f"INSERT INTO t ({name}) VALUES ('odd')") == INTEGRITY


def test_an_enum_leaves_other_checks_alone(path: Path) -> None:
    seed(
        path,
        STATE.format(
            "CHECK (s <> 'bad' AND length(s) < 9) CHECK (s IN ('new', 'old', 'a' || id)) "
        ),
    )
    upgrade(path, altered(f"existing_type=sa.VARCHAR(3), type_={NEW}", True))
    assert ask(path, "INSERT INTO t (s) VALUES ('paid')") == INTEGRITY
    assert ask(path, "INSERT INTO t (s) VALUES ('old')") == []


def test_an_enum_does_not_take_the_name_of_a_check_over_other_columns(path: Path) -> None:
    seed(path, STATE.format("").replace("CHECK", "CONSTRAINT state CHECK (s <> id), CHECK"))
    with pytest.raises(OperationRefused, match='already has a constraint "state"'):
        upgrade(path, altered(f"existing_type=sa.VARCHAR(3), type_={NEW}", True))


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (
            "op.alter_column('t', 'name', nullable=False, new_column_name='title')",
            'op.execute("UPDATE t SET name = ... WHERE name IS NULL") before it',
        ),
        (
            "op.alter_column('t', 'name', nullable=False)\n"
            "op.alter_column('t', 'name', new_column_name='title')\n"
            "op.rename_table('t', 'people')\n"
            "op.create_unique_constraint('uq', 'people', ['title', 'id'])",
            'op.execute("UPDATE t SET name = ... WHERE name IS NULL") before it',
        ),
        (
            "op.alter_column('t', 'name', new_column_name='full name')\n"
            "op.alter_column('t', 'full name', nullable=False)",
            """op.execute('UPDATE t SET "full name" = ... WHERE "full name" IS NULL') before it""",
        ),
    ],
)
def test_the_hint_fits_the_moment_of_the_operation(path: Path, body: str, hint: str) -> None:
    seed(path, PEOPLE)
    with pytest.raises(OperationRefused) as caught:
        upgrade(path, body)
    assert caught.value.hint == hint


@pytest.mark.parametrize("star", [False, True])
def test_a_view_through_a_renamed_column_lets_other_columns_go(path: Path, star: bool) -> None:
    listed = "*" if star else "t.id, t.name"
    seed(
        path,
        PEOPLE + f"CREATE VIEW v AS SELECT {listed} FROM t; CREATE VIEW w AS SELECT name FROM v;",
    )
    upgrade(path, "op.alter_column('t', 'name', new_column_name='title')")
    if star:
        with pytest.raises(OperationRefused, match='view "v" uses column'):
            upgrade(path, "op.drop_column('t', 'junk')")
        return
    upgrade(path, "op.drop_column('t', 'junk')\nop.rename_table('t', 'base')")
    assert ask(path, "SELECT * FROM v") == [(1, "a"), (9, None)]
    assert ask(path, "SELECT * FROM w") == [("a",), (None,)]


def test_a_virtual_table_is_renamed(path: Path) -> None:
    seed(path, PEOPLE + "CREATE VIRTUAL TABLE f USING fts5 (x); INSERT INTO f VALUES ('word');")
    upgrade(path, "op.add_column('t', sa.Column('y', sa.Text))\nop.rename_table('f', 'g')")
    assert ask(path, "SELECT * FROM g WHERE g MATCH 'word'") == [("word",)]


def test_a_temporary_table_comes_and_goes(path: Path) -> None:
    seed(path, PEOPLE)
    before = dump(path)
    upgrade(
        path,
        "op.create_table('kept', sa.Column('id', sa.Integer), prefixes=['TEMPORARY'])\n"
        "op.execute('INSERT INTO kept SELECT id FROM t')\n"
        "op.rename_table('kept', 'held')\n"
        "op.drop_table('held')",
    )
    assert dump(path) == before


@pytest.mark.parametrize(
    ("stored", "declared", "kept"),
    [
        ("'1e400'", "sa.Float()", None),
        ("'-1e400'", "sa.Numeric()", None),
        ("'1e400 apples'", "sa.Float()", "1e400 apples"),
        ("'9007199254740993'", "sa.Float()", None),
        ("'9007199254740992'", "sa.Float()", 9007199254740992.0),
        ("'9007199254740993'", "sa.Numeric()", 9007199254740993),
        ("'12345678901234567890'", "sa.Float()", None),
        ("'0.30000000000000004'", "sa.Float()", 0.30000000000000004),
        ("'0.1000000000000000055'", "sa.Float()", None),
        ("9223372036854775807", "sa.Float()", None),
        ("-9223372036854775808", "sa.Float()", -(2.0**63)),
    ],
)
def test_no_number_is_changed_by_its_new_type(
    path: Path, stored: str, declared: str, kept: Any
) -> None:
    old = "TEXT" if stored.startswith("'") else "INTEGER"
    seed(
        path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, r {old}); INSERT INTO t VALUES (1, {stored});",
    )
    body = f"op.alter_column('t', 'r', type_={declared})"
    if kept is None:
        with pytest.raises(OperationRefused, match="cannot hold exactly"):
            upgrade(path, body)
    else:
        upgrade(path, body)
        assert ask(path, "SELECT r FROM t") == [(kept,)]


DANCE = """
op.create_table('t_new', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Integer))
op.execute('INSERT INTO t_new SELECT id, n FROM t')
op.drop_table('t')
op.rename_table('t_new', 't')
"""
DEPENDENTS = """
CREATE TABLE child (tid INTEGER REFERENCES t (id) ON DELETE CASCADE);
INSERT INTO child VALUES (1);
CREATE TABLE log (x);
CREATE TRIGGER note AFTER INSERT ON log BEGIN UPDATE t SET n = n + 1 WHERE id = new.x; END;
CREATE VIEW v AS SELECT id, n FROM t;
CREATE VIEW w AS SELECT n FROM v;
CREATE TRIGGER wrote INSTEAD OF UPDATE ON v BEGIN UPDATE t SET n = new.n WHERE id = old.id; END;
"""


@pytest.mark.parametrize(
    ("foreign_keys", "schema_edits"), [(True, True), (False, True), (False, False)]
)
@pytest.mark.parametrize(
    "more",
    [
        "",
        "op.alter_column('t', 'n', new_column_name='m', type_=sa.BigInteger())",
        "op.alter_column('log', 'x', new_column_name='y')",
    ],
)
def test_a_table_is_replaced_by_another_under_views_and_triggers(
    path: Path, more: str, foreign_keys: bool, schema_edits: bool
) -> None:
    seed(path, PEOPLE + DEPENDENTS)
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    upgrade(path, DANCE + more, foreign_keys=foreign_keys, options=options)
    assert ask(path, "SELECT * FROM child") == [(1,)]
    assert ask(path, "INSERT INTO log VALUES (1)", "SELECT n FROM w") == [(11,), (30,)]
    assert ask(path, "UPDATE v SET n = 7 WHERE id = 9", "SELECT n FROM w") == [(10,), (7,)]


@pytest.mark.parametrize("schema_edits", [True, False])
def test_a_table_that_does_not_come_back_is_missed(path: Path, schema_edits: bool) -> None:
    seed(path, PEOPLE + DEPENDENTS)
    before = dump(path)
    with pytest.raises(VerificationFailed, match="no such table"):
        upgrade(
            path,
            DANCE.replace("op.rename_table('t_new', 't')", "op.drop_table('child')"),
            options=sqlite.EngineOptions(schema_edits=schema_edits),
        )
    assert dump(path) == before


FULL_TEXT = (
    "CREATE VIRTUAL TABLE f USING fts5 (name, content='t', content_rowid='id');"
    "INSERT INTO f (f) VALUES ('rebuild');"
)


@pytest.mark.parametrize("body", ["op.drop_column('t', 'name')", "op.drop_table('t')"])
def test_a_full_text_table_is_not_cut_off_from_its_content(path: Path, body: str) -> None:
    seed(path, PEOPLE + FULL_TEXT)
    before = dump(path)
    with pytest.raises(VerificationFailed, match='virtual table "f" cannot be read any more'):
        upgrade(path, body)
    assert dump(path) == before
    upgrade(path, f"{body}\nop.execute('DROP TABLE f')")


def test_a_full_text_table_follows_its_content(path: Path) -> None:
    seed(
        path,
        PEOPLE + "CREATE VIRTUAL TABLE f USING fts5 (junk UNINDEXED, name, content='t',"
        """ content_rowid=id, tokenize="unicode61 tokenchars '-('"); INSERT INTO f (f) VALUES"""
        " ('rebuild'); CREATE TRIGGER filled AFTER INSERT ON t BEGIN"
        " INSERT INTO f (rowid, name) VALUES (new.id, new.name); END;",
    )
    upgrade(
        path,
        "op.rename_table('t', 'x')\nop.rename_table('x', 'people')",
        "op.get_bind()\n"
        "op.alter_column('people', 'name', new_column_name='full name', type_=sa.String(9))\n"
        "op.alter_column('people', 'id', new_column_name='key')",
    )
    assert ask(path, "SELECT * FROM f WHERE f MATCH 'a'") == [("j", "a")]
    insert = """INSERT INTO people ("full name", junk) VALUES ('zebra', 'q')"""
    found = """SELECT rowid, "full name", junk FROM f WHERE f MATCH '"full name": zebra'"""
    assert ask(path, insert, found) == [(10, "zebra", "q")]
    assert ask(path, insert, "INSERT INTO f (f) VALUES ('integrity-check')") == []


@pytest.mark.parametrize(
    "body",
    [
        "op.add_column('t', sa.Column('extra', sa.Integer))",
        "op.rename_table('t', 'people')",
        "op.drop_column('t', 'junk')",
        "op.create_index('ix', 'other', ['a'])",
        "op.alter_column('other', 'a', new_column_name='b')",
        "op.alter_column('t', 'junk', nullable=True, type_=sa.String(9))",
    ],
)
def test_strings_in_double_quotes_do_no_harm_beside_a_view(path: Path, body: str) -> None:
    seed(
        path,
        'CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT DEFAULT "none" CHECK (name <> "bad"),'
        " junk TEXT); CREATE TABLE other (a); CREATE VIEW v AS SELECT id, name FROM t;",
    )
    upgrade(path, body)
    table = "people" if "people" in body else "t"
    assert ask(path, f"INSERT INTO {table} (name) VALUES ('bad')") == INTEGRITY
    assert ask(path, f"INSERT INTO {table} (id) VALUES (1)", "SELECT * FROM v") == [(1, "none")]


@pytest.mark.parametrize(
    "args", ["", ", recreate='always', partial_reordering=[('id', 'name', 'word')]"]
)
def test_strings_of_views_and_triggers_stay_strings(path: Path, args: str) -> None:
    seed(
        path,
        PEOPLE + 'CREATE VIEW v AS SELECT id, "word" AS said FROM t;'
        " CREATE TRIGGER put INSTEAD OF INSERT ON v BEGIN"
        " INSERT INTO t (id, name) VALUES (new.id, new.said); END;"
        ' CREATE TRIGGER heard AFTER INSERT ON t WHEN new.name <> "none" BEGIN'
        ' UPDATE t SET junk = "word" WHERE id = new.id; END;'
        ' CREATE VIEW w AS SELECT 1 AS "word";',
    )
    upgrade(
        path,
        f"with op.batch_alter_table('t'{args}) as b:\n"
        "    b.add_column(sa.Column('word', sa.Integer))\n"
        "    b.add_column(sa.Column('none', sa.Integer))",
    )
    insert = "INSERT INTO v (id, said) VALUES (70, 'hi')"
    assert ask(path, insert, "SELECT junk FROM t WHERE id = 70") == [("word",)]
    assert ask(path, "SELECT said FROM v") == [("word",), ("word",)]
    assert ask(path, 'SELECT "word" FROM w') == [(1,)]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ("op.drop_index('uq', table_name='t')", 'op.drop_constraint("uq", "t")'),
        (
            "op.alter_column('t', 'g', server_default=sa.Computed('id + 2'))",
            "op.drop_column, and op.add_column with sa.Computed",
        ),
        (
            "op.add_column('t', sa.Column('ID', sa.Integer))",
            "SQLite does not tell upper from lower case; to change it:"
            " op.alter_column('t', 'id', new_column_name='ID')",
        ),
        (
            "op.drop_column('t', 'g')\nop.drop_column('t', 'id')",
            "add the new columns before, or drop the table",
        ),
    ],
)
def test_a_refusal_says_how_else(path: Path, body: str, hint: str) -> None:
    seed(path, "CREATE TABLE t (id INTEGER, g AS (id + 1), CONSTRAINT uq UNIQUE (id));")
    with pytest.raises(OperationRefused) as caught:
        upgrade(path, body)
    assert caught.value.hint == hint


@pytest.mark.parametrize("schema_edits", [True, False])
def test_views_follow_a_column_whatever_the_migration_says_of_legacy_alter_table(
    path: Path, schema_edits: bool
) -> None:
    seed(path, PEOPLE + "CREATE VIEW v AS SELECT t.name FROM t; CREATE TABLE other (a);")
    upgrade(
        path,
        "op.execute('PRAGMA legacy_alter_table=ON')\n"
        "op.alter_column('t', 'name', new_column_name='title')\n"
        "assert op.get_bind().exec_driver_sql('PRAGMA legacy_alter_table').scalar() == 1",
        options=sqlite.EngineOptions(schema_edits=schema_edits),
    )
    assert ask(path, "SELECT * FROM v") == [("a",), (None,)]


RELATED = """
CREATE TABLE p (id INTEGER PRIMARY KEY);
CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, pid INTEGER,
  CONSTRAINT fk FOREIGN KEY (pid) REFERENCES p (id), CONSTRAINT uq UNIQUE (pid, id));
CREATE INDEX ix ON t (pid);
INSERT INTO t VALUES (1, 10, NULL);
"""


def columns(path: Path) -> list[str]:
    return [row[1] for row in ask(path, "PRAGMA table_info(t)")]


@pytest.mark.parametrize(
    ("lines", "names", "broken"),
    [
        (
            (
                "drop_column('pid')",
                "drop_constraint('fk', type_='foreignkey')",
                "drop_index('ix')",
                "drop_constraint('uq', type_='unique')",
                "create_unique_constraint('uq', ['n'])",
            ),
            ["id", "n"],
            "INSERT INTO t (n) VALUES (10)",
        ),
        (
            (
                "create_index('new', ['later'], unique=True)",
                "add_column(sa.Column('later', sa.Text))",
            ),
            ["id", "n", "pid", "later"],
            "INSERT INTO t (later) VALUES (1), (1)",
        ),
        (
            ("create_unique_constraint('u', ['m'])", "alter_column('n', new_column_name='m')"),
            ["id", "m", "pid"],
            "INSERT INTO t (m) VALUES (10)",
        ),
        (
            (
                "alter_column('n', new_column_name='k')",
                "alter_column('k', new_column_name='m')",
                "create_unique_constraint('u', ['n'])",
                "alter_column('n', nullable=False)",
                "add_column(sa.Column('behind', sa.Integer), insert_after='k')",
            ),
            ["id", "m", "behind", "pid"],
            "INSERT INTO t (m) VALUES (10)",
        ),
        (
            (
                "alter_column('n', new_column_name='m')",
                "add_column(sa.Column('n', sa.Integer, server_default='7', nullable=False))",
                "create_unique_constraint('u', ['n'])",
                "alter_column('pid', new_column_name='parent')",
                "drop_column('pid')",
            ),
            ["id", "m", "n"],
            "INSERT INTO t (m) VALUES (1)",
        ),
    ],
)
def test_the_operations_of_a_block_may_stand_in_any_order(
    path: Path, lines: tuple[str, ...], names: list[str], broken: str
) -> None:
    seed(path, RELATED)
    upgrade(
        path, "with op.batch_alter_table('t') as b:\n" + "".join(f"    b.{x}\n" for x in lines)
    )
    assert columns(path) == names
    assert ask(path, broken) == INTEGRITY
    assert ask(path, "SELECT id FROM t") == [(1,)]


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        (
            (
                "alter_column('name', new_column_name='junk')",
                "alter_column('junk', new_column_name='name', type_=sa.String(9))",
            ),
            {"id": 1, "junk": "a", "n": 10, "name": "j"},
        ),
        (
            (
                "alter_column('name', new_column_name='n')",
                "alter_column('n', new_column_name='junk')",
                "alter_column('junk', new_column_name='last')",
            ),
            {"id": 1, "n": "a", "junk": 10, "last": "j"},
        ),
        (
            ("alter_column('name', new_column_name='junk')", "drop_column('junk')"),
            {"id": 1, "junk": "a", "n": 10},
        ),
    ],
)
def test_columns_of_a_block_pass_on_their_names(
    path: Path, lines: tuple[str, ...], row: dict[str, Any]
) -> None:
    seed(path, PEOPLE + "CREATE INDEX ix ON t (name);")
    upgrade(
        path, "with op.batch_alter_table('t') as b:\n" + "".join(f"    b.{x}\n" for x in lines)
    )
    assert columns(path) == list(row)
    assert ask(path, "SELECT * FROM t WHERE id = 1") == [tuple(row.values())]
    indexed = next(name for name, value in row.items() if value == "a")
    assert [each[2] for each in ask(path, "PRAGMA index_info(ix)")] == [indexed]


@pytest.mark.parametrize(
    ("more", "link"),
    [
        ("REFERENCES t (id) ON DELETE CASCADE", ""),
        ("REFERENCES t (id) ON DELETE SET NULL", ""),
        ("REFERENCES other (id) ON DELETE SET NULL", "REFERENCES t (id) ON DELETE CASCADE"),
    ],
)
def test_triggers_do_not_notice_that_the_old_table_goes(path: Path, more: str, link: str) -> None:
    seed(
        path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, up INTEGER {more});"
        f"CREATE TABLE other (id INTEGER PRIMARY KEY, tid INTEGER {link});"
        "INSERT INTO t VALUES (1, 10, NULL), (2, 20, 1); INSERT INTO other VALUES (1, 2);"
        "CREATE TABLE log (what);"
        "CREATE TRIGGER u AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (old.id); END;"
        "CREATE TRIGGER d AFTER DELETE ON t BEGIN INSERT INTO log VALUES (-old.id); END;",
    )
    upgrade(
        path,
        "op.alter_column('t', 'n', type_=sa.Text())",
        foreign_keys=True,
        options=sqlite.EngineOptions(schema_edits=False),
    )
    assert ask(path, "SELECT * FROM log") == []
    assert ask(path, "SELECT * FROM t") == [(1, "10", None), (2, "20", 1)]
    assert ask(path, "DELETE FROM t WHERE id = 2", "SELECT * FROM log") == [(-2,)]


@pytest.mark.skipif(
    hasattr(sqlite3.Connection, "setconfig"), reason="enforcement can be put off from 3.12 on"
)
def test_a_foreign_key_that_prevents_the_copy_is_told(path: Path) -> None:
    seed(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, up INTEGER REFERENCES gone (id));"
        "INSERT INTO t VALUES (1, 10, NULL);",
    )
    before = dump(path)
    with pytest.raises(OperationRefused, match="which its foreign keys prevent: no such table"):
        upgrade(
            path,
            "op.alter_column('t', 'n', type_=sa.Text())",
            foreign_keys=True,
            options=sqlite.EngineOptions(schema_edits=False),
        )
    assert dump(path) == before


@pytest.mark.parametrize("edits", [True, False])
def test_duplicates_are_counted_under_the_name_that_a_column_has_got(
    path: Path, edits: bool
) -> None:
    seed(
        path, "CREATE TABLE t (a TEXT, b TEXT); INSERT INTO t VALUES ('x', 1), ('x', 2), ('y', 3)"
    )
    with pytest.raises(OperationRefused, match='2 of 3 rows of "t" share "c", first \'x\''):
        upgrade(
            path,
            "op.alter_column('t', 'a', new_column_name='c')\n"
            "op.create_primary_key('pk', 't', ['c'])",
            options=sqlite.EngineOptions(schema_edits=edits),
        )


@pytest.mark.parametrize("form", ["op.{}", "with op.batch_alter_table('t') as b: b.{}"])
def test_the_check_of_a_new_column_is_over_that_column(path: Path, form: str) -> None:
    seed(path, PEOPLE)
    table = "'t', " if form.startswith("op") else ""
    flag = "sa.Column('flag', sa.Boolean(create_constraint=True, name='ck'))"
    upgrade(
        path,
        form.format(f"alter_column({table}'n', type_=sa.Text())"),
        form.format(f"add_column({table}{flag})"),
    )
    assert ask(path, "INSERT INTO t (n) VALUES (7)") == []
    assert ask(path, "INSERT INTO t (flag) VALUES (7)") == INTEGRITY


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("foreign_keys", [True, False])
def test_a_type_that_foreign_keys_do_not_find_through_is_refused(
    path: Path, foreign_keys: bool, schema_edits: bool
) -> None:
    seed(
        path,
        "CREATE TABLE t (id TEXT PRIMARY KEY); INSERT INTO t VALUES ('1');"
        "CREATE TABLE c (tid INTEGER REFERENCES t (id)); INSERT INTO c VALUES (1), (404);",
    )
    before = dump(path)
    body = "op.alter_column('t', 'id', type_=sa.LargeBinary())"
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    with pytest.raises(OperationRefused, match='1 row of table "c" would no longer find'):
        upgrade(path, body, foreign_keys=foreign_keys, options=options)
    assert dump(path) == before


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize(
    ("body", "table", "lost"),
    [
        ("op.rename_table('t', 'people')", "people", set()),
        ("op.rename_table('t', 'x')\nop.alter_column('x', 'id', type_=sa.Text())", "x", set()),
        ("op.alter_column('t', 'n', type_=sa.Text(), nullable=False)", "t", set()),
        ("op.alter_column('t', 'n', type_=sa.Text())\nop.rename_table('t', 'x')", "x", set()),
        ("op.create_unique_constraint('u', 't', ['id', 'n'])", "t", set()),
        ("op.drop_column('t', 'name')", "t", {"sqlite_autoindex_t_1"}),
        ("op.drop_index('ix', 't')\nop.create_index('ix', 't', ['junk', 'n'])", "t", {"ix"}),
    ],
)
def test_statistics_stay_with_their_indexes(
    path: Path, body: str, table: str, lost: set[str], schema_edits: bool
) -> None:
    seed(
        path,
        "CREATE TABLE t (id INTEGER, n INTEGER, name TEXT UNIQUE, junk TEXT);"
        "CREATE INDEX ix ON t (n, junk); CREATE TABLE other (id TEXT PRIMARY KEY);"
        "INSERT INTO t VALUES (1, 1, 'a', 'j'), (2, 1, 'b', 'k'); INSERT INTO other VALUES (1);"
        "ANALYZE; INSERT INTO sqlite_stat1 VALUES ('none', 'none', '7 1');",
    )
    rows = "SELECT tbl, idx, stat FROM sqlite_stat1"
    before = {
        (name if name != "t" else table, (index or "").replace("_t_", f"_{table}_"), numbers)
        for name, index, numbers in ask(path, rows)
        if index not in lost
    }
    upgrade(path, body, options=sqlite.EngineOptions(schema_edits=schema_edits))
    assert {(name, index or "", numbers) for name, index, numbers in ask(path, rows)} == before


@pytest.mark.parametrize("text", ["'later > 0'", "sa.text('\"Later\" > 0')", "sa.column('m') > 0"])
def test_a_check_waits_for_the_column_that_its_text_names(path: Path, text: str) -> None:
    seed(path, PEOPLE)
    upgrade(
        path,
        f"with op.batch_alter_table('t') as b:\n    b.create_check_constraint('ck', {text})\n"
        "    b.add_column(sa.Column('later', sa.Integer))\n"
        "    b.alter_column('n', new_column_name='m')",
    )
    column = "m" if "'m'" in text else "later"
    assert ask(path, f"INSERT INTO t ({column}) VALUES (0)") == INTEGRITY
    assert ask(path, "INSERT INTO t (id) VALUES (70)") == []
