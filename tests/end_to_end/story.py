"""A history of ten revisions that mixes DDL and data, and the database it starts from."""

from __future__ import annotations

from tests.support.projects import Project

MODELS = """
class Owner(db.Model):
    id = db.Column(db.Integer, primary_key=True)
"""

#: Runs on SQLite, PostgreSQL and MariaDB alike.
REVISIONS: tuple[tuple[str, str, str], ...] = (
    (
        "r01",
        "op.create_table('owner', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('name', sa.String(50), nullable=False))",
        "op.drop_table('owner')",
    ),
    (
        "r02",
        "op.create_table('pet', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('owner_id', sa.Integer, sa.ForeignKey('owner.id', name='fk_pet_owner')),"
        " sa.Column('name', sa.String(30)), sa.Column('junk', sa.String(10)))",
        "op.drop_table('pet')",
    ),
    (
        "r03",
        "op.bulk_insert(sa.table('owner', sa.column('id'), sa.column('name')),"
        " [{'id': i, 'name': f'owner {i}'} for i in range(1, 201)])",
        "op.execute('DELETE FROM owner')",
    ),
    (
        "r04",
        "op.bulk_insert(sa.table('pet', sa.column('id'), sa.column('owner_id'),"
        " sa.column('name')),"
        " [{'id': i, 'owner_id': 1 + i % 200, 'name': f'pet {i}'} for i in range(1, 401)])",
        "op.execute('DELETE FROM pet')",
    ),
    (
        "r05",
        "op.create_index('ix_pet_name', 'pet', ['name'])",
        "op.drop_index('ix_pet_name', 'pet')",
    ),
    (
        "r06",
        "with op.batch_alter_table('pet') as b:\n    b.drop_column('junk')",
        "op.add_column('pet', sa.Column('junk', sa.String(10)))",
    ),
    (
        "r07",
        "op.execute(\"UPDATE pet SET name = 'nobody' WHERE id = 7\")",
        "pass",
    ),
    (
        "r08",
        "with op.batch_alter_table('owner') as b:\n"
        "    b.alter_column('name', existing_type=sa.String(50), type_=sa.String(200),"
        " existing_nullable=False)",
        "with op.batch_alter_table('owner') as b:\n"
        "    b.alter_column('name', existing_type=sa.String(200), type_=sa.String(50),"
        " existing_nullable=False)",
    ),
    (
        "r09",
        "op.add_column('pet', sa.Column('born', sa.Integer, server_default='0', nullable=False))",
        "with op.batch_alter_table('pet') as b:\n    b.drop_column('born')",
    ),
    (
        "r10",
        "with op.batch_alter_table('pet') as b:\n"
        "    b.alter_column('name', existing_type=sa.String(30), nullable=False)",
        "with op.batch_alter_table('pet') as b:\n"
        "    b.alter_column('name', existing_type=sa.String(30), nullable=True)",
    ),
)

HEAD = "r10"


def tell(project: Project) -> Project:
    """Write the ten revisions into a project."""
    for revision, upgrade, downgrade in REVISIONS:
        project.revision(revision, upgrade, downgrade, message=f"step {revision}")
    return project


def assert_told(project: Project, url: str | None = None) -> None:
    """The database is at head, and every revision ran exactly once."""
    assert project.heads(url) == {HEAD}
    assert project.rows("SELECT count(*) FROM owner", url) == [(200,)]
    assert project.rows("SELECT count(*), count(DISTINCT owner_id) FROM pet", url) == [(400, 200)]
    assert project.rows("SELECT name, born FROM pet WHERE id = 7", url) == [("nobody", 0)]
    noted = project.rows(
        "SELECT subject FROM safemigrate_journal WHERE kind = 'revision' ORDER BY id", url
    )
    assert [row[0] for row in noted] == [revision for revision, _, _ in REVISIONS]
