"""Random tables, random rows, random sequences of operations.

The oracle does every operation at once on a file of its own, by SQLite's slow procedure: a new
table from a model, INSERT ... SELECT, DROP, RENAME. It shares no code with the engine. In the end
both files must hold the same rows, value by value with storage class and rowid, describe the same
columns, keys and indexes, and accept and refuse the same new values.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused
from tests.alembic_bridge.sqlite_run import dump, upgrade

EXAMPLES = int(150 * float(os.environ.get("SAFEMIGRATE_TEST_EXAMPLES", "1")))

NAMES = ["a", "b b", 'c"c', "order", "größe", "D", "e'e", "f_long_name", "check", "t"]
TYPES = {
    "INTEGER": "sa.Integer()",
    "BIGINT": "sa.BigInteger()",
    "TEXT": "sa.Text()",
    "VARCHAR(20)": "sa.String(20)",
    "VARCHAR(99)": "sa.String(99)",
    "REAL": "sa.REAL()",
    "FLOAT": "sa.Float()",
    "NUMERIC(10, 2)": "sa.Numeric(10, 2)",
    "BLOB": "sa.BLOB()",
    "DATETIME": "sa.DateTime()",
}
STRICT_TYPES = ["INTEGER", "TEXT", "REAL", "BLOB"]
DEFAULTS = [None, "5", "'x'", "-1.5", "x'00ff'", "(1 + 2)", "'it''s'"]
VALUES: list[Any] = [
    *(None, 0, 1, -7, 2**40, 1.5, 2.0, "", "x", "12", "1.50", "abc", "ä"),
    *(b"", b"12", b"1.50", b"x", "ä".encode(), b"a\0b", b"\x00\xff"),
]
COLLATIONS = ["", "", "", "NOCASE", "RTRIM"]


def q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Col:
    name: str
    type: str
    not_null: bool = False
    default: str | None = None
    collation: str = ""
    computed: str | None = None
    stored: bool = False


@dataclass(frozen=True)
class Model:
    """The table, with one table that it refers to and one that refers to it."""

    name: str
    cols: tuple[Col, ...]
    key: str
    checks: tuple[tuple[str, str, str], ...] = ()
    uniques: tuple[tuple[str, tuple[str, ...]], ...] = ()
    parents: tuple[tuple[str, str, str], ...] = ()
    indexes: tuple[tuple[str, tuple[str, ...], bool, str], ...] = ()
    strict: bool = False
    noise: int = 0

    def col(self, name: str) -> Col:
        return next(col for col in self.cols if col.name == name)

    def ddl(self, name: str) -> str:
        note = ["", " -- a, note )\n", " /* ( */ ", "\n\t"][self.noise % 4]
        items = [
            {
                "alias": "id INTEGER PRIMARY KEY",
                "counter": "id INTEGER PRIMARY KEY AUTOINCREMENT",
                "none": "id INTEGER",
                "text": "id INTEGER",
                "heap": "id INTEGER NOT NULL",
            }[self.key]
        ]
        for col in self.cols:
            text = f"{q(col.name)} {col.type}"
            if col.collation:
                text += f" COLLATE {col.collation}"
            if col.not_null:
                text += " NOT NULL"
            if col.default is not None:
                text += f" DEFAULT {col.default}"
            if col.computed is not None:
                text += f" GENERATED ALWAYS AS ({col.computed})"
                text += " STORED" if col.stored else " VIRTUAL"
            items.append(text + note)
        if self.key == "text":
            items.append("PRIMARY KEY (id)")
            items[0] = "id TEXT"
        if self.key == "heap":
            items.append("PRIMARY KEY (id DESC)")
        for label, column, expression in self.checks:
            named = f"CONSTRAINT {label} " if label else ""
            items.append(f"{named}CHECK ({expression.format(q(column))})")
        for label, columns in self.uniques:
            items.append(f"CONSTRAINT {label} UNIQUE ({', '.join(map(q, columns))})")
        for label, column, action in self.parents:
            items.append(
                f"CONSTRAINT {label} FOREIGN KEY ({q(column)}) REFERENCES p (id)"
                f" ON DELETE {action}"
            )
        options = ["STRICT"] if self.strict else []
        if self.key == "heap":
            options.append("WITHOUT ROWID")
        joined = f",{note or ' '}".join(items)
        return f"CREATE TABLE {q(name)} ({joined}\n) {', '.join(options)}"

    def index_ddl(self) -> list[str]:
        return [
            f"CREATE {'UNIQUE ' if unique else ''}INDEX {label} ON {q(self.name)}"
            f" ({', '.join(map(q, columns))}){where}"
            for label, columns, unique, where in self.indexes
        ]


@dataclass
class Step:
    """One operation: its code for Alembic, the model after it, where columns come from."""

    code: str
    after: Model
    sources: dict[str, str] = field(default_factory=dict)
    barrier: bool = False


def _as_number(value: Any) -> Any:
    """Bytes as the text of the number that they are, else as they are."""
    try:
        text = value.decode()
        float(text)
    except (AttributeError, ValueError):
        return value
    return text


def _cast(name: str, old: str, new: str) -> str:
    """The value of a column that Alembic copies with a CAST, which here loses nothing."""
    texts = "TEXT", "VARCHAR(20)", "VARCHAR(99)"
    if old == new or (old in texts and new in texts):
        return name
    if new == "BLOB":
        return f"CAST({name} AS BLOB)"
    if new in texts:
        return f"CASE typeof({name}) WHEN 'blob' THEN CAST({name} AS TEXT) ELSE {name} END"
    return f"as_number({name})" if old == "BLOB" else name


def apply_slowly(path: Path, before: Model, step: Step) -> None:
    """SQLite's own procedure (lang_altertable.html, section 7), one operation at a time."""
    after = step.after
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("PRAGMA legacy_alter_table=ON")
        db.create_function("as_number", 1, _as_number)
        db.execute("BEGIN")
        db.execute(after.ddl("slow copy"))
        into, values = [], []
        if before.key != "heap":
            into.append("oid")
            values.append("oid")
        if before.key not in ("alias", "counter"):
            into.append("id")
            values.append("id")
        for col in after.cols:
            if col.computed is None:
                into.append(q(col.name))
                values.append(step.sources.get(col.name, q(col.name)))
        db.execute(
            f'INSERT OR ABORT INTO "slow copy" ({", ".join(into)})'
            f" SELECT {', '.join(values)} FROM {q(before.name)}"
        )
        seq = None
        if before.key == "counter":
            seq = db.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = ?", (before.name,)
            ).fetchone()
        db.execute(f"DROP TABLE {q(before.name)}")
        db.execute(f'ALTER TABLE "slow copy" RENAME TO {q(after.name)}')
        if before.name != after.name:
            sql = db.execute("SELECT sql FROM sqlite_master WHERE name = 'child'").fetchone()[0]
            rows = db.execute("SELECT id, tid FROM child").fetchall()
            db.execute("DROP TABLE child")
            db.execute(sql.replace(q(before.name), q(after.name)))
            db.executemany("INSERT INTO child VALUES (?, ?)", rows)
        if seq:
            db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (seq[0], after.name))
        for sql in after.index_ddl():
            db.execute(sql)
        if len(db.execute("PRAGMA foreign_key_check").fetchall()):
            raise sqlite3.IntegrityError("orphans")
        db.execute("COMMIT")


