"""Models that are not where one looks first: another base, a view, a filter of autogenerate."""

from __future__ import annotations

import pytest

from tests.support.projects import Project, ProjectFactory

DOC = "op.create_table('doc', sa.Column('id', sa.Integer(), primary_key=True))"
VIEW = "op.execute('CREATE VIEW doc_view AS SELECT id FROM doc')"
BASE = """
    class Base(sa.orm.DeclarativeBase):
        pass


    class Doc(Base):
        __tablename__ = "doc"
        id = sa.Column(sa.Integer, primary_key=True)
"""
MODELS = """
    class Doc(db.Model):
        id = sa.Column(sa.Integer, primary_key=True)


    class DocView(db.Model):
        __tablename__ = "doc_view"
        id = sa.Column(sa.Integer, primary_key=True)


    def no_views(item, name, kind, reflected, other):
        return not (kind == "table" and name.endswith("_view"))
"""
GIVEN = """\
    if hasattr(target_db, 'metadatas'):
        return target_db.metadatas[None]
    return target_db.metadata
"""


def change_env(made: Project, old: str, new: str) -> None:
    env = made.path / "migrations" / "env.py"
    text = env.read_text()
    assert old in text
    env.write_text(text.replace(old, new))


def is_quiet(made: Project) -> None:
    for command in ("deploy", "status", "doctor"):
        done = made.db(command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert " SM" not in f" {done.stdout}", done.stdout
    assert "No problems found." in made.db("doctor").stdout


@pytest.mark.parametrize("target", ["Base.metadata", "[target_db.metadatas[None], Base.metadata]"])
def test_models_on_a_base_of_their_own(project: ProjectFactory, target: str) -> None:
    made = project(models=BASE, revisions=[("a1", DOC)])
    change_env(made, GIVEN, f"    from app import Base\n    return {target}\n")
    is_quiet(made)
    # They are the models: what they lack and have besides is told.
    made.execute("CREATE TABLE strange (id INTEGER)")
    app = made.path / "app.py"
    app.write_text(
        app.read_text().replace(
            '__tablename__ = "doc"', '__tablename__ = "doc"\n    more = sa.Column(sa.Integer)'
        )
    )
    said = " ".join(made.db("doctor").stdout.split())
    assert "no revision makes column 'doc.more'" in said
    assert "1 table that no model defines ('strange')" in said


@pytest.mark.parametrize("arguments", ["include_object=lambda *given: no_views(*given)", ""])
def test_filters_of_autogenerate_are_heeded(
    project: ProjectFactory, database_url: str, arguments: str
) -> None:
    made = project(
        url=database_url,
        models=MODELS,
        arguments=arguments,
        revisions=[("a1", DOC), ("a2", VIEW)],
    )
    if not arguments:
        line = "            **conf_args\n"
        change_env(made, line, f"            include_object=__import__('app').no_views,\n{line}")
    is_quiet(made)
    assert made.db("check").returncode == 0


def test_a_filter_hides_no_more_than_it_says(project: ProjectFactory) -> None:
    made = project(
        models=MODELS,
        arguments="include_object=lambda *given: no_views(*given)",
        revisions=[("a1", DOC)],
    )
    assert made.db("deploy").returncode == 0
    made.execute("CREATE TABLE strange (id INTEGER)", "CREATE TABLE some_view (id INTEGER)")
    said = " ".join(made.db("doctor").stdout.split())
    assert "1 table that no model defines ('strange')" in said
    assert "doc_view" not in said


def test_a_model_on_a_view(project: ProjectFactory, database_url: str) -> None:
    made = project(url=database_url, models=MODELS, revisions=[("a1", DOC), ("a2", VIEW)])
    assert made.db("deploy").returncode == 0
    assert "SM" not in made.db("status").stdout
    said = " ".join(made.db("doctor").stdout.split())
    assert "'doc_view' of the models of database" in said
    assert "is mapped to a view" in said
    assert "SAFEMIGRATE_EXCLUDE_TABLES" in said
    assert said.count("SM4") == 1


def test_a_virtual_table_has_no_model(project: ProjectFactory) -> None:
    virtual = "op.execute('CREATE VIRTUAL TABLE doc_fts USING fts5(body)')"
    models = MODELS.partition("class DocView")[0]
    made = project(models=models, revisions=[("a1", DOC), ("a2", virtual)])
    assert made.db("deploy").returncode == 0
    said = " ".join(made.db("doctor").stdout.split())
    assert "'doc_fts' in the history of database" in said
    assert """["SAFEMIGRATE_EXCLUDE_TABLES"] = ['doc_fts', 'doc_fts_*']""" in said
    app = made.path / "app.py"
    config = "app.config.from_mapping({"
    source = app.read_text()
    assert config in source
    wanted = "'SAFEMIGRATE_EXCLUDE_TABLES': ['doc_fts', 'doc_fts_*'], "
    app.write_text(source.replace(config, config + wanted))
    assert "No problems found." in made.db("doctor").stdout
    assert made.db("check").returncode == 0


def test_statements_of_env_before_configure(project: ProjectFactory) -> None:
    made = project(models=MODELS.partition("class DocView")[0], revisions=[("a1", DOC)])
    line = "    with connectable.connect() as connection:\n"
    said = "sa.text('PRAGMA busy_timeout=5000')"
    change_env(
        made,
        line,
        f"    import sqlalchemy as sa\n{line}        connection.execute({said})\n"
        "        connection.commit()\n",
    )
    is_quiet(made)
