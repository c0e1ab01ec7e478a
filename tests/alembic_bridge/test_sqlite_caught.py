"""What stock Alembic raises at a call, and a revision catches, is raised here at that call too.

Each history runs by stock Alembic and by the engine: same errors, same schema, same rows.
"""

from __future__ import annotations

import shutil
import sqlite3
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.alter.apply import natively
from flask_safemigrate.errors import OperationRefused
from tests.alembic_bridge.sqlite_plain import contents, upgrade_plain
from tests.alembic_bridge.sqlite_run import dump, seed, upgrade

SEED = """
CREATE TABLE t (id INTEGER NOT NULL, name VARCHAR(20), num INTEGER, PRIMARY KEY (id),
  CONSTRAINT uq_name UNIQUE (name));
INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', NULL);
CREATE INDEX ix_num ON t (num);
CREATE TABLE other (id INTEGER NOT NULL, word TEXT, PRIMARY KEY (id), UNIQUE (word));
CREATE TABLE child (id INTEGER NOT NULL, tid INTEGER, PRIMARY KEY (id),
  CONSTRAINT fk_t FOREIGN KEY (tid) REFERENCES t (id) ON DELETE CASCADE);
INSERT INTO child VALUES (1, 1), (2, 3);
"""
#: Comes after what was caught, and has to work as if that had not been asked for.
AFTER = """
op.add_column('t', sa.Column('last', sa.Integer))
op.execute("INSERT INTO t (name, num) VALUES ('z', 9)")
with op.batch_alter_table('t') as b:
    b.alter_column('num', existing_type=sa.Integer, type_=sa.BigInteger)
"""


def trying(*lines: str, catches: str = "Exception") -> str:
    body = textwrap.indent("\n".join(lines), "    ")
    return f"try:\n{body}\nexcept {catches} as error:\n    caught.append(error)\n"


def block(table: str, *lines: str, args: str = "") -> str:
    return f"with op.batch_alter_table({table!r}{args}) as b:\n" + textwrap.indent(
        "\n".join(lines) or "pass", "    "
    )


HELPER = '''
def safely(do):
    """As projects have it in a module of their own."""
    try:
        do()
    except (sa.exc.OperationalError, sa.exc.ProgrammingError, ValueError, KeyError) as error:
        caught.append(error)
'''

