"""Every check, one row each; codes are never reused."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import repeat
from typing import NamedTuple

from flask_safemigrate.checks import (
    binds,
    configuration,
    database,
    drift,
    environment,
    folders,
    hazards,
    heads,
    history,
    ini,
    journal,
    lost,
    models,
    revision_files,
    revision_ids,
    schema,
    server,
    sqlite_file,
    storage,
    version_table,
)
from flask_safemigrate.checks.found import ALL, CHANGING, UPWARD, Found
from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.state import Ignored, State
from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.settings import PREFIX, Settings

FAMILIES = {
    "SM1": "project and configuration",
    "SM2": "history",
    "SM3": "version table",
    "SM4": "schema",
    "SM5": "database and server",
    "SM6": "hazards of pending migrations",
}


class Check(NamedTuple):
    """One check.

    :param find: the check itself; its docstring explains it to the reader.
    :param blocks: commands that must not start where it finds something.
    :param sometimes: commands that must not start because of some of what it finds.
    :param unless: codes of causes; where one of them was found for the same database or for the
        project, what this check finds is its symptom and is not reported.
    :param cured_by: commands whose very work cures it; they do not report it.
    :param after_all: it reads what became of the others' findings, so it runs after them.
    """

    code: str
    name: str
    severity: Severity
    find: Callable[[State], Iterator[Found]]
    blocks: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    cured_by: tuple[str, ...] = ()
    after_all: bool = False
    sometimes: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The first three characters of the code, a key of :data:`FAMILIES`."""
        return self.code[:3]

    @property
    def title(self) -> str:
        """The first line of its explanation."""
        return self.explanation.partition("\n")[0]

    @property
    def explanation(self) -> str:
        """Cause, example, fix and prevention; reStructuredText."""
        return inspect.cleandoc(self.find.__doc__ or "")

    @property
    def sections(self) -> tuple[tuple[str, str], ...]:
        """The same as pairs of heading and text, with `code` as in Markdown."""
        parts = _SECTION.split(self.explanation.replace("``", "`"))
        return tuple(
            (name, " ".join(text.split()))
            for name, text in zip(parts[1::2], parts[2::2], strict=True)
        )


_SECTION = re.compile(r"^(Cause|Example|Fix|Prevention)\n", re.MULTILINE)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

_NO_HISTORY = ("SM106", "SM107", "SM108")
_LEFT_HALF = ("SM308", "SM315", "SM403")
_NO_TABLE = (*_NO_HISTORY, "SM534")
_BAD_FILES = ("SM201", "SM202", "SM203", "SM204", "SM205")
_BAD_GRAPH = (*_BAD_FILES, "SM206", "SM207", "SM208", "SM210", "SM211", "SM212")
_UP = ("upgrade", "deploy")
_LOST = ("SM301", "SM304", "SM310", "SM311", "SM312")
_BAD_VERSION = (*_LOST, "SM302", "SM303", "SM305", "SM309", "SM313", "SM314")
_OTHERS = ("SM314",)
_WRONG_PLACE = ("SM406", "SM410", "SM411")

