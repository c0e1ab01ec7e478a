"""What the steps of repairs do: one table of verbs, for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import HalfApplied
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import FROM_JOURNAL, Step
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_half_applied, plan_upgrade
from flask_safemigrate.project.history import read_history
from flask_safemigrate.reading.past import Inquiry
from flask_safemigrate.repairs import database, project, revisions, versions
from flask_safemigrate.workflows.ports import Repaired
from flask_safemigrate.workflows.requests import Direction, Request, Say

if TYPE_CHECKING:
    from alembic.config import Config


class Means(NamedTuple):
    """What a repair works with.

    :param folder: the migrations folder.
    :param versions: the folder in which new revision files belong.
    :param read: read the project and its databases again.
    :param inquiry: what became of files, to be asked.
    :param config: Alembic's configuration.
    :param copy: copy a database, if the settings want that before it is changed.
    :param apply: run plans.
    :param previewed: texts of revisions out of a database, as they were shown, by revision id.
    """

    folder: Path
    versions: Path
    read: Callable[[], State]
    inquiry: Callable[[ProjectState], Inquiry]
    config: Callable[[], Config]
    copy: Callable[[str, Say], None]
    apply: Callable[[Sequence[Plan], Request], object]
    previewed: dict[str, str]


class Verb(NamedTuple):
    """What a step does.

    :param do: does it, with the names of the step, and says so; the way to take it back is in
        what it returns. Where it fails, things are as they were.
    :param copies: whether the database is copied before, if the settings want that.
    """

    do: Callable[[Means, Target | None, Sequence[str], Say], Repaired]
    copies: bool = False


def take_steps(means: Means, steps: Sequence[Step], target: Target | None, say: Say) -> Repaired:
    """Take every step; where one fails, those before it are taken back.

    :param target: the database that the steps are about, None where they are about the project.
    """
    back: list[Callable[[], None]] = []
    said = []

    def take_back() -> None:
        while back:
            back.pop()()

    try:
        for step in steps:
            verb = VERBS[step.verb]
            if verb.copies and target is not None:
                means.copy(target.bind, say)
            done = verb.do(means, target, step.names, say)
            said.append(done.said)
            if done.take_back is not None:
                back.append(done.take_back)
    except HalfApplied:
        # What is in stays in, and goes on from where it is stamped.
        raise
    except BaseException:
        take_back()
        raise
    return Repaired(" ".join(filter(None, said)), take_back if back else None)


def _in_files(change: Callable[[revisions.Files, Means, Sequence[str]], str]) -> Verb:
    """A change of revision files, all of it or nothing."""

    def do(means: Means, target: Target | None, names: Sequence[str], say: Say) -> Repaired:
        files = revisions.Files()
        with contextlib.ExitStack() as undo:
            undo.callback(files.take_back)
            said = change(files, means, names)
            undo.pop_all()
        return Repaired(said, files.take_back)

    return Verb(do)


def _in_project(change: Callable[[Path], Repaired]) -> Verb:
    """A change of the migrations folder, its configuration or what git makes of it."""
    return Verb(lambda means, target, names, say: change(means.folder))


def _in_database(change: Callable[..., str], *, copies: bool = False) -> Verb:
    """A change of a database that cannot be taken back but by its snapshot."""

    def do(means: Means, target: Target | None, names: Sequence[str], say: Say) -> Repaired:
        assert target is not None
        return Repaired(change(target, *names))

    return Verb(do, copies)


def _restore(files: revisions.Files, means: Means, ids: Sequence[str]) -> str:
    state = means.read()
    inquiry = means.inquiry(state.project)
    return revisions.restore(
        files,
        means.versions,
        [state.past.lost[id] for id in ids if id in state.past.lost],
        state.history,
        # What the journal says may have changed since somebody read it.
        lambda lost: inquiry.committed_text(lost) or means.previewed.get(lost.id, ""),
    )


def _reparent(files: revisions.Files, means: Means, names: Sequence[str]) -> str:
    return revisions.reparent(files, read_history(means.folder), names[0], tuple(names[1:]))


def _renumber(files: revisions.Files, means: Means, names: Sequence[str]) -> str:
    taken = read_history(means.folder).by_id
    return revisions.renumber(files, Path(names[0]), tuple(names[1:]), taken)


def _delete(files: revisions.Files, means: Means, names: Sequence[str]) -> str:
    return revisions.delete(files, Path(names[0]), Path(names[1]))


def _move(files: revisions.Files, means: Means, names: Sequence[str]) -> str:
    path = Path(names[0])
    files.rename(path, means.versions / path.name)
    return f'Moved "{path.name}" into "{means.versions}".'


def _merge(means: Means, target: Target | None, names: Sequence[str], say: Say) -> Repaired:
    from flask_safemigrate.alembic_bridge.merge import merge_heads

    said, path = merge_heads(means.config())
    return Repaired(said, lambda: path.unlink(missing_ok=True))


def _stamp(means: Means, target: Target | None, names: Sequence[str], say: Say) -> Repaired:
    assert target is not None
    before = backend_for(target.engine).read(target).version_rows
    said = versions.stamp(target, tuple(names))
    return Repaired(said, lambda: versions.unstamp(target, before, tuple(names)))


def _upgrade(means: Means, target: Target | None, names: Sequence[str], say: Say) -> Repaired:
    assert target is not None
    state = means.read()
    found = next(d for d in state.databases if d.bind == target.bind)
    plan = plan_upgrade(state.history, found, "heads")
    if plan.empty:
        return Repaired("")
    # The stamp before it has taken the snapshot.
    means.apply([plan], Request("doctor", options={"snapshot": False}, say=say))
    return Repaired(f"Upgraded {found.name} to {' and '.join(plan.target)}.")


def _finish(means: Means, target: Target | None, names: Sequence[str], say: Say) -> Repaired:
    """Go on with a revision that is half applied."""
    assert target is not None
    revision = names[0]
    state = means.read()
    found = next(d for d in state.databases if d.bind == target.bind)
    direction = next(r.direction for r in found.progress if r.revision == revision)
    plan = plan_half_applied(state.history, found, revision, direction)
    going: Direction = "upgrade" if direction == "upgrade" else "downgrade"
    means.apply([plan], Request("doctor", revision, going, {"snapshot": False}))
    return Repaired(f"Finished the {direction} of revision '{revision}'.")


VERBS: Mapping[str, Verb] = {
    "restore": _in_files(_restore),
    FROM_JOURNAL: _in_files(_restore),
    "reparent": _in_files(_reparent),
    "renumber": _in_files(_renumber),
    "delete": _in_files(_delete),
    "move": _in_files(_move),
    "merge": Verb(_merge),
    "make folder": _in_project(project.make_versions),
    "unignore": _in_project(project.bring_back),
    "replace env": _in_project(project.replace_env),
    "name logger": _in_project(project.name_logger),
    "stamp": Verb(_stamp, copies=True),
    "remove version": _in_database(versions.remove_version, copies=True),
    "upgrade": Verb(_upgrade),
    "finish": Verb(_finish),
    "drop table": _in_database(database.drop_leftover, copies=True),
    "recover": _in_database(database.recover, copies=True),
    "index": _in_database(versions.make_index),
    "mend index": _in_database(database.mend_index),
    "reindex": _in_database(database.make_indexes_anew),
    "checkpoint": _in_database(database.write_log_back),
    "drop type": _in_database(database.drop_type),
    "advance sequence": _in_database(database.move_sequence),
}


def preview(means: Means, ids: Sequence[str]) -> tuple[str, ...]:
    """Show what only a database has of these revisions; nothing else of it will be written."""
    state = means.read()
    inquiry = means.inquiry(state.project)
    shown = []
    for id in ids:
        lost = state.past.lost.get(id)
        if lost is not None and not inquiry.committed_text(lost):
            text = inquiry.kept_text(id, state.databases)
            means.previewed[id] = text
            shown.append(revisions.preview(lost, text))
    return tuple(shown)
