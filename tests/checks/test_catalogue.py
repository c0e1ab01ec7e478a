from __future__ import annotations

import importlib
import inspect
import re

import pytest

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
from flask_safemigrate.checks.catalogue import (
    CATALOGUE,
    FAMILIES,
    Check,
    checks_of,
    codes_of,
    examine,
    explain,
    pages,
    run_checks,
)
from flask_safemigrate.checks.found import ALL
from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.comparison import Comparison
from flask_safemigrate.facts.database import UNREACHABLE_KINDS, DatabaseState, Table, Unreachable
from flask_safemigrate.facts.history import History, Revision
from flask_safemigrate.facts.project import ProjectState
from flask_safemigrate.facts.state import Ignored, State
from flask_safemigrate.findings import Severity
from flask_safemigrate.settings import Settings

FILES = {
    "SM1": (configuration, environment, folders, ini, models),
    "SM2": (revision_files, history, heads, revision_ids),
    "SM3": (version_table, lost, journal, binds),
    "SM4": (schema, drift),
    "SM5": (database, sqlite_file, server, storage),
    "SM6": (hazards,),
}
each = pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.code)


def test_codes_and_names_are_unique_and_in_order() -> None:
    codes = [check.code for check in CATALOGUE]
    assert codes == sorted(set(codes))
    assert len({check.name for check in CATALOGUE}) == len(CATALOGUE)
    assert len({check.find for check in CATALOGUE}) == len(CATALOGUE)


@each
def test_code_belongs_to_the_file_of_its_family(check: Check) -> None:
    assert re.fullmatch(r"SM[1-6]\d\d", check.code)
    assert check.family in FAMILIES
    assert inspect.getmodule(check.find) in FILES[check.family]
    assert check.find.__name__ == check.name.replace("-", "_")


@each
def test_explanation_has_its_sections(check: Check) -> None:
    text = check.explanation
    assert re.match(r".+\.\n\nCause\n    ", text), "a title, an empty line, the sections"
    parts = re.split(r"^(Cause|Example|Fix|Prevention)\n", text, flags=re.MULTILINE)
    assert parts[1::2] == ["Cause", "Example", "Fix", "Prevention"]
    for body in parts[2::2]:
        assert len(body.strip()) > 10
        assert all(line.startswith("    ") for line in body.rstrip().splitlines())


@each
def test_causes_exist(check: Check) -> None:
    codes = {other.code for other in CATALOGUE}
    assert set(check.unless) <= codes - {check.code}


def test_every_check_function_is_in_the_catalogue() -> None:
    listed = {check.find for check in CATALOGUE}
    for module in (module for modules in FILES.values() for module in modules):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                assert function in listed, name


def test_every_reason_for_an_unreachable_database_has_one_check() -> None:
    for kind in UNREACHABLE_KINDS:
        away = DatabaseState(
            "", "sqlite", "/app.db", "app.db", unreachable=Unreachable(kind, "why", "how")
        )
        state = State(ProjectState("shop", "/shop/migrations"), HISTORY, (away,))
        assert [(f.message, f.hint, f.blocks) for f in run_checks(state)] == [("why", "how", True)]


HISTORY = History((Revision("a1", (), path="/v/a1.py"), Revision("b2", ("a1",), path="/v/b2.py")))
# Three findings of different families and severity: SM209, SM302 and SM520.
STATE = State(
    ProjectState("shop", "/shop/migrations"),
    History((*HISTORY.revisions, Revision("c3", ("a1",), path="/v/c3.py"))),
    (
        DatabaseState(
            "", "sqlite", "/shop/app.db", "app.db", tables=(Table("t"),), configured="app.db"
        ),
    ),
)


def codes(**options: object) -> list[str]:
    return [finding.code for finding in run_checks(STATE, **options)]  # type: ignore[arg-type]


