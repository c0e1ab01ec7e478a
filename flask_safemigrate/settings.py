"""The ``SAFEMIGRATE_*`` keys of ``app.config``, read once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from flask_safemigrate.errors import UsageError
from flask_safemigrate.facts.state import Ignored
from flask_safemigrate.findings import Severity, Waiver

PREFIX = "SAFEMIGRATE_"

#: Values of :attr:`Settings.lock`.
LOCKS = ("auto", "session", "lease")


@dataclass(frozen=True)
class Settings:
    """Every setting with its default; the key is ``SAFEMIGRATE_`` and the name in capitals.

    :param allow: hazards of pending revisions that may stand, by code or by code and object, each
        with its reason: ``{"SM630:account.old": "copied to the archive"}``.
    :param allow_reset: let ``reset`` run outside debug and testing mode.
    :param environment: name of the environment, kept in the database by every run; the environment
        variable of that name counts too.
    :param exclude_tables: tables that belong to others; ``doctor`` and ``flask db migrate`` leave
        them alone; names or patterns such as ``celery_*``.
    :param gate: let errors among the hazards of pending revisions stop ``safe-upgrade`` and
        ``deploy``.
    :param guard_upgrade: make ``flask db upgrade`` do what ``safe-upgrade`` does.
    :param ignore: codes or families that ``doctor`` leaves out, each with its reason:
        ``["SM113: models live elsewhere"]``.
    :param journal: keep a table ``safemigrate_journal`` of what was applied.
    :param keep_snapshots: how many snapshots of a database are kept.
    :param large_table: from how many rows on a table is large; what pending revisions do to
        smaller ones stops no command, and keeps nobody waiting.
    :param lock: how processes keep each other out: ``session`` is a lock that ends with its
        connection, ``lease`` a row in ``safemigrate_lock`` that is renewed, ``auto`` the row
        where session locks do not reach every process (Galera, a pooler).
    :param lock_timeout: seconds that a statement of a migration waits for a table's lock on
        PostgreSQL, MariaDB and MySQL before it makes way and tries again; 0 means no limit.
    :param lock_wait: seconds to wait for another process, 0 means not at all.
    :param protected_environments: environments in which ``reset`` does nothing, and whose
        databases it never touches; case does not count. ``production`` and ``prod`` always are.
    :param schema_edits: let SQLite tables change by editing the stored schema text.
    :param secure_delete: SQLite overwrites what it deletes; None leaves the library's default.
    :param severity: how bad ``doctor`` takes a code or family to be: ``{"SM113": "info"}``, with
        ``error``, ``warning`` or ``info``.
    :param snapshot: take a snapshot before an SQLite database is changed.
    :param snapshot_servers: take a dump before a PostgreSQL or MariaDB database is changed.
    :param snapshots: folder of the snapshots; "" is ``.safemigrate`` beside the SQLite file,
        or in the instance folder for servers.
    :param statement_timeout: seconds that a statement of a migration may take on PostgreSQL;
        0 leaves the server's own limit.
    :param wait: seconds that ``deploy`` waits for the database to come up.
    """

    allow: tuple[Waiver, ...] = ()
    allow_reset: bool = False
    environment: str = ""
    exclude_tables: tuple[str, ...] = ()
    gate: bool = True
    guard_upgrade: bool = False
    ignore: tuple[Ignored, ...] = ()
    journal: bool = True
    keep_snapshots: int = 5
    large_table: int = 10_000
    lock: str = "auto"
    lock_timeout: float = 5.0
    lock_wait: float = 60.0
    protected_environments: tuple[str, ...] = ("production", "prod")
    schema_edits: bool = True
    secure_delete: bool | None = None
    severity: tuple[tuple[str, Severity], ...] = ()
    snapshot: bool = True
    snapshot_servers: bool = False
    snapshots: str = ""
    statement_timeout: float = 0.0
    wait: float = 0.0


_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")

# A comma inside a reason is not followed by a code.
_NEXT_CODE = re.compile(
    r"(?:[,;\n]\s*)+(?=(?:SM\d+|[a-z]+(?:-[a-z]+)+)\s*(?:[=:,;\n]|$)|$)", re.IGNORECASE
)


def _wrong(key: str, value: object, wanted: str) -> UsageError:
    return UsageError(
        f"Setting {key} is {value!r}, but must be {wanted}.",
        hint=f'app.config["{key}"] = ...  # {wanted}',
    )


def _boolean(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
    raise _wrong(key, value, "True or False")


def _number(key: str, value: object, default: float) -> float | int:
    whole = isinstance(default, int)
    wanted = f"a {'whole ' if whole else ''}number, 0 or more"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _wrong(key, value, wanted)
    try:
        number = int(value) if whole else float(value)
    except (ValueError, OverflowError):
        raise _wrong(key, value, wanted) from None
    if number < 0 or number != number or (whole and number != float(value)):
        raise _wrong(key, value, wanted)
    return number


def _names(key: str, value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple, set, frozenset)) or not all(
        isinstance(item, str) for item in items
    ):
        raise _wrong(key, value, "a list of names")
    return tuple(item.strip() for item in items if item.strip())


def _ignored(key: str, value: object) -> tuple[Ignored, ...]:
    entries = [f"{k}: {v}" for k, v in value.items()] if isinstance(value, Mapping) else value
    if isinstance(entries, str):
        entries = _NEXT_CODE.split(entries)
    if not isinstance(entries, (list, tuple, set, frozenset)) or not all(
        isinstance(entry, str) for entry in entries
    ):
        raise _wrong(key, value, 'a list such as ["SM113: models live elsewhere"]')
    pairs = (entry.partition(":") for entry in entries if entry.strip())
    return tuple(Ignored(code.strip(), reason.strip()) for code, _, reason in pairs)


def _allowed(key: str, value: object) -> tuple[Waiver, ...]:
    wanted = 'a dictionary such as {"SM630:account.old": "copied to the archive"}'
    items: object = value
    if isinstance(value, str):
        parts = (part.partition("=") for part in _NEXT_CODE.split(value) if part.strip())
        items = {what: reason for what, _, reason in parts}
    if not items:
        return ()
    if not isinstance(items, Mapping):
        raise _wrong(key, value, wanted)
    found = []
    for what, reason in items.items():
        if not isinstance(what, str) or not isinstance(reason, str):
            raise _wrong(key, value, wanted)
        if not reason.strip():
            raise UsageError(
                f"Setting {key} lets '{what}' stand and does not say why.",
                hint=f'app.config["{key}"] = {{"{what}": "the reason"}}',
            )
        code, _, object = what.partition(":")
        found.append(Waiver(code.strip(), object.strip(), reason.strip(), key))
    return tuple(found)


def _severities(key: str, value: object) -> tuple[tuple[str, Severity], ...]:
    wanted = 'a dictionary such as {"SM113": "info"}, with error, warning or info'
    items: object = value
    if isinstance(value, str):
        parts = [part for part in _NEXT_CODE.split(value) if part.strip()]
        items = [tuple(re.split(r"\s*[=:]\s*", part, maxsplit=1)) for part in parts]
    elif isinstance(value, Mapping):
        items = tuple(value.items())
    if not isinstance(items, (list, tuple)):
        raise _wrong(key, value, wanted)
    words = {severity.word: severity for severity in Severity}
    found = {}
    for item in items:
        if not (isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)):
            raise _wrong(key, value, wanted)
        code, word = item
        severity = word if isinstance(word, Severity) else words.get(str(word).strip().lower())
        if severity is None:
            raise _wrong(key, value, wanted)
        found[code.strip()] = severity
    return tuple(found.items())


def _choice(key: str, value: object, known: tuple[str, ...]) -> str:
    text = str(value).strip().lower()
    if text in known:
        return text
    wanted = f"one of {', '.join(known)}"
    near = difflib.get_close_matches(text, known, n=1)
    raise _wrong(key, value, f"{wanted} (did you mean {near[0]}?)" if near else wanted)


def _text(key: str, value: object) -> str:
    if isinstance(value, (str, Path)):
        return str(value)
    raise _wrong(key, value, "a text")


def read_settings(
    config: Mapping[str, object], environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read the settings out of ``app.config``.

    Values may be texts, as environment variables are.

    :param environ: environment variables. What protects a database is taken from them too:
        ``SAFEMIGRATE_ENVIRONMENT``, where the application does not say it.
    :raises UsageError: a key that is no setting (the nearest one is named), or a bad value.
    """
    known = {PREFIX + f.name.upper(): f for f in fields(Settings)}
    values: dict[str, object] = {}
    for key in sorted(k for k in config if isinstance(k, str) and k.startswith(PREFIX)):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"Setting {key} does not exist.{meant}",
                hint=f"rename it to {near[0]}"
                if near
                else f"remove it; known: {', '.join(known)}",
            )
        name, default, value = known[key].name, known[key].default, config[key]
        if name == "lock":
            values[name] = _choice(key, value, LOCKS)
        elif name == "secure_delete":
            values[name] = None if value is None else _boolean(key, value)
        elif name == "ignore":
            values[name] = _ignored(key, value)
        elif name == "allow":
            values[name] = _allowed(key, value)
        elif name == "severity":
            values[name] = _severities(key, value)
        elif isinstance(default, bool):
            values[name] = _boolean(key, value)
        elif isinstance(default, (int, float)):
            values[name] = _number(key, value, default)
        elif isinstance(default, tuple):
            values[name] = _names(key, value)
        else:
            values[name] = "" if value is None else _text(key, value)
    if not values.get("environment"):
        values["environment"] = environ.get(f"{PREFIX}ENVIRONMENT", "")
    return Settings(**values)  # type: ignore[arg-type]
