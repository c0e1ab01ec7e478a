"""Broken histories and version tables: named, explained, repaired, with all rows there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.repositories import AUTHOR, alone, commit, git, repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

MODELS = """
class Owner(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(50), nullable=False)

class Pet(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(30), index=True)
    born = db.Column(db.Integer)
"""
A, B, C, D = "a1b2c3d4e5f6", "72dd01ab83c9", "0f9e8d7c6b5a", "5c1e7a9038d4"
OWNERS = (
    "op.create_table('owner', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(50), nullable=False))"
)
PETS = (
    "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(30)))\nop.create_index('ix_pet_name', 'pet', ['name'])"
)
BORN = "op.add_column('pet', sa.Column('born', sa.Integer))"
HISTORY = (
    (A, OWNERS, "op.drop_table('owner')"),
    (B, PETS, "op.drop_table('pet')"),
    (C, BORN, "op.drop_column('pet', 'born')"),
)
TOYS = "op.create_table('toy', sa.Column('id', sa.Integer, primary_key=True))"


@pytest.fixture(autouse=True)
def own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, tmp_path)


def file(p: Project, id: str) -> Path:
    return next(p.versions.glob(f"{id}*.py"))


def forget(p: Project) -> None:
    """Let the database have been upgraded without us."""
    p.execute("DROP TABLE safemigrate_journal")


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def version(p: Project, *rows: str) -> None:
    p.execute("DELETE FROM alembic_version")
    for row in rows:
        p.execute(f"INSERT INTO alembic_version VALUES ('{row}')")


def renamed(p: Project, id: str, new: str) -> str:
    """Give a revision's file another id in a commit."""
    path = file(p, id)
    rewrite(path, id, new)
    path.rename(path.with_name(f"{new}_again.py"))
    return commit(p.path, "new id")


def toys(p: Project) -> Path:
    return p.revision(D, TOYS, "op.drop_table('toy')", down=B, message="toys")


# Each breaks a project whose database is at C and returns what the finding must name.