@st.composite
def models(draw: st.DrawFn) -> Model:
    strict = draw(st.integers(0, 5)) == 0 and sqlite3.sqlite_version_info >= (3, 37)
    types = STRICT_TYPES if strict else list(TYPES)
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=5, unique=True))
    cols = [
        Col(
            name,
            draw(st.sampled_from(types)),
            default=draw(st.sampled_from(DEFAULTS)) if not strict else None,
            collation=draw(st.sampled_from(COLLATIONS)),
        )
        for name in names
    ]
    base = cols[0].name
    if draw(st.booleans()):
        cols.append(Col("gen", "TEXT", computed=f"{q(base)} || '!'", stored=draw(st.booleans())))
    indexes = []
    if draw(st.booleans()):
        where = draw(st.sampled_from(["", f" WHERE {q(names[-1])} IS NOT NULL"]))
        indexes.append(("ix_1", tuple(names[:2]), False, where))
    if draw(st.booleans()):
        indexes.append(("ix_2", (names[-1],), False, ""))
    checks = []
    if draw(st.booleans()):
        checks.append((draw(st.sampled_from(["ck_1", ""])), names[-1], "length({}) < 50"))
    return Model(
        draw(st.sampled_from(["t", "odd table", "T2"])),
        tuple(cols),
        draw(st.sampled_from(["alias", "counter", "none", "text", "heap"])),
        checks=tuple(checks),
        indexes=tuple(indexes),
        strict=strict,
        noise=draw(st.integers(0, 3)),
    )


