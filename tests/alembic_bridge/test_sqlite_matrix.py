"""Every feature that a table can have, crossed with every operation on it.

The oracle does not know the engine: it compares the rows before and after, value by value with
storage class and rowid, and asks the changed table what it still does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused
from tests.alembic_bridge.sqlite_run import dump, probe, seed, upgrade

INTEGRITY = "IntegrityError"
OPERATIONAL = "OperationalError"


@dataclass(frozen=True)
class Feature:
    """
    :ivar columns: definitions that the table has besides.
    :ivar after: SQL that runs when the table has its rows; ``{t}`` and so on are its names.
    :ivar probes: statements with what the last one gives; ``{t}``, ``{num}``, ``{name}``.
    """

    columns: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    options: str = ""
    identity: str = "id INTEGER PRIMARY KEY"
    before: str = ""
    after: str = ""
    probes: tuple[tuple[tuple[str, ...], Any], ...] = ()
    strict: bool = False
    without_rowid: bool = False


Row = dict[str, tuple[str, Any]]


def _same(row: Row) -> Row:
    return row


@dataclass(frozen=True)
class Operation:
    """
    :ivar body: what the revision does; ``B(...)`` lines are methods of a batch or of ``op``.
    :ivar names: renamed things: ``t``, ``num``, ``name``, ``junk``.
    :ivar row: what becomes of a row.
    :ivar asked: statements with what the last one gives: the change has happened.
    """

    body: tuple[str, ...]
    asked: tuple[tuple[tuple[str, ...], Any], ...]
    names: Mapping[str, str] = field(default_factory=dict)
    row: Callable[[Row], Row] = _same
    batch_only: bool = False
    plain_only: bool = False
    args: str = ""
    not_strict: bool = False
    keeps_rowids: bool = True


INSERT = "INSERT INTO {t} ({name}, {num}) VALUES "

FEATURES: dict[str, Feature] = {
    "nothing": Feature(),
    "unnamed column check": Feature(
        columns=("price INTEGER DEFAULT 1 CHECK (price > 0)",),
        probes=(
            (("INSERT INTO {t} ({name}, {num}, price) VALUES ('x', 7, -1)",), INTEGRITY),
            (("INSERT INTO {t} ({name}, {num}, price) VALUES ('x', 7, 1)",), []),
        ),
    ),
    "unnamed table check": Feature(
        columns=("lo INTEGER", "hi INTEGER"),
        constraints=("CHECK (lo <= hi)",),
        probes=((("INSERT INTO {t} ({num}, lo, hi) VALUES (7, 5, 4)",), INTEGRITY),),
    ),
    "check over the columns themselves": Feature(
        constraints=("CHECK (num <> 13 OR name <> 'bad')",),
        probes=((("INSERT INTO {t} ({name}, {num}) VALUES ('bad', 13)",), INTEGRITY),),
    ),
    "on conflict": Feature(
        columns=("code TEXT UNIQUE ON CONFLICT REPLACE",),
        after="UPDATE t SET code = 'c' || id;",
        probes=(
            (
                (
                    "INSERT INTO {t} ({name}, {num}, code) VALUES ('new', 70, 'c1')",
                    "SELECT {name} FROM {t} WHERE code = 'c1'",
                ),
                [("new",)],
            ),
        ),
    ),
    "cascading children": Feature(
        after="""CREATE TABLE child (id INTEGER PRIMARY KEY,
                   tid INTEGER NOT NULL REFERENCES t (id) ON DELETE CASCADE);
                 INSERT INTO child VALUES (1, 1), (2, 1), (3, 7);""",
        probes=(
            (("SELECT id, tid FROM child",), [(1, 1), (2, 1), (3, 7)]),
            (("DELETE FROM {t} WHERE id = 1", "SELECT id FROM child"), [(3,)]),
            (("INSERT INTO child (tid) VALUES (99)",), INTEGRITY),
        ),
    ),
    "set null children, implicit key": Feature(
        after="""CREATE TABLE child (id INTEGER PRIMARY KEY,
                   tid INTEGER REFERENCES t ON DELETE SET NULL ON UPDATE CASCADE);
                 INSERT INTO child VALUES (1, 1), (2, 1), (3, 7);""",
        probes=(
            (("SELECT id, tid FROM child",), [(1, 1), (2, 1), (3, 7)]),
            (
                ("DELETE FROM {t} WHERE id = 1", "SELECT tid FROM child"),
                [(None,), (None,), (7,)],
            ),
        ),
    ),
    "restricting self reference": Feature(
        columns=("up INTEGER REFERENCES t (id) ON DELETE RESTRICT",),
        after="UPDATE t SET up = 1 WHERE id > 1;",
        probes=(
            (("DELETE FROM {t} WHERE id = 1",), INTEGRITY),
            (("SELECT up FROM {t} ORDER BY id",), [(None,), (1,), (1,)]),
        ),
    ),
    "deferred foreign key": Feature(
        columns=("qid INTEGER REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED",),
        probes=(
            (
                (
                    "BEGIN",
                    "INSERT INTO {t} ({name}, {num}, qid) VALUES ('n', 7, 50)",
                    "INSERT INTO p VALUES (50)",
                    "COMMIT",
                ),
                [],
            ),
            (
                ("BEGIN", "INSERT INTO {t} ({name}, {num}, qid) VALUES ('n', 7, 50)", "COMMIT"),
                INTEGRITY,
            ),
        ),
    ),
    "orphans that were there": Feature(
        columns=("qid INTEGER REFERENCES p (id)",),
        after="PRAGMA foreign_keys=OFF; UPDATE t SET qid = 404 WHERE id = 7;",
        probes=(
            (("SELECT qid FROM {t} WHERE id = 7",), [(404,)]),
            (("INSERT INTO {t} ({name}, {num}, qid) VALUES ('n', 7, 405)",), INTEGRITY),
        ),
    ),
    "triggers": Feature(
        before="CREATE TABLE audit (n INTEGER PRIMARY KEY, what TEXT);",
        after="""CREATE TRIGGER t_ai AFTER INSERT ON t BEGIN
                   INSERT INTO audit (what) VALUES ('ins ' || new.name); END;
                 CREATE TRIGGER t_au AFTER UPDATE ON t BEGIN
                   INSERT INTO audit (what) VALUES ('upd'); END;
                 CREATE TRIGGER t_bd BEFORE DELETE ON t WHEN old.id = 1 BEGIN
                   SELECT RAISE(ABORT, 'stays'); END;""",
        probes=(
            (("SELECT count(*) FROM audit",), [(0,)]),
            (
                (INSERT + "('zz', 70)", "SELECT what FROM audit"),
                [("ins zz",)],
            ),
            (("UPDATE {t} SET {num} = 71 WHERE id = 2", "SELECT what FROM audit"), [("upd",)]),
            (("DELETE FROM {t} WHERE id = 1",), INTEGRITY),
        ),
    ),
    "trigger of another table": Feature(
        before="CREATE TABLE log (n INTEGER PRIMARY KEY, tid INTEGER);",
        after="""CREATE TRIGGER log_ai AFTER INSERT ON log BEGIN
                   UPDATE t SET num = num + 1 WHERE id = new.tid; END;""",
        probes=(
            (
                (
                    "INSERT INTO log (tid) VALUES (2)",
                    "SELECT {num} + 0 FROM {t} ORDER BY id",
                ),
                [(10,), (21,), (30,)],
            ),
        ),
    ),
    "views on views": Feature(
        after="""CREATE VIEW v1 AS SELECT id, name AS title, num FROM t WHERE id > 1;
                 CREATE VIEW v2 AS SELECT v1.title, count(*) AS c FROM v1 GROUP BY v1.title;
                 CREATE TRIGGER v1_ii INSTEAD OF INSERT ON v1 BEGIN
                   INSERT INTO t (name, num) VALUES (new.title, 77); END;""",
        probes=(
            (("SELECT sum(c) FROM v2",), [(2,)]),
            (("INSERT INTO v1 (title) VALUES ('vv')", "SELECT max(id) FROM v1"), [(8,)]),
        ),
    ),
    "a broken view and trigger": Feature(
        before="CREATE TABLE log (n INTEGER PRIMARY KEY);",
        after="""CREATE VIEW broken AS SELECT nosuch FROM t;
                 CREATE VIEW worse AS SELECT * FROM missing;
                 CREATE TRIGGER odd AFTER INSERT ON log BEGIN
                   INSERT INTO missing VALUES (1); END;""",
        probes=(
            (("SELECT count(*) FROM sqlite_master WHERE name IN ('broken', 'odd')",), [(2,)]),
        ),
    ),
    "indexes": Feature(
        columns=("email TEXT", "city TEXT"),
        after="""UPDATE t SET email = 'A' || id, city = 'Rome';
                 CREATE INDEX ix_partial ON t (email) WHERE num > 5;
                 CREATE UNIQUE INDEX ix_expr ON t (lower(email));
                 CREATE INDEX ix_desc ON t (email DESC, city);
                 CREATE INDEX ix_coll ON t (city COLLATE NOCASE);
                 CREATE INDEX ix_same ON t (num);""",
        probes=(
            (("INSERT INTO {t} ({num}, email) VALUES (7, 'a1')",), INTEGRITY),
            (
                (
                    "SELECT count(*) FROM {t} INDEXED BY ix_coll"
                    " WHERE city = 'rome' COLLATE NOCASE",
                ),
                [(3,)],
            ),
            (("SELECT id FROM {t} INDEXED BY ix_desc WHERE email = 'A2'",), [(2,)]),
        ),
    ),
    "generated columns": Feature(
        columns=(
            "a INTEGER DEFAULT 4",
            "twice INTEGER GENERATED ALWAYS AS (a * 2) VIRTUAL",
            "up TEXT AS (upper(name)) STORED",
        ),
        after="CREATE INDEX ix_twice ON t (twice);",
        probes=(
            (
                (
                    "UPDATE {t} SET a = 10, {name} = 'zz' WHERE id = 1",
                    "SELECT twice, up FROM {t} WHERE id = 1",
                ),
                [(20, "ZZ")],
            ),
            (("INSERT INTO {t} (twice) VALUES (1)",), OPERATIONAL),
            (("SELECT id FROM {t} INDEXED BY ix_twice WHERE twice = 8",), [(1,), (2,), (7,)]),
        ),
    ),
    "collation": Feature(
        columns=("mail TEXT COLLATE NOCASE UNIQUE",),
        after="UPDATE t SET mail = 'M' || id;",
        probes=(
            (("SELECT id FROM {t} WHERE mail = 'm2'",), [(2,)]),
            (("INSERT INTO {t} ({num}, mail) VALUES (7, 'm2')",), INTEGRITY),
        ),
    ),
    "autoincrement": Feature(
        identity="id INTEGER PRIMARY KEY AUTOINCREMENT",
        after="INSERT INTO t (id, name, num) VALUES (500, 'x', 5); DELETE FROM t WHERE id = 500;",
        probes=(((INSERT + "('n', 70)", "SELECT max(id) FROM {t}"), [(501,)]),),
    ),
    "without rowid": Feature(
        identity="id INTEGER",
        constraints=("PRIMARY KEY (id DESC, req)",),
        options="WITHOUT ROWID",
        without_rowid=True,
        probes=(
            (("SELECT rowid FROM {t}",), OPERATIONAL),
            (("INSERT INTO {t} (id, {num}, req) VALUES (1, 7, 'r')",), INTEGRITY),
            (("SELECT id FROM {t} ORDER BY id",), [(1,), (2,), (7,)]),
        ),
    ),
    "strict": Feature(
        columns=("v ANY",),
        options="STRICT",
        strict=True,
        after="UPDATE t SET v = '007' WHERE id = 1; UPDATE t SET v = 7 WHERE id = 2;",
        probes=(
            (("INSERT INTO {t} (d) VALUES ('abc')",), INTEGRITY),
            (
                ("SELECT v, typeof(v) FROM {t} ORDER BY id",),
                [("007", "text"), (7, "integer"), (None, "null")],
            ),
        ),
    ),
    "text primary key": Feature(
        identity="slug TEXT PRIMARY KEY, id INTEGER",
        probes=((("SELECT rowid, id FROM {t} ORDER BY 1",), [(1, 1), (2, 2), (7, 7)]),),
    ),
    "no primary key": Feature(
        identity="id INTEGER",
        probes=((("SELECT rowid, id FROM {t} ORDER BY 1",), [(1, 1), (2, 2), (7, 7)]),),
    ),
    "columns called rowid": Feature(
        identity="id INTEGER",
        columns=("rowid TEXT", "_rowid_ TEXT"),
        probes=((("SELECT oid, id FROM {t} ORDER BY 1",), [(1, 1), (2, 2), (7, 7)]),),
    ),
    "integer primary key desc": Feature(
        identity="id INTEGER PRIMARY KEY DESC",
        probes=((("INSERT INTO {t} (id, {num}) VALUES (2, 7)",), INTEGRITY),),
    ),
    "mixed values": Feature(
        columns=("mixed INTEGER", "free"),
        after="""UPDATE t SET mixed = 'abc', free = 1.5 WHERE id = 1;
                 UPDATE t SET mixed = x'00ff', free = 9e999 WHERE id = 2;
                 UPDATE t SET mixed = 2.5, free = 'nul' || char(0) || 'tail' WHERE id = 7;""",
        probes=(
            (
                ("SELECT typeof(mixed), typeof(free) FROM {t} ORDER BY id",),
                [("text", "real"), ("blob", "real"), ("real", "text")],
            ),
        ),
    ),
    "rows that do not store a column": Feature(
        after="""ALTER TABLE t ADD COLUMN late INTEGER DEFAULT 42;
                 ALTER TABLE t ADD COLUMN later TEXT;""",
        probes=((("SELECT late, later FROM {t} WHERE id = 1",), [(42, None)]),),
    ),
    "full text index": Feature(
        before="CREATE VIRTUAL TABLE fts USING fts5(name, content='t', content_rowid='id');",
        after="""INSERT INTO fts (rowid, name) SELECT id, name FROM t;
                 CREATE TRIGGER t_fts AFTER INSERT ON t BEGIN
                   INSERT INTO fts (rowid, name) VALUES (new.id, new.name); END;
                 CREATE TRIGGER t_fts_d AFTER DELETE ON t BEGIN
                   INSERT INTO fts (fts, rowid, name) VALUES ('delete', old.id, old.name); END;""",
        probes=(
            (("SELECT rowid FROM fts WHERE fts MATCH 'beta'",), [(2,)]),
            (
                (INSERT + "('mango', 70)", "SELECT rowid FROM fts WHERE fts MATCH 'mango'"),
                [(8,)],
            ),
        ),
    ),
    "comments and odd layout": Feature(
        columns=(
            "c1 INTEGER -- a note, with ) and 'quote\n",
            "/* , */ c2 TEXT DEFAULT 'it''s, ('",
        ),
        probes=(
            (
                (INSERT + "('n', 70)", "SELECT c2 FROM {t} WHERE {num} = 70"),
                [("it's, (",)],
            ),
            (
                (
                    "SELECT sql LIKE '%-- a note, with ) and ''quote%' FROM sqlite_master"
                    " WHERE name = '{t}'",
                ),
                [(1,)],
            ),
        ),
    ),
    "odd names": Feature(
        columns=('"select" INTEGER', '"we""ird" TEXT', "[größe x] TEXT", "`order` INTEGER"),
        constraints=('CHECK ("we""ird" <> \'\')', 'UNIQUE ("select", [größe x])'),
        after="""CREATE INDEX "ix full" ON t ("we""ird", "order");""",
        probes=(
            (('INSERT INTO {t} ({num}, "we""ird") VALUES (7, \'\')',), INTEGRITY),
            (('SELECT id FROM {t} INDEXED BY "ix full" WHERE "we""ird" = \'q\'',), []),
        ),
    ),
    "write-ahead log and header": Feature(
        before="PRAGMA user_version=42; PRAGMA application_id=77;",
        after="PRAGMA journal_mode=WAL;",
    ),
    "statistics": Feature(after="ANALYZE;"),
}


def _columns(*names: str) -> tuple[tuple[str, ...], Any]:
    listed = ", ".join(f"'{name}'" for name in names)
    return (
        (f"SELECT count(*) FROM pragma_table_xinfo('{{t}}') WHERE name IN ({listed})",),
        [(len(names),)],
    )


def _type(column: str, declared: str) -> tuple[tuple[str, ...], Any]:
    return (
        (f"SELECT type FROM pragma_table_xinfo('{{t}}') WHERE name = '{column}'",),
        [(declared,)],
    )


def _without(*names: str) -> Callable[[Row], Row]:
    return lambda row: {key: value for key, value in row.items() if key not in names}


def _renamed(old: str, new: str) -> Callable[[Row], Row]:
    return lambda row: {new if key == old else key: value for key, value in row.items()}


def _with(**values: tuple[str, Any]) -> Callable[[Row], Row]:
    return lambda row: {**row, **values}


def _as_text(column: str) -> Callable[[Row], Row]:
    def convert(row: Row) -> Row:
        kind, value = row[column]
        return {**row, column: ("text", str(value)) if kind == "integer" else (kind, value)}

    return convert


def _as_real(column: str) -> Callable[[Row], Row]:
    def convert(row: Row) -> Row:
        kind, value = row[column]
        return {**row, column: ("real", float(value)) if kind == "integer" else (kind, value)}

    return convert


OPERATIONS: dict[str, Operation] = {
    "widen": Operation(
        ("alter_column('name', existing_type=sa.String(50), type_=sa.String(200))",),
        (_type("name", "VARCHAR(200)"),),
        not_strict=True,
    ),
    "integer to text": Operation(
        ("alter_column('num', existing_type=sa.Integer(), type_=sa.Text())",),
        (_type("num", "TEXT"),),
        row=_as_text("num"),
    ),
    "integer to float": Operation(
        ("alter_column('num', existing_type=sa.Integer(), type_=sa.REAL())",),
        (_type("num", "REAL"),),
        row=_as_real("num"),
    ),
    "integer to numeric": Operation(
        ("alter_column('num', type_=sa.Numeric(10, 2))",),
        (_type("num", "NUMERIC(10, 2)"),),
        not_strict=True,
    ),
    "text to integer": Operation(
        ("alter_column('name', type_=sa.Integer())",),
        (_type("name", "INTEGER"),),
        not_strict=True,
    ),
    "set not null": Operation(
        ("alter_column('name', existing_type=sa.String(50), nullable=False)",),
        ((("INSERT INTO {t} (id, num) VALUES (70, 70)",), INTEGRITY),),
    ),
    "drop not null": Operation(
        ("alter_column('req', nullable=True)",),
        (
            (
                ("SELECT sql LIKE '%req TEXT DEFAULT%' FROM sqlite_master WHERE name = '{t}'",),
                [(1,)],
            ),
        ),
    ),
    "set default": Operation(
        ("alter_column('name', server_default='plain')",),
        (
            (
                (
                    "INSERT INTO {t} (id, num) VALUES (70, 70)",
                    "SELECT name FROM {t} WHERE num = 70",
                ),
                [("plain",)],
            ),
        ),
    ),
    "change default": Operation(
        ("alter_column('d', existing_type=sa.Integer(), server_default='8')",),
        (
            (
                ("INSERT INTO {t} (id, num) VALUES (70, 70)", "SELECT d FROM {t} WHERE num = 70"),
                [(8,)],
            ),
        ),
    ),
    "drop default": Operation(
        ("alter_column('d', existing_type=sa.Integer(), server_default=None)",),
        (
            (
                ("INSERT INTO {t} (id, num) VALUES (70, 70)", "SELECT d FROM {t} WHERE num = 70"),
                [(None,)],
            ),
        ),
    ),
    "rename column": Operation(
        ("alter_column('num', new_column_name='qty')",),
        (_columns("qty"),),
        names={"num": "qty"},
        row=_renamed("num", "qty"),
    ),
    "rename column and set not null": Operation(
        ("alter_column('name', new_column_name='label', nullable=False)",),
        (_columns("label"),),
        names={"name": "label"},
        row=_renamed("name", "label"),
    ),
    "add column": Operation(
        ("add_column(sa.Column('extra', sa.Integer))",),
        (_columns("extra"),),
        row=_with(extra=("null", None)),
    ),
    "add column with default": Operation(
        ("add_column(sa.Column('extra', sa.Text, server_default='x', nullable=False))",),
        (_columns("extra"),),
        row=_with(extra=("text", "x")),
    ),
    "add column with expression": Operation(
        ("add_column(sa.Column('extra', sa.Text, server_default=sa.text(\"(lower('A'))\")))",),
        (
            _columns("extra"),
            (
                (
                    "INSERT INTO {t} (id, num) VALUES (70, 70)",
                    "SELECT extra FROM {t} WHERE num = 70",
                ),
                [("a",)],
            ),
        ),
        row=_with(extra=("text", "a")),
    ),
    "add column with reference": Operation(
        ("add_column(sa.Column('extra', sa.Integer, sa.ForeignKey('p.id', name='fk_x')))",),
        ((("INSERT INTO {t} (num, extra) VALUES (70, 99)",), INTEGRITY),),
        row=_with(extra=("null", None)),
    ),
    "add unique column": Operation(
        ("add_column(sa.Column('extra', sa.Integer, unique=True))",),
        ((("UPDATE {t} SET extra = 1",), INTEGRITY),),
        row=_with(extra=("null", None)),
    ),
    "add boolean with check": Operation(
        ("add_column(sa.Column('extra', sa.Boolean(create_constraint=True, name='ck_x')))",),
        ((("INSERT INTO {t} (num, extra) VALUES (70, 2)",), INTEGRITY),),
        row=_with(extra=("null", None)),
    ),
    "add computed": Operation(
        ("add_column(sa.Column('extra', sa.Integer, sa.Computed('d + 1')))",),
        (_columns("extra"),),
        row=_with(extra=("integer", 6)),
    ),
    "add stored computed": Operation(
        ("add_column(sa.Column('extra', sa.Integer, sa.Computed('d + 1', persisted=True)))",),
        ((("SELECT hidden FROM pragma_table_xinfo('{t}') WHERE name = 'extra'",), [(3,)]),),
        row=_with(extra=("integer", 6)),
    ),
    "add column in the middle": Operation(
        ("add_column(sa.Column('extra', sa.Integer), insert_after='name')",),
        (
            (
                (
                    "SELECT cid - (SELECT cid FROM pragma_table_xinfo('{t}') WHERE name = 'name')"
                    " FROM pragma_table_xinfo('{t}') WHERE name = 'extra'",
                ),
                [(1,)],
            ),
        ),
        row=_with(extra=("null", None)),
        batch_only=True,
        args=", recreate='always'",
    ),
    "drop column": Operation(
        ("drop_column('junk')",),
        ((("SELECT junk FROM {t}",), OPERATIONAL),),
        row=_without("junk"),
    ),
    "drop two columns": Operation(
        ("drop_column('junk')", "drop_column('other')"),
        ((("SELECT other FROM {t}",), OPERATIONAL),),
        row=_without("junk", "other"),
    ),
    "drop column of a foreign key": Operation(
        ("drop_column('pid')",),
        ((("SELECT pid FROM {t}",), OPERATIONAL),),
        row=_without("pid"),
    ),
    "add check": Operation(
        ("create_check_constraint('ck_new', 'num < 500')",),
        ((("INSERT INTO {t} (num) VALUES (501)",), INTEGRITY),),
    ),
    "drop check": Operation(
        ("drop_constraint('ck_num', type_='check')",),
        ((("INSERT INTO {t} (id, num, req) VALUES (70, 5000, 'q')",), []),),
    ),
    "add unique": Operation(
        ("create_unique_constraint('uq_new', ['name', 'd'])",),
        ((("UPDATE {t} SET name = 'same'",), INTEGRITY),),
    ),
    "drop unique": Operation(
        ("drop_constraint('uq_n', type_='unique')",),
        ((("UPDATE {t} SET name = 'same', num = 5", "SELECT count(*) FROM {t}"), [(3,)]),),
    ),
    "add foreign key": Operation(
        ("create_foreign_key('fk_new', 'p', ['d'], ['id'], ondelete='CASCADE')",),
        ((("UPDATE {t} SET d = 99",), INTEGRITY),),
    ),
    "drop foreign key": Operation(
        ("drop_constraint('fk_pid', type_='foreignkey')",),
        ((("INSERT INTO {t} (id, num, pid, req) VALUES (70, 7, 99, 'q')",), []),),
    ),
    "create index": Operation(
        ("create_index('ix_new', ['d', 'name'], unique=True)",),
        ((("SELECT id FROM {t} INDEXED BY ix_new WHERE d = 5 AND name = 'beta'",), [(2,)]),),
    ),
    "drop index": Operation(
        ("drop_index('ix_x')",),
        ((("SELECT count(*) FROM sqlite_master WHERE name = 'ix_x'",), [(0,)]),),
    ),
    "copy": Operation((), (), batch_only=True, args=", recreate='always'"),
    "reorder": Operation(
        (),
        (
            (
                (
                    "SELECT name FROM pragma_table_xinfo('{t}')"
                    " WHERE name IN ('num', 'name') ORDER BY cid",
                ),
                [("num",), ("name",)],
            ),
        ),
        batch_only=True,
        args=", recreate='always', partial_reordering=[('num', 'name')]",
    ),
    "several": Operation(
        (
            "drop_column('junk')",
            "alter_column('name', new_column_name='title', nullable=False)",
            "add_column(sa.Column('flag', sa.Integer, server_default='0', nullable=False))",
            "create_check_constraint('ck_flag', 'flag >= 0')",
            "create_index('ix_flag', ['flag'])",
            "alter_column('num', type_=sa.Text())",
        ),
        ((("INSERT INTO {t} (title, flag) VALUES ('q', -1)",), INTEGRITY),),
        names={"name": "title"},
        row=lambda row: _with(flag=("integer", 0))(
            _as_text("num")(_renamed("name", "title")(_without("junk")(row)))
        ),
    ),
    "rename table": Operation(
        ("op.rename_table('t', 'things')",),
        ((("SELECT count(*) FROM t",), OPERATIONAL),),
        names={"t": "things"},
        plain_only=True,
    ),
    "rename table and widen": Operation(
        (
            "op.rename_table('t', 'things')",
            "op.alter_column('things', 'name', type_=sa.Text(), nullable=False)",
        ),
        ((("SELECT count(*) FROM t",), OPERATIONAL), _type("name", "TEXT")),
        names={"t": "things"},
        plain_only=True,
    ),
}


def _seed(feature: Feature) -> str:
    text = "TEXT" if feature.strict else "VARCHAR(50)"
    items = [
        feature.identity,
        f"name {text}",
        "num INTEGER",
        "junk TEXT",
        "req TEXT NOT NULL DEFAULT 'r'",
        "d INTEGER DEFAULT 5",
        "pid INTEGER CONSTRAINT fk_pid REFERENCES p (id)",
        "other BLOB",
        *feature.columns,
        "CONSTRAINT ck_num CHECK (CAST(num AS INTEGER) < 1000)",
        "CONSTRAINT uq_n UNIQUE (name, num)",
        *feature.constraints,
    ]
    return f"""
        CREATE TABLE p (id INTEGER PRIMARY KEY);
        INSERT INTO p VALUES (1), (2), (5);
        CREATE TABLE t ({", ".join(items)}) {feature.options};
        CREATE INDEX ix_x ON t (num, name);
        {feature.before}
        INSERT INTO t ({"" if feature.without_rowid else "oid, "}id, name, num, junk, pid) VALUES
          ({"" if feature.without_rowid else "1, "}1, 'alpha', 10, 'j', 1),
          ({"" if feature.without_rowid else "2, "}2, 'beta', 20, NULL, NULL),
          ({"" if feature.without_rowid else "7, "}7, 'gamma', 30, 'k', 2);
        {feature.after}
    """


def _statement(line: str, batch: bool) -> str:
    if line.startswith("op.") or batch:
        return line if line.startswith("op.") else f"b.{line}"
    name, _, rest = line.partition("(")
    if name == "create_foreign_key":
        first, _, tail = rest.partition(", ")
        return f"op.{name}({first}, 't', {tail}"
    if name in ("create_check_constraint", "create_unique_constraint", "create_index"):
        first, _, tail = rest.partition(", ")
        return f"op.{name}({first}, 't', {tail}"
    if name == "drop_constraint":
        first, _, tail = rest.partition(", ")
        return f"op.{name}({first}, 't', {tail}"
    if name == "drop_index":
        return f"op.{name}({rest[:-1]}, table_name='t')"
    return f"op.{name}('t', {rest}"


def _body(operation: Operation, batch: bool) -> str:
    lines = [_statement(line, batch) for line in operation.body]
    if not batch:
        return "\n".join(lines)
    inner = "\n".join(f"    {line}" for line in lines) or "    pass"
    return f"with op.batch_alter_table('t'{operation.args}) as b:\n{inner}"


def _forms(operation: Operation) -> list[bool]:
    if operation.batch_only:
        return [True]
    return [False] if operation.plain_only else [True, False]


def _cases() -> list[Any]:
    found = []
    for feature_name, feature in FEATURES.items():
        for number, (name, operation) in enumerate(OPERATIONS.items()):
            if feature.strict and operation.not_strict:
                continue
            forms = _forms(operation)
            # Both forms go through the same door; each crossing takes one of them.
            batch = forms[number % len(forms)]
            found.append(
                pytest.param(
                    feature, operation, batch, id=f"{feature_name} x {name}".replace(" ", "_")
                )
            )
    return found


def _formatted(statements: tuple[str, ...], names: Mapping[str, str]) -> list[str]:
    here = {"t": "t", "num": "num", "name": "name"} | dict(names)
    return [
        statement.replace("{t}", here["t"])
        .replace("{num}", here["num"])
        .replace("{name}", here["name"])
        for statement in statements
    ]


def judge(
    path: Path, tmp_path: Path, feature: Feature, operation: Operation, before: dict[str, Any]
) -> None:
    """Compare what is there with what has to be."""
    after = dump(path)
    assert after["check"] == [("ok",)]
    assert len(after["orphans"]) == len(before["orphans"])
    assert after["settings"] == before["settings"]
    table = operation.names.get("t", "t")
    expected = {key: operation.row(row) for key, row in before["rows"]["t"].items()}
    found = after["rows"][table]
    assert found == expected
    for name, others in before["rows"].items():
        if name not in ("t", "sqlite_sequence") and not name.startswith(("sqlite_stat", "fts")):
            assert after["rows"][name] == others, name
    kept = {(kind, name) for kind, name, _, sql in before["master"] if kind != "table" and sql}
    there = {(kind, name) for kind, name, _, _ in after["master"]}
    gone = kept - there - {("index", "ix_x")}
    assert not gone
    assert not [name for _, name, *_ in after["master"] if "safemigrate" in name]
    for statements, result in (*operation.asked, *feature.probes):
        texts = _formatted(statements, operation.names)
        assert probe(path, tmp_path / "probe.db", texts) == result, texts


@pytest.mark.parametrize(("feature", "operation", "batch"), _cases())
def test_nothing_is_lost(
    tmp_path: Path, feature: Feature, operation: Operation, batch: bool
) -> None:
    path = tmp_path / "app.db"
    if feature.strict and sqlite3.sqlite_version_info < (3, 37):
        pytest.skip("no STRICT tables")
    seed(path, _seed(feature))
    before = dump(path)
    enforced = "child" in feature.after or "up INTEGER" in "".join(feature.columns)
    upgrade(path, _body(operation, batch), foreign_keys=enforced)
    judge(path, tmp_path, feature, operation, before)


CLASSIC = sqlite.EngineOptions(schema_edits=False)


@pytest.mark.parametrize(("feature", "operation", "batch"), _cases()[::3])
def test_nothing_is_lost_without_schema_edits(
    tmp_path: Path, feature: Feature, operation: Operation, batch: bool
) -> None:
    path = tmp_path / "app.db"
    seed(path, _seed(feature))
    before = dump(path)
    if "fts5" in feature.before and operation.names.keys() & {"t", "name"}:
        with pytest.raises(OperationRefused, match='full text table "fts" cannot follow'):
            upgrade(path, _body(operation, batch), options=CLASSIC)
        assert dump(path) == before
        return
    done = upgrade(path, _body(operation, batch), options=CLASSIC)
    assert not [sql for sql in done.script if "writable_schema" in sql]
    judge(path, tmp_path, feature, operation, before)
