"""Finds what files like ``.dockerignore`` keep from reaching other machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from flask_safemigrate.facts.project import LeftOut
from flask_safemigrate.project.dockerignore import excluded_by
from flask_safemigrate.project.files import read_text_file

#: Files with git's rules, and what reads them.
_LIKE_GIT = {
    ".gcloudignore": "gcloud",
    ".slugignore": "Heroku",
    ".vercelignore": "Vercel",
    ".ebignore": "Elastic Beanstalk",
    ".cfignore": "Cloud Foundry",
}
_INCLUDE = "#!include:"

Rule = Callable[[str, str], "tuple[int, str] | None"]


def left_out(directory: Path, revisions: Iterable[str]) -> tuple[LeftOut, ...]:
    """Ask every such file beside the migrations folder and above it in its repository.

    :param directory: the migrations folder.
    :param revisions: the revision files.
    """
    source = tuple(revisions)
    needed = [str(directory / name) for name in ("env.py", "alembic.ini")]
    wanted = [path for path in (*source, *needed) if os.path.isfile(path)]
    found = []
    for root in _roots(directory):
        for path, reader, rule in _files(root):
            try:
                text = read_text_file(path, errors="replace")
            except OSError:
                continue
            gone: dict[str, tuple[int, str]] = {}
            for each in wanted:
                decided = rule(text, Path(each).relative_to(root).as_posix())
                if decided is not None:
                    gone[each] = decided
            if gone:
                line, pattern = next(iter(gone.values()))
                every = bool(source) and gone.keys() >= set(source)
                back = "" if path.name in _LIKE_GIT else _back(directory, root)
                found.append(LeftOut(str(path), reader, line, pattern, tuple(gone), every, back))
    return tuple(found)


def _back(directory: Path, root: Path) -> str:
    return f"!{directory.relative_to(root).as_posix()}"


def _roots(directory: Path) -> list[Path]:
    above = list(directory.parents)
    for number, folder in enumerate(above):
        if (folder / ".git").exists():
            return above[: number + 1]
    return above[:1]


def _files(root: Path) -> Iterator[tuple[Path, str, Rule]]:
    docker = [root / ".dockerignore", root / ".containerignore", *root.glob("*.dockerignore")]
    for path in dict.fromkeys(docker):
        if path.is_file():
            yield path, "the image", excluded_by
    for name, reader in _LIKE_GIT.items():
        if (root / name).is_file():
            yield root / name, reader, _git_rule(root / name)


def _git_rule(path: Path) -> Rule:
    def rule(text: str, wanted: str) -> tuple[int, str] | None:
        # Few projects have such a file.
        from pathspec import GitIgnoreSpec

        lines: list[tuple[int, str]] = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith(_INCLUDE) and path.name == ".gcloudignore":
                other = path.parent / line.removeprefix(_INCLUDE).strip()
                if other.is_file():
                    included = read_text_file(other, errors="replace")
                    lines += [(number, each) for each in included.splitlines()]
            elif not (path.name == ".slugignore" and line.startswith("!")):
                lines.append((number, line))
        spec = GitIgnoreSpec.from_lines(line for _, line in lines)
        result = spec.check_file(wanted)
        if not result.include or result.index is None:
            return None
        number, line = lines[result.index]
        return number, line.strip()

    return rule
