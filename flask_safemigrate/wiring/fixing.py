"""Doing what a repair consists of, step by step; all of it or nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from flask_safemigrate.alembic_bridge.merge import merge_heads
from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.errors import HalfApplied
from flask_safemigrate.findings import FROM_JOURNAL, Step
from flask_safemigrate.planning import plan_upgrade
from flask_safemigrate.project.history import read_history
from flask_safemigrate.wiring import database_repairs, history_repairs, repairs
from flask_safemigrate.workflows.ports import Repaired, Request, Say

if TYPE_CHECKING:
    from flask_safemigrate.wiring.ports import Wiring


def take_steps(
    wiring: Wiring, steps: tuple[Step, ...], target: Target | None, say: Say
) -> Repaired:
    """Take every step; where one fails, those before it are taken back."""
    files = history_repairs.Files()
    back = contextlib.ExitStack()
    back.callback(files.take_back)
    said = []
    try:
        for step in steps:
            if step.verb in ("stamp", "upgrade", "recover", "index"):
                assert target is not None
                said.append(_in_database(wiring, step, target, back, say))
            else:
                said.append(_in_files(wiring, step, files, back))
    except HalfApplied:
        # What is in stays in, and goes on from where it is stamped.
        raise
    except BaseException:
        back.close()
        raise
    return Repaired(" ".join(filter(None, said)), back.close)


def _in_files(
    wiring: Wiring, step: Step, files: history_repairs.Files, back: contextlib.ExitStack
) -> str:
    history = read_history(wiring.folder)
    names = step.names
    if step.verb in ("restore", FROM_JOURNAL):
        return _restore(wiring, names, files)
    if step.verb == "reparent":
        return history_repairs.reparent(files, history, names[0], names[1:])
    if step.verb == "renumber":
        return history_repairs.renumber(files, Path(names[0]), names[1:], history.by_id)
    if step.verb == "delete":
        return history_repairs.delete(files, Path(names[0]), Path(names[1]))
    if step.verb == "move":
        path, folder = Path(names[0]), wiring.versions
        files.rename(path, folder / path.name)
        return f'Moved "{path.name}" into "{folder}".'
    assert step.verb == "merge", step.verb
    said, path = merge_heads(wiring.config())
    back.callback(path.unlink, missing_ok=True)
    return said


def _restore(wiring: Wiring, ids: tuple[str, ...], files: history_repairs.Files) -> str:
    state = wiring.read()
    inquiry = wiring.inquiry(state.project)
    return history_repairs.restore(
        files,
        wiring.versions,
        [state.provenance.lost[id] for id in ids if id in state.provenance.lost],
        state.history,
        # What the journal says may have changed since somebody read it.
        lambda lost: inquiry.committed_text(lost) or wiring.previewed.get(lost.id, ""),
    )


def preview(wiring: Wiring, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Show what only a database has of these revisions; nothing else of it will be written."""
    state = wiring.read()
    inquiry = wiring.inquiry(state.project)
    shown = []
    for id in ids:
        lost = state.provenance.lost.get(id)
        if lost is not None and not inquiry.committed_text(lost):
            text = inquiry.kept_text(id, state.databases)
            wiring.previewed[id] = text
            shown.append(history_repairs.preview(lost, text))
    return tuple(shown)


def _in_database(
    wiring: Wiring, step: Step, target: Target, back: contextlib.ExitStack, say: Say
) -> str:
    if step.verb == "recover":
        wiring.before_repair(target, say)
        return database_repairs.recover(target, step.names[0], step.names[1:])
    if step.verb == "stamp":
        before = backend_for(target.engine).read(target).version_rows
        wiring.before_repair(target, say)
        said = repairs.stamp(target, step.names)
        back.callback(repairs.unstamp, target, before, step.names)
        return said
    if step.verb == "index":
        return repairs.make_index(target, *step.names)
    state = wiring.read()
    database = next(d for d in state.databases if d.bind == target.bind)
    plan = plan_upgrade(state.history, database, "heads")
    if plan.empty:
        return ""
    # The stamp before it has taken the snapshot.
    wiring.apply([plan], Request("doctor", snapshot=False, say=say))
    return f"Upgraded {database.name} to {' and '.join(plan.target)}."
