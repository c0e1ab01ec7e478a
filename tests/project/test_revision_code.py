from __future__ import annotations

from pathlib import Path

import pytest

from flask_safemigrate.project.calls import import_root
from flask_safemigrate.project.models import model_classes
from flask_safemigrate.project.revision_code import model_imports, own_imports, unknown_names
from flask_safemigrate.project.stray import shadows, sourceless, stray_files

HEAD = "from alembic import op\nimport sqlalchemy as sa\nrevision = 'a1'\n"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("op.f(sa.String())", []),
        ("op.f(geoalchemy2.Geometry(), geoalchemy2.Raster())", ["geoalchemy2"]),
        ("op.f(sqlmodel.x, app.y)", ["sqlmodel", "app"]),
        ("import json\n    json.dumps(1)", []),
        ("for x in [y for y in (1, 2)]:\n        print(x, __file__, revision)", []),
        ("try:\n        pass\n    except ValueError as e:\n        print(e)", []),
        ("with op.batch() as batch:\n        batch.f(lambda a, *b: (a, b))", []),
        ("(n := 3)\n    print(n)", []),
        ("global G\n    G = 1\n    helper()", []),
        ("class C:\n        x = 1\n        def f(self):\n            return self.x, G, H", ["H"]),
        ("def inner():\n        return later\n    later = 1\n    inner()", []),
        ("exec('x = 1')\n    print(x)", []),
        ("del sa\n    print(what)", ["what"]),
    ],
)
def test_unknown_names(body: str, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a1.py"
    path.write_text(f"{HEAD}\ndef helper():\n    return G\n\ndef upgrade():\n    {body}\n")
    if "global G" not in body:
        path.write_text(path.read_text() + "\nG = 1\n")
    found = unknown_names(str(path))
    assert [each.name for each in found] == names
    assert all(each.function == "upgrade" for each in found)


def test_names_are_not_followed_through_a_star(tmp_path: Path) -> None:
    path = tmp_path / "a1.py"
    path.write_text("from alembic.op import *\ncreate_table('x')\n")
    assert unknown_names(str(path)) == ()


@pytest.mark.parametrize("text", [None, "def (", "x = '\ud800'"])
def test_what_cannot_be_read_has_no_names(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a1.py"
    if text is not None:
        path.write_text(text, errors="surrogatepass")
    assert unknown_names(str(path)) == ()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    files = {
        "shop/__init__.py": "",
        "shop/models/__init__.py": "from shop.models.user import User\n",
        "shop/models/user.py": (
            "class User(db.Model):\n    id = db.Column(db.Integer)\n"
            "class OrderLine(db.Model):\n    id: Mapped[int]\n"
            "class Visit(db.Model):\n    __bind_key__ = 'stats'\n    __tablename__ = 'visits'\n"
            "class Base(db.Model):\n    __abstract__ = True\n    id = 1\n"
            "class Admin(User):\n    pass\n"
            "class Form(FlaskForm):\n    id = 1\n"
            "class Odd(db.Model):\n    __tablename__ = PREFIX + 'odd'\n"
        ),
        "shop/tests/models.py": "class Fake(db.Model):\n    id = 1\n",
        "other.py": "class Other(Base):\n    __tablename__ = 'others'\n",
        "migrations/versions/a1.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_model_classes(shop: Path) -> None:
    found = model_classes(shop / "shop", without=shop / "migrations")
    assert [(c.name, c.table, c.bind, c.module, c.line) for c in found] == [
        ("User", "user", "", "shop.models.user", 1),
        ("OrderLine", "order_line", "", "shop.models.user", 3),
        ("Visit", "visits", "stats", "shop.models.user", 5),
    ]
    assert "others" in {c.table for c in model_classes(shop, without=shop / "migrations")}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from shop.models import User", ["User"]),
        ("from shop.models.user import User as U, OrderLine", ["User", "OrderLine"]),
        ("from shop.models import user", ["user"]),
        ("import shop.models.user", ["shop.models.user"]),
        ("from shop.types import Money", []),
        ("import sqlalchemy as sa", []),
        ("from elsewhere import User", []),
    ],
)
def test_model_imports(line: str, names: list[str], shop: Path) -> None:
    path = shop / "migrations" / "versions" / "a1.py"
    path.write_text(f"{HEAD}\n\ndef upgrade():\n    {line}\n")
    models = {(c.module, c.name) for c in model_classes(shop / "shop", without=path.parent)}
    own = own_imports([str(path)], shop)
    assert bool(own) is (" shop" in line)
    found = model_imports([str(path)], models)
    assert [name for each in found for name in each.names] == names
    assert all(each.line == 7 for each in found)


def test_a_folder_of_migrations_called_alembic_is_no_module(tmp_path: Path) -> None:
    path = tmp_path / "alembic" / "versions" / "a1.py"
    path.parent.mkdir(parents=True)
    (tmp_path / "alembic" / "env.py").write_text("")
    path.write_text(HEAD)
    assert own_imports([str(path)], tmp_path) == ()


def test_modules_are_imported_from_above_their_package(tmp_path: Path) -> None:
    assert import_root(tmp_path) == tmp_path
    (tmp_path / "shop" / "parts").mkdir(parents=True)
    for name in ("shop", "shop/parts"):
        (tmp_path / name / "__init__.py").write_text("")
    assert import_root(tmp_path / "shop" / "parts") == tmp_path


def test_stray_files(tmp_path: Path) -> None:
    good = ("a1.py", "__init__.py", ".gitkeep", "README", "a1.sql", "notes.txt")
    bad = ("a1.py.bak", "a1.py~", "a1.py.orig", ".a1.py.swp", "a1.pyc", "a1.py.txt", "a1.py_old")
    for name in (*good, *bad):
        (tmp_path / name).write_text("")
    assert {Path(path).name for path in stray_files([tmp_path])} == set(bad)
    assert stray_files([tmp_path / "missing"]) == ()


def test_sourceless(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    for name in ("a1.py", "__pycache__/a1.cpython-312.pyc", "__pycache__/b2.cpython-312.pyc"):
        (tmp_path / name).write_text("")
    (tmp_path / "c3.pyc").write_text("")
    assert [Path(p).name for p in sourceless([tmp_path])] == ["c3.pyc", "b2.cpython-312.pyc"]


def test_shadows(tmp_path: Path) -> None:
    for name in ("alembic", "flask_migrate"):
        (tmp_path / name).mkdir()
    (tmp_path / "flask_migrate" / "__init__.py").write_text("")
    for name in ("logging.py", "html.py", "test.py", "config.py", "email.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "flask.py").write_text("")
    found = shadows(tmp_path)
    # A folder without __init__.py gives way to an installed package.
    assert {each.name for each in found} == {"flask_migrate", "html", "logging"}
    assert not any(each.used for each in found)
