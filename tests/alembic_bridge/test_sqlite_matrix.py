"""Features of a table crossed with operations on it, against answers that are written by hand.

Features and operations are those that ``test_sqlite_crossings.py`` compares with SQLite's slow
procedure. This oracle knows neither that procedure nor the engine: it compares the rows before and
after, value by value with storage class and rowid, and asks the changed table what it still does.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused
from tests.alembic_bridge.crossings.features import FEATURES
from tests.alembic_bridge.crossings.model import Model, script, whole
from tests.alembic_bridge.crossings.operations import OPERATIONS
from tests.alembic_bridge.sqlite_run import dump, probe, seed, upgrade

INTEGRITY = "IntegrityError"
OPERATIONAL = "OperationalError"

Row = dict[str, tuple[str, Any]]
#: Statements with what the last one gives, or the class of the error.
Answer = tuple[tuple[str, ...], Any]

#: What a table does because of a feature, by the names that it had before the operation.
ANSWERS: dict[str, tuple[Answer, ...]] = {
    "nothing": (),
    "column check": (
        (("UPDATE thing SET own = -1",), INTEGRITY),
        (("UPDATE thing SET own = 1",), []),
    ),
    "table check": ((("UPDATE thing SET own = cnum",), INTEGRITY),),
    "check of a function": (
        (("UPDATE thing SET own = printf('%40s', 'x')",), INTEGRITY),
        (("UPDATE thing SET own = 'x'",), []),
    ),
    "unique replace": (
        (
            (
                "INSERT INTO thing (cname, cnum, own) VALUES ('new', 70, 'c1')",
                "SELECT cname FROM thing WHERE own = 'c1'",
            ),
            [("new",)],
        ),
    ),
    "cascading children": (
        (("SELECT ck, tid FROM child",), [(1, 1), (2, 1), (3, 7), (4, None)]),
        (("DELETE FROM thing WHERE id = 1", "SELECT ck FROM child"), [(3,), (4,)]),
        (("INSERT INTO child (tid) VALUES (99)",), INTEGRITY),
    ),
    "children set null": (
        (("SELECT ck, tid FROM child",), [(1, 1), (2, 1), (3, 7), (4, None)]),
        (
            ("DELETE FROM thing WHERE id = 1", "SELECT tid FROM child"),
            [(None,), (None,), (7,), (None,)],
        ),
    ),
    "self reference restrict": (
        (("DELETE FROM thing WHERE id = 1",), INTEGRITY),
        (("SELECT own FROM thing ORDER BY id",), [(None,), (1,), (1,)]),
    ),
    "deferrable foreign key": (
        (("BEGIN", "UPDATE thing SET own = 50", "INSERT INTO p VALUES (50)", "COMMIT"), []),
        (("BEGIN", "UPDATE thing SET own = 50", "COMMIT"), INTEGRITY),
    ),
    "orphans": (
        (("SELECT own FROM thing WHERE id = 7",), [(404,)]),
        (("INSERT INTO thing (cname, cnum, own) VALUES ('n', 7, 405)",), INTEGRITY),
    ),
    "trigger after insert": (
        (("SELECT count(*) FROM log",), [(0,)]),
        (
            ("INSERT INTO thing (cname, cnum) VALUES ('zz', 70)", "SELECT what FROM log"),
            [("ins zz",)],
        ),
    ),
    "trigger before update of own": (
        (("UPDATE thing SET own = 9 WHERE id = 2", "SELECT what FROM log"), [("2>9",)]),
    ),
    "trigger that raises": ((("UPDATE thing SET own = 9",), INTEGRITY),),
    "trigger of another table": (
        (
            ("INSERT INTO log (what) VALUES ('q')", "SELECT cdef FROM thing ORDER BY id"),
            [(6,), (6,), (6,)],
        ),
    ),
    "views on views": ((("SELECT sum(c) FROM w",), [(3,)]),),
    "view with INSTEAD OF triggers": (
        (("INSERT INTO v (title) VALUES ('vv')", "SELECT max(i) FROM v"), [(8,)]),
        (("DELETE FROM v WHERE i = 2", "SELECT i FROM v ORDER BY i"), [(1,), (7,)]),
    ),
    "broken views and a broken trigger": (
        (
            ("SELECT count(*) FROM sqlite_master WHERE name IN ('broken', 'worse', 'odd')",),
            [(3,)],
        ),
    ),
    "partial index": (
        (
            ("INSERT INTO thing (cnum, cdef, own, cname) VALUES (7, 6, 1, 'n')",) * 2,
            INTEGRITY,
        ),
        (
            (
                "INSERT INTO thing (cnum, cdef, own, cname) VALUES (7, 6, 2, 'n')",
                "INSERT INTO thing (cnum, cdef, own, cname) VALUES (8, 6, 2, 'm')",
            ),
            [],
        ),
    ),
    "expression index": (
        (("INSERT INTO thing (cnum, own, cdef) VALUES (7, 'x1', 5)",), INTEGRITY),
    ),
    "descending collated index": (
        (
            (
                "UPDATE thing SET own = 'Rome'",
                "SELECT count(*) FROM thing INDEXED BY ix_own WHERE own = 'rome' COLLATE NOCASE",
            ),
            [(3,)],
        ),
    ),
    "stored column": (
        (("UPDATE thing SET own = 10", "SELECT gen FROM thing WHERE id = 1"), [(20,)]),
        (("INSERT INTO thing (gen) VALUES (1)",), OPERATIONAL),
        (
            ("SELECT id FROM thing INDEXED BY ix_gen WHERE gen = 8 ORDER BY id",),
            [(1,), (2,), (7,)],
        ),
    ),
    "virtual column": ((("SELECT gen FROM thing WHERE id = 1",), [("4!",)]),),
    "nocase": (
        (("SELECT id FROM thing WHERE own = 'm2'",), [(2,)]),
        (("INSERT INTO thing (cnum, own) VALUES (7, 'm2')",), INTEGRITY),
    ),
    "autoincrement": (
        (
            ("INSERT INTO thing (cname, cnum) VALUES ('n', 70)", "SELECT max(id) FROM thing"),
            [(501,)],
        ),
    ),
    "without rowid": (
        (("SELECT rowid FROM thing",), OPERATIONAL),
        (("INSERT INTO thing (id, cnum, creq) VALUES (1, 7, 'r')",), INTEGRITY),
        (("SELECT id FROM thing ORDER BY id",), [(1,), (2,), (7,)]),
    ),
    "strict": (
        (("INSERT INTO thing (cdef) VALUES ('abc')",), INTEGRITY),
        (
            ("SELECT own, typeof(own) FROM thing ORDER BY id",),
            [("007", "text"), (7, "integer"), (None, "null")],
        ),
    ),
    "text primary key": ((("SELECT rowid FROM thing ORDER BY 1",), [(1,), (2,), (7,)]),),
    "no primary key": ((("SELECT rowid, id FROM thing ORDER BY 1",), [(1, 1), (2, 2), (7, 7)]),),
    "columns named rowid": (
        (("SELECT oid, id FROM thing ORDER BY 1",), [(1, 1), (2, 2), (7, 7)]),
    ),
    "primary key descending": ((("INSERT INTO thing (id, cnum) VALUES (2, 7)",), INTEGRITY),),
    "foreign values in an integer column": (
        (
            ("SELECT typeof(own) FROM thing ORDER BY id",),
            [("text",), ("blob",), ("real",)],
        ),
    ),
    "text that is no text": (
        (("SELECT hex(own) FROM thing WHERE id < 3",), [("6E756C007461696C",), ("FFFE41",)]),
    ),
    "rows older than a column": ((("SELECT own FROM thing WHERE id = 1",), [(42,)]),),
    "full text": (
        (("SELECT rowid FROM fts WHERE fts MATCH 'k'",), [(7,)]),
        (
            (
                "INSERT INTO thing (cjunk, cnum, cname) VALUES ('mango', 70, 'n')",
                "SELECT rowid FROM fts WHERE fts MATCH 'mango'",
            ),
            [(8,)],
        ),
    ),
    "comments": (
        (
            (
                "SELECT sql LIKE '%-- a note, with ) and ''quote%' FROM sqlite_master"
                " WHERE name = 'thing'",
            ),
            [(1,)],
        ),
    ),
    "odd names": (
        (('INSERT INTO thing (cnum, "order") VALUES (7, 13)',), INTEGRITY),
        (('SELECT id FROM thing INDEXED BY "ix full" WHERE "größe x" = \'q\'',), []),
    ),
    "default text": (
        (
            (
                "INSERT INTO thing (cname, cnum) VALUES ('n', 70)",
                "SELECT own FROM thing WHERE cnum = 70",
            ),
            [("it's, (ok)",)],
        ),
    ),
    "write-ahead log": (),
    "header": (),
    "statistics": (),
}


def _same(row: Row) -> Row:
    return row


class Change(NamedTuple):
    """What an operation does.

    :ivar asked: tells that it has happened, by the names of afterwards.
    :ivar row: what becomes of a row.
    """

    asked: tuple[Answer, ...]
    row: Callable[[Row], Row] = _same


def _has(*names: str) -> Answer:
    listed = ", ".join(f"'{name}'" for name in names)
    query = f"SELECT count(*) FROM pragma_table_xinfo('thing') WHERE name IN ({listed})"
    return (query,), [(len(names),)]


def _new_row_has(column: str, value: Any) -> Answer:
    return (
        (
            "INSERT INTO thing (id, cnum) VALUES (70, 70)",
            f"SELECT {column} FROM thing WHERE cnum = 70",
        ),
        [(value,)],
    )


def _without(*names: str) -> Callable[[Row], Row]:
    return lambda row: {key: value for key, value in row.items() if key not in names}


def _renamed(old: str, new: str) -> Callable[[Row], Row]:
    return lambda row: {new if key == old else key: value for key, value in row.items()}


def _with(**values: tuple[str, Any]) -> Callable[[Row], Row]:
    return lambda row: {**row, **values}


def _as(column: str, stored: str, convert: type) -> Callable[[Row], Row]:
    """What was an integer is stored as another type."""

    def change(row: Row) -> Row:
        kind, value = row[column]
        return {**row, column: (stored, convert(value)) if kind == "integer" else (kind, value)}

    return change


#: By the names of :data:`OPERATIONS`.
CHANGES: dict[str, Change] = {
    "cname to varchar": Change(()),
    "cnum to text": Change((), _as("cnum", "text", str)),
    "cnum to real": Change((), _as("cnum", "real", float)),
    "cnum to numeric": Change(()),
    "cname to integer": Change(()),
    "cname not null": Change(((("INSERT INTO thing (id, cnum) VALUES (70, 70)",), INTEGRITY),)),
    "creq null": Change(
        (
            (
                (
                    "SELECT \"notnull\" AND NOT pk FROM pragma_table_info('thing')"
                    " WHERE name = 'creq'",
                ),
                [(0,)],
            ),
        )
    ),
    "cname default": Change((_new_row_has("cname", "7"),)),
    "cdef default": Change((_new_row_has("cdef", 8),)),
    "cdef no default": Change((_new_row_has("cdef", None),)),
    "cnum renamed": Change((_has("fresh"),), _renamed("cnum", "fresh")),
    "cname renamed and not null": Change((_has("fresh"),), _renamed("cname", "fresh")),
    "added": Change((_has("extra"),), _with(extra=("null", None))),
    "added with default": Change((_has("extra"),), _with(extra=("text", "x"))),
    "added with expression": Change((_new_row_has("extra", "a"),), _with(extra=("text", "a"))),
    "added with reference": Change(
        ((("INSERT INTO thing (cnum, extra) VALUES (70, 99)",), INTEGRITY),),
        _with(extra=("null", None)),
    ),
    "added unique": Change(
        ((("UPDATE thing SET extra = 1",), INTEGRITY),), _with(extra=("null", None))
    ),
    "added boolean": Change(
        ((("INSERT INTO thing (cnum, extra) VALUES (70, 2)",), INTEGRITY),),
        _with(extra=("null", None)),
    ),
    "added computed": Change((_has("extra"),), _with(extra=("integer", 6))),
    "added stored": Change(
        ((("SELECT hidden FROM pragma_table_xinfo('thing') WHERE name = 'extra'",), [(3,)]),),
        _with(extra=("integer", 6)),
    ),
    "added before, always": Change(
        (
            (
                (
                    "SELECT name FROM pragma_table_xinfo('thing')"
                    " WHERE name IN ('cname', 'extra', 'cnum') ORDER BY cid",
                ),
                [("cname",), ("extra",), ("cnum",)],
            ),
        ),
        _with(extra=("null", None)),
    ),
    "cjunk dropped": Change(
        ((("SELECT thing.cjunk FROM thing",), OPERATIONAL),), _without("cjunk")
    ),
    "two dropped": Change(
        ((("SELECT thing.cbin FROM thing",), OPERATIONAL),), _without("cjunk", "cbin")
    ),
    "cpid dropped": Change(((("SELECT thing.cpid FROM thing",), OPERATIONAL),), _without("cpid")),
    "cnum checked": Change(((("INSERT INTO thing (cnum) VALUES (777)",), INTEGRITY),)),
    "check dropped": Change(
        ((("INSERT INTO thing (id, cnum, creq) VALUES (70, 5000, 'q')",), []),)
    ),
    "cname unique": Change(((("UPDATE thing SET cname = 'same', cdef = 5",), INTEGRITY),)),
    "unique dropped": Change(
        (
            (
                (
                    "INSERT INTO thing (id, cname, cnum, creq) VALUES (70, 'beta', 20, 'q')",
                    "SELECT count(*) FROM thing",
                ),
                [(4,)],
            ),
        )
    ),
    "cpid refers": Change(
        (
            (
                (
                    "SELECT count(*) FROM pragma_foreign_key_list('thing')"
                    " WHERE \"from\" = 'cpid' AND on_delete = 'SET NULL'",
                ),
                [(1,)],
            ),
        )
    ),
    "foreign key dropped": Change(
        ((("INSERT INTO thing (id, cnum, cpid, creq) VALUES (70, 7, 99, 'q')",), []),)
    ),
    "unique index": Change(
        (
            (
                ("SELECT cnum FROM thing INDEXED BY ix_new WHERE cdef = 5 AND cname = 'beta'",),
                [(20,)],
            ),
        )
    ),
    "index dropped": Change(
        ((("SELECT count(*) FROM sqlite_master WHERE name = 'ix_x'",), [(0,)]),)
    ),
    "recreated": Change(()),
    "reordered": Change(
        (
            (
                (
                    "SELECT name FROM pragma_table_xinfo('thing')"
                    " WHERE name IN ('cnum', 'cname') ORDER BY cid",
                ),
                [("cnum",), ("cname",)],
            ),
        )
    ),
    "several": Change(
        ((("INSERT INTO thing (title, flag) VALUES ('q', -1)",), INTEGRITY),),
        lambda row: _with(flag=("integer", 0))(
            _as("cnum", "text", str)(_renamed("cname", "title")(_without("cjunk")(row)))
        ),
    ),
    "table renamed": Change(((("SELECT count(*) FROM thing",), OPERATIONAL),)),
    "table renamed and widened": Change(((("SELECT count(*) FROM thing",), OPERATIONAL),)),
}


def _cases() -> list[Any]:
    found = []
    for number, (name, label) in enumerate(itertools.product(ANSWERS, CHANGES)):
        feature, operation = FEATURES[name], OPERATIONS[label]
        outcome = operation.make(whole(feature), feature)
        # No text of the rows is a number, which STRICT wants.
        if outcome is None or outcome.refuses or (feature.strict and label == "cname to integer"):
            continue
        forms = [True] if operation.batch_only else [False, True]
        # Both forms go through the same door; each crossing takes one of them.
        batch = not operation.plain_only and forms[number % len(forms)]
        made = f"{name} x {label}".replace(" ", "_")
        found.append(pytest.param(name, label, outcome.after, batch, id=made))
    return found


def judge(path: Path, tmp_path: Path, name: str, label: str, after: Model, before: Any) -> None:
    """Compare what is there with what has to be."""
    now = dump(path)
    assert now["check"] == [("ok",)]
    assert len(now["orphans"]) == len(before["orphans"])
    assert now["settings"] == before["settings"]
    row = CHANGES[label].row
    assert now["rows"][after.name] == {
        key: row(each) for key, each in before["rows"]["thing"].items()
    }
    for table, others in before["rows"].items():
        if table not in ("thing", "sqlite_sequence") and not table.startswith(
            ("sqlite_stat", "fts")
        ):
            assert now["rows"][table] == others, table
    kept = {(kind, each) for kind, each, _, sql in before["master"] if kind != "table" and sql}
    gone = kept - {(kind, each) for kind, each, _, _ in now["master"]}
    assert gone == ({("index", "ix_x")} if label == "index dropped" else set())
    assert not [each for _, each, *_ in now["master"] if "safemigrate" in each]
    types = probe(
        path, tmp_path / "probe.db", [f"SELECT name, type FROM pragma_table_xinfo('{after.name}')"]
    )
    assert dict(types) == {column: col.type for column, col in after.cols.items()}
    answers = [
        (tuple(map(after.swap, statements)), result) for statements, result in ANSWERS[name]
    ]
    for statements, result in (*CHANGES[label].asked, *answers):
        assert probe(path, tmp_path / "probe.db", statements) == result, statements


@pytest.mark.parametrize(("name", "label", "after", "batch"), _cases())
def test_nothing_is_lost(tmp_path: Path, name: str, label: str, after: Model, batch: bool) -> None:
    path, feature = tmp_path / "app.db", FEATURES[name]
    if feature.strict and sqlite3.sqlite_version_info < (3, 37):
        pytest.skip("no STRICT tables")
    seed(path, script(feature))
    before = dump(path)
    upgrade(path, OPERATIONS[label].body(batch), foreign_keys=feature.foreign_keys)
    judge(path, tmp_path, name, label, after, before)


CLASSIC = sqlite.EngineOptions(schema_edits=False)


@pytest.mark.parametrize(("name", "label", "after", "batch"), _cases()[::3])
def test_nothing_is_lost_without_schema_edits(
    tmp_path: Path, name: str, label: str, after: Model, batch: bool
) -> None:
    path, feature = tmp_path / "app.db", FEATURES[name]
    seed(path, script(feature))
    before = dump(path)
    body = OPERATIONS[label].body(batch)
    if name == "full text" and after.name != "thing":
        with pytest.raises(OperationRefused, match='full text table "fts" cannot follow'):
            upgrade(path, body, options=CLASSIC)
        assert dump(path) == before
        return
    done = upgrade(path, body, options=CLASSIC)
    assert not [sql for sql in done.script if "writable_schema" in sql]
    judge(path, tmp_path, name, label, after, before)