def test_worst_first() -> None:
    assert codes() == ["SM209", "SM302", "SM520"]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (["SM209"], ["SM209"]),
        (["sm209", "SM520"], ["SM209", "SM520"]),
        (["SM3"], ["SM302"]),
        (["several-heads"], ["SM209"]),
        (["SM101"], []),
    ],
)
def test_select(select: list[str], expected: list[str]) -> None:
    assert codes(select=select) == expected


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        (["SM209"], ["SM302", "SM520"]),
        (["SM2", "SM5"], ["SM302"]),
        (["relative-path"], ["SM209", "SM302"]),
        (["SM6"], ["SM209", "SM302", "SM520"]),
    ],
)
def test_ignore(ignore: list[str], expected: list[str]) -> None:
    assert codes(ignore=ignore) == expected


def kept_quiet(*ignore: Ignored, **options: object) -> list[tuple[str, str]]:
    settings = Settings(ignore=ignore)
    found = run_checks(MODELLED, settings=settings, **options)  # type: ignore[arg-type]
    return [(f.code, f.severity.word) for f in found]


MODELLED = STATE._replace(
    project=STATE.project._replace(models={"": ("t",)}),
    comparisons={"": Comparison(compared=True)},
)


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        ((), ["SM209", "SM302", "SM520"]),
        ((Ignored("SM209", "meant"),), ["SM302", "SM520"]),
        ((Ignored("sm2", "meant"),), ["SM302", "SM520"]),
        ((Ignored("several-heads", "meant"),), ["SM302", "SM520"]),
        ((Ignored("SM209"),), ["SM302", "SM117", "SM520"]),
        ((Ignored("SM209", "meant"), Ignored("SM401", "meant")), ["SM302", "SM118", "SM520"]),
        ((Ignored("SM401"),), ["SM209", "SM302", "SM117", "SM118", "SM520"]),
        ((Ignored("SM401"), Ignored("SM1", "yes")), ["SM209", "SM302", "SM520"]),
    ],
)
def test_ignored_by_the_settings(ignore: tuple[Ignored, ...], expected: list[str]) -> None:
    assert [code for code, _ in kept_quiet(*ignore)] == expected


def test_an_ignore_is_not_stale_because_others_were_selected() -> None:
    assert kept_quiet(Ignored("SM209", "meant"), select=["SM118", "SM520"]) == [("SM520", "info")]


def test_the_state_says_what_was_kept_quiet() -> None:
    ignore = (Ignored("SM5", "one image"), Ignored("SM401", "old"))
    state, _ = examine(MODELLED, settings=Settings(ignore=ignore))
    assert state.ignored == (Ignored("SM5", "one image", 1), Ignored("SM401", "old", 0))


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        ((("SM520", Severity.ERROR),), ["error", "error", "error"]),
        ((("SM209", Severity.INFO),), ["error", "info", "info"]),
        ((("several-heads", Severity.WARNING),), ["error", "warning", "info"]),
        ((("SM209", Severity.WARNING), ("SM2", Severity.INFO)), ["error", "warning", "info"]),
        ((("sm2", Severity.INFO), ("sm209", Severity.WARNING)), ["error", "warning", "info"]),
    ],
)
def test_severity_of_the_settings(
    severity: tuple[tuple[str, Severity], ...], expected: list[str]
) -> None:
    found = run_checks(STATE, settings=Settings(severity=severity))
    assert [f.severity.word for f in found] == expected
    assert {f.code for f in found if f.blocks} == {"SM209", "SM302"}


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (Settings(ignore=(Ignored("SM2099"),)), "SAFEMIGRATE_IGNORE"),
        (Settings(severity=(("SM2099", Severity.INFO),)), "SAFEMIGRATE_SEVERITY"),
    ],
)
def test_unknown_code_in_a_setting(settings: Settings, key: str) -> None:
    with pytest.raises(UsageError) as caught:
        run_checks(STATE, settings=settings)
    assert f"Setting {key}: There is no check 'SM2099'. Did you mean SM209" in str(caught.value)
    assert caught.value.hint


