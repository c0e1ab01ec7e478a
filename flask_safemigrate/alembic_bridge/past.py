"""What a revision sends past SQLAlchemy, by the driver of the migration's own connection.

``op.get_bind().connection.cursor()`` is heard by no event. MariaDB and MySQL commit what it has
changed with the next statement about the schema, so the record must know that there was something.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

#: The method by which drivers of MariaDB and MySQL send a text: PyMySQL and mysqlclient, the
#: connector of MySQL.
_SENDS = ("query", "cmd_query")


@contextlib.contextmanager
def hearing_driver(driver: Any, hear: Callable[[str], None]) -> Iterator[None]:
    """Hear each text that neither SQLAlchemy nor we hand to a driver's connection.

    :param hear: called before the text is sent.
    """
    # mysqlclient lets no attribute be deleted; a class of C code alone has no place for one.
    own = getattr(driver, "__dict__", None)
    name = next((each for each in _SENDS if callable(getattr(driver, each, None))), None)
    if name is None or own is None:
        yield
        return
    send = getattr(driver, name)

    def heard(text: Any, *arguments: Any, **options: Any) -> Any:
        if _is_revisions():
            hear(text if isinstance(text, str) else bytes(text).decode("utf-8", "surrogateescape"))
        return send(text, *arguments, **options)

    own[name] = heard
    try:
        yield
    finally:
        own.pop(name)


def _is_revisions() -> bool:
    """Whether neither SQLAlchemy nor this package stands between a revision and the driver.

    What traces an application wraps the driver's cursors, and so stands there too.
    """
    for frame, _ in traceback.walk_stack(sys._getframe(2)):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in ("sqlalchemy", "flask_safemigrate"):
            return False
        if "down_revision" in frame.f_globals:
            return True
    return False
