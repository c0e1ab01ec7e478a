"""membership kind is required

Revision ID: c57d1e82fa94
Revises: b46c09f1d8e2
Create Date: 2024-02-28 12:36:08.745021

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = 'c57d1e82fa94'
down_revision = 'b46c09f1d8e2'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.alter_column('kind_id',
               existing_type=sa.Integer(),
               nullable=False)
        batch_op.drop_column('kind')


def downgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind', sa.String(length=20), nullable=True))
        batch_op.alter_column('kind_id',
               existing_type=sa.Integer(),
               nullable=True)

    member = sa.table('member', sa.column('kind', sa.String), sa.column('kind_id', sa.Integer))
    kind = sa.table('membership_kind', sa.column('id', sa.Integer), sa.column('name', sa.String))
    op.execute(
        member.update().values(
            kind=sa.select(kind.c.name).where(kind.c.id == member.c.kind_id).scalar_subquery()
        )
    )
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.alter_column('kind', existing_type=sa.VARCHAR(length=20), nullable=False)
