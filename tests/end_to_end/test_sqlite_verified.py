"""What an upgrade of SQLite proves before it commits, and what it does not hold against anyone."""

from __future__ import annotations

import pytest

from tests.support.projects import ProjectFactory

NOTES = "op.execute('CREATE VIRTUAL TABLE note_fts USING {}')"


@pytest.mark.parametrize(
    ("module", "then", "left"),
    [
        ("fts5(body)", "op.execute('DROP TABLE note_fts')", set()),
        ("rtree(id, low, high)", "op.drop_table('note_fts')", set()),
        ("fts4(body)", "op.execute('ALTER TABLE note_fts RENAME TO memo_fts')", {"memo_fts"}),
        ("fts5(body)", "op.rename_table('note_fts', 'memo_fts')", {"memo_fts"}),
    ],
)
def test_virtual_tables_take_their_own_along(
    project: ProjectFactory, module: str, then: str, left: set[str]
) -> None:
    made = project(revisions=[("a1", NOTES.format(module)), ("a2", then)])
    assert made.db("safe-upgrade", "a1", "--yes").returncode == 0
    done = made.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stderr
    names = made.rows("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'")
    assert {name for (name,) in names} == left
    assert not made.rows("SELECT name FROM sqlite_master WHERE name LIKE 'note_fts_%'")


def test_virtual_tables_go_on_the_way_down(project: ProjectFactory) -> None:
    made = project(
        revisions=[
            ("a1", "op.create_table('note', sa.Column('id', sa.Integer(), primary_key=True))"),
            ("a2", NOTES.format("fts5(body)"), "op.execute('DROP TABLE note_fts')"),
        ]
    )
    assert made.db("deploy").returncode == 0
    done = made.db("safe-downgrade", "a1", "--yes")
    assert done.returncode == 0, done.stderr
    assert not made.rows("SELECT name FROM sqlite_master WHERE name LIKE 'note_fts%'")


@pytest.mark.parametrize(
    "body",
    [
        "op.execute('CREATE VIEW v AS SELECT id FROM doc')\n"
        "op.execute('CREATE TRIGGER r INSTEAD OF INSERT ON v"
        " BEGIN INSERT INTO doc VALUES (new.id); END')\n"
        "op.execute('INSERT INTO v VALUES (1)')\nop.execute('DROP VIEW v')",
        "op.execute('CREATE TEMP TRIGGER r AFTER INSERT ON log"
        " BEGIN INSERT INTO doc VALUES (new.id); END')\n"
        "op.execute('INSERT INTO log VALUES (1)')\nop.execute('DROP TRIGGER r')",
        "op.execute('CREATE TRIGGER r AFTER INSERT ON log"
        " BEGIN INSERT INTO middle VALUES (new.id); END')\n"
        "op.execute('CREATE TRIGGER s AFTER INSERT ON middle"
        " BEGIN INSERT INTO doc VALUES (new.id); END')\n"
        "op.execute('INSERT INTO log VALUES (1)')\n"
        "op.execute('DROP TRIGGER r')\nop.execute('DROP TRIGGER s')",
    ],
)
def test_what_a_trigger_of_the_run_writes_is_known(project: ProjectFactory, body: str) -> None:
    tables = "\n".join(
        f"op.create_table('{name}', sa.Column('id', sa.Integer(), primary_key=True))"
        for name in ("doc", "log", "middle")
    )
    made = project(revisions=[("a1", tables)])
    assert made.db("deploy").returncode == 0
    made.revision("a2", body)
    done = made.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stderr
    assert made.rows("SELECT id FROM doc") == [(1,)]


def test_rows_without_parent_name_the_statement(project: ProjectFactory) -> None:
    made = project(
        revisions=[
            (
                "a1",
                "op.create_table('team', sa.Column('id', sa.Integer(), primary_key=True))\n"
                "op.create_table('player', sa.Column('id', sa.Integer(), primary_key=True),"
                " sa.Column('team_id', sa.Integer(), sa.ForeignKey('team.id')))\n"
                "op.execute('INSERT INTO team VALUES (1)')\n"
                "op.execute('INSERT INTO player VALUES (1, 1)')",
            )
        ]
    )
    assert made.db("deploy").returncode == 0
    made.revision(
        "a2", "op.create_table('u', sa.Column('x', sa.Integer()))\nop.execute('DELETE FROM team')"
    )
    made.revision("a3", "op.add_column('player', sa.Column('x', sa.Integer()))")
    done = made.db("safe-upgrade", "--yes")
    said = " ".join(done.stderr.split())
    assert done.returncode == 1
    assert "Revision 'a2' in \"migrations/versions/a2_revision_a2.py\", line" in said
    assert '1 row of table "player" lost the row that the foreign key leads to' in said


