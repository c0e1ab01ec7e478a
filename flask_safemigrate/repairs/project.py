"""Mending the project's own files, each kept beside its successor and put back where that was no
help."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from flask_safemigrate.errors import Refused
from flask_safemigrate.project import templates
from flask_safemigrate.project.gitignore import unignore
from flask_safemigrate.project.ini import add_logger
from flask_safemigrate.project.locations import read_locations
from flask_safemigrate.workflows.ports import Repaired


def make_versions(directory: Path) -> Repaired:
    """Make the folder of revisions, with a file that git keeps.

    :param directory: the migrations folder.
    """
    folder = next(iter(read_locations(directory).folders), directory / "versions")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitkeep").touch()
    return Repaired(f'Made "{folder}" with a file that git keeps.')


def bring_back(directory: Path) -> Repaired:
    """Add rules to .gitignore that bring the revisions back.

    :raises Refused: none can.
    """
    folder = next(iter(read_locations(directory).folders), directory / "versions")
    changed = unignore(folder)
    if changed is None:
        raise Refused("No .gitignore of the repository can bring the revisions back.")
    path, before, lines = changed

    def take_back() -> None:
        _restore(path, before)

    return Repaired(f'Added to "{path}": {", ".join(lines)}.', take_back)


def replace_env(directory: Path) -> Repaired:
    """Replace env.py by the template of the installed Flask-Migrate.

    :raises Refused: somebody edited it.
    """
    # Whatever was compared before may have changed; only a file that nobody edited may go.
    path = directory / "env.py"
    found = templates.compare(path)
    if not found.outdated or found.modified:
        raise Refused(f'"{path}" is no unmodified template any more; it was not replaced.')
    text = Path(found.replacement).read_text(encoding="utf-8")
    return _rewrite(
        path, lambda before: text, f"the template of Flask-Migrate {found.installed} now"
    )


def name_logger(directory: Path) -> Repaired:
    """Let alembic.ini name the logger of Flask-Migrate."""
    path = directory / "alembic.ini"
    return _rewrite(path, add_logger, "told of the logger flask_migrate")


def _rewrite(path: Path, change: Callable[[str], str], what: str) -> Repaired:
    before = path.read_bytes()
    after = change(before.decode("utf-8-sig").replace("\r\n", "\n")).encode()
    if after == before:
        raise Refused(f'"{path}" could not be changed by this command.')
    kept = path.with_name(f"{path.name}.bak")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.bak{number}")
    kept.write_bytes(before)
    path.write_bytes(after)

    def take_back() -> None:
        path.write_bytes(before)
        kept.unlink(missing_ok=True)

    return Repaired(f'"{path}" is {what}; the old file is "{kept.name}" beside it.', take_back)


def _restore(path: Path, before: str | None) -> None:
    if before is None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    else:
        path.write_text(before, encoding="utf-8")
