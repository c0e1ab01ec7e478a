from __future__ import annotations

import pytest

from flask_safemigrate.facts.database import DatabaseState
from flask_safemigrate.facts.examination import Examination, Storage
from flask_safemigrate.facts.project import Reference
from flask_safemigrate.facts.state import State
from tests.checks.states import assert_finds, at, findings, state

TEXT_KEY = {"": (Reference("orders", "user", "users", "name"),)}
UTF8, LATIN = "utf8mb4_general_ci", "latin1_swedish_ci"


def on(dialect: str, *rows: str, **facts: object) -> DatabaseState:
    return at(*rows, dialect=dialect, examination=Examination(**facts))  # type: ignore[arg-type]


def storage(name: str, collation: str, engine: str = "InnoDB", column: str = "name") -> Storage:
    charset = collation.partition("_")[0]
    return Storage(name, engine, collation, ((column, charset, collation),))


def mariadb(*tables: Storage, **facts: object) -> DatabaseState:
    return on("mariadb", "c3", storage=tables, collation="utf8mb4_general_ci", **facts)


FINDS = [
    (
        "SM537",
        state(mariadb(storage("users", UTF8, "MyISAM")), references=TEXT_KEY),
        [
            "1 table ('users') is of the engine MyISAM, which has no transactions; foreign keys "
            "of the models lead to 'users'",
            "ALTER TABLE `users` ENGINE=InnoDB;",
        ],
    ),
    (
        "SM538",
        state(mariadb(storage("users", UTF8), storage("orders", LATIN))),
        [
            "different collations: 'orders' latin1_swedish_ci, 1 table utf8mb4_general_ci",
            "ALTER TABLE `orders` CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;",
        ],
    ),
    (
        "SM538",
        state(
            mariadb(storage("users", UTF8), storage("orders", LATIN, column="user")),
            references=TEXT_KEY,
        ),
        [
            "'orders.user' (latin1_swedish_ci) cannot be a foreign key to 'users.name' "
            "(utf8mb4_general_ci)",
        ],
    ),
    (
        "SM538",
        state(mariadb(storage("users", LATIN)), references=TEXT_KEY),
        ["'orders.user', which is to be made (utf8mb4_general_ci), cannot be a foreign key"],
    ),
    ("SM539", state(on("mariadb", "c3", sql_mode="ANSI")), ["(ANSI) is not strict", "SET GLOBAL"]),
    ("SM539", state(on("mysql", "c3", sql_mode="")), ["(empty) is not strict"]),
]


@pytest.mark.parametrize(("code", "of", "parts"), FINDS)
def test_finds(code: str, of: State, parts: list[str]) -> None:
    assert_finds(code, of, *parts)


SILENT = [
    ("SM537", state(mariadb(storage("users", UTF8)))),
    ("SM537", state(mariadb(storage("celery", UTF8, "MyISAM")))),
    ("SM538", state(mariadb(storage("users", UTF8), storage("orders", UTF8)))),
    ("SM538", state(mariadb(storage("users", LATIN)))),
    ("SM539", state(on("mariadb", "c3", sql_mode="STRICT_TRANS_TABLES,ANSI"))),
    ("SM539", state(at("c3"))),
]


@pytest.mark.parametrize(("code", "of"), SILENT)
def test_silent(code: str, of: State) -> None:
    assert findings(code, of) == []


def test_what_keeps_a_foreign_key_from_being_made_is_an_error() -> None:
    old = storage("users", UTF8, "MyISAM")
    assert assert_finds("SM537", state(mariadb(old))).severity.word == "warning"
    assert assert_finds("SM537", state(mariadb(old), references=TEXT_KEY)).severity.word == "error"
    mixed = mariadb(storage("users", UTF8), storage("orders", LATIN, column="user"))
    assert assert_finds("SM538", state(mixed)).severity.word == "info"
    assert assert_finds("SM538", state(mixed, references=TEXT_KEY)).severity.word == "error"
