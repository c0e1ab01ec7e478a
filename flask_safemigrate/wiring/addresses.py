"""The databases that an application's configuration names."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flask_safemigrate.backends import backend_for, is_served
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import Refused

Engines = Mapping[str | None, sa.Engine]


def problems_of(engines: Engines) -> tuple[tuple[str, str], ...]:
    """What is wrong with the databases' addresses, as ``ProjectState`` wants it."""
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
        if _misread(engine):
            problems.append(
                (
                    "url",
                    f"{of}The password in the URL of the database holds an @ that is not "
                    "escaped, so that a part of it is taken for the host.",
                )
            )
            continue
        try:
            backend_for(engine)
        except Refused as reason:
            kind = "async" if engine.dialect.is_async else "dialect"
            problems.append((kind, of + reason.message))
    return tuple(problems)


def targets_of(
    engines: Engines, config: Mapping[str, Any], *, version_table: str, version_schema: str | None
) -> Mapping[str, Target]:
    """Every database that we serve, by bind key; "" is the default.

    :param config: the application's.
    """
    binds = config.get("SQLALCHEMY_BINDS") or {}
    found = {}
    for key, engine in engines.items():
        if engine.dialect.is_async or not is_served(engine) or _misread(engine):
            continue
        written = config.get("SQLALCHEMY_DATABASE_URI") if key is None else binds.get(key)
        found[key or ""] = Target(
            key or "",
            engine,
            version_table=version_table,
            version_schema=version_schema,
            configured=_relative_path(written),
        )
    return found


def _misread(engine: sa.Engine) -> bool:
    """Whether a part of the password was taken for the host, which nothing may print then."""
    return "@" in (engine.url.host or "")


def _relative_path(written: object) -> str:
    """The SQLite path of a configured URL, where it is a relative one."""
    if isinstance(written, Mapping):
        written = written.get("url")
    with contextlib.suppress(Exception):
        url = sa.make_url(written)  # type: ignore[arg-type]
        path = url.database or ""
        if url.get_backend_name() == "sqlite" and path not in ("", ":memory:"):
            return "" if Path(path).is_absolute() or path.startswith("file:") else path
    return ""
