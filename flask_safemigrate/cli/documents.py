"""Outcomes as one document for another program or for a browser."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

from flask_safemigrate.errors import UsageError
from flask_safemigrate.outcome import Outcome

#: What the end of a file's name says about the document in it.
SUFFIXES = {".html": "html", ".htm": "html", ".sarif": "sarif", ".json": "json"}


def document(form: str, outcome: Outcome) -> str:
    """Return the document of an outcome.

    :param form: ``json``, ``sarif``, ``github``, ``markdown`` or ``html``.
    """
    if form == "sarif":
        from flask_safemigrate.report.documents import sarif

        return sarif.text(outcome, _root())
    if form == "github":
        from flask_safemigrate.report.documents import github

        return github.text(outcome, _root())
    if form == "markdown":
        from flask_safemigrate.report.documents import markdown

        return markdown.text(outcome, _root())
    if form == "html":
        from flask_safemigrate.report.page import html

        return html.page(outcome, _root(), datetime.now(timezone.utc))
    from flask_safemigrate.report.documents import json

    return json.text(outcome)


def form_of(output: Path, form: str) -> str:
    """Return the form of a file: the one that was asked for, or what its name says.

    :raises UsageError: neither tells.
    """
    if form != "text":
        return form
    found = SUFFIXES.get(output.suffix.lower())
    if found is None:
        raise UsageError(
            f'Nothing says what is to be written to "{output}".',
            hint="name it .html, .sarif or .json, or give --format",
        )
    return found


def save(output: Path, text: str) -> None:
    """Write a document to a file.

    :raises UsageError: the file cannot be written.
    """
    try:
        output.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(
            f'"{output}" cannot be written: {error.strerror}.', hint="name another with --output"
        ) from None


def _root() -> Path:
    """Return the folder that paths in annotations begin at: the repository's."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    here = Path.cwd()
    if workspace and here.is_relative_to(workspace):
        return Path(workspace)
    for folder in (here, *here.parents):
        if (folder / ".git").exists():
            return folder
    return here
