from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that a child process of another user can enter."""
    folder = tmp_path_factory.mktemp("open")
    before = []
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            before.append((parent, parent.stat().st_mode))
            parent.chmod(0o755)
    folder.chmod(0o777)
    yield folder
    for parent, mode in before:
        parent.chmod(mode)
