"""SQLite."""

from __future__ import annotations

from flask_safemigrate.backends.contract import Backend
from flask_safemigrate.backends.sqlite.errors import explain
from flask_safemigrate.backends.sqlite.examine import examine
from flask_safemigrate.backends.sqlite.lock import lock
from flask_safemigrate.backends.sqlite.read import read
from flask_safemigrate.backends.sqlite.schema import read_schema, schema_on
from flask_safemigrate.backends.sqlite.scratch import scratch
from flask_safemigrate.backends.sqlite.snapshot import check, contents, needs, put_back, take
from flask_safemigrate.backends.sqlite.verify import begin_watch, finish_watch, whole
from flask_safemigrate.backends.sqlite.wipe import drop_everything

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
    read_schema=read_schema,
    schema_on=schema_on,
    scratch=scratch,
    whole=whole,
)
