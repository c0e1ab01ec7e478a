"""Draw the README's picture from what `flask db safe-upgrade` prints on the demo's database."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "example_app"
FOLDER = ROOT / "build" / "picture"
PICTURE = ROOT / "docs" / "_static" / "safe-upgrade.svg"
WIDTH = 92
PARTS = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\r\n\x1b]+")


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    database = FOLDER / "library.db"
    plain = {"EXAMPLE_PLAIN": "1"}
    flask(database, "db", "upgrade", "2a7be04c51f8", env=plain)
    flask(database, "populate", env=plain)
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print("[bold]$ flask db safe-upgrade --yes[/]")
    output = on_a_terminal(database, "db", "safe-upgrade", "--yes")
    console.print(Text.from_ansi(output.replace(str(FOLDER), "instance")))
    PICTURE.parent.mkdir(exist_ok=True)
    console.save_svg(str(PICTURE), title="Flask-SafeMigrate", unique_id="safemigrate")


def flask(database: Path, *arguments: str, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "flask", *arguments]
    environment = os.environ | environment_of(database) | env
    subprocess.run(command, cwd=APP, env=environment, check=True, stderr=subprocess.DEVNULL)


def environment_of(database: Path) -> dict[str, str]:
    return {
        "FLASK_APP": "library",
        "LIBRARY_DATABASE_URL": f"sqlite:///{database}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": str(WIDTH),
        "LINES": "60",
        "TERM": "xterm-256color",
    }


def on_a_terminal(database: Path, *arguments: str) -> str:
    """What a person would be left with on the screen."""
    master, slave = pty.openpty()
    environment = os.environ | environment_of(database)
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "flask", *arguments]
    with subprocess.Popen(
        command, cwd=APP, env=environment, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        output = b"".join(iter(lambda: read(master), b""))
    os.close(master)
    if process.returncode:
        sys.exit(
            f"flask {' '.join(arguments)} ended with {process.returncode}:\n{output.decode()}"
        )
    return screen(output.decode())


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO when the other side of a terminal is closed.
        return b""


def screen(output: str) -> str:
    """Apply what a live display does to the lines above it: up, erase, return."""
    lines = [""]
    row = 0
    for part in PARTS.findall(output):
        if part == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif part.endswith("A") and part.startswith("\x1b["):
            row = max(row - int(part[2:-1] or 1), 0)
        elif part.endswith("K") and part.startswith("\x1b["):
            lines[row] = ""
        elif part.startswith("\x1b[?") or part == "\r":
            continue
        else:
            lines[row] += part
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    main()
