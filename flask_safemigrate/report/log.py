"""What commands did, as records of the standard library's logging.

They are written when a command ends: a revision has been applied once it is committed, and until
then ``fileConfig`` in ``env.py`` has the handlers of the application put aside. Only waiting is
told while it lasts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from flask_safemigrate.outcome import Outcome, Progress, Snapshot, Status, exit_code
from flask_safemigrate.report.redaction import without_passwords

NAME = "flask_safemigrate"
_PAUSE = 10.0  # seconds between two records of one wait

_log = logging.getLogger(NAME)
# Without a handler of the application's own nothing is to appear on standard error twice.
_log.addHandler(logging.NullHandler())

Fields = dict[str, Any]


def record(outcome: Outcome) -> Outcome:
    """Write the records of an outcome and return it."""
    if not outcome.dry_run:
        for text, fields in _events(outcome):
            _write(logging.INFO, text, fields)
    good = outcome.status in (Status.DONE, Status.NOTHING_TO_DO)
    said = f"{outcome.command}: {outcome.status.value}"
    fields = {
        "event": "result",
        "command": outcome.command,
        "status": outcome.status.value,
        "exit_code": exit_code(outcome.status),
        "seconds": outcome.seconds,
        "dry_run": outcome.dry_run,
        "error": outcome.error,
        "hint": outcome.hint,
    }
    text = said if good else f"{said}: {outcome.error}"
    _write(logging.INFO if good else logging.ERROR, text, fields)
    return outcome


def waits(say: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Return a function that tells news as ``say`` does, and writes down that a command waits."""
    told: list[float] = []

    def heard(news: Progress) -> None:
        now = time.monotonic()
        if news.stage == "waiting" and (not told or now - told[-1] >= _PAUSE):
            told.append(now)
            fields = {
                "event": "waiting",
                "subject": news.subject,
                "bind": news.bind,
                "seconds": news.seconds,
            }
            _write(logging.INFO, f"waiting: {news.text or news.subject}", fields)
        say(news)

    return heard


def _events(outcome: Outcome) -> Iterator[tuple[str, Fields]]:
    for number, snapshot in enumerate(outcome.snapshots):
        put_back = outcome.command == "restore" and number == 0
        yield _of_snapshot("restored" if put_back else "snapshot", snapshot)
    for applied in outcome.applied:
        about = {"bind": applied.bind, "database": applied.location}
        if applied.snapshot is not None:
            yield _of_snapshot("snapshot", applied.snapshot)
        for revision in applied.revisions:
            yield (
                f"{applied.direction} {revision.id} of {applied.location}",
                {"event": "revision", **about, "revision": revision.id}
                | {"direction": applied.direction, "seconds": revision.seconds},
            )
    for hook in outcome.hooks:
        yield (
            f"hook {hook.name}: {hook.ended}",
            {"event": "hook", "hook": hook.name, "seconds": hook.seconds, "result": hook.result},
        )


def _of_snapshot(event: str, snapshot: Snapshot) -> tuple[str, Fields]:
    fields = {
        "event": event,
        "bind": snapshot.bind,
        "database": snapshot.database,
        "snapshot": snapshot.id,
        "path": snapshot.path,
        "size": snapshot.size,
    }
    return f"{event} {snapshot.id} of {snapshot.database}", fields


def _write(level: int, text: str, fields: Fields) -> None:
    if not _log.isEnabledFor(level):
        return
    plain = {
        name: without_passwords(value) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    _log.log(level, "%s", without_passwords(text), extra=plain)
