"""A project as its files and its configuration show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class EnvTemplate(NamedTuple):
    """What ``env.py`` was made from.

    :param name: the template of Flask-Migrate, "" where it was made from none.
    :param release: the last release of Flask-Migrate that had this text.
    :param installed: the release that is installed.
    :param outdated: whether the installed release has another text.
    :param modified: whether the project has changed more than comments and layout.
    :param faults: see :func:`flask_safemigrate.project.env_faults.faults`.
    :param patch: a unified diff that brings a modified file up to date and keeps the project's own
        lines; "" where there is none, or where both have changed the same lines.
    :param replacement: the file of the installed Flask-Migrate.
    """

    name: str = ""
    release: str = ""
    installed: str = ""
    outdated: bool = False
    modified: bool = False
    faults: frozenset[str] = frozenset()
    patch: str = ""
    replacement: str = ""


class IniFacts(NamedTuple):
    """What ``alembic.ini`` says beside where the revisions are.

    :param problem: why ``logging.config.fileConfig``, which ``env.py`` calls, refuses it.
    :param missing_logger: the logger that ``fileConfig`` switches off because it is not named.
    :param silent: why errors that Flask-Migrate logs are not shown.
    :param script_location: the folder that it names, where that is another one than this.
    :param sourceless: whether Alembic may load compiled revisions.
    :param url: the database that it names, which may hold a password.
    :param url_replaced: whether ``env.py`` puts the application's in its place.
    """

    problem: str = ""
    missing_logger: str = ""
    silent: str = ""
    script_location: str = ""
    sourceless: bool = False
    url: str = ""
    url_replaced: bool = True


class LeftOut(NamedTuple):
    """Files of the migrations that a packaging tool leaves out.

    :param source: the file with the rule, absolute.
    :param reader: what goes without them: ``the image``, ``Heroku``.
    :param line: line of the rule, 1 is the first.
    :param rule: the rule that leaves the first of them out.
    :param paths: the files.
    :param every: whether every revision file is among them.
    :param back: a line that would bring them back below the rule, "" where none could.
    """

    source: str
    reader: str
    line: int
    rule: str
    paths: tuple[str, ...]
    every: bool = False
    back: str = ""


class UnknownName(NamedTuple):
    """A name that a revision file uses and nothing in it defines.

    :param function: the function that uses it first, "" for the module itself.
    """

    path: str
    name: str
    line: int
    function: str = ""


class ModelImport(NamedTuple):
    """A revision file that imports models of the application.

    :param names: what it imports.
    """

    path: str
    names: tuple[str, ...]
    line: int


class ModelClass(NamedTuple):
    """A class that is a model by its looks.

    :param bind: its bind key, "" for the default database.
    :param module: the name under which its file is imported.
    """

    name: str
    table: str
    bind: str
    module: str
    path: str
    line: int


class Shadow(NamedTuple):
    """A module of the project with the name of a package.

    :param used: whether this process has imported it in the package's place.
    """

    name: str
    path: str
    used: bool = False


class Dotenv(NamedTuple):
    """Files of settings that nothing reads here.

    :param names: the variables that they set.
    """

    paths: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class DatabaseFile(NamedTuple):
    """An SQLite file that could be mistaken for the database.

    :param tables: how many it has.
    """

    path: str
    tables: int


class Failure(NamedTuple):
    """Why the application could not be loaded.

    :param file: the innermost file of the application's own, "" where it is unknown.
    """

    message: str
    hint: str = ""
    file: str = ""
    line: int | None = None


class Setup(NamedTuple):
    """The project as its files and its configuration show it; empty where nobody looked.

    :param failure: why there is no application, None where there is one.
    :param initialised: whether the application has Flask-Migrate or SafeMigrate.
    :param stray: files among the revisions that Alembic does not load.
    :param sourceless: compiled revisions without source that it does load.
    :param model_imports: of the revisions that were looked at.
    :param unknown_names: of pending revisions.
    :param unimported: models that the source defines in files that are not imported.
    :param variable: the environment variable that the code takes the URL from.
    :param url_has: of the default database's URL: ``percent``, ``password``.
    :param arguments: names of what ``Migrate`` hands to Alembic.
    :param debug: whether the application runs in debug mode.
    :param hosts: pairs of bind key and host of databases on servers.
    :param other_files: per bind key, SQLite files of the same name in other places.
    :param unnamed: per bind key, tables whose models have constraints without a name.
    """

    failure: Failure | None = None
    initialised: bool = True
    env: EnvTemplate = EnvTemplate()
    ini: IniFacts = IniFacts()
    left_out: tuple[LeftOut, ...] = ()
    stray: tuple[str, ...] = ()
    sourceless: tuple[str, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    model_imports: tuple[ModelImport, ...] = ()
    unknown_names: tuple[UnknownName, ...] = ()
    unimported: tuple[ModelClass, ...] = ()
    variable: str = ""
    dotenv: Dotenv = Dotenv()
    url_has: frozenset[str] = frozenset()
    arguments: frozenset[str] = frozenset()
    debug: bool = False
    hosts: tuple[tuple[str, str], ...] = ()
    other_files: Mapping[str, tuple[DatabaseFile, ...]] = {}
    unnamed: Mapping[str, tuple[str, ...]] = {}


class GitFacts(NamedTuple):
    """What git says about the migrations folder; all empty outside a repository.

    :param ignored: revision files or folders that git ignores.
    :param untracked: revision files that git does not track (and does not ignore).
    :param ignored_by: the rule that ignores the first of them, as ``file:line: pattern``.
    """

    present: bool = False
    ignored: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    ignored_by: str = ""


class Reference(NamedTuple):
    """A column of a model that is a foreign key."""

    table: str
    column: str
    other: str
    referred: str


class ProjectState(NamedTuple):
    """The project as it was found.

    :param directory: the migrations folder, absolute.
    :param env_problem: why ``env.py`` cannot be used, "" where it can.
    :param multidb: whether ``env.py`` migrates every bind.
    :param models: tables that the models define, per bind key; empty if that was not read.
    :param own_metadata: whether ``env.py`` takes the models from elsewhere than Flask-SQLAlchemy.
    :param hidden: tables of the databases that the filters of autogenerate keep from it, per bind
        key; None where ``env.py`` has filters that were not asked.
    :param config_problems: pairs of (kind, message) about the configuration:
        ``no url``, ``driver``, ``dialect``, ``async``, ``url``.
    :param ini_problem: why ``alembic.ini`` cannot be read, "" where it can.
    :param locations: the folders that hold revision files, absolute.
    :param configure_keywords: keywords that ``env.py`` itself passes to ``context.configure``,
        ``**`` where it passes a mapping too.
    :param version_table: the version table that ``env.py`` names, None where it names none.
    :param per_revision: whether ``transaction_per_migration`` is asked for, as far as is known.
    :param env_role: the role that ``env.py`` takes by ``SET ROLE``, "" for none.
    :param tenants: whether ``env.py`` migrates several schemas of one database in a loop.
    :param schema_by: what ``env.py`` or the engine of a database sends tables without a schema to
        another one by: ``schema_translate_map``, ``SET search_path`` or "".
    :param create_all: where the application calls ``create_all()``, as ``app.py:12``; empty if
        nobody looked.
    :param references: foreign keys of the models, per bind key; empty if that was not read.
    """

    app: str
    directory: str
    directory_exists: bool = True
    versions_exists: bool = True
    ini_exists: bool = True
    env_exists: bool = True
    env_problem: str = ""
    env_problem_line: int | None = None
    is_async: bool = False
    multidb: bool = False
    models: Mapping[str, tuple[str, ...]] = {}
    own_metadata: bool = False
    hidden: Mapping[str, tuple[str, ...]] | None = {}
    config_problems: tuple[tuple[str, str], ...] = ()
    git: GitFacts = GitFacts()
    ini_problem: str = ""
    locations: tuple[str, ...] = ()
    configure_keywords: frozenset[str] = frozenset()
    version_table: str | None = None
    per_revision: bool = False
    env_role: str = ""
    tenants: bool = False
    schema_by: str = ""
    create_all: tuple[str, ...] = ()
    setup: Setup = Setup()
    references: Mapping[str, tuple[Reference, ...]] = {}