def rule_free(model: Model, name: str) -> bool:
    """Whether nothing but the column itself mentions it."""
    return not (
        any(column == name for _, column, _ in model.checks)
        or any(name in columns for _, columns in model.uniques)
        or any(column == name for _, column, _ in model.parents)
        or any(name in columns or q(name) in where for _, columns, _, where in model.indexes)
        or any(col.computed is not None and q(name) in col.computed for col in model.cols)
    )


def _rename(model: Model, old: str, new: str) -> Model:
    swap = lambda name: new if name == old else name  # noqa: E731
    text = lambda sql: sql.replace(q(old), q(new))  # noqa: E731
    return replace(
        model,
        cols=tuple(
            replace(
                col,
                name=swap(col.name),
                computed=text(col.computed) if col.computed is not None else None,
            )
            for col in model.cols
        ),
        checks=tuple((label, swap(column), sql) for label, column, sql in model.checks),
        uniques=tuple((label, tuple(map(swap, columns))) for label, columns in model.uniques),
        parents=tuple((label, swap(column), action) for label, column, action in model.parents),
        indexes=tuple(
            (label, tuple(map(swap, columns)), unique, text(where))
            for label, columns, unique, where in model.indexes
        ),
    )


def _set(model: Model, name: str, **values: Any) -> Model:
    return replace(
        model,
        cols=tuple(replace(col, **values) if col.name == name else col for col in model.cols),
    )


