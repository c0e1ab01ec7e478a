from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.state import Ignored
from flask_safemigrate.findings import Severity
from flask_safemigrate.settings import Settings, read_settings

SEVERITIES = 'a dictionary such as {"SM113": "info"}, with error, warning or info'


def test_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"SQLALCHEMY_DATABASE_URI": "sqlite://", "DEBUG": True}) == Settings()


@pytest.mark.parametrize(
    ("key", "value", "name", "expected"),
    [
        ("ALLOW_RESET", True, "allow_reset", True),
        ("ALLOW_RESET", "yes", "allow_reset", True),
        ("ALLOW_RESET", " TRUE ", "allow_reset", True),
        ("ALLOW_RESET", 1, "allow_reset", True),
        ("SNAPSHOT", "off", "snapshot", False),
        ("JOURNAL", "", "journal", False),
        ("JOURNAL", 0, "journal", False),
        ("KEEP_SNAPSHOTS", 3, "keep_snapshots", 3),
        ("KEEP_SNAPSHOTS", "3", "keep_snapshots", 3),
        ("KEEP_SNAPSHOTS", 0, "keep_snapshots", 0),
        ("LOCK", " Lease ", "lock", "lease"),
        ("LOCK_TIMEOUT", "0.5", "lock_timeout", 0.5),
        ("LOCK_WAIT", "1.5", "lock_wait", 1.5),
        ("LOCK_WAIT", 7, "lock_wait", 7.0),
        ("IGNORE", ["SM401"], "ignore", (Ignored("SM401"),)),
        ("IGNORE", ["SM113: so, so: so"], "ignore", (Ignored("SM113", "so, so: so"),)),
        ("IGNORE", {"SM113": "elsewhere"}, "ignore", (Ignored("SM113", "elsewhere"),)),
        ("IGNORE", "SM401, SM5,", "ignore", (Ignored("SM401"), Ignored("SM5"))),
        (
            "IGNORE",
            "SM113: they live elsewhere, on purpose, several-heads: one a customer\nsm5",
            "ignore",
            (
                Ignored("SM113", "they live elsewhere, on purpose"),
                Ignored("several-heads", "one a customer"),
                Ignored("sm5"),
            ),
        ),
        ("IGNORE", "", "ignore", ()),
        ("SEVERITY", {"SM113": "info"}, "severity", (("SM113", Severity.INFO),)),
        ("SEVERITY", {"SM5": Severity.ERROR}, "severity", (("SM5", Severity.ERROR),)),
        (
            "SEVERITY",
            "SM113=info, no-models: Error,",
            "severity",
            (("SM113", Severity.INFO), ("no-models", Severity.ERROR)),
        ),
        ("SEVERITY", "", "severity", ()),
        ("SEVERITY", {}, "severity", ()),
        ("PROTECTED_ENVIRONMENTS", (), "protected_environments", ()),
        ("SECURE_DELETE", None, "secure_delete", None),
        ("SECURE_DELETE", "no", "secure_delete", False),
        ("SNAPSHOTS", Path("/var/snapshots"), "snapshots", "/var/snapshots"),
        ("ENVIRONMENT", "production", "environment", "production"),
        ("ENVIRONMENT", None, "environment", ""),
    ],
)
def test_values(key: str, value: object, name: str, expected: object) -> None:
    found = getattr(read_settings({f"SAFEMIGRATE_{key}": value}), name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("ALLOW_RESET", "perhaps", "True or False"),
        ("ALLOW_RESET", 2, "True or False"),
        ("ALLOW_RESET", None, "True or False"),
        ("KEEP_SNAPSHOTS", -1, "a whole number, 0 or more"),
        ("KEEP_SNAPSHOTS", 2.5, "a whole number, 0 or more"),
        ("KEEP_SNAPSHOTS", "2.5", "a whole number, 0 or more"),
        ("KEEP_SNAPSHOTS", True, "a whole number, 0 or more"),
        ("KEEP_SNAPSHOTS", None, "a whole number, 0 or more"),
        ("LOCK_WAIT", "soon", "a number, 0 or more"),
        ("LOCK_WAIT", float("nan"), "a number, 0 or more"),
        ("LOCK_WAIT", -0.5, "a number, 0 or more"),
        ("IGNORE", 401, 'a list such as ["SM113: models live elsewhere"]'),
        ("IGNORE", [401], 'a list such as ["SM113: models live elsewhere"]'),
        ("PROTECTED_ENVIRONMENTS", [401], "a list of names"),
        ("SEVERITY", 5, SEVERITIES),
        ("SEVERITY", "SM113", SEVERITIES),
        ("SEVERITY", {"SM113": "loud"}, SEVERITIES),
        ("SEVERITY", {5: "info"}, SEVERITIES),
        ("SEVERITY", ["SM113"], SEVERITIES),
        ("SNAPSHOTS", 5, "a text"),
    ],
)
def test_bad_values(key: str, value: object, wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings({f"SAFEMIGRATE_{key}": value})
    assert f"Setting SAFEMIGRATE_{key} is {value!r}, but must be {wanted}." in caught.value.message
    assert f'app.config["SAFEMIGRATE_{key}"]' in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("key", "message", "hint"),
    [
        ("SAFEMIGRATE_LOCKWAIT", "Did you mean SAFEMIGRATE_LOCK_WAIT?", "SAFEMIGRATE_LOCK_WAIT"),
        ("SAFEMIGRATE_SNAPSHOT_DIR", "Did you mean SAFEMIGRATE_SNAPSHOT", "rename it"),
        ("SAFEMIGRATE_", "Setting SAFEMIGRATE_ does not exist.", ""),
    ],
)
def test_unknown_keys(key: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings({key: 1})
    assert f"Setting {key} does not exist." in caught.value.message
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("value", [float("inf"), "inf", "1e400"])
def test_infinite_numbers(value: object) -> None:
    with pytest.raises(UsageError, match="SAFEMIGRATE_KEEP_SNAPSHOTS"):
        read_settings({"SAFEMIGRATE_KEEP_SNAPSHOTS": value})


def test_every_setting_can_be_set_and_is_documented() -> None:
    assert Settings.__doc__ is not None
    for field in fields(Settings):
        key = f"SAFEMIGRATE_{field.name.upper()}"
        value = True if field.default is None else field.default
        assert getattr(read_settings({key: value}), field.name) == value
        assert f":param {field.name}:" in Settings.__doc__


def test_keys_that_are_no_text_are_left_alone() -> None:
    assert read_settings({1: 2}) == Settings()  # type: ignore[dict-item]


def test_a_choice_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"one of auto, session, lease .did you mean session"):
        read_settings({"SAFEMIGRATE_LOCK": "sesion"})
    with pytest.raises(UsageError, match="one of auto, session, lease"):
        read_settings({"SAFEMIGRATE_LOCK": 7})
