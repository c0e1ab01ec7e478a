"""From the table that is there to the table that shall be: which way, and with what statements.

Three ways, cheapest first. ``text``: only the stored schema text changes. ``in place``: some rows
are written anew where they are. ``rebuild``: every row is copied. None of them touches an index
whose contents stay what they are: an index holds key values and rowids, and both are kept.

Rows are written under a *plain* text of the table, without constraints: the rules were proven
when they were made, new ones are proven afterwards, and foreign keys, conflict clauses and CHECKs
must not act on a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from flask_safemigrate.ddl.shape import ColumnShape, IndexShape, KeyColumn, TableShape
from flask_safemigrate.ddl.tokens import (
    ascii_upper,
    fold,
    quote,
    quote_string,
    significant,
    tokenize,
    unquote,
)

Way = Literal["text", "in place", "rebuild"]

#: Names by which SQLite calls the rowid unless a column has them
#: (https://sqlite.org/lang_createtable.html#rowid).
ROWID_NAMES = ("rowid", "_rowid_", "oid")


class Lineage(NamedTuple):
    """Where the values of a column of the new table come from.

    :ivar origin: column of the old table, None for a new one.
    :ivar fill: new column: SQL of the value for rows that exist, None for NULL.
    :ivar constant: whether ``fill`` is a literal.
    :ivar cast: whether text becomes bytes, and bytes text, where the new type wants that.
    """

    name: str
    origin: str | None
    fill: str | None = None
    constant: bool = True
    cast: bool = False


class Transition(NamedTuple):
    """What has to be done to a table.

    :ivar reason: why not a cheaper way.
    :ivar changed: columns, by their new names, whose stored values may change.
    :ivar same_rowids: whether every row keeps its rowid, so that indexes can stay.
    :ivar update: the statement that writes rows anew, None where none is needed.
    """

    way: Way
    reason: str
    changed: frozenset[str]
    same_rowids: bool
    update: str | None = None


def same_text(one: str | None, other: str | None) -> bool:
    """Whether two pieces of SQL differ in space, comments and case of words at most."""
    if one is None or other is None:
        return one is other
    return _words(one) == _words(other)


def same_statement(one: str | None, other: str | None) -> bool:
    """The same, whatever quotes stand around names, and in whatever case; RENAME quotes them."""
    if one is None or other is None:
        return one is other
    return same_text(_in_quotes(one), _in_quotes(other))


def _in_quotes(sql: str) -> str:
    before = ""
    words = []
    for token in significant(tokenize(sql)):
        is_name = token.kind in ("name", "quoted") or (
            token.kind == "string" and before == "TABLE"
        )
        words.append(quote(fold(unquote(token.text))) if is_name else token.text)
        before = token.word
    return " ".join(words)


def _words(sql: str) -> tuple[str, ...]:
    return tuple(
        ascii_upper(token.text) if token.kind == "name" else token.text
        for token in significant(tokenize(sql))
    )


def rowid_name(columns: Iterable[str]) -> str | None:
    """A name of the rowid that no column hides; None where all are hidden."""
    taken = {fold(name) for name in columns}
    return next((name for name in ROWID_NAMES if name not in taken), None)


def _numeric(affinity: str) -> bool:
    return affinity in ("INTEGER", "NUMERIC")


def converts(old: str, new: str, cast: bool = False) -> bool:
    """Whether values stored under one affinity may have to be stored differently under another.

    INTEGER and NUMERIC store alike; BLOB keeps what it is given
    (https://sqlite.org/datatype3.html#type_affinity). A REAL column stores whole numbers as
    integers and reads them as floats, so leaving REAL changes what is read, BLOB included.

    :param cast: as of :class:`Lineage`; a column of no type has the affinity of one of bytes.
    """
    if cast and new == "BLOB":
        return True
    if old == new or (_numeric(old) and _numeric(new)):
        return False
    return new != "BLOB" or old == "REAL"


def reads_differently(old: ColumnShape, new: ColumnShape) -> bool:
    """Whether an expression over a column may give something else, though no value changes.

    Affinity and collation act in comparisons (https://sqlite.org/datatype3.html#comparisons).
    """
    same = old.affinity == new.affinity or (_numeric(old.affinity) and _numeric(new.affinity))
    return not same or fold(old.collation) != fold(new.collation)


def _to_convert(column: str, old: str, new: str, cast: bool) -> str:
    """The condition for rows whose value must be stored anew."""
    classes = {
        "TEXT": ["integer", "real"],
        "REAL": ["text"],
        "BLOB": ["integer", "real", "text"],
    }.get(new, ["text", "real"])
    if cast and new != "BLOB" and (new == "TEXT" or old == "BLOB"):
        classes.append("blob")
    return f"typeof({quote(column)}) IN ({', '.join(map(quote_string, classes))})"


def stored_value(name: str, old: str, new: str, cast: bool) -> str:
    """An expression for a value as a column of the new affinity is to hold it.

    What becomes text or bytes does so as by ``CAST``, for which bytes are text in the encoding
    of the database (https://sqlite.org/lang_expr.html#castexpr). Bytes become a number only
    where they are one as text.

    :param name: quoted.
    :param cast: as of :class:`Lineage`.
    """
    if not converts(old, new, cast):
        return name
    if new == "TEXT":
        return _as_text(name, cast)
    if cast and new == "BLOB":
        return f"CAST({_as_text(name, False)} AS BLOB)"
    if cast and old == "BLOB":
        return f"CASE WHEN {_bytes_are_number(name)} THEN CAST({name} AS TEXT) ELSE {name} END"
    return name


def _as_text(name: str, cast: bool) -> str:
    # A float is to read back as the same float. SQLite's own conversion gives 15 digits
    # (https://sqlite.org/floatingpoint.html); where these are too few, 17 always suffice.
    is_long = f"typeof({name}) = 'real' AND CAST(CAST({name} AS TEXT) AS REAL) <> {name}"
    blobs = f" WHEN typeof({name}) = 'blob' THEN CAST({name} AS TEXT)" if cast else ""
    return f"CASE WHEN {is_long} THEN printf('%!.17g', {name}){blobs} ELSE {name} END"


def _bytes_are_number(name: str) -> str:
    # Next to a number SQLite takes a text for one only if all of it is
    # (https://sqlite.org/datatype3.html#type_conversions_prior_to_comparison).
    text = f"CAST({name} AS TEXT)"
    return f"typeof({name}) = 'blob' AND CAST({text} AS NUMERIC) = {text}"


def lossy_condition(column: str, old: str, new: str, cast: bool = False) -> str | None:
    """The condition for values that the new affinity could only hold with loss of digits.

    :param cast: as of :class:`Lineage`.
    """
    name = quote(column)
    conditions = []
    if new == "REAL" and old != "REAL":
        conditions.append(f"typeof({name}) = 'integer' AND {_inexact(name)}")
    if old in ("TEXT", "BLOB") and (new == "REAL" or _numeric(new)):
        conditions += _lossy_text(f"typeof({name}) = 'text'", name, new)
        if cast and old == "BLOB":
            conditions += _lossy_text(_bytes_are_number(name), f"CAST({name} AS TEXT)", new)
    return " OR ".join(conditions) or None


def _lossy_text(condition: str, name: str, new: str) -> list[str]:
    digits = f"length(ltrim(replace(trim({name}), '.', ''), '+-0'))"
    inexact = f"{digits} > 15 AND typeof(CAST({name} AS NUMERIC)) = 'real'"
    if new == "REAL":
        # SQLAlchemy writes a Python float with up to 17 digits, which are that very number.
        inexact = (
            f"{digits} > 15 AND CASE WHEN instr({name}, '.') THEN {digits} > 17"
            f" WHEN typeof(CAST({name} AS NUMERIC)) = 'real' THEN 1"
            f" ELSE {_inexact(f'CAST({name} AS INTEGER)')} END"
        )
    text = f"{condition} AND {name} NOT GLOB"
    return [
        f"{text} '*[^-+.0-9 ]*' AND {inexact}",
        f"{text} '*[^-+.0-9eE ]*' AND abs(CAST({name} AS REAL)) = 9e999",
    ]


def _inexact(integer: str) -> str:
    """Whether an integer is no REAL; the largest one comes back from the cast as itself."""
    real = f"CAST({integer} AS REAL)"
    return f"(CAST({real} AS INTEGER) <> {integer} OR {real} >= 9223372036854775807.0)"


def changed_defaults(
    old: TableShape, new: TableShape, columns: Iterable[Lineage]
) -> tuple[str, ...]:
    """Columns, by their old names, whose default reads differently for rows that lack them.

    The column's affinity acts on the default, so that a change of it counts too.
    """
    found = []
    for each in columns:
        now = new.column(each.name)
        before = old.column(each.origin) if each.origin is not None else None
        if (
            now is not None
            and before is not None
            and now.generated is None
            and (
                not same_text(now.default, before.default)
                or (before.default is not None and reads_differently(before, now))
            )
        ):
            found.append(before.name)
    return tuple(found)


def _stored(shape: TableShape) -> list[str]:
    return [column.name for column in shape.columns if column.stored]


def _alias_origin(new: TableShape, origins: Mapping[str, str | None]) -> str | None:
    return None if new.rowid_alias is None else origins.get(fold(new.rowid_alias))


def _why_rebuild(
    old: TableShape,
    new: TableShape,
    columns: tuple[Lineage, ...],
    parent_keys: frozenset[str],
) -> str | None:
    """Why every row has to be copied; None where none has to."""
    origins = {fold(each.name): each.origin for each in columns}
    if old.without_rowid != new.without_rowid:
        return "WITHOUT ROWID changes"
    if new.strict and not old.strict:
        return "the table becomes STRICT"
    if _renamed_key(old, origins, new) != [
        (fold(part.column or ""), part.descending, fold(part.collation))
        for part in new.primary_key
    ]:
        return "the primary key of a WITHOUT ROWID table changes"
    if old.rowid_alias is not None or new.rowid_alias is not None:
        alias = _alias_origin(new, origins)
        if alias is None or old.rowid_alias is None or fold(alias) != fold(old.rowid_alias):
            return "the INTEGER PRIMARY KEY changes"
    going_on = {fold(each.origin) for each in columns if each.origin is not None}
    gone = [name for name in _stored(old) if fold(name) not in going_on]
    if gone:
        return f"column {quote(gone[0])} goes together with other changes"
    order = [origins.get(fold(name)) for name in _stored(new)]
    kept = [name for name in order if name is not None]
    if [fold(name) for name in kept] != [fold(name) for name in _stored(old)] or (
        None in order and any(name is not None for name in order[order.index(None) :])
    ):
        return "the order of the stored columns changes"
    return _why_rebuild_column(old, new, columns, parent_keys)


def _why_rebuild_column(
    old: TableShape,
    new: TableShape,
    columns: tuple[Lineage, ...],
    parent_keys: frozenset[str],
) -> str | None:
    for each in columns:
        now = new.column(each.name)
        before = old.column(each.origin) if each.origin is not None else None
        assert now is not None
        name = quote(each.name)
        if before is None:
            if now.generated is not None and now.stored:
                return f"column {name} is computed and stored"
            continue
        if now.stored and not same_text(
            _renamed(before.generated, columns), _renamed(now.generated, ())
        ):
            return f"the stored expression of column {name} changes"
        if not converts(before.affinity, now.affinity, each.cast):
            if new.strict and not same_text(before.type, now.type):
                return f"column {name} of a STRICT table changes its type"
            continue
        if new.strict:
            return f"column {name} of a STRICT table changes its type"
        if before.affinity == "REAL" and not _numeric(now.affinity):
            return f"column {name} stores whole floats as integers"
        if fold(before.name) in parent_keys:
            return f"other tables refer to column {name}"
        if any(fold(part.column or "") == fold(each.name) for part in new.primary_key):
            return f"column {name} is part of the primary key"
    return None


def _renamed(sql: str | None, columns: Iterable[Lineage]) -> str | None:
    """A column's expression with the names its columns have now."""
    if sql is None:
        return None
    names = {fold(each.origin): each.name for each in columns if each.origin is not None}
    parts = []
    for token in significant(tokenize(sql)):
        text = token.text
        if token.kind == "quoted":
            text = text[1:-1].replace('""', '"')
        if token.kind in ("name", "quoted"):
            parts.append(fold(names.get(fold(text), text)))
        else:
            parts.append(text)
    return " ".join(quote(part) for part in parts)


def _renamed_key(
    old: TableShape, origins: Mapping[str, str | None], new: TableShape
) -> list[tuple[str, bool, str]]:
    names = {fold(origin): name for name, origin in origins.items() if origin is not None}
    return [
        (names.get(fold(part.column or ""), ""), part.descending, fold(part.collation))
        for part in old.primary_key
    ]


def decide(
    old: TableShape,
    new: TableShape,
    columns: tuple[Lineage, ...],
    *,
    parent_keys: frozenset[str] = frozenset(),
    short: Mapping[str, str] | None = None,
    forced: bool = False,
    table_filled: bool = True,
) -> Transition:
    """Choose the cheapest way that keeps every value.

    :param columns: one for each column of ``new``, in its order.
    :param parent_keys: folded names of columns that foreign keys of other tables refer to.
    :param short: columns, by their old names, whose default changes while some rows do not store
        them, and the literal that those rows read as today.
    :param forced: the author demands a copy.
    :param table_filled: whether the table has rows.
    """
    changed = set()
    for each in columns:
        now = new.column(each.name)
        before = old.column(each.origin) if each.origin is not None else None
        if (
            before is None
            or now is None
            or reads_differently(before, now)
            or converts(before.affinity, now.affinity, each.cast)
        ):
            changed.add(fold(each.name))
    why = _why_rebuild(old, new, columns, parent_keys)
    rewritten = [each.name for each in columns if each.origin and fold(each.name) in changed]
    if why is None and rewritten and any(each.stored for each in new.generated_columns):
        why = f"stored expressions may follow column {quote(rewritten[0])}"
    if why is None and forced:
        why = 'recreate="always"'
    if why is not None:
        return Transition("rebuild", why, frozenset(changed), _same_rowids(old, new, columns))
    update, reasons = _update(old, new, columns, short or {}) if table_filled else (None, [])
    if update is None:
        return Transition("text", "no stored row changes", frozenset(changed), True)
    return Transition("in place", ", ".join(reasons), frozenset(changed), True, update)


def _same_rowids(old: TableShape, new: TableShape, columns: tuple[Lineage, ...]) -> bool:
    if old.without_rowid or new.without_rowid:
        return False
    if new.rowid_alias is not None:
        alias = _alias_origin(new, {fold(each.name): each.origin for each in columns})
        return (
            alias is not None
            and old.rowid_alias is not None
            and fold(alias) == fold(old.rowid_alias)
        )
    return (
        old.rowid_alias is not None or rowid_name(each.name for each in old.columns) is not None
    ) and rowid_name(each.name for each in new.columns) is not None


def _update(
    old: TableShape,
    new: TableShape,
    columns: tuple[Lineage, ...],
    short: Mapping[str, str],
) -> tuple[str | None, list[str]]:
    """The UPDATE that stores values anew, under the plain text of the new table."""
    assignments, conditions, reasons = [], [], []
    every_row = False
    short_of = {fold(name): literal for name, literal in short.items()}
    for each in columns:
        now = new.column(each.name)
        assert now is not None
        if now.generated is not None:
            continue
        name = quote(each.name)
        before = old.column(each.origin) if each.origin is not None else None
        if before is None:
            if not each.constant:
                assignments.append(f"{name} = {each.fill}")
                every_row = True
                reasons.append(f"column {name} is filled")
            elif not same_text(each.fill or "NULL", literal_default(now)):
                assignments.append(f"{name} = {name}")
                every_row = True
                reasons.append(f"rows store what they have in column {name}")
            continue
        kinds = before.affinity, now.affinity, each.cast
        if converts(*kinds):
            assignments.append(f"{name} = {stored_value(name, *kinds)}")
            conditions.append(_to_convert(each.name, *kinds))
            if fold(before.name) in short_of:
                conditions.append(f"{name} IS {short_of[fold(before.name)]}")
            reasons.append(f"column {name} stores other types")
        elif fold(before.name) in short_of:
            assignments.append(f"{name} = {name}")
            conditions.append(f"{name} IS {short_of[fold(before.name)]}")
            reasons.append(f"rows that relied on the default of column {name} store it")
    if not assignments:
        return None, []
    where = "" if every_row else " WHERE " + " OR ".join(conditions)
    return f"UPDATE OR ABORT {quote(new.name)} SET {', '.join(assignments)}{where}", reasons


def literal_default(column: ColumnShape) -> str:
    """What a row that does not store the column reads, as far as the text alone tells."""
    return column.default if column.default is not None else "NULL"


def plain_table(
    name: str,
    shape: TableShape,
    *,
    defaults: Mapping[str, str] | None = None,
    uniques: Iterable[IndexShape] = (),
) -> str:
    """``CREATE TABLE`` of a table with the same rows and no rules.

    :param shape: its generated columns must not name the table.
    :param defaults: folded column name to the literal that short rows read.
    :param uniques: automatic indexes that it shall have, under the same numbers.
    """
    parts = []
    for column in shape.columns:
        declared = column.type if shape.strict else column.affinity
        if shape.without_rowid and ascii_upper(declared) == "INTEGER":
            # A lone INTEGER key may get its index, and number, after all the others.
            declared = "INT"
        text = f"{quote(column.name)} {declared}".rstrip()
        if shape.rowid_alias is not None and fold(shape.rowid_alias) == fold(column.name):
            text += " PRIMARY KEY"
        if fold(column.collation) != "binary":
            text += f" COLLATE {quote(column.collation)}"
        if column.generated is not None:
            text += f" {column.generated}"
        elif defaults is not None and fold(column.name) in defaults:
            text += f" DEFAULT {defaults[fold(column.name)]}"
        parts.append(text)
    keys = {_number(index): f"UNIQUE ({key_columns(index.key)})" for index in uniques}
    if shape.primary_key:
        # Automatic indexes are numbered in the order of the constraints, this one among them.
        number = next(each for each in range(1, len(keys) + 2) if each not in keys)
        keys[number] = f"PRIMARY KEY ({key_columns(shape.primary_key)})"
    parts += [keys[number] for number in sorted(keys)]
    options = [
        word
        for word, wanted in (("STRICT", shape.strict), ("WITHOUT ROWID", shape.without_rowid))
        if wanted
    ]
    return f"CREATE TABLE {quote(name)} ({', '.join(parts)}) {', '.join(options)}".rstrip()


def _number(index: IndexShape) -> int:
    return int(index.name.rpartition("_")[2])


def key_columns(key: Iterable[KeyColumn]) -> str:
    """The columns of a key as SQL, collation and direction written out."""
    return ", ".join(
        f"{quote(part.column or '')} COLLATE {quote(part.collation)}"
        + (" DESC" if part.descending else "")
        for part in key
    )


def copy_rows(
    old: TableShape, source: str, new: TableShape, target: str, columns: Iterable[Lineage]
) -> str:
    """The statement that copies all rows, rowids included."""
    into, values = [], []
    if not new.without_rowid and new.rowid_alias is None and not old.without_rowid:
        theirs = rowid_name(column.name for column in old.columns)
        if theirs is None and old.rowid_alias is not None:
            theirs = quote(old.rowid_alias)
        ours = rowid_name(column.name for column in new.columns)
        if theirs is not None and ours is not None:
            into.append(ours)
            values.append(theirs)
    for each in columns:
        now = new.column(each.name)
        assert now is not None
        if now.generated is not None:
            continue
        into.append(quote(each.name))
        if each.origin is None:
            values.append(each.fill if each.fill is not None else "NULL")
            continue
        before = old.column(each.origin)
        assert before is not None
        name = quote(each.origin)
        values.append(stored_value(name, before.affinity, now.affinity, each.cast))
    return (
        f"INSERT INTO {quote(target)} ({', '.join(into)})"
        f" SELECT {', '.join(values)} FROM {quote(source)}"
    )


def index_survives(
    before: IndexShape,
    now: IndexShape,
    columns: Iterable[Lineage],
    transition: Transition,
    generated: Iterable[str] = (),
) -> bool:
    """Whether the contents of an index are right for the new table too.

    :param generated: computed columns; they may depend on any other.
    """
    if not transition.same_rowids:
        return False
    lineage = tuple(columns)
    origins = {fold(each.name): each.origin for each in lineage}
    rewritten = frozenset(name for name in transition.changed if origins.get(name) is not None)
    computed = {fold(name) for name in generated}
    if rewritten and (
        not (before.is_plain and now.is_plain)
        or any(fold(name) in rewritten or fold(name) in computed for name in now.columns)
    ):
        return False
    names = {fold(each.origin): fold(each.name) for each in lineage if each.origin is not None}
    theirs = [
        (names.get(fold(part.column)) if part.column is not None else None, part)
        for part in before.key
    ]
    return before.unique == now.unique and [
        (name, part.descending, fold(part.collation)) for name, part in theirs
    ] == [
        (
            fold(part.column) if part.column is not None else None,
            part.descending,
            fold(part.collation),
        )
        for part in now.key
    ]


def match_automatic(
    old: TableShape, new: TableShape, columns: tuple[Lineage, ...], transition: Transition
) -> dict[str, str]:
    """Which index of a UNIQUE or PRIMARY KEY of the old table serves which of the new: by name."""
    generated = [column.name for column in new.generated_columns]
    free = list(old.automatic)
    found = {}
    for now in new.automatic:
        for before in free:
            if index_survives(before, now, columns, transition, generated):
                found[now.name] = before.name
                free.remove(before)
                break
    return found
