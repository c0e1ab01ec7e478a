from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flask_safemigrate.backends import private, snapshots
from flask_safemigrate.backends.snapshots import (
    database_file,
    find,
    folder_for,
    in_use,
    list_snapshots,
    new_snapshot,
    prune,
    verify,
)
from flask_safemigrate.errors import Refused, SnapshotFailed
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.outcome import Snapshot
from tests.backends.sqlite_files import NOBODY, as_nobody, names_in, python

STATE = DatabaseState("", "sqlite", "/srv/app.db", "app.db", version_rows=("a1", "b2"))


def _take(
    folder: Path,
    content: bytes = b"data",
    *,
    state: DatabaseState = STATE,
    write: Callable[[Path], None] | None = None,
    needs: int | None = 4,
    keep: int = 5,
    pinned: tuple[str, ...] = (),
    why: str = "snapshot",
) -> Snapshot:
    taken = new_snapshot(
        folder,
        state,
        write or (lambda path: path.write_bytes(content) and None),
        suffix=".db",
        needs=needs,
        why=why,
        app="shop",
    )
    database = database_file(state)
    prune(folder, keep, pinned=(taken.id, *pinned), of=taken, database=database)
    return taken


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/x")
    assert folder_for("", tmp_path / "data") == tmp_path / "data" / ".safemigrate"
    assert folder_for("", Path("data")) == tmp_path / "data" / ".safemigrate"
    assert folder_for("backups", Path("/data")) == tmp_path / "backups"
    assert folder_for("~/b", Path("/data")) == Path("/home/x/b")


def test_a_snapshot_and_its_manifest(tmp_path: Path) -> None:
    folder = tmp_path / "data" / ".safemigrate"
    before = os.umask(0)
    try:
        taken = _take(folder, b"content", why="safe-upgrade")
    finally:
        os.umask(before)
    assert taken.database == "/srv/app.db"
    assert (taken.bind, taken.dialect, taken.app) == ("", "sqlite", "shop")
    assert taken.revisions == ("a1", "b2")
    assert taken.why == "safe-upgrade"
    assert taken.size == 7
    assert taken.checksum == hashlib.sha256(b"content").hexdigest()
    assert Path(taken.path).read_bytes() == b"content"
    assert taken.created.endswith("+00:00")
    assert taken.created[:10].replace("-", "") == taken.id[:8]
    name = Path(taken.path).name
    assert names_in(folder) == sorted([".gitignore", name, f"{name}.json"])
    assert (folder / ".gitignore").read_text() == "*\n"
    modes = {n: stat.S_IMODE((folder / n).stat().st_mode) for n in names_in(folder)}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list_snapshots(folder) == (taken,)
    verify(taken)


def test_a_folder_of_the_users_own_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "other.txt").touch()
    taken = _take(tmp_path)
    name = Path(taken.path).name
    assert names_in(tmp_path) == [name, f"{name}.json", "other.txt"]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_newest_first_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    taken = [_take(tmp_path, state=STATE._replace(bind=bind)) for bind in ("", "a/b ü", "")]
    manifest = Path(taken[0].path + ".json").read_text()
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "other.json").write_text('{"format": 1, "id": 3}')
    (tmp_path / "copied.json").write_text(manifest)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    assert list_snapshots(tmp_path) == tuple(reversed(taken))
    assert "a_b__-" in taken[1].id
    assert list_snapshots(tmp_path / "nothing") == ()


def test_a_copy_without_a_manifest_is_none(tmp_path: Path) -> None:
    first, second = _take(tmp_path), _take(tmp_path)
    Path(first.path + ".json").unlink()
    Path(second.path).unlink()
    assert list_snapshots(tmp_path) == ()


