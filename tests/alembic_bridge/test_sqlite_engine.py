"""What the engine promises beyond keeping a table as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused, VerificationFailed
from tests.alembic_bridge.sqlite_run import dump, probe, seed, upgrade


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


def ask(path: Path, *statements: str) -> Any:
    return probe(path, path.with_name("probe.db"), statements)


def batch(table: str, *lines: str, args: str = "") -> str:
    body = "\n".join(f"    {line}" for line in lines) or "    pass"
    return f"with op.batch_alter_table({table!r}{args}) as b:\n{body}"


def table_sql(path: Path, name: str) -> str:
    return str(ask(path, f"SELECT sql FROM sqlite_master WHERE name = '{name}'")[0][0])


def refuses(path: Path, *bodies: str, match: str, foreign_keys: bool = False) -> OperationRefused:
    """The upgrade is refused, and the file is byte for byte as it was."""
    before = dump(path), path.read_bytes()
    with pytest.raises((OperationRefused, VerificationFailed), match=match) as caught:
        upgrade(path, *bodies, foreign_keys=foreign_keys)
    assert (dump(path), path.read_bytes()) == before
    assert isinstance(caught.value, (OperationRefused, VerificationFailed))
    return caught.value  # type: ignore[return-value]


#: SQLite has commands for NOT NULL and DROP CONSTRAINT.
ALTERS_CONSTRAINTS = sqlite3.sqlite_version_info >= (3, 53)

PLAIN = """
CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(50), num INTEGER, junk TEXT);
INSERT INTO t VALUES (1, 'a', 1, 'j'), (2, 'b', 2, 'k'), (9, NULL, 3, NULL);
"""
FAMILY = """
CREATE TABLE p (id INTEGER PRIMARY KEY, name VARCHAR(50));
INSERT INTO p VALUES (1, 'one'), (2, 'two');
CREATE TABLE child (id INTEGER PRIMARY KEY, pid INTEGER REFERENCES p (id) ON DELETE CASCADE);
INSERT INTO child VALUES (1, 1), (2, 2);
"""


# ---------------------------------------------------------------- coalescing and barriers


def test_ten_revisions_copy_a_table_once(path: Path) -> None:
    seed(path, PLAIN)
    bodies = [
        batch("t", f"b.add_column(sa.Column('c{n}', sa.Integer))", args=", recreate='always'")
        for n in range(10)
    ]
    done = upgrade(path, *bodies)
    assert len([sql for sql in done.script if sql.startswith("INSERT INTO")]) == 1
    assert done.work[0].revisions == tuple(f"r{n}" for n in range(1, 11))
    assert len(ask(path, "PRAGMA table_info(t)")) == 14


@pytest.mark.parametrize(
    ("types", "values"),
    [
        # What PostgreSQL would do: each type in its turn.
        (("sa.Float()", "sa.Text()"), ["1.5", "x", None]),
        (("sa.Float()", "sa.LargeBinary()"), [b"1.5", b"x", None]),
        (("sa.String(9)", "sa.Text()"), ["1.50", "x", None]),
    ],
)
def test_a_type_between_two_others_leaves_its_trace(
    path: Path, types: tuple[str, ...], values: list[Any]
) -> None:
    seed(path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('1.50'), ('x'), (NULL);")
    upgrade(path, batch("t", *(f"b.alter_column('a', type_={type_})" for type_ in types)))
    assert ask(path, "SELECT a FROM t") == [(value,) for value in values]


@pytest.mark.parametrize(
    ("types", "value"),
    [(("sa.BLOB()",), b"3"), (("sa.Integer()", "sa.BLOB()"), b"3"), (("sa.Integer()",), 3)],
)
@pytest.mark.parametrize("default", ["(1 + 2)", "3"])
def test_an_added_column_has_the_values_of_its_first_type(
    path: Path, default: str, types: tuple[str, ...], value: Any
) -> None:
    seed(path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x');")
    upgrade(
        path,
        f"op.add_column('t', sa.Column('n', sa.Text(), server_default=sa.text({default!r})))\n"
        + batch("t", *(f"b.alter_column('n', type_={type_})" for type_ in types)),
    )
    assert ask(path, "SELECT n FROM t") == [(value,)]


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("foreign_keys", [True, False])
@pytest.mark.parametrize(
    ("rule", "body", "match"),
    [
        (
            "CREATE UNIQUE INDEX u ON t (a)",
            "op.alter_column('t', 'a', type_=sa.Integer())",
            'alter_column.*"t"',
        ),
        (
            "CREATE UNIQUE INDEX u ON t (a) WHERE id > 0",
            "op.alter_column('t', 'a', type_=sa.Integer())",
            'alter_column.*rows of "t"',
        ),
        (
            "",
            "op.alter_column('t', 'a', type_=sa.Integer())\n"
            "op.create_index('u', 't', ['b'], unique=True)",
            'create_index.*2 of 2 rows of "t" share "b", first \'x\' \\(2 times',
        ),
    ],
)
def test_an_index_that_a_copy_would_break_is_named(
    path: Path, rule: str, body: str, match: str, foreign_keys: bool, schema_edits: bool
) -> None:
    seed(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);"
        "INSERT INTO t VALUES (1, '1', 'x'), (2, '01', 'x');"
        "CREATE TABLE child (id INTEGER PRIMARY KEY, tid INTEGER REFERENCES t (id));"
        "INSERT INTO child VALUES (1, 1);" + rule,
    )
    before = dump(path)
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    with pytest.raises(OperationRefused, match='Revision "r1", ' + match):
        upgrade(path, body, foreign_keys=foreign_keys, options=options)
    assert dump(path) == before


@pytest.mark.skipif(
    "inline_references" not in signature(Operations.add_column).parameters,
    reason="this Alembic has no inline_references",
)
@pytest.mark.parametrize("name", ["pid", "REFERENCES_id"])
def test_an_inline_reference_of_an_added_column_is_a_foreign_key(path: Path, name: str) -> None:
    seed(path, "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER);")
    column = f"sa.Column({name!r}, sa.Integer, sa.ForeignKey('p.id'))"
    upgrade(path, f"op.add_column('t', {column}, inline_references=True)")
    keys = ask(path, 'SELECT "table", "from", "to" FROM pragma_foreign_key_list(\'t\')')
    assert keys == [("p", name, "id")]


def test_a_statement_of_the_migration_sees_what_was_asked_before(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        batch("t", "b.alter_column('num', new_column_name='qty')")
        + "\nop.execute('UPDATE t SET qty = qty * 10')\n"
        + batch("t", "b.alter_column('qty', type_=sa.Text())"),
    )
    assert ask(path, "SELECT qty FROM t") == [("10",), ("20",), ("30",)]


def test_a_connection_got_earlier_is_a_barrier_too(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        "bind = op.get_bind()\n"
        "op.add_column('t', sa.Column('slug', sa.String(20)))\n"
        "bind.execute(sa.text(\"UPDATE t SET slug = 's' || id\"))\n"
        "names = [c['name'] for c in sa.inspect(bind).get_columns('t')]\n"
        "assert 'slug' in names\n",
    )
    assert ask(path, "SELECT slug FROM t WHERE id = 9") == [("s9",)]


def test_orm_sessions_are_a_barrier(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        "from sqlalchemy.orm import Session\n"
        "bind = op.get_bind()\n"
        "op.add_column('t', sa.Column('slug', sa.String(20)))\n"
        "with Session(bind) as session:\n"
        "    session.execute(sa.text(\"UPDATE t SET slug = 'x'\"))\n"
        "    session.flush()\n",
    )
    assert ask(path, "SELECT DISTINCT slug FROM t") == [("x",)]


def test_raw_ddl_between_operations_is_understood(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        "op.add_column('t', sa.Column('a', sa.Integer))\n"
        "op.execute('CREATE TABLE u (id INTEGER PRIMARY KEY, b TEXT)')\n"
        + batch("u", "b.alter_column('b', nullable=False)")
        + "\nop.execute('ALTER TABLE t RENAME TO tt')\n"
        + batch("tt", "b.alter_column('a', type_=sa.Text())"),
    )
    assert "b TEXT NOT NULL" in table_sql(path, "u")
    assert ask(path, "SELECT count(*) FROM tt") == [(3,)]


def test_savepoints_of_the_migration_are_understood(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        "bind = op.get_bind()\n"
        "nested = bind.begin_nested()\n"
        "op.add_column('t', sa.Column('a', sa.Integer))\n"
        "op.get_bind().execute(sa.text('SELECT a FROM t'))\n"
        "nested.rollback()\n"
        "op.add_column('t', sa.Column('a', sa.Text))\n",
    )
    assert ask(path, "SELECT type FROM pragma_table_info('t') WHERE name = 'a'") == [("TEXT",)]


def test_bulk_insert_goes_into_the_new_table(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        "u = op.create_table('u', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('v', sa.String(5), index=True))\n"
        "op.bulk_insert(u, [{'id': 1, 'v': 'x'}, {'id': 2, 'v': 'y'}])\n"
        "op.alter_column('u', 'v', nullable=False, new_column_name='w')\n",
    )
    assert ask(path, "SELECT w FROM u") == [("x",), ("y",)]
    assert ask(path, "SELECT count(*) FROM sqlite_master WHERE name = 'ix_u_v'") == [(1,)]


def test_an_error_names_the_revision_that_asked(path: Path) -> None:
    seed(path, PLAIN)
    error = refuses(
        path,
        "op.add_column('t', sa.Column('a', sa.Integer))",
        batch("t", "b.alter_column('name', nullable=False)"),
        "op.add_column('t', sa.Column('z', sa.Integer))",
        match='Revision "r2".*1 of 3 rows have NULL in "t"."name", first ids 9',
    )
    assert error.hint is not None


# ---------------------------------------------------------------- order and names


def test_changes_apply_in_order_under_the_names_of_the_moment(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        batch(
            "t",
            "b.alter_column('name', new_column_name='old_name')",
            "b.add_column(sa.Column('name', sa.Integer, server_default='7'))",
            "b.drop_column('junk')",
            "b.alter_column('num', new_column_name='junk')",
        ),
    )
    assert ask(path, "SELECT old_name, junk, name FROM t") == [
        ("a", 1, 7),
        ("b", 2, 7),
        (None, 3, 7),
    ]


def test_tables_can_swap_their_names(path: Path) -> None:
    seed(
        path,
        PLAIN + "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT, tid INTEGER REFERENCES t);"
        "INSERT INTO u VALUES (50, 1); DELETE FROM u; CREATE INDEX iu ON u (tid);",
    )
    done = upgrade(
        path,
        "op.rename_table('t', 'x')\nop.rename_table('u', 't')\nop.rename_table('x', 'u')\n"
        "op.alter_column('u', 'num', nullable=False)\n",
    )
    assert done.way("u") == ("native" if ALTERS_CONSTRAINTS else "schema edit")
    assert ask(path, "INSERT INTO t (tid) VALUES (1)", "SELECT id FROM t") == [(51,)]
    assert ask(path, "INSERT INTO t (tid) VALUES (77)") == "IntegrityError"
    assert ask(path, "SELECT count(*) FROM u") == [(3,)]


def test_a_name_may_change_its_case_only(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        "op.rename_table('t', 'T')\nop.alter_column('T', 'name', new_column_name='Name')\n"
        "op.alter_column('T', 'num', nullable=False)",
    )
    assert table_sql(path, "T").startswith('CREATE TABLE "T" (id INTEGER PRIMARY KEY, "Name"')


def test_a_table_can_go_and_come_again(path: Path) -> None:
    seed(path, PLAIN + "CREATE INDEX ix ON t (num);")
    upgrade(
        path,
        "op.drop_table('t')\n"
        "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('num', sa.Text))\n"
        "op.create_index('ix', 't', ['num'])\n",
    )
    assert ask(path, "SELECT count(*) FROM t") == [(0,)]
    assert ask(path, "SELECT tbl_name FROM sqlite_master WHERE name = 'ix'") == [("t",)]


def test_what_is_added_and_dropped_again_leaves_nothing(path: Path) -> None:
    seed(path, PLAIN)
    before = table_sql(path, "t")
    upgrade(
        path,
        batch("t", "b.add_column(sa.Column('x', sa.Integer, unique=True))"),
        batch("t", "b.drop_column('x')"),
        "op.alter_column('t', 'num', type_=sa.Text())",
        "op.alter_column('t', 'num', type_=sa.Integer())",
    )
    assert table_sql(path, "t") == before


def test_an_index_can_be_made_anew_under_its_name(path: Path) -> None:
    seed(path, PLAIN + "CREATE INDEX ix ON t (num);")
    upgrade(
        path,
        batch(
            "t",
            "b.drop_index('ix')",
            "b.create_index('ix', ['junk'])",
            "b.alter_column('num', nullable=False)",
        ),
    )
    assert ask(path, "SELECT name FROM pragma_index_info('ix')") == [("junk",)]
    assert dump(path)["check"] == [("ok",)]


# ---------------------------------------------------------------- constraints


def test_a_foreign_key_can_change_its_action(path: Path) -> None:
    seed(path, FAMILY)
    done = upgrade(
        path,
        batch(
            "child",
            "b.drop_constraint('fk_child_pid_p', type_='foreignkey')",
            "b.create_foreign_key('fk', 'p', ['pid'], ['id'], ondelete='SET NULL')",
        ),
        foreign_keys=True,
    )
    assert done.way("child") == "schema edit"
    assert ask(path, "DELETE FROM p", "SELECT pid FROM child") == [(None,), (None,)]


def test_a_convention_of_the_models_names_what_the_database_did_not(path: Path) -> None:
    seed(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT, UNIQUE (a, b));")
    metadata = sa.MetaData(naming_convention={"uq": "unique_%(table_name)s_%(column_0_N_name)s"})
    upgrade(
        path,
        "op.drop_constraint('unique_t_a_b', 't', type_='unique')",
        context_options={"target_metadata": metadata},
    )
    assert table_sql(path, "t") == (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT)"
    )


def test_an_unnamed_constraint_is_the_only_one_of_its_kind(path: Path) -> None:
    seed(path, FAMILY)
    upgrade(path, batch("child", "b.drop_constraint(None, type_='foreignkey')"))
    assert ask(path, "INSERT INTO child (pid) VALUES (99)") == []


def test_copy_from_tells_the_columns_of_a_constraint(path: Path) -> None:
    seed(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT UNIQUE);")
    upgrade(
        path,
        "t = sa.Table('t', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('a', sa.Text), sa.Column('b', sa.Text),"
        " sa.UniqueConstraint('b', name='whatever'))\n"
        + batch("t", "b.drop_constraint('whatever', type_='unique')", args=", copy_from=t"),
    )
    assert table_sql(path, "t") == "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT)"


def test_a_constraint_that_is_not_there_is_refused_with_what_is(path: Path) -> None:
    seed(path, FAMILY)
    refuses(
        path,
        batch("child", "b.drop_constraint('nosuch', type_='foreignkey')"),
        match='no FOREIGN KEY constraint "nosuch"; it has: unnamed "pid" REFERENCES p',
    )
    if "if_exists" in signature(Operations.drop_constraint).parameters:  # Alembic 1.16
        upgrade(path, "op.drop_constraint('nosuch', 'child', type_='foreignkey', if_exists=True)")


def test_primary_keys_come_and_go(path: Path) -> None:
    seed(
        path,
        "CREATE TABLE t (a INTEGER, b TEXT, c TEXT); INSERT INTO t VALUES (5, 'x', 'y'),"
        " (6, 'x', 'z'); CREATE INDEX ic ON t (c);",
    )
    upgrade(path, "op.create_primary_key('pk_t', 't', ['b', 'c'])")
    assert ask(path, "INSERT INTO t VALUES (7, 'x', 'y')") == "IntegrityError"
    assert ask(path, "INSERT INTO t VALUES (7, NULL, 'y')") == "IntegrityError"
    upgrade(path, "op.drop_constraint('pk_t', 't', type_='primary')")
    assert ask(path, "INSERT INTO t VALUES (7, 'x', 'y')") == []
    upgrade(path, "op.create_primary_key('pk_t', 't', ['a'])")
    assert ask(
        path, "INSERT INTO t (b, c) VALUES ('q', 'q')", "SELECT a FROM t WHERE b = 'q'"
    ) == [(7,)]
    assert dump(path)["check"] == [("ok",)]


def test_boolean_and_enum_make_and_lose_their_check(path: Path) -> None:
    seed(path, PLAIN)
    enum = "sa.Enum('x', 'y', name='kind', create_constraint=True)"
    wider = "sa.Enum('x', 'y', 'zzz', name='kind', create_constraint=True)"
    upgrade(path, f"op.add_column('t', sa.Column('kind', {enum}))")
    assert ask(path, "UPDATE t SET kind = 'zzz'") == "IntegrityError"
    upgrade(path, batch("t", f"b.alter_column('kind', existing_type={enum}, type_={wider})"))
    assert ask(path, "UPDATE t SET kind = 'zzz'") == []
    assert ask(path, "UPDATE t SET kind = 'q'") == "IntegrityError"
    upgrade(path, batch("t", f"b.drop_column('kind', existing_type={wider})"))
    assert "kind" not in table_sql(path, "t")


def test_options_of_a_batch_keep_their_meaning(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        batch(
            "t",
            "b.add_column(sa.Column('x', sa.Integer), insert_before='name')",
            args=", recreate='always', table_args=(sa.CheckConstraint('num > 0', name='ck'),"
            " sa.UniqueConstraint('num')), table_kwargs={'sqlite_autoincrement': True},"
            " partial_reordering=[('junk', 'num')]",
        ),
    )
    names = [row[1] for row in ask(path, "PRAGMA table_info(t)")]
    assert names == ["id", "x", "name", "junk", "num"]
    assert ask(path, "UPDATE t SET num = -1 WHERE id = 1") == "IntegrityError"
    assert ask(path, "UPDATE t SET num = 2") == "IntegrityError"
    assert ask(
        path,
        "INSERT INTO t (num) VALUES (50)",
        "DELETE FROM t",
        "INSERT INTO t (num) VALUES (1)",
        "SELECT id FROM t",
    ) == [(11,)]


def test_recreate_never_refuses_a_copy(path: Path) -> None:
    seed(path, PLAIN)
    refuses(
        path,
        batch(
            "t",
            "b.add_column(sa.Column('x', sa.Integer, sa.Computed('num', persisted=True)))",
            args=", recreate='never'",
        ),
        match='"t" would have to be copied',
    )


def test_a_check_that_stands_is_not_restated(path: Path) -> None:
    seed(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, CHECK (n > 0));")
    upgrade(
        path,
        batch(
            "t",
            "b.add_column(sa.Column('m', sa.Integer))",
            args=", table_args=(sa.CheckConstraint('n > 0'),)",
        ),
    )
    assert table_sql(path, "t").count("CHECK") == 1


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (
            "op.add_column('t', sa.Column('x', sa.Integer, nullable=False))",
            r'"t"."x" is NOT NULL and has no default, but the table has 3 rows',
        ),
        (
            "op.create_check_constraint('ck', 't', 'num > 1')",
            r'1 of 3 rows break CHECK "ck" \(num > 1\), first ids 1',
        ),
        ("op.create_unique_constraint('uq', 't', ['num'])", "2 of 4 rows"),
        ("op.create_index('ux', 't', ['num'], unique=True)", "2 of 4 rows"),
        ("op.create_foreign_key('fk', 't', 'p', ['num'], ['id'])", "have no row in"),
        ("op.create_foreign_key('fk', 't', 'p', ['num'], ['name'])", "have no row in"),
        ("op.drop_column('t', 'nosuch')", 'has no column "nosuch"'),
        ("op.drop_column('nosuch', 'x')", 'no table "nosuch"'),
        ("op.alter_column('t', 'nosuch', nullable=True)", 'has no column "nosuch"'),
        ("op.add_column('t', sa.Column('num', sa.Integer))", 'already has a column "num"'),
        ("op.rename_table('t', 'p')", 'already a table "p"'),
        ("op.drop_index('nosuch')", 'no index "nosuch"'),
        (
            "op.add_column('t', sa.Column('x', sa.Integer), schema='other')",
            "another database file",
        ),
        ("op.create_primary_key('pk', 't', ['num'])", "already has a primary key"),
        ("op.alter_column('t', 'num', type_=sa.REAL())", "cannot hold exactly"),
    ],
)
def test_what_cannot_be_done_is_refused(path: Path, body: str, match: str) -> None:
    rows = {
        "2 of 4 rows": "INSERT INTO t VALUES (10, 'z', 3, NULL);",
        "cannot hold exactly": "UPDATE t SET num = 9007199254740993 WHERE id = 1;",
    }
    seed(
        path,
        PLAIN
        + rows.get(match, "")
        + "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO p VALUES (1, 'x');",
    )
    error = refuses(path, body, match=match)
    assert str(error).startswith('Revision "r1", ')


@pytest.mark.parametrize("schema_edits", [True, False])
def test_duplicates_are_named_in_columns_of_any_making(path: Path, schema_edits: bool) -> None:
    seed(path, 'CREATE TABLE t (a, "b, c" TEXT); INSERT INTO t VALUES (1, 8), (1, 8), (1, NULL);')
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    unique = "op.create_unique_constraint('uq', 't', ['a', {!r}])"
    with pytest.raises(OperationRefused, match=r"2 of 3 rows .* first 1, '8' \(2 times\)"):
        upgrade(path, unique.format("b, c"), options=options)
    new = "op.add_column('t', sa.Column('n', sa.Integer, server_default='5'))\n"
    with pytest.raises(OperationRefused, match=r"3 of 3 rows .* first 1, '?5'? \(3 times\)"):
        upgrade(path, new + unique.format("n"), options=options)


def test_a_row_whose_key_is_null_is_named_by_its_rowid(path: Path) -> None:
    seed(
        path,
        "CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, n); INSERT INTO t (oid, k) VALUES (4, 'x'),"
        " (11, NULL), (12, NULL);",
    )
    for body in (
        "op.alter_column('t', 'k', nullable=False)",
        "op.create_check_constraint('ck', 't', 'k IS NOT NULL')",
        batch("t", args=", recreate='always', table_kwargs={'sqlite_with_rowid': False}"),
    ):
        refuses(path, body, match="2 of 3 rows .*, first rowids 11, 12")


def test_not_null_without_default_is_fine_on_an_empty_table(path: Path) -> None:
    seed(path, PLAIN + "DELETE FROM t;")
    upgrade(path, "op.add_column('t', sa.Column('x', sa.Integer, nullable=False))")
    assert ask(path, "INSERT INTO t (num) VALUES (1)") == "IntegrityError"


def test_dropping_a_column_that_others_need_is_refused(path: Path) -> None:
    seed(
        path,
        PLAIN + "CREATE VIEW v AS SELECT id, junk FROM t; CREATE VIEW w AS SELECT * FROM t;"
        "CREATE VIEW x AS SELECT num AS n FROM w;"
        "CREATE TRIGGER tr AFTER UPDATE OF name ON t BEGIN SELECT 1; END;"
        "CREATE TABLE g (a INTEGER, b INTEGER AS (a + 1), c TEXT);"
        "CREATE TABLE k (a TEXT UNIQUE); CREATE TABLE l (a TEXT REFERENCES k (a));",
    )
    refuses(path, "op.drop_column('t', 'junk')", match='view "v" uses column "t"."junk"')
    refuses(path, "op.drop_column('t', 'num')", match='"x" uses column "t"."num"')
    refuses(path, "op.drop_column('t', 'name')", match='trigger "tr"')
    refuses(path, "op.drop_column('g', 'a')", match='computed from the column: "a"')
    refuses(
        path,
        "op.add_column('k', sa.Column('b', sa.Integer))\nop.drop_column('k', 'a')",
        match='foreign key of table "l" uses',
    )


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 37), reason="no STRICT tables")
def test_strict_tables_refuse_what_does_not_fit(path: Path) -> None:
    seed(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT) STRICT;"
        "INSERT INTO t VALUES (1, '5'), (2, 'abc'), (3, NULL);",
    )
    refuses(
        path,
        "op.alter_column('t', 'v', type_=sa.Integer())",
        match="1 of 3 rows do not fit the type INTEGER .* first ids 2",
    )
    upgrade(path, "op.add_column('t', sa.Column('w', sa.String(20)))")
    assert table_sql(path, "t").endswith("w TEXT) STRICT")


# ---------------------------------------------------------------- foreign keys and tables


@pytest.mark.parametrize("enforced", [True, False])
def test_a_parent_cannot_go_alone(path: Path, enforced: bool) -> None:
    seed(path, FAMILY)
    refuses(
        path, "op.drop_table('p')", match='foreign key of table "child"', foreign_keys=enforced
    )


@pytest.mark.parametrize("enforced", [True, False])
def test_a_parent_can_go_before_its_children(path: Path, enforced: bool) -> None:
    seed(path, FAMILY + "CREATE TABLE keep (id INTEGER PRIMARY KEY, cid INTEGER);")
    upgrade(
        path,
        "op.drop_table('p')\nop.execute('UPDATE child SET id = id + 10')\nop.drop_table('child')",
        foreign_keys=False,
    )
    assert ask(path, "SELECT name FROM sqlite_master") == [("keep",)]


@pytest.mark.parametrize("schema_edits", [True, False])
def test_a_parent_can_go_when_its_children_let_it_go(path: Path, schema_edits: bool) -> None:
    seed(
        path,
        "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
        "CREATE TABLE child (id INTEGER PRIMARY KEY, pid INTEGER,"
        " CONSTRAINT fk FOREIGN KEY (pid) REFERENCES p (id) ON DELETE CASCADE);"
        "INSERT INTO child VALUES (5, 1);",
    )
    upgrade(
        path,
        "op.drop_constraint('fk', 'child', type_='foreignkey')\nop.drop_table('p')",
        foreign_keys=True,
        options=sqlite.EngineOptions(schema_edits=schema_edits),
    )
    assert ask(path, "SELECT * FROM child") == [(5, 1)]
    assert ask(path, "SELECT name FROM sqlite_master") == [("child",)]


def test_a_parent_is_made_anew_without_touching_its_children(path: Path) -> None:
    seed(path, FAMILY)
    upgrade(
        path,
        "op.rename_table('p', 'q')\n"
        "op.create_table('p', sa.Column('id', sa.Integer, primary_key=True))\n"
        "op.execute('INSERT INTO p SELECT id FROM q')\n",
        foreign_keys=True,
    )
    assert ask(path, "SELECT count(*) FROM child") == [(2,)]


def test_a_cascading_drop_of_the_migration_itself_is_noticed(path: Path) -> None:
    seed(path, FAMILY)
    refuses(
        path,
        "op.execute('CREATE TABLE p2 (id INTEGER PRIMARY KEY)')\n"
        "op.execute('INSERT INTO p2 SELECT id FROM p')\n"
        "op.execute('DROP TABLE p')\n"
        "op.execute('ALTER TABLE p2 RENAME TO p')\n",
        match="cascades: 2 rows of table",
        foreign_keys=True,
    )


def test_a_delete_of_the_migration_itself_cascades_as_the_app_set_it(path: Path) -> None:
    seed(path, FAMILY)
    upgrade(
        path,
        batch("p", "b.alter_column('name', type_=sa.Text())")
        + "\nop.execute('DELETE FROM p WHERE id = 1')",
        foreign_keys=True,
    )
    assert ask(path, "SELECT id FROM child") == [(2,)]


def test_new_orphans_of_the_migrations_own_statements_are_noticed(path: Path) -> None:
    seed(path, FAMILY)
    refuses(path, "op.execute('DELETE FROM p WHERE id = 1')", match='1 row of table "child" lost')


def test_dropping_a_key_that_a_foreign_key_needs_is_refused(path: Path) -> None:
    seed(
        path,
        "CREATE TABLE k (id INTEGER PRIMARY KEY, a TEXT, CONSTRAINT uq UNIQUE (a));"
        "CREATE TABLE l (a TEXT REFERENCES k (a));",
    )
    refuses(
        path, "op.drop_constraint('uq', 'k', type_='unique')", match='foreign key of table "l"'
    )


def test_a_view_that_breaks_undoes_the_upgrade(path: Path) -> None:
    seed(path, PLAIN + "CREATE VIEW v AS SELECT id FROM t;")
    refuses(path, "op.drop_table('t')", match='view "v" does not work any more')
    upgrade(path, "op.drop_table('t')\nop.execute('DROP VIEW v')")


# ---------------------------------------------------------------- values


def test_types_change_without_a_cast(path: Path) -> None:
    seed(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, f REAL, n NUMERIC);"
        "INSERT INTO t VALUES (1, '42', 0.1, 1.5), (2, 'abc', 5.0, 'x'), (3, '2020-01-31',"
        " 0.30000000000000004, 7), (4, x'00', NULL, NULL);",
    )
    upgrade(
        path,
        "op.alter_column('t', 'a', type_=sa.Integer())\n"
        "op.alter_column('t', 'f', type_=sa.Text())\n"
        "op.alter_column('t', 'n', type_=sa.Text())\n",
    )
    assert ask(path, "SELECT a, f, n FROM t") == [
        (42, "0.1", "1.5"),
        ("abc", "5.0", "x"),
        ("2020-01-31", "0.30000000000000004", "7"),
        (b"\0", None, None),
    ]


def test_a_changed_default_does_not_reach_into_old_rows(path: Path) -> None:
    seed(
        path,
        PLAIN + "ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 5; ALTER TABLE t ADD COLUMN b TEXT;"
        "CREATE INDEX ia ON t (a); INSERT INTO t (num, a, b) VALUES (4, 6, 'q');",
    )
    done = upgrade(
        path,
        batch(
            "t",
            "b.alter_column('a', server_default='8')",
            "b.alter_column('b', server_default='new')",
        ),
    )
    assert done.way("t") == "in place"
    assert ask(path, "SELECT a, b FROM t") == [(5, None), (5, None), (5, None), (6, "q")]
    assert dump(path)["check"] == [("ok",)]
    again = upgrade(path, batch("t", "b.alter_column('a', server_default=None)"))
    assert again.way("t") == "schema edit"
    assert ask(path, "SELECT a FROM t") == [(5,), (5,), (5,), (6,)]


def test_a_changed_type_does_not_reach_into_rows_that_lean_on_a_default(path: Path) -> None:
    seed(path, PLAIN + "ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 7;")
    upgrade(path, "op.alter_column('t', 'a', type_=sa.Text())")
    assert ask(path, "SELECT DISTINCT typeof(a), a FROM t") == [("text", "7")]
    upgrade(path, "op.alter_column('t', 'a', type_=sa.BLOB())")
    assert ask(path, "SELECT DISTINCT typeof(a), a FROM t") == [("blob", b"7")]


def test_type_and_default_change_together(path: Path) -> None:
    seed(path, PLAIN + "ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 7;")
    upgrade(path, "op.alter_column('t', 'a', type_=sa.Text(), server_default='new')")
    assert ask(path, "SELECT DISTINCT typeof(a), a FROM t") == [("text", "7")]


def test_a_default_given_and_changed_in_one_go(path: Path) -> None:
    seed(path, PLAIN)
    upgrade(
        path,
        "op.add_column('t', sa.Column('a', sa.Integer, server_default='5', nullable=False))",
        "op.alter_column('t', 'a', server_default=None)",
        "op.add_column('t', sa.Column('b', sa.Integer))",
        "op.alter_column('t', 'b', server_default='9')",
    )
    assert ask(path, "SELECT a, b FROM t") == [(5, None)] * 3
    assert ask(path, "INSERT INTO t (a) VALUES (1)", "SELECT b FROM t WHERE a = 1") == [(9,)]


# ---------------------------------------------------------------- the cheapest way


@pytest.mark.parametrize(
    ("line", "way"),
    [
        ("b.add_column(sa.Column('x', sa.Integer))", "native"),
        ("b.alter_column('num', new_column_name='n')", "native"),
        (
            "b.drop_column('junk')",
            "native" if sqlite3.sqlite_version_info >= (3, 35) else "rebuild",
        ),
        ("b.create_index('ix', ['num'])", "native"),
        ("b.alter_column('name', type_=sa.String(99))", "schema edit"),
        (
            "b.alter_column('num', nullable=False)",
            "native" if ALTERS_CONSTRAINTS else "schema edit",
        ),
        ("b.create_check_constraint('ck', 'num > 0')", "schema edit"),
        ("b.create_unique_constraint('uq', ['num'])", "schema edit"),
        ("b.alter_column('num', server_default='1')", "schema edit"),
        ("b.alter_column('num', type_=sa.Text())", "in place"),
        ("b.add_column(sa.Column('x', sa.DateTime, server_default=sa.func.now()))", "in place"),
        (
            "b.add_column(sa.Column('x', sa.Integer, sa.Computed('num', persisted=True)))",
            "rebuild",
        ),
    ],
)
def test_the_cheapest_way_is_taken_and_told(path: Path, line: str, way: str) -> None:
    seed(path, PLAIN)
    done = upgrade(path, batch("t", line))
    assert done.way("t") == way
    assert done.work[0].reason
    assert done.work[0].statements


@pytest.mark.parametrize("schema_edits", [True, False])
def test_sqlite_alters_constraints_where_it_can(path: Path, schema_edits: bool) -> None:
    seed(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT NOT NULL, c TEXT,"
        " CONSTRAINT ck CHECK (c <> 'x')); INSERT INTO t VALUES (1, 'a', 'b', NULL);",
    )
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    other = "schema edit" if schema_edits else "rebuild"
    for body in (
        "op.alter_column('t', 'a', nullable=False)",
        "op.alter_column('t', 'b', nullable=True)",
        "op.drop_constraint('ck', 't', type_='check')",
    ):
        done = upgrade(path, body, options=options)
        assert done.way("t") == ("native" if ALTERS_CONSTRAINTS else other)
    with pytest.raises(OperationRefused, match=r'1 of 1 rows have NULL in "t"."c", first ids 1'):
        upgrade(path, "op.alter_column('t', 'c', nullable=False)", options=options)
    # SQLite's ADD CONSTRAINT takes NULL for a breach, PostgreSQL and CHECK itself do not.
    done = upgrade(path, "op.create_check_constraint('ck', 't', \"c <> 'x'\")", options=options)
    assert done.way("t") == other
    assert ask(path, "UPDATE t SET a = NULL") == "IntegrityError"
    assert ask(path, "UPDATE t SET b = NULL, c = 'y'") == []
    assert ask(path, "UPDATE t SET c = 'x'") == "IntegrityError"


def test_a_rebuild_makes_no_index_anew(path: Path) -> None:
    seed(path, PLAIN + "CREATE INDEX ix ON t (num); CREATE UNIQUE INDEX ux ON t (lower(name));")
    done = upgrade(path, batch("t", args=", recreate='always'"))
    assert done.way("t") == "rebuild"
    assert not [sql for sql in done.script if "INDEX" in sql]
    assert dump(path)["check"] == [("ok",)]


def test_the_script_replays_on_a_copy(path: Path, tmp_path: Path) -> None:
    seed(path, PLAIN + FAMILY + "CREATE TRIGGER tr AFTER UPDATE ON t BEGIN SELECT 1; END;")
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    done = upgrade(
        path,
        batch("t", "b.alter_column('num', type_=sa.Text())", "b.drop_column('junk')"),
        batch("p", "b.alter_column('name', nullable=False)", args=", recreate='always'"),
        "op.rename_table('child', 'kid')\nop.create_index('ik', 'kid', ['pid'])",
        "op.create_unique_constraint('uq', 't', ['num'])",
    )
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("BEGIN")
        for sql in done.script:
            db.execute(sql)
        db.execute("COMMIT")
    assert dump(copy) == dump(path)


# ---------------------------------------------------------------- the impl itself


def test_nothing_is_registered_and_nothing_patched(path: Path) -> None:
    from alembic.ddl.impl import _impls
    from alembic.ddl.sqlite import SQLiteImpl

    seed(path, PLAIN)
    upgrade(path, "op.add_column('t', sa.Column('x', sa.Integer))")
    assert _impls["sqlite"] is SQLiteImpl
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert type(context.impl) is SQLiteImpl
    engine.dispose()


def test_a_connection_without_transaction_is_refused(path: Path) -> None:
    seed(path, PLAIN)
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        impl = sqlite.install(context, sqlite.EngineOptions())
        with pytest.raises(OperationRefused, match="no transaction"):
            impl.rename_table("t", "u")
        impl.detach()
    engine.dispose()


@pytest.mark.parametrize(
    "body",
    [
        "op.execute('CREATE VIEW fresh AS SELECT * FROM nowhere')",
        "op.execute('CREATE TRIGGER fresh AFTER INSERT ON t BEGIN DELETE FROM nowhere; END')",
        "op.execute('CREATE VIEW fresh AS SELECT * FROM made')\n"
        "op.execute('CREATE TABLE made (x)')\nop.execute('DROP TABLE made')",
    ],
)
def test_what_never_worked_is_not_said_to_work_no_more(path: Path, body: str) -> None:
    seed(path, PLAIN)
    refused = refuses(path, body, match='"fresh" does not work: ')
    assert "make what it reads" in (refused.hint or "")
