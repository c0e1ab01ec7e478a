"""What operations lock, rewrite and break on MariaDB and MySQL.

Which changes are instant, in place or a copy is told by
https://mariadb.com/kb/en/innodb-online-ddl-operations-with-the-instant-alter-algorithm/ and
https://dev.mysql.com/doc/refman/8.4/en/innodb-online-ddl-operations.html; a copy keeps writers
out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from flask_safemigrate.facts.schema import Column, Index
from flask_safemigrate.findings import Severity
from flask_safemigrate.hazards import operations as ops
from flask_safemigrate.hazards import probes, shared, trials
from flask_safemigrate.hazards.hazard import Judge, listed
from flask_safemigrate.hazards.known import KnownTable

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

_INTEGERS = {"tinyint": 7, "smallint": 15, "mediumint": 23, "int": 31, "bigint": 63}
_SYNONYMS = {
    "integer": "int", "boolean": "tinyint", "bool": "tinyint", "numeric": "decimal",
    "dec": "decimal", "double precision": "double", "real": "double",
}  # fmt: skip
_LENGTHS = {"tinytext": 255, "text": 65_535, "mediumtext": 16_777_215, "longtext": 4_294_967_295}
_BYTES = 4  # of a character in utf8mb4
_LONGEST_KEY = 3072  # bytes, of InnoDB with its DYNAMIC row format


def judge(judge: Judge, run: Sequence[ops.Operation]) -> None:
    """Look at every operation of a run in order, and let it happen."""
    changed: dict[str, list[str]] = {}
    for op in run:
        shared.exists(judge, op)
        trials.statement(judge, op)
        _missing(judge, op)
        before = len(judge.found)
        rule = _RULES.get(type(op).__name__)
        if rule is not None:
            rule(judge, op)
        if isinstance(op, ops.DropColumn):
            shared.drop_column(judge, op, run)
            shared.drop_referred_column(judge, op)
            _drop_used_column(judge, op)
        elif isinstance(op, ops.SetDefault):
            shared.drop_default(judge, op, run)
        elif isinstance(op, ops.DropTable):
            shared.drop_table(judge, op, run)
        elif isinstance(op, ops.DropOther):
            shared.drop_view(judge, op, run)
        elif isinstance(op, ops.Write):
            shared.rows_referred(judge, op, run)
            shared.leaves_out(judge, op)
        elif isinstance(op, ops.CreateTable):
            for key in op.foreign_keys:
                shared.foreign_key_fits(judge, op, op.table, key)
            for index in op.indexes:
                _index_fits(judge, op, {c.name: c.type for c in op.columns}, index)
        elif isinstance(op, ops.RenameTable):
            shared.rename_table(judge, op, run)
        _as_asked(judge, op)
        _or_for_text(judge, op)
        done = changed.setdefault(op.place.revision, [])
        if done:
            _half(judge, before, done)
        if not isinstance(op, (ops.Write, ops.Unseen, ops.Raised)) and op.place.statement:
            done.append(op.place.statement)
        judge.known.apply(op)
    shared.leads_nowhere(judge, run)


_ALGORITHM = re.compile(r"\bALGORITHM\s*=?\s*(INSTANT|NOCOPY|INPLACE|COPY)\b", re.IGNORECASE)
_LOCK = re.compile(r"\bLOCK\s*=\s*(NONE|SHARED|EXCLUSIVE)\b", re.IGNORECASE)
#: Which ways of a change each algorithm refuses.
_REFUSED = {
    "INSTANT": ("builds", "rebuilds", "copies"),
    "NOCOPY": ("rebuilds", "copies"),
    "INPLACE": ("copies",),
    "COPY": (),
}


def _as_asked(judge: Judge, op: ops.Operation) -> None:
    """``ALGORITHM=`` and ``LOCK=``, which refuse what needs more and force what does not."""
    name = getattr(op, "table", "")
    if isinstance(op, (ops.Write, ops.LockTable)) or not name:
        return
    algorithm, lock = _ALGORITHM.search(op.place.statement), _LOCK.search(op.place.statement)
    table, way = judge.known.table(name), _way_of(judge, op)
    for found, refused in (
        (algorithm, algorithm is not None and way in _REFUSED[algorithm[1].upper()]),
        (lock, lock is not None and lock[1].upper() == "NONE" and way == "copies"),
    ):
        if found is not None and refused:
            judge.add(
                "SM603", ERROR, op,
                f"{found[0]} is not supported for this change of table '{name}', which "
                f"{'copies it' if way == 'copies' else f'{way} more than that'}: the statement "
                "fails.",
                f"leave {found[0]} out, and run it when little is written",
                f"{name}:{found[0]}",
            )  # fmt: skip
            return
    if table.new:
        return
    if algorithm is not None and algorithm[1].upper() == "COPY":
        judge.add(
            "SM614", judge.by_size(table), op,
            f"ALGORITHM=COPY copies table '{name}' ({judge.rows(table)}): every row is rewritten, "
            "and writes are blocked meanwhile.",
            "leave ALGORITHM=COPY out", f"{name}:COPY",
        )  # fmt: skip
    if lock is not None and lock[1].upper() != "NONE" and way:
        kept = "reads and writes" if lock[1].upper() == "EXCLUSIVE" else "writes"
        what = f"index '{op.made.name}'" if isinstance(op, ops.CreateIndex) else "the change"
        judge.add(
            "SM619", judge.by_size(table), op,
            f"{lock[0]} blocks {kept} of table '{name}' while {what} works on "
            f"{judge.rows(table)}.",
            f"leave {lock[0]} out", f"{name}:LOCK",
        )  # fmt: skip


def _way_of(judge: Judge, op: ops.Operation) -> str:
    """``""`` for an instant change, ``builds`` an index, ``rebuilds`` in place, or ``copies``."""
    table = judge.known.table(getattr(op, "table", ""))
    if isinstance(op, ops.ModifyColumn):
        old = table.columns.get(op.old)
        return _way(old, op.column, judge) if old is not None else ""
    if isinstance(op, ops.AddColumn):
        return "copies" if op.column.counts or (op.column.generated and op.column.stored) else ""
    if isinstance(op, ops.AddKey):
        return "builds" if op.kind == "unique" else "rebuilds"
    if isinstance(op, ops.Rebuild):
        return "copies" if op.blocks else "rebuilds"
    if isinstance(op, ops.CreateIndex):
        return "builds"
    return "copies" if isinstance(op, (ops.AddForeignKey, ops.AddCheck)) else ""


_STRINGS = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`")


def _or_for_text(judge: Judge, op: ops.Operation) -> None:
    """``||`` joins texts on other servers; here it is OR."""
    if not isinstance(op, ops.Write) or "||" not in _STRINGS.sub("''", op.place.statement):
        return
    columns = listed(op.columns) or "its columns"
    judge.add(
        "SM634", WARNING, op,
        f"|| is OR on this server, and joins no texts: {op.verb} of table '{op.table}' gives "
        f"{columns} 0 or 1, so that the values that are there are lost, or fails in strict mode "
        "(Truncated incorrect value).",
        "CONCAT(a, b)", op.table,
    )  # fmt: skip


def _half(judge: Judge, before: int, done: Sequence[str]) -> None:
    """A statement that fails leaves what was done before it in the same revision."""
    for at in range(before, len(judge.found)):
        hazard = judge.found[at]
        if hazard.severity is ERROR and "fails" in hazard.message:
            first = done[0] if len(done[0]) <= 70 else done[0][:67] + "..."
            judge.found[at] = hazard._replace(
                message=f"{hazard.message} What the revision did before it stays, half applied: "
                f"{first}"
            )


def _split(kind: str) -> tuple[str, tuple[int, ...]]:
    match = re.match(r"\s*([a-z ]+?)\s*(?:\(([\d, ]+)\))?(\s+unsigned|\s.*)?$", kind.lower())
    if match is None:
        return kind.lower().strip(), ()
    numbers = tuple(int(part) for part in match[2].split(",")) if match[2] else ()
    word = _SYNONYMS.get(match[1], match[1])
    return word + (" unsigned" if "unsigned" in (match[3] or "") else ""), numbers


def _labels(kind: str) -> tuple[str, ...] | None:
    match = re.match(r"\s*(?:enum|set)\s*\((.*)\)", kind, re.IGNORECASE | re.DOTALL)
    if match is None:
        return None
    found = re.findall(r"'((?:[^']|'')*)'", match[1])
    return tuple(each.replace("''", "'") for each in found)


def _is_same(old: str, new: str) -> bool:
    before, after = _split(old), _split(new)
    if before[0].partition(" ")[0] in _INTEGERS and after[0].partition(" ")[0] in _INTEGERS:
        return before[0] == after[0]
    if _labels(old) is not None:
        return _labels(old) == _labels(new)
    if after[0] == "decimal" and not after[1]:
        after = ("decimal", (10, 0))
    if len(after[1]) == 1 and after[0] == "decimal":
        after = ("decimal", (*after[1], 0))
    return before == after


#: What :func:`_blocked` is said of.
_OnTable = (
    ops.ModifyColumn | ops.AddColumn | ops.AddKey | ops.AddCheck | ops.Rebuild | ops.DropConstraint
)


def _way(old: Column, new: ops.Named, judge: Judge) -> str:
    """``""`` for an instant change, ``rebuilds`` in place, or ``copies``."""
    before, after = _labels(old.type), _labels(new.type)
    if before is not None and after is not None:
        return "" if after[: len(before)] == before else "copies"
    (word, had), (now, has) = _split(old.type), _split(new.type)
    if not _is_same(old.type, new.type):
        if word == now == "varchar" and had and has:
            bytes_before, bytes_after = had[0] * _BYTES, has[0] * _BYTES
            if has[0] < had[0]:
                return "copies"
            # InnoDB keeps one length byte up to 255 bytes; MariaDB tells the two apart only for
            # values that may be longer than 127 bytes.
            if bytes_after <= 255 or bytes_before > 255:
                return ""
            small = 127 if judge.context.dialect == "mariadb" else 0
            return "" if bytes_before <= small else "copies"
        return "copies"
    if old.generated or new.generated:
        return "copies" if bool(old.generated) != bool(new.generated) else ""
    if old.nullable != new.nullable:
        return "rebuilds"
    return ""


def _blocked(judge: Judge, op: _OnTable, table: KnownTable, way: str, what: str, cure: str,
             name: str, code: str = "SM614") -> None:  # fmt: skip
    if not way or table.new:
        return
    severity = judge.by_size(table)
    if way == "copies":
        message = (
            f"{what} copies table '{op.table}' ({judge.rows(table)}): every row is rewritten, and "
            "writes are blocked meanwhile."
        )
    else:
        message = (
            f"{what} rebuilds table '{op.table}' ({judge.rows(table)}): every row is rewritten, "
            "with reads and writes going on."
        )
    judge.add(code, severity, op, message, cure, name)


def _modify(judge: Judge, op: ops.ModifyColumn) -> None:
    table = judge.known.table(op.table)
    old, new = table.columns.get(op.old), op.column
    if table.new:
        return
    if op.old != new.name:
        shared.rename_column(judge, op, op.table, op.old, new.name)
    if old is None:
        return
    name = f"{op.table}.{op.old}"
    lost = []
    if old.default is not None and old.default != "NULL" and new.default is None:
        lost.append(f"the default {old.default}")
    if not old.nullable and new.nullable:
        lost.append("NOT NULL")
    if old.counts and not new.counts:
        lost.append("AUTO_INCREMENT")
    for each in lost:
        word = {"NOT NULL": "existing_nullable=False", "AUTO_INCREMENT": "autoincrement=True"}
        option = word.get(each, f'existing_server_default=sa.text("{old.default}")')
        breaks = each != "NOT NULL" and not new.nullable
        judge.add(
            "SM644",
            WARNING,
            op,
            f"MODIFY defines column '{op.old}' of table '{op.table}' anew and does not repeat "
            f"{each}, which is lost"
            + (": code that still runs and leaves the column out fails." if breaks else "."),
            f'op.alter_column("{op.table}", "{op.old}", ..., {option})',
            f"{name}:{each}",
        )
    if not new.nullable and old.nullable:
        shared.not_null(judge, op, op.table, op.old)
    _values(judge, op, table, old)
    gained = ""
    before, after = _labels(old.type), _labels(new.type)
    if before is not None and after is not None:
        added = [each for each in after if each not in before]
        gained = f" (new: {', '.join(map(repr, added))})" if added else ""
    way = _way(old, new, judge)
    ends = before is not None and after is not None and gained
    cure = (
        "put the new values at the end of the list, which is instant"
        if ends
        else f'expand: op.add_column("{op.table}", sa.Column("{op.old}_new", ...)), fill it in '
        "batches; contract in a later deploy"
    )
    what = f"Changing column '{op.old}' from {old.type} to {new.type}{gained}"
    if _is_same(old.type, new.type):
        what = f"Changing NULL of column '{op.old}'"
    _blocked(judge, op, table, way, what, cure, name)


def _values(judge: Judge, op: ops.ModifyColumn, table: KnownTable, old: Column) -> None:
    """Values that a new type refuses, rounds or cuts."""
    if not judge.can_ask(table, [op.old]) or _is_same(old.type, op.column.type):
        return
    quoted = judge.quote(op.old)
    (word, had), (now, has) = _split(old.type), _split(op.column.type)
    refused = changed = ""
    labels = _labels(op.column.type)
    if labels is not None:
        listed = ", ".join("'" + each.replace("'", "''") + "'" for each in labels)
        refused = f"{quoted} NOT IN ({listed})"
    elif now == "json" and word != "json":
        refused = f"NOT json_valid({quoted})"
    elif now in ("varchar", "char") and has:
        refused = f"char_length({quoted}) > {has[0]}"
    elif now in ("tinytext", "text") and word in _LENGTHS and _LENGTHS[word] > _LENGTHS[now]:
        refused = f"length({quoted}) > {_LENGTHS[now]}"
    elif now.partition(" ")[0] in _INTEGERS:
        unsigned = now.endswith("unsigned")
        bits = _INTEGERS[now.partition(" ")[0]] + (1 if unsigned else 0)
        low = "0" if unsigned else f"-{2**bits}"
        if word in ("varchar", "char", *_LENGTHS):
            refused = f"{quoted} NOT REGEXP '^[[:space:]]*[-+]?[0-9]+[[:space:]]*$'"
        else:
            refused = f"{quoted} >= {2**bits} OR {quoted} < {low}"
            if word in ("decimal", "float", "double"):
                changed = f"{quoted} <> truncate({quoted}, 0)"
    elif now == "decimal":
        precision, scale = (*has, 0)[:2] if has else (10, 0)
        if word in ("decimal", "float", "double") or word.partition(" ")[0] in _INTEGERS:
            refused = f"abs({quoted}) >= pow(10, {precision - scale})"
            changed = f"{quoted} <> round({quoted}, {scale})"
    elif now == "date" and word in ("datetime", "timestamp"):
        changed = f"{quoted} <> cast({quoted} AS date)"
    elif now == word and word in ("datetime", "timestamp", "time") and had > has:
        digits = has[0] if has else 0
        changed = f"microsecond({quoted}) % pow(10, {6 - digits}) <> 0"
    shared.refused_values(judge, op, table, op.old, op.column.type, refused, strict=True)
    shared.rounded_values(judge, op, table, op.old, op.column.type, changed)


def _add_column(judge: Judge, op: ops.AddColumn) -> None:
    table, column = judge.known.table(op.table), op.column
    if table.new:
        return
    shared.add_column_without_default(judge, op, fills=True)
    name = f"{op.table}.{column.name}"
    if column.generated and column.stored:
        _blocked(
            judge, op, table, "copies", f"Adding '{column.name}', a stored generated column,",
            "persisted=False: a VIRTUAL column is instant", name, "SM615",
        )  # fmt: skip
    elif column.counts:
        _blocked(
            judge, op, table, "copies", f"Adding '{column.name}', which numbers the rows,",
            "a table of its own, filled in batches", name, "SM615",
        )  # fmt: skip
    elif (
        column.default
        and re.search(r"\(", column.default)
        and not re.match(r"\(?\s*(now|current_timestamp|localtime)", column.default, re.IGNORECASE)
    ):
        _blocked(
            judge, op, table, "copies",
            f"Adding '{column.name}' with the default {column.default}",
            "add it without the default, set the default, fill the rows in batches", name, "SM615",
        )  # fmt: skip


def _create_index(judge: Judge, op: ops.CreateIndex) -> None:
    table = judge.known.table(op.table)
    name = op.made.name
    if not op.kind:
        _index_fits(judge, op, {c.name: c.type for c in table.columns.values()}, op.made)
    if op.made.unique:
        shared.unique(judge, op, op.table, name, op.made.columns)
    if op.kind in ("FULLTEXT", "SPATIAL") and not table.new:
        judge.add(
            "SM610",
            judge.by_size(table),
            op,
            f"{op.kind} index '{name}' blocks writes to table '{op.table}' while it is built, and "
            f"the first one of a table rewrites {judge.rows(table)}.",
            "do it when nobody writes, or by a copy of the table that is swapped in",
            f"{op.table}.{name}",
        )


def _index_fits(
    judge: Judge, op: ops.CreateTable | ops.CreateIndex | ops.AddKey, types: dict[str, str],
    index: Index,
) -> None:  # fmt: skip
    """MySQL refuses an index over a TEXT without a length, and one of more than 3072 bytes.

    MariaDB shortens it, or makes it by a hash.
    """
    if judge.context.dialect != "mysql" or not index.plain:
        return
    size = 0
    for column in index.columns:
        word, had = _split(types.get(column, ""))
        if word in _LENGTHS or word in ("blob", "json", "tinyblob", "mediumblob", "longblob"):
            judge.add(
                "SM603", ERROR, op,
                f"Index '{index.name}' of table '{op.table}' cannot be made over column "
                f"'{column}', which is {word}, without a length: the statement fails.",
                f'op.create_index("{index.name}", "{op.table}", ["{column}"], '
                f'mysql_length={{"{column}": 255}})',
                f"{op.table}.{column}",
            )  # fmt: skip
        elif word in ("varchar", "char") and had:
            size += had[0] * _BYTES
    if size > _LONGEST_KEY:
        judge.add(
            "SM603", ERROR, op,
            f"Index '{index.name}' of table '{op.table}' over {listed(index.columns)} takes "
            f"{size} bytes in utf8mb4, and {_LONGEST_KEY} is the most: the statement fails "
            "(Specified key was too long).",
            f'mysql_length={{"{index.columns[0]}": 255}}, or a shorter column',
            f"{op.table}.{','.join(index.columns)}",
        )  # fmt: skip


def _drop_used_column(judge: Judge, op: ops.DropColumn) -> None:
    """A column cannot go while a foreign key or a unique index over several columns has it."""
    table = judge.known.tables.get(op.table)
    if table is None:
        return
    for key in table.foreign_keys:
        if op.column in key.columns:
            judge.add(
                "SM603", ERROR, op,
                f"Column '{op.column}' of table '{op.table}' cannot be dropped: foreign key "
                f"'{key.name}' needs it, so that the statement fails.",
                f'op.drop_constraint("{key.name}", "{op.table}", type_="foreignkey") before it',
                f"{op.table}.{op.column}:{key.name}",
            )  # fmt: skip
    if judge.context.dialect == "mariadb":
        for name, index in table.indexes.items():
            if index.unique and op.column in index.columns and len(index.columns) > 1:
                judge.add(
                    "SM603", ERROR, op,
                    f"Column '{op.column}' of table '{op.table}' cannot be dropped: unique index "
                    f"'{name}' is over it and others (Key column doesn't exist), so that the "
                    "statement fails.",
                    f'op.drop_index("{name}", "{op.table}") before it',
                    f"{op.table}.{op.column}:{name}",
                )  # fmt: skip


def _add_key(judge: Judge, op: ops.AddKey) -> None:
    table = judge.known.table(op.table)
    own = Index(op.name, op.columns, True)
    _index_fits(judge, op, {c.name: c.type for c in table.columns.values()}, own)
    if op.kind == "primary key":
        for column in op.columns:
            shared.not_null(judge, op, op.table, column)
        way = "rebuilds" if not table.primary_key else "copies"
        _blocked(
            judge, op, table, way, f"The primary key over {', '.join(op.columns)}",
            "a new table with this key, filled in batches", f"{op.table}.PRIMARY",
        )  # fmt: skip
    shared.unique(judge, op, op.table, op.name, op.columns)


def _add_foreign_key(judge: Judge, op: ops.AddForeignKey) -> None:
    table, key = judge.known.table(op.table), op.key
    shared.foreign_key_fits(judge, op, op.table, key)
    if table.new:
        return
    if not table.added.intersection(key.columns):
        shared.foreign_key(judge, op, op.table, key)
    name = key.name or f"of {', '.join(key.columns)}"
    judge.add(
        "SM611",
        judge.by_size(table),
        op,
        f"Foreign key '{name}' copies table '{op.table}' ({judge.rows(table)}): every row is "
        f"rewritten, and writes to it are blocked while each is looked up in '{key.table}'.",
        "where the rows are known to be right: SET SESSION foreign_key_checks = 0 before it, "
        "which makes it in place, and 1 after it",
        f"{op.table}.{name}",
    )


def _add_check(judge: Judge, op: ops.AddCheck) -> None:
    table = judge.known.table(op.table)
    if table.new:
        return
    shared.check(judge, op, op.table, op.name, op.expression)
    _blocked(
        judge, op, table, "copies", f"CHECK '{op.name}'",
        "let the code check, until a quiet hour", f"{op.table}.{op.name}", "SM612",
    )  # fmt: skip


def _rename_column(judge: Judge, op: ops.RenameColumn) -> None:
    shared.rename_column(judge, op, op.table, op.column, op.new)


def _missing(judge: Judge, op: ops.Operation) -> None:
    if not judge.known.complete or not isinstance(op, (ops.DropIndex, ops.DropConstraint)):
        return
    table = judge.known.tables.get(op.table)
    if table is None or not table.complete or op.if_exists:
        return
    what = "index" if isinstance(op, ops.DropIndex) else "constraint"
    if isinstance(op, ops.DropConstraint):
        there = op.kind == "primary key" or op.name in table.constraint_names()
    else:
        there = op.name in table.indexes
        own = table.indexes.get(op.name)
        needed = own is not None and _needed_by_key(table, own.columns, op.name)
        if needed:
            judge.add(
                "SM603", ERROR, op,
                f"Index '{op.name}' of table '{op.table}' is needed by foreign key '{needed}': "
                "the statement fails.",
                f'op.drop_constraint("{needed}", "{op.table}", type_="foreignkey") before it',
                f"{op.table}.{op.name}",
            )  # fmt: skip
    if not there:
        judge.add(
            "SM604", ERROR, op,
            f"Table '{op.table}' has no {what} '{op.name}': the statement fails.",
            "name it as the database does",
            f"{op.table}.{op.name}",
        )  # fmt: skip


def _needed_by_key(table: KnownTable, columns: tuple[str, ...], name: str) -> str:
    for key in table.foreign_keys:
        size = len(key.columns)
        if columns[:size] != key.columns:
            continue
        others = [table.primary_key, *(i.columns for n, i in table.indexes.items() if n != name)]
        if not any(each[:size] == key.columns for each in others):
            return key.name or ", ".join(key.columns)
    return ""


def _write(judge: Judge, op: ops.Write) -> None:
    table = judge.known.table(op.table)
    shared.emptied(judge, op, cascades=True)
    shared.overwritten(judge, op)
    if op.verb not in ("UPDATE", "DELETE") or not judge.is_large(table):
        return
    if op.times > 1 or op.limit or op.bound:
        return
    probe = None
    # What a join names cannot be asked of the table alone.
    if op.where and not trials.DOTTED.search(op.where):
        probe = probes.matching(judge, table, op.where)._replace(
            amount=f"SELECT CASE WHEN count(*) >= {judge.context.many} THEN count(*) ELSE 0 END "
            f"FROM {judge.quote(op.table)} WHERE {op.where}",
            keys="",
        )
    count = "{count} {row|rows}" if probe else judge.rows(table)
    does = "updates" if op.verb == "UPDATE" else "deletes"
    judge.add(
        "SM618",
        WARNING,
        op,
        f"{op.verb} of table '{op.table}' {does} {count} in one statement: whoever writes to one "
        "of them waits, is blocked, until it ends.",
        "in batches by primary key, committed one by one",
        op.table,
        probe=probe,
    )


def _rebuild(judge: Judge, op: ops.Rebuild) -> None:
    table = judge.known.table(op.table)
    if table.new:
        return
    _charset(judge, op, table)
    if op.blocks:
        _blocked(
            judge, op, table, "copies", op.what, "do it when nobody writes, or by a copy of the "
            "table that is swapped in", f"{op.table}:{op.what}", "SM619",
        )  # fmt: skip
    else:
        _blocked(
            judge, op, table, "rebuilds", op.what, "do it when little is written",
            f"{op.table}:{op.what}", "SM619",
        )  # fmt: skip


def _charset(judge: Judge, op: ops.Rebuild, table: KnownTable) -> None:
    """Characters that another character set does not have."""
    found = re.search(r"CONVERT\s+TO\s+(?:CHARACTER\s+SET|CHARSET)\s*=?\s*'?(\w+)",
                      op.place.statement, re.IGNORECASE)  # fmt: skip
    if found is None or found[1].lower() in ("utf8mb4", "binary"):
        return
    for column in table.columns.values():
        word = _split(column.type)[0]
        if word in ("varchar", "char", *_LENGTHS) and judge.can_ask(table, [column.name]):
            quoted = judge.quote(column.name)
            shared.refused_values(
                judge, op, table, column.name, f"of character set {found[1]}",
                f"CONVERT(CONVERT({quoted} USING {found[1]}) USING utf8mb4) <> "
                f"CONVERT({quoted} USING utf8mb4)", strict=True,
            )  # fmt: skip


def _lock(judge: Judge, op: ops.LockTable) -> None:
    judge.add(
        "SM619", WARNING, op,
        f"LOCK TABLES '{op.table}' {op.mode} blocks "
        f"{'reads and writes' if op.blocks == 'reads' else 'writes'} until UNLOCK TABLES.",
        "leave it out", f"{op.table}:LOCK",
    )  # fmt: skip


def _drop_constraint(judge: Judge, op: ops.DropConstraint) -> None:
    table = judge.known.table(op.table)
    if op.kind == "primary key":
        _blocked(
            judge, op, table, "copies", "Dropping the primary key",
            "drop it and add the new one in one statement", f"{op.table}.PRIMARY", "SM614",
        )  # fmt: skip


_RULES: dict[str, Callable[[Judge, Any], None]] = {
    "AddColumn": _add_column,
    "ModifyColumn": _modify,
    "RenameColumn": _rename_column,
    "CreateIndex": _create_index,
    "AddKey": _add_key,
    "AddForeignKey": _add_foreign_key,
    "AddCheck": _add_check,
    "DropConstraint": _drop_constraint,
    "Write": _write,
    "Rebuild": _rebuild,
    "LockTable": _lock,
}
