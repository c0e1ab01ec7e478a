"""Which revision a schema equals, and how two schemas differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from flask_safemigrate.comparison.facts import HARD
from flask_safemigrate.facts.comparison import (
    AlreadyThere,
    Comparison,
    Difference,
    Fact,
    Facts,
    ReplayedHistory,
)
from flask_safemigrate.facts.history import History

#: Pending revisions that are looked at for changes that are there already.
_MOST_PENDING = 200

#: Kinds of facts that say more about an object of another kind, by the same name.
_PARTS = {
    "default": "column",
    "collation": "column",
    "expression": "column",
    "actions": "foreign key",
}

Values = Mapping[Fact, str]


class _Candidate(NamedTuple):
    """A place in the history and how far the database is from it."""

    ids: tuple[str, ...]
    hard: int
    soft: int
    order: int


def history_facts(replay: ReplayedHistory, history: History, ids: Iterable[str]) -> Values | None:
    """The schema that the history builds up to these revisions.

    :return: None where one of them is unknown or was not replayed.
    """
    wanted = tuple(ids)
    if any(id not in history.by_id for id in wanted):
        return None
    needed = history.ancestors(wanted)
    if not needed <= replay.changes.keys():
        return None
    values: dict[Fact, str] = {}
    for id, changes in replay.changes.items():
        if id in needed:
            _apply(values, changes)
    return values


def _apply(values: dict[Fact, str], changes: Mapping[Fact, tuple[str | None, str | None]]) -> None:
    for fact, (_, after) in changes.items():
        if after is None:
            values.pop(fact, None)
        else:
            values[fact] = after


def differences(
    here: Values,
    there: Values,
    names: Mapping[Fact, str],
    makers: Mapping[Fact, str] | None = None,
) -> tuple[Difference, ...]:
    """How two schemas differ; what belongs to an object that only one of them has is left out.

    :param makers: the revision that gave each fact its value in the second.
    """
    made = makers or {}
    found = [
        (fact, here.get(fact), there.get(fact))
        for fact in here.keys() | there.keys()
        if here.get(fact) != there.get(fact)
    ]
    alone = {fact for fact, one, two in found if one is None or two is None}

    def belongs(fact: Fact) -> bool:
        owners = [Fact("table", fact.table, "")] if fact.kind != "table" else []
        if fact.kind in _PARTS:
            owners.append(fact._replace(kind=_PARTS[fact.kind]))
        return any(owner in alone for owner in owners)

    return tuple(
        Difference(
            fact.kind,
            _table_name(fact, names),
            names.get(fact, fact.name),
            one,
            two,
            made.get(fact, ""),
            fact.name,
        )
        for fact, one, two in sorted(found, key=lambda each: (_order(each[0]), each[0]))
        if not belongs(fact)
    )


def _order(fact: Fact) -> int:
    kinds = ("table", "column", "primary key", "unique", "foreign key", "index")
    return kinds.index(fact.kind) if fact.kind in kinds else len(kinds)


def _table_name(fact: Fact, names: Mapping[Fact, str]) -> str:
    return names.get(Fact("table", fact.table, ""), fact.table)


def _known(values: Values, replay: ReplayedHistory, models: Facts | None) -> dict[Fact, str]:
    """Without the objects that neither history nor models ever had: those belong to others.

    :param models: None where what only the models have may be another history's.
    """
    seen = {fact for changes in replay.changes.values() for fact in changes}
    tables = {fact.table for fact in seen if fact.kind == "table"}
    if models is not None:
        tables |= {fact.table for fact in models.values if fact.kind == "table"}
    return {
        fact: value
        for fact, value in values.items()
        if (fact in seen if fact.kind in ("view", "trigger", "type") else fact.table in tables)
    }


def _distance(fact: Fact, have: str | None, want: str | None) -> tuple[int, int]:
    if have == want:
        return 0, 0
    # An index that someone added changes no answer.
    soft = fact.kind not in HARD or (fact.kind == "index" and want is None)
    return (0, 1) if soft else (1, 0)


def _total(have: Values, want: Values) -> tuple[int, int]:
    hard = soft = 0
    for fact in have.keys() | want.keys():
        more = _distance(fact, have.get(fact), want.get(fact))
        hard, soft = hard + more[0], soft + more[1]
    return hard, soft


def _candidates(have: Values, replay: ReplayedHistory, history: History) -> Iterator[_Candidate]:
    """Every place in the history, base left out."""
    placed: dict[str, tuple[dict[Fact, str], int, int]] = {}
    waiting = {id: len(history.children.get(id, ())) for id in replay.changes}
    start = _total(have, {})
    for order, (id, changes) in enumerate(replay.changes.items()):
        needs = [n for n in history.needs(history.by_id[id]) if n in history.by_id]
        before = placed.get(needs[0]) if len(needs) == 1 else None
        if before is None and needs:
            values = dict(history_facts(replay, history, (id,)) or {})
            hard, soft = _total(have, values)
        else:
            values, hard, soft = ({}, *start) if before is None else before
            for fact, (_, after) in changes.items():
                old = _distance(fact, have.get(fact), values.get(fact))
                new = _distance(fact, have.get(fact), after)
                hard, soft = hard + new[0] - old[0], soft + new[1] - old[1]
            # The last child may use the parent's own mapping.
            last = not needs or waiting[needs[0]] <= 1
            values = values if last and before is not None else dict(values)
            _apply(values, changes)
        for need in needs:
            waiting[need] -= 1
            if waiting[need] <= 0:
                placed.pop(need, None)
        placed[id] = (values, hard, soft)
        yield _Candidate((id,), hard, soft, order)
    heads = tuple(head for head in history.heads if head in replay.changes)
    if len(heads) > 1:
        together = history_facts(replay, history, heads)
        if together is not None:
            yield _Candidate(heads, *_total(have, together), len(replay.changes))


def _likeliest(
    found: Sequence[_Candidate],
    history: History,
    at: tuple[str, ...],
    applied: Sequence[str],
) -> list[_Candidate]:
    """Equal candidates in order: as the journal says, then near the version, then the newest."""
    last = max(
        (c.order for c in found if len(c.ids) == 1 and c.ids[0] in applied),
        default=None,
    )
    here = history.ancestors(at)

    def rank(candidate: _Candidate) -> tuple[int, int, int]:
        journal = 0 if last is not None and candidate.order == last else 1
        if not here:
            return journal, candidate.soft, -candidate.order
        # On the way up the first that fits, as the rest may still have data to change.
        up = here <= history.ancestors(candidate.ids)
        return journal, candidate.soft, candidate.order if up else -candidate.order

    return sorted(found, key=rank)


def compare(
    history: History,
    replay: ReplayedHistory | None,
    database: Facts | None,
    models: Facts | None,
    *,
    at: tuple[str, ...] = (),
    applied: Sequence[str] = (),
    unused: Iterable[str] = (),
    lost: Iterable[str] = (),
    shared: bool = False,
) -> Comparison:
    """Compare what there is of the three schemas of one database.

    :param database: None where there is no database or it could not be read.
    :param models: None where there are none.
    :param at: the rows of the version table.
    :param applied: revisions that the journal says were applied here, oldest first.
    :param unused: ENUM types of the database that no column uses. Those that its version does not
        have say nothing about the place of the database: a downgrade leaves them.
    :param lost: tables whose rows a failed batch migration left under another name.
    :param shared: whether another history has made tables in the database too.
    """
    found = Comparison()
    if replay is None:
        return found
    names: dict[Fact, str] = {}
    for source in (
        models.names if models else {},
        replay.names,
        database.names if database else {},
    ):
        names.update(source)
    complete = not replay.stopped_at
    model_differences = None
    if models is not None and complete:
        model_differences = _models(history, replay, models, names)
        if shared and database is not None:
            model_differences = tuple(
                d
                for d in model_differences
                # What this history has never made, and is there, the other one made.
                if not (d.kind == "table" and d.there is None and _has(database, d.table))
            )
    views, virtual = _no_plain_tables(history, replay)
    comparison = Comparison(
        models=model_differences,
        stopped_at=replay.stopped_at,
        problem=replay.problem,
        unconfined=replay.unconfined,
        cure=replay.cure,
        direct=_direct(history, replay, database, models, at, names),
        views=views,
        virtual=virtual,
    )
    if database is None or not replay.changes:
        return comparison
    left = _left_types(history, replay, at, unused)
    kept = {f: v for f, v in database.values.items() if f.kind != "type" or f.name not in left}
    comparison = comparison._replace(
        unused_types=left,
        indexes={table: tuple(_indexes(history, replay, at, table)) for table in lost},
    )
    return _place(
        comparison, history, replay, Facts(kept), None if shared else models, at, applied, names
    )


def _no_plain_tables(
    history: History, replay: ReplayedHistory
) -> tuple[frozenset[str], frozenset[str]]:
    """The views and the virtual tables that the history ends with, in lower case."""
    built = history_facts(replay, history, history.tips(history.by_id)) or {}
    return (
        frozenset(fact.name.lower() for fact in built if fact.kind == "view"),
        frozenset(
            fact.table.lower()
            for fact, value in built.items()
            if fact.kind == "options" and value.upper().startswith("CREATE VIRTUAL")
        ),
    )


def _has(database: Facts, table: str) -> bool:
    folded = {fact.table.lower() for fact in database.values if fact.kind == "table"}
    return table.lower() in folded


def _indexes(
    history: History, replay: ReplayedHistory, at: tuple[str, ...], table: str
) -> Iterator[str]:
    """The statements of a table's indexes at a version, for SQLite."""

    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    for fact in history_facts(replay, history, at) or {}:
        if fact.kind not in ("index", "unique") or fact.table != table.lower():
            continue
        name = replay.names.get(fact, "")
        parts = fact.name.split(", ")
        # What is no plain list of columns is SQL already, with its UNIQUE in front.
        plain = all(re.fullmatch(r"[\w$]+", part) for part in parts)
        unique = fact.kind == "unique" or fact.name.startswith("UNIQUE ")
        what, _, where = fact.name.removeprefix("UNIQUE ").partition(" WHERE ")
        columns = ", ".join(map(quoted, parts)) if plain else what
        if name and not name.startswith("sqlite_autoindex_"):
            yield (
                f"CREATE {'UNIQUE ' if unique else ''}INDEX {quoted(name)} ON {quoted(table)} "
                f"({columns}){f' WHERE {where}' if where else ''}"
            )


