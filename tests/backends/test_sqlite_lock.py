from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.sqlite.files import find
from flask_safemigrate.backends.sqlite.lock import command_line, lock, lock_path
from flask_safemigrate.errors import DatabaseUnavailable, LockTimeout, Refused
from tests.backends.sqlite_files import (
    NOBODY,
    News,
    as_nobody,
    make,
    names_in,
    python,
    target_of,
)

HOLDER = """
import sys
from pathlib import Path
from tests.backends.sqlite_files import target_of
from flask_safemigrate.backends.sqlite.lock import lock
sys.argv[:] = ["/x/bin/flask", "db", "deploy", "-x", "password=secret"] + sys.argv[1:]
with lock(target_of(Path(sys.argv[-1])), 30, print):
    print("held", flush=True)
    sys.stdin.readline()
"""

COUNTER = """
import sys, time
from pathlib import Path
from tests.backends.sqlite_files import target_of
from flask_safemigrate.backends.sqlite.lock import lock
path, counter = Path(sys.argv[1]), Path(sys.argv[2])
target = target_of(path)
for _ in range(5):
    with lock(target, 60, lambda progress: None):
        number = int(counter.read_text())
        time.sleep(0.005)
        counter.write_text(str(number + 1))
"""


def _note(path: Path) -> Path:
    file = find(target_of(path))
    assert file is not None
    return lock_path(file, "alembic_version").with_suffix(".json")


