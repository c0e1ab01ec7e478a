"""Reads the project's history: the revision files, without importing them."""

from __future__ import annotations

import ast
import codecs
import hashlib
import importlib.util
import io
import os
import re
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from flask_safemigrate.facts.history import BrokenFile, History, Revision
from flask_safemigrate.project.files import read_file
from flask_safemigrate.project.headers import (
    module_constants,
    parse,
    read_header,
    syntax_problem,
)
from flask_safemigrate.project.locations import read_locations, revision_files

# Where each operation of alembic.op names its tables: position and keyword of the argument.
_TABLE_ARGUMENTS: dict[str, tuple[tuple[int, str], ...]] = {
    "add_column": ((0, "table_name"),),
    "alter_column": ((0, "table_name"),),
    "batch_alter_table": ((0, "table_name"),),
    "create_check_constraint": ((1, "table_name"),),
    "create_exclude_constraint": ((1, "table_name"),),
    "create_foreign_key": ((1, "source_table"),),
    "create_index": ((1, "table_name"),),
    "create_primary_key": ((1, "table_name"),),
    "create_table": ((0, "table_name"),),
    "create_table_comment": ((0, "table_name"),),
    "create_unique_constraint": ((1, "table_name"),),
    "drop_column": ((0, "table_name"),),
    "drop_constraint": ((1, "table_name"),),
    "drop_index": ((1, "table_name"),),
    "drop_table": ((0, "table_name"),),
    "drop_table_comment": ((0, "table_name"),),
    "rename_table": ((0, "old_table_name"), (1, "new_table_name")),
}


def read_history(directory: Path, *, compile: bool = False) -> History:
    """Read the header of every revision file that Alembic would load.

    :param directory: the migrations folder, which holds ``alembic.ini`` and ``versions/``.
    :param compile: also find syntax errors below the headers; without it a file is only read as
        far as its header needs (about 30 microseconds a file, warm).
    """
    revisions: list[Revision] = []
    broken: list[BrokenFile] = []
    for path in revision_files(read_locations(directory)):
        text = _text(path)
        if isinstance(text, BrokenFile):
            broken.append(text)
            continue
        reading = read_header(text, path)
        if reading.revision:
            revisions.append(reading.revision)
        if reading.broken:
            broken.append(reading.broken)
        elif compile and reading.revision:
            problem = check_syntax(path, reading.revision.id)
            if problem:
                broken.append(problem)
    return History(tuple(revisions), tuple(broken))


def _text(path: str) -> str | BrokenFile:
    try:
        data = read_file(path)
    except OSError as error:
        return BrokenFile(path, "unreadable", error.strerror or str(error))
    try:
        return decoded(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return BrokenFile(path, "unreadable", "it is not UTF-8 text", line)


def decoded(data: bytes) -> str:
    """The text of a revision file, as Python reads it.

    :raises UnicodeDecodeError: it is not what it says, or not UTF-8 where it says nothing.
    """
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        # Python reads what a coding comment declares (PEP 263).
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            text = data.decode(encoding)
        except (SyntaxError, UnicodeDecodeError, LookupError):
            raise error from None
    return text.replace("\r\n", "\n") if "\r" in text else text


def encoded(text: str) -> bytes:
    """The bytes of a revision file, as its coding comment declares them; UTF-8 without one."""
    plain = text.encode()
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(plain).readline)
        return text.encode(encoding)
    except (SyntaxError, UnicodeEncodeError, LookupError):
        return plain


def read_text(path: str) -> str:
    """The text of a revision file, "" where it cannot be read."""
    text = _text(path)
    return "" if isinstance(text, BrokenFile) else text


def same_code(one: str, other: str) -> bool:
    """Whether two texts do the same: comments, blanks, docstrings and the order of the imports at
    the top do not count."""
    try:
        trees = [parse(text, "x.py") for text in (one, other)]
    except SyntaxError:
        return False
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
                node.body = node.body[1:]
        first = next(
            (at for at, node in enumerate(tree.body) if not _is_import(node)), len(tree.body)
        )
        tree.body[:first] = sorted(tree.body[:first], key=ast.dump)
    return ast.dump(trees[0]) == ast.dump(trees[1])


def _is_import(node: ast.stmt) -> bool:
    # What comes from __future__ must stand first, and what a star brings depends on the order.
    return isinstance(node, ast.Import) or (
        isinstance(node, ast.ImportFrom) and node.names[0].name != "*"
    )


@lru_cache(maxsize=8)
def _caches(folder: str, prefix: str | None) -> tuple[str, str]:
    """Where Python keeps what it compiled of a folder's files: what is before a name and after.

    :param prefix: ``sys.pycache_prefix``, on which the answer depends.
    """
    place, name = os.path.split(importlib.util.cache_from_source(os.path.join(folder, "x.py")))
    return os.path.join(place, ""), name.removeprefix("x")