def _left_types(
    history: History, replay: ReplayedHistory, at: tuple[str, ...], unused: Iterable[str]
) -> Mapping[str, str]:
    """Types that the version does not have, each with the pending revision that makes it."""
    applied = history.ancestors(at)
    expected = history_facts(replay, history, at) or {}
    left = {name: "" for name in unused if Fact("type", "", name) not in expected}
    for id, changes in replay.changes.items():
        for fact, (before, after) in changes.items():
            made = fact.kind == "type" and before is None and after is not None
            if made and id not in applied and left.get(fact.name) == "":
                left[fact.name] = id
    return left


#: What a model can say of a table, and autogenerate can see.
_MODELLED = (
    "table",
    "column",
    "unique",
    "foreign key",
    "index",
    "primary key",
    "default",
    "check",
)


def _models(
    history: History, replay: ReplayedHistory, models: Facts, names: Mapping[Fact, str]
) -> tuple[Difference, ...]:
    heads = history.tips(history.by_id)
    built = history_facts(replay, history, heads) or {}
    return differences(
        {f: v for f, v in models.values.items() if f.kind in _MODELLED},
        {f: v for f, v in built.items() if f.kind in _MODELLED},
        names,
        {fact: id for id, changes in replay.changes.items() for fact in changes},
    )


