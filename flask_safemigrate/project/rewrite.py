"""Changes the header of a revision file and nothing else in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from flask_safemigrate.errors import Refused
from flask_safemigrate.project.headers import parse, read_header

_REVISES = re.compile(r"^([ \t]*Revises:)[^\r\n]*", re.MULTILINE)
_REVISION_ID = re.compile(r"^([ \t]*Revision ID:)[^\r\n]*", re.MULTILINE)


def with_parents(text: str, parents: Sequence[str]) -> str:
    """Return a revision file that comes after other revisions.

    The value of ``down_revision`` and the line ``Revises:`` of the docstring change.

    :raises Refused: its header is written in a way that cannot be changed safely.
    """
    ids = tuple(parents)
    value = repr(ids[0]) if len(ids) == 1 else repr(ids or None)
    changed = _in_docstring(_assigned(text, "down_revision", value), _REVISES, ", ".join(ids))
    read = read_header(changed, "x.py").revision
    before = read_header(text, "x.py").revision
    if read is None or before is None or read.parents != ids or read.id != before.id:
        raise Refused("The header of the file could not be changed safely.")
    return changed


def with_id(text: str, id: str) -> str:
    """Return a revision file under another revision id.

    :raises Refused: its header is written in a way that cannot be changed safely.
    """
    changed = _in_docstring(_assigned(text, "revision", repr(id)), _REVISION_ID, id)
    read = read_header(changed, "x.py").revision
    before = read_header(text, "x.py").revision
    if read is None or before is None or read.id != id or read.parents != before.parents:
        raise Refused("The header of the file could not be changed safely.")
    return changed


def _assigned(text: str, name: str, value: str) -> str:
    """Replace the value that a module gives to a name at its top level."""
    try:
        tree = parse(text, "x.py")
    except SyntaxError as error:
        raise Refused(f"The file is no valid Python: {error.msg}.") from None
    nodes = []
    for statement in tree.body:
        targets: Sequence[ast.expr] = ()
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            nodes.append(getattr(statement, "value", None))
    if len(nodes) != 1 or nodes[0] is None:
        raise Refused(f"The file does not give {name} a value exactly once.")
    return _spliced(text, nodes[0], value)


def _spliced(text: str, node: ast.expr, value: str) -> str:
    # Offsets of ast are bytes of UTF-8; its lines end as those of a file do.
    lines = [line.encode() for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)]
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    first, last = node.lineno - 1, node.end_lineno - 1
    start = sum(map(len, lines[:first])) + node.col_offset
    end = sum(map(len, lines[:last])) + node.end_col_offset
    whole = b"".join(lines)
    return (whole[:start] + value.encode() + whole[end:]).decode()


def _in_docstring(text: str, line: re.Pattern[str], value: str) -> str:
    docstring = ast.get_docstring(parse(text, "x.py"), clean=False)
    if not docstring or not line.search(docstring):
        return text
    match = line.search(text)
    assert match is not None
    return text[: match.end(1)] + f" {value}".rstrip() + text[match.end() :]
