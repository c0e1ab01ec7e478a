"""Run newer database servers than the system has, beside it, on ports of their own.

    python scripts/servers.py            start them all, after fetching what is missing
    python scripts/servers.py mysql      only this one
    python scripts/servers.py --env      print their URLs and PATH, to be read by a shell
    python scripts/servers.py --stop     stop them
    python scripts/servers.py --remove   stop them and delete everything, downloads included

Debian's newer suites have them. debootstrap puts each suite into a folder of its own, from the
mirror that this system's apt uses. There the servers run as ordinary processes, as a user of their
own, on loopback. Needs Debian or a child of it, root, and the package debootstrap.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
FOLDER = CACHE / "flask-safemigrate" / "servers"
USER, USER_ID = "safemigrate", 64990
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib/postgresql/18/lib")


@dataclass(frozen=True)
class Server:
    """How one server is had, started and reached. `{data}` is its folder inside the root."""

    suite: str
    packages: tuple[str, ...]
    port: int
    url: str
    variable: str
    initialize: str
    start: str
    # The programs that our snapshots call, as paths inside the root.
    programs: tuple[str, ...]


SERVERS = {
    "mysql": Server(
        suite="sid",
        packages=("mysql-server-core", "mysql-client-core", "mysql-client"),
        port=3397,
        url="mysql+pymysql://root@127.0.0.1:3397/test",
        variable="SAFEMIGRATE_TEST_MYSQL_URL",
        initialize="mysqld --initialize-insecure --datadir={data}",
        start="mysqld --datadir={data} --port={port} --bind-address=127.0.0.1"
        " --innodb-buffer-pool-size=64M --skip-log-bin --mysqlx=OFF --socket={data}/server.sock",
        programs=("usr/bin/mysql", "usr/bin/mysqldump"),
    ),
    "postgresql": Server(
        suite="sid",
        packages=("postgresql-18", "postgresql-client-18"),
        port=5418,
        url="postgresql+psycopg://postgres@127.0.0.1:5418/test",
        variable="SAFEMIGRATE_TEST_POSTGRESQL_URL",
        initialize="/usr/lib/postgresql/18/bin/initdb --auth=trust -E UTF8 -U postgres -D {data}",
        start="/usr/lib/postgresql/18/bin/postgres -D {data} -p {port} -h 127.0.0.1 -k {data}",
        programs=tuple(
            f"usr/lib/postgresql/18/bin/{name}" for name in ("psql", "pg_dump", "pg_restore")
        ),
    ),
    # MySQL's packages and MariaDB's exclude each other, hence two roots.
    "mariadb": Server(
        suite="trixie",
        packages=("mariadb-server-core", "mariadb-client-core", "mariadb-client"),
        port=3398,
        url="mysql+pymysql://root@127.0.0.1:3398/test",
        variable="SAFEMIGRATE_TEST_MYSQL_URL",
        # By force, since the root's own name need not have an address.
        initialize="mariadb-install-db --auth-root-authentication-method=normal --skip-test-db"
        " --force --datadir={data}",
        start="mariadbd --datadir={data} --port={port} --bind-address=127.0.0.1"
        " --innodb-buffer-pool-size=64M --socket={data}/server.sock",
        programs=("usr/bin/mariadb", "usr/bin/mariadb-dump"),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    # argparse holds an empty list of "*" against `choices`.
    parser.add_argument("servers", nargs="*", metavar="server", help=", ".join(SERVERS))
    parser.add_argument("--env", action="store_true", help="print what a shell needs to use them")
    parser.add_argument("--stop", action="store_true", help="stop them")
    parser.add_argument("--remove", action="store_true", help="stop them and delete everything")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"instead of {FOLDER}")
    options = parser.parse_args()
    if unknown := [name for name in options.servers if name not in SERVERS]:
        parser.error(f"no server {unknown[0]!r}; there are {', '.join(SERVERS)}")
    folder = options.folder.resolve()
    names = options.servers or list(SERVERS)
    if options.stop or options.remove:
        for name in names if options.stop else SERVERS:
            stop(folder, name)
        if options.remove:
            shutil.rmtree(folder, ignore_errors=True)
        return 0
    if not options.env:
        if problem := find_problem():
            sys.exit(problem)
        suites = sorted({SERVERS[name].suite for name in names})
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda suite: fetch(folder, suite, names), suites))
        for name in names:
            start(folder, name)
    for name in names:
        print(f"# {name}")
        for variable, value in variables(folder, name).items():
            print(f"export {variable}={shlex.quote(value)}")
    return 0


def find_problem() -> str:
    """Why servers cannot be had here; '' when they can."""
    if os.geteuid() != 0:
        return "Only root may make and enter the servers' folders."
    for program in ("debootstrap", "apt-get", "unshare"):
        if shutil.which(program) is None:
            return f"{program} is missing; apt-get install debootstrap brings it on Debian."
    return ""


def find_mirror() -> str:
    """The mirror that this system's apt takes Debian's packages from."""
    done = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        label, _, mirror = line.partition(" ")
        if label == "Debian":
            return mirror
    sys.exit("apt has no Debian mirror. Run apt-get update first.")


def fetch(folder: Path, suite: str, names: list[str]) -> None:
    """Make the suite's root and install the packages that its servers need, once."""
    root = folder / suite
    mark = root / ".made-by-debootstrap"
    if not mark.exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        run(["debootstrap", "--variant=minbase", suite, str(root), find_mirror()])
        # Packages start their servers on installation, unless this program forbids it.
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        (root / "etc/apt/apt.conf.d/98snapshot").write_text(
            'Acquire::Check-Valid-Until "false";\n'
        )
        clusters = root / "etc/postgresql-common"
        clusters.mkdir(exist_ok=True)
        (clusters / "createcluster.conf").write_text("create_main_cluster = false\n")
        enter(root, f"useradd --system --uid {USER_ID} --no-create-home {USER}")
        mark.touch()
    for name in names:
        server = SERVERS[name]
        installed = root / f".installed-{name}"
        if server.suite == suite and not installed.exists():
            enter(
                root,
                "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y"
                f" --no-install-recommends {' '.join(server.packages)} && apt-get clean",
            )
            installed.touch()


