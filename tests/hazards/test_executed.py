"""The cases of the rules on real servers: the bad side hurts as is said, the good one does not."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from tests.hazards.test_rules import CASES, OUTSIDE, SQLITE, TABLES
from tests.support.servers import Databases

FAILS = ("SM603", "SM604", "SM620", "SM621", "SM622", "SM623", "SM624", "SM625", "SM626")
#: What PostgreSQL says at DEBUG1 when it reads or writes every row.
WORKS = re.compile(r"^(rewriting table|verifying table|building index|validating foreign key)")
SLOW = ("SM610", "SM611", "SM612", "SM613", "SM614", "SM615", "SM616")
LOSES = ("SM630", "SM631", "SM632", "SM633", "SM634", "SM635")
BREAKS = ("SM640", "SM641", "SM642")
ROWS = {
    "postgresql": """
        INSERT INTO small (id, name, m) VALUES (1, 'one', 'ok'), (2, 'twenty', 'sad');
        INSERT INTO big (id, name, amount, small_id, at)
            SELECT i, 'name ' || i, i + 0.25, 1, timestamp '2024-01-01' + i * interval '1 s'
            FROM generate_series(1, 200) i;
        INSERT INTO note VALUES (1, 2);
        INSERT INTO many (name) VALUES ('a');
    """,
    "mariadb": """
        INSERT INTO small (id, name) VALUES (1, 'one'), (2, 'twenty');
        INSERT INTO big (id, name, amount, small_id, kind, short, at)
            SELECT seq, concat('n', seq), seq + 0.25, 1, 'b', '\u540d', '2024-01-01'
            FROM seq_1_to_200;
        UPDATE big SET name = '\u540d\u524d' WHERE id = 3;
    """,
    "sqlite": """
        INSERT INTO small (id, name) VALUES (1, 'one'), (2, 'twenty');
        INSERT INTO big VALUES (1, 'a', 1.5), (2, 'b', 2.5);
    """,
}
INSERTS = {
    "postgresql": (
        "INSERT INTO small (id) VALUES (77)",
        "INSERT INTO big (id, name) VALUES (7777, 'n')",
        "INSERT INTO many (name) VALUES ('b')",
    ),
    "mariadb": ("INSERT INTO small (id) VALUES (77)", "INSERT INTO big (id) VALUES (7777)"),
    "sqlite": ("INSERT INTO small (id) VALUES (77)",),
}


def cases(dialect: str, codes: Sequence[str]) -> list[str]:
    return [name for (of, name), case in CASES.items() if of == dialect and case[0] in codes]


class Server:
    """A database with the tables and rows of the cases, made anew for each side."""

    def __init__(self, dialect: str, engine: sa.Engine) -> None:
        self.dialect, self.engine = dialect, engine
        self.empty()
        tables = SQLITE if dialect == "sqlite" else TABLES[dialect]
        self.run([each for text in (tables, ROWS[dialect]) for each in text.split(";")])

    def empty(self) -> None:
        """Take away what an earlier side left."""
        if self.dialect == "postgresql":
            for schema in ("attic", "public"):
                assert self.run([f"DROP SCHEMA IF EXISTS {schema} CASCADE"]) == ""
            assert self.run(["CREATE SCHEMA public"]) == ""
        elif self.dialect == "mariadb":
            with self.engine.connect() as connection:
                found = connection.exec_driver_sql("SHOW FULL TABLES").all()
            off = ["SET foreign_key_checks = 0"]
            for name, kind in found:
                what = "VIEW" if kind == "VIEW" else "TABLE"
                assert self.run([f"DROP {what} {name}"], off) == ""
        else:
            self.engine.dispose()

    def run(self, statements: Sequence[str], first: Sequence[str] = ()) -> str:
        """Run statements in one transaction, but for those outside; return the error."""
        statements = [each.strip() for each in statements if each.strip()]
        connection = self.engine.connect()
        try:
            for sql in first:
                connection.exec_driver_sql(sql)
            for sql in statements:
                outside = sql.startswith(OUTSIDE.strip())
                if outside:
                    connection.commit()
                    connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.exec_driver_sql(sql.replace("%", "%%"))
                if outside:
                    connection.commit()
                    connection.execution_options(
                        isolation_level=self.engine.dialect.default_isolation_level
                    )
            connection.commit()
        except sa.exc.DBAPIError as error:
            return str(error.orig)
        finally:
            connection.close()
        return ""

    def values(self) -> dict[tuple[str, str], list[str]]:
        """The values of every column that was there at first, missing ones left out."""
        found = {}
        for table, columns in {
            "small": ("id", "name", "m"),
            "big": ("id", "name", "amount", "at"),
            "note": ("id",),
        }.items():
            for column in columns:
                with self.engine.connect() as connection:
                    try:
                        rows = connection.exec_driver_sql(f"SELECT {column} FROM {table}")
                        found[table, column] = sorted(str(row[0]) for row in rows)
                    except sa.exc.DBAPIError:
                        continue
        return found

    def breaks(self) -> list[str]:
        """The statements of the running version that fail now."""
        reads = [
            f"SELECT {column} FROM {table}"
            for table, column in (("small", "name"), ("big", "name"), ("report", "amount"))
        ]
        return [sql for sql in (*INSERTS[self.dialect], *reads) if self.run([sql])]


Make = Callable[[str], Server]


@pytest.fixture(scope="module")
def make(module_databases: Databases) -> Iterator[Make]:
    engines: dict[str, sa.Engine] = {}

    def one(dialect: str) -> Server:
        if dialect == "sqlite":
            engines[dialect] = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
        elif dialect not in engines:
            url = module_databases.create({"mariadb": "mysql"}.get(dialect, dialect))
            engines[dialect] = sa.create_engine(url, poolclass=sa.pool.NullPool)
        if dialect == "mariadb" and not _is_mariadb(engines[dialect]):
            pytest.skip("the cases are MariaDB's")
        return Server(dialect, engines[dialect])

    yield one
    for engine in engines.values():
        engine.dispose()


def _is_mariadb(engine: sa.Engine) -> bool:
    with engine.connect() as connection:
        return "MariaDB" in str(connection.exec_driver_sql("SELECT version()").scalar())


def both(dialect: str, codes: Sequence[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", cases(dialect, codes))


@pytest.mark.parametrize(
    ("dialect", "name"),
    [(d, n) for d in ("postgresql", "mariadb") for n in cases(d, FAILS)],
)
def test_it_fails(make: Make, dialect: str, name: str) -> None:
    _, _, bad, good = CASES[dialect, name]
    assert make(dialect).run(bad) != ""
    assert make(dialect).run(good) == ""


def notices_of(connection: sa.Connection) -> list[str]:
    """What the server tells from now on."""
    told: list[str] = []
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "add_notice_handler"):  # psycopg
        driver.add_notice_handler(lambda notice: told.append(notice.message_primary))
        return told

    def note(notice: Any) -> None:
        # pg8000 has the fields of the protocol, psycopg2 "DEBUG:  " before the words.
        fields = isinstance(notice, dict)
        told.append(notice[b"M"].decode() if fields else notice.partition(":")[2].strip())

    # No list, for SQLAlchemy empties one.
    driver.notices = SimpleNamespace(append=note)
    return told


@both("postgresql", SLOW)
def test_every_row_is_worked_on_under_the_lock(make: Make, name: str) -> None:
    _, _, bad, good = CASES["postgresql", name]

    def said(statements: Sequence[str]) -> list[str]:
        server = make("postgresql")
        heard: list[str] = []
        # In one transaction, in which only what stands inside of it is listened to.
        for sql in statements:
            with server.engine.connect() as connection:
                if sql.startswith(OUTSIDE):
                    connection.execution_options(isolation_level="AUTOCOMMIT")
                    connection.exec_driver_sql(sql)
                    continue
                connection.exec_driver_sql("SET TimeZone = 'UTC'")
                connection.exec_driver_sql("SET client_min_messages = debug1")
                notices = notices_of(connection)
                connection.exec_driver_sql(sql)
                connection.commit()
                heard += notices
        return [
            each for each in heard if WORKS.match(each) and not re.search("fresh|pg_toast", each)
        ]

    assert said(bad) != []
    if name != "index of a small table":
        assert said(good) == []


@both("mariadb", (*SLOW, "SM619"))
def test_the_table_is_copied_or_rebuilt(make: Make, name: str) -> None:
    _, _, bad, good = CASES["mariadb", name]
    first = ["SET SESSION alter_algorithm = 'NOCOPY'"]
    error = make("mariadb").run(bad, first)
    assert re.search(r"NOCOPY|LOCK=NONE|not supported", error), error
    if name != "character set":  # There the good side is a small table.
        assert make("mariadb").run(good, first) == ""


@pytest.mark.parametrize(
    ("dialect", "name"),
    [(d, n) for d in ("postgresql", "mariadb", "sqlite") for n in cases(d, LOSES)],
)
def test_values_are_lost(make: Make, dialect: str, name: str) -> None:
    _, _, bad, good = CASES[dialect, name]
    server = make(dialect)
    before = server.values()
    assert server.run(bad) == ""
    after = server.values()
    assert any(after.get(column) != before[column] for column in before)
    if name in ("children go along", "overwritten"):
        return  # The good side changes values by intention.
    server = make(dialect)
    assert server.run(good) == ""
    after = server.values()
    lost = {c for c in before if [str(v) for v in after.get(c, [])] != before[c]}
    assert lost == set()


@pytest.mark.parametrize(
    ("dialect", "name"),
    [(d, n) for d in ("postgresql", "mariadb", "sqlite") for n in cases(d, BREAKS)],
)
def test_old_code_breaks(make: Make, dialect: str, name: str) -> None:
    _, _, bad, good = CASES[dialect, name]
    server = make(dialect)
    assert server.run(bad) == ""
    assert server.breaks() != []
    server = make(dialect)
    assert server.run(good) == ""
    assert server.breaks() == []


@both("sqlite", FAILS)
def test_sqlite_refuses_it(name: str) -> None:
    _, _, bad, good = CASES["sqlite", name]

    def error(statements: Sequence[str]) -> str:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(SQLITE + ROWS["sqlite"])
        connection.execute("BEGIN")
        try:
            for sql in statements:
                connection.execute(sql)
        except sqlite3.Error as refused:
            return str(refused)
        finally:
            connection.close()
        return ""

    assert error(bad) != ""
    assert error(good) == ""
