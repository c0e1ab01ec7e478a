"""PostgreSQL."""

from __future__ import annotations

from flask_safemigrate.backends.contract import Backend
from flask_safemigrate.backends.postgresql.copying import copy
from flask_safemigrate.backends.postgresql.examine import examine
from flask_safemigrate.backends.postgresql.explain import explain
from flask_safemigrate.backends.postgresql.lock import greeted_by, lock
from flask_safemigrate.backends.postgresql.read import read
from flask_safemigrate.backends.postgresql.remedies import remedy
from flask_safemigrate.backends.postgresql.restore import contents, put_back
from flask_safemigrate.backends.postgresql.schema import (
    prelude,
    read_schema,
    schema_on,
    settings_of,
)
from flask_safemigrate.backends.postgresql.scratch import scratch
from flask_safemigrate.backends.postgresql.session import (
    blockers,
    busy,
    end_waiting,
    outside,
    prepare,
    session_of,
    transaction_of,
    was_committed,
)
from flask_safemigrate.backends.postgresql.snapshot import check, foresee, needs, take
from flask_safemigrate.backends.postgresql.tracing import Tracer, room
from flask_safemigrate.backends.postgresql.verify import begin_watch, finish_watch
from flask_safemigrate.backends.postgresql.wipe import drop_everything

BACKEND = Backend(
    dialects=("postgresql",),
    read=read,
    examine=examine,
    explain=explain,
    lock=lock,
    suffix=".dump",
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
    transactional_ddl=True,
    read_schema=read_schema,
    schema_on=schema_on,
    prelude=prelude,
    settings_of=settings_of,
    scratch=scratch,
    remedy=remedy,
    transaction_of=transaction_of,
    was_committed=was_committed,
    number_of=greeted_by,
    end_waiting=end_waiting,
    copy=copy,
    tracer=Tracer,
    room=room,
)
