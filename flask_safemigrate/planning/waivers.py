"""Which hazards of pending revisions may stand, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import NamedTuple

from flask_safemigrate.checks.catalogue import codes_of
from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.history import Revision
from flask_safemigrate.findings import Finding, Severity, Waived, Waiver


class Judged(NamedTuple):
    """What is left of hazards, with what is to be said of the waivers themselves."""

    hazards: tuple[Finding, ...]
    waived: tuple[Waived, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was waived, a sentence each."""
        return tuple(
            f"Waived by {each.waiver.source}: {each.finding.code} of "
            f"'{each.finding.subject or each.finding.where}'"
            + (f": {each.waiver.reason}" if each.waiver.reason else ".")
            for each in self.waived
        )


def allowed(texts: Iterable[str]) -> tuple[Waiver, ...]:
    """The waivers of ``--allow``, each a code or a code and an object (``SM630:account.old``)."""
    parts = (text.partition(":") for text in texts)
    return tuple(
        Waiver(code.strip(), object.strip(), source="--allow") for code, _, object in parts
    )


def covers(waiver: Waiver, finding: Finding) -> bool:
    """Whether a waiver is about a finding.

    Its object is that of the finding, or the table of it; a waiver of a revision is about that
    revision alone.

    :raises UsageError: it names no check.
    """
    if finding.code not in codes_of([waiver.code]):
        return False
    if waiver.path and PurePath(waiver.path).name != PurePath(finding.file).name:
        return False
    own = waiver.object
    return not own or finding.subject == own or finding.subject.startswith((f"{own}.", f"{own}:"))


def waive(found: Sequence[Finding], waivers: Iterable[Waiver], *, whole: bool = True) -> Judged:
    """Take away what waivers cover.

    What a revision or the settings waive needs a reason; what covers nothing is stale.

    :param whole: whether everything that a waiver of the settings may cover was judged.
    :raises UsageError: a waiver of ``--allow`` or of the settings names no check.
    """
    standing, waived, about = list(found), [], []
    for waiver in waivers:
        given = waiver.source == "--allow"
        if not given and not waiver.reason:
            about.append(_without_reason(waiver))
            continue
        try:
            covered = [each for each in standing if covers(waiver, each)]
        except UsageError as error:
            if not waiver.path:
                raise
            about.append(_unknown(waiver, error))
            continue
        waived += [Waived(each, waiver) for each in covered]
        standing = [each for each in standing if each not in covered]
        if not covered and not given and (waiver.path or whole):
            about.append(_stale(waiver))
    return Judged((*standing, *about), tuple(waived))


def waivers_of(revisions: Iterable[Revision]) -> list[Waiver]:
    """What revisions waive of their own."""
    return [
        waiver._replace(
            source=f"safemigrate_allow of revision '{revision.id}'", path=revision.path
        )
        for revision in revisions
        for waiver in revision.waivers
    ]


def _about(code: str, severity: Severity, waiver: Waiver, message: str, hint: str) -> Finding:
    return Finding(
        code, severity, message, waiver.source, hint, subject=str(waiver), file=waiver.path
    )


def _without_reason(waiver: Waiver) -> Finding:
    return _about(
        "SM605", Severity.WARNING, waiver,
        f"{waiver.source} waives '{waiver}' and does not say why, so that it does not count.",
        f'safemigrate_allow = {{"{waiver}": "the reason"}}',
    )  # fmt: skip


def _unknown(waiver: Waiver, error: UsageError) -> Finding:
    return _about(
        "SM605", Severity.WARNING, waiver,
        f"{waiver.source} waives '{waiver}', which counts for nothing: {error.message}",
        error.hint or "",
    )  # fmt: skip


def _stale(waiver: Waiver) -> Finding:
    return _about(
        "SM606", Severity.INFO, waiver,
        f"{waiver.source} waives '{waiver}', of which nothing is found here.",
        f"remove '{waiver}' from it",
    )  # fmt: skip
