"""`make demo`: upgrade a populated database safely, prove it, then watch plain Flask-Migrate.

Ends with 1 when the safe upgrade lost anything.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "example_app"
FOLDER = ROOT / "build" / "demo"
EARLY = "2a7be04c51f8"
NEW_NAMES = ("shelfmark", "kind_id")
PAGES = ["/", "/books/", "/members/"]
TABLES = ("branch", "author", "book", "copy", "member", "loan", "reservation")

console = Console(width=80, highlight=False)


@dataclass(frozen=True)
class Fact:
    """Something that is so in a database before an upgrade and must be so after it."""

    what: str
    value: str


def main() -> int:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    safe, plain = FOLDER / "library.db", FOLDER / "plain.db"

    console.rule("[bold]Flask-SafeMigrate, a guided tour")
    say(
        "A lending library keeps its data in SQLite, with foreign keys enforced. Its code\n"
        "is ten revisions ahead of its database: a column dropped, constraints added, a\n"
        "type changed, a data migration, two heads merged. First, that database:\n"
    )
    flask(plain, "db", "upgrade", EARLY, plain=True, quiet=True)
    flask(plain, "populate", plain=True)
    shutil.copy(plain, safe)
    before = facts(safe)

    step(1, "Is anything wrong?", "Every finding has a code and a hint.")
    flask(safe, "db", "doctor", fails=True)
    step(2, "Where do we stand?")
    flask(safe, "db", "status")
    step(3, "What would happen?", "A rehearsal on a copy. The database itself is not touched.")
    flask(safe, "db", "safe-upgrade", "--dry-run")
    if facts(safe) != before:
        sys.exit("The rehearsal changed the database.")
    step(4, "Do it", "One transaction, verified before COMMIT: ten revisions or none.")
    flask(safe, "db", "safe-upgrade", "--yes")
    step(5, "Was anything lost?")
    after = facts(safe)
    show(["what", "before", "after"], [before, after], everything=True)

    step(6, "The same revisions by plain flask db upgrade, on a copy")
    flask(plain, "db", "upgrade", plain=True, quiet=True)
    flask(plain, "db", "check", plain=True, quiet=True)
    say("Exit code 0, and the schema is what the models want. But the data:")
    step(7, "Side by side: what plain upgrade lost")
    stock = facts(plain)
    answers = [[Fact(f"GET {page}", "200 OK") for page in PAGES], pages(safe), pages(plain)]
    show(
        ["what", "before", "safe-upgrade", "plain upgrade"],
        [a + b for a, b in zip([before, after, stock], answers, strict=True)],
        everything=False,
    )

    if after != before or answers[1] != answers[0]:
        sys.exit("The safe upgrade lost something: see the tables above.")
    say("Nothing was lost by safe-upgrade. The way back is there as well:\n")
    flask(safe, "db", "snapshots")
    say(
        "\nTo look at the library:\n"
        f"  cd example_app\n  export LIBRARY_DATABASE_URL=sqlite:///{safe}\n"
        "  ../.venv/bin/flask --app library run"
    )
    return 0


def show(titles: list[str], columns: list[list[Fact]], *, everything: bool) -> None:
    """A row per fact, marked where it is not what the first column says."""
    table = Table(*titles, box=box.SIMPLE_HEAD, width=80)
    for facts in zip(*columns, strict=True):
        first = facts[0]
        if everything or any(fact != first for fact in facts):
            table.add_row(first.what, first.value, *(mark(first, fact) for fact in facts[1:]))
    console.print(table)


def facts(database: Path) -> list[Fact]:
    """Measure `database`. What has to be tried out is tried on a copy in memory."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(":memory:")) as db:
        source.backup(db)
        db.isolation_level = None
        db.execute("PRAGMA foreign_keys=ON")
        shelf, kind = ("shelf", "kind") if has_column(db, "copy", "shelf") else NEW_NAMES
        member = f"INSERT INTO member (name, email, joined, {kind}) VALUES ('Jo', "
        copy = f"INSERT INTO copy (book_id, {shelf}, times_lent) VALUES (1, 'A', -1)"
        return [
            *(Fact(f"rows of {table}", count(db, table)) for table in TABLES),
            Fact("copies with a branch", count(db, "copy", "branch_id IS NOT NULL")),
            Fact("members with a branch", count(db, "member", "home_branch_id IS NOT NULL")),
            Fact("first member joined", f"{one(db, 'SELECT min(joined) FROM member')}"),
            Fact("rows of view open_loans", count(db, "open_loans")),
            Fact(
                "trigger keeps an audit",
                tried(
                    db,
                    "UPDATE member SET email = 'new@x.org' WHERE id = 1",
                    "SELECT CASE count(*) WHEN 0 THEN 'no' ELSE 'yes' END FROM member_audit",
                ),
            ),
            Fact(
                "emails ignore case",
                tried(
                    db,
                    f"{member} 'jo@x.org', '2024-03-01', 1), ('Jo', 'JO@X.ORG', '2024-03-01', 1)",
                    "SELECT 'no'",
                    refused="yes",
                ),
            ),
            Fact("CHECK against -1 loans", tried(db, copy, "SELECT 'gone'", refused="holds")),
            Fact(
                "next card number",
                tried(
                    db,
                    f"{member} 'kim@x.org', '2024-03-01', 1)",
                    "SELECT printf('%,d', max(id)) FROM member",
                ),
            ),
        ]


