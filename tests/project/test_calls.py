from __future__ import annotations

from pathlib import Path

from flask_safemigrate.project.calls import create_all_calls


def test_calls_of_the_application_are_found(tmp_path: Path) -> None:
    for name, text in {
        "app.py": "db = 1\n\n\ndef make():\n    db.create_all()\n",
        "shop/models.py": "# db.create_all()\ntext = 'db.create_all()'\nm.create_all(e)\n",
        "shop/broken.py": "def create_all(:\n",
        "tests/conftest.py": "db.create_all()\n",
        "test_app.py": "db.create_all()\n",
        "migrations/env.py": "db.create_all()\n",
        ".venv/x.py": "db.create_all()\n",
        "my/pyvenv.cfg": "",
        "my/lib.py": "db.create_all()\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = create_all_calls(tmp_path, without=tmp_path / "migrations")
    assert found == ("app.py:5", "shop/models.py:3")


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert create_all_calls(tmp_path / "none", without=tmp_path) == ()
