"""What a project's ``env.py`` hands to Alembic, without migrating anything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from flask_safemigrate.alembic_bridge.confinement import Confinement, confined, of_our_own
from flask_safemigrate.alembic_bridge.environment import logging_kept
from flask_safemigrate.alembic_bridge.replay import silence


class Configured(NamedTuple):
    """What ``context.configure`` was given for one database.

    :param metadatas: the ``target_metadata``, one or several.
    :param include_name: the filters of autogenerate, None where there is none.
    """

    metadatas: tuple[MetaData, ...] = ()
    include_name: Callable[..., Any] | None = None
    include_object: Callable[..., Any] | None = None


def configured_by(
    config: Config, bind_of: Callable[[Connection], str]
) -> Mapping[str, Configured]:
    """Run ``env.py`` up to what it configures, for every bind key.

    It connects, as it always does; what it says to the database must change nothing.

    :raises Exception: ``env.py`` raises it.
    """
    script = ScriptDirectory.from_config(config)
    found: dict[str, Configured] = {}
    environment = EnvironmentContext(config, script, fn=lambda *_: (), as_sql=False)

    def configure(connection: Connection | None = None, *_: Any, **given: Any) -> None:
        if connection is not None:
            found[of_our_own(bind_of, connection)] = Configured(
                _metadatas(given.get("target_metadata")),
                given.get("include_name"),
                given.get("include_object"),
            )

    # env.py reaches these through the module alembic.context, which takes them from the object.
    for name, stand_in in (
        ("configure", configure),
        ("begin_transaction", contextlib.nullcontext),
        ("run_migrations", lambda **_: None),
    ):
        setattr(environment, name, stand_in)
    confinement = Confinement([], Path(script.dir), lambda: "")
    with logging_kept(), silence(), confined(confinement), environment:
        script.run_env()
    return found


def _metadatas(target: Any) -> tuple[MetaData, ...]:
    every = target if isinstance(target, Iterable) else (target,)
    return tuple(each for each in every if isinstance(each, MetaData))
