"""Passwords of database addresses, taken out of whatever is shown."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?P<head>\b[A-Za-z][\w+.-]*://[^\s/:@'\"]*):(?P<password>(?!\d+/)\S*)@")


def without_passwords(text: str) -> str:
    """Return the text with ``***`` for the password of every address in it.

    Errors of drivers may quote the address that they were given.
    """
    return _ADDRESS.sub(r"\g<head>:***@", text) if "://" in text else text
