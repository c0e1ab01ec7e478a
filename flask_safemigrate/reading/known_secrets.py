"""The secrets that an application is known to have."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from flask_safemigrate.project.files import read_text_file
from flask_safemigrate.report.redaction import Mask, Secrets

_IN_INI = re.compile(r"(?m)^[ \t]*[\w.]*url[ \t]*[=:][ \t]*(\S.*)$")


def mask_for(app: Flask, folder: Path, x_arg: Sequence[str]) -> Mask:
    """Return what takes the secrets out of a text that this process can know.

    They come from the configuration, the engines, the environment, ``alembic.ini`` and ``-x``.

    :param folder: the migrations folder.
    """
    found = Secrets()
    found.add_named(app.config)
    found.add_named(os.environ)
    found.add_named(dict(argument.partition("=")[::2] for argument in x_arg))
    options = app.config.get("SQLALCHEMY_ENGINE_OPTIONS")
    binds = app.config.get("SQLALCHEMY_BINDS") or {}
    for each in (options, *(binds.values() if isinstance(binds, Mapping) else ())):
        if isinstance(each, Mapping) and isinstance(each.get("connect_args"), Mapping):
            found.add_options(each["connect_args"])
    with contextlib.suppress(RuntimeError):  # the application did not set up its databases
        for engine in app.extensions["migrate"].db.engines.values():
            _add_url(found, engine.url)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = read_text_file(folder / "alembic.ini")
        for written in _IN_INI.findall(text):
            found.add_address(written.strip().replace("%%", "%"))
    return found.mask()


def _add_url(found: Secrets, url: sa.URL) -> None:
    if url.get_backend_name() == "sqlite":
        return
    if url.password:
        found.values.add(str(url.password))
    found.add_options(url.query)
    shown: tuple[Any, ...] = (url.username, url.host, url.database, url.port)
    if not any("@" in str(name) for name in shown[1:]):
        found.public.update(str(name) for name in shown if name)
