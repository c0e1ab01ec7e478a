"""What a server answered to a statement, kept so that it can be answered again."""

from __future__ import annotations

import base64
import builtins
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

#: Characters of an answer that are kept; of a longer one only a digest is.
MOST_KEPT = 400_000

_READERS: Mapping[str, Callable[[Any], Any]] = {
    "decimal": Decimal,
    "bytes": base64.b64decode,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "delta": lambda parts: dt.timedelta(*parts),
    "set": set,
}


def _write(value: object) -> Any:
    """One value as JSON; what JSON lacks becomes a list of kind and text."""
    if value is None or isinstance(value, (bool, int, str, float)):
        return value
    if isinstance(value, Decimal):
        return ["decimal", str(value)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ["bytes", base64.b64encode(bytes(value)).decode("ascii")]
    if isinstance(value, dt.timedelta):
        return ["delta", [value.days, value.seconds, value.microseconds]]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted(value)]
    for kind, type_ in (("datetime", dt.datetime), ("date", dt.date), ("time", dt.time)):
        if isinstance(value, type_):
            return [kind, value.isoformat()]
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _read(value: Any) -> Any:
    return _READERS[value[0]](value[1]) if isinstance(value, list) else value


class Answer:
    """A driver's cursor that was read to its end, or is answered from a record.

    :param cursor: the driver's own, closed with this one.
    :param description: names and type codes of the columns, None where there are no rows.
    """

    arraysize = 1

    def __init__(
        self,
        cursor: Any,
        description: Sequence[Sequence[Any]] | None,
        rows: Sequence[Sequence[Any]],
        rowcount: int,
        lastrowid: int | None,
    ) -> None:
        self._cursor = cursor
        self.description = description
        self.rowcount = rowcount
        self.lastrowid = lastrowid
        self._all = rows
        self._place = 0

    def fetchone(self) -> Sequence[Any] | None:
        """The next row."""
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int | None = None) -> list[Sequence[Any]]:
        """The next rows."""
        end = self._place + (self.arraysize if size is None else size)
        found = list(self._all[self._place : end])
        self._place += len(found)
        return found

    def fetchall(self) -> list[Sequence[Any]]:
        """The rows that are left."""
        return self.fetchmany(len(self._all))

    def __iter__(self) -> Iterator[Sequence[Any]]:
        return iter(self.fetchall())

    def close(self) -> None:
        """Close the driver's cursor."""
        self._cursor.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def hear(cursor: Any) -> tuple[Answer, str]:
    """Read a cursor to its end; return what takes its place, and what is to be kept."""
    description = cursor.description
    rows = list(cursor.fetchall()) if description is not None else []
    heard = Answer(cursor, description, rows, cursor.rowcount, cursor.lastrowid)
    return heard, _kept(heard, rows)


def _kept(answer: Answer, rows: Sequence[Sequence[Any]]) -> str:
    named = answer.description and [[str(c[0]), _code(c[1])] for c in answer.description]
    try:
        text = json.dumps(
            {
                "columns": named,
                "rows": [[_write(value) for value in row] for row in rows],
                "rowcount": answer.rowcount,
                "lastrowid": answer.lastrowid,
            }
        )
    except (TypeError, ValueError):
        text = repr(rows)
    else:
        if len(text) <= MOST_KEPT:
            return text
    return json.dumps({"digest": hashlib.sha256(text.encode()).hexdigest(), "count": len(rows)})


def _code(value: object) -> int | None:
    return value if isinstance(value, int) else None


def kept_error(error: BaseException) -> str:
    """What is to be kept of an error of the driver."""
    args = [arg if isinstance(arg, (int, str)) else str(arg) for arg in error.args]
    return json.dumps({"error": type(error).__name__, "args": args})


def _class_of(name: str, driver: Any) -> type[BaseException]:
    # A driver raises Python's own classes for values that it cannot send.
    for place in (driver, builtins):
        found = getattr(place, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            return found
    error: type[BaseException] = driver.Error
    return error


def digest_of(kept: str) -> str | None:
    """The digest of an answer that was too long to be kept, None where it was kept."""
    found: dict[str, Any] = json.loads(kept)
    return found.get("digest")


def repeat(kept: str, cursor: Any, driver: Any) -> Answer:
    """Answer from what was kept.

    :param driver: the DB-API module, for its classes of errors.
    :raises Exception: the driver's error that was kept.
    """
    found = json.loads(kept)
    if "error" in found:
        raise _class_of(found["error"], driver)(*found["args"])
    columns = found["columns"]
    description = columns and [(name, code, *(None,) * 5) for name, code in columns]
    rows = [tuple(_read(value) for value in row) for row in found["rows"]]
    return Answer(cursor, description, rows, found["rowcount"], found["lastrowid"])
