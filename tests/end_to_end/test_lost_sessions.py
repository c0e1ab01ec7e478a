"""The server ends every session of ours in the middle of a revision, as when it is stopped."""

from __future__ import annotations

import subprocess
import time

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.support.projects import Project, ProjectFactory

SESSIONS = {
    "mysql": (
        "SELECT id FROM information_schema.processlist WHERE db = :name AND id <> connection_id()",
        "KILL {}",
    ),
    "postgresql": (
        "SELECT pid FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()",
        "SELECT pg_terminate_backend({})",
    ),
}


def end_sessions(url: str) -> None:
    query, kill = SESSIONS["postgresql" if url.startswith("postgresql") else "mysql"]
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for (number,) in connection.execute(text(query), {"name": make_url(url).database}).all():
            connection.exec_driver_sql(kill.format(number))
    engine.dispose()


def cut_off(p: Project) -> tuple[int, str]:
    """Upgrade, and end all sessions when the second revision has made its first table."""
    begun = p.path / "begun"
    p.revision("r1", "op.create_table('t', sa.Column('x', sa.Integer))")
    p.revision(
        "r2",
        "import pathlib, time\n"
        "op.create_table('u', sa.Column('x', sa.Integer))\n"
        f"begun, once = pathlib.Path({str(begun)!r}), pathlib.Path({str(p.path / 'once')!r})\n"
        "if not once.exists():\n    once.touch()\n    begun.touch()\n"
        "while begun.exists():\n    time.sleep(0.05)\n"
        "op.create_table('v', sa.Column('x', sa.Integer))",
    )
    process = p.start("db", "deploy")
    deadline = time.monotonic() + 60
    while not begun.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    end_sessions(p.url)
    begun.unlink()
    return ended(process)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, more = process.communicate(timeout=60)
    return process.returncode, " ".join((said + more).split())


@pytest.mark.parametrize("how", ["session", "lease"])
def test_what_happened_to_the_revision_is_told_on_mysql(
    project: ProjectFactory, mysql_url: str, how: str
) -> None:
    p = project(
        url=mysql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False, "SAFEMIGRATE_LOCK": how}
    )
    code, said = cut_off(p)
    assert code == 5, said
    assert "Revision 'r2' failed" in said
    assert "'r2' is half applied. In: 1. CREATE TABLE u" in said
    assert "undone" not in said
    assert "Hint: look into the server's log: the connection was ended, by KILL," in said
    assert "nothing of the revision is known to be wrong then run flask db deploy" in said
    done = p.invoke("db", "deploy")
    assert done.exit_code == 0, done.output
    assert p.heads() == {"r2"}


def test_what_happened_to_the_revision_is_told_on_postgresql(
    project: ProjectFactory, postgresql_url: str
) -> None:
    p = project(url=postgresql_url, config={"SAFEMIGRATE_SNAPSHOT_SERVERS": False})
    code, said = cut_off(p)
    assert code == 1, said
    assert "Revision 'r2' failed" in said
    assert "Everything was undone" in said
    assert "The lock on" in said
    assert "nothing of the revision is known to be wrong" in said
    done = p.invoke("db", "deploy")
    assert done.exit_code == 0, done.output
