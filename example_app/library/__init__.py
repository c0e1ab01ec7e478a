"""A lending library: the example application of Flask-SafeMigrate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from flask import Flask

from library.extensions import PLAIN, db, migrate


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Build the app. Its database is `LIBRARY_DATABASE_URL`, or instance/library.db."""
    app = Flask(__name__, instance_relative_config=True)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get(
        "LIBRARY_DATABASE_URL", "sqlite:///library.db"
    )
    app.config.from_mapping(config or {})

    # Alembic compares these models with the database; without this import it would see none.
    from library import models  # noqa: F401
    from library.catalogue import catalogue
    from library.desk import desk
    from library.members import members
    from library.populate import populate_command

    db.init_app(app)
    migrate.init_app(app, db)
    if not PLAIN:
        from library import hooks  # noqa: F401

    app.cli.add_command(populate_command)
    app.register_blueprint(desk)
    app.register_blueprint(catalogue, url_prefix="/books")
    app.register_blueprint(members, url_prefix="/members")
    return app
