"""Servers that only say no: what a real one cannot be made to answer in a test."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager


@contextmanager
def _server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            accepted.append(client)
            try:
                answer(client)
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for client in accepted:
            client.close()


def silent() -> AbstractContextManager[int]:
    """A port that accepts connections and never says a word."""
    return _server(lambda client: None)


def postgresql_refusal(code: str, message: str) -> AbstractContextManager[int]:
    """A PostgreSQL that ends every connection with an ErrorResponse.

    https://www.postgresql.org/docs/current/protocol-message-formats.html
    """
    fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
    response = b"E" + struct.pack("!I", len(fields) + 4) + fields

    def answer(client: socket.socket) -> None:
        while True:
            length, version = struct.unpack("!II", client.recv(8, socket.MSG_WAITALL))
            if version in (80877103, 80877104):  # asks for encryption
                client.sendall(b"N")
                continue
            client.recv(length - 8, socket.MSG_WAITALL)
            client.sendall(response)
            client.close()
            return

    return _server(answer)


def mysql_refusal(number: int, message: str) -> AbstractContextManager[int]:
    """A MySQL that greets every connection with an ERR packet.

    https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html
    """
    payload = b"\xff" + struct.pack("<H", number) + message.encode()

    def answer(client: socket.socket) -> None:
        client.sendall(struct.pack("<I", len(payload))[:3] + b"\0" + payload)
        client.close()

    return _server(answer)
