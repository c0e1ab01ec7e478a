"""Projects as they are found: env.py of other times and tastes, engines with recipes of their own.

Each goes up, and back to where it was when a revision fails.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.projects import Project, ProjectFactory

FIRST = (
    "a1",
    "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('x', sa.String))",
    "op.drop_table('t')",
)
SECOND = (
    "a2",
    "op.execute(\"INSERT INTO t (x) VALUES ('row')\")\n"
    "with op.batch_alter_table('t') as b:\n"
    "    b.alter_column('x', existing_type=sa.String(), nullable=False)",
    "op.execute('DELETE FROM t')",
)
MODELS = """
class T(db.Model):
    __tablename__ = "t"
    id = db.Column(db.Integer, primary_key=True)
    x = db.Column(db.String, nullable=False)
"""
SCHEMA = "SELECT type, name, sql FROM sqlite_master ORDER BY name"

#: As Flask-Migrate 2 wrote it: an engine of its own, made from the application's address.
OLD_ENVIRONMENT = """
from __future__ import with_statement
import logging
from logging.config import fileConfig
from sqlalchemy import engine_from_config, pool
from flask import current_app
from alembic import context

config = context.config
fileConfig(config.config_file_name)
logger = logging.getLogger('alembic.env')
config.set_main_option(
    'sqlalchemy.url', str(current_app.extensions['migrate'].db.engine.url).replace('%', '%%'))
target_metadata = current_app.extensions['migrate'].db.metadata


def run_migrations_online():
    connectable = engine_from_config(
        config.get_section(config.config_ini_section),
        prefix='sqlalchemy.',
        poolclass=pool.NullPool,
    )
    with connectable.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=target_metadata,
            **current_app.extensions['migrate'].configure_args
        )
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
"""


def environment(p: Project, *changes: tuple[str, str]) -> None:
    file = p.path / p.directory / "env.py"
    source = file.read_text()
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    file.write_text(source)


def application(p: Project, old: str, new: str) -> None:
    file = p.path / "app.py"
    source = file.read_text()
    assert old in source
    file.write_text(source.replace(old, new))


BEFORE_CONFIGURE = "        context.configure(\n            connection=connection,"
WITH_ARGUMENTS = "            **conf_args"


def template(p: Project) -> None:
    """Flask-Migrate's own."""


def of_flask_migrate_2(p: Project) -> None:
    (p.path / p.directory / "env.py").write_text(OLD_ENVIRONMENT)


def of_flask_migrate_1(p: Project) -> None:
    (p.path / p.directory / "env.py").write_text(
        OLD_ENVIRONMENT.replace("['migrate'].db.metadata", "['migrate'].metadata")
    )


def forgets_begin_transaction(p: Project) -> None:
    environment(
        p,
        (
            "        with context.begin_transaction():\n            context.run_migrations()\n",
            "        context.run_migrations()\n",
        ),
    )


def has_a_filter_of_its_own(p: Project) -> None:
    environment(
        p,
        (WITH_ARGUMENTS, "            include_name=lambda *given: True,\n            **conf_args"),
    )


def has_both_filters_of_its_own(p: Project) -> None:
    environment(
        p,
        (
            WITH_ARGUMENTS,
            "            include_name=lambda *given: True,\n"
            "            include_object=lambda *given: True,\n            **conf_args",
        ),
    )


def asks_before_it_configures(p: Project) -> None:
    environment(
        p,
        (
            BEFORE_CONFIGURE,
            "        connection.exec_driver_sql('SELECT 1').all()\n        connection.commit()\n"
            + BEFORE_CONFIGURE,
        ),
    )


def commits_each_revision(p: Project) -> None:
    environment(
        p, (WITH_ARGUMENTS, "            transaction_per_migration=True,\n            **conf_args")
    )


def _engine_options(options: str) -> Callable[[Project], None]:
    def change(p: Project) -> None:
        application(
            p,
            "    db.init_app(app)",
            "    from sqlalchemy import pool\n"
            f"    app.config['SQLALCHEMY_ENGINE_OPTIONS'] = {options}\n    db.init_app(app)",
        )

    return change


