"""Servers that only say no: what a real one cannot be made to answer in a test."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


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


def _self_signed(folder: Path, name: str) -> ssl.SSLContext:
    """A server's side of TLS by a certificate that nobody has signed."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def postgresql_with_tls(folder: Path, name: str) -> AbstractContextManager[int]:
    """A PostgreSQL that does no more than agree to TLS, with a certificate for `name`.

    The certificate, its own authority, is `certificate.pem` in the folder.
    """
    context = _self_signed(folder, name)

    def answer(client: socket.socket) -> None:
        while True:
            _, version = struct.unpack("!II", client.recv(8, socket.MSG_WAITALL))
            if version == 80877104:  # asks for GSSAPI
                client.sendall(b"N")
                continue
            client.sendall(b"S")
            context.wrap_socket(client, server_side=True).recv(1)

    return _server(answer)


def mysql_with_tls(folder: Path, name: str) -> AbstractContextManager[int]:
    """The same for MySQL.

    https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html
    """
    context = _self_signed(folder, name)
    capabilities = 0x000F_FFFF  # CLIENT_SSL among them
    greeting = (
        b"\x0a8.4.0-fake\0"
        + struct.pack("<I", 1)
        + b"12345678\0"
        + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, 2, capabilities >> 16, 21)
        + bytes(10)
        + b"123456789012\0caching_sha2_password\0"
    )

    def answer(client: socket.socket) -> None:
        client.sendall(struct.pack("<I", len(greeting))[:3] + b"\0" + greeting)
        client.recv(36, socket.MSG_WAITALL)
        context.wrap_socket(client, server_side=True).recv(1)

    return _server(answer)
