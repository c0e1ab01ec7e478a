"""Faults of the URL, of packages and of TLS: told apart from a server that is down."""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from flask_safemigrate.backends import backend_for
from flask_safemigrate.backends.contract import Target
from flask_safemigrate.backends.driver_errors import NotConnected
from flask_safemigrate.backends.postgresql.address import address_of
from flask_safemigrate.facts.database import Unreachable
from tests.support.fake_servers import mysql_refusal, mysql_with_tls, postgresql_with_tls

SECRET = "s3cr3t\u2713"
PSYCOPG = "postgresql+psycopg://me@127.0.0.1:1/shop"
PYMYSQL = "mysql+pymysql://me@127.0.0.1:1/shop"


def unreachable(url: str, **options: Any) -> Unreachable:
    engine = create_engine(url, **options)
    with warnings.catch_warnings():
        # PyMySQL forgets to close a socket whose handshake fails.
        warnings.simplefilter("ignore", ResourceWarning)
        state = backend_for(engine).read(Target("", engine))
        gc.collect()
    engine.dispose()
    assert state.unreachable is not None
    assert SECRET not in state.unreachable.message + state.unreachable.hint
    return state.unreachable


def explained(driver: str, error: BaseException, query: str = "", bind: str = "") -> Unreachable:
    """What is said of the error of a driver that need not be installed."""
    dialect = "postgresql+psycopg" if driver in ("psycopg2", "pg8000") else "mysql+pymysql"
    engine = create_engine(f"{dialect}://me@db.example/shop{query}")
    engine.dialect.driver = driver
    return backend_for(engine).explain(error, Target(bind, engine))


def not_connected(cause: Exception, **parameters: Any) -> NotConnected:
    error = NotConnected(parameters)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("url", "names", "hint"),
    [
        (f"{PSYCOPG}?pgbouncer=true", '"pgbouncer"', 'take "pgbouncer" out of SQLALCHEMY_'),
        (f"{PSYCOPG}?ssl=true", '"ssl"', "write sslmode=require instead"),
        (f"{PSYCOPG}?sslmode=always", '"sslmode"', 'correct "sslmode" in SQLALCHEMY_'),
        (f"{PSYCOPG}?connect_timeout=soon", '"connect_timeout"', 'correct "connect_timeout"'),
        (f"{PYMYSQL}?ssl-mode=REQUIRED", '"ssl-mode"', "write ssl_ca="),
        (f"{PYMYSQL}?sslmode=require", '"sslmode"', "write ssl_ca="),
        (f"{PYMYSQL}?ssl=true", '"ssl"', "write ssl_ca="),
        (f"{PYMYSQL}?ssl=true&charset=utf8mb4", 'with "ssl":', "write ssl_ca="),
        (f"{PYMYSQL}?charset=utf9", '"charset"', "correct it in SQLALCHEMY_DATABASE_URI"),
        (f"{PYMYSQL}?passwd=x&bogus=2", '"bogus"', 'take "bogus" out of SQLALCHEMY_'),
        (f"mysql+pymysql://me:{SECRET}@127.0.0.1:1/shop", "latin-1", "ASCII"),
    ],
)
def test_a_parameter_that_the_driver_cannot_use(url: str, names: str, hint: str) -> None:
    found = unreachable(url)
    assert found.kind == "misconfigured"
    assert names in found.message
    assert "SQLALCHEMY_DATABASE_URI" in found.message + found.hint
    assert hint in found.hint
    assert "psql" not in found.hint