def begins_by_events(p: Project) -> None:
    """The recipe of SQLAlchemy's manual for transactions that hold DDL."""
    application(
        p,
        "    return app",
        "    with app.app_context():\n"
        "        engine = db.engine\n"
        "    @sa.event.listens_for(engine, 'connect')\n"
        "    def connect(connection, record):\n"
        "        connection.isolation_level = None\n"
        "        connection.execute('PRAGMA journal_mode=WAL')\n"
        "    @sa.event.listens_for(engine, 'begin')\n"
        "    def begin(connection):\n"
        "        connection.exec_driver_sql('BEGIN')\n"
        "    return app",
    )


def reads_while_it_is_made(p: Project) -> None:
    """And leaves the session open."""
    application(
        p,
        "    return app",
        "    app.app_context().push()\n"
        "    db.session.execute(sa.text('SELECT count(*) FROM sqlite_master')).all()\n"
        "    return app",
    )


KINDS: dict[str, Callable[[Project], None]] = {
    change.__name__: change
    for change in (
        template,
        of_flask_migrate_2,
        of_flask_migrate_1,
        forgets_begin_transaction,
        has_a_filter_of_its_own,
        has_both_filters_of_its_own,
        asks_before_it_configures,
        commits_each_revision,
        begins_by_events,
    )
} | {
    options: _engine_options(options)
    for options in (
        "{'isolation_level': 'AUTOCOMMIT'}",
        "{'isolation_level': 'SERIALIZABLE'}",
        "{'poolclass': pool.NullPool}",
        "{'poolclass': pool.StaticPool}",
        "{'connect_args': {'isolation_level': None, 'timeout': 1}}",
        "{'connect_args': {'isolation_level': 'EXCLUSIVE'}}",
    )
}
if sys.version_info >= (3, 12):
    KINDS |= {
        options: _engine_options(options)
        for options in (
            "{'connect_args': {'autocommit': True}}",
            "{'connect_args': {'autocommit': False}}",
        )
    }


@pytest.mark.parametrize("kind", KINDS)
def test_goes_up_and_undoes_a_failure(project: ProjectFactory, kind: str) -> None:
    p = project(revisions=[FIRST], models=MODELS)
    KINDS[kind](p)
    app = p.app()
    done = p.invoke("db", "safe-upgrade", "--yes", app=app)
    assert done.exit_code == 0, done.output
    p.revision(*SECOND)
    done = p.invoke("db", "safe-upgrade", "--yes", app=app)
    assert done.exit_code == 0, done.output
    assert p.heads() == {"a2"}
    assert p.rows("SELECT x FROM t") == [("row",)]
    before = p.rows(SCHEMA)
    p.revision(
        "a3",
        "op.execute(\"INSERT INTO t (x) VALUES ('more')\")\n"
        "op.create_table('u', sa.Column('id', sa.Integer))\nraise ValueError('no further')",
    )
    failed = p.invoke("db", "safe-upgrade", "--yes", app=app)
    said = " ".join(failed.output.split())
    assert failed.exit_code == 1, failed.output
    assert "ValueError: no further" in said
    assert "Everything was undone" in said
    assert p.heads() == {"a2"}
    assert p.rows("SELECT x FROM t") == [("row",)]
    assert p.rows(SCHEMA) == before
    # What stock commands of Flask-Migrate see is what the migrations made.
    (p.versions / "a3_revision_a3.py").unlink()
    checked = p.invoke("db", "check", app=app)
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("factory", ["bytes", "lambda raw: raw.decode('latin-1')"])
def test_names_are_read_whatever_the_application_reads_text_as(
    project: ProjectFactory, factory: str
) -> None:
    p = project(revisions=[FIRST])
    application(
        p,
        "    return app",
        "    with app.app_context():\n"
        "        engine = db.engine\n"
        "    @sa.event.listens_for(engine, 'connect')\n"
        "    def connect(connection, record):\n"
        f"        connection.text_factory = {factory}\n"
        "    return app",
    )
    app = p.app()
    p.revision(
        "a2",
        "op.add_column('t', sa.Column('größe', sa.String))\n"
        "op.execute(\"INSERT INTO t (größe) VALUES (CAST(x'ff' AS TEXT)), ('ä')\")\n"
        "found = op.get_bind().exec_driver_sql('SELECT größe FROM t').scalars().all()\n"
        "assert found in ([b'\\xff', 'ä'], ['ÿ', 'ä']), found",
        "op.drop_column('t', 'größe')",
    )
    p.revision("a3", "op.alter_column('t', 'größe', nullable=False)", "pass")
    for command in (
        ("safe-upgrade", "a2", "--yes"),
        ("safe-upgrade", "--yes"),
        ("safe-downgrade", "a1", "--yes"),
        ("restore", "--yes"),
        ("deploy",),
    ):
        done = p.invoke("db", *command, app=app)
        assert done.exit_code == 0, done.output
    assert p.heads() == {"a3"}