def deleted_in_a_commit(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    file(p, C).unlink()
    made = commit(p.path, "cleanup")
    return (f'commit {made} ("cleanup", {AUTHOR}', f"git checkout {made}^ -- ", "restores")


def deleted_with_its_parent(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    file(p, B).unlink()
    commit(p.path, "one")
    file(p, C).unlink()
    return ("was deleted here, which is not committed", "restores 2 files from git")


def deleted_before_the_folder_moved(p: Project) -> tuple[str, ...]:
    forget(p)
    (p.path / "migrations").rename(p.path / "database")
    repository(p.path)
    (p.path / "database" / "versions" / file_name(p, C)).unlink()
    made = commit(p.path, "cleanup")
    (p.path / "database").rename(p.path / "migrations")
    commit(p.path, "move")
    return (f'commit {made} ("cleanup"', "':/database/versions/")


def file_name(p: Project, id: str) -> str:
    return next(p.path.rglob(f"{id}*.py")).name


def versions_emptied(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    shutil.rmtree(p.versions)
    return ("restores 3 files from git",)


def parent_deleted(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    file(p, B).unlink()
    made = commit(p.path, "cleanup")
    return (f"comes after '{B}'", f"commit {made}")


def parent_deleted_in_the_journal(p: Project) -> tuple[str, ...]:
    file(p, B).unlink()
    return (f"comes after '{B}'", "the journal of the database has its text")


def code_is_older(p: Project) -> tuple[str, ...]:
    file(p, C).unlink()
    file(p, B).unlink()
    return ("newer than this code", f"2 revisions after '{A}'", f"flask db safe-downgrade {A}")


def renumbered(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    made = renamed(p, C, "999988887777")
    return (f"commit {made}", "the id '999988887777'")


def parent_renumbered(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    made = renamed(p, B, "999988887777")
    return (f"Commit {made}", "Did you mean '999988887777'")


def squashed(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    for id in (A, B, C):
        file(p, id).unlink()
    p.revisions.clear()
    p.revision("111122223333", "\n".join((OWNERS, PETS, BORN)), message="initial")
    commit(p.path, "squash")
    return ("its schema equals revision '111122223333' (initial), the newest",)


def unknown_but_proven(p: Project) -> tuple[str, ...]:
    forget(p)
    version(p, "ffff00001111")
    return ("'ffff00001111', which no file", f"its schema equals revision '{C}'")


def mislaid(p: Project) -> tuple[str, ...]:
    forget(p)
    file(p, C).rename(p.path / "migrations" / file(p, C).name)
    return ("migrations/0f9e8d7c6b5a_revision", 'moves "0f9e8d7c6b5a_revision')


def mislaid_further_down(p: Project) -> tuple[str, ...]:
    forget(p)
    (p.path / "migrations" / "old").mkdir()
    file(p, C).rename(p.path / "migrations" / "old" / file(p, C).name)
    return ("migrations/old/0f9e8d7c6b5a_revision", 'moves "0f9e8d7c6b5a_revision')


def mislaid_without_a_folder(p: Project) -> tuple[str, ...]:
    for path in [*p.versions.glob("*.py")]:
        path.rename(p.path / "migrations" / path.name)
    shutil.rmtree(p.versions)
    return ("mkdir migrations/versions; mv migrations/*_*.py migrations/versions",)


def folder_renamed(p: Project) -> tuple[str, ...]:
    forget(p)
    p.versions.rename(p.path / "migrations" / "v")
    return ("mv migrations/v migrations/versions",)


def ancestor_row(p: Project) -> tuple[str, ...]:
    version(p, A, C)
    return (f"names '{A}'", f"beside '{C}'")


def same_row_twice(p: Project) -> tuple[str, ...]:
    p.execute("DROP TABLE alembic_version", "CREATE TABLE alembic_version (version_num TEXT)")
    p.execute(f"INSERT INTO alembic_version VALUES ('{C}'), ('{C}')")
    return (f"names revision '{C}' 2 times",)


def misspelt(p: Project) -> tuple[str, ...]:
    version(p, f"{C.upper()} ")
    return (f"the id is '{C}'",)


def row_deleted(p: Project) -> tuple[str, ...]:
    version(p)
    return ("'alembic_version' is empty", f"The schema equals revision '{C}'")


def made_by_create_all(p: Project) -> tuple[str, ...]:
    assert p.invoke("db", "safe-downgrade", B, "--yes").exit_code == 0
    forget(p)
    p.execute("DROP TABLE alembic_version")
    return (f"The schema equals revision '{B}'",)


def stamped_too_far(p: Project) -> tuple[str, ...]:
    assert p.invoke("db", "safe-downgrade", B, "--yes").exit_code == 0
    version(p, C)
    return (f"its schema is that of revision '{B}'",)


def stamped_too_low(p: Project) -> tuple[str, ...]:
    version(p, B)
    return (f"already that of revision '{C}'",)


def index_dropped(p: Project) -> tuple[str, ...]:
    p.execute("DROP INDEX ix_pet_name")
    return ("index 'ix_pet_name' of 'pet' is missing", f"revision '{B}'", "CREATE INDEX")


def column_dropped(p: Project) -> tuple[str, ...]:
    p.execute("ALTER TABLE pet DROP COLUMN born", "ALTER TABLE owner ADD COLUMN odd INTEGER")
    return ("column 'pet.born' is missing", 'ADD COLUMN "born" INTEGER', "flask db snapshots")


def two_heads(p: Project) -> tuple[str, ...]:
    toys(p)
    return ("2 heads", f'applied in "{p.database.name}"', "touch different tables", "merge heads")


def two_heads_pushed(p: Project) -> tuple[str, ...]:
    toys(p)
    repository(p.path, remote=True)
    return (AUTHOR, "flask db merge heads")


def two_heads_unpushed(p: Project) -> tuple[str, ...]:
    repository(p.path, remote=True)
    toys(p)
    commit(p.path, "toys")
    return (f"lets '{D}' come after '{C}'", "no remote branch has it and no database has applied")


def two_heads_untracked(p: Project) -> tuple[str, ...]:
    repository(p.path)
    toys(p)
    return (f"lets '{D}' come after '{C}'", "it is not in git and no database has applied it")


def two_heads_applied(p: Project) -> tuple[str, ...]:
    toys(p)
    assert p.invoke("db", "safe-upgrade", "--yes", "--allow", "SM209").exit_code == 0
    assert p.heads() == {C, D}
    return ("2 heads", "merge heads")


def replaced_by_a_sibling(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    file(p, C).unlink()
    toys(p)
    commit(p.path, "replaced")
    return ("restores",)


def parent_mistyped(p: Project) -> tuple[str, ...]:
    rewrite(file(p, C), f"down_revision = '{B}'", "down_revision = 'zzzz'")
    return ("comes after 'zzzz'", f"Did you mean '{B}'", "docstring")


def parent_is_a_file_name(p: Project) -> tuple[str, ...]:
    stem = file(p, B).stem
    rewrite(file(p, C), f"down_revision = '{B}'", f"down_revision = '{stem}'")
    return (f"comes after '{stem}'", "It is the name of the file and not the id")


def circle(p: Project) -> tuple[str, ...]:
    rewrite(file(p, A), "down_revision = None", f"down_revision = '{C}'")
    return (f"'{C}' -> '{B}' -> '{A}' -> '{C}'", f"The wrong one is probably '{A}'")


def own_parent(p: Project) -> tuple[str, ...]:
    rewrite(file(p, C), f"down_revision = '{B}'", f"down_revision = '{C}'")
    return (f"'{C}' -> '{C}'", f"comes after '{B}'")


def copied(p: Project) -> tuple[str, ...]:
    shutil.copy(file(p, C), p.versions / "copy.py")
    return (f"revision id '{C}'", 'deletes "copy.py"')


def copied_and_changed(p: Project) -> tuple[str, ...]:
    repository(p.path)
    copy = p.versions / "copy.py"
    shutil.copy(file(p, C), copy)
    rewrite(copy, "'born'", "'died'")
    return ('"copy.py" (not in git)', f"a new id, after '{C}'")


@dataclass(frozen=True)
class Case:
    build: Callable[[Project], tuple[str, ...]]
    code: str


REPAIRED = [
    Case(deleted_in_a_commit, "SM301"),
    Case(deleted_with_its_parent, "SM301"),
    Case(deleted_before_the_folder_moved, "SM301"),
    Case(versions_emptied, "SM301"),
    Case(parent_deleted, "SM206"),
    Case(parent_deleted_in_the_journal, "SM206"),
    Case(code_is_older, "SM304"),
    Case(renumbered, "SM311"),
    Case(parent_renumbered, "SM206"),
    Case(squashed, "SM311"),
    Case(unknown_but_proven, "SM311"),
    Case(mislaid, "SM312"),
    Case(mislaid_further_down, "SM312"),
    Case(ancestor_row, "SM305"),
    Case(same_row_twice, "SM305"),
    Case(misspelt, "SM313"),
    Case(row_deleted, "SM303"),
    Case(made_by_create_all, "SM302"),
    Case(stamped_too_far, "SM406"),
    Case(stamped_too_low, "SM410"),
    Case(index_dropped, "SM407"),
    Case(two_heads, "SM209"),
    Case(two_heads_pushed, "SM209"),
    Case(two_heads_unpushed, "SM209"),
    Case(two_heads_untracked, "SM209"),
    Case(two_heads_applied, "SM209"),
    Case(replaced_by_a_sibling, "SM301"),
    Case(parent_mistyped, "SM206"),
    Case(parent_is_a_file_name, "SM206"),
    Case(circle, "SM208"),
    Case(own_parent, "SM208"),
    Case(copied, "SM210"),
    Case(copied_and_changed, "SM210"),
]


def grown(project: ProjectFactory, **more: Any) -> Project:
    """A project whose database is at the newest revision and holds rows."""
    p = project(models=MODELS, revisions=HISTORY, **more)
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.execute("INSERT INTO owner (name) VALUES ('Ann'), ('Bob')")
    return p


def examined(p: Project, *options: str) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """Exit code, findings by code (each code is there once), and the whole document."""
    done = p.invoke("db", "doctor", "--format", "json", *options)
    document = json.loads(done.stdout)
    findings = {finding["code"]: finding for finding in document["findings"]}
    assert len(findings) == len(document["findings"]), done.stdout
    return done.exit_code, findings, document


def errors(findings: dict[str, dict[str, Any]]) -> set[str]:
    return {code for code, finding in findings.items() if finding["severity"] == "error"}


@pytest.mark.parametrize("case", REPAIRED, ids=lambda case: case.build.__name__)
def test_named_and_repaired(case: Case, project: ProjectFactory) -> None:
    p = grown(project)
    named = case.build(p)
    exit_code, findings, document = examined(p)
    assert exit_code == 3
    assert errors(findings) == {case.code}, document["findings"]
    told = findings[case.code]
    for part in named:
        assert part in f"{told['message']} {told['hint']}", (part, told)
    assert told["repair"], told
    word = ["--from-journal"] if "--from-journal" in told["hint"] else []
    exit_code, findings, document = examined(p, "--fix", "--yes", *word)
    assert exit_code == 0, (document["findings"], document["notes"])
    assert errors(findings) == set(), findings
    assert document["repairs"]
    up = p.invoke("db", "safe-upgrade", "--yes")
    assert up.exit_code == 0, up.output
    assert p.rows("SELECT name FROM owner ORDER BY id") == [("Ann",), ("Bob",)]
    exit_code, findings, _ = examined(p)
    # What a repair wrote is not in git yet; tables of the test have no models.
    assert exit_code == 0
    assert not set(findings) - {"SM116", "SM412", "SM404", "SM405"}, findings


# What cannot be repaired without knowing more gets instructions.


def on_another_branch(p: Project) -> tuple[str, ...]:
    forget(p)
    path = file(p, C)
    text = path.read_bytes()
    path.unlink()
    repository(p.path)
    git(p.path, "switch", "--quiet", "--create", "feature/born")
    path.write_bytes(text)
    made = commit(p.path, "when they were born")
    git(p.path, "switch", "--quiet", "main")
    return (
        f"branch 'feature/born' has it ({path.name}, commit {made}",
        f"git switch feature/born, flask db safe-downgrade {B}",
        "git checkout feature/born -- ':/migrations/versions/",
    )


def never_committed(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    version(p, "ffff00001111")
    p.execute("ALTER TABLE pet ADD COLUMN odd INTEGER")
    return ("No commit on any branch that git has here knows it", "git fetch --all")


def without_git(p: Project) -> tuple[str, ...]:
    forget(p)
    file(p, C).unlink()
    return ("There is no git repository here to ask", "no journal has it", "never delete")


def history_cut_off(p: Project) -> tuple[str, ...]:
    forget(p)
    repository(p.path)
    file(p, C).unlink()
    commit(p.path, "cleanup")
    (p.path / "more").write_text("")
    commit(p.path, "more")
    clone = p.path.parent / "clone"
    git(p.path.parent, "clone", "--quiet", "--depth", "1", p.path.as_uri(), str(clone))
    shutil.rmtree(p.path / ".git")
    shutil.move(clone / ".git", p.path / ".git")
    return ("its history is cut off here", "git fetch --unshallow")


def another_folder(p: Project) -> tuple[str, ...]:
    forget(p)
    other = p.path / "database" / "versions"
    other.mkdir(parents=True)
    for path in [*p.versions.glob("*.py")]:
        path.rename(other / path.name)
    return ('"database/versions/0f9e8d7c6b5a', "flask db doctor -d database")


def squashed_and_changed(p: Project) -> tuple[str, ...]:
    squashed(p)
    p.execute("ALTER TABLE pet ADD COLUMN odd INTEGER", "ALTER TABLE pet DROP COLUMN born")
    return ("begins anew with '111122223333'", "git worktree add", "flask db stamp 111122223333")


def parent_lost(p: Project) -> tuple[str, ...]:
    forget(p)
    file(p, B).unlink()
    return (f"comes after '{B}'", "There is no git repository", "bring the file back")


def edited(p: Project) -> tuple[str, ...]:
    repository(p.path)
    add = "op.add_column('pet', sa.Column('odd', sa.Integer))"
    before = git(p.path, "rev-parse", "HEAD")[:9]
    rewrite(file(p, C), BORN, f"{add}; {BORN}")
    made = commit(p.path, "one more column")
    return (
        f'by commit {made} ("one more column"',
        "added: op.add_column('pet', sa.Column('odd', sa.Integer))",
        "column 'pet.odd' is not in the database",
        f"git checkout {before} -- ",
    )


def copied_without_git(p: Project) -> tuple[str, ...]:
    copy = p.versions / "copy.py"
    shutil.copy(file(p, C), copy)
    rewrite(copy, "'born'", "'died'")
    return ('"copy.py"', "write a new revision id into")


TOLD = [
    Case(on_another_branch, "SM310"),
    Case(never_committed, "SM301"),
    Case(without_git, "SM301"),
    Case(history_cut_off, "SM301"),
    Case(another_folder, "SM312"),
    Case(folder_renamed, "SM312"),
    Case(mislaid_without_a_folder, "SM312"),
    Case(squashed_and_changed, "SM311"),
    Case(parent_lost, "SM206"),
    Case(edited, "SM307"),
    Case(column_dropped, "SM407"),
    Case(copied_without_git, "SM210"),
]


@pytest.mark.parametrize("case", TOLD, ids=lambda case: case.build.__name__)
def test_named_with_instructions(case: Case, project: ProjectFactory) -> None:
    p = grown(project)
    named = case.build(p)
    exit_code, findings, document = examined(p)
    assert exit_code == 3
    assert errors(findings) == {case.code}, document["findings"]
    told = findings[case.code]
    for part in named:
        assert part in f"{told['message']} {told['hint']}", (part, told)
    assert told["repair"] is None, told
    before = {path: path.read_bytes() for path in p.versions.glob("*.py")}
    rows = p.rows("SELECT version_num FROM alembic_version")
    assert examined(p, "--fix", "--yes")[0] == 3
    assert {path: path.read_bytes() for path in p.versions.glob("*.py")} == before
    assert p.rows("SELECT version_num FROM alembic_version") == rows


def test_comments_are_no_edit(project: ProjectFactory) -> None:
    p = grown(project)
    path = file(p, C)
    path.write_text(path.read_text() + "\n# tidy\n")
    rewrite(path, f"Revises: {B}", f"Revises:   {B}")
    assert examined(p)[:2] == (0, {})


def test_exchanged_binds_are_one_finding(project: ProjectFactory) -> None:
    tables = "class Owner(db.Model):\n    id = db.Column(db.Integer, primary_key=True)\n"
    hits = "class Hit(db.Model):\n    __bind_key__ = 'stats'\n    id = db.Column(db.Integer, "
    p = project(models=f"{tables}\n{hits}primary_key=True)\n", binds={"stats": None})
    made = "op.create_table('{}', sa.Column('id', sa.Integer, primary_key=True))"
    p.revision(A, {"": made.format("owner"), "stats": made.format("hit")}, {"": "", "stats": ""})
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.database.rename(p.path / "other.db")
    (p.path / "stats.db").rename(p.database)
    (p.path / "other.db").rename(p.path / "stats.db")
    exit_code, findings, _ = examined(p)
    assert (exit_code, set(findings)) == (3, {"SM314"})
    assert "the other way round: bind 'stats'" in findings["SM314"]["message"]


def test_the_journal_keeps_a_text_once(project: ProjectFactory) -> None:
    p = grown(project)
    for _ in range(3):
        assert p.invoke("db", "safe-downgrade", B, "--yes").exit_code == 0
        assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    kept = "SELECT count(*), count(source) FROM safemigrate_journal WHERE subject = '{}'"
    assert p.rows(kept.format(C)) == [(7, 1)]
    text = file(p, C).read_text()
    file(p, C).unlink()
    assert examined(p, "--fix", "--yes", "--from-journal")[0] == 0
    assert file(p, C).read_text() == text


def test_the_journal_keeps_any_encoding(project: ProjectFactory) -> None:
    p = grown(project)
    text = f"# -*- coding: latin-1 -*-\n# für Größen\nrevision = {D!r}\ndown_revision = {C!r}\n"
    path = p.versions / f"{D}_odd.py"
    path.write_bytes(f"{text}def upgrade(): pass\ndef downgrade(): pass\n".encode("latin-1"))
    before = path.read_bytes()
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    path.unlink()
    assert examined(p, "--fix", "--yes", "--from-journal")[0] == 0
    assert file(p, D).read_bytes() == before


def test_a_long_foreign_text_fits_into_the_journal(
    project: ProjectFactory, mysql_url: str
) -> None:
    p = project(url=mysql_url, models=MODELS, revisions=HISTORY)
    database = mysql_url.rpartition("/")[2]
    p.execute(f"ALTER DATABASE {database} CHARACTER SET latin1")
    path = file(p, B)
    path.write_text(f"{path.read_text()}\n# при{'-' * 70_000}\n", encoding="utf-8")
    up = p.invoke("db", "safe-upgrade", "--yes")
    assert up.exit_code == 0, up.output
    text = path.read_text(encoding="utf-8")
    path.unlink()
    assert examined(p, "--fix", "--yes", "--from-journal")[0] == 0
    assert file(p, B).read_text(encoding="utf-8") == text


def test_a_repair_that_fails_leaves_the_files(project: ProjectFactory) -> None:
    p = grown(project)
    forget(p)
    repository(p.path)
    file(p, B).unlink()
    file(p, C).unlink()
    # Of two files that are to come back, the second cannot be written.
    (p.versions / file_of(p, C)).mkdir()
    files = sorted(p.versions.glob("*.py"))
    exit_code, _, document = examined(p, "--fix", "--yes")
    assert exit_code == 3
    assert "SM301 was not repaired" in " ".join(document["notes"])
    assert sorted(p.versions.glob("*.py")) == files
    assert p.heads() == {C}


def file_of(p: Project, id: str) -> str:
    listed = git(p.path, "ls-files", "migrations/versions").split()
    return next(Path(path).name for path in listed if id in path)


def test_an_adoption_whose_upgrade_fails_leaves_no_stamp(project: ProjectFactory) -> None:
    p = grown(project)
    made_by_create_all(p)
    # It fails on rows only, so that the replay goes through.
    boom = "if op.get_bind().exec_driver_sql('SELECT count(*) FROM owner').scalar():\n    1 / 0"
    p.revision(D, boom)
    exit_code, findings, document = examined(p, "--fix", "--yes")
    assert (exit_code, errors(findings), document["repairs"]) == (3, {"SM302"}, [])
    assert "SM302 was not repaired: Revision '5c1e7a9038d4' failed" in document["notes"][0]
    assert p.rows("SELECT name FROM sqlite_master WHERE name = 'alembic_version'") == []
    assert p.rows("SELECT count(*) FROM owner") == [(2,)]


def test_a_repair_that_does_harm_is_taken_back(project: ProjectFactory) -> None:
    p = grown(project)
    rewrite(file(p, C), "branch_labels = None", "branch_labels = ('pets',)")
    copied_and_changed(p)
    before = {path.name: path.read_bytes() for path in p.versions.glob("*.py")}
    # As a revision of its own the copy would have the label of another.
    exit_code, findings, document = examined(p, "--fix", "--yes")
    assert (exit_code, errors(findings), document["repairs"]) == (3, {"SM210"}, [])
    (note,) = document["notes"]
    assert note.startswith("SM210 was not repaired: the repair brought SM211")
    assert note.endswith("and was taken back.")
    assert {path.name: path.read_bytes() for path in p.versions.glob("*.py")} == before


def test_nothing_happens_without_a_yes(project: ProjectFactory) -> None:
    p = grown(project)
    version(p, A, C)
    done = p.invoke("db", "doctor", "--fix")
    assert done.exit_code == 2
    assert "removes the row" in done.output
    assert p.heads() == {A, C}
    assert p.invoke("db", "doctor", "--fix", "SM209", "--yes").exit_code == 3
    assert p.heads() == {A, C}
    assert p.invoke("db", "doctor", "--fix", "SM305", "--yes").exit_code == 0
    assert p.heads() == {C}
