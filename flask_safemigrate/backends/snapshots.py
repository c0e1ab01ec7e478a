"""The store of snapshots: files and their manifests in one folder, the same for all dialects."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import takewhile
from pathlib import Path

from flask_safemigrate.backends import file_locks, private
from flask_safemigrate.backends.tools import is_gone, private_folder
from flask_safemigrate.errors import SnapshotFailed
from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.outcome import Snapshot

#: What must stay free beside the snapshot: a twentieth of it, and no less than this many bytes.
MARGIN_BYTES = 16 * 1024 * 1024
#: Seconds after which what a killed process of another machine left behind is removed.
STALE_SECONDS = 24 * 3600
_ID = re.compile(r"\d{8}T\d{12}Z(-[\w.]+)?-[0-9a-f]{6}")
_TEMPORARY = ".tmp-"
_MANIFEST = ".json"
#: Commands that leave the database at another revision, unless they fail.
_RUNS = ("deploy", "safe-upgrade", "safe-downgrade", "upgrade", "downgrade")
_FORMAT = 1


def folder_for(snapshots: str, beside: Path) -> Path:
    """Return the folder of the snapshots.

    :param snapshots: the setting; "" is ``.safemigrate`` in the folder given.
    :param beside: folder of the database file, or the instance folder for servers.
    """
    if snapshots:
        return Path(os.path.abspath(Path(snapshots).expanduser()))
    return Path(os.path.abspath(beside)) / private.FOLDER_NAME


def new_snapshot(
    folder: Path,
    state: DatabaseState,
    write: Callable[[Path], None],
    *,
    suffix: str,
    needs: int | None,
    why: str,
    app: str,
) -> Snapshot:
    """Take a snapshot. Older ones go later, by :func:`prune`: until the work is done that this
    one was taken for, each of them may be the way back.

    :param state: the database as it was read just before.
    :param write: writes the copy to a path that does not exist.
    :param needs: bytes that the copy is expected to take, None where unknown.
    :raises SnapshotFailed: no space, or the folder or file cannot be written. Whatever ``write``
        raises goes through. In both cases nothing is left.
    """
    database = database_file(state)
    try:
        with private.folder(folder, like=database, parents=True) as place:
            _remove_leftovers(place)
            _check_space(folder, needs)
            return _write(
                folder, place, state, write, suffix=suffix, why=why, app=app, needs=needs
            )
    except OSError as error:
        raise SnapshotFailed(
            f'No snapshot could be written to "{folder}": {error.strerror or error}.',
            hint=f"ls -ld '{folder}'; df -h '{folder}'  "
            "# or set SAFEMIGRATE_SNAPSHOTS to a folder that can be written",
        ) from error


def database_file(state: DatabaseState) -> Path | None:
    """The file of an SQLite database, to whose owner its snapshots belong."""
    return Path(state.location) if state.dialect == "sqlite" else None


def _write(
    folder: Path,
    place: private.Folder,
    state: DatabaseState,
    write: Callable[[Path], None],
    *,
    suffix: str,
    why: str,
    app: str,
    needs: int | None,
) -> Snapshot:
    """Write the copy, then its manifest.

    :param place: the open folder.
    """
    now = datetime.now(timezone.utc)
    bind = re.sub(r"[^\w.]", "_", state.bind, flags=re.ASCII)
    token = secrets.token_hex(3)
    id = "-".join(part for part in (now.strftime("%Y%m%dT%H%M%S%fZ"), bind, token) if part)
    data = id + suffix
    temporary = f"{_TEMPORARY}{_host()}-{os.getpid()}-{id}{suffix}"
    owner = private.owner_of(database_file(state))
    try:
        file = _written(folder, place, temporary, write, owner, needs)
        try:
            checksum = _synced(file)
            size = os.fstat(file).st_size
        except BaseException:
            os.close(file)
            raise
        private.rename(place, file, temporary, data)
        snapshot = Snapshot(
            id=id,
            path=str(folder / data),
            bind=state.bind,
            dialect=state.dialect,
            database=state.location,
            revisions=tuple(state.version_rows or ()),
            size=size,
            checksum=checksum,
            created=now.isoformat(timespec="microseconds"),
            why=why,
            app=app,
        )
        # The manifest comes last: without it there is no snapshot. Paths change when a folder
        # is moved or mounted elsewhere, so it names the file only.
        content = {**snapshot._asdict(), "path": data, "format": _FORMAT}
        private.write_json(place, data + _MANIFEST, content, owner)
        private.sync(folder)
    except BaseException:
        left = [name for name in private.names(place) if name.startswith(temporary)]
        for name in (data + _MANIFEST, data, *left):
            with contextlib.suppress(OSError):
                private.remove(place, name)
        raise
    return snapshot


def _written(
    folder: Path,
    place: private.Folder,
    name: str,
    write: Callable[[Path], None],
    owner: tuple[int, int] | None,
    needs: int | None,
) -> int:
    """Let the copy be written; returns the descriptor of the file, which has this name then.

    Databases and programs write to a path. Where somebody else could change what a path leads
    to, they write to a folder of our own, and from there it is copied.
    """
    if private.is_safe_by_name(folder):
        write(folder / name)
        file = private.open_file(place, name, write=True)
        try:
            private.set_mode(file, 0o600)
            private.give(file, owner)
        except BaseException:
            os.close(file)
            raise
        return file
    with private_folder() as own:
        _check_space(own, needs)
        write(own / name)
        file = private.create(place, name)
        try:
            with (own / name).open("rb") as source, os.fdopen(os.dup(file), "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
            private.give(file, owner)
        except BaseException:
            os.close(file)
            raise
        return file


def _host() -> str:
    return re.sub(r"[^\w.]", "_", socket.gethostname(), flags=re.ASCII)


def _check_space(folder: Path, needs: int | None) -> None:
    wanted = (needs or 0) + max((needs or 0) // 20, MARGIN_BYTES)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise SnapshotFailed(
            f'A snapshot needs {wanted:,} bytes in "{folder}", but only {free:,} are free.',
            hint="free some space, or set SAFEMIGRATE_SNAPSHOTS to a folder on another disk",
        )


def _synced(file: int) -> str:
    """Force a file to disk, and return its checksum: one waits while the other computes."""
    with ThreadPoolExecutor(1) as pool:
        checksum = pool.submit(_checksum, file)
        os.fsync(file)
        return checksum.result()


def _checksum(file: int) -> str:
    digest = hashlib.sha256()
    os.lseek(file, 0, os.SEEK_SET)
    while block := os.read(file, 1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _remove_leftovers(place: private.Folder) -> None:
    """Remove what killed processes left: temporary files, and copies or manifests alone."""
    old = time.time() - STALE_SECONDS
    there = set(private.names(place))
    for name in there:
        with contextlib.suppress(OSError):
            stale = private.facts(place, name).st_mtime < old
            if name.startswith(_TEMPORARY):
                gone = stale or _maker_is_dead(name)
            else:
                other = name[: -len(_MANIFEST)] if name.endswith(_MANIFEST) else name + _MANIFEST
                gone = stale and _ID.match(name) is not None and other not in there
            if gone:
                private.remove(place, name)


def _maker_is_dead(name: str) -> bool:
    ours = re.match(rf"{re.escape(_TEMPORARY)}{re.escape(_host())}-(\d+)-", name)
    return ours is not None and is_gone(int(ours[1]))


def list_snapshots(
    folder: Path, *, database: Path | None = None, beside: str | None = None
) -> tuple[Snapshot, ...]:
    """Return every snapshot in a folder, newest first; none where there is no such folder.

    Files that are no snapshots of ours are passed over.

    :param database: the SQLite file, whose owner's snapshots are heeded when root asks.
    :param beside: the application beside whose SQLite files the folder always is. It is moved
        and mounted with them, so its snapshots belong to the files of these names, wherever the
        files were when they were taken. Another application's were put there by hand.
    :raises SnapshotFailed: the folder may not be read.
    :raises Refused: somebody else made it, or can write to it.
    """
    try:
        with private.opened(folder, like=database) as place:
            names = [name for name in private.names(place) if name.endswith(_MANIFEST)]
            ours = folder.name == private.FOLDER_NAME
            loaded = (_load(folder, place, name, database, ours=ours) for name in names)
            found = [s if s is None or s.app != beside else _moved(s) for s in loaded]
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise SnapshotFailed(
            f'The snapshots in "{folder}" cannot be read: {error.strerror}.',
            hint=f"ls -ld '{folder}'  # shows its owner; run as that user",
        ) from error
    return tuple(sorted((s for s in found if s is not None), key=lambda s: s.id, reverse=True))


def _load(
    folder: Path, place: private.Folder, manifest: str, database: Path | None, *, ours: bool
) -> Snapshot | None:
    try:
        text, facts = private.read(place, manifest)
        content = json.loads(text)
        if content.pop("format") != _FORMAT:
            return None
        name = Path(content["path"]).name
        revisions = tuple(map(str, content["revisions"]))
        snapshot = Snapshot(**{**content, "path": str(folder / name), "revisions": revisions})
        data = private.facts(place, name)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    whole = _ID.fullmatch(str(snapshot.id)) and name + _MANIFEST == manifest
    if not whole or not stat.S_ISREG(data.st_mode):
        return None
    if ours and not (private.is_ours(facts, database) and private.is_ours(data, database)):
        return None
    return snapshot


def _moved(snapshot: Snapshot) -> Snapshot:
    if snapshot.dialect != "sqlite":
        return snapshot
    now = Path(snapshot.path).parent.parent / Path(snapshot.database).name
    return snapshot._replace(database=str(now))


def find(folder: Path, name: str | None, *, among: Sequence[Snapshot] | None = None) -> Snapshot:
    """Find a snapshot by its id or the unique beginning of one.

    :param name: None or "" for the newest.
    :param among: the snapshots to choose from; all of the folder unless given.
    :raises SnapshotFailed: there is none, or more than one.
    """
    known = list_snapshots(folder) if among is None else among
    if not known:
        raise SnapshotFailed(
            f'There is no snapshot in "{folder}", so there is nothing to put back.',
            hint="take one before the next change: flask db snapshot, or on a server let every "
            'run take one: app.config["SAFEMIGRATE_SNAPSHOT_SERVERS"] = True',
        )
    if not name:
        return max(known, key=lambda s: s.id)
    found = [s for s in known if s.id == name] or [s for s in known if s.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SnapshotFailed(
            f"{len(found)} snapshots begin with '{name}': {_ids(found)}.",
            hint=f"flask db restore {found[0].id}",
        )
    raise SnapshotFailed(
        f"There is no snapshot '{name}' in \"{folder}\", only {_ids(known)}.",
        hint="flask db snapshots",
    )


def _ids(snapshots: Sequence[Snapshot]) -> str:
    shown = ", ".join(s.id for s in snapshots[:5])
    return shown if len(snapshots) <= 5 else f"{shown} and {len(snapshots) - 5} more"


def verify(snapshot: Snapshot) -> None:
    """Prove that the file of a snapshot is what was written: size and SHA-256.

    :raises SnapshotFailed: it is not.
    """
    try:
        with _opened(snapshot) as file:
            size = os.fstat(file).st_size
            problem = "" if size == snapshot.size else f"{size} bytes instead of {snapshot.size}"
            if not problem and _checksum(file) != snapshot.checksum:
                problem = "its SHA-256 differs from the one in its manifest"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise _damaged(snapshot, problem)


def _damaged(snapshot: Snapshot, problem: str) -> SnapshotFailed:
    return SnapshotFailed(
        f"Snapshot '{snapshot.id}' is damaged (\"{snapshot.path}\": {problem}).",
        hint="flask db snapshots  # and choose another one",
    )


@contextlib.contextmanager
def _opened(snapshot: Snapshot) -> Iterator[int]:
    path = Path(snapshot.path)
    file = private.open_file(private.Folder(path.parent, None), path.name)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError("no regular file")
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def in_use(snapshot: Snapshot) -> Iterator[Path]:
    """Keep every process of ours from removing a snapshot for the length of the block.

    By a shared lock on the file (flock(2)), which ends with the process, however that ends.

    :return: path of the file, or of a copy of it where somebody else could change what its path
        leads to.
    :raises SnapshotFailed: the file is gone, or is not what its manifest says.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(snapshot))
            # A folder that another machine serves may know no locks.
            with contextlib.suppress(OSError):
                file_locks.share(file)
            path = Path(snapshot.path)
            if not private.is_safe_by_name(path.parent):
                own = stack.enter_context(private_folder())
                _check_space(own, snapshot.size)
                path = own / path.name
                with os.fdopen(os.dup(file), "rb") as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
                    private.set_mode(sink.fileno(), 0o600)
                    # What is made anew of it gets its owner, too.
                    private.give(sink.fileno(), private.as_owned(os.fstat(file)))
                with path.open("rb") as copy:
                    if _checksum(copy.fileno()) != snapshot.checksum:
                        raise _damaged(snapshot, "it is changed while it is read")
        except OSError as error:
            raise _damaged(snapshot, error.strerror or str(error)) from error
        yield path


