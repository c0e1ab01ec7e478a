"""Asks git what it makes of the revision files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from flask_safemigrate.facts.project import GitFacts
from flask_safemigrate.project.locations import by_real_path

#: Seconds that one git process may take.
TIMEOUT = 5.0

# A hook of git runs with these set to another repository or index (git-rev-parse(1),
# --local-env-vars).
_LOCAL = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_GLOB_PATHSPECS",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
    }
)


# What a repository's own configuration could have git run.
_HARMLESS = ("-c", "core.fsmonitor=false", "-c", "log.showSignature=false")
#: Commands that look into the files of the working tree.
_COMPARING = ("diff", "status")


def git(
    directory: Path, arguments: Sequence[str], stdin: bytes = b"", timeout: float = TIMEOUT
) -> bytes | None:
    """Output of one git command; None if there is no git, no repository or no answer in time."""
    environment = {k: v for k, v in os.environ.items() if k not in _LOCAL}
    # What a clone in parts has not got is not fetched: a repository says itself by which program.
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_ALLOW_PROTOCOL": "none"}
    options = [*_HARMLESS]
    if arguments[0] in _COMPARING:
        filters = _without_filters(directory, environment, timeout)
        if filters is None:
            return None
        options += filters
    return _answer(directory, [*options, *arguments], environment, stdin, timeout)


def _without_filters(
    directory: Path, environment: Mapping[str, str], timeout: float
) -> list[str] | None:
    """Options that keep git from running what a repository names as filters of its files.

    ``.git/config`` and ``.gitattributes`` come with a folder that somebody unpacked or mounted
    (https://git-scm.com/docs/gitattributes#_filter).
    """
    asked = ["config", "--null", "--name-only", "--get-regexp", r"^filter\."]
    answer = _answer(directory, asked, environment, b"", timeout)
    if answer is None:
        return None
    names = {key.rpartition(".")[0] for key in _split(answer)}
    # Such a name cannot be told from its value on a command line.
    if any("=" in name for name in names):
        return None
    return [
        word
        for name in sorted(names)
        for word in ("-c", f"{name}.clean=", "-c", f"{name}.process=", "-c", f"{name}.required=0")
    ]


def _answer(
    directory: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    stdin: bytes,
    timeout: float,
) -> bytes | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=directory,
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    # git check-ignore answers 1 for "none of them"; 128 is no repository, or one of another owner.
    return done.stdout if done.returncode in (0, 1) else None


def _split(output: bytes) -> list[str]:
    return [os.fsdecode(part) for part in output.split(b"\0")[:-1]]


def read_git(directory: Path, folders: Iterable[Path], files: Iterable[str]) -> GitFacts:
    """Ask git which revision files it ignores or does not track.

    :param directory: the migrations folder, which must exist.
    :param folders: the folders of revision files; one that is missing is left out.
    :param files: the revision files, absolute.
    :return: facts; ``present`` is false without git, outside a repository and where git refuses
        to look (a repository of another user).
    """
    there = [str(folder) for folder in folders if folder.is_dir()] or [str(directory)]
    wanted = by_real_path(files)
    others = git(directory, ["ls-files", "-z", "--others", "--exclude-standard", "--", *there])
    if others is None:
        return GitFacts()
    untracked = (os.path.realpath(os.path.join(directory, name)) for name in _split(others))
    # A folder is asked about by a file that it could hold: git ignores no folder for a pattern
    # such as "versions/*", and yet every revision in it.
    probes = {os.path.join(folder, "0123456789ab_.py"): folder for folder in there}
    asked = b"".join(os.fsencode(path) + b"\0" for path in (*probes, *wanted))
    answer = git(directory, ["check-ignore", "-v", "-z", "--stdin"], asked)
    fields = _split(answer or b"")
    ignored: list[str] = []
    ignored_by = ""
    for i in range(0, len(fields) - 3, 4):
        source, line, pattern, path = fields[i : i + 4]
        if pattern.startswith("!"):
            continue
        ignored.append(probes.get(path) or wanted.get(path, path))
        ignored_by = ignored_by or f"{source}:{line}: {pattern}"
    covered = set(probes.values()) & set(ignored)
    if wanted and covered.issuperset(ignored):
        # Every file is tracked all the same (git add --force).
        ignored = []
    return GitFacts(
        present=True,
        ignored=tuple(
            path for path in ignored if path in covered or os.path.dirname(path) not in covered
        ),
        untracked=tuple(wanted[path] for path in untracked if path in wanted),
        ignored_by=ignored_by if ignored else "",
    )


def repository(folder: Path) -> Path | None:
    """The top folder of the repository that holds a folder; None where there is none."""
    answer = git(folder, ["rev-parse", "--show-toplevel"])
    path = os.fsdecode(answer or b"").rstrip("\n")
    return Path(path) if path else None


def missing_in(
    commit: str, folders: Iterable[Path], files: Iterable[str]
) -> tuple[str, ...] | None:
    """Return the files that a commit does not have, in their order; None where git knows no such.

    :param commit: a branch, a tag or whatever else names one.
    :param folders: where the files are; one that is missing is left out.
    :param files: absolute.
    """
    if commit.startswith("-"):
        return None
    has: set[str] = set()
    for folder in filter(Path.is_dir, folders):
        found = git(folder, ["rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"])
        top = repository(folder)
        if not found or top is None:
            return None
        inside = Path(os.path.realpath(folder)).relative_to(os.path.realpath(top)).as_posix()
        asked = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", found.decode().strip()]
        names = git(folder, asked if inside == "." else [*asked, "--", inside])
        if names is None:
            return None
        has.update(os.path.realpath(top / name) for name in _split(names))
    return tuple(path for real, path in by_real_path(files).items() if real not in has)
