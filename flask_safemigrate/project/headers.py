"""The header of a revision file, read from its text."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from pathlib import PurePath
from typing import NamedTuple

from flask_safemigrate.facts.history import BrokenFile, Revision
from flask_safemigrate.findings import Waiver

_NAMES = ("revision", "down_revision", "branch_labels", "depends_on")
_DOCSTRING = re.compile(
    r"""\A\s*(?:"{3}(?P<d>[^"\\]*(?:"(?!"")[^"\\]*)*)"{3}"""
    r"""|'{3}(?P<s>[^'\\]*(?:'(?!'')[^'\\]*)*)'{3})"""
)
# One line that holds nothing but None or one plain string.
_LINE = re.compile(
    r"^(revision|down_revision|branch_labels|depends_on)[ \t]*(?::[^=\n\"'#]*)?="
    r"[ \t]*(?:(None)|\"([^\"\\\n]*)\"|'([^'\\\n]*)')?(.*)$",
    re.MULTILINE,
)
_REST = re.compile(r"[ \t]*;?[ \t\r]*(?:#.*)?\Z")
_MENTION = re.compile(rf"\b(?:{'|'.join(_NAMES)})\b[^\n]*=")
_PHASE = "safemigrate_phase"
_PHASE_LINE = re.compile(
    rf"^{_PHASE}[ \t]*(?::[^=\n\"'#]*)?=[ \t]*(?:\"([^\"\\\n]*)\"|'([^'\\\n]*)')(.*)$",
    re.MULTILINE,
)
_ALLOW = "safemigrate_allow"
_CREATED = re.compile(r"^[ \t]*Create Date:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_REVISES = re.compile(r"^[ \t]*Revises:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_MARKER = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: |$)|^={7}$", re.MULTILINE)
_GUESS = re.compile(r"^revision\b[^=\n]*=[ \t]*[\"']([^\"'\n]+)[\"']", re.MULTILINE)
_LEGACY = re.compile(r"([a-f0-9]+)\.py$")

Header = dict[str, "tuple[str, ...]"]


class _Unclear(Exception):
    """The value of a header is computed, not written down."""


class Reading(NamedTuple):
    """What one file turned out to be; at least one of the two is there."""

    revision: Revision | None = None
    broken: BrokenFile | None = None


def _quick(text: str) -> tuple[Header, str] | None:
    """Read the header as Alembic's templates write it; None if it is written otherwise."""
    docstring = ""
    start = 0
    if match := _DOCSTRING.match(text):
        docstring, start = match["d"] or match["s"] or "", match.end()
    end = text.find("\ndef ", start)
    end = len(text) if end < 0 else end
    found: Header = {}
    for match in _LINE.finditer(text, start):
        name, none, double, single, rest = match.groups()
        if name in found or match.start() > end or not _REST.match(rest):
            return None
        value = single if double is None else double
        if value is None and none is None:
            return None
        found[name] = () if value is None else (value,)
    if _ALLOW in text:
        return None
    if _PHASE in text:
        marks = _PHASE_LINE.findall(text, start, end)
        if len(marks) != 1 or text.count(_PHASE) != 1 or not _REST.match(marks[0][2]):
            return None
        found[_PHASE] = (marks[0][0] or marks[0][1],)
    # Both ids must be there, outside of any other string, and assigned once.
    if not found.get("revision") or "down_revision" not in found:
        return None
    header = text[start:end]
    assigning = "\n".join(line for line in header.split("\n") if "=" in line)
    if '"""' in header or "'''" in header or len(_MENTION.findall(assigning)) != len(found):
        return None
    return found, docstring


def _evaluate(node: ast.expr, constants: Mapping[str, object]) -> object:
    if isinstance(node, ast.Name) and node.id in constants:
        return constants[node.id]
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return tuple(_evaluate(item, constants) for item in node.elts)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("tuple", "list", "set", "frozenset")
        and not node.args
        and not node.keywords
    ):
        return ()
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise _Unclear from None


def _names(value: object) -> tuple[str, ...]:
    """Turn a header's value into ids, as Alembic's ``util.to_tuple`` does."""
    items = (value,) if isinstance(value, str) else value
    if items is None:
        return ()
    if not isinstance(items, tuple) or not all(isinstance(item, str) for item in items):
        raise _Unclear
    return items


