"""The words for tables of SQLite that cannot be read or written."""

from __future__ import annotations

from flask_safemigrate.facts.examination import Unusable

#: What others have, and how SQLite says it.
_INSTEAD = {
    "now": "CURRENT_TIMESTAMP",
    "getdate": "CURRENT_TIMESTAMP",
    "sysdate": "CURRENT_TIMESTAMP",
    "utc_timestamp": "CURRENT_TIMESTAMP",
    "curdate": "CURRENT_DATE",
    "curtime": "CURRENT_TIME",
    "gen_random_uuid": "lower(hex(randomblob(16)))",
    "uuid_generate_v4": "lower(hex(randomblob(16)))",
    "uuid": "lower(hex(randomblob(16)))",
    "concat": "one || other",
    "concat_ws": "one || ' ' || other",
    "char_length": "length(...)",
    "character_length": "length(...)",
    "greatest": "max(one, other)",
    "least": "min(one, other)",
    "nvl": "ifnull(one, other)",
}

_FAILS = {"SELECT": "be read", "INSERT": "take a row", "UPDATE": "be updated"}


def told(fault: Unusable) -> str:
    """Say which table cannot be used, and why."""
    column = f" (column '{fault.column}')" if fault.column else ""
    fails = _FAILS.get(fault.verb, "lose a row")
    return f"{fault.kind} '{fault.name}'{column} cannot {fails}: {fault.reason}"


def remedy(fault: Unusable) -> str:
    """Say what helps a table that cannot be used."""
    if "no such module" in fault.reason:
        return f"load the extension with '{fault.lacks}' {_LISTENER}"
    if "collation" in fault.reason:
        return (
            f"leave the collation '{fault.lacks}' away on SQLite, or register it {_LISTENER}: "
            f'connection.create_collation("{fault.lacks}", ...)'
        )
    other = _INSTEAD.get(fault.lacks.lower())
    return (
        f"write {other or 'it with the functions that SQLite has'}, or register {fault.lacks}() "
        f'{_LISTENER}: connection.create_function("{fault.lacks}", ...)'
    )


_LISTENER = 'in a listener for "connect" of the engine'
