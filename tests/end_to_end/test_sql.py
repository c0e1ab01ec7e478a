"""``safe-upgrade --sql`` prints what can be run by the sqlite3 shell, to the same end."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess

import pytest

from tests.end_to_end.story import HEAD, tell
from tests.support.ledger import content
from tests.support.projects import ProjectFactory


@pytest.mark.parametrize("start", ["base", "r05"])
def test_the_script_does_what_the_upgrade_does(project: ProjectFactory, start: str) -> None:
    p = tell(project(config={"SAFEMIGRATE_JOURNAL": False}))
    if start != "base":
        assert p.db("safe-upgrade", start, "--yes").returncode == 0
    existed = p.database.exists()
    printed = p.db("safe-upgrade", "--sql")
    assert printed.returncode == 0, printed.stderr
    assert p.database.exists() == existed
    by_script = p.path / "by_script.db"
    if existed:
        shutil.copyfile(p.database, by_script)
    by_shell = p.path / "by_shell.db"
    if existed:
        shutil.copyfile(p.database, by_shell)
    connection = sqlite3.connect(by_script, isolation_level=None)
    connection.executescript(printed.stdout)
    connection.close()
    said = re.search(r"^-- For the shell: (.*) DATABASE$", printed.stdout, re.MULTILINE)
    if shutil.which("sqlite3") and said:
        for defensive, fails in (("on", True), ("off", False)):
            command = shlex.split(said[1].replace("defensive off", f"defensive {defensive}"))
            done = subprocess.run(
                [*command, str(by_shell)], input=printed.stdout, capture_output=True, text=True
            )
            assert bool(done.returncode) == fails, done.stderr
        assert content(f"sqlite:///{by_shell}") == content(f"sqlite:///{by_script}")
    assert p.db("safe-upgrade", "--yes").returncode == 0
    assert p.heads() == {HEAD}
    assert content(f"sqlite:///{by_script}") == content(p.url)