CASES: dict[str, str] = {
    # What the schema tells.
    "a column that is there": trying(
        "op.add_column('t', sa.Column('num', sa.Integer))", catches="sa.exc.OperationalError"
    ),
    "a column that is there, in a block": trying(
        block("t", "b.add_column(sa.Column('num', sa.Integer))"),
        catches="(sa.exc.OperationalError, sa.exc.ProgrammingError)",
    ),
    "a table that is there": trying(
        "op.create_table('t', sa.Column('id', sa.Integer))", catches="sa.exc.OperationalError"
    ),
    "a table whose index is there": trying(
        "op.create_table('new', sa.Column('id', sa.Integer), sa.Index('ix_num', 'id'))"
    ),
    "a table that is not there": trying("op.drop_table('none')"),
    "renaming a table that is not there": trying("op.rename_table('none', 'some')"),
    "renaming a table to one that is there": trying("op.rename_table('t', 'other')"),
    "adding to a table that is not there": trying(
        "op.add_column('none', sa.Column('x', sa.Integer))"
    ),
    "an index that is there": trying("op.create_index('ix_num', 't', ['name'])"),
    "an index over a column that is not there": trying("op.create_index('ix', 't', ['none'])"),
    "an index of a table that is not there": trying("op.create_index('ix', 'none', ['id'])"),
    "an index that is not there": trying("op.drop_index('none', table_name='t')"),
    "an index that is not there, by op.f": trying(
        "op.drop_index(op.f('ix_none'), table_name='t')"
    ),
    "dropping a column that is not there": trying("op.drop_column('t', 'none')"),
    "renaming a column that is not there": trying(
        "op.alter_column('t', 'none', new_column_name='some')"
    ),
    "dropping an index twice": trying(
        "op.drop_index('ix_num', table_name='t')", "op.drop_index('ix_num', table_name='t')"
    ),
    "creating and dropping again": trying(
        "op.create_table('x', sa.Column('id', sa.Integer))",
        "op.drop_table('x')",
        "op.drop_table('x')",
    ),
    # What a block raises at its end.
    "a constraint that is not there": trying(
        block("t", "b.drop_constraint('none', type_='unique')"), catches="ValueError"
    ),
    "a constraint without name, by the name it would have": trying(
        block("other", "b.drop_constraint('uq_other_word', type_='unique')")
    ),
    "a foreign key that is not there": trying(
        block("t", "b.drop_constraint('none', type_='foreignkey')")
    ),
    "altering a column that is not there, in a block": trying(
        block("t", "b.alter_column('none', nullable=False)"), catches="KeyError"
    ),
    "dropping a column that is not there, in a block": trying(block("t", "b.drop_column('none')")),
    "an index that is not there, in a block": trying(
        block("t", "b.drop_index('none')", "b.alter_column('num', nullable=True)")
    ),
    "a block of a table that is not there": trying(
        block("none", "b.alter_column('x', nullable=True)"), catches="sa.exc.NoSuchTableError"
    ),
    "a block that adds to a table that is not there": trying(
        block("none", "b.add_column(sa.Column('x', sa.Integer))")
    ),
    "a block of which one part fails": trying(
        block(
            "t",
            "b.add_column(sa.Column('x', sa.Integer))",
            "b.alter_column('num', existing_type=sa.Integer, nullable=True)",
            "b.drop_constraint('none', type_='unique')",
        )
    ),
    "a block without a copy of which one part fails": trying(
        block(
            "t",
            "b.add_column(sa.Column('x', sa.Integer))",
            "b.drop_index('none')",
            "b.add_column(sa.Column('y', sa.Integer))",
        )
    )
    + "op.execute('UPDATE t SET x = 1')",
    "a constraint of another kind": trying(
        block("child", "b.drop_constraint('fk_t', type_='check')")
    ),
    "a table renamed to itself": trying("op.rename_table('t', 't')"),
    "a block that renames before it fails": trying(
        block(
            "t",
            "b.alter_column('num', existing_type=sa.Integer, new_column_name='number')",
            "b.create_index('ix_2', ['num'])",
            "b.drop_constraint('none', type_='unique')",
        )
    ),
    # What rows tell.
    "a unique index over rows": trying(
        "op.create_index('ux', 't', ['num'], unique=True)", catches="sa.exc.IntegrityError"
    ),
    "a unique index over rows, in a block": trying(
        block("t", "b.create_index('ux', ['num'], unique=True)")
    ),
    "a unique constraint over rows": trying(
        block("t", "b.create_unique_constraint('uq_num', ['num'])"),
        catches="sa.exc.IntegrityError",
    ),
    "NOT NULL over rows": trying(
        block("t", "b.alter_column('num', existing_type=sa.Integer, nullable=False)"),
        catches="sa.exc.IntegrityError",
    ),
    "a check over rows": trying(block("t", "b.create_check_constraint('ck', 'num > 1')")),
    "a column that is NOT NULL": trying(
        "op.add_column('t', sa.Column('x', sa.Integer, nullable=False))",
        catches="sa.exc.OperationalError",
    ),
    "a column that is NOT NULL, in a copy": trying(
        block(
            "t",
            "b.add_column(sa.Column('x', sa.Integer, nullable=False))",
            args=", recreate='always'",
        )
    ),
    "a default that is not constant": trying(
        "op.add_column('t', sa.Column('x', sa.DateTime, server_default=sa.func.now()))"
    ),
    "a check with a function of others": trying(
        block("t", "b.create_check_constraint('ck', 'char_length(name) > 0')")
    ),
    "an index with a function of others": trying(
        "op.create_index('ix', 't', [sa.text('char_length(name)')])"
    ),
    "a check that cannot be read": trying(
        block("t", "b.create_check_constraint('ck', \"name::text <> ''\")")
    ),
    "a table whose check cannot be read": trying(
        "op.create_table('new', sa.Column('id', sa.Integer), sa.CheckConstraint('id = ='))"
    ),
    # What stock Alembic never does on SQLite.
    "a constraint outside of a block": trying(
        "op.create_unique_constraint('uq', 't', ['id'])", catches="NotImplementedError"
    ),
    "dropping a constraint outside of a block": trying(
        "op.drop_constraint('uq_name', 't', type_='unique')"
    ),
    "altering outside of a block": trying("op.alter_column('t', 'name', nullable=False)"),
    "the other way for SQLite": (
        "try:\n    op.drop_constraint('uq_name', 't', type_='unique')\n"
        "except NotImplementedError as error:\n    caught.append(error)\n"
        + textwrap.indent(block("t", "b.drop_constraint('uq_name', type_='unique')"), "    ")
    ),
    # Ways to catch.
    "several operations, of which the second fails": trying(
        "op.add_column('t', sa.Column('x', sa.Integer))",
        "op.add_column('t', sa.Column('num', sa.Integer))",
        "op.add_column('t', sa.Column('y', sa.Integer))",
    ),
    "in a loop": (
        "for name in ('x', 'num', 'y', 'name'):\n"
        + textwrap.indent(trying("op.add_column('t', sa.Column(name, sa.Integer))"), "    ")
    ),
    "suppress": (
        "from contextlib import suppress\n"
        "with suppress(sa.exc.OperationalError):\n    op.drop_table('none')\n"
    ),
    "suppress of what only stock Alembic raises": (
        "import contextlib\n"
        "with contextlib.suppress(NotImplementedError, ValueError):\n"
        "    op.drop_constraint('uq_name', 't', type_='unique')\n"
    ),
    "suppress behind a block": (
        "import contextlib\n"
        "with op.batch_alter_table('t') as b, contextlib.suppress(ValueError):\n"
        "    b.add_column(sa.Column('x', sa.Integer))\n"
    ),
    "suppress beside a block": (
        "import contextlib\n"
        "with contextlib.suppress(ValueError), op.batch_alter_table('t') as b:\n"
        "    b.drop_constraint('none', type_='unique')\n"
    ),
    "a context manager of its own": (
        "import contextlib\n@contextlib.contextmanager\ndef lenient():\n"
        + textwrap.indent(trying("yield"), "    ")
        + "with lenient():\n    op.create_index('ix_num', 't', ['name'])\n"
    ),
    "a helper around it": HELPER
    + "safely(lambda: op.add_column('t', sa.Column('num', sa.Integer)))",
    "a helper around a block": HELPER
    + "def work():\n"
    + textwrap.indent(block("t", "b.drop_constraint('none', type_='check')"), "    ")
    + "\nsafely(work)",
    "a helper around what works": HELPER
    + "safely(lambda: op.add_column('t', sa.Column('x', sa.Integer)))\n"
    + "safely(lambda: op.drop_table('other'))",
    "a finally, caught further out": trying(
        "try:\n    op.drop_table('none')\n"
        "finally:\n    op.add_column('t', sa.Column('x', sa.Integer))"
    ),
    "raised again as its own, and caught": trying(
        "try:\n    op.drop_table('none')\nexcept sa.exc.OperationalError as error:\n"
        "    raise ValueError(error.orig) from error"
    ),
    "its text asked": (
        "try:\n    op.add_column('t', sa.Column('num', sa.Integer))\n"
        "except sa.exc.OperationalError as error:\n"
        "    if 'duplicate column name' not in str(error):\n        raise\n"
        "    caught.append(error)\n"
    ),
    "blocks inside of each other": trying(
        "with op.batch_alter_table('t') as a:\n"
        "    a.add_column(sa.Column('x', sa.Integer))\n"
        "    with op.batch_alter_table('child') as b:\n"
        "        b.drop_constraint('none', type_='unique')\n"
    ),
    "its own statement": trying("op.execute('INSERT INTO none VALUES (1)')"),
    "after changes that wait": (
        "op.add_column('t', sa.Column('x', sa.Integer, server_default='5'))\n"
        + trying("op.add_column('t', sa.Column('x', sa.Integer))")
        + "op.drop_column('t', 'x')\n"
        + trying("op.drop_column('t', 'x')")
    ),
    "everything in one": trying(
        "op.drop_index('ix_num')", "op.drop_table('none')", catches="BaseException"
    ),
}


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_a_revision_catches_what_it_would(tmp_path: Path, name: str, schema_edits: bool) -> None:
    ours, stock = tmp_path / "ours.db", tmp_path / "stock.db"
    seed(ours, SEED)
    shutil.copy(ours, stock)
    caught: list[Exception] = []
    expected: list[Exception] = []
    upgrade_plain(stock, CASES[name], AFTER, names={"caught": expected})
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    upgrade(ours, CASES[name], AFTER, options=options, names={"caught": caught})
    assert len(caught) == len(expected)
    for one, other in zip(caught, expected, strict=True):
        assert isinstance(one, type(other))
        if not isinstance(other, sa.exc.IntegrityError):
            assert str(one) == str(other)
    assert contents(ours) == contents(stock)


