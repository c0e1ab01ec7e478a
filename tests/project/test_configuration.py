from __future__ import annotations

import importlib.util
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flask_safemigrate.project.configuration import (
    database_file,
    database_variable,
    unread_dotenv,
)


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ('app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SHOP_DB"]', "SHOP_DB"),
        ('app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("SHOP_DB", "x")', "SHOP_DB"),
        ("SQLALCHEMY_DATABASE_URI = os.getenv('SHOP_DB') or 'sqlite:///x'", "SHOP_DB"),
        ("class C:\n    SQLALCHEMY_DATABASE_URI: str = environ['SHOP_DB']", "SHOP_DB"),
        ("app.config.update(SQLALCHEMY_DATABASE_URI=env.str('SHOP_DB'))", "SHOP_DB"),
        ("app.config.from_mapping({'SQLALCHEMY_DATABASE_URI': config('SHOP_DB')})", "SHOP_DB"),
        ("app.config.setdefault('SQLALCHEMY_DATABASE_URI', getenv('SHOP_DB'))", "SHOP_DB"),
        (
            "url = os.environ.get('SHOP_DB')\nif url:\n    url = url.replace('a', 'b')\n"
            "app.config['SQLALCHEMY_DATABASE_URI'] = url",
            "SHOP_DB",
        ),
        (
            "url = os.environ.get('SHOP_DB')\napp.config['SQLALCHEMY_DATABASE_URI'] = url",
            "SHOP_DB",
        ),
        ("app.config.from_prefixed_env()", "FLASK_SQLALCHEMY_DATABASE_URI"),
        ("app.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///x'", ""),
        ("print('SQLALCHEMY_DATABASE_URI', os.environ['HOME'])", ""),
        ("app.config['SQLALCHEMY_DATABASE_URI'] = (", ""),
    ],
)
def test_variable(text: str, variable: str, tmp_path: Path) -> None:
    path = tmp_path / "config.py"
    path.write_text(text)
    assert database_variable([tmp_path / "missing.py", path]) == variable


def test_dotenv_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("# x\nexport DATABASE_URL=a\nSECRET = b\n")
    (tmp_path / ".flaskenv").write_text("FLASK_APP=shop\n")
    if importlib.util.find_spec("dotenv"):
        pytest.skip("python-dotenv is installed")
    found = unread_dotenv([tmp_path, tmp_path])
    assert [Path(path).name for path in found.paths] == [".env", ".flaskenv"]
    assert found.names == ("DATABASE_URL", "SECRET", "FLASK_APP")
    (tmp_path / "dotenv.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert unread_dotenv([tmp_path]).paths == ()


def test_database_file(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    assert database_file(path) is None
    path.write_bytes(b"")
    assert database_file(path) is not None
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE a (x INTEGER PRIMARY KEY AUTOINCREMENT)")
        made.execute("CREATE TABLE safemigrate_journal (x)")
        made.commit()
    found = database_file(path)
    assert found is not None
    assert found.tables == 1
    path.write_bytes(b"no database at all" * 100)
    assert database_file(path) is None
