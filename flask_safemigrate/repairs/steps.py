"""Doing what a repair consists of, step by step; all of it or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flask_safemigrate.alembic_bridge.merge import merge_heads
from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import HalfApplied
from flask_safemigrate.findings import FROM_JOURNAL, Step
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning import plan_upgrade
from flask_safemigrate.project.history import read_history
from flask_safemigrate.reading.provenance import Inquiry
from flask_safemigrate.repairs import database, revisions, versions
from flask_safemigrate.state import ProjectState, State
from flask_safemigrate.workflows.ports import Repaired, Request, Say

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


def take_steps(means: Means, steps: tuple[Step, ...], target: Target | None, say: Say) -> Repaired:
    """Take every step; where one fails, those before it are taken back."""
    files = revisions.Files()
    back = contextlib.ExitStack()
    back.callback(files.take_back)
    said = []
    try:
        for step in steps:
            if step.verb in ("stamp", "upgrade", "recover", "index"):
                assert target is not None
                said.append(_in_database(means, step, target, back, say))
            else:
                said.append(_in_files(means, step, files, back))
    except HalfApplied:
        # What is in stays in, and goes on from where it is stamped.
        raise
    except BaseException:
        back.close()
        raise
    return Repaired(" ".join(filter(None, said)), back.close)


def _in_files(means: Means, step: Step, files: revisions.Files, back: contextlib.ExitStack) -> str:
    history = read_history(means.folder)
    names = step.names
    if step.verb in ("restore", FROM_JOURNAL):
        return _restore(means, names, files)
    if step.verb == "reparent":
        return revisions.reparent(files, history, names[0], names[1:])
    if step.verb == "renumber":
        return revisions.renumber(files, Path(names[0]), names[1:], history.by_id)
    if step.verb == "delete":
        return revisions.delete(files, Path(names[0]), Path(names[1]))
    if step.verb == "move":
        path, folder = Path(names[0]), means.versions
        files.rename(path, folder / path.name)
        return f'Moved "{path.name}" into "{folder}".'
    assert step.verb == "merge", step.verb
    said, path = merge_heads(means.config())
    back.callback(path.unlink, missing_ok=True)
    return said


def _restore(means: Means, ids: tuple[str, ...], files: revisions.Files) -> str:
    state = means.read()
    inquiry = means.inquiry(state.project)
    return revisions.restore(
        files,
        means.versions,
        [state.provenance.lost[id] for id in ids if id in state.provenance.lost],
        state.history,
        # What the journal says may have changed since somebody read it.
        lambda lost: inquiry.committed_text(lost) or means.previewed.get(lost.id, ""),
    )


def preview(means: Means, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Show what only a database has of these revisions; nothing else of it will be written."""
    state = means.read()
    inquiry = means.inquiry(state.project)
    shown = []
    for id in ids:
        lost = state.provenance.lost.get(id)
        if lost is not None and not inquiry.committed_text(lost):
            text = inquiry.kept_text(id, state.databases)
            means.previewed[id] = text
            shown.append(revisions.preview(lost, text))
    return tuple(shown)


def _in_database(
    means: Means, step: Step, target: Target, back: contextlib.ExitStack, say: Say
) -> str:
    if step.verb == "recover":
        means.copy(target.bind, say)
        return database.recover(target, step.names[0], step.names[1:])
    if step.verb == "stamp":
        before = backend_for(target.engine).read(target).version_rows
        means.copy(target.bind, say)
        said = versions.stamp(target, step.names)
        back.callback(versions.unstamp, target, before, step.names)
        return said
    if step.verb == "index":
        return versions.make_index(target, *step.names)
    state = means.read()
    found = next(d for d in state.databases if d.bind == target.bind)
    plan = plan_upgrade(state.history, found, "heads")
    if plan.empty:
        return ""
    # The stamp before it has taken the snapshot.
    means.apply([plan], Request("doctor", snapshot=False, say=say))
    return f"Upgraded {found.name} to {' and '.join(plan.target)}."
