"""What the commands ask of the extension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from flask_safemigrate.outcome import Outcome, Progress
from flask_safemigrate.settings import Settings

Say = Callable[[Progress], None]
Confirm = Callable[[Outcome], bool]


class Service(Protocol):
    """The workflows, as ``app.extensions["safemigrate"]`` offers them.

    Every method returns an outcome and raises nothing for a failure that the outcome can tell.
    ``directory`` and ``x_arg`` are those of ``flask db -d -x``. ``confirm`` gets the outcome so
    far (its plans, findings or what is doomed) and says whether to go on; None means yes.
    """

    settings: Settings

    def status(self, *, directory: str | None = None) -> Outcome:
        """Where each database stands."""

    def doctor(
        self,
        *,
        directory: str | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        fix: Sequence[str] | None = None,
        from_journal: bool = False,
        strict: bool = False,
        fast: bool = False,
        offline: bool = False,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Findings; ``fix`` is None for none, empty for all repairs, or codes; ``fast`` does not
        compare the schemas and does not judge pending revisions."""

    def lint(
        self,
        revision: str | None = None,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        since: str | None = None,
        base: str | None = None,
        strict: bool = False,
        offline: bool = False,
        dialect: str | None = None,
    ) -> Outcome:
        """The hazards of the pending revisions, or of those that are named."""

    def upgrade(
        self,
        revision: str = "heads",
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        dry_run: bool = False,
        sql: bool = False,
        allow: Sequence[str] = (),
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        asks: bool = True,
        say: Say | None = None,
    ) -> Outcome:
        """The guarded upgrade; ``snapshot`` None means as the settings say."""

    def downgrade(
        self,
        revision: str,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        dry_run: bool = False,
        sql: bool = False,
        allow: Sequence[str] = (),
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """The guarded downgrade."""

    def deploy(
        self,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        dry_run: bool = False,
        allow: Sequence[str] = (),
        wait: float | None = None,
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        phase: str = "all",
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Wait, lock, check, upgrade, verify, run the deploy hooks."""

    def reset(
        self,
        *,
        directory: str | None = None,
        x_arg: Sequence[str] = (),
        snapshot: bool | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Drop everything, upgrade to head, seed."""

    def take_snapshot(
        self, *, bind: str | None = None, why: str = "by hand", say: Say | None = None
    ) -> Outcome:
        """Take a snapshot of one bind, or of all."""

    def snapshots(
        self, *, bind: str | None = None, verify: bool = False, say: Say | None = None
    ) -> Outcome:
        """The snapshots that are there, newest first; ``verify`` reads them to their ends."""

    def restore(
        self,
        snapshot: str | None = None,
        *,
        bind: str | None = None,
        into: str | None = None,
        lock_wait: float | None = None,
        confirm: Confirm | None = None,
        say: Say | None = None,
    ) -> Outcome:
        """Put a snapshot back, the newest one where none is named."""