@pytest.mark.parametrize(
    ("driver", "error", "hint"),
    [
        ("pg8000", TypeError("connect() got an unexpected keyword argument 'sslmode'"), "ssl_con"),
        ("mysqldb", TypeError("'ssl-mode' is an invalid keyword argument for connect()"), "ssl_m"),
        ("mysqlconnector", AttributeError("Unsupported argument 'sslmode'"), "write ssl_ca="),
        ("mariadbconnector", TypeError("'ssl-mode' is an invalid keyword argument"), "ssl=true"),
        ("mariadbconnector", TypeError("'charset' is an invalid keyword argument"), "mariadb+m"),
    ],
)
def test_the_word_of_every_driver(driver: str, error: Exception, hint: str) -> None:
    found = explained(driver, not_connected(error))
    assert found.kind == "misconfigured"
    assert "connect_args of SQLALCHEMY_ENGINE_OPTIONS" in found.message
    assert hint in found.hint


def test_psycopg2_says_it_in_its_own_family() -> None:
    text = 'invalid dsn: invalid connection option "schema"\n'
    error = ProgrammingError(None, None, Exception(text))
    found = explained("psycopg2", error, query="?schema=x", bind="other")
    assert found.kind == "misconfigured"
    assert "SQLALCHEMY_BINDS['other']" in found.message
    assert "options=-csearch_path%3DNAME" in found.hint


def test_a_statement_that_names_what_is_unknown_is_no_fault_of_the_url() -> None:
    """A revision's own SET fails while the connection stands."""
    cause = Exception('unrecognized configuration parameter "app.nothing"')
    error = OperationalError("SET app.nothing = 1", None, cause)
    assert explained("psycopg2", error).kind != "misconfigured"
    said = Exception(1193, "Unknown system variable 'nothing'")
    assert explained("pymysql", OperationalError("SET nothing = 1", None, said)).kind == "unknown"


def test_a_connection_of_the_application_that_fails() -> None:
    def creator() -> object:
        raise KeyError("DATABASE_TOKEN")

    found = unreachable(PYMYSQL, creator=creator)
    assert found.kind == "misconfigured"
    assert "KeyError: 'DATABASE_TOKEN'" in found.message


def test_a_package_that_the_login_needs() -> None:
    said = "'cryptography' package is required for sha256_password or caching_sha2_password"
    found = explained("pymysql", not_connected(RuntimeError(said)))
    assert found.kind == "missing package"
    assert found.hint == "pip install cryptography"
    assert '"cryptography"' in found.message


def test_a_certificate_that_proves_nothing(tmp_path: Path) -> None:
    with mysql_with_tls(tmp_path, "elsewhere.example") as port:
        known = tmp_path / "certificate.pem"
        url = f"mysql+pymysql://me:x@127.0.0.1:{port}/shop"
        strange = unreachable(f"{url}?ssl_verify_cert=true&ssl_ca=/etc/hosts")
        stranger = unreachable(f"{url}?ssl_check_hostname=true&ssl_ca={known}")
        missing = unreachable(f"{url}?ssl_ca={tmp_path}/nope.pem")
        handed = unreachable(url, connect_args={"ssl": {"ca": f"{tmp_path}/nope.pem"}})
    for found in (strange, stranger, missing, handed):
        assert found.kind == "tls", found
    assert "openssl s_client -starttls mysql" in stranger.hint
    assert "mismatch" in stranger.message
    for found in (missing, handed):
        assert f"ls -l {tmp_path}/nope.pem" in found.hint
        assert "nope.pem" in found.message


