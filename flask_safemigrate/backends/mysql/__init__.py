"""MariaDB and MySQL."""

from __future__ import annotations

from flask_safemigrate.backends.contract import Backend
from flask_safemigrate.backends.mysql import catalogue
from flask_safemigrate.backends.mysql.copying import copy
from flask_safemigrate.backends.mysql.examine import examine
from flask_safemigrate.backends.mysql.explain import explain
from flask_safemigrate.backends.mysql.lock import lock
from flask_safemigrate.backends.mysql.read import read
from flask_safemigrate.backends.mysql.remedies import remedy
from flask_safemigrate.backends.mysql.restore import contents, put_back
from flask_safemigrate.backends.mysql.schema import read_schema, schema_on, settings_of
from flask_safemigrate.backends.mysql.scratch import scratch
from flask_safemigrate.backends.mysql.session import (
    blockers,
    busy,
    outside,
    prepare,
    session_of,
)
from flask_safemigrate.backends.mysql.snapshot import check, foresee, needs, take
from flask_safemigrate.backends.mysql.tracing import Tracer, room
from flask_safemigrate.backends.mysql.verify import begin_watch, finish_watch
from flask_safemigrate.backends.mysql.wipe import drop_everything

BACKEND = Backend(
    dialects=("mysql", "mariadb"),
    read=read,
    examine=examine,
    explain=explain,
    lock=lock,
    suffix=".sql.gz",
    needs=needs,
    take=take,
    check=check,
    foresee=foresee,
    put_back=put_back,
    contents=contents,
    drop_everything=drop_everything,
    begin_watch=begin_watch,
    finish_watch=finish_watch,
    prepare=prepare,
    outside=outside,
    session_of=session_of,
    busy=busy,
    blockers=blockers,
    transactional_ddl=False,
    read_schema=read_schema,
    schema_on=schema_on,
    settings_of=settings_of,
    scratch=scratch,
    remedy=remedy,
    catalogue=catalogue,
    copy=copy,
    tracer=Tracer,
    room=room,
)