@st.composite
def steps(draw: st.DrawFn, model: Model, number: int) -> Step | None:
    """One operation that makes sense on the table as it is."""
    t = model.name
    plain = [col for col in model.cols if col.computed is None]
    col = draw(st.sampled_from(plain))
    name, c = col.name, repr(col.name)
    free = [each for each in NAMES if each not in [x.name for x in model.cols]]
    kind = draw(
        st.sampled_from(
            [
                "type",
                "type",
                "null",
                "not null",
                "default",
                "default",
                "rename",
                "add",
                "add",
                "add filled",
                "drop",
                "check",
                "unique",
                "drop unique",
                "fk",
                "drop fk",
                "index",
                "drop index",
                "table",
                "copy",
                "drop check",
                "computed",
            ]
        )
    )
    if kind == "type":
        if model.strict:
            return None
        new = draw(st.sampled_from(list(TYPES)))
        return Step(
            f"op.alter_column({t!r}, {c}, type_={TYPES[new]})",
            _set(model, name, type=new),
            {name: _cast(q(name), col.type, new)},
        )
    if kind == "null":
        return Step(
            f"op.alter_column({t!r}, {c}, nullable=True)", _set(model, name, not_null=False)
        )
    if kind == "not null":
        return Step(
            f"op.alter_column({t!r}, {c}, nullable=False)", _set(model, name, not_null=True)
        )
    if kind == "default":
        value = draw(st.sampled_from([None, "5", "'x'", "(1 + 2)", "-1.5"]))
        if model.strict:
            value = None
        shown = "None" if value is None else f"sa.text({value!r})"
        return Step(
            f"op.alter_column({t!r}, {c}, server_default={shown})",
            _set(model, name, default=value),
        )
    if kind == "rename" and free:
        new = draw(st.sampled_from(free))
        return Step(
            f"op.alter_column({t!r}, {c}, new_column_name={new!r})",
            _rename(model, name, new),
            {new: q(name)},
        )
    if kind in ("add", "add filled") and free:
        new = draw(st.sampled_from(free))
        declared = draw(st.sampled_from(STRICT_TYPES if model.strict else list(TYPES)))
        value = None
        if kind == "add filled" and not model.strict:
            value = draw(st.sampled_from(["5", "'x'", "(1 + 2)", "-1.5", "(lower('Q'))"]))
        not_null = value is not None and draw(st.booleans())
        extra = f", server_default=sa.text({value!r})" if value is not None else ""
        extra += ", nullable=False" if not_null else ""
        added = Col(new, declared, not_null, value)
        return Step(
            f"op.add_column({t!r}, sa.Column({new!r}, {TYPES[declared]}{extra}))",
            replace(model, cols=(*model.cols, added)),
            {new: value or "NULL"},
        )
    if kind == "computed" and free and not model.strict:
        new = draw(st.sampled_from(free))
        stored = draw(st.booleans())
        code = (
            f"op.add_column({t!r}, sa.Column({new!r}, sa.Text(),"
            f" sa.Computed({(q(name) + ' || 1')!r}, persisted={stored})))"
        )
        added = Col(new, "TEXT", computed=f"{q(name)} || 1", stored=stored)
        return Step(code, replace(model, cols=(*model.cols, added)))
    if kind == "drop" and len(model.cols) > 1:
        if any(x.computed is not None and q(name) in x.computed for x in model.cols):
            return None
        after = replace(
            model,
            cols=tuple(x for x in model.cols if x.name != name),
            checks=tuple(x for x in model.checks if x[1] != name),
            uniques=tuple(x for x in model.uniques if name not in x[1]),
            parents=tuple(x for x in model.parents if x[1] != name),
            indexes=tuple(x for x in model.indexes if name not in x[1] and q(name) not in x[3]),
        )
        return Step(f"op.drop_column({t!r}, {c})", after)
    if kind == "check":
        label = f"ck_n{number}"
        expression = draw(st.sampled_from(["{} IS NULL OR length({}) < 4", "{} <> 'zz'"]))
        expression = expression.replace("{}", "{0}")
        return Step(
            f"op.create_check_constraint({label!r}, {t!r}, {expression.format(q(name))!r})",
            replace(model, checks=(*model.checks, (label, name, expression))),
            barrier=True,
        )
    if kind == "drop check" and any(label for label, _, _ in model.checks):
        label = next(label for label, _, _ in model.checks if label)
        return Step(
            f"op.drop_constraint({label!r}, {t!r}, type_='check')",
            replace(model, checks=tuple(x for x in model.checks if x[0] != label)),
        )
    if kind == "unique":
        label = f"uq_n{number}"
        columns = tuple(
            draw(
                st.lists(
                    st.sampled_from([x.name for x in plain]), min_size=1, max_size=2, unique=True
                )
            )
        )
        return Step(
            f"op.create_unique_constraint({label!r}, {t!r}, {list(columns)!r})",
            replace(model, uniques=(*model.uniques, (label, columns))),
            barrier=True,
        )
    if kind == "drop unique" and model.uniques:
        label = draw(st.sampled_from([label for label, _ in model.uniques]))
        return Step(
            f"op.drop_constraint({label!r}, {t!r}, type_='unique')",
            replace(model, uniques=tuple(x for x in model.uniques if x[0] != label)),
        )
    if kind == "fk":
        label = f"fk_n{number}"
        action = draw(st.sampled_from(["CASCADE", "SET NULL", "RESTRICT"]))
        return Step(
            f"op.create_foreign_key({label!r}, {t!r}, 'p', [{c}], ['id'], ondelete={action!r})",
            replace(model, parents=(*model.parents, (label, name, action))),
            barrier=True,
        )
    if kind == "drop fk" and model.parents:
        label = draw(st.sampled_from([label for label, _, _ in model.parents]))
        return Step(
            f"op.drop_constraint({label!r}, {t!r}, type_='foreignkey')",
            replace(model, parents=tuple(x for x in model.parents if x[0] != label)),
        )
    if kind == "index":
        label, unique = f"ix_n{number}", draw(st.booleans())
        return Step(
            f"op.create_index({label!r}, {t!r}, [{c}], unique={unique})",
            replace(model, indexes=(*model.indexes, (label, (name,), unique, ""))),
            barrier=unique,
        )
    if kind == "drop index" and model.indexes:
        label = draw(st.sampled_from([x[0] for x in model.indexes]))
        return Step(
            f"op.drop_index({label!r}, table_name={t!r})",
            replace(model, indexes=tuple(x for x in model.indexes if x[0] != label)),
        )
    if kind == "table":
        new = draw(st.sampled_from([x for x in ("t", "odd table", "T2", "select") if x != t]))
        if new.lower() == t.lower():
            return None
        return Step(f"op.rename_table({t!r}, {new!r})", replace(model, name=new))
    if kind == "copy":
        return Step(f"with op.batch_alter_table({t!r}, recreate='always') as b:\n    pass", model)
    return None