CATALOGUE: tuple[Check, ...] = (
    Check(
        "SM101",
        "no-database-url",
        ERROR,
        configuration.no_database_url,
        ALL,
        unless=("SM132", "SM133"),
    ),
    Check("SM102", "database-url-unusable", ERROR, configuration.database_url_unusable, ALL),
    Check("SM103", "driver-missing", ERROR, configuration.driver_missing, ALL),
    Check("SM104", "engine-not-served", ERROR, configuration.engine_not_served, ALL),
    Check("SM105", "async-environment", ERROR, environment.async_environment, CHANGING),
    Check(
        "SM106",
        "migrations-folder-missing",
        ERROR,
        folders.migrations_folder_missing,
        ALL,
        unless=("SM132", "SM133"),
    ),
    Check(
        "SM107",
        "versions-folder-missing",
        ERROR,
        folders.versions_folder_missing,
        UPWARD,
        sometimes=ALL,
    ),
    Check("SM108", "history-empty", ERROR, folders.history_empty, UPWARD, sometimes=ALL),
    Check("SM109", "ini-missing", ERROR, ini.ini_missing, CHANGING),
    Check("SM110", "ini-broken", ERROR, ini.ini_broken, CHANGING),
    Check("SM111", "env-missing", ERROR, environment.env_missing, CHANGING),
    Check("SM112", "env-broken", ERROR, environment.env_broken, CHANGING),
    Check("SM113", "no-models", ERROR, models.no_models, unless=("SM130",)),
    Check("SM114", "bind-not-migrated", WARNING, models.bind_not_migrated, unless=("SM106",)),
    Check("SM115", "revisions-ignored", ERROR, folders.revisions_ignored),
    Check("SM116", "revisions-untracked", WARNING, folders.revisions_untracked),
    Check(
        "SM117",
        "ignore-without-reason",
        WARNING,
        configuration.ignore_without_reason,
        after_all=True,
    ),
    Check("SM118", "ignore-unused", INFO, configuration.ignore_unused, after_all=True),
    Check("SM119", "env-outdated", INFO, environment.env_outdated),
    Check("SM120", "env-behind", INFO, environment.env_behind),
    Check("SM121", "ini-swallows-errors", WARNING, ini.ini_swallows_errors),
    Check("SM122", "ini-logging-broken", ERROR, ini.ini_logging_broken, CHANGING),
    Check("SM123", "ini-script-location", INFO, ini.ini_script_location),
    Check("SM124", "ini-database-url", WARNING, ini.ini_database_url),
    Check("SM125", "revisions-not-shipped", ERROR, folders.revisions_not_shipped),
    Check("SM126", "package-shadowed", WARNING, environment.package_shadowed),
    Check("SM127", "dotenv-not-read", WARNING, configuration.dotenv_not_read),
    Check("SM128", "database-file-twin", WARNING, configuration.database_file_twin),
    Check("SM129", "production-in-debug", WARNING, configuration.production_in_debug),
    Check("SM130", "models-not-imported", WARNING, models.models_not_imported),
    Check("SM131", "constraints-unnamed", INFO, models.constraints_unnamed),
    Check("SM132", "application-not-loaded", ERROR, configuration.application_not_loaded, ALL),
    Check("SM133", "extension-missing", ERROR, configuration.extension_missing, ALL),
    Check("SM134", "schema-per-tenant", ERROR, environment.schema_per_tenant, CHANGING),
    Check("SM201", "revision-syntax", ERROR, revision_files.revision_syntax, ALL),
    Check("SM202", "revision-merge-conflict", ERROR, revision_files.revision_merge_conflict, ALL),
    Check("SM203", "revision-without-id", ERROR, revision_files.revision_without_id, ALL),
    Check("SM204", "revision-unreadable", ERROR, revision_files.revision_unreadable, ALL),
    Check(
        "SM205", "revision-computed-header", ERROR, revision_files.revision_computed_header, ALL
    ),
    Check("SM206", "parent-missing", ERROR, history.parent_missing, ALL),
    Check("SM207", "dependency-missing", ERROR, history.dependency_missing, ALL),
    Check("SM208", "history-cycle", ERROR, history.history_cycle, ALL),
    Check("SM209", "several-heads", ERROR, heads.several_heads, UPWARD, unless=_BAD_GRAPH),
    Check("SM210", "duplicate-revision", ERROR, revision_ids.duplicate_revision, ALL),
    Check("SM211", "duplicate-label", ERROR, revision_ids.duplicate_label, ALL, unless=("SM210",)),
    Check("SM212", "revision-id-characters", ERROR, revision_ids.revision_id_characters, ALL),
    Check("SM213", "revision-id-too-long", WARNING, revision_ids.revision_id_too_long),
    Check("SM214", "stray-file", INFO, revision_files.stray_file),
    Check("SM215", "revision-sourceless", WARNING, revision_files.revision_sourceless),
    Check("SM216", "revision-imports-models", WARNING, revision_files.revision_imports_models),
    Check("SM217", "revision-name-unknown", ERROR, revision_files.revision_name_unknown, UPWARD),
    Check("SM301", "unknown-revision", ERROR, lost.unknown_revision, ALL, ("SM106", "SM534")),
    Check(
        "SM302",
        "no-version-table",
        ERROR,
        version_table.no_version_table,
        ("upgrade", "deploy"),
        unless=("SM534",),
    ),
    Check(
        "SM303",
        "version-table-empty",
        ERROR,
        version_table.version_table_empty,
        ("upgrade", "deploy"),
        unless=("SM308", "SM534"),
    ),
    Check("SM304", "database-ahead", ERROR, lost.database_ahead, ALL, _NO_TABLE),
    Check(
        "SM305",
        "version-rows-overlap",
        ERROR,
        version_table.version_rows_overlap,
        ("upgrade", "downgrade", "deploy"),
        ("SM208",),
    ),
    Check(
        "SM306",
        "database-behind",
        WARNING,
        version_table.database_behind,
        unless=(*_BAD_GRAPH, "SM209", *_BAD_VERSION, "SM315", *_WRONG_PLACE),
        # Whoever goes down knows, and whoever goes up cures it.
        cured_by=CHANGING,
    ),
    Check(
        "SM307",
        "applied-file-changed",
        WARNING,
        journal.applied_file_changed,
        unless=(*_BAD_FILES, "SM206", "SM207", "SM208", "SM210"),
    ),
    Check(
        "SM308",
        "journal-unfinished",
        WARNING,
        journal.journal_unfinished,
        sometimes=("upgrade", "downgrade", "deploy"),
    ),
    Check("SM309", "version-cut-off", ERROR, version_table.version_cut_off, ALL),
    Check("SM310", "on-another-branch", ERROR, lost.on_another_branch, ALL, ("SM106",)),
    Check("SM311", "ids-rewritten", ERROR, lost.ids_rewritten, ALL, _NO_HISTORY),
    Check("SM312", "in-another-folder", ERROR, lost.in_another_folder, ALL, ("SM106",)),
    Check("SM313", "version-misspelt", ERROR, version_table.version_misspelt, ALL),
    Check("SM314", "database-of-another-bind", ERROR, binds.database_of_another_bind, UPWARD),
    Check(
        "SM315",
        "revision-half-applied",
        ERROR,
        journal.revision_half_applied,
        ("upgrade", "downgrade", "deploy"),
    ),
    Check("SM401", "leftover-empty", WARNING, schema.leftover_empty),
    Check("SM402", "leftover-copy", WARNING, schema.leftover_copy),
    Check(
        "SM403",
        "leftover-is-the-table",
        ERROR,
        schema.leftover_is_the_table,
        ("upgrade", "downgrade", "deploy"),
    ),
    Check("SM404", "tables-without-model", INFO, schema.tables_without_model, unless=_OTHERS),
    Check(
        "SM405",
        "model-tables-missing",
        WARNING,
        schema.model_tables_missing,
        unless=(*_LOST, *_OTHERS),
    ),
    Check("SM406", "wrong-revision", ERROR, drift.wrong_revision, CHANGING, ("SM534", *_OTHERS)),
    Check(
        "SM407", "objects-missing", ERROR, drift.objects_missing, unless=(*_LEFT_HALF, *_OTHERS)
    ),
    Check("SM408", "objects-added", WARNING, drift.objects_added, unless=(*_LEFT_HALF, *_OTHERS)),
    Check("SM409", "objects-changed", WARNING, drift.objects_changed, unless=_LEFT_HALF),
    Check(
        "SM410",
        "pending-already-there",
        ERROR,
        drift.pending_already_there,
        _UP,
        unless=("SM308", "SM315", "SM534"),
    ),
    Check(
        "SM411",
        "pending-half-there",
        ERROR,
        drift.pending_half_there,
        _UP,
        unless=("SM308", "SM315"),
    ),
    Check("SM412", "models-differ", WARNING, drift.models_differ, unless=(*_LOST, *_OTHERS)),
    Check("SM413", "history-fails-on-empty", WARNING, drift.history_fails_on_empty),
    Check(
        "SM414",
        "history-not-replayed",
        INFO,
        drift.history_not_replayed,
        unless=("SM122", "SM134", "SM509", "SM525"),
    ),
    Check(
        "SM415",
        "database-unlike-models",
        WARNING,
        drift.database_unlike_models,
        unless=("SM405", *_LOST, *_OTHERS),
    ),
    Check("SM501", "server-down", ERROR, database.server_down, ALL),
    Check("SM502", "host-unknown", ERROR, database.host_unknown, ALL),
    Check("SM503", "wrong-password", ERROR, database.wrong_password, ALL),
    Check("SM504", "database-missing", ERROR, database.database_missing, ALL),
    Check("SM505", "privilege-missing", ERROR, database.privilege_missing, ALL),
    Check("SM506", "folder-missing", ERROR, database.folder_missing, ALL),
    Check("SM507", "database-file-missing", ERROR, database.database_file_missing, ALL),
    Check("SM508", "not-a-database", ERROR, database.not_a_database, ALL),
    Check("SM509", "database-read-only", ERROR, database.database_read_only, CHANGING),
    Check("SM510", "database-locked", ERROR, database.database_locked, ALL),
    Check("SM511", "too-many-connections", ERROR, database.too_many_connections, ALL),
    Check("SM512", "server-starting", ERROR, database.server_starting, ALL),
    Check("SM513", "database-damaged", ERROR, database.database_damaged, ALL),
    Check("SM514", "database-unreachable", ERROR, database.database_unreachable, ALL),
    Check("SM515", "tls-failed", ERROR, database.tls_failed, ALL),
    Check("SM520", "relative-path", INFO, sqlite_file.relative_path),
    Check("SM521", "file-not-made-yet", INFO, sqlite_file.file_not_made_yet, cured_by=UPWARD),
    Check("SM522", "database-in-memory", WARNING, sqlite_file.database_in_memory),
    Check("SM523", "database-shared-by-binds", ERROR, database.database_shared_by_binds, UPWARD),
    Check("SM524", "index-invalid", WARNING, server.index_invalid),
    Check("SM525", "database-is-replica", ERROR, database.database_is_replica, CHANGING),
    Check("SM526", "version-too-old", ERROR, database.version_too_old, ALL),
    Check(
        "SM527",
        "foreign-keys-violated",
        ERROR,
        sqlite_file.foreign_keys_violated,
        unless=("SM403",),
    ),
    Check("SM528", "foreign-keys-not-enforced", INFO, sqlite_file.foreign_keys_not_enforced),
    Check(
        "SM529", "foreign-key-mismatch", ERROR, sqlite_file.foreign_key_mismatch, unless=("SM403",)
    ),
    Check("SM530", "journal-left", WARNING, sqlite_file.journal_left),
    Check("SM531", "log-left", WARNING, sqlite_file.log_left),
    Check("SM532", "network-file-system", WARNING, sqlite_file.network_file_system),
    Check("SM533", "enum-type-unused", WARNING, server.enum_type_unused, sometimes=UPWARD),
    Check("SM534", "version-table-elsewhere", ERROR, server.version_table_elsewhere, UPWARD),
    Check("SM535", "session-idle-in-transaction", WARNING, server.session_idle_in_transaction),
    Check("SM536", "sequence-behind", WARNING, server.sequence_behind),
    Check("SM537", "table-not-transactional", WARNING, storage.table_not_transactional),
    Check("SM538", "collations-differ", INFO, storage.collations_differ),
    Check("SM539", "sql-mode-lenient", WARNING, storage.sql_mode_lenient),
    Check("SM540", "version-table-twice", WARNING, server.version_table_twice),
    Check("SM541", "table-unusable", ERROR, sqlite_file.table_unusable),
    Check("SM542", "own-table-strange", ERROR, database.own_table_strange, ALL),
    Check("SM545", "restore-unfinished", ERROR, database.restore_unfinished, ALL),
    Check("SM546", "snapshot-impossible", INFO, server.snapshot_impossible),
    Check("SM548", "boolean-default-is-text", WARNING, sqlite_file.boolean_default_is_text),
    Check("SM601", "statement-unseen", INFO, hazards.statement_unseen),
    Check("SM602", "revision-raises", WARNING, hazards.revision_raises),
    Check("SM603", "statement-always-fails", ERROR, hazards.statement_always_fails),
    Check("SM604", "object-missing", ERROR, hazards.object_missing),
    Check("SM605", "waiver-unfounded", WARNING, hazards.waiver_unfounded),
    Check("SM606", "waiver-stale", INFO, hazards.waiver_stale),
    Check("SM610", "index-blocks-writes", WARNING, hazards.index_blocks_writes),
    Check("SM611", "foreign-key-scans", WARNING, hazards.foreign_key_scans),
    Check("SM612", "check-scans", WARNING, hazards.check_scans),
    Check("SM613", "not-null-scans", WARNING, hazards.not_null_scans),
    Check("SM614", "type-rewrites", WARNING, hazards.type_rewrites),
    Check("SM615", "new-column-rewrites", WARNING, hazards.new_column_rewrites),
    Check("SM616", "key-scans", WARNING, hazards.key_scans),
    Check("SM617", "lock-kept", WARNING, hazards.lock_kept),
    Check("SM618", "rows-in-one-transaction", WARNING, hazards.rows_in_one_transaction),
    Check("SM619", "table-kept-from-others", WARNING, hazards.table_kept_from_others),
    Check("SM620", "new-column-needs-value", ERROR, hazards.new_column_needs_value),
    Check("SM621", "rows-have-nulls", ERROR, hazards.rows_have_nulls),
    Check("SM622", "rows-have-duplicates", ERROR, hazards.rows_have_duplicates),
    Check("SM623", "rows-are-orphans", ERROR, hazards.rows_are_orphans),
    Check("SM624", "rows-break-check", ERROR, hazards.rows_break_check),
    Check("SM625", "values-refused", ERROR, hazards.values_refused),
    Check("SM626", "rows-are-referred", ERROR, hazards.rows_are_referred),
    Check("SM630", "column-dropped", ERROR, hazards.column_dropped),
    Check("SM631", "table-dropped", ERROR, hazards.table_dropped),
    Check("SM632", "rows-deleted", ERROR, hazards.rows_deleted),
    Check("SM633", "renamed-as-drop", ERROR, hazards.renamed_as_drop),
    Check("SM634", "values-overwritten", WARNING, hazards.values_overwritten),
    Check("SM635", "values-rounded", ERROR, hazards.values_rounded),
    Check("SM640", "name-of-old-code", WARNING, hazards.name_of_old_code),
    Check("SM641", "table-renamed", WARNING, hazards.table_renamed),
    Check("SM642", "insert-of-old-code", WARNING, hazards.insert_of_old_code),
    Check("SM643", "rows-hidden", WARNING, hazards.rows_hidden),
    Check("SM644", "modify-forgets", WARNING, hazards.modify_forgets),
    Check("SM645", "plain-upgrade-differs", INFO, hazards.plain_upgrade_differs),
    Check("SM650", "downgrade-fails", WARNING, hazards.downgrade_fails),
    Check("SM651", "downgrade-leaves", WARNING, hazards.downgrade_leaves),
)


