"""What became of a revision that no file has, in words and steps that checks share."""

from __future__ import annotations

from pathlib import PurePath

from flask_safemigrate.checks.found import commit, counted, in_shell
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.past import Lost
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import FROM_JOURNAL, Step

# The width of Alembic's column, where servers cut or refuse what is longer.
_WIDTH = 32
_BEGINNING = 6  # characters by which a person names a revision


def cut_from(state: State, row: str) -> list[str]:
    """Ids of which a row of a version table may be the beginning."""
    if len(row) < _WIDTH or row in state.history.by_id:
        return []
    return [id for id in state.history.by_id if len(id) > len(row) and id.startswith(row)]


def nearly(state: State, row: str) -> str:
    """The id that a row of a version table misspells, "" for none."""
    known = state.history.by_id
    if row in known or (row in state.past.lost and state.past.lost[row].restorable):
        return ""
    plain = row.strip().strip("'\"").lower()
    same = [id for id in known if id.lower() == plain]
    # The beginning of an id, or the name of its file.
    like = [
        id
        for id, revision in known.items()
        if (len(plain) >= _BEGINNING and id.lower().startswith(plain))
        or (
            PurePath(revision.path).stem.lower().startswith(plain or " ")
            and plain.startswith(f"{id.lower()}_")
        )
    ]
    ids = same or like
    return ids[0] if len(ids) == 1 else ""


def chain(state: State, id: str) -> tuple[str, ...] | None:
    """The lost revisions that must come back for one to come back, oldest first.

    :return: None where the text of one cannot be had.
    """
    lost = state.past.lost
    found: list[str] = []
    waiting = [id]
    while waiting:
        place = waiting.pop()
        if place in state.history.by_id or place in state.history.labels or place in found:
            continue
        if place not in lost or not lost[place].restorable:
            return None
        found.append(place)
        waiting.extend(lost[place].parents or ())
    return tuple(reversed(found))


def changed_since(state: State, database: DatabaseState) -> frozenset[str]:
    """Revisions whose files are not what ran on a database."""
    ran = {
        row.subject: row.checksum
        for row in database.journal
        if row.kind == "revision" and row.direction == "upgrade" and row.checksum
    }
    harmless = {id for id, edit in state.past.edits.items() if edit.harmless}
    return frozenset(
        id
        for id, sum in ran.items()
        if state.checksums.get(id) not in (None, "", sum) and id not in harmless
    )


def restoring(state: State, ids: tuple[str, ...]) -> tuple[str, tuple[Step, ...]]:
    """A repair that brings files back, in words and steps."""
    lost = [state.past.lost[id] for id in ids]
    sources = dict.fromkeys("git" if one.in_git else "the journal" for one in lost)
    verb = "restore" if all(one.in_git for one in lost) else FROM_JOURNAL
    first = f'"{PurePath(lost[0].path).name}"' if lost[0].path else f"revision '{lost[0].id}'"
    what = first if len(lost) == 1 else counted(len(lost), "file")
    return f"restores {what} from {' and '.join(sources)}", (Step(verb, ids),)


def fixing(repair: str, steps: tuple[Step, ...]) -> str:
    """What brings files back, as a hint: the command, and what it does."""
    if any(step.verb == FROM_JOURNAL for step in steps):
        return (
            f"flask db doctor --fix --from-journal # {repair}, after it has shown the text, which "
            "will run"
        )
    return f"flask db doctor --fix # {repair}"


def went(lost: Lost) -> str:
    """How the file of a revision went, as a clause."""
    if lost.fate == "uncommitted":
        return f'"{PurePath(lost.path).name}" was deleted here, which is not committed'
    if lost.fate == "deleted":
        return f'"{PurePath(lost.path).name}" was deleted in {commit(lost.commit)}'
    if lost.kept:
        return "its file is gone, but the journal of the database has its text"
    if lost.spoiled:
        return (
            "its file is gone, and the text that the journal of the database has is not the one "
            "that ran: it has another checksum"
        )
    return "its file is gone"


def by_hand(lost: Lost) -> str:
    """The command of git that does the same for one file, in brackets."""
    if lost.fate == "uncommitted":
        return f" (git checkout HEAD -- {in_shell(f':/{lost.path}')})"
    if lost.fate == "deleted" and lost.commit is not None:
        return f" (git checkout {lost.commit.id}^ -- {in_shell(f':/{lost.path}')})"
    return ""


def looked(state: State, id: str) -> str:
    """A sentence on where a revision was looked for in vain."""
    past = state.past
    if past.git is None:
        return ""
    journal = "no journal has it"
    if not past.git:
        return f" There is no git repository here to ask, or git may not read it; {journal}."
    if past.gave_up:
        return f" Git did not answer what it knows of it, in time or at all; {journal}."
    if past.shallow:
        return f" Git knows nothing of it, but its history is cut off here; {journal}."
    return f" No commit on any branch that git has here knows it, and {journal}."