def test_the_folder_is_private_and_ignores_itself(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    before = os.umask(0)
    try:
        with lock(target_of(path), 1, News()):
            note = json.loads(_note(path).read_text())
    finally:
        os.umask(before)
    folder = tmp_path / ".safemigrate"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert note["pid"] == os.getpid()
    assert note["since"].endswith("+00:00")
    assert [stat.S_IMODE((folder / n).stat().st_mode) for n in names_in(folder)] == [0o600] * 2
    assert names_in(folder)[0] == ".gitignore"
    assert names_in(folder)[1].endswith(".lock")


def test_a_waiter_learns_who_holds_it(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    holder = python(HOLDER, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    news, start = News(), time.monotonic()
    with pytest.raises(LockTimeout) as caught, lock(target_of(path), 1.3, news):
        pytest.fail("two hold it")
    assert 1.2 < time.monotonic() - start < 3
    assert 'Database "app.db" is being changed by flask db deploy (pid ' in caught.value.message
    assert f"pid {holder.pid} on " in caught.value.message
    assert "secret" not in caught.value.message
    assert "--lock-wait" in (caught.value.hint or "")
    assert len(news) == 2
    assert news.stages() == {"waiting"}
    assert "flask db deploy" in news[0].text
    holder.communicate("\n")
    with lock(target_of(path), 0, news):
        pass


def test_zero_seconds_is_one_try(tmp_path: Path) -> None:
    path, news = make(tmp_path / "app.db"), News()
    with (
        lock(target_of(path), 0, news),
        pytest.raises(LockTimeout),
        lock(target_of(path), 0, news),
    ):
        pytest.fail("the same thread holds it twice")
    assert news == []


def test_a_killed_holder_does_not_block(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    holder = python(HOLDER, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert _note(path).exists()
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with lock(target_of(path), 1, News()):
        assert json.loads(_note(path).read_text())["pid"] == os.getpid()
    assert not _note(path).exists()


def test_an_exception_lets_go(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    with pytest.raises(KeyboardInterrupt), lock(target_of(path), 1, News()):
        raise KeyboardInterrupt
    with lock(target_of(path), 0, News()):
        assert _note(path).exists()


def test_eight_processes_exclude_each_other(tmp_path: Path) -> None:
    path, counter = make(tmp_path / "app.db"), tmp_path / "counter"
    counter.write_text("0")
    processes = [python(COUNTER, path, counter) for _ in range(8)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 8
    assert counter.read_text() == "40"


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    path, inside, most = make(tmp_path / "app.db"), 0, 0
    target = target_of(path)

    def work() -> None:
        nonlocal inside, most
        for _ in range(5):
            with lock(target, 30, News()):
                inside += 1
                most = max(most, inside)
                time.sleep(0.002)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_forked_child_neither_holds_nor_frees_it(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    with lock(target_of(path), 1, News()):
        child = os.fork()
        if child == 0:
            try:
                with lock(target_of(path), 0, News()):
                    os._exit(1)
            except LockTimeout:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert _note(path).exists()
        with pytest.raises(LockTimeout), lock(target_of(path), 0, News()):
            pytest.fail("the child let go of it")


def test_a_child_that_leaves_the_block_does_not_free_it(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    parent = os.getpid()
    child = 0
    with lock(target_of(path), 1, News()):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            assert _note(path).exists()
            with pytest.raises(LockTimeout), lock(target_of(path), 0, News()):
                pytest.fail("the child let go of it")
    if os.getpid() != parent:
        os._exit(0)


def test_each_version_table_has_its_own(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    with lock(target_of(path), 0, News()), lock(target_of(path, version_table="v"), 0, News()):
        pass


def test_all_ways_to_a_file_share_one_lock(tmp_path: Path) -> None:
    path = make(tmp_path / "app.db")
    (tmp_path / "link.db").symlink_to(path)
    uri = Target("", create_engine(f"sqlite:///file:{path}?uri=true"))
    for other in (target_of(tmp_path / "link.db"), uri):
        with lock(target_of(path), 0, News()), pytest.raises(LockTimeout), lock(other, 0, News()):
            pytest.fail("two hold it")


def test_a_folder_that_is_mounted_elsewhere_keeps_its_lock(tmp_path: Path) -> None:
    here, there = find(target_of(tmp_path / "a" / "app.db")), find(target_of(Path("/b/app.db")))
    assert here is not None
    assert there is not None
    assert lock_path(here, "v").name == lock_path(there, "v").name


def test_memory_needs_no_lock() -> None:
    target = Target("", create_engine("sqlite://"))
    with lock(target, 0, News()), lock(target, 0, News()):
        pass
    target.engine.dispose()


def test_a_database_that_is_not_there_yet(tmp_path: Path) -> None:
    with lock(target_of(tmp_path / "app.db"), 0, News()):
        assert names_in(tmp_path) == [".safemigrate"]


def test_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "instance" / "app.db"
    with pytest.raises(DatabaseUnavailable) as caught, lock(target_of(path), 0, News()):
        pytest.fail("nothing to lock")
    assert caught.value.kind == "missing folder"
    assert caught.value.hint == f"mkdir -p {path.parent}"


def _attempt(path: Path) -> str:
    try:
        with lock(target_of(path), 0, News()):
            return "locked"
    except DatabaseUnavailable as error:
        return f"{error.kind}: {error.message} Hint: {error.hint}"


def test_a_read_only_folder(open_folder: Path) -> None:
    path = make(open_folder / "closed" / "app.db")
    path.parent.chmod(0o555)
    said = as_nobody(lambda: _attempt(path))
    path.parent.chmod(0o755)
    assert said.startswith(f'read-only: Lock file "{path.parent}/.safemigrate/app.db.')
    assert "cannot be used: Permission denied. Hint: chmod u+w " in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_lock_folder_of_another_user(open_folder: Path) -> None:
    path = make(open_folder / "app.db")
    with lock(target_of(path), 0, News()):
        pass
    said = as_nobody(lambda: _attempt(path))
    assert said.startswith(f'missing privilege: Lock file "{open_folder}/.safemigrate/app.db.')
    assert f"Hint: ls -la {open_folder}/.safemigrate" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_does_not_lock_out_the_owner_of_the_database(open_folder: Path) -> None:
    path = make(open_folder / "app.db")
    os.chown(path, NOBODY, NOBODY)
    with lock(target_of(path), 0, News()):
        pass

    assert as_nobody(lambda: _attempt(path)) == "locked"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/venv/bin/flask", "db", "safe-upgrade", "--yes"], "flask db safe-upgrade"),
        (["/venv/lib/flask/__main__.py", "db", "deploy"], "flask db deploy"),
        (["/venv/bin/gunicorn", "app:create_app()"], "gunicorn"),
        (["flask", "-x", "url=postgresql://u:secret@h/d"], "flask"),
        (["x.py", "Secret1"], "x.py"),
        ([""], "python"),
    ],
)
def test_command_line(arguments: list[str], command: str) -> None:
    assert command_line(arguments) == command


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_the_lock_is_taken_through_no_link(open_folder: Path) -> None:
    path = make(open_folder / "app.db")
    os.chown(path, NOBODY, NOBODY)
    with lock(target_of(path), 0, News()):
        pass
    file = find(target_of(path))
    assert file is not None
    ours = lock_path(file, "alembic_version")
    ours.unlink()
    other = open_folder / "other"
    other.write_bytes(b"content")
    ours.symlink_to(other)
    assert "cannot be used" in _attempt(path)
    assert other.read_bytes() == b"content"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_lock_folder_that_somebody_else_made_is_refused(open_folder: Path) -> None:
    path = make(open_folder / "app.db")
    folder = open_folder / ".safemigrate"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(Refused, match="cannot be trusted"), lock(target_of(path), 0, News()):
        pytest.fail("it is nobody's")
