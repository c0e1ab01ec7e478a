"""The cache of replays writes and removes nothing but its own files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flask_safemigrate.facts.comparison import Facts
from flask_safemigrate.reading.replay_cache import KEEP, ReplayCache


def test_the_oldest_go(tmp_path: Path) -> None:
    cache = ReplayCache(tmp_path / ".safemigrate")
    for number in range(KEEP + 2):
        cache.save_facts(f"k{number}", Facts({}, {}))
        os.utime(cache.folder / "replay" / f"k{number}.json", (number, number))
    cache.save_facts("last", Facts({}, {}))
    assert len(list((cache.folder / "replay").iterdir())) == KEEP
    assert cache.facts("k0") is None
    assert cache.facts("last") == Facts({}, {})


@pytest.mark.parametrize("link", ["replay", "."])
def test_a_link_is_not_followed(tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "replay").mkdir(parents=True)
    for folder in (elsewhere, elsewhere / "replay"):
        for number in range(KEEP + 2):
            (folder / f"{number}.json").write_text("somebody's")
    before = sorted(elsewhere.rglob("*"))
    cache = ReplayCache(tmp_path / ".safemigrate")
    if link == "replay":
        cache.folder.mkdir(0o700)
        (cache.folder / "replay").symlink_to(elsewhere)
    else:
        cache.folder.symlink_to(elsewhere)
    cache.save_facts("new", Facts({}, {}))
    assert sorted(elsewhere.rglob("*")) == before