def prune(
    folder: Path,
    keep: int,
    *,
    pinned: Iterable[str] = (),
    of: Snapshot | None = None,
    database: Path | None = None,
    beside: str | None = None,
) -> tuple[Snapshot, ...]:
    """Remove the oldest snapshots of each database beyond a number.

    The newest one of a database is never removed, nor one that is :func:`in_use`, nor the first
    of those that a run which fails again and again takes each time: it is the way back to before
    the first failure. What such a run has taken since goes before anything older.

    :param keep: how many stay of one bind of one application and database.
    :param pinned: ids that stay in any case, on top of the number.
    :param of: only those of this snapshot's database.
    :param database: as for :func:`list_snapshots`, and so is ``beside``.
    :return: what was removed.
    """
    stay = frozenset(pinned)
    groups: dict[tuple[str, ...], list[Snapshot]] = {}
    for snapshot in list_snapshots(folder, database=database, beside=beside):
        key = _database_of(snapshot)
        if of is None or key == _database_of(of):
            groups.setdefault(key, []).append(snapshot)
    doomed = [
        snapshot
        for newest_first in groups.values()
        for snapshot in too_many(newest_first, max(keep, 1), stay)
    ]
    if not doomed:
        return ()
    with private.opened(folder, like=database) as place:
        return tuple(snapshot for snapshot in doomed if _remove(place, Path(snapshot.path).name))