def _compiled(path: str) -> bool:
    """Whether Python's cache says that this very file has compiled (PEP 552, by time)."""
    try:
        found = os.stat(path)
        folder, name = os.path.split(path)
        before, after = _caches(folder, sys.pycache_prefix)
        with open(f"{before}{name.removesuffix('.py')}{after}", "rb") as cache:
            head = cache.read(16)
    except (OSError, NotImplementedError):
        return False
    stamp = (int(found.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
    size = (found.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    return head == importlib.util.MAGIC_NUMBER + b"\0\0\0\0" + stamp + size


def check_syntax(path: str, id: str = "") -> BrokenFile | None:
    """Say what keeps Python from compiling a revision file, None if nothing does.

    :param id: the revision id, for the answer.
    """
    if _compiled(path):
        return None
    try:
        data = read_file(path)
    except OSError as error:
        return BrokenFile(path, "unreadable", error.strerror or str(error), id=id)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(data, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            return syntax_problem(error, path, id)
        except (ValueError, RecursionError, MemoryError) as error:
            return BrokenFile(path, "syntax", str(error), id=id)
    return None


def checksum(path: str) -> str:
    """SHA-256 of a revision file, hexadecimal; "" if it cannot be read.

    Line ends count as ``\\n``, so that a checkout on Windows is the same file.
    """
    try:
        data = read_file(path)
    except OSError:
        return ""
    return _sum(data)


def _sum(data: bytes) -> str:
    return hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()


def is_text_of(text: str, wanted: str) -> bool:
    """Whether a text is that of the file with this :func:`checksum`.

    What is read as text has lost the mark that some editors begin a file with.
    """
    data = encoded(text)
    return wanted in (_sum(data), _sum(codecs.BOM_UTF8 + data))


def checksums(history: History) -> dict[str, str]:
    """The checksum of every revision's file, by revision id."""
    return {r.id: checksum(r.path) for r in history.by_id.values()}


def named_in(paths: Iterable[str], tables: Iterable[str]) -> frozenset[str]:
    """Those of these tables that a revision file has in its text, be it in SQL or by ``op``.

    A file that makes whatever the models say (``create_all``), or cannot be read, may make each.

    :param tables: names, with a schema in front where they have one.
    """
    names = {table: table.rpartition(".")[2].lower() for table in tables}
    found: set[str] = set()
    for path in paths:
        text = _text(path)
        if isinstance(text, BrokenFile) or "create_all" in text:
            return frozenset(names)
        text = text.lower()
        words = set(re.findall(r"\w+", text))
        found.update(
            table
            for table, name in names.items()
            if (name in words if name.isidentifier() else name in text)
        )
    return frozenset(found)


def does_nothing(path: str, name: str) -> bool:
    """Whether a revision's function, or each function of its databases, has no statement."""
    text = _text(path)
    if isinstance(text, BrokenFile):
        return False
    try:
        tree = parse(text, path)
    except SyntaxError:
        return False
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    per_bind = [node for node in functions if node.name.startswith(f"{name}_")]
    found = per_bind or [node for node in functions if node.name == name]
    return bool(found) and all(_is_idle(node) for node in found)


def _is_idle(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Return) and node.value is None)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )


def with_tables(revision: Revision) -> Revision:
    """Add the tables that operations in ``upgrade()`` name literally, in the order of the file.

    A name may be a constant of the module. Tables in SQL text are not found.
    """
    text = _text(revision.path)
    if isinstance(text, BrokenFile):
        return revision
    try:
        tree = parse(text, revision.path)
    except SyntaxError:
        return revision
    constants = module_constants(tree)
    every: dict[str, tuple[str, ...]] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name.startswith("upgrade"):
            names: dict[str, None] = {}
            calls = sorted(
                (node for node in ast.walk(statement) if isinstance(node, ast.Call)),
                key=lambda call: (call.lineno, call.col_offset),
            )
            for call in calls:
                for argument in _table_arguments(call):
                    value = constants.get(argument.id) if isinstance(argument, ast.Name) else None
                    if isinstance(argument, ast.Constant):
                        value = argument.value
                    if isinstance(value, str):
                        names.setdefault(value)
            every[statement.name] = tuple(names)
    # As flask db init --multidb writes them; the default bind has no name.
    whole = every.pop("upgrade", ())
    binds = [(name.removeprefix("upgrade_"), of) for name, of in every.items()]
    return revision._replace(
        tables=tuple(dict.fromkeys(name for of in (whole, *every.values()) for name in of)),
        tables_by_bind=tuple(binds),
    )


def _table_arguments(call: ast.Call) -> Iterator[ast.expr]:
    function = call.func
    if not (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "op"
    ):
        return
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    for position, keyword in _TABLE_ARGUMENTS.get(function.attr, ()):
        if keyword in keywords:
            yield keywords[keyword]
        elif position < len(call.args):
            yield call.args[position]
