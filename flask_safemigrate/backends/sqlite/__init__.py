"""SQLite."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from flask_safemigrate.backends.contract import Backend, Target
from flask_safemigrate.backends.sqlite.errors import explain
from flask_safemigrate.backends.sqlite.examine import examine
from flask_safemigrate.backends.sqlite.lock import lock
from flask_safemigrate.backends.sqlite.read import read
from flask_safemigrate.backends.sqlite.scratch import scratch
from flask_safemigrate.backends.sqlite.snapshot import check, contents, needs, put_back, take
from flask_safemigrate.backends.sqlite.verify import begin_watch, finish_watch, whole
from flask_safemigrate.backends.sqlite.wipe import drop_everything

if TYPE_CHECKING:
    from flask_safemigrate.facts.schema import Schema


# Most commands compare no schema, and what reads SQLite's DDL takes long to import.
def _read_schema(target: Target, schemas: Collection[str] = ()) -> Schema:
    from flask_safemigrate.backends.sqlite.schema import read_schema

    return read_schema(target, schemas)


def _schema_on(connection: Connection, known: dict[Any, Any]) -> Schema:
    from flask_safemigrate.backends.sqlite.schema import schema_on

    return schema_on(connection, known)


BACKEND = Backend(
    dialects=("sqlite",),
    read=read,
    examine=examine,
    explain=explain,
    lock=lock,
    suffix=".db",
    needs=needs,
    take=take,
    check=check,
    put_back=put_back,
    contents=contents,
    drop_everything=drop_everything,
    begin_watch=begin_watch,
    finish_watch=finish_watch,
    transactional_ddl=True,
    read_schema=_read_schema,
    schema_on=_schema_on,
    scratch=scratch,
    whole=whole,
)