def tried(db: sqlite3.Connection, statement: str, question: str, refused: str = "refused") -> str:
    """Run `statement`, ask `question`, take both back; `refused` if a constraint forbids it."""
    db.execute("BEGIN")
    try:
        db.execute(statement)
        return str(one(db, question))
    except sqlite3.IntegrityError:
        return refused
    finally:
        db.execute("ROLLBACK")


def count(db: sqlite3.Connection, table: str, condition: str = "1") -> str:
    return f"{one(db, f'SELECT count(*) FROM {table} WHERE {condition}'):,}"


def one(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]


def has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    return column in [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def pages(database: Path) -> list[Fact]:
    """How the app answers on `database`, one verdict per page."""
    code = (
        "from library import create_app; client = create_app().test_client();"
        f"print(*(client.get(page).status_code for page in {PAGES}))"
    )
    done = run([sys.executable, "-c", code], database, plain=True)
    return [
        Fact(f"GET {page}", "200 OK" if status == "200" else f"{status} Error")
        for page, status in zip(PAGES, done.stdout.split(), strict=True)
    ]


def flask(
    database: Path,
    *arguments: str,
    plain: bool = False,
    quiet: bool = False,
    fails: bool = False,
) -> None:
    """Show the command, run it, stop the tour when it fails although it may not (`fails`).

    quiet: leave out the lines that Alembic logs.
    """
    console.print(f"[bold]$ flask {' '.join(arguments)}", soft_wrap=True)
    command = [sys.executable, "-m", "flask", *arguments]
    if quiet:
        done = run(command, database, plain)
        news = [line for line in done.stderr.splitlines() if not line.startswith("INFO ")]
        for line in [*done.stdout.splitlines(), *news]:
            console.print(line, markup=False)
    else:
        done = subprocess.run(command, cwd=APP, env=environment(database, plain), check=False)
    if done.returncode and not fails:
        sys.exit(f"flask {' '.join(arguments)} ended with {done.returncode}\n{done.stderr or ''}")
    if quiet or done.returncode:
        console.print(f"(exit code {done.returncode})", style="dim")


def run(command: list[str], database: Path, plain: bool) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=APP,
        env=environment(database, plain),
        capture_output=True,
        text=True,
        check=False,
    )


def environment(database: Path, plain: bool) -> dict[str, str]:
    own = {
        "FLASK_APP": "library",
        "LIBRARY_DATABASE_URL": f"sqlite:///{database}",
        "COLUMNS": "80",
        "PYTHONDONTWRITEBYTECODE": "1",
        "EXAMPLE_PLAIN": "1" if plain else "",
    }
    return os.environ | own


def mark(old: Fact, new: Fact) -> str:
    return f"[green]{new.value}" if old == new else f"[red]{new.value} ✗"


def step(number: int, title: str, text: str = "") -> None:
    console.print()
    console.rule(f"[bold]{number}. {title}", align="left")
    if text:
        say(text)


def say(text: str) -> None:
    console.print(text, soft_wrap=True)  # what is to be pasted stays one line


if __name__ == "__main__":
    sys.exit(main())
