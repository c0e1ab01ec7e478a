"""The databases that an application's configuration names."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flask_safemigrate.backends import backend_for, is_served
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import Refused, UsageError
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.names import DIALECTS, MEMORY
from flask_safemigrate.report import redaction

Engines = Mapping[str | None, sa.Engine]


def problems_of(engines: Engines, config: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is wrong with the databases' addresses, as ``ProjectState`` wants it.

    :param config: the application's.
    """
    problems = []
    if not engines:
        problems.append(
            (
                "no url",
                "SQLALCHEMY_DATABASE_URI is not set, and env.py migrates the default database "
                "only.",
            )
        )
    for key, engine in engines.items():
        of = f"Bind '{key}': " if key is not None else ""
        if is_misread(engine, written_url(key, config)):
            problems.append(
                (
                    "url",
                    f"{of}The password in the URL of the database holds an @ that is not "
                    "escaped, so that a part of it is taken for the host, the database or a "
                    "parameter. Nothing was connected to.",
                )
            )
            continue
        try:
            backend_for(engine)
        except Refused as reason:
            kind = "async" if engine.dialect.is_async else "dialect"
            problems.append((kind, of + reason.message))
    return tuple(problems)


def schema_by(engines: Engines) -> str:
    """What an engine sends tables without a schema to another one by, "" for nothing."""
    options = (engine.get_execution_options() for engine in engines.values())
    moved = any(None in (each.get("schema_translate_map") or ()) for each in options)
    return "schema_translate_map" if moved else ""


def targets_of(
    engines: Engines, config: Mapping[str, Any], *, version_table: str, version_schema: str | None
) -> Mapping[str, Target]:
    """Every database that we serve, by bind key; "" is the default.

    :param config: the application's.
    """
    found = {}
    for key, engine in engines.items():
        written = written_url(key, config)
        if engine.dialect.is_async or not is_served(engine) or is_misread(engine, written):
            continue
        found[key or ""] = Target(
            key or "",
            engine,
            version_table=version_table,
            version_schema=version_schema,
            configured=_relative_path(written),
        )
    return found


def unasked(engines: Engines, dialect: str | None = None) -> tuple[DatabaseState, ...]:
    """Every database as its URL names it, without a connection.

    :param dialect: what they are in spite of their URLs, or where there is no URL.
    :raises UsageError: the dialect of one cannot be told or is not served.
    """
    hint = f"--dialect, with one of {', '.join(DIALECTS)}"
    if not engines and dialect is None:
        raise UsageError("No URL says of which kind the database is.", hint=hint)
    found = []
    for key in engines or (None,):
        name = dialect or engines[key].dialect.name
        if name not in DIALECTS:
            raise UsageError(f"Databases of kind '{name}' are not judged.", hint=hint)
        bind = key or ""
        found.append(DatabaseState(bind, name, bind or name, bind or name, exists=False))
    return tuple(found)


def written_url(key: str | None, config: Mapping[str, Any]) -> object:
    """What the configuration says is the URL of a bind; None is the default."""
    if key is None:
        return config.get("SQLALCHEMY_DATABASE_URI")
    written = (config.get("SQLALCHEMY_BINDS") or {}).get(key)
    return written.get("url") if isinstance(written, Mapping) else written


def is_misread(engine: sa.Engine, written: object = None) -> bool:
    """Whether a part of the password was taken for something else, which nothing may print or
    look up then.

    :param written: the URL as the configuration has it, where it is a text.
    """
    url = engine.url
    if isinstance(written, str):
        return redaction.is_misread(written) or "@" in (url.host or "")
    server = url.get_backend_name() != "sqlite"
    return server and "@" in f"{url.host or ''}{url.database or ''}"


def shown(url: sa.URL) -> str:
    """A URL without what may be secret in it: the password, and parameters that nobody knows."""
    if url.get_backend_name() != "sqlite" and "@" in f"{url.host or ''}{url.database or ''}":
        return f"{url.drivername}://{redaction.BLANK}"
    query = {k: v if redaction.is_harmless(k) else redaction.BLANK for k, v in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("%2A", "*")


def _relative_path(written: object) -> str:
    """The SQLite path of a configured URL, where it is a relative one."""
    with contextlib.suppress(Exception):
        url = sa.make_url(written)  # type: ignore[arg-type]
        path = url.database or ""
        if url.get_backend_name() == "sqlite" and path not in ("", MEMORY):
            return "" if Path(path).is_absolute() or path.startswith("file:") else path
    return ""
