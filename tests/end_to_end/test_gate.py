"""Hazards of pending revisions as a gate of ``safe-upgrade`` and ``deploy``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases

ROWS = 300
FIRST = (
    "a1",
    "op.create_table('person', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(20)))\n"
    f"op.bulk_insert(sa.table('person', sa.column('id'), sa.column('name')),"
    f" [{{'id': n, 'name': 'x'}} for n in range(1, {ROWS} + 1)])",
    "op.drop_table('person')",
)
DROP = "with op.batch_alter_table('person') as b:\n    b.drop_column('name')"


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def started(
    request: pytest.FixtureRequest, project: ProjectFactory, databases: Databases
) -> Project:
    url = None if request.param == "sqlite" else databases.create(request.param)
    p = project(url=url, revisions=[FIRST], config={"SAFEMIGRATE_LARGE_TABLE": ROWS})
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    return p


def test_deploy_stops_before_what_loses_many_values(started: Project) -> None:
    p = started
    p.revision("a2", DROP)
    done = p.invoke("db", "deploy")
    assert done.exit_code == 3, done.output
    assert "SM630" in done.output
    assert f"loses {ROWS} values" in " ".join(done.output.split())
    assert p.heads() == {"a1"}
    assert p.rows("SELECT count(name) FROM person") == [(ROWS,)]
    assert p.invoke("db", "deploy", "--allow", "SM630").exit_code == 0
    assert p.heads() == {"a2"}


def test_safe_upgrade_asks_for_it(started: Project) -> None:
    p = started
    p.revision("a2", DROP)
    done = p.invoke("db", "safe-upgrade")
    assert done.exit_code == 2
    assert "SM630" in done.output
    assert p.heads() == {"a1"}
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    assert p.heads() == {"a2"}


def test_what_the_rows_refuse_stops_both(started: Project) -> None:
    p = started
    p.revision("a2", "op.create_index('uq', 'person', ['name'], unique=True)")
    for command in (("safe-upgrade", "--yes"), ("deploy",)):
        done = p.invoke("db", *command)
        if command != ("deploy",) and p.url.startswith("sqlite"):
            # There the run itself looks, and is undone.
            assert done.exit_code == 1, done.output
        else:
            assert done.exit_code == 3, done.output
            assert "SM622" in done.output
        assert p.heads() == {"a1"}


def test_small_tables_stop_nothing_and_are_told(started: Project) -> None:
    p = started
    app = p.path / "app.py"
    app.write_text(app.read_text().replace(f": {ROWS}", f": {ROWS + 1}"))
    p.revision("a2", f"op.execute('DELETE FROM person WHERE id > 299')\n{DROP}")
    asked = p.invoke("db", "safe-upgrade")
    assert asked.exit_code == 2
    done = p.invoke("db", "deploy")
    assert done.exit_code == 0, done.output
    for each in (asked, done):
        said = " ".join(each.output.split())
        assert f"SM630 info Dropping column 'name' of table 'person' loses {ROWS} values" in said
        assert "SM632 info DELETE from table 'person' deletes 1 row: it is lost." in said
    assert p.heads() == {"a2"}


def test_the_setting(project: ProjectFactory) -> None:
    p = project(
        revisions=[FIRST], config={"SAFEMIGRATE_LARGE_TABLE": 1, "SAFEMIGRATE_GATE": False}
    )
    assert p.invoke("db", "deploy").exit_code == 0
    p.revision("a2", DROP)
    done = p.invoke("db", "deploy")
    assert done.exit_code == 0
    assert "SM630" not in done.output
    assert p.heads() == {"a2"}


def test_nothing_to_do_imports_nothing_of_it(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    assert p.invoke("db", "deploy").exit_code == 0
    code = (
        "import sys\n"
        "from app import app\n"
        "app.test_cli_runner().invoke(args=['db', 'deploy'])\n"
        "print([m for m in sys.modules if m.startswith(('flask_safemigrate.hazards.', 'pglast',"
        " 'sqlglot', 'flask_safemigrate.alembic_bridge.recording'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=p.path, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
