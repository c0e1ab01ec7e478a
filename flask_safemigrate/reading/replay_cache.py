"""What replays found, kept on disk by what they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flask_safemigrate.backends import private
from flask_safemigrate.errors import Refused
from flask_safemigrate.facts.comparison import Fact, Facts, ReplayedHistory
from flask_safemigrate.project.files import read_file

#: Files of the cache that are kept; the oldest go.
KEEP = 12
_FORMAT = 2


def key_of(parts: Iterable[str]) -> str:
    """Return a name for everything that a result depends on."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part.encode("utf-8", "surrogateescape")).digest())
    return total.hexdigest()[:32]


class ReplayCache:
    """A folder of results; one that cannot be read or written is none.

    :param folder: ``.safemigrate`` of the project; git ignores it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, key: str) -> Path:
        return self.folder / "replay" / f"{key}.json"

    def _load(self, key: str) -> Any:
        try:
            content = json.loads(read_file(self._path(key)))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and content.get("format") == _FORMAT else None

    def _save(self, key: str, content: Mapping[str, object]) -> None:
        path = self._path(key)
        # A folder that root makes in somebody else's project would lock its owner out.
        if not self.folder.exists() and not private.is_safe_by_name(self.folder.parent):
            return
        with contextlib.suppress(OSError, Refused):
            project = self.folder.parent
            owner = private.owner_of(project)
            with (
                private.folder(self.folder, like=project) as ours,
                private.inner_folder(ours, path.parent.name, owner=owner) as folder,
            ):
                text = json.dumps({"format": _FORMAT, **content})
                private.write(folder, path.name, text.encode(), owner)
                kept = [name for name in private.names(folder) if name.endswith(".json")]
                kept.sort(key=lambda name: private.facts(folder, name).st_mtime)
                for old in kept[:-KEEP]:
                    private.remove(folder, old)

    def replay(self, key: str) -> ReplayedHistory | None:
        """The replay of that key, None where there is none."""
        content = self._load(key)
        try:
            return content and ReplayedHistory(
                {
                    id: {Fact(*row[:3]): (row[3], row[4]) for row in rows}
                    for id, rows in content["changes"]
                },
                _facts(content["names"]),
                stands=tuple(content["stands"]),
                types=tuple(content["types"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def save_replay(self, key: str, replay: ReplayedHistory) -> None:
        """Keep a replay that went through."""
        changes = [
            [id, [[*fact, *values] for fact, values in facts.items()]]
            for id, facts in replay.changes.items()
        ]
        content = {"changes": changes, "names": _rows(replay.names)}
        self._save(key, {**content, "stands": replay.stands, "types": replay.types})

    def facts(self, key: str) -> Facts | None:
        """The schema of that key, None where there is none."""
        content = self._load(key)
        try:
            return content and Facts(_facts(content["values"]), _facts(content["names"]))
        except (KeyError, TypeError, ValueError):
            return None

    def save_facts(self, key: str, facts: Facts) -> None:
        """Keep a schema."""
        self._save(key, {"values": _rows(facts.values), "names": _rows(facts.names)})


def _rows(values: Mapping[Fact, str]) -> list[list[str]]:
    return [[*fact, value] for fact, value in values.items()]


def _facts(rows: Iterable[list[str]]) -> dict[Fact, str]:
    return {Fact(*row[:3]): row[3] for row in rows}