def run_checks(
    state: State,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    command: str = "doctor",
    *,
    settings: Settings | None = None,
) -> tuple[Finding, ...]:
    """Run every check.

    :param select: codes, names or families (``SM2``) to report; empty means all.
    :param ignore: codes, names or families that are left out.
    :param command: the command that asks; it decides which findings block. A finding that blocks
        is an error. For ``doctor``, those block that keep an upgrade or a deploy from starting.
    :param settings: whose ``ignore`` and ``severity`` count; only ``doctor`` gives them.
    :return: findings, worst first; what one cause explains is reported once.
    :raises UsageError: a code is unknown; the nearest one is named.
    """
    return examine(state, select, ignore, command, settings=settings)[1]


def examine(
    state: State,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    command: str = "doctor",
    *,
    settings: Settings | None = None,
) -> tuple[State, tuple[Finding, ...]]:
    """Do what :func:`run_checks` does; the state then says what the settings kept quiet."""
    wanted = codes_of(select) or frozenset(check.code for check in CATALOGUE)
    wanted -= codes_of(ignore)
    severities: Mapping[str, Severity] = {}
    command = command.removeprefix("safe-")
    raw = _reported(_found(state, after_all=False), command)
    if settings is not None:
        quiet = [_codes_in("IGNORE", one.code) for one in settings.ignore]
        wanted -= frozenset().union(*quiet)
        state = state._replace(ignored=tuple(map(_counted, settings.ignore, quiet, repeat(raw))))
        severities = _severities(settings)
    findings = [
        _finding(check, found, command, severities.get(check.code))
        for check, found in [*raw, *_found(state, after_all=True)]
        if check.code in wanted
    ]
    return state, tuple(sorted(findings, key=lambda f: (-f.severity, not f.blocks, f.code)))


