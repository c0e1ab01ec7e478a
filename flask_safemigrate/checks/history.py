"""SM2xx: what comes after what."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from flask_safemigrate.checks.found import (
    Found,
    commit,
    file,
    in_shell,
    listed,
    named,
    reached,
    searching,
)
from flask_safemigrate.checks.tracing import by_hand, chain, fixing, looked, restoring, went
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.facts.past import Lost
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Step


def _explained(history: History, missing: str) -> bool:
    """Whether a broken file is the reason why an id is missing; that is reported already."""
    return any(b.id == missing or missing in file(b.path) for b in history.broken)


def _meant(state: State, child: Revision, missing: str) -> tuple[str, str] | None:
    """The revision that a wrong ``down_revision`` means, and what proves it."""
    history = state.history
    after = history.descendants(child.id)
    became = state.past.lost.get(missing, Lost(missing)).became
    plain = missing.strip().removesuffix(".py")
    for other in history.by_id.values():
        if other.id in after:
            continue
        if other.id == became:
            made = commit(state.past.lost[missing].commit)
            return other.id, f"{made} gave '{missing}' this id"
        if PurePath(other.path).stem == plain:
            return other.id, "it is the name of the file and not the id"
        if other.id.lower() == plain.lower():
            return other.id, "only blanks or capitals differ"
        if child.revises == (other.id,) and len(child.parents) == 1:
            return other.id, f'the docstring of "{file(child.path)}" still says so'
    return None


def _nearest(history: History, child: Revision, missing: str) -> tuple[str, str]:
    """The revision that was probably meant, and why; empty where none stands out."""
    after = history.descendants(child.id)
    others = [r for r in history.by_id.values() if r.id not in after]
    near = difflib.get_close_matches(missing, [r.id for r in others], n=1, cutoff=0.7)
    if near:
        return near[0], ""
    ends = [
        r
        for r in others
        if r.created and r.created <= child.created and not history.children.get(r.id)
    ]
    if ends:
        newest = max(ends, key=lambda r: r.created)
        return newest.id, ", the newest that was made before it"
    return "", ""


def parent_missing(state: State) -> Iterator[Found]:
    """A revision names a parent that is not there.

    Cause
        The parent's file was deleted, never committed, or lives on another branch; or
        ``down_revision`` was mistyped or holds a file name.
    Example
        ``down_revision = 'a1b2'``, and no file has ``revision = 'a1b2'``. Alembic answers with
        ``KeyError: 'a1b2'``.
    Fix
        ``flask db doctor --fix`` restores the parent's file from git or from the journal of a
        database; or corrects ``down_revision`` where it is proven what was meant: git shows that
        the file was given another id, it holds a file's name, or the docstring still says it.
        Otherwise bring the file back from the machine that made it.
    Prevention
        Never delete a revision that others may have applied.
    """
    history = state.history
    children: dict[str, list[Revision]] = {}
    for revision in history.revisions:
        for parent in revision.parents:
            if parent not in history.by_id and not _explained(history, parent):
                children.setdefault(parent, []).append(revision)
    for missing, several in children.items():
        yield _parent(state, missing, several)


def _parent(state: State, missing: str, children: Sequence[Revision]) -> Found:
    history = state.history
    child = children[0]
    lost = state.past.lost.get(missing, Lost(missing))
    who = " and ".join(named(history, r.id) for r in children[:3])
    more = f" and {len(children) - 3} more" if len(children) > 3 else ""
    begin = (
        f"Revision{'s' if len(children) > 1 else ''} {who}{more} "
        f"come{'' if len(children) > 1 else 's'} after '{missing}', which no revision file has"
    )
    at = [d for d in reached(state) if missing in (d.version_rows or ())]
    here = f' Database "{at[0].label}" is at it.' if at else ""
    ids = chain(state, missing)
    meant = [_meant(state, r, missing) for r in children]
    repair: str | None = None
    steps: tuple[Step, ...] = ()
    if ids:
        repair, steps = restoring(state, ids)
        message = f"{begin}: {went(lost)}.{here}"
        hint = f"{fixing(repair, steps)}{by_hand(lost)}"
    elif all(meant):
        proofs = [pair for pair in meant if pair is not None]
        target, why = proofs[0]
        steps = tuple(
            Step("reparent", (r.id, *(id if p == missing else p for p in r.parents)))
            for r, (id, _) in zip(children, proofs, strict=True)
        )
        repair = f"sets down_revision of '{child.id}' to '{target}': {why}"
        message = (
            f"{begin}. Did you mean {named(history, target)}? {why[0].upper()}{why[1:]}.{here}"
        )
        hint = f"flask db doctor --fix (down_revision = '{target}' in {file(child.path)})"
    else:
        near, why = _nearest(history, child, missing)
        question = f" Did you mean {named(history, near)}{why}?" if near else ""
        told = _where(state, lost) or f"{looked(state, missing)}{question}"
        message = f"{begin}.{told}{here}"
        hint = _advice(state, lost, child, near)
    return Found(
        message,
        child.path,
        hint,
        repair=repair,
        steps=steps,
        subject=child.id,
        file=child.path,
    )


def _where(state: State, lost: Lost) -> str:
    if lost.other_path:
        return f' "{lost.other_path}" has it.'
    if lost.fate == "elsewhere":
        branches = f", on {listed(lost.branches)}" if lost.branches else ", which is on no branch"
        return f" {commit(lost.commit).capitalize()} has it{branches}."
    return ""


def _advice(state: State, lost: Lost, child: Revision, near: str) -> str:
    if lost.other_path:
        return shlex.join(("mv", lost.other_path, str(PurePath(child.path).parent)))
    if lost.fate == "elsewhere" and lost.commit is not None:
        place = lost.branches[0] if lost.branches else lost.commit.id
        return f"git checkout {shlex.quote(place)} -- {in_shell(f':/{lost.path}')}"
    search = f"bring the file back: {searching(lost.id)}"
    if state.past.git is not None:
        search += " on the machine that made it"
    if state.past.shallow:
        search = "git fetch --unshallow, then flask db doctor"
    meant = f"if that is meant, down_revision = '{near}' in {file(child.path)}; else "
    return f"{meant if near else ''}{search}"


def dependency_missing(state: State) -> Iterator[Found]:
    """A revision depends on one that is not there.

    Cause
        ``depends_on`` names an id or a branch label that no file has.
    Example
        ``depends_on = 'accounts'`` after the label was renamed to ``users``.
    Fix
        Write the id or label that is meant, or bring its file back.
    Prevention
        Name ids, which do not change, rather than labels.
    """
    history = state.history
    for revision in history.revisions:
        for need in revision.depends_on:
            if need in history.by_id or need in history.labels or _explained(history, need):
                continue
            names = [*(i for i in history.by_id if i != revision.id), *history.labels]
            near = difflib.get_close_matches(need, names, n=1, cutoff=0.6)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            yield Found(
                f"Revision {named(history, revision.id)} depends on '{need}', which is no "
                f"revision and no branch label.{meant}",
                revision.path,
                f"depends_on = '{near[0]}' in {file(revision.path)}"
                if near
                else f"bring the file back: {searching(need)}",
                subject=revision.id,
                file=revision.path,
            )


def _circles(history: History) -> Iterator[tuple[str, ...]]:
    """Circles of revisions, each of which needs the next; one that leads into each knot."""
    waiting = {
        id: {need for need in history.needs(revision) if need in history.by_id}
        for id, revision in history.by_id.items()
    }
    needed_by: dict[str, list[str]] = {}
    for id, needs in waiting.items():
        for need in needs:
            needed_by.setdefault(need, []).append(id)
    ready = [id for id, needs in waiting.items() if not needs]
    while ready:
        done = ready.pop()
        del waiting[done]
        for id in needed_by.get(done, ()):
            waiting[id].discard(done)
            if not waiting[id]:
                ready.append(id)
    told: set[str] = set()
    for start in waiting:
        # Everything that is left waits for a circle: going on leads into one.
        way: list[str] = []
        place = start
        while place not in way:
            way.append(place)
            place = min(waiting[place])
        circle = way[way.index(place) :]
        if told.isdisjoint(circle):
            told.update(circle)
            yield tuple(circle)


def _wrong_edge(
    history: History, circle: tuple[str, ...]
) -> tuple[str, tuple[str, ...] | None, str]:
    """The revision whose ``down_revision`` is wrong, what it was (None where nothing proves
    that), and what shows it."""
    members = set(circle)
    edited = [
        history.by_id[id]
        for id in circle
        if set(history.by_id[id].revises) != set(history.by_id[id].parents)
        and members & set(history.by_id[id].parents)
    ]
    if len(edited) == 1:
        (revision,) = edited
        was = revision.revises
        whole = all(id in history.by_id and id not in members for id in was)
        said = " and ".join(f"'{id}'" for id in was) or "nothing"
        # An empty line means the first revision; a missing one means nothing.
        if whole and (was or not any(not r.parents for r in history.revisions)):
            why = f"its docstring still says that it comes after {said}"
            return revision.id, was, why
        return revision.id, None, f"its docstring says that it comes after {said}"
    older = [
        id
        for id, need in zip(circle, (*circle[1:], circle[0]), strict=True)
        if history.by_id[id].created and history.by_id[id].created < history.by_id[need].created
    ]
    if len(older) == 1:
        return older[0], None, "it was made before the one that it comes after"
    return "", None, ""


def history_cycle(state: State) -> Iterator[Found]:
    """Revisions come after one another in a circle.

    Cause
        ``down_revision`` or ``depends_on`` was edited so that a revision is its own ancestor.
    Example
        ``a1`` comes after ``b2``, and ``b2`` comes after ``a1``.
    Fix
        Correct the ``down_revision`` that closes the circle. ``flask db doctor --fix`` does it
        where the docstring of exactly one of the files (``Revises:``) still says what it was.
    Prevention
        Move a revision only onto one that does not come after it.
    """
    history = state.history
    for circle in _circles(history):
        shown = " -> ".join(f"'{id}'" for id in (*circle, circle[0]))
        wrong, was, why = _wrong_edge(history, circle)
        files = ", ".join(file(history.by_id[id].path) for id in circle[:5])
        blame = f" The wrong one is probably {named(history, wrong)}: {why}." if wrong else ""
        repair = None
        steps: tuple[Step, ...] = ()
        if was is not None:
            steps = (Step("reparent", (wrong, *was)),)
            after = " and ".join(f"'{id}'" for id in was) or "nothing"
            repair = f"lets '{wrong}' come after {after} again: {why}"
        path = history.by_id[wrong or circle[0]].path
        yield Found(
            f"Revisions need one another in a circle: {shown} (each needs the next).{blame}",
            path,
            f"flask db doctor --fix # {repair}"
            if repair
            else f"correct down_revision in {file(path)}"
            if wrong
            else f"correct down_revision in one of {files}",
            repair=repair,
            steps=steps,
            subject=circle[0],
            file=path,
        )
