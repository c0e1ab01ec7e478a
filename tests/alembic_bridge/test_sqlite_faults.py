"""Whatever stops the engine between two of its statements, the file is as it was."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.alter.apply.database import Database
from flask_safemigrate.errors import OperationRefused
from tests.alembic_bridge.sqlite_run import dump, seed, upgrade

SEED = """
CREATE TABLE p (id INTEGER PRIMARY KEY, name VARCHAR(20));
INSERT INTO p VALUES (1, 'a'), (2, 'b');
CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(50) UNIQUE, num INTEGER,
  junk TEXT, pid INTEGER REFERENCES p (id));
INSERT INTO t VALUES (1, 'x', 10, 'j', 1), (5, 'y', 20, NULL, 2);
CREATE TABLE child (id INTEGER PRIMARY KEY, tid INTEGER REFERENCES t (id) ON DELETE CASCADE);
INSERT INTO child VALUES (1, 1), (2, 5);
CREATE INDEX ix ON t (num);
CREATE VIEW v AS SELECT id, num FROM t;
CREATE TRIGGER tr AFTER UPDATE ON t BEGIN SELECT 1; END;
ALTER TABLE t ADD COLUMN late INTEGER DEFAULT 5;
"""
WAYS = {
    "schema edit": "op.alter_column('t', 'name', type_=sa.String(99), nullable=False)",
    "in place": "op.alter_column('t', 'num', type_=sa.Text())\n"
    "op.alter_column('t', 'late', server_default='7')",
    "rebuild": "with op.batch_alter_table('t', recreate='always') as b:\n"
    "    b.drop_column('junk')\n    b.create_unique_constraint('uq', ['num'])",
    "several tables": "op.rename_table('p', 'q')\nop.drop_table('child')\n"
    "op.create_table('n', sa.Column('id', sa.Integer, primary_key=True))\n"
    "op.alter_column('t', 'num', nullable=False, new_column_name='qty')",
}


class Stopped(Exception):
    """Not an error that anyone expects."""


def _count(monkeypatch: pytest.MonkeyPatch, stop: int | None, error: type[BaseException]) -> Any:
    seen = [0]
    run = Database.run

    def counted(self: Database, sql: str) -> int:
        if seen[0] == stop:
            raise error(f"before {sql}")
        seen[0] += 1
        return run(self, sql)

    monkeypatch.setattr(Database, "run", counted)
    return seen


CLASSIC = sqlite.EngineOptions(schema_edits=False)


@pytest.mark.parametrize("options", [None, CLASSIC], ids=["edits", "no edits"])
@pytest.mark.parametrize("error", [Stopped, KeyboardInterrupt, sqlite3.OperationalError])
@pytest.mark.parametrize("way", WAYS)
def test_an_exception_between_any_two_statements(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    error: type[BaseException],
    options: sqlite.EngineOptions | None,
) -> None:
    path, rehearsal = tmp_path / "app.db", tmp_path / "rehearsal.db"
    for each in (path, rehearsal):
        seed(each, SEED)
    before = dump(path)
    with monkeypatch.context() as patch:
        seen = _count(patch, None, error)
        upgrade(rehearsal, WAYS[way], foreign_keys=True, options=options)
    assert seen[0] >= 3
    for stop in range(seen[0]):
        with monkeypatch.context() as patch:
            _count(patch, stop, error)
            with pytest.raises((error, OperationRefused)):
                upgrade(path, WAYS[way], foreign_keys=True, options=options)
        assert dump(path) == before, stop
    upgrade(path, WAYS[way], foreign_keys=True, options=options)
    assert dump(path) == dump(rehearsal)


def _killed_at(path: Path, stop: int, body: str, options: sqlite.EngineOptions | None) -> int:
    """Run in another process that ends before its statement number ``stop``; its signal or 0."""
    child = os.fork()
    if child == 0:
        try:
            run, seen = Database.run, [0]

            def counted(self: Database, sql: str) -> int:
                if seen[0] == stop:
                    os.kill(os.getpid(), signal.SIGKILL)
                seen[0] += 1
                return run(self, sql)

            Database.run = counted  # type: ignore[method-assign]
            upgrade(path, body, foreign_keys=True, options=options)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("options", [None, CLASSIC], ids=["edits", "no edits"])
@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("way", WAYS)
def test_sigkill_between_any_two_statements(
    tmp_path: Path, way: str, journal: str, options: sqlite.EngineOptions | None
) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED + f"PRAGMA journal_mode={journal};")
    before = dump(path)
    stop = 0
    while (ended := _killed_at(path, stop, WAYS[way], options)) == -signal.SIGKILL:
        assert dump(path) == before, stop
        stop += 1
    assert ended == 0
    assert stop >= 3
    assert dump(path)["check"] == [("ok",)]


@pytest.mark.parametrize(
    "change",
    [
        "with op.batch_alter_table('t', recreate='always') as b:\n    pass",
        "op.alter_column('t', 'num', type_=sa.Text())",
        "op.create_index('ix_new', 't', ['num', 'name', 'junk'])",
        "op.create_unique_constraint('uq', 't', ['num', 'name', 'id'])",
    ],
)
def test_a_full_disk(tmp_path: Path, change: str) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        SEED + "INSERT INTO t (name, num) SELECT 'n' || value, value FROM"
        " (WITH RECURSIVE c (value) AS (SELECT 100 UNION ALL SELECT value + 1 FROM c"
        " WHERE value < 3000) SELECT value FROM c);",
    )
    before = dump(path)
    body = (
        "d = op.get_bind().connection.driver_connection\n"
        "d.execute('PRAGMA max_page_count=%d' % d.execute('PRAGMA page_count').fetchone()[0])\n"
        f"{change}\n"
    )
    with pytest.raises((sqlite3.OperationalError, OperationRefused), match="full"):
        upgrade(path, body)
    assert dump(path) == before


def test_writable_schema_does_not_stay_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED)
    states = []
    run = Database.run

    def failing(self: Database, sql: str) -> int:
        if sql.startswith("UPDATE sqlite_master"):
            raise Stopped
        states.append(self)
        return run(self, sql)

    monkeypatch.setattr(Database, "run", failing)
    body = (
        "try:\n"
        "    op.alter_column('t', 'name', nullable=False)\n"
        "    op.get_bind()\n"
        "finally:\n"
        "    d = op.get_context().connection.connection.driver_connection\n"
        "    assert d.execute('PRAGMA writable_schema').fetchone() == (0,)\n"
    )
    with pytest.raises(Stopped):
        upgrade(path, body, options=sqlite.EngineOptions())
    assert states
