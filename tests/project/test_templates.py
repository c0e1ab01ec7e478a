"""Old ``env.py`` files are recognised; the texts are made out of the installed template."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from flask_safemigrate.project.env_faults import faults
from flask_safemigrate.project.templates import NAMES, compare, installed, line_key, merge, shipped
from tests.support.old_templates import OLD, old_env


def current(name: str = "flask") -> str:
    path = installed(name)
    assert path is not None
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_installed_template_is_known_and_not_outdated(name: str, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(current(name))
    found = compare(tmp_path / "env.py")
    assert (found.name, found.outdated, found.modified) == (name, False, False)
    assert found.patch == ""


def test_every_release_is_there() -> None:
    known = shipped()
    assert {each.name for each in known} == set(NAMES)
    assert {each.first for each in known} >= {"0.1.0", "1.4.0", "2.4.0", "2.7.0", "3.1.0", "4.0.5"}
    assert len({each.meaning for each in known}) > 30


@pytest.mark.parametrize("release", OLD)
def test_an_old_template_is_told_by_its_release(release: str, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(old_env(release))
    found = compare(tmp_path / "env.py")
    assert (found.name, found.release) == ("flask", release)
    assert (found.outdated, found.modified, found.patch) == (True, False, "")


def test_layout_and_comments_do_not_count(tmp_path: Path) -> None:
    text = old_env("3.1.0")
    pressed = ast.unparse(ast.parse(text.replace("'", '"'))) + "\n# ours\n"
    (tmp_path / "env.py").write_text(pressed)
    found = compare(tmp_path / "env.py")
    assert (found.release, found.outdated, found.modified) == ("3.1.0", True, False)


@pytest.mark.parametrize("release", ["4.0.4", "4.0.3", "4.0.0", "3.1.0"])
def test_a_patch_keeps_the_projects_lines(release: str, tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    own = "            compare_server_default=True,\n"
    text = old_env(release)
    at = text.index("\n", text.index("            target_metadata=")) + 1
    (folder / "env.py").write_text(text[:at] + own + text[at:])
    found = compare(folder / "env.py")
    assert (found.release, found.outdated, found.modified) == (release, True, True)
    assert found.patch.startswith("--- a/migrations/env.py\n+++ b/migrations/env.py\n")
    assert "-            **current_app.extensions['migrate'].configure_args" in found.patch
    assert "+            **conf_args" in found.patch
    assert "-" + own.rstrip("\n") not in found.patch


def test_no_patch_where_both_have_changed_a_line(tmp_path: Path) -> None:
    text = old_env("3.1.0").replace("get_engine()", "get_engine('other')")
    (tmp_path / "env.py").write_text(text)
    found = compare(tmp_path / "env.py")
    assert (found.outdated, found.modified, found.patch) == (True, True, "")


def test_no_patch_that_takes_a_name_away(tmp_path: Path) -> None:
    text = f"{old_env('3.1.0')}\nprint(target_metadata.tables)\n"
    (tmp_path / "env.py").write_text(text)
    found = compare(tmp_path / "env.py")
    assert (found.release, found.modified, found.patch) == ("3.1.0", True, "")


def test_a_file_of_another_making_is_looked_at_for_what_fails(tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text("engine = db.get_engine(app, 'x')\n")
    found = compare(tmp_path / "env.py")
    assert (found.name, found.outdated, found.modified) == ("", False, True)
    assert "get_engine arguments" in found.faults


@pytest.mark.parametrize("text", ["", "x = 1\n", "def (", "from alembic import context\n" * 9])
def test_a_file_of_another_making(text: str, tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text(text)
    assert compare(tmp_path / "env.py").name == ""


def test_no_file(tmp_path: Path) -> None:
    assert compare(tmp_path / "env.py").name == ""


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ("abc", "abc", "aBc", "aBc"),
        ("abc", "Abc", "abC", "AbC"),
        ("abc", "abc", "abc", "abc"),
        ("abc", "abxc", "abc", "abxc"),
        ("abc", "abxc", "aBc", "aBxc"),
        ("abc", "aXc", "aBc", None),
        ("abc", "ac", "abcd", "acd"),
    ],
)
def test_merge(base: str, ours: str, theirs: str, merged: str | None) -> None:
    keys = [line_key(line) for line in base]
    assert merge(keys, [*ours], [*theirs]) == (None if merged is None else [*merged])


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("engine_from_config(x)", "own engine"),
        (
            "config.set_main_option('sqlalchemy.url', app.config['SQLALCHEMY_DATABASE_URI'])",
            "percent",
        ),
        ("str(db.engine.url)", "masked password"),
        ("db.get_engine(app, bind)", "get_engine arguments"),
        ("db.get_engine(app=app, bind=bind)", "get_engine arguments"),
        ("db.get_engine()", "get_engine"),
        ("target_metadata = db.metadata", "one metadata"),
        ("context.configure(process_revision_directives=f, **args)", "directives"),
        ("context.configure(connection=c)", "no arguments"),
    ],
)
def test_faults(code: str, fault: str) -> None:
    assert fault in faults(ast.parse(code), multidb=True)
    assert not faults(ast.parse("context.run_migrations()"), multidb=True)
