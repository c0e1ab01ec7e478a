"""Where a database on a server is, and what to say about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from flask_safemigrate.facts.database import Unreachable


class Address(NamedTuple):
    """A database on a server; never a password.

    :param host: host name, or for PostgreSQL the folder of its socket; several with commas.
    :param port: as many as hosts.
    :param options: the same address for the command line of the server's own programs.
    :param socket: path of the socket of MariaDB or MySQL, "" where it is reached by TCP.
    :param settings: what stands before those programs, such as ``PGSSLMODE=require`` and a blank.
    """

    host: str
    port: str
    name: str
    user: str
    options: str
    socket: str = ""
    settings: str = ""

    @property
    def server(self) -> str:
        """``host:port``, or the path of the socket."""
        if self.socket:
            return self.socket
        hosts, ports = self.host.split(","), self.port.split(",")
        bracketed = (f"[{host}]" if ":" in host else host for host in hosts)
        return ",".join(map(":".join, zip(bracketed, ports, strict=True)))

    @property
    def location(self) -> str:
        """``host:port/name``."""
        return f"{self.server}/{self.name}"

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        near = ("localhost", "127.0.0.1", "::1")
        hosts = self.host.split(",")
        return bool(self.socket) or all(h.startswith("/") or h in near for h in hosts)


def worded(
    words: Mapping[str, tuple[str, str, str]], kind: str, address: Address, text: str
) -> Unreachable:
    """Fill in the message and the hint of a dialect for one kind of failure.

    :param words: for each kind: the kind that others know it by, the message and the hint, both
        with the address' names and ``text`` in braces.
    """
    known, message, hint = words[kind]
    values = {
        **address._asdict(),
        "server": address.server,
        "location": address.location,
        "text": text,
    }
    return Unreachable(known, message.format(**values), _filled(hint, values))


# How a name stands in a command decides how it is quoted there.
_PLACE = re.compile(r"""(\\?[`"']?)\{(host|port|name|user)\}(\\?[`"']?)""")


def _filled(hint: str, values: Mapping[str, Any]) -> str:
    """Fill in a hint so that no name in it becomes a part of the command."""

    def place(found: re.Match[str]) -> str:
        before, key, after = found.groups()
        value, mark = str(values[key]), before[-1:]
        if mark and mark == after[-1:]:
            value = value.replace(mark, mark * 2)
            if before != mark:  # inside of a word of the shell in double quotes
                value = re.sub(r'[\\"$`]', r"\\\g<0>", value)
            return f"{before}{value}{after}"
        return f"{before}{shlex.quote(value)}{after}"

    quoted = _PLACE.sub(place, hint).replace("{", "{{").replace("}", "}}")
    kept = re.sub(r"\{\{(options|settings|server|location|text)\}\}", r"{\1}", quoted)
    return kept.format(**values)
