"""A PgBouncer before the PostgreSQL server of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

CONFIGURATION = """\
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 10
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
"""


@contextmanager
def pooler(server: URL, mode: str = "transaction") -> Iterator[URL]:
    """Start one; yield the server's URL with the pooler's address."""
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own = probe.getsockname()[1]
    (folder / "ini").write_text(
        CONFIGURATION.format(
            host=server.host,
            port=server.port or 5432,
            user=server.username,
            password=f" password={server.password}" if server.password else "",
            own=own,
            mode=mode,
            folder=folder,
        ),
        encoding="utf-8",
    )
    # It refuses to run as root.
    user = []
    if os.geteuid() == 0:
        user = ["-u", "nobody"]
        folder.chmod(0o777)
        (folder / "ini").chmod(0o644)
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    process = subprocess.Popen(
        [program, *user, str(folder / "ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(own, process, folder)
        yield server.set(host="127.0.0.1", port=own)
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder)


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            log = folder / "log"
            raise RuntimeError(log.read_text() if log.exists() else "pgbouncer does not start")
        time.sleep(0.05)
