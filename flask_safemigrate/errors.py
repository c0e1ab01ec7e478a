"""What can go wrong, as exceptions that carry their own remedy."""

from __future__ import annotations


class SafeMigrateError(Exception):
    """An error whose text is meant for the person at the terminal.

    :param message: what is wrong and where, names quoted, no password in it.
    :param hint: the exact command or code that helps, if there is one.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SafeMigrateError):
    """An option, a setting or the project's configuration is wrong."""


class Refused(SafeMigrateError):
    """A check forbids the work; nothing was started."""


class NoRehearsal(Refused):
    """Nothing can be tried: there is no place for it, or no copy of the database to put there."""


class NotConfined(Refused):
    """Code that is only tried would reach outside of the databases that it is tried on.

    It was stopped before that.
    """


class DatabaseUnavailable(SafeMigrateError):
    """The database cannot be reached, or not in the time allowed.

    :param kind: one of :data:`flask_safemigrate.state.UNREACHABLE_KINDS`.
    """

    def __init__(self, message: str, *, kind: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class LockTimeout(SafeMigrateError):
    """Another process held the lock for longer than the time allowed."""


class Blocked(LockTimeout):
    """A session that is not ours had a table's lock for too long; what waited was undone.

    It can be tried again from the start.
    """


class LockLost(SafeMigrateError):
    """The lock was lost while the work went on, as when its connection broke.

    What was not committed by then is undone; the work itself may be finished.
    """


class OperationRefused(SafeMigrateError):
    """An operation of a revision cannot be done without harm; the upgrade is undone."""


class MigrationFailed(SafeMigrateError):
    """A revision raised an error; the database is as it was before the run.

    :param revision: id of the revision that failed, None where it cannot be told.
    :param remedy: what to do before it is run again that is not about its code, "" for nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        revision: str | None = None,
        hint: str | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.revision = revision
        self.remedy = remedy


class Interrupted(SafeMigrateError):
    """A signal stopped the run; the database is as it was before."""


class VerificationFailed(SafeMigrateError):
    """The upgraded database is not what it should be; the upgrade is undone.

    :param words: the revision at fault has one of them in its text; none where that does not tell.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, words: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.words = words


class HalfApplied(SafeMigrateError):
    """A server that commits every DDL statement stopped in the middle of a revision."""


class SnapshotFailed(SafeMigrateError):
    """A snapshot could not be taken, read or put back."""


class ProgramUnfit(SnapshotFailed):
    """A program that a snapshot needs is missing or too old here; the snapshot may be whole."""


class HookFailed(SafeMigrateError):
    """A hook of the application raised an error.

    :param hook: name of the function.
    """

    def __init__(self, message: str, *, hook: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.hook = hook
