"""Which rule of a ``.dockerignore`` leaves a file out of the build context.

The rules are those of Docker (https://docs.docker.com/build/concepts/context/#dockerignore-files),
not git's: patterns begin at the root of the context, a leading ``/`` means nothing, the last
pattern that matches a file or a folder above it decides, and ``!`` brings files back even out of
a folder that is left out.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable


def excluded_by(text: str, path: str) -> tuple[int, str] | None:
    """The line, from 1, and the pattern that leave a file out; None where it is sent.

    :param path: relative to the root of the context, with ``/``.
    """
    parts = path.split("/")
    every = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    decided = None
    for number, pattern, back in _patterns(text):
        if any(_matches(pattern, each) for each in every):
            decided = None if back else (number, pattern)
    return decided


def _patterns(text: str) -> Iterable[tuple[int, str, bool]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        pattern = "" if line.startswith("#") else line.strip()
        back = pattern.startswith("!")
        pattern = pattern.removeprefix("!").strip()
        if pattern:
            # posixpath keeps two leading slashes, which mean as much as one.
            pattern = posixpath.normpath(pattern).lstrip("/")
        if pattern and pattern != ".":
            yield number, pattern, back


#: A regular expression with more of them may try for longer than anybody waits.
_MOST_STARS = 3


def _matches(pattern: str, path: str) -> bool:
    if pattern.count("*") <= _MOST_STARS:
        return _regex(pattern).fullmatch(path) is not None
    return _reaches(re.findall(r"\*\*/|\*\*|\*|\[[^]]+\]|\\.|.", pattern, re.DOTALL), path)


def _reaches(parts: list[str], path: str) -> bool:
    """Whether a pattern takes a path, by going through all that it may mean at once.

    :param parts: the pattern, wildcard by wildcard.
    """
    # Places in the pattern; those in `deep` are in the middle of the folders that `**/` takes.
    places, deep = _with_nothing(parts, {0}), set[int]()
    for character in path:
        reached = set()
        inside = {p for p in places if p < len(parts) and parts[p] == "**/"} | deep
        for place in places - inside - {len(parts)}:
            part = parts[place]
            if part == "**" or (part == "*" and character != "/"):
                reached.add(place)
            elif part not in ("*", "**") and _regex(part).fullmatch(character):
                reached.add(place + 1)
        if character == "/":
            reached |= {place + 1 for place in inside}
        places, deep = _with_nothing(parts, reached), inside
    return len(parts) in places


def _with_nothing(parts: list[str], places: set[int]) -> set[int]:
    """Add the places behind wildcards that may stand for nothing."""
    for place, part in enumerate(parts):
        if place in places and part in ("*", "**", "**/"):
            places.add(place + 1)
    return places


def _regex(pattern: str) -> re.Pattern[str]:
    out = ""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            deep = pattern.startswith("**/", at)
            at += 3 if deep else 2
            # At the end it takes everything; before a name without a slash, any beginning.
            out += "(?:.*/)?" if deep and at < len(pattern) else ".*"
            continue
        character = pattern[at]
        at += 1
        if character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif character == "[" and (end := pattern.find("]", at + 1)) > 0:
            inside = pattern[at:end]
            out += f"[{inside}]"
            at = end + 1
        elif character == "\\" and at < len(pattern):
            out += re.escape(pattern[at])
            at += 1
        else:
            out += re.escape(character)
    try:
        return re.compile(out, re.DOTALL)
    except re.error:
        # Docker refuses the whole file then, which is for Docker to say.
        return re.compile(r"(?!)")
