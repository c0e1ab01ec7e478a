"""Which of our files one change of a table passes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import flask_safemigrate
from tests.alembic_bridge.sqlite_run import Done, seed, upgrade

_HERE = Path(flask_safemigrate.__file__).parent
_ROOMS = ("alembic_bridge/sqlite/", "alter/", "ddl/")


def walk(path: Path, body: str) -> tuple[Done, list[str]]:
    """What a revision did, and the files whose functions ran for it, in the order of the walk."""
    codes: dict[object, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        # What a module does while it is imported is no step of the walk.
        if event == "call" and frame.f_code.co_name != "<module>":
            codes.setdefault(frame.f_code.co_filename)

    upgrade(path, "pass")
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        done = upgrade(path, body)
    finally:
        sys.setprofile(before)
    files = [
        Path(str(name)).relative_to(_HERE).as_posix()
        for name in codes
        if Path(str(name)).is_relative_to(_HERE)
    ]
    return done, [name for name in files if name.startswith(_ROOMS)]


def test_one_change_of_a_column_passes_few_files(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(5)); INSERT INTO t VALUES (1, 'x')",
    )
    done, files = walk(path, "op.alter_column('t', 'a', type_=sa.String(9), nullable=False)")
    assert done.way("t") == "schema edit"
    assert len(files) <= 28, files
    assert {name.rpartition("/")[0] for name in files} == {
        "alembic_bridge/sqlite",
        "alter",
        "alter/queue",
        "alter/apply",
        "ddl",
    }
