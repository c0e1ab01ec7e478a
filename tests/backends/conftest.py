from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a child process of another user can enter."""
    # pytest's own folders are closed to others, and several processes of pytest share them.
    folder = Path(tempfile.mkdtemp(prefix="safemigrate-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)