_Raw = list[tuple[Check, Found]]


def _found(state: State, *, after_all: bool) -> _Raw:
    checks = [check for check in CATALOGUE if check.after_all is after_all]
    return [(check, found) for check in checks for found in check.find(state)]


def _reported(raw: _Raw, command: str) -> _Raw:
    """Leave out what is the symptom of another finding, or what the command cures."""
    causes = {(check.code, found.bind) for check, found in raw}
    return [
        (check, found)
        for check, found in raw
        if command not in check.cured_by
        and not any(
            (cause, bind) in causes for cause in check.unless for bind in (None, found.bind)
        )
    ]


def _counted(ignored: Ignored, codes: frozenset[str], raw: _Raw) -> Ignored:
    return ignored._replace(findings=sum(check.code in codes for check, _ in raw))


def _codes_in(setting: str, text: str) -> frozenset[str]:
    try:
        return codes_of([text])
    except UsageError as error:
        raise UsageError(f"Setting {PREFIX}{setting}: {error.message}", hint=error.hint) from None


def _severities(settings: Settings) -> dict[str, Severity]:
    """The severity that the settings give to codes; a code goes before its family."""
    found: dict[str, Severity] = {}
    for text, severity in sorted(
        settings.severity, key=lambda pair: pair[0].upper() not in FAMILIES
    ):
        found.update(dict.fromkeys(_codes_in("SEVERITY", text), severity))
    return found