def test_a_moved_folder_still_works(tmp_path: Path) -> None:
    taken = _take(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    (found,) = list_snapshots(tmp_path / "there")
    assert found == taken._replace(path=str(tmp_path / "there" / Path(taken.path).name))
    verify(found)


def test_a_manifest_cannot_point_out_of_the_folder(tmp_path: Path) -> None:
    taken = _take(tmp_path / "store")
    manifest = Path(taken.path + ".json")
    content = json.loads(manifest.read_text())
    content["path"] = "../" + content["path"]
    manifest.write_text(json.dumps(content))
    (found,) = list_snapshots(tmp_path / "store")
    assert found.path == taken.path


def test_find(tmp_path: Path) -> None:
    with pytest.raises(SnapshotFailed) as caught:
        find(tmp_path, None)
    assert caught.value.message.startswith(f'There is no snapshot in "{tmp_path}", so')
    assert (caught.value.hint or "").startswith("take one before the next change: flask db snap")
    first, second = _take(tmp_path), _take(tmp_path)
    assert find(tmp_path, None) == find(tmp_path, "") == second
    assert find(tmp_path, first.id) == first
    assert find(tmp_path, first.id[:-1]) == first
    assert find(tmp_path, None, among=[first]) == first
    with pytest.raises(SnapshotFailed, match=r"2 snapshots begin with '20'") as caught:
        find(tmp_path, "20")
    assert first.id in caught.value.message
    with pytest.raises(SnapshotFailed, match=r"There is no snapshot 'xyz'") as caught:
        find(tmp_path, "xyz")
    assert second.id in caught.value.message
    with pytest.raises(SnapshotFailed, match=r"There is no snapshot in"):
        find(tmp_path, None, among=[])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"dat"), "3 bytes instead of 4"),
        (lambda path: path.write_bytes(b"dato"), "SHA-256 differs"),
        (lambda path: path.unlink(), "No such file"),
    ],
)
def test_verify_finds_damage(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    taken = _take(tmp_path)
    damage(Path(taken.path))
    with pytest.raises(SnapshotFailed, match=f"Snapshot '{taken.id}' is damaged.*{message}"):
        verify(taken)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    taken = [_take(tmp_path, keep=3) for _ in range(6)]
    assert list_snapshots(tmp_path) == tuple(reversed(taken[-3:]))
    assert len(names_in(tmp_path)) == 6


def test_the_newest_and_the_pinned_stay(tmp_path: Path) -> None:
    taken = [_take(tmp_path) for _ in range(4)]
    removed = prune(tmp_path, 0, pinned=[taken[1].id])
    assert removed == (taken[2], taken[0])
    assert list_snapshots(tmp_path) == (taken[3], taken[1])
    last = _take(tmp_path, keep=1, pinned=(taken[1].id,))
    assert list_snapshots(tmp_path) == (last, taken[1])


def test_a_clock_that_went_back_does_not_cost_the_new_one(tmp_path: Path) -> None:
    future = _take(tmp_path)
    id = f"2999{future.id[4:]}"
    data = Path(future.path).rename(tmp_path / f"{id}.db")
    manifest = Path(future.path + ".json")
    content = {**json.loads(manifest.read_text()), "id": id, "path": data.name}
    manifest.unlink()
    Path(f"{data}.json").write_text(json.dumps(content))
    taken = _take(tmp_path, keep=1)
    assert taken in list_snapshots(tmp_path)


def test_each_database_keeps_its_own(tmp_path: Path) -> None:
    other = STATE._replace(bind="users", location="/srv/users.db")
    first = _take(tmp_path, state=other, keep=1)
    for _ in range(3):
        _take(tmp_path, keep=1)
    assert [s.bind for s in list_snapshots(tmp_path)] == ["", "users"]
    assert prune(tmp_path, 1) == ()
    assert first in list_snapshots(tmp_path)


def test_what_is_being_put_back_stays(tmp_path: Path) -> None:
    first = _take(tmp_path)
    with in_use(first):
        second = _take(tmp_path, keep=1)
        assert list_snapshots(tmp_path) == (second, first)
        (tmp_path / "x").write_bytes(b"")
    third = _take(tmp_path, keep=1)
    assert list_snapshots(tmp_path) == (third,)
    with pytest.raises(SnapshotFailed, match="is damaged"), in_use(first):
        pass


def test_a_run_that_fails_again_and_again_costs_nothing_older(tmp_path: Path) -> None:
    before = [_take(tmp_path, why="deploy", state=_at(n)) for n in ("a1", "a2", "a3")]
    loop = [_take(tmp_path, why="deploy", state=_at("a4")) for _ in range(20)]
    assert list_snapshots(tmp_path) == (loop[-1], loop[0], *reversed(before))
    # Those taken by hand meanwhile do not push the way back out.
    by_hand = [_take(tmp_path, state=_at("a4"), keep=3) for _ in range(5)]
    assert list_snapshots(tmp_path) == (*reversed(by_hand[-2:]), loop[0])
    # It went through in the end.
    later = [_take(tmp_path, why="deploy", state=_at(n), keep=2) for n in ("a5", "a6")]
    assert list_snapshots(tmp_path) == tuple(reversed(later))


def test_with_one_to_keep_the_first_of_a_failing_run_stays(tmp_path: Path) -> None:
    loop = [_take(tmp_path, why="deploy", keep=1) for _ in range(4)]
    assert list_snapshots(tmp_path) == (loop[-1], loop[0])


def _at(revision: str) -> DatabaseState:
    return STATE._replace(version_rows=(revision,))


def test_no_space(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        pytest.fail("the space is looked at before")

    with pytest.raises(SnapshotFailed) as caught:
        _take(tmp_path / "s", needs=10**15, write=write)
    assert "1,050,000,000,000,000 bytes" in caught.value.message
    assert f'in "{tmp_path}/s", but only ' in caught.value.message
    assert "SAFEMIGRATE_SNAPSHOTS" in (caught.value.hint or "")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SnapshotFailed("pg_dump is missing")])
