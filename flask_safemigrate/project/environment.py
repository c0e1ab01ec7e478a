"""Reads the migration environment: the folder, ``alembic.ini`` and ``env.py``."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from flask_safemigrate.facts.project import GitFacts, ProjectState
from flask_safemigrate.project.files import read_file
from flask_safemigrate.project.git import read_git
from flask_safemigrate.project.headers import module_constants, parse
from flask_safemigrate.project.locations import read_locations, revision_files

_ASYNC_NAMES = frozenset(
    {"AsyncEngine", "async_engine_from_config", "run_async", "run_sync", "run_until_complete"}
)


class EnvFile(NamedTuple):
    """What ``env.py`` says, read without running it.

    :param problem: why it cannot be used, "" where it can.
    :param line: line of the problem, None where it has none.
    :param is_async: whether it connects through asyncio.
    :param multidb: whether it migrates every bind.
    :param keywords: keywords that it passes by name to ``context.configure``; ``**`` where it
        passes a mapping too, as Flask-Migrate's template does with the extension's arguments.
    :param own_metadata: whether it takes the models from elsewhere than Flask-SQLAlchemy's object,
        as far as can be told.
    :param version_table: the table that it names as ``version_table``, None where it names none.
    :param per_revision: whether it says ``transaction_per_migration=True``.
    :param role: the role that it takes by ``SET ROLE``, "" for none.
    :param tenants: whether it migrates several schemas of one database in a loop.
    :param schema_by: what it sends tables without a schema to another one by, as far as can be
        told: ``schema_translate_map``, ``SET search_path`` or "".
    """

    exists: bool = True
    problem: str = ""
    line: int | None = None
    is_async: bool = False
    multidb: bool = False
    own_metadata: bool = False
    keywords: frozenset[str] = frozenset()
    version_table: str | None = None
    per_revision: bool = False
    role: str = ""
    tenants: bool = False
    schema_by: str = ""


def read_env(path: Path) -> EnvFile:
    """Read ``env.py``."""
    try:
        data = read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return EnvFile(exists=False)
    except OSError as error:
        return EnvFile(problem=f"it cannot be read: {error.strerror or error}")
    for number, line in enumerate(data.splitlines(), 1):
        if line.startswith((b"<<<<<<< ", b">>>>>>> ")):
            return EnvFile(problem="it holds an unresolved merge conflict", line=number)
    try:
        tree = parse(data, str(path))
    except SyntaxError as error:
        return EnvFile(problem=f"it does not compile: {error.msg}", line=error.lineno)
    names = set()
    calls = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
            if node.attr == "run" and isinstance(node.value, ast.Name):
                names.add(f"{node.value.id}.run")
        elif isinstance(node, ast.alias):
            names.add(node.name)
        elif isinstance(node, ast.AsyncFunctionDef):
            names.add("run_async")
        elif isinstance(node, ast.Call):
            calls.append(node)
    if not calls:
        # Alembic runs such a file without a word, and the upgrade does nothing.
        return EnvFile(problem="it never calls context.run_migrations()")
    configures = [call for call in calls if _is_configure(call)]
    keywords = {k.arg: k.value for call in configures for k in call.keywords if k.arg}
    mapped = {"**" for call in configures for k in call.keywords if k.arg is None}
    constants = module_constants(tree)
    each = keywords.get("transaction_per_migration")
    tables = [keywords["version_table"]] if "version_table" in keywords else _tables(tree)
    named = {_text(table, constants) for table in tables}
    return EnvFile(
        is_async=bool(names & _ASYNC_NAMES) or "asyncio.run" in names,
        multidb="upgrade_token" in keywords or "bind_names" in names,
        own_metadata=_has_own_metadata(tree),
        keywords=frozenset(keywords) | mapped,
        version_table=named.pop() if len(named) == 1 else None,
        per_revision=isinstance(each, ast.Constant) and each.value is True,
        role=_role(tree) if _ROLE.search(data) else "",
        tenants=_has_tenants(tree, data),
        schema_by=_schema_by(tree),
    )


_ROLE = re.compile(rb"\bSET\s+(?:SESSION\s+|LOCAL\s+)?ROLE\s+(\"[^\"]+\"|\w+)", re.IGNORECASE)
_OF_SCHEMAS = re.compile(
    rb"search_path|default_schema_name|version_table_schema|schema_translate_map"
)


def _tables(tree: ast.Module) -> list[ast.expr]:
    """What stands under "version_table" in a dictionary, which is to be handed on."""
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = [t.slice for t in node.targets if isinstance(t, ast.Subscript)]
            found += [node.value for target in targets if _is_table(target)]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            found += [value for key, value in pairs if _is_table(key)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += [k.value for k in node.keywords if k.arg == "version_table"]
        elif isinstance(node, ast.Call) and len(node.args) == 2 and _is_table(node.args[0]):
            found.append(node.args[1])
    return found


def _is_table(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value == "version_table"


def _text(node: ast.expr, constants: Mapping[str, object]) -> str | None:
    """The text that an expression of constants makes, None where it is anything else."""
    if isinstance(node, ast.Name):
        value = constants.get(node.id)
        return value if isinstance(value, str) else None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    parts: list[ast.expr] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [node.left, node.right]
    elif isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.FormattedValue) else p for p in node.values]
    texts = [_text(part, constants) for part in parts]
    return "".join(texts) if texts and None not in texts else None  # type: ignore[arg-type]


def _role(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _ROLE.search(node.value.encode())
            if found and found[1].upper() != b"NONE":
                return found[1].decode().strip('"')
    return ""


def _has_tenants(tree: ast.Module, data: bytes) -> bool:
    """Whether migrations are configured in a loop that is about schemas.

    A loop over the engines of several binds is not.
    """
    if not _OF_SCHEMAS.search(data):
        return False
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _configures(node, frozenset())
    ]
    names = frozenset(node.name for node in functions)
    return any(
        _configures(loop, names)
        and any(_OF_SCHEMAS.search(ast.unparse(each).encode()) for each in (loop, *functions))
        for loop in ast.walk(tree)
        if isinstance(loop, (ast.For, ast.While))
    )


_SEARCH_PATH = re.compile(
    r"\bSET\s+(?:SESSION\s+|LOCAL\s+)?search_path\s*(?:=|\bTO\b)(.*)|"
    r"\bset_config\(\s*'search_path'\s*,(.*)",
    re.IGNORECASE | re.DOTALL,
)
_EVERYBODYS = frozenset({"public", "$user", "default", "pg_catalog"})


def _schema_by(tree: ast.Module) -> str:
    maps: list[ast.expr] = []
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            maps += [k.value for k in node.keywords if k.arg == "schema_translate_map"]
        elif isinstance(node, ast.Dict):
            maps += [
                value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant) and key.value == "schema_translate_map"
            ]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _SEARCH_PATH.search(node.value)
            if found and id(node) not in prose:
                names = (found[1] or found[2] or "").strip(" ;").split(",")
                if any(name.strip(" \"'").lower() not in _EVERYBODYS for name in names):
                    return "SET search_path"
    return "schema_translate_map" if any(map(_translates, maps)) else ""


def _translates(written: ast.expr) -> bool:
    """Whether a ``schema_translate_map`` has the key None, or could have it."""
    if isinstance(written, ast.Dict):
        keys = written.keys
        return any(not isinstance(key, ast.Constant) or key.value is None for key in keys)
    return not (isinstance(written, ast.Constant) and written.value is None)


def _configures(node: ast.AST, functions: frozenset[str]) -> bool:
    return any(
        isinstance(each, ast.Call)
        and (
            _is_configure(each) or (isinstance(each.func, ast.Name) and each.func.id in functions)
        )
        for each in ast.walk(node)
    )


def _has_own_metadata(tree: ast.Module) -> bool:
    """Whether the models come from elsewhere than ``db.metadata`` or ``db.metadatas``.

    The object is called ``db`` or ``target_db``, or is that of the extension
    (``current_app.extensions["migrate"].db``).
    """
    owners = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("metadata", "metadatas")
    ]
    return not owners or any(
        not (isinstance(owner, ast.Name) and owner.id in ("db", "target_db"))
        and not (isinstance(owner, ast.Attribute) and owner.attr == "db")
        for owner in owners
    )


def _is_configure(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "configure"
        and isinstance(function.value, ast.Name)
        and function.value.id == "context"
    )


def configure_keywords(path: Path) -> frozenset[str]:
    """Keywords that ``env.py`` itself passes by name to ``context.configure``."""
    return read_env(path).keywords


def read_project(
    directory: Path,
    *,
    app: str,
    models: Mapping[str, tuple[str, ...]] | None = None,
    config_problems: tuple[tuple[str, str], ...] = (),
    git: bool = True,
) -> ProjectState:
    """Read what there is of the project on disk.

    :param directory: the migrations folder.
    :param app: the application's name.
    :param models: tables that the models define per bind key; "" is the default bind. None means
        that nobody looked.
    :param config_problems: pairs of (kind, message), see :class:`ProjectState`.
    :param git: whether git is asked; it takes one or two processes.
    """
    directory = directory.absolute()
    locations = read_locations(directory)
    env = read_env(directory / "env.py")
    facts = GitFacts()
    if git and directory.is_dir():
        facts = read_git(directory, locations.folders, revision_files(locations))
    return ProjectState(
        app=app,
        directory=str(directory),
        directory_exists=directory.is_dir(),
        versions_exists=any(folder.is_dir() for folder in locations.folders),
        ini_exists=(directory / "alembic.ini").is_file(),
        env_exists=env.exists,
        env_problem=env.problem,
        env_problem_line=env.line,
        is_async=env.is_async,
        multidb=env.multidb,
        own_metadata=env.own_metadata,
        models=models or {},
        config_problems=config_problems,
        git=facts,
        ini_problem=locations.problem,
        locations=tuple(str(folder) for folder in locations.folders),
        configure_keywords=env.keywords,
        version_table=env.version_table,
        per_revision=env.per_revision,
        env_role=env.role,
        tenants=env.tenants,
        schema_by=env.schema_by,
    )
