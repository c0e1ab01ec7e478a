"""Build the wheel, install it into a clean environment, and use it there on a small new app."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

APP = """\
from flask import Flask
from flask_safemigrate import SafeMigrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
migrate = SafeMigrate()


class Note(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.String(80))


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///notes.db"
    db.init_app(app)
    migrate.init_app(app, db)
    return app
"""

# A user's first minutes: each command and what its output must contain.
STEPS = [
    (["init"], ""),
    (["migrate", "-m", "notes"], ""),
    (["status"], "notes"),
    (["safe-upgrade", "--yes"], ""),
    (["status", "--check"], ""),
    (["deploy"], ""),
]


def main() -> None:
    shutil.rmtree(ROOT / "build" / "wheel", ignore_errors=True)
    wheels = ROOT / "build" / "wheel"
    run([sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "-w", str(wheels), str(ROOT)])
    (wheel,) = wheels.glob("*.whl")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run([sys.executable, "-m", "venv", str(folder / "venv")])
        python = folder / "venv" / "bin" / "python"
        run([str(python), "-m", "pip", "install", "-qq", str(wheel)])
        (folder / "notes.py").write_text(APP, encoding="utf-8")
        environment = {"PATH": os.environ["PATH"], "HOME": name, "LC_ALL": "C.UTF-8"}
        for arguments, expected in STEPS:
            command = [str(python), "-m", "flask", "--app", "notes", "db", *arguments]
            output = run(command, cwd=folder, env=environment)
            if expected not in output:
                sys.exit(f"flask db {' '.join(arguments)} did not say {expected!r}:\n{output}")
    print(f"{wheel.name}: installed alone, {len(STEPS)} commands ran.")


def run(command: list[str], **options: object) -> str:
    done = subprocess.run(  # type: ignore[call-overload]
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return str(done.stdout)


if __name__ == "__main__":
    main()
