"""``flask db lint --fix``: the cure is written into the file, and does what it says."""

from __future__ import annotations

import json

import pytest

from tests.support.projects import Project, ProjectFactory

ROWS = 300
FIRST = (
    "a1",
    "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True))\n"
    "op.create_table('person', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('name', sa.String(20)), sa.Column('flag', sa.String(5)),"
    " sa.Column('pet_id', sa.Integer))\n"
    f"op.bulk_insert(sa.table('person', sa.column('id'), sa.column('name'), sa.column('flag')),"
    f" [{{'id': n, 'name': 'x%d' % n, 'flag': 'true'}} for n in range(1, {ROWS} + 1)])",
    "op.drop_table('person')\nop.drop_table('pet')",
)
BAD = """\
with op.batch_alter_table('person', schema=None) as batch_op:
    batch_op.create_index(batch_op.f('ix_flag'), ['flag'], unique=False)
    batch_op.alter_column('name',
           existing_type=sa.VARCHAR(length=20),
           nullable=False)
    batch_op.create_unique_constraint('uq_name', ['name'])
    batch_op.create_foreign_key('fk_pet', 'pet', ['pet_id'], ['id'], ondelete='CASCADE')
op.create_check_constraint('ck_id', 'person', 'id > 0')
op.add_column('person', sa.Column('at', sa.DateTime(),
    server_default=sa.text('clock_timestamp()'), nullable=False))
op.alter_column('person', 'flag', type_=sa.Boolean(), existing_type=sa.String(5))
"""
CURED = {"SM603", "SM610", "SM611", "SM612", "SM613", "SM615", "SM616"}
CATALOGUE = """
    SELECT 'index', indexrelid::regclass::text, indisunique::text FROM pg_index
    WHERE indrelid = 'person'::regclass AND indisvalid
    UNION ALL SELECT 'constraint', conname, convalidated::text || pg_get_constraintdef(oid)
    FROM pg_constraint WHERE conrelid = 'person'::regclass AND contype <> 'n'
    UNION ALL SELECT 'column', attname, attnotnull::text || format_type(atttypid, atttypmod)
    FROM pg_attribute WHERE attrelid = 'person'::regclass AND attnum > 0
    ORDER BY 1, 2
"""


def _project(project: ProjectFactory, url: str) -> Project:
    p = project(url=url, revisions=[FIRST], config={"SAFEMIGRATE_LARGE_TABLE": ROWS})
    assert p.db("safe-upgrade", "--yes").returncode == 0
    p.revision("a2", BAD)
    return p


def _codes(p: Project, *more: str) -> set[str]:
    done = p.db("lint", "--format", "json", *more)
    found = json.loads(done.stdout)["findings"]
    return {f["code"] for f in found if f["severity"] != "info"}


def test_the_cures_do_what_the_revision_did(project: ProjectFactory, postgresql_url: str) -> None:
    p = _project(project, postgresql_url)
    file = next(p.versions.glob("a2_*"))
    before = file.read_text()
    assert _codes(p) >= CURED
    asked = p.db("lint", "--fix")
    assert asked.returncode == 2, asked.stdout + asked.stderr
    assert "postgresql_concurrently=True" in asked.stdout
    assert file.read_text() == before
    done = p.db("lint", "--fix", "--yes")
    assert "has the cures of" in " ".join(done.stdout.split()), done.stdout + done.stderr
    assert _codes(p) & (CURED - {"SM603"}) == set()
    done = p.db("safe-upgrade", "--yes", "--allow", "SM640", "--allow", "SM614")
    assert done.returncode == 0, done.stdout + done.stderr
    cured = p.rows(CATALOGUE)
    # The bad one ends with the same.
    p.execute("DROP TABLE person, pet", "DELETE FROM alembic_version")
    using = "type_=sa.Boolean(), postgresql_using='flag::boolean'"
    file.write_text(before.replace("type_=sa.Boolean()", using))
    done = p.db("safe-upgrade", "--yes", "--allow", "SM640", "--allow", "SM614")
    assert done.returncode == 0, done.stdout + done.stderr
    assert p.rows(CATALOGUE) == cured
    assert p.rows("SELECT count(*) FROM person WHERE at IS NULL") == [(0,)]


def test_what_a_database_has_is_never_changed(
    project: ProjectFactory, postgresql_url: str
) -> None:
    p = _project(project, postgresql_url)
    file = next(p.versions.glob("a2_*"))
    p.db("stamp", "a2")
    before = file.read_text()
    done = p.db("lint", "a2", "--fix", "--yes")
    assert "is applied" in done.stdout, done.stdout + done.stderr
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--fix", "--offline", "heads"], "--fix asks the databases"), (["--yes"], "--yes is for")],
)
def test_options_that_do_not_go_together(
    project: ProjectFactory, options: list[str], says: str
) -> None:
    p = project(revisions=[FIRST])
    done = p.db("lint", *options)
    assert done.returncode == 2
    assert says in done.stderr