#: What ``flask db check`` would see; the rest is spelt in too many ways.
_DIRECT = ("table", "column", "unique", "foreign key", "index")


def _direct(
    history: History,
    replay: ReplayedHistory,
    database: Facts | None,
    models: Facts | None,
    at: tuple[str, ...],
    names: Mapping[Fact, str],
) -> tuple[Difference, ...] | None:
    """How models and a database at head differ, where the history could not be replayed to it."""
    if database is None or models is None or not replay.stopped_at:
        return None
    if history_facts(replay, history, at) is not None:
        return None
    if set(at) != set(history.tips(history.by_id)):
        return None
    # A model may map a view, of which no more is known here.
    views = {fact.name for fact in database.values if fact.kind == "view"}
    tables = {fact.table for fact in models.values if fact.kind == "table"} - views
    return differences(
        {f: v for f, v in models.values.items() if f.kind in _DIRECT and f.table in tables},
        {f: v for f, v in database.values.items() if f.kind in _DIRECT and f.table in tables},
        names,
    )


def _place(
    comparison: Comparison,
    history: History,
    replay: ReplayedHistory,
    database: Facts,
    models: Facts | None,
    at: tuple[str, ...],
    applied: Sequence[str],
    names: Mapping[Fact, str],
) -> Comparison:
    have = _known(database.values, replay, models)
    candidates = list(_candidates(have, replay, history))
    equal = _likeliest([c for c in candidates if c.hard == 0], history, at, applied)
    equal = [c for c in equal if c.soft == equal[0].soft]
    like_models = models is not None and _total(have, models.values)[0] == 0
    nearest: tuple[str, ...] = ()
    apart: tuple[Difference, ...] = ()
    but: tuple[Difference, ...] = ()
    empty = not any(fact.kind == "table" for fact in have)
    if empty:
        equal = []
    elif equal:
        but = differences(have, history_facts(replay, history, equal[0].ids) or {}, names)
    else:
        best = min(candidates, key=lambda c: (c.hard, c.soft, -c.order))
        nearest = best.ids
        apart = differences(have, history_facts(replay, history, nearest) or {}, names)
    expected = history_facts(replay, history, at) if at else None
    at_version: bool | None = None
    drift: tuple[Difference, ...] = ()
    already: tuple[AlreadyThere, ...] = ()
    if expected is not None:
        at_version = _total(have, expected)[0] == 0
        already = tuple(_already(have, expected, replay, history, at, names))
        explained = {
            (d.kind, d.table, d.name) for found in already for d in (*found.done, *found.missing)
        }
        needed = history.ancestors(at)
        makers = {
            fact: id for id, changes in replay.changes.items() if id in needed for fact in changes
        }
        drift = tuple(
            d
            for d in differences(have, expected, names, makers)
            if (d.kind, d.table, d.name) not in explained
        )
    return comparison._replace(
        compared=True,
        equals=((),) if empty else tuple(c.ids for c in equal),
        but=but,
        nearest=nearest,
        apart=apart,
        at_version=at_version,
        drift=drift,
        already=already,
        like_models=like_models,
        strangers=tuple(
            sorted(f.table for f in database.values if f.kind == "table" and f not in have)
        ),
    )


def _already(
    have: Values,
    expected: Values,
    replay: ReplayedHistory,
    history: History,
    at: tuple[str, ...],
    names: Mapping[Fact, str],
) -> Iterator[AlreadyThere]:
    """Pending revisions of whose changes some are in the database, but not at its version."""
    applied = history.ancestors(at)
    pending = [id for id in replay.changes if id not in applied][:_MOST_PENDING]
    values = dict(expected)
    for id in pending:
        touched = {
            fact: after
            for fact, (before, after) in replay.changes[id].items()
            if before != after and fact.kind in HARD and values.get(fact) != after
        }
        done = {f for f, after in touched.items() if have.get(f) == after != expected.get(f)}
        _apply(values, replay.changes[id])
        if not done:
            continue
        missing = touched.keys() - done
        yield AlreadyThere(
            id,
            differences(_only(have, done), _only(expected, done), names),
            differences(_only(have, missing), _only(values, missing), names),
        )


def _only(values: Values, facts: Iterable[Fact]) -> dict[Fact, str]:
    return {fact: values[fact] for fact in facts if fact in values}
