"""The text of a revision that only a database has is shown before it is written, and never runs
unless somebody said so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import Project, ProjectFactory

FIRST = ("a1", "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))", "pass")
EVIL = '''"""seed data"""
import os
revision = {id!r}
down_revision = "a1"
os.system("id > {there}")


def upgrade():
    pass


def downgrade():
    pass
'''


def plant(p: Project, id: str, *, sum: str = "", text: str = "", there: str = "ran") -> str:
    """Write a revision into the journal, as whoever can write to the database could."""
    text = text or EVIL.format(id=id, there=p.path / there)
    sum = sum or hashlib.sha256(text.encode()).hexdigest()
    p.execute(
        "DELETE FROM alembic_version",
        f"INSERT INTO alembic_version VALUES ('{id}')",
        "INSERT INTO safemigrate_journal (kind, subject, direction, started, finished, checksum,"
        " source, environment, host, tool) VALUES ('revision', "
        f"'{id}', 'upgrade', '2024-01-01', '2024-01-01', '{sum}', '{escaped(text)}', '', '', '')",
    )
    return text


def escaped(text: str) -> str:
    return text.replace("'", "''")


def doctor(p: Project, *more: str) -> tuple[dict[str, Any], str]:
    done = p.db("doctor", "--format", "json", *more)
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout), done.stderr


def files(p: Project) -> set[Path]:
    return {path for path in p.path.rglob("*") if path.suffix == ".py"}


@pytest.fixture
def p(project: ProjectFactory) -> Project:
    made = project(revisions=[FIRST])
    assert made.db("safe-upgrade", "--yes").returncode == 0
    return made


def test_fix_alone_writes_nothing_of_it(p: Project) -> None:
    plant(p, "e1")
    before = files(p)
    document, _ = doctor(p, "--fix", "--yes")
    assert document["exit_code"] == 3
    assert document["repairs"] == []
    assert "SM304 was not repaired" in document["notes"][0]
    assert "flask db doctor --fix --from-journal" in document["notes"][0]
    assert files(p) == before
    assert not (p.path / "ran").exists()


def test_it_is_shown_whole_before_it_is_written(p: Project) -> None:
    text = plant(p, "e1")
    document, shown = doctor(p, "--fix", "--yes", "--from-journal")
    assert '"e1_seed_data.py" is only in the journal' in shown
    assert "will run" in " ".join(shown.split())
    for line in filter(None, text.splitlines()):
        assert f"    {line}\n" in shown
    assert document["repairs"] == [f'Restored "e1_seed_data.py" in "{p.versions}".'], document
    assert (p.versions / "e1_seed_data.py").read_text() == text


def test_without_an_answer_nothing_is_written(p: Project) -> None:
    plant(p, "e1")
    before = files(p)
    assert doctor(p, "--fix", "--from-journal")[0]["exit_code"] == 2
    assert files(p) == before
    assert not (p.path / "ran").exists()


def test_a_text_of_another_checksum_is_not_taken(p: Project) -> None:
    plant(p, "e1", sum="abc")
    before = files(p)
    document, _ = doctor(p, "--fix", "--yes", "--from-journal")
    assert document["exit_code"] == 3
    (found,) = [f for f in document["findings"] if f["subject"] == "e1"]
    assert "another checksum" in found["message"]
    assert found["repair"] is None
    assert files(p) == before


@pytest.mark.parametrize(
    "id", ["../../x", "..\\x", "/tmp/x", ".hidden", "a/b", "-x", "a\nb", "a\u202eb"]
)
def test_an_id_that_is_no_file_name_is_not_taken(p: Project, id: str) -> None:
    plant(p, id)
    before = {*p.path.rglob("*"), *p.path.parent.glob("*")}
    document, _ = doctor(p, "--fix", "--yes", "--from-journal")
    assert document["exit_code"] == 3
    assert document["repairs"] == []
    after = {*p.path.rglob("*"), *p.path.parent.glob("*")}
    assert {path for path in after - before if ".safemigrate" not in path.parts} == set()


def test_what_the_text_says_comes_before_it_is_held_to_the_same(p: Project) -> None:
    # A parent that is in the journal too comes back with its child.
    plant(p, "../up", there="up")
    plant(p, "e1", text=EVIL.format(id="e1", there="ran").replace('"a1"', '"../up"'))
    document, _ = doctor(p, "--fix", "--yes", "--from-journal")
    assert document["repairs"] == []
    assert not list(p.path.rglob("*up*"))


def test_what_would_steer_a_terminal_is_shown_as_it_is(p: Project) -> None:
    hidden = "# \x1b[2K\x1b[1A harmless \u202e\n"
    plant(p, "e1", text=EVIL.format(id="e1", there="ran") + hidden)
    _, shown = doctor(p, "--fix", "--yes", "--from-journal")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "# \\x1b[2K\\x1b[1A harmless \\u202e" in shown


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_really_ran_has_its_checksum(p: Project, mark: str, line_end: str) -> None:
    path = p.revision("b2", "op.add_column('t', sa.Column('x', sa.Integer))")
    text = path.read_text().replace("\n", line_end)
    path.write_bytes((mark + text).encode())
    assert p.db("safe-upgrade", "--yes").returncode == 0
    path.unlink()
    document, _ = doctor(p, "--fix", "--yes", "--from-journal")
    assert document["repairs"] == [f'Restored "b2_revision_b2.py" in "{p.versions}".']


@pytest.mark.parametrize("command", ["status", "deploy", "safe-upgrade", "doctor", "reset"])
def test_no_other_command_runs_it(p: Project, command: str) -> None:
    plant(p, "e1")
    yes = [] if command in ("status", "doctor", "deploy") else ["--yes"]
    p.flask("--debug", "db", command, *yes)
    assert not (p.path / "ran").exists()
