"""One file a command: options, then the workflow, then the report and the exit code."""

from __future__ import annotations

import click

from flask_safemigrate.cli.deploy import deploy
from flask_safemigrate.cli.doctor import doctor
from flask_safemigrate.cli.lint import lint
from flask_safemigrate.cli.reset import reset
from flask_safemigrate.cli.restore import restore
from flask_safemigrate.cli.safe_downgrade import safe_downgrade
from flask_safemigrate.cli.safe_upgrade import safe_upgrade
from flask_safemigrate.cli.snapshot import snapshot
from flask_safemigrate.cli.snapshots import snapshots
from flask_safemigrate.cli.status import status
from flask_safemigrate.cli.upgrade import guarded_upgrade

__all__ = ["commands", "guarded_upgrade"]


def commands() -> tuple[click.Command, ...]:
    """Return every command, for the ``db`` group and for ``flask safemigrate``."""
    return (
        status,
        doctor,
        lint,
        safe_upgrade,
        safe_downgrade,
        deploy,
        reset,
        snapshot,
        snapshots,
        restore,
    )
