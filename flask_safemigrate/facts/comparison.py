"""What is known about a schema, and what follows for the version of a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Fact(NamedTuple):
    """What one value of a schema is about.

    :param kind: ``table``, ``column``, ``primary key``, ``unique``, ``foreign key``, ``index``,
        ``type`` (all of them hard); ``default``, ``check``, ``collation``, ``expression``,
        ``actions``, ``options``, ``view``, ``trigger`` (soft: a plain batch migration may have
        lost them).
    :param table: "" for views and types.
    :param name: what tells it from others of its kind; never a name that a constraint or index
        was given, because those differ without meaning anything.
    """

    kind: str
    table: str
    name: str


class Facts(NamedTuple):
    """A schema in canonical form: two databases have the same schema if their values are equal.

    :param names: the names that objects were given, for messages; not compared.
    """

    values: Mapping[Fact, str] = {}
    names: Mapping[Fact, str] = {}


class ReplayedHistory(NamedTuple):
    """What each revision does to the schema, found by running it on an empty database.

    :param changes: revision id -> fact -> (value before, value after), None where there is none;
        in the order in which they ran.
    :param names: the names that objects were given.
    :param stopped_at: the revision that failed, "" where all ran.
    :param problem: why it failed.
    :param unconfined: whether it did not fail, but was stopped: it reaches outside of the scratch
        database.
    :param cure: what helps against it, "" where that is unknown.
    :param stands: statements that make what the tables stand on: schemas and extensions.
    :param types: the same for its types.
    """

    changes: Mapping[str, Mapping[Fact, tuple[str | None, str | None]]] = {}
    names: Mapping[Fact, str] = {}
    stopped_at: str = ""
    problem: str = ""
    unconfined: bool = False
    cure: str = ""
    stands: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


class Difference(NamedTuple):
    """One fact in which two schemas differ.

    :param name: of the column, index or constraint, as a person knows it.
    :param here: its value in the first schema, None where it has none.
    :param there: its value in the second, None where it has none.
    :param made_by: the revision that gave it its value in the second, "" where that is unknown.
    :param key: what tells it from others of its kind: the columns of an index, or its expressions.
    """

    kind: str
    table: str
    name: str
    here: str | None
    there: str | None
    made_by: str = ""
    key: str = ""


class AlreadyThere(NamedTuple):
    """A pending revision whose changes are in the database, all or some of them.

    :param done: the changes that are there.
    :param missing: those that are not; empty where the revision has nothing left to do.
    """

    revision: str
    done: tuple[Difference, ...]
    missing: tuple[Difference, ...] = ()


class Comparison(NamedTuple):
    """What the comparison of database, history and models says about one database.

    :param compared: whether history and database could be compared at all.
    :param equals: sets of revisions whose schema the database has, the likeliest first; the empty
        set is a database without tables.
    :param but: where it equals the first of them but for what a plain batch migration may have
        lost, or for an index that was added: that.
    :param nearest: the revisions whose schema comes nearest, where none is equal.
    :param apart: how the database differs from the nearest.
    :param at_version: whether it has the schema of the revisions that its version table names;
        None where they are unknown or there are none.
    :param drift: how it differs from them; what pending revisions explain is left out.
    :param already: pending revisions whose changes are there.
    :param models: how the models differ from the newest revisions; None where not compared.
    :param like_models: whether the database has exactly the tables of the models.
    :param stopped_at: the revision that failed on an empty database.
    :param problem: why it failed.
    :param unconfined: whether it was stopped because it reaches outside of the scratch database.
    :param cure: what helps against either, "" where that is unknown.
    :param views: names of the views that the history makes, in lower case.
    :param virtual: virtual tables of SQLite that the history makes, in lower case.
    :param refused: why nothing could be replayed.
    :param unmodelled: why models could not be compared, all or some of them.
    :param direct: how models and database differ, where the history could not be replayed up to
        its version; None where not compared.
    :param unused_types: ENUM types that no column uses and that the version does not have: name
        -> the pending revision that makes it, "" for none.
    :param strangers: tables of the database that neither history nor models ever had; they count
        nowhere else.
    :param indexes: for each table that failed batch migrations left elsewhere: the statements of
        the indexes that it has at the version.
    """

    compared: bool = False
    equals: tuple[tuple[str, ...], ...] = ()
    but: tuple[Difference, ...] = ()
    nearest: tuple[str, ...] = ()
    apart: tuple[Difference, ...] = ()
    at_version: bool | None = None
    drift: tuple[Difference, ...] = ()
    already: tuple[AlreadyThere, ...] = ()
    models: tuple[Difference, ...] | None = None
    like_models: bool = False
    stopped_at: str = ""
    problem: str = ""
    unconfined: bool = False
    cure: str = ""
    views: frozenset[str] = frozenset()
    virtual: frozenset[str] = frozenset()
    refused: str = ""
    unmodelled: tuple[str, ...] = ()
    direct: tuple[Difference, ...] | None = None
    unused_types: Mapping[str, str] = {}
    strangers: tuple[str, ...] = ()
    indexes: Mapping[str, tuple[str, ...]] = {}
