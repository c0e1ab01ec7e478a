"""A port in front of a server, which refuses connections until it is opened."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

_CHUNK = 1 << 16


class Gate:
    """A port that nobody listens at; `lead_to` opens it, and may be called again.

    :ivar passed: how many connections it has let through to the present server.
    """

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._server: tuple[str, int] | None = None
        self.passed = 0

    def lead_to(self, port: int) -> None:
        first = self._server is None
        self._server, self.passed = ("127.0.0.1", port), 0
        if first:
            self._listener.listen()
            threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        if self._server is None:
            self._listener.close()
        else:
            self._listener.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with self._listener:
            while True:
                try:
                    client, _ = self._listener.accept()
                except OSError:
                    return
                assert self._server is not None
                server = socket.create_connection(self._server)
                self.passed += 1
                threading.Thread(target=_relay, args=(client, server), daemon=True).start()


def _relay(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    with client, server, contextlib.suppress(OSError):
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(_CHUNK)
                if not data:
                    return
                other[source].sendall(data)


@contextlib.contextmanager
def gate() -> Iterator[Gate]:
    """A gate for the length of the block."""
    made = Gate()
    try:
        yield made
    finally:
        made.close()
