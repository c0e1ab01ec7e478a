"""Compares ``env.py`` with every template that Flask-Migrate has shipped.

The templates themselves are not here: ``templates.json`` has a short hash of each of their lines,
made by ``scripts/templates.py``. That is enough to know an unmodified file, to find the template
that a modified one was made from, and to carry its changes over to the installed template.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from flask_safemigrate.facts.project import EnvTemplate
from flask_safemigrate.project.env_faults import faults, passed
from flask_safemigrate.project.files import read_text_file
from flask_safemigrate.project.headers import parse
from flask_safemigrate.project.revision_code import names_missing

#: A file that shares less with every template was written by somebody else.
_ALIKE = 0.6
_BLANK = ""
NAMES = ("flask", "flask-multidb", "aioflask", "aioflask-multidb")


class Template(NamedTuple):
    """A text that Flask-Migrate has shipped as ``env.py``.

    :param name: one of :data:`NAMES`.
    :param first: the release that brought it.
    :param last: the last release that had it.
    :param meaning: :func:`meaning` of its text.
    :param lines: :func:`line_key` of its lines.
    """

    name: str
    first: str
    last: str
    meaning: str
    lines: tuple[str, ...]


def line_key(line: str) -> str:
    """A short hash of a line, the same however it is indented and quoted; "" for a blank one."""
    plain = "".join(line.split()).replace("'", '"')
    return hashlib.sha256(plain.encode()).hexdigest()[:8] if plain else _BLANK


def meaning(tree: ast.Module) -> str:
    """A hash of a module that formatters leave as it is.

    Comments, docstrings, the order of imports and ``from __future__`` do not count.
    """
    imports = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    aliases = sorted(
        f"{getattr(node, 'module', '')}:{alias.name}:{alias.asname}"
        for node in imports
        if getattr(node, "module", "") != "__future__"
        for alias in node.names
    )
    others = [_plain(node) for node in tree.body if node not in imports]
    text = repr((aliases, [node for node in others if node]))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(node: object) -> object:
    # ast.dump() and ast.unparse() write one tree differently from one Python to the next.
    if isinstance(node, ast.AST):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return ()
        parts = ((name, _plain(value)) for name, value in ast.iter_fields(node) if name != "ctx")
        kept = tuple((name, value) for name, value in parts if value not in (None, (), "None"))
        return (type(node).__name__, *kept)
    if isinstance(node, list):
        return tuple(plain for item in node if (plain := _plain(item)))
    return repr(node)


@cache
def shipped() -> tuple[Template, ...]:
    """Every text that was shipped, oldest first."""
    data = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    keys = data["lines"]
    return tuple(
        Template(
            each["name"],
            each["first"],
            each["last"],
            each["meaning"],
            tuple(keys[number] for number in each["lines"]),
        )
        for each in data["templates"]
    )


def installed(name: str) -> Path | None:
    """The ``env.py`` of a template of the installed Flask-Migrate, which is not imported."""
    spec = importlib.util.find_spec("flask_migrate")
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).parent / "templates" / name / "env.py"
    return path if path.is_file() else None


def _installed_texts() -> dict[str, str]:
    """The templates of the installed release: text and name."""
    paths = {name: installed(name) for name in NAMES}
    return {path.read_text(encoding="utf-8"): name for name, path in paths.items() if path}


def compare(path: Path) -> EnvTemplate:
    """Find the template that an ``env.py`` was made from."""
    try:
        text = read_text_file(path)
        if name := _installed_texts().get(text):
            return EnvTemplate(name)
        tree = parse(text, str(path))
        release = version("flask-migrate")
    except (OSError, ValueError, SyntaxError, PackageNotFoundError):
        return EnvTemplate()
    found = meaning(tree)
    known = [each for each in shipped() if each.meaning == found]
    origin = known[-1] if known else _nearest(text)
    newest = installed(origin.name) if origin is not None else None
    if origin is None or newest is None:
        own = faults(tree, multidb="upgrade_token" in text)
        return EnvTemplate(installed=release, modified=True, faults=own)
    replacement = newest.read_text(encoding="utf-8")
    newer = _numbers(origin.first) > _numbers(release)
    current = meaning(parse(replacement, str(newest))) == origin.meaning
    return EnvTemplate(
        origin.name,
        origin.last,
        release,
        outdated=not (newer or current),
        modified=not known,
        faults=faults(tree, multidb="multidb" in origin.name),
        patch="" if known or newer or current else _patch(path, origin, text, replacement),
        replacement=str(newest),
    )


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:3])


def _nearest(text: str) -> Template | None:
    ours = Counter(key for key in map(line_key, text.splitlines()) if key)
    best, most = None, _ALIKE
    for each in shipped():
        theirs = Counter(key for key in each.lines if key)
        alike = 2 * sum((ours & theirs).values()) / max(sum((ours + theirs).values()), 1)
        if alike >= most:
            best, most = each, alike
    return best


def _patch(path: Path, origin: Template, text: str, replacement: str) -> str:
    """The difference to the installed template with the project's own lines kept; "" if the two
    have changed the same lines."""
    merged = merge(origin.lines, text.splitlines(), replacement.splitlines())
    if merged is None:
        return ""
    try:
        tree = parse("\n".join(merged), str(path))
        lacks = {each.name for each in names_missing("\n".join(merged), str(path))}
    except SyntaxError:
        return ""
    if lacks - {each.name for each in names_missing(text, str(path))}:
        return ""
    multidb = "multidb" in origin.name
    wanted = passed(parse(text, str(path))) - {"process_revision_directives"}
    if not wanted <= passed(tree) or faults(tree, multidb=multidb) - faults(
        parse(replacement, str(path)), multidb=multidb
    ):
        return ""
    name = f"{path.parent.name}/{path.name}"
    lines = difflib.unified_diff(
        text.splitlines(), merged, f"a/{name}", f"b/{name}", n=1, lineterm=""
    )
    return "\n".join(lines)


def merge(base: Sequence[str], ours: list[str], theirs: list[str]) -> list[str] | None:
    """Three-way merge of lines of which the base is known by its keys only.

    :return: None where both sides have changed the same lines.
    """
    our_keys, their_keys = [*map(line_key, ours)], [*map(line_key, theirs)]
    to_ours, to_theirs = dict(_same(base, our_keys)), dict(_same(base, their_keys))
    merged: list[str] = []
    b = o = t = 0
    for at in (*(n for n in range(len(base)) if n in to_ours and n in to_theirs), len(base)):
        o_end, t_end = to_ours.get(at, len(ours)), to_theirs.get(at, len(theirs))
        was, our, their = base[b:at], our_keys[o:o_end], their_keys[t:t_end]
        if list(was) == our:
            merged += theirs[t:t_end]
        elif list(was) == their or our == their:
            merged += ours[o:o_end]
        else:
            both = _with_additions(was, ours[o:o_end], theirs[t:t_end])
            if both is None:
                return None
            merged += both
        if at < len(base):
            merged.append(ours[o_end])
        b, o, t = at + 1, o_end + 1, t_end + 1
    return merged


def _with_additions(
    base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]
) -> list[str] | None:
    """Put lines that we have added where they stood, counted from the top of the part; None if we
    have changed others too."""
    both = list(theirs)
    same = {our: was for was, our in _same(base, [*map(line_key, ours)])}
    if len(same) < len(base):
        return None
    place = added = 0
    for number, line in enumerate(ours):
        if number in same:
            place = same[number] + 1
        else:
            both.insert(min(place, len(theirs)) + added, line)
            added += 1
    return both


def _same(base: Sequence[str], keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    matcher = difflib.SequenceMatcher(None, base, keys, autojunk=False)
    for block in matcher.get_matching_blocks():
        for n in range(block.size):
            yield block.a + n, block.b + n
