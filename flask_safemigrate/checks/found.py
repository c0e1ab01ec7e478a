"""What a check says, and the words that checks share."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import NamedTuple

from flask_safemigrate.facts.comparison import Difference
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.past import Commit
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Severity, Step
from flask_safemigrate.names import MEMORY

#: The commands that a check can forbid.
CHANGING = ("upgrade", "downgrade", "deploy", "reset")
UPWARD = ("upgrade", "deploy", "reset")
ALL = (*CHANGING, "status")


class Found(NamedTuple):
    """One thing that a check has found; the catalogue adds the code.

    :param message: what is wrong and why; databases in double quotes, ids in single ones.
    :param severity: None means as the catalogue says.
    :param blocks: the commands that must not start; None means as the catalogue says.
    :param file: the source file that it is about, "" for none.
    :param line: line of that file, 1 is the first.
    :param steps: what the repair does, in order.
    """

    message: str
    where: str
    hint: str
    bind: str | None = None
    severity: Severity | None = None
    blocks: tuple[str, ...] | None = None
    repair: str | None = None
    subject: str = ""
    file: str = ""
    line: int | None = None
    steps: tuple[Step, ...] = ()


def plain(name: str) -> str:
    """A name out of a database on one line: it may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def in_shell(text: str) -> str:
    """A word of a command line, in quotes that no character in it ends."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def by_hand(revision: str, direction: str, parents: Iterable[str]) -> str:
    """How a person ends what no run can go on with.

    :param parents: of the revision.
    """
    ids = [revision] if direction == "upgrade" else parents
    return f"finish the {direction} of '{plain(revision)}' by hand and run: {stamping(ids)}"


def stamping(ids: Iterable[str]) -> str:
    """The command that writes down where a database is; Flask-Migrate's takes one id."""
    return " && ".join(f"flask db stamp {shlex.quote(id)}" for id in ids) or "flask db stamp base"


def restoring(snapshot: str, bind: str = "") -> str:
    """The command that puts a snapshot back."""
    of = f" --bind {shlex.quote(bind)}" if bind else ""
    return f"flask db restore {snapshot}{of}"


def in_sql(name: str) -> str:
    """A name as SQL reads it back unchanged."""
    return '"' + name.replace('"', '""') + '"'


def searching(id: str) -> str:
    """The command of git that finds the file of a revision."""
    return f"git log --all --oneline -- {in_shell(f'*{plain(id)}*')}"


def listed(names: Iterable[str], limit: int = 5) -> str:
    """``'a', 'b' and 3 more``."""
    every = list(names)
    shown = [f"'{plain(name)}'" for name in every[:limit]]
    if len(every) > limit:
        return f"{', '.join(shown)} and {len(every) - limit} more"
    return " and ".join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 table``, ``3 tables``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def named(history: History, id: str) -> str:
    """``'a1b2' (add users)``."""
    revision = history.by_id.get(id)
    id = plain(id)
    return f"'{id}' ({revision.message})" if revision and revision.message else f"'{id}'"


def at_places(history: History, ids: Iterable[str]) -> str:
    """``revision 'a1b2' (add users)``, ``revisions 'a' and 'b'`` or ``base``."""
    every = [named(history, id) for id in ids]
    if not every:
        return "base"
    return f"revision{'s' if len(every) > 1 else ''} {' and '.join(every)}"


def _thing(difference: Difference) -> str:
    kind, table, name = difference.kind, difference.table, difference.name
    if kind == "table":
        return f"table '{table}'"
    if kind in ("view", "type"):
        return f"{kind} '{name}'"
    if kind == "primary key":
        return f"the primary key of '{table}'"
    if kind == "options":
        return f"{difference.here or difference.there} of '{table}'"
    if kind in ("default", "collation", "expression"):
        return f"the {kind} of '{table}.{name}'"
    if kind == "column":
        return f"column '{table}.{name}'"
    words = {"unique": "unique key", "check": "CHECK", "actions": "action of foreign key"}
    return f"{words.get(kind, kind)} '{name}' of '{table}'"


def things(differences: Iterable[Difference], limit: int = 5) -> str:
    """``table 'a', column 'b.c' and 3 more``."""
    every = [_thing(difference) for difference in differences]
    if len(every) > limit:
        return f"{', '.join(every[:limit])} and {len(every) - limit} more"
    return " and ".join(part for part in (", ".join(every[:-1]), *every[-1:]) if part)


def commit(made: Commit | None) -> str:
    """``commit 9f3e1c2 ("cleanup", Ann, 2024-01-31)``."""
    if made is None:
        return "a change that is not committed"
    subject = made.subject if len(made.subject) <= 60 else f"{made.subject[:57]}..."
    return f'commit {made.id} ("{subject}", {made.author}, {made.date})'


def file(path: str) -> str:
    """The name of a file without its folders."""
    return PurePath(path).name


def not_in_folder(project: ProjectState, name: str) -> Found:
    """A file of ``flask db init`` that the migrations folder lacks."""
    folder = PurePath(project.directory)
    return Found(
        f'"{folder.name}/{name}" does not exist.',
        str(folder / name),
        f"git checkout -- {shlex.quote(f'{folder.name}/{name}')}, where git has it; else copy it "
        "from a folder made by flask db init -d NEW",
    )


def versions(project: ProjectState) -> str:
    """The folder of the revision files as a person knows it: ``migrations/versions``."""
    if project.locations:
        folder = PurePath(project.locations[0])
        return f"{folder.parent.name}/{folder.name}"
    return f"{PurePath(project.directory).name}/versions"


def reached(state: State) -> Iterator[DatabaseState]:
    """The databases that are there and could be read."""
    for database in state.databases:
        if database.unreachable is None and database.exists:
            yield database


def tables(database: DatabaseState) -> tuple[str, ...]:
    """Names of a database's tables without what failed batch migrations left."""
    left = {table.name for table in database.leftovers}
    return tuple(table.name for table in database.tables if table.name not in left)


def rows(database: DatabaseState, names: Iterable[str]) -> str:
    """`` with 1,204 rows``, as far as the counts are known."""
    wanted = set(names)
    chosen = [table for table in database.tables if table.name in wanted]
    if not chosen or any(table.rows is None for table in chosen):
        return ""
    about = "" if all(table.exact for table in chosen) else "about "
    return f" with {about}{counted(sum(table.rows or 0 for table in chosen), 'row')}"


def in_use(state: State) -> bool:
    """Whether there is anything to migrate: tables in the models or in a database."""
    return any(state.project.models.values()) or any(tables(d) for d in reached(state))


def in_memory(location: str) -> bool:
    """Whether an SQLite database has no file."""
    return location == "" or MEMORY in location or "mode=memory" in location


def at_head(state: State, database: DatabaseState) -> bool:
    """Whether every revision is applied, as far as the version table says."""
    history = state.history
    rows_found = database.version_rows or ()
    return bool(rows_found) and history.ancestors(rows_found) == frozenset(history.by_id)
