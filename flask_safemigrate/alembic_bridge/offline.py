"""The SQL of a plan, by Alembic's offline mode."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory

from flask_safemigrate.alembic_bridge.confinement import Confinement, confined
from flask_safemigrate.alembic_bridge.failure import migration_failed
from flask_safemigrate.errors import NotConfined, UsageError
from flask_safemigrate.plan import Plan


def script_of(config: Config, plan: Plan) -> str:
    """Return what ``flask db upgrade --sql`` or ``downgrade --sql`` prints for the plan's steps.

    The functions of the revisions run without a database
    (https://alembic.sqlalchemy.org/en/latest/offline.html).

    :raises MigrationFailed: a revision cannot do without one.
    :raises NotConfined: a revision or ``env.py`` reaches for more than the text of its SQL.
    :raises UsageError: the plan begins at several revisions, which Alembic cannot say offline.
    """
    if len(plan.start) > 1:
        raise UsageError(
            f"{plan.location} is at several revisions ({', '.join(plan.start)}); from there SQL "
            "cannot be printed.",
            hint='flask db merge -m "..." ' + " ".join(plan.start),
        )
    directory = Path(config.get_main_option("script_location") or ".")
    script = ScriptDirectory.from_config(config)
    printed = io.StringIO()
    running = ""

    def steps(heads: Any, context: Any) -> Iterable[MigrationStep]:
        nonlocal running
        up = plan.direction == "upgrade"
        make = MigrationStep.upgrade_from_script if up else MigrationStep.downgrade_from_script
        for step in plan.steps:
            revision = script.get_revision(step.id)
            assert revision is not None
            running = step.id
            yield make(script.revision_map, revision)
        running = ""

    environment = EnvironmentContext(
        config,
        script,
        fn=steps,
        as_sql=True,
        starting_rev=plan.start[0] if plan.start else None,
        destination_rev=plan.target[0] if len(plan.target) == 1 else "heads",
        output_buffer=printed,
    )
    stock_configure = environment.configure

    def configure(*args: Any, **given: Any) -> None:
        # With the driver's own style of parameters every "%" would be printed twice.
        # https://alembic.sqlalchemy.org/en/latest/offline.html
        given["dialect_opts"] = {"paramstyle": "named", **(given.get("dialect_opts") or {})}
        stock_configure(*args, **given)

    # env.py reaches it through the module alembic.context, which takes it from the object.
    setattr(environment, "configure", configure)  # noqa: B010
    confinement = Confinement((), directory, lambda: running, "to print its SQL")
    try:
        with confined(confinement), environment, contextlib.redirect_stdout(io.StringIO()):
            script.run_env()
        confinement.check()
    except NotConfined:
        raise
    except (Exception, SystemExit) as error:
        failed = migration_failed(error, revision=running or None, directory=directory)
        failed.hint = "print the SQL where a revision asks the database: flask db safe-upgrade"
        raise failed from error
    return printed.getvalue()