def too_many(
    newest_first: Sequence[Snapshot], keep: int, pinned: frozenset[str]
) -> tuple[Snapshot, ...]:
    """Choose what goes of one database's snapshots; see :func:`prune`."""
    # A run that succeeds leaves another revision behind, so two that began at the same one have
    # failed in between.
    by_runs = [s for s in newest_first if s.why in _RUNS]
    repeated = list(takewhile(lambda s: s.revisions == by_runs[0].revisions, by_runs))
    first = {s.id for s in repeated[-1:] if len(repeated) > 1 or keep > 1}
    between = {s.id for s in repeated[1:-1]}
    stay = {newest_first[0].id, *pinned, *first}
    left = [s for s in newest_first if s.id not in stay]
    room = keep - len({newest_first[0].id, *first})
    order = [s for s in left if s.id not in between] + [s for s in left if s.id in between]
    return tuple(order[max(room, 0) :])


def _database_of(snapshot: Snapshot) -> tuple[str, ...]:
    return (snapshot.app, snapshot.dialect, snapshot.bind, snapshot.database)


def _remove(place: private.Folder, data: str) -> bool:
    """Remove the files, unless another process is putting them back."""
    with contextlib.ExitStack() as stack:
        file = private.open_file(place, data)
        stack.callback(os.close, file)
        try:
            file_locks.lock(file)
        except BlockingIOError:
            return False
        except OSError:
            pass  # this file system knows no locks
        if place.descriptor is None:
            stack.close()  # Windows removes no file that is open
        try:
            private.remove(place, data)
        except PermissionError:
            return False
        with contextlib.suppress(FileNotFoundError):
            private.remove(place, data + _MANIFEST)
    return True
