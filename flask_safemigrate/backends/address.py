"""Where a database on a server is, and what to say about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flask_safemigrate.state import Unreachable


class Address(NamedTuple):
    """A database on a server; never a password.

    :param host: host name, or for PostgreSQL the folder of its socket.
    :param options: the same address for the command line of the server's own programs.
    :param socket: path of the socket of MariaDB or MySQL, "" where it is reached by TCP.
    """

    host: str
    port: str
    name: str
    user: str
    options: str
    socket: str = ""

    @property
    def server(self) -> str:
        """``host:port``, or the path of the socket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.socket or f"{host}:{self.port}"

    @property
    def location(self) -> str:
        """``host:port/name``."""
        return f"{self.server}/{self.name}"

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        near = ("localhost", "127.0.0.1", "::1")
        return bool(self.socket) or self.host.startswith("/") or self.host in near


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
    return Unreachable(known, message.format(**values), hint.format(**values))