def module_constants(tree: ast.Module) -> dict[str, object]:
    """The literals that a module assigns to names at its top level."""
    constants: dict[str, object] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                try:
                    constants[target.id] = _evaluate(value, constants)
                except _Unclear:
                    constants[target.id] = _Unclear
    return constants


def parse(text: str | bytes, path: str) -> ast.Module:
    """Parse Python source without the warnings that its compilation would give.

    :raises SyntaxError: it is no Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, path)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error)) from error


def _thorough(tree: ast.Module, path: str) -> tuple[Header, str]:
    """Read a header that is written in another way than the templates write it."""
    constants = module_constants(tree)
    assigned = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    found: Header = {}
    for name in (*_NAMES, _PHASE):
        if name in constants:
            value = constants[name]
            if value is _Unclear:
                raise _Unclear
            found[name] = _names(value)
        elif name in assigned or _imports(tree, name):
            raise _Unclear
    if "revision" not in found and (match := _LEGACY.match(PurePath(path).name)):
        # Alembic takes the id from the file's name where the file does not say one.
        found["revision"] = (match[1],)
    return found, ast.get_docstring(tree, clean=False) or ""


def _waivers(text: str, path: str) -> tuple[Waiver, ...]:
    """What ``safemigrate_allow`` says: a dictionary of reasons, or codes that have none."""
    for statement in parse(text, path).body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        named = any(isinstance(each, ast.Name) and each.id == _ALLOW for each in targets)
        value = getattr(statement, "value", None)
        if not named or value is None:
            continue
        try:
            said = ast.literal_eval(value)
        except (ValueError, TypeError, MemoryError, RecursionError):
            return (Waiver(ast.unparse(value)),)
        if isinstance(said, str):
            said = [said]
        if not isinstance(said, dict):
            said = dict.fromkeys(
                said if isinstance(said, (list, tuple, set)) else (str(said),), ""
            )
        parts = (
            (str(key).partition(":"), reason if isinstance(reason, str) else "")
            for key, reason in said.items()
        )
        return tuple(
            Waiver(code.strip(), object.strip(), reason.strip())
            for (code, _, object), reason in parts
        )
    return ()


def _imports(tree: ast.Module, name: str) -> bool:
    return any(
        (alias.asname or alias.name) == name
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    )


def _guess(text: str) -> str:
    match = _GUESS.search(text)
    return match[1] if match else ""


def syntax_problem(error: SyntaxError, path: str, id: str = "") -> BrokenFile:
    """Say that a file is no Python."""
    return BrokenFile(path, "syntax", error.msg or "invalid syntax", error.lineno, id)


def read_header(text: str, path: str) -> Reading:
    """Read one revision file.

    What Alembic's own templates write is read by a regular expression; whatever else is Python
    is parsed.
    """
    broken: BrokenFile | None = None
    if "<<<<<<<" in text or ">>>>>>>" in text:
        marker = _MARKER.search(text)
        if marker:
            line = text.count("\n", 0, marker.start()) + 1
            broken = BrokenFile(path, "merge marker", marker[0].strip(), line, _guess(text))
    read = _quick(text)
    if read is None:
        if broken:
            return Reading(broken=broken)
        try:
            read = _thorough(parse(text, path), path)
        except SyntaxError as error:
            return Reading(broken=syntax_problem(error, path, _guess(text)))
        except _Unclear:
            message = "its revision header is computed, not written down"
            return Reading(broken=BrokenFile(path, "not literal", message, id=_guess(text)))
    found, docstring = read
    if len(found.get("revision", ())) != 1 or not found["revision"][0]:
        return Reading(broken=BrokenFile(path, "no revision", "it assigns no 'revision'"))
    id = found["revision"][0]
    if "down_revision" not in found:
        message = "it assigns no 'down_revision'"
        return Reading(broken=BrokenFile(path, "no revision", message, id=id))
    created = _CREATED.search(docstring)
    revises = _REVISES.search(docstring)
    revision = Revision(
        id=id,
        parents=tuple(dict.fromkeys(found["down_revision"])),
        depends_on=found.get("depends_on", ()),
        labels=found.get("branch_labels", ()),
        message=docstring.strip().partition("\n")[0].strip(),
        created=created[1] if created else "",
        path=path,
        phase="".join(found.get(_PHASE, ("before",))),
        waivers=_waivers(text, path) if _ALLOW in text else (),
        revises=tuple(revises[1].replace(",", " ").split()) if revises else (),
    )
    return Reading(revision, broken)