def test_a_function_that_sqlite_lacks_names_its_revision(project: ProjectFactory) -> None:
    made = project(
        revisions=[
            ("a1", "op.create_table('doc', sa.Column('id', sa.Integer(), primary_key=True))"),
            (
                "a2",
                "pass\nop.add_column('doc', sa.Column('at', sa.DateTime()))\n"
                "with op.batch_alter_table('doc') as batch:\n"
                "    batch.alter_column('at', server_default=sa.text('(now())'))",
            ),
            ("a3", "op.add_column('doc', sa.Column('more', sa.Integer()))"),
        ]
    )
    done = made.db("deploy")
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "Revision 'a2' in \"migrations/versions/a2_revision_a2.py\", line" in said
    assert "table 'doc' (column 'at') cannot take a row: unknown function: now()" in said
    assert "Everything was undone" in said
    assert "write CURRENT_TIMESTAMP" in said
    assert not made.rows("SELECT name FROM sqlite_master")


def test_a_function_of_the_application_is_there(project: ProjectFactory) -> None:
    made = project(
        models="""
            @sa.event.listens_for(sa.engine.Engine, "connect")
            def register(connection, record):
                connection.create_function("now", 0, lambda: "now")
        """,
        revisions=[
            (
                "a1",
                "op.create_table('doc', sa.Column('id', sa.Integer(), primary_key=True), "
                "sa.Column('at', sa.Text(), server_default=sa.text('(now())')))",
            ),
        ],
    )
    done = made.db("deploy")
    assert done.returncode == 0, done.stderr
    assert "SM541" not in made.db("doctor").stdout


#: Functions that work on their own connection, as those of SpatiaLite do.
EXTENSION = """
    @sa.event.listens_for(sa.engine.Engine, "connect")
    def register(connection, record):
        def note(word):
            connection.execute("INSERT INTO log (word) VALUES (?)", (word,))
            connection.execute("DROP TABLE IF EXISTS spare")
            return 1

        def undo():
            connection.execute("ROLLBACK")
            return 1

        def keep():
            connection.execute("COMMIT")
            return 1

        connection.create_function("note", 1, note)
        connection.create_function("undo", 0, undo)
        connection.create_function("keep", 0, keep)
"""
LOG = "op.create_table('log', sa.Column('word', sa.Text()))"


def test_what_a_function_of_an_extension_writes_is_not_held_against_anyone(
    project: ProjectFactory,
) -> None:
    made = project(
        models=EXTENSION,
        revisions=[("a1", f"{LOG}\n{LOG.replace('log', 'spare')}")],
    )
    assert made.db("deploy").returncode == 0
    made.revision("a2", "op.execute(\"SELECT note('b')\")")
    done = made.db("safe-upgrade", "--yes")
    assert done.returncode == 0, done.stderr
    assert made.rows("SELECT word FROM log") == [("b",)]
    assert made.rows("SELECT name FROM sqlite_master WHERE name = 'spare'") == []


def test_a_function_that_ends_the_transaction_stops_the_run_at_once(
    project: ProjectFactory,
) -> None:
    made = project(
        models=EXTENSION,
        revisions=[
            ("a1", LOG),
            ("a2", f"op.execute('SELECT undo()')\n{LOG.replace('log', 'late')}"),
        ],
    )
    failed = made.db("deploy")
    said = " ".join(failed.stderr.split())
    assert failed.returncode == 1
    assert "Revision 'a2' ended the transaction that all revisions share: SELECT undo()" in said
    assert "Everything was undone" in said
    assert made.rows("SELECT name FROM sqlite_master") == []
    # Nor does the replay go on and prove by what is left that the database has the revision.
    made.execute("CREATE TABLE late (word TEXT)")
    doctor = " ".join(made.db("doctor").stdout.split())
    assert "Revision 'a2' failed: it undid the transaction" in doctor
    assert "equals revision" not in doctor
