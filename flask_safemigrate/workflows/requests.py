"""What each command can be asked, by name: its options on the command line and from Python.

An option that is not given is not in the dictionary: it is no, or as the settings say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict, cast

from flask_safemigrate.outcome import Outcome, Progress
from flask_safemigrate.settings import Settings

Say = Callable[[Progress], None]
Confirm = Callable[[Outcome], bool]
Direction = Literal["upgrade", "downgrade"]


def silent(progress: Progress) -> None:
    """For whoever calls from Python and does not want to be told."""


class StatusOptions(TypedDict, total=False):
    """Options of ``status``.

    :param directory: the migrations folder, if not the application's.
    """

    directory: str | None


class DoctorOptions(StatusOptions, total=False):
    """Options of ``doctor``.

    :param select: codes or families to look for; all without.
    :param ignore: codes or families to leave out.
    :param fix: None repairs nothing, an empty list all that can be, else these codes.
    :param from_journal: let repairs write revision files, which run, of which only a database
        has the text; ``confirm`` gets the whole of it in the notes.
    :param strict: let warnings fail too.
    :param fast: do not replay the history to compare the schemas, and do not judge the pending
        revisions.
    :param offline: look at files only, and connect to no database.
    :param confirm: asked before anything is changed; None means yes.
    :param say: told what happens, as it happens.
    """

    select: Sequence[str]
    ignore: Sequence[str]
    fix: Sequence[str] | None
    from_journal: bool
    strict: bool
    fast: bool
    offline: bool
    confirm: Confirm | None
    say: Say | None


class LintOptions(StatusOptions, total=False):
    """Options of ``lint``.

    :param x_arg: what ``env.py`` gets of ``-x``.
    :param since: judge what comes after this one.
    :param base: judge the revisions whose files this branch of git does not have.
    :param allow: findings that may stand, by code or by code and object.
    :param strict: let warnings fail too.
    :param offline: connect to no database; the revisions must be named then.
    :param dialect: of databases that are not asked, where their URLs do not tell or are wrong.
    :param fix: write the cures into the files of revisions that no database has.
    :param confirm: asked with what would be written; None means yes.
    """

    x_arg: Sequence[str]
    since: str | None
    base: str | None
    allow: Sequence[str]
    strict: bool
    offline: bool
    dialect: str | None
    fix: bool
    confirm: Confirm | None


class ResetOptions(StatusOptions, total=False):
    """Options of ``reset``.

    :param x_arg: what ``env.py`` gets of ``-x``.
    :param snapshot: take one; None means as the settings say.
    :param lock_wait: seconds to wait for other processes; None means as the settings say.
    :param confirm: asked with what would be done before anything is changed; None means yes.
    :param say: told what happens, as it happens.
    """

    x_arg: Sequence[str]
    snapshot: bool | None
    lock_wait: float | None
    confirm: Confirm | None
    say: Say | None


class RunOptions(ResetOptions, total=False):
    """Options of every guarded run, besides those of ``reset``.

    :param dry_run: change nothing; try it on a copy where there can be one.
    :param allow: findings that may stand, by code or by code and object (``SM630:account.old``).
    """

    dry_run: bool
    allow: Sequence[str]


class DowngradeOptions(RunOptions, total=False):
    """Options of ``safe-downgrade``, besides those of every guarded run.

    :param sql: of a dry run: ``script`` is the SQL where nothing can be tried on a copy.
    :param with_rows: of a dry run on a server: the copy has the rows.
    """

    sql: bool
    with_rows: bool


class PlanOptions(TypedDict, total=False):
    """Options of what runs a plan that was reviewed.

    :param plan: path of a plan; what would be done is that, or nothing.
    :param plan_out: path to which the plan is written; nothing is done.
    """

    plan: str | None
    plan_out: str | None


class UpgradeOptions(DowngradeOptions, PlanOptions, total=False):
    """Options of ``safe-upgrade``, besides those of ``safe-downgrade`` and of plans.

    :param asks: whether ``confirm`` may say no, and does not only show the plan; yes without.
    """

    asks: bool


class DeployOptions(RunOptions, PlanOptions, total=False):
    """Options of ``deploy``, besides those of every guarded run and of plans.

    :param wait: seconds to wait for a database that is on its way up; None means as the settings
        say.
    :param phase: run the revisions of one phase, ``before`` or ``after`` the new code is live, or
        of ``all``, as without.
    """

    wait: float | None
    phase: str


class SnapshotOptions(TypedDict, total=False):
    """Options of ``snapshot``.

    :param bind: copy one database, or all where no bind is named.
    :param why: kept with it, "by hand" without.
    :param say: told what happens, as it happens.
    """

    bind: str | None
    why: str
    say: Say | None


class SnapshotsOptions(TypedDict, total=False):
    """Options of ``snapshots``.

    :param bind: list those of one database.
    :param verify: read every one to its end; a damaged one fails the outcome.
    :param say: told what happens, as it happens.
    """

    bind: str | None
    verify: bool
    say: Say | None


class RestoreOptions(TypedDict, total=False):
    """Options of ``restore``.

    :param bind: of the database whose snapshot it is.
    :param into: another database of the same server, or another SQLite file, that is empty.
    :param lock_wait: seconds to wait for other processes; None means as the settings say.
    :param confirm: asked before anything is changed; None means yes.
    :param say: told what happens, as it happens.
    """

    bind: str | None
    into: str | None
    lock_wait: float | None
    confirm: Confirm | None
    say: Say | None


#: The names of the options by method of ``SafeMigrate``, where the commands call them.
OPTIONS: Mapping[str, frozenset[str]] = {
    "status": StatusOptions.__optional_keys__,
    "doctor": DoctorOptions.__optional_keys__,
    "lint": LintOptions.__optional_keys__,
    "upgrade": UpgradeOptions.__optional_keys__,
    "downgrade": DowngradeOptions.__optional_keys__,
    "deploy": DeployOptions.__optional_keys__,
    "reset": ResetOptions.__optional_keys__,
    "take_snapshot": SnapshotOptions.__optional_keys__,
    "snapshots": SnapshotsOptions.__optional_keys__,
    "restore": RestoreOptions.__optional_keys__,
}


def require_known(method: str, options: Mapping[str, Any]) -> None:
    """Raise for an option that the method does not have, as Python does.

    :raises TypeError: there is one.
    """
    for name in options:
        if name not in OPTIONS[method]:
            raise TypeError(f"{method}() got an unexpected keyword argument '{name}'")


class Request(NamedTuple):
    """A guarded run: what runs where, for whichever command.

    :param options: those of the command that every guarded run heeds.
    :param phase: ``before`` or ``after`` the new code is live, or ``all``.
    :param locked: the caller holds the lock already.
    :param confirm: asked with the plan before anything is changed; None means yes.
    """

    command: str
    revision: str = "heads"
    direction: Direction = "upgrade"
    options: UpgradeOptions = UpgradeOptions()
    phase: str = "all"
    locked: bool = False
    confirm: Confirm | None = None
    say: Say = silent


def request_of(
    command: str,
    options: ResetOptions,
    revision: str = "heads",
    direction: Direction = "upgrade",
    phase: str = "all",
) -> Request:
    """Return the guarded run of a command; the options that it does not have are not given."""
    return Request(
        command,
        revision,
        direction,
        cast("UpgradeOptions", options),
        phase,
        confirm=options.get("confirm"),
        say=options.get("say") or silent,
    )


def patience(options: ResetOptions | RestoreOptions, settings: Settings) -> float:
    """Return how many seconds to wait for other processes."""
    wait = options.get("lock_wait")
    return settings.lock_wait if wait is None else wait