@pytest.mark.parametrize(
    "name", [name for name in CASES if not name.startswith(("several", "a unique index"))]
)
def test_nothing_is_lost_with_foreign_keys_on(tmp_path: Path, name: str) -> None:
    """Stock Alembic is asked what it raises, and may delete rows of children for that."""
    path = tmp_path / "app.db"
    seed(path, SEED)
    upgrade(path, CASES[name], foreign_keys=True, names={"caught": []})
    assert [row["tid"] for row in dump(path)["rows"]["child"].values()] == [
        ("integer", 1),
        ("integer", 3),
    ]


def test_a_caught_error_has_our_words_too(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED)
    with pytest.raises(sa.exc.IntegrityError) as raised:
        upgrade(
            path,
            trying("op.create_index('ux', 't', ['num'], unique=True)", catches="KeyError"),
        )
    assert isinstance(raised.value, OperationRefused)
    assert raised.value.message == (
        'Revision "r1", create_index(\'ux\', \'t\'): 2 of 3 rows of "t" share "num",'
        " first 1 (2 times)"
    )
    assert raised.value.hint == "change or delete the duplicates before it"
    assert "UNIQUE constraint failed: t.num" in str(raised.value.orig)


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("b.create_foreign_key('fk', 'other', ['num'], ['id'])", "have no row in"),
        ("b.alter_column('num', type_=sa.REAL())", "cannot hold exactly"),
    ],
)
@pytest.mark.parametrize("catches", ["Exception", "BaseException"])
def test_a_refusal_that_stock_alembic_does_not_know_cannot_be_caught(
    tmp_path: Path, line: str, match: str, catches: str
) -> None:
    """Where stock Alembic goes on, a revision has no plan for an error."""
    path = tmp_path / "app.db"
    seed(path, SEED + "UPDATE t SET num = 9007199254740993 WHERE id = 1;")
    before = path.read_bytes()
    caught: list[Exception] = []
    with pytest.raises(OperationRefused, match='"r1".*' + match) as raised:
        upgrade(path, trying(block("t", line), catches=catches), names={"caught": caught})
    assert caught == [raised.value]
    assert path.read_bytes() == before


