"""Drop everything and build it again."""

from __future__ import annotations

from flask_safemigrate.checks.catalogue import run_checks
from flask_safemigrate.errors import HookFailed, Refused
from flask_safemigrate.facts.database import Table
from flask_safemigrate.facts.state import State
from flask_safemigrate.findings import Finding
from flask_safemigrate.outcome import Doomed, Outcome, Status
from flask_safemigrate.workflows.guarded import agreed, blocked, told
from flask_safemigrate.workflows.hooks import run_hooks
from flask_safemigrate.workflows.ports import Ports
from flask_safemigrate.workflows.requests import Request, ResetOptions, patience, request_of
from flask_safemigrate.workflows.safe_upgrade import safe_upgrade

#: Whatever the settings say: one that is left empty must not open production.
_ALWAYS_PROTECTED = ("production", "prod")


def _refuse(ports: Ports, state: State) -> None:
    """Stop where this is, or ever was, an environment that is protected, or another's data.

    :raises Refused: it is one, the application is not in a mode for development, or another
        history keeps its tables in the same database.
    """
    if not ports.reset_allowed():
        raise Refused(
            f'Application "{state.project.app}" is neither in debug nor in testing mode.',
            hint="flask --debug db reset, or set SAFEMIGRATE_ALLOW_RESET",
        )
    settings = ports.settings
    protected = {_folded(n) for n in (*_ALWAYS_PROTECTED, *settings.protected_environments)}
    if _folded(settings.environment) in protected:
        raise Refused(
            f"SAFEMIGRATE_ENVIRONMENT says that this is '{settings.environment}'; nothing is "
            "reset.",
            hint="run it where SAFEMIGRATE_ENVIRONMENT names your own environment",
        )
    for database in state.databases:
        # A later deploy under another name does not make the rows of production worth less.
        found = [n for n in database.environments if _folded(n) in protected]
        if found:
            raise Refused(
                f"{database.location} was deployed as '{found[-1]}'; it is not reset.",
                hint="if it is a copy that may go, delete the database itself and run "
                "flask db safe-upgrade",
            )
        # Whose table is whose is written down nowhere, and one history does not build the
        # other's again.
        if database.other_versions:
            names = ", ".join(f'"{name}"' for name in database.other_versions)
            raise Refused(
                f"{database.location} belongs to another history too, whose version table is "
                f"{names}; a reset would drop what that one made, and not build it again.",
                hint="delete the database itself and deploy each migrations folder; or, if the "
                f"other history is gone for good, drop {names} first",
            )


def _folded(environment: str) -> str:
    return environment.strip().casefold()


def _in_the_way(state: State, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Findings that would leave the database empty: those about the history and the project.

    What is wrong with the present content goes away with it, and so does what a reset began that
    did not finish.
    """
    begun = {
        d.bind
        for d in state.databases
        if d.unreachable is not None and d.unreachable.kind == "half emptied"
    }
    return tuple(
        f for f in findings if f.bind is None or (f.code.startswith("SM5") and f.bind not in begun)
    )


def _look(ports: Ports, request: Request) -> Outcome:
    """Read and judge; the outcome says what would go, or why nothing may.

    :raises Refused: as :func:`_refuse`.
    """
    state = ports.read(thorough=True)
    findings = run_checks(state, command="reset")
    stopped = blocked(state, _in_the_way(state, findings), request)
    if stopped is not None:
        return stopped
    _refuse(ports, state)
    doomed = tuple(
        Doomed(d.bind, d.name, d.location, d.size, ports.count_rows(d.bind))
        for d in state.databases
    )
    return Outcome("reset", Status.DONE, databases=state.databases, state=state, doomed=doomed)


def _content(looked: Outcome) -> list[tuple[str, str, frozenset[Table]]]:
    return [(d.bind, d.location, frozenset(d.tables)) for d in looked.doomed]


def reset(ports: Ports, options: ResetOptions) -> Outcome:
    """Show what goes, refuse outside development, snapshot, drop, upgrade, verify, seed.

    What was seen before the lock may have changed while it was waited for, so everything is
    looked at again under it, and asked again where something else would go.
    """
    request = request_of("reset", options)

    def work() -> Outcome:
        shown = _look(ports, request)
        if shown.status is not Status.DONE:
            return shown
        if not agreed(request, shown):
            return shown._replace(status=Status.FAILED, error="Nothing was changed.")
        binds = [d.bind for d in shown.databases]
        snapshots = []
        with ports.lock(binds, patience(options, ports.settings), request.say):
            looked = _look(ports, request)
            if looked.status is not Status.DONE:
                return looked
            if _content(looked) != _content(shown):
                note = "What is there has changed since it was shown."
                looked = looked._replace(notes=(note,))
                if not agreed(request, looked):
                    return looked._replace(status=Status.FAILED, error="Nothing was changed.")
            for database, going in zip(looked.databases, looked.doomed, strict=True):
                if options.get("snapshot") is not False and database.exists and going.tables:
                    snapshots.append(ports.take_snapshot(database.bind, "reset", request.say))
            for bind in binds:
                ports.drop_everything(bind)
            upgrade = request._replace(
                options={**request.options, "snapshot": False}, locked=True, confirm=None
            )
            outcome = safe_upgrade(ports, upgrade)._replace(
                doomed=looked.doomed, snapshots=tuple(snapshots)
            )
            if outcome.status not in (Status.DONE, Status.NOTHING_TO_DO):
                return outcome
            try:
                hooks = run_hooks(ports.hooks("seed"), ports, request.say)
            except HookFailed as error:
                return outcome._replace(
                    status=Status.FAILED, error=error.message, hint=error.hint or ""
                )
        return outcome._replace(status=Status.DONE, hooks=hooks)

    return told("reset", work)
