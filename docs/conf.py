"""Sphinx configuration. Settings, exit codes and checks are written from the code itself."""

from __future__ import annotations

import sys
from pathlib import Path

import flask_safemigrate

sys.path.insert(0, str(Path(__file__).parent))

import generate

project = "Flask-SafeMigrate"
author = "Flask-SafeMigrate maintainers"
copyright = "2026, Flask-SafeMigrate maintainers"
version = release = flask_safemigrate.__version__

extensions = ["sphinx.ext.autodoc", "sphinx_click"]
exclude_patterns = ["_build", "_generated"]
nitpicky = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"Flask-SafeMigrate {release}"
html_static_path = ["_static"]

generate.write_all(Path(__file__).parent / "_generated")


def skip_field(
    app: object, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """The class's own text describes the fields; Python's only gives their numbers."""
    return True if (member.__doc__ or "").startswith("Alias for field number") else None


def setup(app: object) -> None:
    """Register what Sphinx asks."""
    app.connect("autodoc-skip-member", skip_field)  # type: ignore[attr-defined]