def test_a_failed_write_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        path.with_name(path.name + ".part").write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        _take(tmp_path, write=write)
    assert names_in(tmp_path) == []


def test_a_size_limit(open_folder: Path) -> None:
    def attempt() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            _take(open_folder / "s", b"x" * 5000)
        except SnapshotFailed as error:
            return f"{error.message} {names_in(open_folder / 's')}"
        return "taken"

    assert as_nobody(attempt) == (
        f"No snapshot could be written to \"{open_folder}/s\": File too large. ['.gitignore']"
    )


def test_a_folder_that_cannot_be_written(open_folder: Path) -> None:
    open_folder.chmod(0o555)

    def attempt() -> str:
        try:
            _take(open_folder / "s")
        except SnapshotFailed as error:
            return f"{error.message} {error.hint}"
        return "taken"

    said = as_nobody(attempt)
    open_folder.chmod(0o755)
    assert said.startswith(f'No snapshot could be written to "{open_folder}/s": Permission denied')
    assert "SAFEMIGRATE_SNAPSHOTS" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_folder_that_cannot_be_read(open_folder: Path) -> None:
    _take(open_folder / "s")

    def attempt() -> str:
        try:
            return str(list_snapshots(open_folder / "s"))
        except SnapshotFailed as error:
            return error.message

    assert as_nobody(attempt) == (
        f'The snapshots in "{open_folder}/s" cannot be read: Permission denied.'
    )


