"""Everything that was read: the input of every check and plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flask_safemigrate.facts.comparison import Comparison
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.history import History
from flask_safemigrate.facts.past import Past
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.findings import Finding, Waived


class Ignored(NamedTuple):
    """A code that the settings keep quiet.

    :param code: code, name or family, as the setting writes it.
    :param reason: why, "" where the setting does not say.
    :param findings: how many findings it kept quiet.
    """

    code: str
    reason: str = ""
    findings: int = 0


class State(NamedTuple):
    """All that was read, the input of every check and plan.

    :param checksums: SHA-256 of the file of each revision, by revision id.
    :param comparisons: what the comparison of schemas says, by bind key; empty where none was
        made.
    :param ignored: what ``SAFEMIGRATE_IGNORE`` did; empty until the other checks have run.
    :param past: what became of lost files, and where others came from.
    :param hazards: what was judged of the pending revisions; empty where nobody asked.
    :param waived: which of that stands, and why; it is not in ``hazards``.
    """

    project: ProjectState
    history: History = History()
    databases: tuple[DatabaseState, ...] = ()
    checksums: Mapping[str, str] = {}
    comparisons: Mapping[str, Comparison] = {}
    ignored: tuple[Ignored, ...] = ()
    past: Past = Past()
    hazards: tuple[Finding, ...] = ()
    waived: tuple[Waived, ...] = ()