def start(folder: Path, name: str) -> None:
    """Start a server unless it runs; make its data folder, database `test` and programs once."""
    server = SERVERS[name]
    root = folder / server.suite
    write_programs(folder, name)
    if is_listening(server.port):
        if not pid_of(folder, name):
            sys.exit(f"Something else listens on port {server.port}, which is for {name}.")
        return
    data = f"/srv/{name}"
    as_user = f"setpriv --reuid={USER} --regid={USER} --clear-groups"
    if not (root / f".initialized-{name}").exists():
        shutil.rmtree(root / data[1:], ignore_errors=True)
        # MySQL does not start without mysql-files.
        owned = f"install -d -o {USER} -g {USER} -m 700"
        enter(root, f"{owned} {data} /var/lib/mysql-files")
        enter(root, f"cd / && {as_user} {server.initialize.format(data=data)}")
        (root / f".initialized-{name}").touch()
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            chroot(root, f"exec {as_user} {server.start.format(data=data, port=server.port)}"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / f"{name}.pid").write_text(str(process.pid))
    deadline = time.monotonic() + 120
    while not is_listening(server.port):
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"{name} did not start; {folder / f'{name}.log'} says why.")
        time.sleep(0.2)
    create_database(root, name)


def create_database(root: Path, name: str) -> None:
    """Make the database that the URL names, as a new server has none."""
    host, port = "127.0.0.1", SERVERS[name].port
    if name == "postgresql":
        psql = f"psql -h {host} -p {port} -U postgres"
        exists = "SELECT 1 FROM pg_database WHERE datname = 'test'"
        enter(root, f'{psql} -tc "{exists}" | grep -q 1 || {psql} -c "CREATE DATABASE test"')
        return
    client = "mariadb --skip-ssl" if name == "mariadb" else "mysql"
    statement = "CREATE DATABASE IF NOT EXISTS test"
    enter(root, f'{client} -h {host} -P {port} -u root -e "{statement}"')


def write_programs(folder: Path, name: str) -> None:
    """Write wrappers that run the root's client programs on the system's own files."""
    server = SERVERS[name]
    root = folder / server.suite
    (loader,) = [*root.glob("lib64/ld-linux-*.so.*"), *root.glob("lib/ld-linux-aarch64.so.*")]
    libraries = ":".join(str(root / path) for path in LIBRARIES)
    programs = folder / "bin" / name
    programs.mkdir(parents=True, exist_ok=True)
    for path in server.programs:
        wrapper = programs / Path(path).name
        command = shlex.join([str(loader), "--library-path", libraries, str(root / path)])
        wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        wrapper.chmod(0o755)


def variables(folder: Path, name: str) -> dict[str, str]:
    """What the tests' environment must hold to find a server and its programs."""
    server = SERVERS[name]
    path = f"{folder / 'bin' / name}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {server.variable: server.url, "PATH": path}


def stop(folder: Path, name: str) -> None:
    pid = pid_of(folder, name)
    if not pid:
        return
    # SIGINT is PostgreSQL's fast stop; the other two know SIGTERM alone.
    os.kill(pid, signal.SIGINT if name == "postgresql" else signal.SIGTERM)
    deadline = time.monotonic() + 60
    while pid_of(folder, name):
        if time.monotonic() > deadline:
            sys.exit(f"{name} (process {pid}) does not stop.")
        time.sleep(0.2)
    (folder / f"{name}.pid").unlink(missing_ok=True)


def pid_of(folder: Path, name: str) -> int:
    """The number of the process that `start` made, while it lives; else 0."""
    try:
        pid = int((folder / f"{name}.pid").read_text())
        status = Path(f"/proc/{pid}/status").read_text()
    except (OSError, ValueError):
        return 0
    # A number is given again: it is ours when it runs as the servers' user and is no zombie.
    return pid if f"Uid:\t{USER_ID}\t" in status and "State:\tZ" not in status else 0


def is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def chroot(root: Path, script: str) -> list[str]:
    # In a mount namespace of its own /proc is there for this command alone; nothing stays mounted
    # in a folder that somebody deletes.
    inside = f"mount -t proc proc {shlex.quote(str(root / 'proc'))} && exec chroot"
    inside = f"{inside} {shlex.quote(str(root))} /bin/sh -c {shlex.quote(script)}"
    environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/"]
    return [*environment, "unshare", "--mount", "/bin/sh", "-c", inside]


def enter(root: Path, script: str) -> None:
    run(chroot(root, script))


def run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nFailed: {shlex.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
