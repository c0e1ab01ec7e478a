"""What the workflows need from the world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol

from flask_safemigrate.facts.database import DatabaseState, Table
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Applied, Cured, HookRun, Snapshot
from flask_safemigrate.plan import Plan
from flask_safemigrate.planning.plan_file import PlannedDatabase
from flask_safemigrate.settings import Settings
from flask_safemigrate.workflows.requests import Request, Say


class Hook(NamedTuple):
    """A function of the application that runs after a deploy or a reset.

    :param once: only until it has succeeded once on the first database, by the journal there.
    """

    name: str
    call: Callable[[], object]
    once: bool = False


class Repaired(NamedTuple):
    """What a repair did.

    :param said: in words.
    :param take_back: undoes it; None where that cannot be.
    """

    said: str
    take_back: Callable[[], None] | None = None


class Ports(Protocol):
    """The project and its databases."""

    @property
    def settings(self) -> Settings:
        """The settings of the application. :raises UsageError: one is wrong."""

    def read(self, *, thorough: bool = False, compare: bool = False) -> State:
        """Read everything; ``thorough`` also compiles every file and asks git, ``compare`` also
        replays the history in a scratch database and compares the schemas."""

    def unasked(self, dialect: str | None = None) -> tuple[DatabaseState, ...]:
        """The databases as the application's configuration names them; none is connected to.

        :param dialect: what they are in spite of the configuration, or where it names none.
        :raises UsageError: the dialect of one cannot be told or is not served.
        """

    def missing_in(self, branch: str, state: State) -> frozenset[str]:
        """The ids of the revisions whose files a branch of git does not have.

        :raises UsageError: git knows no such branch.
        """

    def count_rows(self, bind: str) -> tuple[Table, ...]:
        """Every table of a database with its exact number of rows."""

    def losses(self, plans: Sequence[Plan], state: State) -> tuple[str, ...]:
        """What the plans of a downgrade would take along, a sentence each, with its rows."""

    def hazards(
        self,
        plans: Sequence[Plan],
        state: State,
        *,
        small: bool = True,
        only: frozenset[str] | None = None,
        replay: bool = False,
    ) -> Sequence[Finding]:
        """What the plans would lock, lose, break or fail on; runs and changes nothing.

        :param small: look at empty databases too, and let what is said of small tables, and of
            databases without a large one, be worse than an information.
        :param only: the revisions to judge; the other steps of the plans come before them.
        :param replay: the plans begin at base: judge against what the steps before build, and
            ask no database.
        """

    def cures(self, findings: Sequence[Finding]) -> tuple[tuple[Cured, ...], tuple[str, ...]]:
        """The files that have them with their cures, and why others are left; writes nothing."""

    def write_cures(self, cured: Sequence[Cured]) -> None:
        """Write what :meth:`cures` said. :raises Refused: a file was changed since then."""

    def describe(self, plans: Sequence[Plan], state: State) -> tuple[PlannedDatabase, ...]:
        """What the plans would do, to be written down; runs and changes nothing."""

    def write_plan(self, path: str, text: str) -> None:
        """Write a plan to a file. :raises UsageError: it cannot be written."""

    def read_plan(self, path: str) -> str:
        """The text of a plan. :raises UsageError: it cannot be read."""

    def lock(self, binds: Sequence[str], wait: float, say: Say) -> AbstractContextManager[None]:
        """Keep every other process of ours away from these databases."""

    def apply(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        """Run the plans, each in one transaction that is proven before it is committed."""

    def rehearse(self, plans: Sequence[Plan], request: Request) -> tuple[Applied, ...]:
        """Run the plans on copies of the databases that are thrown away.

        :raises NoRehearsal: there is no place for a copy, or a database cannot be copied.
        """

    def script(self, plans: Sequence[Plan]) -> str:
        """The SQL of the plans, by Alembic's offline mode; no database is asked.

        :raises SafeMigrateError: it cannot be told without a database.
        """

    def take_snapshot(self, bind: str, why: str, say: Say) -> Snapshot:
        """Copy a database."""

    def prune_snapshots(self, keep: Sequence[str] = ()) -> None:
        """Remove the oldest snapshots of the databases that were copied since the last time.

        To be called under their lock, when the work is done that they were copied for.

        :param keep: ids that stay in any case.
        """

    def snapshots(self, bind: str) -> tuple[Snapshot, ...]:
        """The snapshots of a database, newest first."""

    def verify_snapshot(self, snapshot: Snapshot) -> None:
        """Read a snapshot to its end. :raises SnapshotFailed: it is damaged."""

    def find_snapshot(self, bind: str, name: str | None) -> Snapshot:
        """One snapshot by id or unique beginning, the newest for None; proven to be whole."""

    def put_back(self, snapshot: Snapshot, say: Say) -> tuple[str, ...]:
        """Replace the content of a database by that of a snapshot; says what was proven."""

    def put_back_into(self, name: str, snapshot: Snapshot, say: Say) -> DatabaseState:
        """Fill another database, which must be empty; returns what is there then."""

    def drop_everything(self, bind: str) -> None:
        """Remove every object of a database."""

    def reset_allowed(self) -> bool:
        """Whether the application is in a mode in which a reset is harmless."""

    def note_deploy(self, binds: Sequence[str], started: str) -> None:
        """Write the deploy and the environment's name down in the databases."""

    @property
    def keeps_journal(self) -> bool:
        """Whether what is noted will be found again."""

    @property
    def keeps_environment(self) -> bool:
        """Whether the name of the environment can be written down in the databases."""

    def check_lock(self) -> None:
        """See whether the lock is still held, as far as is known here. :raises LockLost: no."""

    def note_hook(self, run: HookRun, started: str) -> None:
        """Write down in the first database that a hook has run, and how that ended."""

    def hooks(self, kind: Literal["deploy", "seed"]) -> tuple[Hook, ...]:
        """The hooks of the application, in order."""

    def preview(self, finding: Finding) -> tuple[str, ...]:
        """What a repair would take out of a database and make code of; the whole of it."""

    def repair(self, finding: Finding, say: Say) -> Repaired:
        """Do what the finding's repair says; where that fails, things are as they were."""