def make(path: Path, model: Model, rows: list[list[Any]], late: str | None) -> None:
    """The file both sides start from."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("CREATE TABLE p (id INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO p VALUES (?)", [(n,) for n in (0, 1, 5, 12)])
        db.execute(model.ddl(model.name))
        for sql in model.index_ddl():
            db.execute(sql)
        key = "id" if model.key == "heap" else "oid"
        plain = [col.name for col in model.cols if col.computed is None]
        for number, row in enumerate(rows):
            names = ", ".join([key, *map(q, plain)])
            marks = ", ".join("?" * (1 + len(plain)))
            try:
                db.execute(
                    f"INSERT INTO {q(model.name)} ({names}) VALUES ({marks})",
                    [3 * number + 1, *row[: len(plain)]],
                )
            except sqlite3.IntegrityError:
                continue
        if late is not None:
            # Rows that do not store their last column.
            db.execute(f"ALTER TABLE {q(model.name)} ADD COLUMN late INTEGER DEFAULT {late}")
        target = "(id)" if model.key in ("alias", "counter") else ""
        if model.key in ("alias", "counter", "heap"):
            db.execute(
                f"CREATE TABLE child (id INTEGER PRIMARY KEY, tid INTEGER"
                f" REFERENCES {q(model.name)} {target} ON DELETE CASCADE)"
            )
            db.execute(f"INSERT INTO child SELECT id, id FROM {q(model.name)}")
        else:
            db.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, tid INTEGER)")


def described(path: Path, table: str) -> dict[str, Any]:
    """What SQLite says about the table."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        columns = []
        for row in db.execute("SELECT * FROM pragma_table_xinfo(?)", (table,)).fetchall():
            default = row[4]
            if default is not None:
                default = db.execute(f"SELECT typeof({default}), {default}").fetchone()
            columns.append((row[1], row[2].replace(" ", ""), row[3], default, row[5], row[6]))
        indexes = sorted(
            (
                unique,
                origin,
                partial,
                name if origin == "c" else "",
                [
                    part[2:5]
                    for part in db.execute("SELECT * FROM pragma_index_xinfo(?)", (name,))
                    if part[5]
                ],
            )
            for _, name, unique, origin, partial in db.execute(
                "SELECT * FROM pragma_index_list(?)", (table,)
            ).fetchall()
        )
        keys = sorted(
            row[2:] for row in db.execute("SELECT * FROM pragma_foreign_key_list(?)", (table,))
        )
        return {"columns": columns, "indexes": indexes, "foreign keys": keys}


