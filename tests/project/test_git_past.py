"""What git says of lost revisions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flask_safemigrate.project.git_past import GitPast
from tests.support.repositories import AUTHOR, alone, commit, git, repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    alone(monkeypatch, tmp_path)
    root = tmp_path / "shop"
    (root / "migrations" / "versions").mkdir(parents=True)
    for id, parent in (("a1", None), ("b2", "a1")):
        write(root, id, parent)
    repository(root)
    return root


def write(root: Path, id: str, parent: str | None, name: str = "", more: str = "") -> Path:
    path = root / "migrations" / "versions" / (name or f"{id}_überall.py")
    body = "".join(f"    line_{n} = {n}\n" for n in range(20))
    text = f"revision = {id!r}\ndown_revision = {parent!r}\n\n\ndef upgrade():\n{body}{more}"
    path.write_text(text, encoding="utf-8")
    return path


def past(root: Path) -> GitPast:
    return GitPast(root / "migrations", [root / "migrations" / "versions"])


def test_nothing_is_lost(root: Path) -> None:
    assert past(root).present
    assert not past(root).shallow
    assert past(root).removals() == {}
    assert past(root).elsewhere("b2") is None


def test_the_newest_deletion_counts(root: Path) -> None:
    path = write(root, "b2", "a1")
    path.unlink()
    commit(root, "first")
    write(root, "b2", "a1", more="    changed = 1\n")
    commit(root, "back")
    path.unlink()
    made = commit(root, 'cleanup: "old"\tthings')
    found = past(root).removed("b2")
    assert found is not None
    assert found.change.commit is not None
    assert (found.change.commit.id, found.change.commit.author) == (made, AUTHOR)
    assert found.change.commit.subject == 'cleanup: "old"\tthings'
    assert found.change.path == "migrations/versions/b2_überall.py"
    assert found.revision.parents == ("a1",)
    assert "changed = 1" in past(root).texts([found.change.old])[found.change.old]


def test_a_file_that_only_moved_is_not_lost(root: Path) -> None:
    git(root, "mv", "migrations", "database")
    commit(root, "move")
    assert past(root).removals() == {}


def test_another_id_in_the_same_file(root: Path) -> None:
    write(root, "c3", "a1", name="b2_überall.py")
    assert past(root).removals()["b2"].became == "c3"
    commit(root, "renumber")
    found = past(root).removals()["b2"]
    assert found.became == "c3"
    assert found.change.commit is not None


def test_a_merge_that_drops_a_file(root: Path) -> None:
    git(root, "switch", "-qc", "side")
    (root / "side").write_text("")
    commit(root, "side")
    git(root, "switch", "-q", "main")
    (root / "main").write_text("")
    commit(root, "main")
    git(root, "merge", "-q", "--no-ff", "--no-commit", "side")
    (root / "migrations" / "versions" / "b2_überall.py").unlink()
    made = commit(root, "merge side")
    found = past(root).removed("b2")
    assert found is not None
    assert found.change.commit is not None
    assert found.change.commit.id == made


def test_branches_that_have_it(root: Path) -> None:
    git(root, "switch", "-qc", "one")
    path = write(root, "c3", "b2")
    commit(root, "add")
    git(root, "switch", "-qc", "two")
    path.unlink()
    commit(root, "drop")
    git(root, "switch", "-q", "main")
    found = past(root).elsewhere("c3")
    assert found is not None
    assert past(root).removed("c3") is None
    # "two" holds the commit, and not the file any more.
    assert past(root).branches(found) == ("one",)


def test_commits_that_no_branch_holds(root: Path) -> None:
    write(root, "c3", "b2")
    commit(root, "add")
    git(root, "reset", "-q", "--hard", "HEAD~1")
    found = past(root).elsewhere("c3")
    assert found is not None
    assert past(root).branches(found) == ()
    write(root, "d4", "b2")
    git(root, "stash", "push", "--quiet", "--include-untracked")
    stashed = past(root).elsewhere("d4")
    assert stashed is not None
    assert stashed.change.commit is not None
    assert stashed.change.commit.subject.startswith("untracked files on")


def test_who_has_a_file(root: Path, tmp_path: Path) -> None:
    first = root / "migrations" / "versions" / "a1_überall.py"
    origin = past(root).origin(str(first))
    assert origin.added is not None
    assert (origin.added.author, origin.shared, origin.private) == (AUTHOR, None, False)
    new = write(root, "c3", "b2")
    assert past(root).origin(str(new)).private
    git(tmp_path, "init", "-q", "--bare", "shared")
    git(root, "remote", "add", "origin", str(tmp_path / "shared"))
    git(root, "push", "-q", "origin", "main")
    commit(root, "local")
    assert past(root).origin(str(first)).shared is True
    assert past(root).origin(str(new)).private


def test_the_text_that_ran_is_found_again(root: Path) -> None:
    path = root / "migrations" / "versions" / "b2_überall.py"
    before, ran = git(root, "rev-parse", "HEAD")[:9], path.read_text("utf-8")
    write(root, "b2", "a1", more="    changed = 1\n")
    assert past(root).changed_by(str(path)) is None
    made = commit(root, "change")
    changed = past(root).changed_by(str(path))
    assert changed is not None
    assert changed.id == made
    assert past(root).version_of(str(path), ran) == before
    assert past(root).version_of(str(path), "other") == ""


def test_no_repository_and_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(monkeypatch, tmp_path)
    folder = tmp_path / "migrations"
    nothing = GitPast(folder, [folder / "versions"])
    assert (nothing.present, nothing.shallow) == (False, False)
    assert (nothing.removed("a1"), nothing.elsewhere("a1")) == (None, None)
    git(tmp_path, "init", "-q")
    empty = GitPast(folder, [folder / "versions"])
    assert empty.present
    assert (empty.removed("a1"), empty.elsewhere("a1")) == (None, None)