def test_what_waits_is_not_blamed_on_what_is_caught(tmp_path: Path) -> None:
    """The error of an operation outside of a try stops the run, even where it comes up in one."""
    path = tmp_path / "app.db"
    seed(path, SEED)
    with pytest.raises(OperationRefused, match=r"create_index\('ux', 't'\)"):
        upgrade(
            path,
            "op.create_index('ux', 't', ['num'], unique=True)\n" + trying("op.drop_table('none')"),
            names={"caught": []},
        )


def test_operations_outside_of_a_try_still_share_one_copy(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED)
    add = "op.batch_alter_table('t') as b{0}:\n    b{0}.add_column({1}, insert_before='num')"
    made = [
        trying("op.drop_table('none')"),
        "with " + add.format("", "sa.Column('x', sa.Integer)"),
        "import warnings\nwith warnings.catch_warnings(), "
        + add.format("1", "sa.Column('y', sa.Integer)"),
        "with op.batch_alter_table('child') as a:\n"
        + textwrap.indent("with " + add.format("2", "sa.Column('z', sa.Integer)"), "    "),
    ]
    done = upgrade(path, *made, names={"caught": []})
    copies = [each for each in done.script if each.startswith("INSERT INTO")]
    assert len(copies) == 1


def test_an_error_of_the_disk_that_comes_up_late_cannot_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was queued is lost with it."""
    path = tmp_path / "app.db"
    seed(path, SEED)
    before = path.read_bytes()
    full = sqlite3.OperationalError("database or disk is full")
    monkeypatch.setattr(natively, "run_all", raising(full))
    with pytest.raises(sqlite3.OperationalError, match="is full"):
        upgrade(
            path,
            "op.add_column('t', sa.Column('x', sa.Integer))\n" + trying("op.execute('SELECT 1')"),
            names={"caught": []},
        )
    assert path.read_bytes() == before


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail
