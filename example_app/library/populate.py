"""Rows for the demo: a library of some 52,000 rows, as it was at revision 2a7be04c51f8.

The same rows every time. They are written through the tables that the database has, not through
the models, because the models are ten revisions ahead of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy import Connection, MetaData, insert

from library.extensions import db

BRANCHES, AUTHORS, BOOKS, COPIES = 8, 600, 4_000, 10_000
MEMBERS, LEFT, LOANS, RESERVATIONS = 5_000, 10, 30_000, 2_500
TODAY = date(2024, 3, 1)

FIRST = [
    "Ada",
    "Bruno",
    "Carla",
    "Dinis",
    "Elsa",
    "Fabio",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kim",
    "Lena",
    "Marco",
    "Nora",
    "Otto",
]
LAST = [
    "Almeida",
    "Berg",
    "Costa",
    "Duarte",
    "Evers",
    "Faria",
    "Gomes",
    "Hahn",
    "Ivens",
    "Jansen",
    "Klein",
    "Lopes",
    "Moss",
]
NOUN = [
    "Harbour",
    "Orchard",
    "Winter",
    "River",
    "Lantern",
    "Atlas",
    "Clock",
    "Garden",
    "Island",
    "Letter",
    "Mirror",
]
ADJECTIVE = [
    "Silent",
    "Borrowed",
    "Hidden",
    "Last",
    "Crooked",
    "Golden",
    "Distant",
    "Northern",
    "Paper",
    "Second",
]
CITY = ["Porto", "Braga", "Aveiro", None, "Coimbra", "Viseu", None, "Faro"]

Rows = list[dict[str, Any]]


def early_rows() -> Iterator[tuple[str, Rows]]:
    """Table name and rows, parents before children."""
    random = Random(2024)

    def name() -> str:
        return f"{random.choice(FIRST)} {random.choice(LAST)}"

    def day(last_days: int) -> date:
        return TODAY - timedelta(days=random.randrange(last_days))

    yield (
        "branch",
        [{"id": n + 1, "name": f"{NOUN[n]} Library", "city": CITY[n]} for n in range(BRANCHES)],
    )
    yield "author", [{"id": n + 1, "name": name()} for n in range(AUTHORS)]
    yield (
        "book",
        [
            {
                "id": n + 1,
                "author_id": random.randrange(AUTHORS) + 1,
                "title": f"The {random.choice(ADJECTIVE)} {random.choice(NOUN)}, vol. {n % 9 + 1}",
                "isbn": f"978{n:010d}",
            }
            for n in range(BOOKS)
        ],
    )
    yield (
        "copy",
        [
            {
                "id": n + 1,
                "book_id": n % BOOKS + 1,
                "branch_id": random.randrange(BRANCHES) + 1,
                "shelf": f"{random.choice('ABCDEF')}-{random.randrange(40)}-{n % 100:02d}",
                "times_lent": random.randrange(60),
            }
            for n in range(COPIES)
        ],
    )
    yield (
        "member",
        [
            {
                "id": n + 1,
                "name": (who := name()),
                "email": f"{who.replace(' ', '.')}.{n + 1}@example.org",
                "joined": day(3650).isoformat(),
                "kind": random.choices(["adult", "child", "student"], [6, 3, 1])[0],
                "fax": None,
                "home_branch_id": random.randrange(BRANCHES) + 1,
            }
            for n in range(MEMBERS + LEFT)
        ],
    )
    loans = []
    for n in range(LOANS):
        lent_on = day(700)
        returned = n % 12 and lent_on + timedelta(days=random.randrange(1, 40))
        loans.append(
            {
                "id": n + 1,
                "copy_id": random.randrange(COPIES) + 1,
                "member_id": random.randrange(MEMBERS) + 1,
                "lent_on": lent_on,
                "due_on": lent_on + timedelta(days=28),
                "returned_on": returned or None,
            }
        )
    yield "loan", loans
    yield (
        "reservation",
        [
            {
                "id": n + 1,
                "book_id": random.randrange(BOOKS) + 1,
                "member_id": random.randrange(MEMBERS) + 1,
                "made_at": datetime.combine(day(60), datetime.min.time()),
            }
            for n in range(RESERVATIONS)
        ],
    )


def populate(connection: Connection) -> int:
    """Insert the rows into the empty tables of the early revision; return their number."""
    metadata = MetaData()
    metadata.reflect(connection)
    total = 0
    for table, rows in early_rows():
        connection.execute(insert(metadata.tables[table]), rows)
        total += len(rows)
    # The newest members have left again: their card numbers must not be given out anew.
    member = metadata.tables["member"]
    connection.execute(member.delete().where(member.c.id > MEMBERS))
    return total - LEFT


@click.command("populate")
@with_appcontext
def populate_command() -> None:
    """Fill a database that is at revision 2a7be04c51f8."""
    with db.engine.begin() as connection:
        total = populate(connection)
    click.echo(f"{total:,} rows written.")
