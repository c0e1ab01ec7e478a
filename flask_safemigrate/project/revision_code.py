"""What revision files do beside their headers: names they lack, models they import."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from flask_safemigrate.facts.project import ModelImport, UnknownName
from flask_safemigrate.project.files import read_file, read_text_file
from flask_safemigrate.project.headers import parse

_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)
_MODULE_NAMES = frozenset(
    {*dir(builtins), "__file__", "__name__", "__doc__", "__package__", "__spec__", "__loader__"}
)


def unknown_names(path: str) -> tuple[UnknownName, ...]:
    """Names that a file uses and that nothing in it defines or imports."""
    try:
        text = read_text_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tuple(names_missing(text, path))
    except (OSError, ValueError, SyntaxError):
        return ()


def names_missing(text: str, path: str) -> Iterator[UnknownName]:
    """The same for a text.

    :raises SyntaxError: it is no Python.
    """
    tree = parse(text, path)
    stars = any(
        alias.name == "*"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )
    # Neither can be followed without running the file.
    if stars or "exec(" in text:
        return
    top = symtable.symtable(text, path, "exec")
    defined = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    defined |= {child.get_name() for child in top.get_children()}
    every = [*_scopes(top)]
    for scope in every:
        defined |= {
            s.get_name()
            for s in scope.get_symbols()
            if s.is_declared_global() and (s.is_assigned() or s.is_imported())
        }
    missing = {
        s.get_name()
        for scope in every
        for s in scope.get_symbols()
        if s.is_referenced() and (s.is_global() or scope is top)
    } - (defined | _MODULE_NAMES)
    told: set[str] = set()
    for statement in tree.body:
        function = statement.name if isinstance(statement, ast.FunctionDef) else ""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id in missing - told:
                told.add(node.id)
                yield UnknownName(path, node.id, node.lineno, function)


def _scopes(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _scopes(child)


def own_imports(paths: Iterable[str], root: Path) -> tuple[str, ...]:
    """Those files that import a module of the project itself.

    :param root: the folder that its modules are imported from.
    """
    # A folder of migrations may be called alembic.
    own = {"alembic": False, "sqlalchemy": False}
    found = []
    for path in paths:
        try:
            names = set(_IMPORT.findall(read_file(path)))
        except OSError:
            continue
        for found_name in names:
            name = found_name.decode(errors="replace")
            if name not in own:
                own[name] = (root / f"{name}.py").is_file() or any((root / name).glob("*.py"))
            if own[name]:
                found.append(path)
                break
    return tuple(found)


def model_imports(
    paths: Iterable[str], models: Collection[tuple[str, str]]
) -> tuple[ModelImport, ...]:
    """Imports of the application's models by revision files.

    :param models: module and class of every model.
    """
    modules = {module for module, _ in models}
    classes = {name for _, name in models}
    found = []
    for path in paths:
        try:
            tree = parse(read_file(path), path)
        except (OSError, SyntaxError):
            continue
        names: dict[str, int] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in modules:
                        names.setdefault(alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                package = node.module.partition(".")[0]
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    # A package may hand on what one of its modules defines.
                    near = any(each.partition(".")[0] == package for each in modules)
                    if whole in modules or (alias.name in classes and near):
                        names.setdefault(alias.name, node.lineno)
        if names:
            found.append(ModelImport(path, tuple(names), min(names.values())))
    return tuple(found)