def test_the_same_of_postgresql(tmp_path: Path) -> None:
    with postgresql_with_tls(tmp_path, "elsewhere.example") as port:
        url = f"postgresql+psycopg://me@127.0.0.1:{port}/shop"
        known = f"sslrootcert={tmp_path}/certificate.pem"
        strange = unreachable(f"{url}?sslmode=verify-full&{known}")
        missing = unreachable(f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/nope.pem")
    assert strange.kind == missing.kind == "tls"
    assert "elsewhere.example" in strange.message
    assert "openssl s_client -starttls postgres" in strange.hint
    assert f"ls -l {tmp_path}/nope.pem" in missing.hint


def test_a_server_without_tls(postgresql_url: str) -> None:
    url = make_url(postgresql_url)
    if url.get_driver_name() != "psycopg":
        pytest.skip("sslmode is a word of libpq")
    found = unreachable(f"{postgresql_url}?sslmode=require")
    if "does not support SSL" not in found.message:
        pytest.skip("this server has TLS")
    assert found.kind == "tls"
    assert "SQLALCHEMY_DATABASE_URI" in found.hint


def test_a_connection_that_ends_is_no_fault_of_tls() -> None:
    for text in ("SSL SYSCALL error: EOF detected", "SSL error: unexpected eof while reading"):
        error = OperationalError(None, None, Exception(f"{text}, server closed the connection"))
        assert explained("psycopg2", error).kind == "server down"


def test_programs_are_told_with_the_same_settings() -> None:
    url = make_url("postgresql://me@db.example/shop?sslmode=verify-ca&sslrootcert=/a%20b")
    assert address_of(url).settings == "PGSSLMODE=verify-ca PGSSLROOTCERT='/a b' "
    found = explained(
        "psycopg2",
        OperationalError(None, None, Exception("something else")),
        query="?sslmode=require",
    )
    assert found.hint == "PGSSLMODE=require psql -h db.example -p 5432 -U me shop"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("postgresql://me@/shop?host=a:1&host=b:2", "a:1,b:2"),
        ("postgresql://me@/shop?host=a,b&port=1,2", "a:1,b:2"),
        ("postgresql://me@/shop?host=a&host=b&port=7", "a:7,b:7"),
        ("postgresql://me@a,b:7/shop", "a:7,b:7"),
        ("postgresql://me@[::1]:7/shop", "[::1]:7"),
        ("postgresql://me@/shop?host=/run/postgresql", "/run/postgresql:5432"),
    ],
)
def test_several_hosts(url: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    assert address_of(make_url(url)).server == server


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("08P01", "transaction blocks not allowed in statement pooling mode", "misconfigured"),
        ("08P01", "query_wait_timeout", "too many connections"),
        ("08P01", "no more connections allowed (max_client_conn)", "too many connections"),
        ("08P01", "no such database: shop", "missing database"),
        ("26000", "unnamed prepared statement does not exist", "misconfigured"),
        ("26000", 'prepared statement "_pg3_0" does not exist', "misconfigured"),
    ],
)
def test_what_a_pooler_says(code: str, text: str, kind: str) -> None:
    class FromPooler(Exception):
        sqlstate = code

    found = explained("psycopg2", OperationalError("BEGIN", None, FromPooler(text)))
    assert found.kind == kind
    assert "systemctl" not in found.hint


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (3032, "starting"),
        (1047, "starting"),
        (3118, "wrong password"),
        (3159, "tls"),
    ],
)
def test_what_a_member_of_a_group_says(number: int, kind: str) -> None:
    with mysql_refusal(number, "The server is currently in offline mode") as port:
        found = unreachable(f"mysql+pymysql://me@127.0.0.1:{port}/shop")
    assert found.kind == kind
    assert f"127.0.0.1:{port}" in found.message


def test_a_grant_names_the_account_that_the_server_named() -> None:
    with mysql_refusal(1044, "Access denied for user 'me'@'localhost' to database 'shop'") as port:
        found = unreachable(f"mysql+pymysql://me@127.0.0.1:{port}/shop")
    assert found.kind == "missing privilege"
    assert "TO 'me'@'localhost';" in found.hint


def test_what_listens_for_a_connection_may_be_at_fault() -> None:
    engine = create_engine(PSYCOPG)

    @event.listens_for(engine, "do_connect")
    def connect(*_: object) -> None:
        raise AttributeError("no 'execute'")

    found = backend_for(engine).read(Target("", engine)).unreachable
    engine.dispose()
    assert found is not None
    assert found.kind == "misconfigured"
    assert "\"127.0.0.1:1/shop\": AttributeError: no 'execute'" in found.message
    assert found.hint.startswith("correct SQLALCHEMY_DATABASE_URI, or what listens")
