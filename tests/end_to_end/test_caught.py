"""Revisions that catch what an operation raises, on SQLite."""

from __future__ import annotations

import pytest

from tests.support.projects import Project, ProjectFactory

FIRST = """\
op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Integer))
op.execute('INSERT INTO t VALUES (1, 1), (2, 1)')
"""
CAREFUL = """\
import sqlalchemy as sa


def safely(do, *arguments, **options):
    try:
        do(*arguments, **options)
    except (sa.exc.OperationalError, sa.exc.IntegrityError, ValueError):
        print("left out", do.__name__)
"""
LENIENT = """\
import careful
careful.safely(op.add_column, 't', sa.Column('n', sa.Integer))
careful.safely(op.create_index, 'ux', 't', ['n'], unique=True)
careful.safely(op.drop_index, 'ix_none', 't')
careful.safely(op.add_column, 't', sa.Column('m', sa.Integer))
"""


@pytest.fixture
def started(project: ProjectFactory) -> Project:
    p = project(revisions=[("a1", FIRST)])
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    (p.path / "careful.py").write_text(CAREFUL)
    return p


def test_a_module_of_the_project_catches(
    started: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(started.path)
    started.revision("a2", LENIENT)
    done = started.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert started.heads() == {"a2"}
    assert [row[1] for row in started.rows("PRAGMA table_info(t)")] == ["id", "n", "m"]
    assert started.rows("SELECT name FROM sqlite_master WHERE name = 'ux'") == []


def test_what_nobody_catches_is_told_as_ever(started: Project) -> None:
    started.revision(
        "a2",
        "try:\n    op.create_index('ux', 't', ['n'], unique=True)\nexcept KeyError:\n    pass",
    )
    done = started.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert (
        'Error: Revision "a2", create_index(\'ux\', \'t\'): 2 of 2 rows of "t" share "n",'
        " first 1 (2 times) Everything was undone"
    ) in said
    assert "Hint: change or delete the duplicates before it" in said
    assert "sqlalche.me" not in said


@pytest.mark.parametrize(
    "body",
    [
        # Refused by us alone: stock Alembic would have gone on.
        "try:\n    with op.batch_alter_table('t') as b:\n"
        "        b.create_foreign_key('fk', 't', ['n'], ['n'])\n"
        "        b.alter_column('n', type_=sa.REAL())\n"
        "except Exception:\n    pass",
        "op.create_index('ux', 't', ['n'], unique=True)\n"
        "try:\n    op.execute('SELECT 1')\nexcept Exception:\n    pass",
    ],
)
def test_what_must_not_be_caught_stops_the_run(started: Project, body: str) -> None:
    started.revision("a1b", "op.execute('UPDATE t SET n = 9007199254740993')")
    started.revision("a2", body)
    before = started.rows("SELECT * FROM t")
    done = started.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 1, done.output
    assert 'Revision "a2"' in done.output
    assert (started.rows("SELECT * FROM t"), started.heads()) == (before, {"a1"})


def test_env_py_that_catches_changes_nothing(started: Project) -> None:
    env = started.path / "migrations" / "env.py"
    text = env.read_text()
    assert "            context.run_migrations()" in text
    env.write_text(
        text.replace(
            "            context.run_migrations()",
            "            try:\n                context.run_migrations()\n"
            "            except Exception:\n                pass",
        )
    )
    started.revision("a2", "op.add_column('t', sa.Column('n', sa.Integer))")
    done = started.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code != 0, done.output
    assert started.heads() == {"a1"}
    assert "Traceback" not in done.output


def test_what_is_proven_at_the_end_names_the_revision(started: Project) -> None:
    started.revision("a2", "op.execute('CREATE VIEW v AS SELECT n FROM t')")
    assert started.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    path = started.revision("a3", "op.drop_table('t')")
    started.revision("a4", "op.create_table('w', sa.Column('id', sa.Integer))")
    done = started.invoke("db", "safe-upgrade", "--yes")
    line = path.read_text().splitlines().index("    op.drop_table('t')") + 1
    assert done.exit_code == 1, done.output
    assert (
        f'Error: Revision \'a3\' in "migrations/versions/{path.name}", line {line}: view "v" does'
        " not work any more: error in view v: no such table: main.t"
    ) in " ".join(done.output.split())
