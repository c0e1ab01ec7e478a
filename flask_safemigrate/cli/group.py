"""The command group of an application, and what the stock commands must not see."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from flask import current_app

from flask_safemigrate import cli
from flask_safemigrate.errors import UsageError
from flask_safemigrate.names import OWN_TABLES
from flask_safemigrate.project.environment import configure_keywords
from flask_safemigrate.settings import read_settings


def _is_hidden(name: str | None) -> bool:
    if name is None or name in OWN_TABLES:
        return name is not None
    excluded = read_settings(current_app.config).exclude_tables
    return any(fnmatch(name, each) for each in excluded)


def _is_version_table(table: Any) -> bool:
    """Whether it is as Alembic makes a version table; a model's would have more."""
    return [column.name for column in table.columns] == ["version_num"]


def _is_partition(table: Any) -> bool:
    """Whether it is a partition of another table, which comes and goes with the data."""
    from alembic import context

    try:
        connection = context.get_bind()
    except (NameError, AttributeError):
        # The doctor asks outside of env.py, about tables that are read without their partitions.
        return False
    if connection.dialect.name != "postgresql":
        return False
    quoted = connection.dialect.identifier_preparer.format_table(table)
    query = sa.text("SELECT relispartition FROM pg_class WHERE oid = to_regclass(:name)")
    return bool(connection.execute(query, {"name": quoted}).scalar())


def hide_journal(arguments: dict[str, Any], directory: str) -> dict[str, Any]:
    """Add filters to Alembic's arguments that keep our own tables out of autogenerate.

    Those that the setting ``SAFEMIGRATE_EXCLUDE_TABLES`` gives to others stay out too, and what it
    would write ``drop_table`` for: version tables of other histories, and partitions.

    An ``env.py`` that passes the same filter itself would fail over the double keyword; there
    the other filter is used.
    """
    taken = configure_keywords(Path(directory) / "env.py")
    if "include_name" not in taken:
        theirs = arguments.get("include_name")

        def include_name(name: str | None, kind: str, parents: Any) -> bool:
            if kind == "table" and _is_hidden(name):
                return False
            return bool(theirs(name, kind, parents)) if theirs is not None else True

        arguments["include_name"] = include_name
    if "include_object" not in taken:
        their_object = arguments.get("include_object")

        def include_object(
            item: Any, name: str | None, kind: str, reflected: bool, other: Any
        ) -> bool:
            if kind == "table" and (_is_hidden(name) or (reflected and _is_version_table(item))):
                return False
            if kind == "table" and reflected and other is None and _is_partition(item):
                return False
            if their_object is None:
                return True
            return bool(their_object(item, name, kind, reflected, other))

        arguments["include_object"] = include_object
    return arguments


def is_guarded(config: Mapping[str, object]) -> bool:
    """Whether ``flask db upgrade`` is to do what ``safe-upgrade`` does.

    :param config: the application's.
    """
    try:
        return read_settings(config).guard_upgrade
    except UsageError:
        # The setting itself may be the one that is misspelt; the guarded command says so.
        return True


def command_group(name: str, guarded: bool) -> click.Group:
    """Copy Flask-Migrate's group and add our commands to the copy.

    The original is one object for every application of the process, so it stays as it is.

    :param guarded: whether ``upgrade`` is to do what ``safe-upgrade`` does.
    """
    from flask_migrate.cli import db as stock

    group: click.Group = copy.copy(stock)
    group.name = name
    group.commands = dict(stock.commands)
    for command in cli.commands():
        assert command.name is not None
        group.commands[command.name] = command
    if guarded:
        group.commands["upgrade"] = cli.guarded_upgrade(stock.commands["upgrade"])
    return group
