"""What the doctor asks of a real MariaDB or MySQL database."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.mysql import BACKEND, read
from flask_safemigrate.backends.mysql.examine import missing_privileges
from flask_safemigrate.backends.mysql.read import numbers_of
from flask_safemigrate.facts.examination import Examination
from tests.support.sql import run


@pytest.fixture
def url(mysql_url: str) -> URL:
    return make_url(mysql_url)


@pytest.fixture
def user(url: URL) -> Iterator[URL]:
    """The database's address for a user with no privilege yet."""
    name = f"sm_{secrets.token_hex(6)}"
    run(url, f"CREATE USER '{name}'@'%' IDENTIFIED BY 'pw'")
    yield url.set(username=name, password="pw")
    run(url, f"DROP USER '{name}'@'%'")


def target_of(url: URL, **options: object) -> Target:
    return Target("", create_engine(url, poolclass=NullPool, **options))  # type: ignore[call-overload]


def examine(url: URL, **options: object) -> Examination:
    return BACKEND.examine(target_of(url, **options), thorough=True)


def test_a_user_who_may_not(url: URL, user: URL) -> None:
    run(url, f"GRANT SELECT, INSERT, CREATE ON `{url.database}`.* TO '{user.username}'@'%'")
    (lacking,) = examine(user).lacking
    assert lacking.what == "use UPDATE, DELETE, ALTER, DROP, INDEX, REFERENCES"
    run(url, lacking.hint)
    assert examine(user).lacking == ()
    assert examine(url).lacking == ()


GRANTS = [
    ((), "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"),
    (("GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION",), ""),
    (("GRANT USAGE ON *.* TO `a`@`%`", "GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`"), ""),
    (("GRANT ALL PRIVILEGES ON `sh%`.* TO `a`@`%`",), ""),
    (
        (
            "GRANT ALL PRIVILEGES ON *.* TO `a`@`%`",
            "REVOKE CREATE, DROP ON `shop`.* FROM `a`@`%`",
        ),
        "CREATE, DROP",
    ),
    (
        ("GRANT ALL PRIVILEGES ON *.* TO `a`@`%`", "REVOKE CREATE ON `other`.* FROM `a`@`%`"),
        "",
    ),
    (("GRANT ALL PRIVILEGES ON `s_op`.* TO `a`@`%`",), ""),
    (("GRANT ALL PRIVILEGES ON `s\\_op`.* TO `a`@`%`",), "SELECT"),
    (("GRANT ALL PRIVILEGES ON `other`.* TO `a`@`%`",), "SELECT"),
    (("GRANT ALL PRIVILEGES ON `shop`.`users` TO `a`@`%`",), "SELECT"),
    (("GRANT `role` TO `a`@`%`", "GRANT ALL PRIVILEGES ON `shop`.* TO `role`"), ""),
    (
        (
            "GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO `a`@`%`",
            "GRANT CREATE, DROP, REFERENCES, INDEX ON `shop`.* TO `a`@`%`",
        ),
        "ALTER",
    ),
]


@pytest.mark.parametrize(("grants", "missing"), GRANTS)
def test_what_grants_leave_out(grants: tuple[str, ...], missing: str) -> None:
    assert ", ".join(missing_privileges(grants, "shop")).startswith(missing)
    assert bool(missing_privileges(grants, "shop")) is bool(missing)


def test_storage(url: URL) -> None:
    run(
        url,
        f"ALTER DATABASE `{url.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        "CREATE TABLE a (id INTEGER, t VARCHAR(9), u VARCHAR(9) COLLATE utf8mb4_bin)",
        "CREATE TABLE b (id INTEGER) ENGINE=MyISAM CHARACTER SET latin1",
        "CREATE VIEW v AS SELECT id FROM a",
    )
    found = examine(url)
    assert found.collation == "utf8mb4_general_ci"
    first, second = found.storage
    assert (first.table, first.engine, first.collation) == ("a", "InnoDB", "utf8mb4_general_ci")
    assert first.texts == (
        ("t", "utf8mb4", "utf8mb4_general_ci"),
        ("u", "utf8mb4", "utf8mb4_bin"),
    )
    assert (second.table, second.engine, second.collation) == ("b", "MyISAM", "latin1_swedish_ci")


def test_the_mode_of_the_applications_connections(url: URL) -> None:
    assert "STRICT_TRANS_TABLES" in (examine(url).sql_mode or "")
    own = examine(url, connect_args={"init_command": "SET sql_mode = 'ANSI_QUOTES'"})
    assert own.sql_mode == "ANSI_QUOTES"


def test_sessions_that_would_be_in_the_way(url: URL) -> None:
    run(url, "CREATE TABLE users (id INTEGER)", "INSERT INTO users VALUES (1)")
    idle = create_engine(url)
    with idle.connect() as connection:
        connection.execute(text("SELECT * FROM users"))
        # Another test may have asked a moment ago, and the server keeps its answer for that long.
        deadline = time.monotonic() + 10
        while not (found := examine(url).idle) and time.monotonic() < deadline:
            time.sleep(0.1)
        (session,) = found
        assert session.id == connection.execute(text("SELECT connection_id()")).scalar()
        assert session.who.startswith(f'user "{url.username}" from ')
    idle.dispose()


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("10.11.19-MariaDB-0+deb12u1", (10, 11, 19)),
        ("5.5.5-10.4.2-MariaDB-log", (10, 4, 2)),
        ("8.0.36-0ubuntu0.22.04.1", (8, 0, 36)),
        ("11.4.2-MariaDB", (11, 4, 2)),
        ("8.4", (8, 4)),
        ("odd", ()),
    ],
)
def test_numbers_of_a_version(version: str, numbers: tuple[int, ...]) -> None:
    assert numbers_of(version) == numbers


def test_a_server_that_is_too_old(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = {"mariadb": ("MariaDB", (99, 1)), "mysql": ("MySQL", (99, 1))}
    monkeypatch.setattr(sys.modules[read.__module__], "OLDEST", newest)
    why = BACKEND.read(target_of(url)).unreachable
    assert why is not None
    assert why.kind == "too old"
    assert "99.1 is the oldest that is served" in why.message
