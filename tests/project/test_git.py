from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from flask_safemigrate.facts.project import GitFacts
from flask_safemigrate.project import git as git_module
from flask_safemigrate.project.git import missing_in, read_git
from flask_safemigrate.project.git_past import GitPast

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, timeout=30
    )


@pytest.fixture(autouse=True)
def no_personal_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "migrations" / "versions").mkdir(parents=True)
    (root / "app.py").write_text("")
    git(root, "init")
    git(root, "add", "app.py")
    return root


def revision(root: Path, name: str) -> str:
    path = root / "migrations" / "versions" / name
    path.write_text("")
    return str(path)


def ask(root: Path, *files: str) -> GitFacts:
    folder = root / "migrations"
    return read_git(folder, [folder / "versions"], files)


def test_tracked_files_are_fine(repository: Path) -> None:
    path = revision(repository, "a1.py")
    git(repository, "add", "migrations")
    assert ask(repository, path) == GitFacts(present=True)


def test_untracked_files(repository: Path) -> None:
    first, second = revision(repository, "a1.py"), revision(repository, "b2_überall.py")
    git(repository, "add", first)
    facts = ask(repository, first, second)
    assert facts == GitFacts(present=True, untracked=(second,))


@pytest.mark.parametrize(
    ("rule", "ignored"),
    [
        ("migrations/", "versions"),
        ("versions", "versions"),
        ("migrations/versions/*", "versions"),
        ("*.py", "versions"),
        ("a1*", "versions/a1 ü.py"),
    ],
)
def test_ignored_files(rule: str, ignored: str, repository: Path) -> None:
    path = revision(repository, "a1 ü.py")
    (repository / ".gitignore").write_text(f"# local\n{rule}\n")
    facts = ask(repository, path)
    assert facts.ignored == (str(repository / "migrations" / ignored),)
    assert facts.untracked == ()
    assert facts.ignored_by == f".gitignore:2: {rule}"


def test_ignored_folder_without_files(repository: Path) -> None:
    (repository / ".gitignore").write_text("migrations/versions/*\n")
    assert ask(repository).ignored == (str(repository / "migrations" / "versions"),)


def test_rule_that_is_taken_back(repository: Path) -> None:
    path = revision(repository, "a1.py")
    (repository / ".gitignore").write_text("*.py\n!migrations/versions/*.py\n")
    git(repository, "add", "migrations")
    assert ask(repository, path) == GitFacts(present=True)


def test_forced_files_are_not_ignored(repository: Path) -> None:
    path = revision(repository, "a1.py")
    (repository / ".gitignore").write_text("versions/\n")
    git(repository, "add", "--force", path)
    assert ask(repository, path) == GitFacts(present=True)


def test_environment_of_a_hook_is_not_obeyed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = revision(repository, "a1.py")
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert ask(repository, path) == GitFacts(present=True, untracked=(path,))


def test_outside_of_a_repository(tmp_path: Path) -> None:
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    assert ask(tmp_path, revision(tmp_path, "a1.py")) == GitFacts()


def test_without_git(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert ask(repository, revision(repository, "a1.py")) == GitFacts()


def test_git_that_does_not_answer(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
    monkeypatch.setattr(git_module, "TIMEOUT", 0.3)
    assert ask(repository, revision(repository, "a1.py")) == GitFacts()


def test_repository_of_another_owner(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # git's own switch for its tests: it takes every repository for somebody else's.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert ask(repository, revision(repository, "a1.py")) == GitFacts()


def test_missing_versions_folder(repository: Path) -> None:
    (repository / "migrations" / "versions").rmdir()
    assert ask(repository) == GitFacts(present=True)


def test_no_program_of_the_repository_is_run(tmp_path: Path) -> None:
    top = tmp_path / "repository"
    versions = top / "versions"
    versions.mkdir(parents=True)
    path = versions / "a1.py"
    path.write_text("revision = 'a1'\ndown_revision = None\n")
    (top / ".gitattributes").write_text("*.py filter=evil\n*.md filter=other.name\n")
    git(top, "init", "--quiet")
    git(top, "add", ".")
    git(top, "commit", "--quiet", "-m", "first")
    ran = tmp_path / "ran"
    for name in ("evil", "other.name"):
        for kind in ("clean", "smudge", "process"):
            git(top, "config", f"filter.{name}.{kind}", f"touch {ran}; cat")
        git(top, "config", f"filter.{name}.required", "true")
    git(top, "config", "log.showSignature", "true")
    git(top, "config", "gpg.program", f"touch {ran}; false")
    path.write_text("revision = 'a1'\ndown_revision = None\n# changed\n")
    past = GitPast(top, [versions])
    assert past.present
    assert past.changed_by(str(path)) is None
    assert dict(past.removals()) == {}
    path.unlink()
    assert set(GitPast(top, [versions]).removals()) == {"a1"}
    assert not ran.exists()


def test_what_a_branch_lacks(repository: Path) -> None:
    folder = repository / "migrations" / "versions"
    old = revision(repository, "1_old.py")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "one")
    git(repository, "branch", "base")
    committed = revision(repository, "2_new.py")
    git(repository, "add", ".")
    git(repository, "commit", "-m", "two")
    fresh = revision(repository, "3_ünew.py")
    files = [old, committed, fresh]
    assert missing_in("base", [folder], files) == (committed, fresh)
    assert missing_in("HEAD", [folder], files) == (fresh,)
    assert missing_in("HEAD", [folder, repository / "nosuch"], files) == (fresh,)
    link = repository.parent / "link"
    link.symlink_to(repository)
    through = [str(link / Path(path).relative_to(repository)) for path in files]
    assert missing_in("base", [link / "migrations" / "versions"], through) == tuple(through[1:])


def test_a_folder_that_a_branch_has_not_got_yet(repository: Path) -> None:
    git(repository, "commit", "-m", "one")
    fresh = revision(repository, "1_new.py")
    assert missing_in("HEAD", [repository / "migrations" / "versions"], [fresh]) == (fresh,)


@pytest.mark.parametrize("name", ["nosuch", "", "--all", "-x", "HEAD:migrations", "HEAD..HEAD"])
def test_what_is_no_branch(repository: Path, name: str) -> None:
    new = revision(repository, "1_new.py")
    git(repository, "commit", "-m", "one")
    assert missing_in(name, [repository / "migrations" / "versions"], [new]) is None


def test_no_repository_has_no_branch(tmp_path: Path) -> None:
    assert missing_in("HEAD", [tmp_path], [str(tmp_path / "1.py")]) is None
