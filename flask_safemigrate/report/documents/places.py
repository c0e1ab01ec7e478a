"""The source file that a finding is about, as annotations name it."""

from __future__ import annotations

from pathlib import Path, PurePath

from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Outcome


def relative(path: str, root: Path) -> str:
    """Return a path from the repository's folder, with slashes; whole where it lies elsewhere."""
    pure = PurePath(path)
    try:
        return pure.relative_to(root).as_posix()
    except ValueError:
        return pure.as_posix()


def source(finding: Finding, outcome: Outcome) -> str:
    """Return the file of a finding, "" for none.

    A finding about a database or about the configuration has no file of its own; it is shown at
    ``env.py``, which connects to the database.
    """
    if finding.file or outcome.state is None:
        return finding.file
    project = outcome.state.project
    if not (project.directory_exists and project.env_exists):
        return ""
    return str(PurePath(project.directory) / "env.py")