def _finding(check: Check, found: Found, command: str, override: Severity | None) -> Finding:
    forbidden = check.blocks if found.blocks is None else found.blocks
    severity = check.severity if found.severity is None else found.severity
    asked = ("upgrade", "deploy") if command == "doctor" else (command,)
    blocks = any(name in forbidden for name in asked)
    if override is not None:
        severity = override
    if blocks and command != "doctor":
        severity = Severity.ERROR
    return Finding(
        code=check.code,
        severity=severity,
        message=found.message,
        where=found.where,
        hint=found.hint,
        bind=found.bind,
        blocks=blocks,
        repair=found.repair,
        subject=found.subject,
        file=found.file,
        line=found.line,
        steps=found.steps,
    )


def codes_of(texts: Iterable[str]) -> frozenset[str]:
    """The codes that codes, names and families (``SM2``) stand for.

    :raises UsageError: one is unknown; the nearest is named.
    """
    found: set[str] = set()
    for text in texts:
        wanted = text.strip()
        codes = [
            check.code
            for check in CATALOGUE
            if wanted.upper() in (check.code, check.family) or wanted.lower() == check.name
        ]
        if not codes and wanted.upper() not in FAMILIES:
            raise _unknown(wanted)
        found.update(codes)
    return frozenset(found)