def test_select_and_ignore_together() -> None:
    assert codes(select=["SM2", "SM3"], ignore=["SM209"]) == ["SM302"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SM2099", "Did you mean SM209 (several-heads)?"),
        ("SM299", "Did you mean SM209 (several-heads)?"),
        ("several-head", "Did you mean SM209 (several-heads)?"),
        ("E501", "There is no check 'E501'."),
        ("SM9", "There is no check 'SM9'."),
        ("", "There is no check ''."),
    ],
)
def test_unknown_code(text: str, message: str) -> None:
    for call in (
        lambda: run_checks(STATE, select=[text]),
        lambda: run_checks(STATE, ignore=[text]),
        lambda: codes_of([text]),
        lambda: explain(text),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert message in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize(
    ("command", "blocking"),
    [
        ("doctor", ["SM209", "SM302"]),
        ("upgrade", ["SM209", "SM302"]),
        ("safe-upgrade", ["SM209", "SM302"]),
        ("deploy", ["SM209", "SM302"]),
        ("reset", ["SM209"]),
        ("safe-downgrade", []),
        ("status", []),
    ],
)
def test_what_blocks_depends_on_the_command(command: str, blocking: list[str]) -> None:
    findings = run_checks(STATE, command=command)
    assert [f.code for f in findings if f.blocks] == blocking


def test_what_blocks_is_an_error() -> None:
    state = State(ProjectState("shop", "/shop/migrations"))
    (finding,) = run_checks(state)
    assert (finding.code, finding.severity, finding.blocks) == ("SM108", Severity.WARNING, True)
    (finding,) = run_checks(state, command="deploy")
    assert (finding.code, finding.severity, finding.blocks) == ("SM108", Severity.ERROR, True)
    (finding,) = run_checks(state, command="upgrade")
    assert (finding.severity, finding.blocks) == (Severity.WARNING, False)


def test_a_symptom_of_another_database_is_reported() -> None:
    state = State(
        ProjectState("shop", "/shop/migrations", multidb=True),
        HISTORY,
        (
            DatabaseState("", "sqlite", "/a.db", "a.db", version_rows=("gone",)),
            DatabaseState("stats", "sqlite", "/b.db", "b.db", version_rows=("a1",)),
        ),
    )
    assert [(f.code, f.bind) for f in run_checks(state)] == [("SM301", ""), ("SM306", "stats")]


def test_explain_by_code_and_name() -> None:
    text = explain("sm209")
    paragraphs = text.split("\n\n")
    assert paragraphs[0] == "SM209 several-heads: The history has more than one head."
    assert [p.split(": ")[0] for p in paragraphs[1:]] == ["Cause", "Example", "Fix", "Prevention"]
    assert '`flask db merge heads -m "merge"`' in paragraphs[3]
    assert not any("\n" in paragraph or "``" in paragraph for paragraph in paragraphs)
    assert explain(" Several-Heads ") == text


def test_pages_are_for_every_check() -> None:
    found = pages()
    assert [code for code, _, _ in found] == [check.code for check in CATALOGUE]
    for _, title, text in found:
        assert title.endswith(".")
        assert text.startswith("Cause\n")
        assert title not in text


def test_checks_of_a_code_a_name_or_a_family() -> None:
    assert [check.code for check in checks_of("sm209 ")] == ["SM209"]
    assert [check.code for check in checks_of("Several-Heads")] == ["SM209"]
    family = [check.code for check in checks_of("SM2")]
    assert family == [check.code for check in CATALOGUE if check.family == "SM2"]
    with pytest.raises(UsageError, match="Did you mean SM209"):
        checks_of("SM2099")
    with pytest.raises(UsageError, match="There is no check 'SM2'"):
        explain("SM2")


@pytest.mark.parametrize(
    "of",
    [
        *(f"tests.checks.test_{name}" for name in (
            "database", "drift", "history", "lost", "project", "schema", "server", "setup",
            "sqlite_file", "storage", "version_table",
        ))
    ],
)  # fmt: skip
def test_an_explanation_names_every_command_that_a_check_stops(of: str) -> None:
    for code, found, *_ in importlib.import_module(of).FINDS:
        (check,) = checks_of(code)
        told = {*check.blocks, *check.sometimes}
        for command in ALL:
            stops = [f for f in run_checks(found, [code], command=command) if f.blocks]
            assert not stops or command in told, (code, command)