def test_a_killed_process_leaves_no_snapshot_and_the_next_cleans_up(tmp_path: Path) -> None:
    killed = python(
        """
        import sys, time
        from pathlib import Path
        from tests.backends.test_snapshots import _take
        def write(path):
            path.write_bytes(b"half")
            print("half", flush=True)
            time.sleep(60)
        _take(Path(sys.argv[1]), write=write)
        """,
        tmp_path,
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "half\n"
    assert list_snapshots(tmp_path) == ()
    (left,) = names_in(tmp_path)
    other = _take(tmp_path)
    assert left in names_in(tmp_path), "its process is alive"
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    _take(tmp_path)
    assert left not in names_in(tmp_path)
    assert other in list_snapshots(tmp_path)


def test_what_other_machines_left_goes_after_a_day(tmp_path: Path) -> None:
    taken = _take(tmp_path)
    orphan = tmp_path / f"2020{taken.id[4:]}.db"
    foreign = tmp_path / f".tmp-another-host-1-{taken.id}.db"
    mine = tmp_path / "2020.db"
    for path in (orphan, foreign, mine):
        path.write_bytes(b"x")
    _take(tmp_path)
    assert orphan.exists()
    assert foreign.exists()
    old = time.time() - snapshots.STALE_SECONDS - 10
    for path in (orphan, foreign, mine, Path(taken.path), Path(taken.path + ".json")):
        os.utime(path, (old, old))
    _take(tmp_path)
    assert not orphan.exists()
    assert not foreign.exists()
    assert mine.exists()
    assert taken in list_snapshots(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
@pytest.mark.parametrize("made_by", ["nobody", "everybody", "link"])
def test_a_folder_that_somebody_else_made_is_refused(open_folder: Path, made_by: str) -> None:
    open_folder.chmod(0o1777)
    database = open_folder / "app.db"
    database.write_bytes(b"secret")
    database.chmod(0o600)
    folder = open_folder / ".safemigrate"
    if made_by == "everybody":
        folder.mkdir()
        folder.chmod(0o777)
    elif made_by == "nobody":
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
    else:
        (open_folder / "elsewhere").mkdir()
        folder.symlink_to(open_folder / "elsewhere")
    state = STATE._replace(location=str(database))
    with pytest.raises(Refused, match="cannot be trusted") as caught:
        _take(folder, state=state)
    assert f"ls -ld {folder}" in str(caught.value.hint)
    assert names_in(folder) == []
    with pytest.raises(Refused):
        list_snapshots(folder, database=database)
    # The owner of the database is another matter.
    os.chown(database, NOBODY, NOBODY)
    if made_by == "nobody":
        taken = _take(folder, state=state)
        assert {p.stat().st_uid for p in folder.iterdir()} == {NOBODY}
        assert list_snapshots(folder, database=database) == (taken,)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_a_planted_snapshot_is_none(open_folder: Path) -> None:
    database = open_folder / "app.db"
    database.write_bytes(b"")
    folder = open_folder / ".safemigrate"
    taken = _take(folder, state=STATE._replace(location=str(database)))
    os.chown(taken.path, NOBODY, NOBODY)
    assert list_snapshots(folder, database=database) == ()
    os.chown(taken.path, 0, 0)
    assert list_snapshots(folder, database=database) == (taken,)
    content = Path(taken.path)
    content.rename(open_folder / "elsewhere")
    content.symlink_to(open_folder / "elsewhere")
    assert list_snapshots(folder, database=database) == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_root_writes_through_no_link_of_the_folders_owner(open_folder: Path) -> None:
    """A stand-in for inotify: the name is a link at the moment when the copy is to be written."""
    secret = open_folder / "secret"
    secret.write_bytes(b"root's own")
    secret.chmod(0o600)
    data = open_folder / "data"
    data.mkdir()
    database = data / "app.db"
    database.write_bytes(b"content")
    for path in (data, database):
        os.chown(path, NOBODY, NOBODY)
    folder = data / ".safemigrate"
    seen: list[Path] = []

    def write(path: Path) -> None:
        seen.append(path)
        (folder / path.name).symlink_to(secret)
        path.write_bytes(b"copy")

    with pytest.raises(SnapshotFailed, match="File exists"):
        _take(folder, state=STATE._replace(location=str(database)), write=write)
    assert not seen[0].is_relative_to(data)
    assert not seen[0].exists()
    assert secret.read_bytes() == b"root's own"
    assert secret.stat().st_uid == 0
    taken = _take(folder, state=STATE._replace(location=str(database)))
    assert Path(taken.path).stat().st_uid == NOBODY
    with in_use(taken) as path:
        assert not path.is_relative_to(data)
        assert path.read_bytes() == b"data"
    assert not path.exists()


def test_what_was_put_in_the_place_of_a_new_file_gets_no_other_name(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with private.folder(tmp_path / ".safemigrate") as place:
        file = private.create(place, "new")
        (tmp_path / ".safemigrate/new").unlink()
        (tmp_path / ".safemigrate/new").symlink_to(secret)
        with pytest.raises(OSError, match="something else in the place of new"):
            private.rename(place, file, "new", "taken")
    assert names_in(tmp_path / ".safemigrate") == [".gitignore"]
    assert secret.read_bytes() == b"secret"


def test_a_folder_that_a_mount_opened_to_a_group_is_closed_again(tmp_path: Path) -> None:
    folder = tmp_path / ".safemigrate"
    taken = _take(folder)
    folder.chmod(0o2770)
    assert list_snapshots(folder) == (taken,)
    assert stat.S_IMODE(folder.stat().st_mode) & 0o022 == 0