def _unknown(text: str) -> UsageError:
    family = [check.code for check in CATALOGUE if check.family == text.upper()[:3]]
    names = [check.name for check in CATALOGUE]
    near = difflib.get_close_matches(text.upper(), family, n=1) or difflib.get_close_matches(
        text.lower(), names, n=1
    )
    if not near:
        return UsageError(
            f"There is no check '{text}'.",
            hint=f"codes begin with {', '.join(FAMILIES)}, such as SM301",
        )
    check = next(c for c in CATALOGUE if near[0] in (c.code, c.name))
    return UsageError(
        f"There is no check '{text}'. Did you mean {check.code} ({check.name})?",
        hint=f"flask db doctor --explain {check.code}",
    )


def explain(code: str) -> str:
    """Cause, example, fix and prevention of a check, by code or name, one paragraph each.

    :raises UsageError: there is no such check, or it is a whole family.
    """
    (check, *others) = checks_of(code)
    if others:
        raise _unknown(code.strip())
    told = (f"{name}: {text}" for name, text in check.sections)
    title = check.title.replace("``", "`")
    return "\n\n".join((f"{check.code} {check.name}: {title}", *told))


def checks_of(text: str) -> tuple[Check, ...]:
    """The checks that a code, a name or a family (``SM2``) stands for, in order.

    :raises UsageError: there are none; the nearest is named.
    """
    codes = codes_of([text])
    if not codes:
        raise UsageError(
            f"No check of the family {text.strip().upper()} is there yet.",
            hint=f"families with checks: {', '.join(sorted({c.family for c in CATALOGUE}))}",
        )
    return tuple(check for check in CATALOGUE if check.code in codes)


def pages() -> tuple[tuple[str, str, str], ...]:
    """Code, title and text of every check, for the documentation."""
    return tuple(
        (check.code, check.title, check.explanation.partition("\n")[2].strip("\n"))
        for check in CATALOGUE
    )