def test_an_application_that_reads_while_it_is_made(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST, SECOND])
    # The context stays pushed, so it needs a process of its own.
    reads_while_it_is_made(p)
    done = p.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.rows("SELECT x FROM t") == [("row",)]


def test_an_environment_that_does_not_commit_is_told(project: ProjectFactory) -> None:
    """Plain Alembic loses the version row there, and says nothing."""
    p = project(revisions=[FIRST])
    environment(
        p,
        (
            BEFORE_CONFIGURE,
            "        connection.exec_driver_sql('SELECT 1').all()\n" + BEFORE_CONFIGURE,
        ),
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 2, done.output
    assert "env.py did not commit" in said
    assert "Hint: write connection.commit() in env.py before context.configure" in said
    assert p.rows(SCHEMA) == []


def test_an_environment_that_fails_is_told(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    environment(
        p,
        (
            BEFORE_CONFIGURE,
            "        connection.exec_driver_sql('SELECT nope')\n" + BEFORE_CONFIGURE,
        ),
    )
    done = p.invoke("db", "safe-upgrade", "--yes")
    said = " ".join(done.output.split())
    assert done.exit_code == 1, done.output
    assert '"migrations/env.py", line' in said
    assert "no such column: nope" in said
    assert not p.database.exists()


def test_arguments_and_callbacks_reach_the_environment(project: ProjectFactory) -> None:
    p = project(
        revisions=[FIRST],
        arguments="version_table='versions', compare_type=False, render_as_batch=False",
        after="""
        @migrate.configure
        def configure(config):
            print("configured", config.get_main_option("script_location"))
            return config
        """,
    )
    environment(
        p,
        (
            "def run_migrations_online():",
            "print('x is', context.get_x_argument(as_dictionary=True))\n"
            "def run_migrations_online():",
        ),
    )
    done = p.invoke("db", "safe-upgrade", "--yes", "-x", "tenant=one", "-x", "b=2")
    assert done.exit_code == 0, done.output
    assert "x is {'tenant': 'one', 'b': '2'}" in done.output
    assert "configured" in done.output
    assert p.rows("SELECT version_num FROM versions") == [("a1",)]
    assert p.invoke("db", "status", "--check").exit_code == 0
    assert p.db("current").stdout.endswith("a1 (head)\n")


def test_a_database_in_memory(project: ProjectFactory) -> None:
    p = project(url="sqlite://", revisions=[FIRST, SECOND])
    app = p.app()
    assert p.invoke("db", "safe-upgrade", "--yes", app=app).exit_code == 0
    again = p.invoke("db", "safe-upgrade", "--yes", app=app)
    assert again.exit_code == 0, again.output
    assert "othing to do" in again.output
    refused = p.invoke("db", "snapshot", app=app)
    assert refused.exit_code == 1
    assert "in memory" in refused.output
    p.revision("a3", "op.create_table('u', sa.Column('id', sa.Integer))")
    refused = p.invoke("db", "safe-upgrade", "--dry-run", app=app)
    assert refused.exit_code == 1
    assert refused.output.endswith("Hint: name a file in SQLALCHEMY_DATABASE_URI\n")


def test_logging_is_as_before(project: ProjectFactory, tmp_path: Path) -> None:
    """Also that of a file that is written anew, which stays silent once it was closed."""
    p = project(revisions=[FIRST])
    app = p.app()
    logger = logging.getLogger(f"shop.{tmp_path.name}")
    handler = logging.FileHandler(tmp_path / "shop.log", mode="w")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    try:
        logger.info("one")
        assert p.invoke("db", "safe-upgrade", "--yes", app=app).exit_code == 0
        logger.info("two")
        assert not logger.disabled
        assert (tmp_path / "shop.log").read_text() == "one\ntwo\n"
        assert (root.level, list(root.handlers)) == before
    finally:
        logger.removeHandler(handler)
        handler.close()


STOCK = (
    "current",
    "heads",
    "history",
    "branches",
    "show a1",
    "upgrade --sql",
    "upgrade",
    "current",
    "check",
    "downgrade",
    "upgrade a2",
    "downgrade --sql a2:a1",
    "stamp a1",
    "stamp head",
    "list-templates",
    "upgrade nosuch",
    "upgrade --help",
    "migrate --help",
    "nosuch",
)


def test_every_stock_command_answers_as_before(project: ProjectFactory) -> None:
    """The same exit code and the same text, byte for byte."""

    def answers(safe: bool) -> dict[str, tuple[int, str]]:
        p = project(safe=safe, models=MODELS, revisions=[FIRST, SECOND])
        script = p.path / "all.py"
        script.write_text(
            "import json, shlex\nimport alembic.config\n"
            "from app import app\n"
            "said = {}\n"
            f"for line in {STOCK!r}:\n"
            "    done = app.test_cli_runner().invoke(args=['db', *shlex.split(line)])\n"
            "    said[line] = (done.exit_code, done.output)\n"
            "print(json.dumps(said))\n"
        )
        import json
        import subprocess

        done = subprocess.run(
            [sys.executable, script],
            cwd=p.path,
            env=p._environment(None),
            capture_output=True,
            text=True,
            check=True,
        )
        said = json.loads(done.stdout.splitlines()[-1])
        return {
            line: (code, text.replace(str(p.path), "")) for line, (code, text) in said.items()
        } | {
            # Alembic holds the streams of the time when it was imported.
            "stdout": (0, done.stdout.rpartition("\n{")[0].replace(str(p.path), "")),
            "stderr": (0, done.stderr.replace(str(p.path), "")),
        }

    plain, ours = answers(safe=False), answers(safe=True)
    assert ours == plain
    assert "a1 (head)" in plain["stdout"][1] or "a2 (head)" in plain["stdout"][1]
    assert plain["upgrade nosuch"][0] == 1


def test_reset_drops_a_table_that_cannot_be_read(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.execute(
        "CREATE TABLE keyed (k TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE VIRTUAL TABLE f USING fts5 (k, content='keyed')",
        "CREATE VIEW broken AS SELECT nosuch FROM keyed",
    )
    done = p.flask("--debug", "db", "reset", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    names = {row[1] for row in p.rows(SCHEMA) if row[0] in ("table", "view")}
    assert names == {"alembic_version", "safemigrate_journal", "t"}


def _keeps_versions_in(p: Project, lines: str) -> None:
    file = p.path / p.directory / "env.py"
    text = file.read_text()
    call = "        context.configure(\n            connection=connection,"
    assert call in text
    put = f"        more = {{}}\n        {lines}\n{call}\n            **more,"
    file.write_text(text.replace(call, put))


def test_a_version_table_that_env_py_puts_into_a_dictionary(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    _keeps_versions_in(p, "more['version_table'] = 'of_' + 'mine'")
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    p.revision(*SECOND[:2])
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.rows("SELECT version_num FROM of_mine") == [("a2",)]


def test_a_version_table_that_cannot_be_read_is_refused_at_once(project: ProjectFactory) -> None:
    p = project(revisions=[FIRST])
    _keeps_versions_in(p, "more['version_table'] = ''.join(['of_', 'mine'])")
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 3, done.output
    said = " ".join(done.output.split())
    assert 'in table "of_mine", which cannot be read out of its text' in said
    assert 'Hint: write version_table="of_mine" into context.configure()' in said
    assert p.rows(SCHEMA) == []
