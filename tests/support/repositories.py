"""Git repositories around projects."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

AUTHOR = "Ann Bell"


def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let git see neither a person's settings nor a repository above the folder."""
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder))


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", f"user.name={AUTHOR}", "-c", "user.email=ann@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout


def commit(folder: Path, subject: str) -> str:
    """Commit everything; returns what the commit's id begins with."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", subject)
    return git(folder, "rev-parse", "HEAD").strip()[:9]


def repository(folder: Path, *, remote: bool = False) -> None:
    """Make a repository of what is there; with `remote` it has been pushed."""
    (folder / ".gitignore").write_text("*.db\n__pycache__\n.safemigrate\n*.lock\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "start")
    if remote:
        git(folder.parent, "init", "--quiet", "--bare", f"{folder.name}.git")
        git(folder, "remote", "add", "origin", str(folder.parent / f"{folder.name}.git"))
        git(folder, "push", "--quiet", "--set-upstream", "origin", "main")
