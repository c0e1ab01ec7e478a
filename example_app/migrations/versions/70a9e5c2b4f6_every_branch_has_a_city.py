"""every branch has a city

Revision ID: 70a9e5c2b4f6
Revises: 6f14d3b8e957
Create Date: 2024-01-11 17:20:02.648209

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '70a9e5c2b4f6'
down_revision = '6f14d3b8e957'
branch_labels = None
depends_on = None


def upgrade():
    branch = sa.table('branch', sa.column('city', sa.String))
    op.execute(branch.update().where(branch.c.city.is_(None)).values(city='Lisbon'))
    with op.batch_alter_table('branch', schema=None) as batch_op:
        batch_op.alter_column('city',
               existing_type=sa.VARCHAR(length=80),
               nullable=False)


def downgrade():
    with op.batch_alter_table('branch', schema=None) as batch_op:
        batch_op.alter_column('city',
               existing_type=sa.VARCHAR(length=80),
               nullable=True)
