"""Where the revision files are, as ``alembic.ini`` says it."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from flask_safemigrate.project.files import read_text_file

_SEPARATORS = {"space": " ", "newline": "\n", "os": os.pathsep, ":": ":", ";": ";"}
_LEGACY_SEPARATOR = re.compile(r", *|(?: +)")


class Locations(NamedTuple):
    """Folders of revision files.

    :param recursive: whether their sub-folders count too.
    :param problem: why ``alembic.ini`` cannot be read, "" where it can.
    """

    folders: tuple[Path, ...]
    recursive: bool = False
    problem: str = ""


def _folder(text: str) -> Path:
    """Resolve ``package:folder`` as Alembic does, without importing the package."""
    if os.path.isabs(text) or ":" not in text:
        return Path(text).absolute()
    package, _, inside = text.partition(":")
    top, *rest = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return Path(text).absolute()
    return Path(spec.submodule_search_locations[0], *rest, inside)


def read_locations(directory: Path) -> Locations:
    """Read ``version_locations`` and its companions as Flask-Migrate's configuration has them.

    Source of the rules: Alembic, ``Config.get_version_locations_list`` and
    ``Script._list_py_dir``; Flask-Migrate sets ``script_location`` to the folder itself.

    :param directory: the migrations folder.
    """
    usual = (directory.absolute() / "versions",)
    ini = directory / "alembic.ini"
    parser = configparser.ConfigParser({"here": directory.absolute().as_posix()})
    try:
        parser.read_string(read_text_file(ini), str(ini))
    except FileNotFoundError:
        return Locations(usual)
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        return Locations(usual, problem=" ".join(str(error).split()))
    section = "alembic"
    if not parser.has_section(section):
        # Alembic works without the section; logging is what the file is for then.
        return Locations(usual)
    parser.set(section, "script_location", str(directory).replace("%", "%%"))
    try:
        text = parser.get(section, "version_locations", fallback="")
        word = parser.get(section, "path_separator", fallback=None) or parser.get(
            section, "version_path_separator", fallback=None
        )
        recursive = parser.get(section, "recursive_version_locations", fallback="")
    except configparser.Error as error:
        return Locations(usual, problem=" ".join(str(error).split()))
    if word is not None and word not in _SEPARATORS:
        known = ", ".join(f"'{s}'" for s in _SEPARATORS)
        problem = f"path_separator is '{word}', but must be one of {known}"
        return Locations(usual, problem=problem)
    if not text:
        return Locations(usual, recursive == "true")
    parts = _LEGACY_SEPARATOR.split(text) if word is None else text.split(_SEPARATORS[word])
    folders = tuple(_folder(part.strip()) for part in parts if part.strip())
    return Locations(folders, recursive == "true")


def revision_files(locations: Locations) -> tuple[str, ...]:
    """Every revision file, in the order in which Alembic loads them, each once."""
    every = (
        path
        for folder in locations.folders
        for path in _python_files(str(folder), locations.recursive)
    )
    return tuple(by_real_path(every).values())


def by_real_path(files: Iterable[str]) -> dict[str, str]:
    """The real path of every file with the first path that leads to it."""
    # realpath() looks at every folder above a file, and most files share these.
    folders: dict[str, str] = {}
    found: dict[str, str] = {}
    for path in files:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        linked = os.path.islink(path)
        real = os.path.realpath(path) if linked else os.path.join(folders[folder], name)
        found.setdefault(real, path)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _python_files(folder: str, recursive: bool) -> Iterator[str]:
    """A folder's files, then those of its folders."""
    if folder.endswith("__pycache__"):
        return
    try:
        with os.scandir(folder) as entries:
            every = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in every:
        name = entry.name
        wanted = name.endswith(".py") and not name.startswith((".#", "__init__"))
        if wanted and not _is_folder(entry):
            yield entry.path
    if recursive:
        for entry in every:
            if entry.is_dir(follow_symlinks=False):
                yield from _python_files(entry.path, recursive)