def behaviour(path: Path, table: str, columns: list[str]) -> list[Any]:
    """What happens to samples of new values, each undone."""
    found: list[Any] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA foreign_keys=ON")
        for column in columns:
            for value in (None, 1, 2, "x", "zz", "longer text"):
                db.execute("BEGIN")
                try:
                    db.execute(f"UPDATE {q(table)} SET {q(column)} = ?", (value,))
                    found.append(
                        db.execute(
                            f"SELECT typeof({q(column)}), {q(column)} FROM {q(table)} LIMIT 1"
                        ).fetchall()
                    )
                except sqlite3.IntegrityError as error:
                    found.append(type(error).__name__)
                db.execute("ROLLBACK")
        db.execute("BEGIN")
        try:
            db.execute(f"DELETE FROM {q(table)} WHERE id = 1")
            found.append(db.execute("SELECT * FROM child").fetchall())
        except sqlite3.IntegrityError as error:
            found.append(type(error).__name__)
        db.execute("ROLLBACK")
    return found


def bodies(draw: Any, made: list[Step]) -> Iterator[str]:
    """The operations as revisions, with a barrier here and there."""
    lines: list[str] = []
    for step in made:
        lines.append(step.code)
        if step.barrier or draw(st.integers(0, 3)) == 0:
            lines.append("op.get_bind()")
        if draw(st.integers(0, 3)) == 0:
            yield "\n".join(lines)
            lines = []
    yield "\n".join(lines) or "pass"


def counter(state: dict[str, Any], table: str) -> int:
    """The AUTOINCREMENT counter; SQLite may have none yet, which is 0."""
    kept = state["rows"].pop("sqlite_sequence", {})
    return next((row["seq"][1] for row in kept.values() if row["name"][1] == table), 0) or 0


def check(data: st.DataObject, folder: Path, options: sqlite.EngineOptions) -> None:
    model = data.draw(models(), label="table")
    width = len(model.cols)
    rows = data.draw(
        st.lists(st.lists(st.sampled_from(VALUES), min_size=width, max_size=width), max_size=4),
        label="rows",
    )
    late = data.draw(st.sampled_from([None, "7", "NULL"]), label="late")
    ours, slow = folder / "ours.db", folder / "slow.db"
    for path in (ours, slow):
        path.unlink(missing_ok=True)
        make(path, model, rows, late)
    if late is not None:
        column = Col("late", "INTEGER", default=None if late == "NULL" else late)
        if late == "NULL":
            column = replace(column, default="NULL")
        model = replace(model, cols=(*model.cols, column))
    start = dump(ours)
    made: list[Step] = []
    fails = False
    for number in range(data.draw(st.integers(1, 6), label="operations")):
        step = data.draw(steps(model, number), label="step")
        if step is None:
            continue
        made.append(step)
        try:
            apply_slowly(slow, model, step)
        except sqlite3.IntegrityError:
            fails = True
            break
        model = step.after
    code = list(bodies(data.draw, made))
    enforced = data.draw(st.booleans(), label="foreign_keys")
    if fails:
        with pytest.raises(OperationRefused):
            upgrade(ours, *code, foreign_keys=enforced, options=options)
        assert dump(ours) == start
        return
    try:
        upgrade(ours, *code, foreign_keys=enforced, options=options)
    except OperationRefused as error:
        # What the slow procedure does although digits are lost.
        unreadable = "are no UTF-8 text" in str(error) and any(b"\x00\xff" in row for row in rows)
        if "cannot hold exactly" not in str(error) and not unreadable:
            raise
        assert dump(ours) == start
        return
    found, expected = dump(ours), dump(slow)
    assert found["check"] == [("ok",)]
    assert counter(found, model.name) == counter(expected, model.name), code
    assert found["rows"] == expected["rows"], code
    assert described(ours, model.name) == described(slow, model.name), code
    names = [col.name for col in model.cols if col.computed is None]
    assert behaviour(ours, model.name, names) == behaviour(slow, model.name, names), code


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
@given(data=st.data())
def test_a_random_sequence_ends_where_the_slow_one_does(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(data, Path(folder), sqlite.EngineOptions())


@settings(
    max_examples=EXAMPLES // 3,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(data=st.data())
def test_a_random_sequence_without_schema_edits(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(data, Path(folder), sqlite.EngineOptions(schema_edits=False))
