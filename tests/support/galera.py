"""A real Galera cluster of three MariaDB servers on loopback ports, for one test module."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

#: Where Debian, Red Hat and MariaDB's own packages put the replication library.
PROVIDERS = tuple(
    Path(folder) / "libgalera_smm.so"
    for folder in ("/usr/lib/galera", "/usr/lib64/galera-4", "/usr/lib/galera-4")
)
SIZE = 3
START_SECONDS = 60

CONFIGURATION = """\
[mysqld]
user = {user}
datadir = {folder}/data
tmpdir = {folder}
socket = {folder}/s
pid-file = {folder}/pid
log-error = {folder}/log.err
bind-address = 127.0.0.1
port = {port}
innodb_buffer_pool_size = 32M
innodb_log_file_size = 8M
innodb_flush_log_at_trx_commit = 0
innodb_autoinc_lock_mode = 2
binlog_format = ROW
performance_schema = OFF
skip-name-resolve
max_connections = 60
wsrep_on = ON
wsrep_provider = {provider}
wsrep_cluster_name = safemigrate
wsrep_cluster_address = {cluster}
wsrep_node_name = node{number}
wsrep_node_address = 127.0.0.1
wsrep_sst_method = rsync
wsrep_sst_receive_address = 127.0.0.1:{state_port}
wsrep_provider_options = "base_host=127.0.0.1; base_port={group_port}; \
gmcast.listen_addr=tcp://127.0.0.1:{group_port}; ist.recv_addr=127.0.0.1:{transfer_port}; \
gcache.size=16M; evs.suspect_timeout=PT30S; evs.inactive_timeout=PT60S; pc.recovery=false"
"""


def missing() -> str:
    """Why there can be no cluster here, "" where there can."""
    if shutil.which("mariadbd") is None and not Path("/usr/sbin/mariadbd").exists():
        return "mariadbd is not installed"
    if not any(path.exists() for path in PROVIDERS):
        return "the Galera library is not installed (Debian: apt-get install galera-4)"
    if shutil.which("mariadb-install-db") is None:
        return "mariadb-install-db is not installed"
    if shutil.which("rsync") is None:
        return "rsync is not installed"
    return ""


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _user() -> str:
    # As root, rsync would take away its own right to write what it copies.
    return "mysql" if os.geteuid() == 0 else getpass.getuser()


@contextmanager
def cluster() -> Iterator[list[str]]:
    """Start the servers; yield one URL a node. Everything is gone at the end."""
    # Not pytest's folder, which another user cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="galera-"))
    folder.chmod(0o755)
    try:
        with _servers(folder) as urls:
            yield urls
    finally:
        shutil.rmtree(folder)


@contextmanager
def _servers(folder: Path) -> Iterator[list[str]]:
    provider = next(path for path in PROVIDERS if path.exists())
    server = shutil.which("mariadbd") or "/usr/sbin/mariadbd"
    processes: list[subprocess.Popen[bytes]] = []
    ports = [_free_ports(4) for _ in range(SIZE)]
    addresses = ",".join(f"127.0.0.1:{group}" for _, group, _, _ in ports)
    try:
        for number, (port, group, transfer, state) in enumerate(ports):
            own = folder / str(number)
            own.mkdir()
            shutil.chown(own, _user())
            configuration = own / "my.cnf"
            configuration.write_text(
                CONFIGURATION.format(
                    user=_user(),
                    folder=own,
                    port=port,
                    number=number,
                    provider=provider,
                    cluster=f"gcomm://{addresses}" if number else "gcomm://",
                    group_port=group,
                    transfer_port=transfer,
                    state_port=state,
                ),
                encoding="utf-8",
            )
            if number == 0:
                _make_data(own)
            else:
                # Equal data would be accepted too, but a node asks for all of it at its start.
                (own / "data").mkdir()
                shutil.chown(own / "data", _user())
            with open(own / "out", "wb") as out:
                processes.append(
                    subprocess.Popen(
                        [server, f"--defaults-file={configuration}"],
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                        start_new_session=True,
                    )
                )
            _wait_until_synced(port, number + 1, own, processes[-1])
        url = "mysql+pymysql://root@127.0.0.1:{}"
        yield [url.format(port) for port, *_ in ports]
    finally:
        for process in reversed(processes):
            _end(process)


def _make_data(folder: Path) -> None:
    done = subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            # A server that starts takes away what it takes for its own leftovers in the system's.
            f"--tmpdir={folder}",
            f"--user={_user()}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
    )
    if done.returncode:
        raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")


def _wait_until_synced(
    port: int, size: int, folder: Path, process: subprocess.Popen[bytes]
) -> None:
    engine = create_engine(f"mysql+pymysql://root@127.0.0.1:{port}")
    deadline = time.monotonic() + START_SECONDS
    try:
        while True:
            try:
                with engine.connect() as connection:
                    query = text("SHOW STATUS WHERE variable_name LIKE 'wsrep_%'")
                    status = {row[0]: row[1] for row in connection.execute(query)}
                if status["wsrep_ready"] == "ON" and status["wsrep_cluster_size"] == str(size):
                    return
            except SQLAlchemyError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                log = (folder / "log.err").read_text(errors="replace")
                raise RuntimeError(f"node {folder.name} does not start:\n{log[-3000:]}")
            time.sleep(0.2)
    finally:
        engine.dispose()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(10)
