"""SM4xx: schemas that were compared: of the database, of the history and of the models."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from flask_safemigrate.checks.found import (
    Found,
    at_places,
    file,
    listed,
    named,
    reached,
    stamping,
    tables,
    things,
)
from flask_safemigrate.checks.tracing import changed_since
from flask_safemigrate.facts.comparison import Comparison, Difference
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import Revision
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step

_NEVER_RAN = "what comes between never ran here, or was undone by hand"
_PLAIN = re.compile(r"[\w$]+(?:, [\w$]+)*")

#: What ``flask db migrate`` sees; the rest of a table a person must write down.
_SEEN_BY_AUTOGENERATE = ("table", "column", "unique", "foreign key", "index")


def _compared(state: State) -> Iterator[tuple[DatabaseState, Comparison]]:
    for database in reached(state):
        comparison = state.comparisons.get(database.bind)
        if comparison is not None:
            yield database, comparison


def _elsewhere(comparison: Comparison) -> tuple[str, ...] | None:
    """The revisions whose schema a database has, where those are not the ones it names."""
    if comparison.at_version is False and comparison.equals:
        return comparison.equals[0]
    return None


def _is_ahead(state: State, database: DatabaseState, place: tuple[str, ...]) -> bool:
    here = state.history.ancestors(database.version_rows or ())
    return here <= state.history.ancestors(place)


def wrong_revision(state: State) -> Iterator[Found]:
    """The schema is that of another revision than the version table names.

    Cause
        The database was stamped without being upgraded, a failed upgrade was stamped away, or a
        table was restored from an older dump. The revisions between never ran, whatever
        ``flask db current`` says. The history was replayed in a scratch database, which proves
        whose schema it is.
    Example
        ``flask db stamp head`` to silence ``table already exists``; weeks later
        ``no such column: users.phone``.
    Fix
        ``flask db doctor --fix`` stamps the revision that is really there; then
        ``flask db safe-upgrade`` runs the rest.
    Prevention
        Stamp only what is proven.
    """
    for database, comparison in _compared(state):
        place = _elsewhere(comparison)
        if place is None or _is_ahead(state, database, place):
            continue
        ran = _between(state, database, place)
        gone = [d for d in comparison.drift if d.kind == "table" and d.here is None]
        models = state.project.models.get(database.bind, ())
        strange = [name for name in tables(database) if name not in models]
        says = " and ".join(named(state.history, row) for row in database.version_rows or ())
        what = (
            "but it has none of the history's tables"
            if not place
            else f"but its schema is that of {at_places(state.history, place)}"
        )
        stamp = " ".join(place) or "base"
        by_hand = stamping(place)
        repair: str | None = f"stamps '{stamp}'"
        instead = ""
        if ran and gone and strange:
            # The table may be there under another name: making it anew would hide that.
            repair = None
            instead = f"; but if {listed(strange, 3)} is what was {things(gone)}, rename it back"
        yield Found(
            f'Database "{database.label}" says that it is at {says}, {what}'
            f"{_but(comparison.but)}: {ran or _NEVER_RAN}.",
            database.location,
            (f"flask db doctor --fix ({by_hand})" if repair else by_hand)
            + ", then flask db safe-upgrade"
            + (
                f", which makes {things(gone)} again, empty; flask db snapshots may have the rows"
                if gone
                else ""
            )
            + instead,
            bind=database.bind,
            repair=repair,
            steps=(Step("stamp", place),) if repair else (),
            subject=" ".join(place),
        )


def _between(state: State, database: DatabaseState, place: tuple[str, ...]) -> str:
    """What is known of revisions that the version names and the schema lacks; "" for nothing."""
    history = state.history
    between = history.ancestors(database.version_rows or ()) - history.ancestors(place)
    last = {row.subject: row for row in database.journal if row.kind == "revision"}
    ran = [
        row
        for row in last.values()
        if row.subject in between and row.direction == "upgrade" and row.finished
    ]
    if not ran:
        return ""
    return (
        f"{named(history, ran[-1].subject)} did run here on {ran[-1].finished[:10]}, as the "
        "journal says, and was undone by hand"
    )


def _but(differences: Sequence[Difference]) -> str:
    return f" (but for {things(differences, 3)})" if differences else ""


def _by_hand(state: State) -> Iterator[tuple[DatabaseState, tuple[Difference, ...]]]:
    for database, comparison in _compared(state):
        if (
            comparison.at_version is not None
            and _elsewhere(comparison) is None
            and comparison.drift
        ):
            # What follows from an edit is reported with it.
            edited = changed_since(state, database)
            yield database, tuple(d for d in comparison.drift if d.made_by not in edited)


def _place(state: State, database: DatabaseState) -> str:
    return at_places(state.history, database.version_rows or ())


def objects_missing(state: State) -> Iterator[Found]:
    """Something that the history made is not in the database.

    Cause
        A table, column, index or constraint was dropped by hand or by another program; or an
        older tool lost it: Alembic's batch mode drops triggers, CHECKs without a name and
        collations on SQLite without a word.
    Example
        ``DROP TABLE orders`` in a console; ``flask db upgrade`` goes on as if it were there.
    Fix
        Bring it back: from a snapshot (``flask db snapshots``), or as the revision that is named
        made it. ``flask db doctor --fix`` makes indexes again. A new revision that makes it would
        fail on every database that has it. If it should be gone, write the revision that drops it.
    Prevention
        Change the schema by revisions only.
    """
    for database, drift in _by_hand(state):
        invalid = {index.name.rpartition(".")[2].strip('"') for index in database.invalid_indexes}
        gone = [d for d in drift if d.here is None and d.name not in invalid]
        if not gone:
            continue
        hard = any(d.kind in _SEEN_BY_AUTOGENERATE for d in gone)
        makers = list(dict.fromkeys(d.made_by for d in gone))
        made = f"which the history up to {_place(state, database)} makes"
        source = ""
        if len(makers) == 1 and makers[0] in state.history.by_id:
            made = f"which revision {named(state.history, makers[0])} makes"
            source = f" as {file(state.history.by_id[makers[0]].path)} does"
        again = _again(gone, database.dialect)
        steps = tuple(Step("index", (d.table, d.name, *d.key.split(", "))) for d in gone)
        renamed = _renamed(drift, database.dialect)
        only_indexes = all(d.kind == "index" and _PLAIN.fullmatch(d.key) for d in gone)
        them = "it" if len(gone) == 1 else "them"
        repair = f"makes {things(gone)} again" if only_indexes else None
        if only_indexes:
            hint = f"flask db doctor --fix # {repair} ({again})"
        elif renamed:
            hint = renamed
        elif any(d.kind in ("table", "column") for d in gone):
            hint = (
                "flask db snapshots, then flask db restore ID, for the rows; or make "
                f"{them} again here{source}{f' ({again})' if again else ''}"
            )
        else:
            hint = f"make {them} again here{source}"
        yield Found(
            f'In database "{database.label}" {things(gone)} {_is(gone)} missing, {made}.',
            database.location,
            f"{hint}; if {'it' if len(gone) == 1 else 'they'} should be gone, write the revision "
            f"that drops {them}: flask db revision",
            bind=database.bind,
            severity=None if hard else Severity.WARNING,
            repair=repair,
            steps=steps if only_indexes else (),
            subject=gone[0].table or gone[0].name,
        )


def _again(gone: Sequence[Difference], dialect: str) -> str:
    """The statements that bring back indexes and columns, "" where there is something else."""
    quoted = _quoting(dialect)
    statements = []
    for d in gone:
        if d.kind == "index" and _PLAIN.fullmatch(d.key):
            columns = ", ".join(map(quoted, d.key.split(", ")))
            table = _table(dialect, d.table)
            statements.append(f"CREATE INDEX {quoted(d.name)} ON {table} ({columns})")
        elif d.kind == "column" and d.there and "NOT NULL" not in d.there:
            name = quoted(d.name)
            table = _table(dialect, d.table)
            statements.append(f"ALTER TABLE {table} ADD COLUMN {name} {d.there}")
        else:
            return ""
    return "; ".join(statements) if len(statements) <= 3 else ""


def _renamed(drift: Sequence[Difference], dialect: str) -> str:
    """The way back of a column that was renamed by hand; "" where none looks like one.

    One is missing and one of the same type is there that no revision makes, both alone in their
    table.
    """
    quoted = _quoting(dialect)
    columns = [d for d in drift if d.kind == "column"]
    ways = []
    for gone in (d for d in columns if d.here is None):
        alike = [d for d in columns if d.table == gone.table]
        new = [d for d in alike if d.there is None and d.here == gone.there]
        if len(new) == 1 and len(alike) == 2:
            ways.append(
                f"if column '{new[0].name}' of table '{gone.table}' is '{gone.name}' under another"
                f" name: ALTER TABLE {_table(dialect, gone.table)} RENAME COLUMN"
                f" {quoted(new[0].name)} TO {quoted(gone.name)}"
            )
    return "; ".join(ways)


def objects_added(state: State) -> Iterator[Found]:
    """The database has something that no revision made.

    Cause
        A column, index or constraint was added by hand to a table of the history. Databases built
        from the history do not have it, and a revision that adds it later will fail here.
    Example
        ``ALTER TABLE users ADD COLUMN phone`` in a console, "just for now".
    Fix
        Write it down: add it to the models, run ``flask db migrate`` on a database
        that does not have it (it would see nothing to do here), and ``flask db stamp head`` here.
        Where it is another name of a column that is missing, rename it back. Where nobody needs
        what it holds, drop it. An index that only this database needs may stay.
    Prevention
        Change the schema by revisions only.
    """
    for database, drift in _by_hand(state):
        more = [d for d in drift if d.there is None]
        if more:
            harmless = all(d.kind == "index" for d in more)
            # What a column or a table holds would go with it.
            undo = _undo(more, database.dialect) if harmless else ""
            renamed = _renamed(drift, database.dialect)
            models = {name.lower() for name in state.project.models.get(database.bind, ())}
            # The application uses what a model maps.
            kept = [d for d in more if d.kind == "table" and d.table.lower() in models]
            drop = f"to drop it: {undo}; " if undo else f"{renamed}; " if renamed else ""
            keep = "" if kept else "to keep it: add it to the models, "
            yield Found(
                f'Database "{database.label}" has {things(more)}, which the history up to '
                f"{_place(state, database)} does not make.",
                database.location,
                f"{drop}{keep}run flask db migrate on a database that does not have "
                f"{'it' if len(more) == 1 else 'them'}, then flask db stamp head here",
                bind=database.bind,
                severity=Severity.INFO if harmless else None,
                subject=more[0].table or more[0].name,
            )


def objects_changed(state: State) -> Iterator[Found]:
    """Something in the database is not as the history made it.

    Cause
        A type, a NOT NULL, a default or a key was changed by hand, or a revision was edited after
        it had been applied. What is only spelt in another way is not reported.
    Example
        ``ALTER TABLE users ALTER email TYPE text``, while the history says ``VARCHAR(120)``.
    Fix
        Write a revision that makes both the same, or undo the change.
    Prevention
        Change the schema by revisions only, and never edit one that was applied.
    """
    for database, drift in _by_hand(state):
        changed = [d for d in drift if d.here is not None and d.there is not None]
        if changed:
            yield Found(
                f'In database "{database.label}" {_changes(changed)}, as the history up to '
                f"{_place(state, database)} says.",
                database.location,
                "flask db revision, with the operation that makes both the same",
                bind=database.bind,
                subject=changed[0].table or changed[0].name,
            )


def _changes(changed: Sequence[Difference], limit: int = 4) -> str:
    shown = [f"{things([d])} is {d.here} and not {d.there}" for d in changed[:limit]]
    more = f" and {len(changed) - limit} more are different" if len(changed) > limit else ""
    return "; ".join(shown) + more


def pending_already_there(state: State) -> Iterator[Found]:
    """A pending revision's change is in the database already.

    Cause
        The change was made by hand, or by ``db.create_all()`` from newer models, or the revision
        ran and its row was lost. The next upgrade stops with ``duplicate column name`` or
        ``table already exists``.
    Example
        ``alembic_version`` was put back to last week's revision to "try again".
    Fix
        ``flask db doctor --fix`` stamps the revision where the whole schema proves that it is
        there. If the revision changes rows too, look whether that was done.
    Prevention
        Change the schema by revisions only; do not edit ``alembic_version``.
    """
    for database, comparison in _compared(state):
        place = _elsewhere(comparison)
        if place is not None and _is_ahead(state, database, place):
            yield Found(
                f'Database "{database.label}" says that it is at {_place(state, database)}, but '
                f"its schema is already that of {at_places(state.history, place)}"
                f"{_but(comparison.but)}.",
                database.location,
                f"flask db doctor --fix ({stamping(place)}), then flask db safe-upgrade",
                bind=database.bind,
                repair=f"stamps '{' '.join(place)}'",
                steps=(Step("stamp", place),),
                subject=" ".join(place),
            )
        elif place is None:
            for there in comparison.already:
                if not there.missing:
                    yield Found(
                        f"Revision {named(state.history, there.revision)} is pending for database "
                        f'"{database.label}", but its change is in it already: '
                        f"{_done(there.done)}.",
                        database.location,
                        f"if nothing else of it is left to do, {stamping([there.revision])}",
                        bind=database.bind,
                        subject=there.revision,
                    )


def _done(done: Iterable[Difference]) -> str:
    all_done = list(done)
    made = [d for d in all_done if d.here is not None]
    gone = [d for d in all_done if d.here is None]
    parts = [f"{things(made)} {_is(made)} there"] if made else []
    return "; ".join([*parts, *([f"{things(gone)} {_is(gone)} gone"] if gone else [])])


def _is(several: Sequence[Difference]) -> str:
    return "is" if len(several) == 1 else "are"


def pending_half_there(state: State) -> Iterator[Found]:
    """A pending revision's change is half in the database.

    Cause
        The revision failed in the middle where nothing undoes it: MySQL and MariaDB commit every
        statement that changes the schema, and plain ``flask db upgrade`` on SQLite does so too.
        The next try stops at what is there already.
    Example
        Two columns of three were added before ``Duplicate key name`` stopped the upgrade.
    Fix
        Undo by hand what is there, then ``flask db safe-upgrade``. The finding says what.
    Prevention
        ``flask db safe-upgrade`` undoes everything when it fails, where the database can.
    """
    for database, comparison in _compared(state):
        if _elsewhere(comparison) is not None:
            continue
        for there in comparison.already:
            if there.missing:
                undo = _undo(there.done, database.dialect)
                yield Found(
                    f"Revision {named(state.history, there.revision)} is half applied to database "
                    f'"{database.label}": {_done(there.done)}; not done yet: '
                    f"{things(there.missing)}.",
                    database.location,
                    f"{undo}, then flask db safe-upgrade"
                    if undo
                    else "flask db snapshots, then flask db restore ID; or finish it by hand and "
                    f"{stamping([there.revision])}",
                    bind=database.bind,
                    subject=there.revision,
                )


def _quoting(dialect: str) -> Callable[[str], str]:
    """What puts a name into the quotes of a dialect."""
    mark = "`" if dialect in ("mysql", "mariadb") else '"'
    return lambda name: mark + name.replace(mark, mark * 2) + mark


def _table(dialect: str, name: str) -> str:
    """A table in quotes; PostgreSQL names those outside of the search path with their schema."""
    parts = name.split(".", 1) if dialect == "postgresql" else [name]
    return ".".join(map(_quoting(dialect), parts))


def _undo(done: Sequence[Difference], dialect: str) -> str:
    """The statements that take back what was added; "" where something else was done."""
    quoted = _quoting(dialect)
    statements = []
    for d in done:
        if d.here is None or d.there is not None:
            return ""
        if d.kind == "table":
            statements.append(f"DROP TABLE {_table(dialect, d.table)}")
        elif d.kind == "column":
            table = _table(dialect, d.table)
            statements.append(f"ALTER TABLE {table} DROP COLUMN {quoted(d.name)}")
        elif d.kind == "index":
            of = f" ON {_table(dialect, d.table)}" if dialect in ("mysql", "mariadb") else ""
            statements.append(f"DROP INDEX {quoted(d.name)}{of}")
        else:
            return ""
    return "; ".join(statements)


def models_differ(state: State) -> Iterator[Found]:
    """The models and the history differ.

    Cause
        A model was changed and no revision was written, or a revision was written by hand and the
        model left as it was. A database that is at head is not what the application expects.
    Example
        ``phone = db.Column(db.String(20))`` was added to ``User``; queries fail with
        ``no such column: user.phone``, while every command says that all is up to date.
    Fix
        ``flask db migrate -m "..."`` on a database at head, read what it wrote, then
        ``flask db safe-upgrade``. Defaults, CHECKs and primary keys it does not see: those are
        written by hand after ``flask db revision``.
    Prevention
        Run ``flask db check`` in continuous integration.
    """
    for database in state.databases:
        comparison = state.comparisons.get(database.bind)
        if comparison is None or not comparison.models:
            continue
        # What follows from an edit of an applied revision is reported with it.
        edited = changed_since(state, database)
        differ = [d for d in comparison.models if d.made_by not in edited]
        seen = [d for d in differ if _is_seen(d, database.dialect)]
        views = {*comparison.views, *map(str.lower, database.views)}
        mapped = [d for d in seen if d.there is None and _is_one_of(d, views)]
        virtual = [d for d in seen if d.here is None and _is_one_of(d, comparison.virtual)]
        yield from _no_plain_tables(state, database, mapped, virtual)
        told = [d for d in seen or differ if d not in (*mapped, *virtual)]
        seen = [d for d in seen if d in told]
        # Tables that an include_object filter keeps out of the history are meant to differ.
        if state.project.hidden is None:
            told = [d for d in told if d.kind != "table"]
        if not told:
            continue
        yield Found(
            f'The models of database "{database.label}" and its history differ: '
            f"{_two_sides(told)}.",
            state.project.directory,
            'flask db migrate -m "..." on a database that is at head'
            if seen
            else 'flask db revision -m "...", written by hand: autogenerate does not see it',
            bind=database.bind,
            severity=None if seen else Severity.INFO,
            subject=told[0].table or told[0].name,
        )


def _is_one_of(difference: Difference, names: Collection[str]) -> bool:
    return difference.kind == "table" and difference.table.lower() in names


def _no_plain_tables(
    state: State,
    database: DatabaseState,
    mapped: Sequence[Difference],
    virtual: Sequence[Difference],
) -> Iterator[Found]:
    """What ``flask db migrate`` takes for tables.

    :param mapped: models on views.
    :param virtual: virtual tables of SQLite, which no model can describe.
    """
    if state.project.hidden is None:
        return
    if mapped:
        names = list(dict.fromkeys(d.table for d in mapped))
        yield _left_alone(
            state,
            database,
            f'{listed(names)} of the models of database "{database.label}" '
            f"{'is mapped to a view' if len(names) == 1 else 'are mapped to views'}: "
            f"flask db migrate would write create_table for {_it(names)}.",
            names,
        )
    if virtual:
        names = list(dict.fromkeys(d.table for d in virtual))
        yield _left_alone(
            state,
            database,
            f'{listed(names)} in the history of database "{database.label}" '
            f"{'is a virtual table' if len(names) == 1 else 'are virtual tables'}, and no model "
            f"has {_it(names)}: flask db migrate would write drop_table for {_it(names)} and for "
            "the tables behind.",
            [pattern for name in names for pattern in (name, f"{name}_*")],
        )


def _it(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _left_alone(
    state: State, database: DatabaseState, message: str, patterns: Sequence[str]
) -> Found:
    return Found(
        message,
        state.project.directory,
        f'app.config["SAFEMIGRATE_EXCLUDE_TABLES"] = {list(patterns)!r}, or leave '
        f"{_it(patterns)} out by include_object",
        bind=database.bind,
        subject=patterns[0],
    )


def _is_seen(difference: Difference, dialect: str) -> bool:
    """Whether ``flask db migrate`` writes it down: it skips expressions in indexes on SQLite."""
    if difference.kind == "index" and dialect == "sqlite":
        return bool(_PLAIN.fullmatch(difference.key.removeprefix("UNIQUE ")))
    return difference.kind in _SEEN_BY_AUTOGENERATE


def _two_sides(differences: Sequence[Difference]) -> str:
    models = [d for d in differences if d.there is None]
    history = [d for d in differences if d.here is None]
    changed = [d for d in differences if d.here is not None and d.there is not None]
    parts = []
    if models:
        parts.append(f"no revision makes {things(models)}")
    if history:
        parts.append(f"no model has {things(history)}")
    if changed:
        shown = "; ".join(
            f"{things([d])} is {d.here} in the models, {d.there} in the history"
            for d in changed[:3]
        )
        parts.append(shown + (f" and {len(changed) - 3} more" if len(changed) > 3 else ""))
    return "; ".join(parts)


def _half_applied(state: State, bind: str) -> set[str]:
    found = next((d for d in reached(state) if d.bind == bind), None)
    return {row.revision for row in found.progress if row.changes} if found is not None else set()


def _fails_next(state: State, bind: str, comparison: Comparison) -> str:
    """The database on which the same revision will run on the same schema; "" for none.

    What fails for want of rows, or of a table that no revision makes, may go through there.
    """
    database = next((d for d in reached(state) if d.bind == bind), None)
    unknown = comparison.strangers or not comparison.at_version
    if database is None or unknown or not comparison.cure:
        return ""
    applied = state.history.ancestors(database.version_rows or ())
    return "" if comparison.stopped_at in applied else database.label


def _judged(state: State, revision: Revision, problem: str) -> bool:
    """Whether what is judged of the revision before it runs says the same of the same line."""
    return any(
        hazard.file == revision.path
        and hazard.severity > Severity.INFO
        and f", line {hazard.line}:" in problem
        and hazard.code in ("SM602", "SM603", "SM604")
        for hazard in state.hazards
    )


def history_fails_on_empty(state: State) -> Iterator[Found]:
    """The history cannot build a database from nothing.

    Cause
        A revision fails on an empty database: it changes a table that no revision makes (the first
        ones came from ``db.create_all()``), needs rows that are not there, or uses ``db.session``
        or ``db.engine`` of a server instead of ``op.get_bind()``.
    Example
        ``no such table: users`` in the first revision.
    Fix
        What the hint says. Where rows are missing, let the revision run on empty tables; what is
        missing is created in an earlier revision; rows are changed by ``op.get_bind()`` only.
        Until then nothing later can be proven, and no new installation can be made with ``flask
        db upgrade``. A revision that is still pending will fail at the next upgrade.
    Prevention
        Build an empty database in continuous integration: ``flask db safe-upgrade``.
    """
    told = set()
    for bind, comparison in state.comparisons.items():
        revision = state.history.by_id.get(comparison.stopped_at)
        if revision is None or comparison.stopped_at in told or comparison.unconfined:
            continue
        if comparison.stopped_at in _half_applied(state, bind):
            continue  # what it failed with there is told, and is mended first
        told.add(comparison.stopped_at)
        problem = comparison.problem.rstrip(". \n")
        ahead = _fails_next(state, bind, comparison)
        if ahead and _judged(state, revision, problem):
            continue
        yield Found(
            (
                f'The next upgrade of database "{ahead}" will fail. {problem}.'
                if ahead
                else f"The history cannot build a database from nothing. {problem}."
            ),
            revision.path,
            comparison.cure or "make the revision run on empty tables",
            bind=bind,
            subject=revision.id,
        )


def history_not_replayed(state: State) -> Iterator[Found]:
    """The schema could not be compared with the history.

    Cause
        The history is replayed in a scratch database to prove what a database holds. On a server
        that takes the privilege to make one, which this user may lack. And a revision is not
        replayed where it reaches outside of the scratch database: by a connection of its own
        (``db.session``, ``db.engine``), a statement about another database, a role or the server,
        a file, a program, the network. It is stopped before it does.
    Example
        ``permission denied to create database``; ``CREATE ROLE reporting`` in a revision.
    Fix
        ``ALTER ROLE app CREATEDB`` on PostgreSQL, ``GRANT ALL ON `safemigrate\\_scratch\\_%`.* TO
        app`` on MariaDB; or run the doctor on a development machine. Let revisions use
        ``op.get_bind()``. ``--fast`` leaves the comparison out.
    Prevention
        Give the user that migrates the privilege, and not the one that serves requests. Keep
        roles and other databases out of revisions.
    """
    yield from _not_compared(state)
    reasons: dict[str, tuple[str, str, str]] = {}
    for bind, comparison in state.comparisons.items():
        if comparison.unconfined:
            reasons.setdefault(comparison.problem, (bind, comparison.stopped_at, comparison.cure))
        elif comparison.refused:
            reasons.setdefault(comparison.refused, (bind, "", comparison.cure))
    for reason, (bind, stopped_at, cure) in reasons.items():
        database = next((d for d in state.databases if d.bind == bind), None)
        place = database.location if database is not None else state.project.directory
        revision = state.history.by_id.get(stopped_at)
        yield Found(
            f"The schema was not compared with {'all of ' if revision else ''}the history: "
            f"{reason.rstrip('.')}.",
            revision.path if revision is not None else place,
            cure or "flask db doctor --fast leaves the comparison out",
            bind=bind,
            subject=stopped_at,
        )


def _not_compared(state: State) -> Iterator[Found]:
    for database in reached(state):
        comparison = state.comparisons.get(database.bind)
        if comparison is not None and comparison.unmodelled:
            yield Found(
                f'Not compared in database "{database.label}": '
                f"{'; '.join(each.rstrip('.') for each in comparison.unmodelled)}.",
                database.location,
                "flask db check, which compares the models with the database itself",
                bind=database.bind,
            )


def database_unlike_models(state: State) -> Iterator[Found]:
    """The database is at head and not as the models say.

    Cause
        Something was changed by hand, or a revision is missing. The history cannot be replayed
        (see SM413 and SM414), so which of the two it is cannot be told.
    Example
        ``ALTER TABLE users DROP COLUMN phone`` in a console, in a project whose first tables were
        made by ``db.create_all()``.
    Fix
        Bring back what is missing, or write the revision: ``flask db migrate``.
    Prevention
        Let the history build a database from nothing; then the doctor can tell more.
    """
    for database in reached(state):
        comparison = state.comparisons.get(database.bind)
        if comparison is None:
            continue
        seen = [d for d in comparison.direct or () if _is_seen(d, database.dialect)]
        # Tables that an include_object filter keeps out of the history are meant to differ.
        if {"include_object", "include_name"} & state.project.configure_keywords:
            seen = [d for d in seen if d.kind != "table"]
        if not seen:
            continue
        missing = [d for d in seen if d.there is None]
        more = [d for d in seen if d.here is None]
        changed = [d for d in seen if d.here is not None and d.there is not None]
        parts = []
        if missing:
            parts.append(f"{things(missing)} {_is(missing)} missing in the database")
        if more:
            parts.append(f"no model has {things(more)}")
        parts += [
            f"{things([d])} is {d.there} in the database, {d.here} in the models"
            for d in changed[:3]
        ]
        yield Found(
            f'Database "{database.label}" is at head, but not as its models say: '
            f"{'; '.join(parts)}.",
            database.location,
            "flask db migrate, where the models are right; else bring back what was changed by "
            "hand",
            bind=database.bind,
            subject=seen[0].table or seen[0].name,
        )
