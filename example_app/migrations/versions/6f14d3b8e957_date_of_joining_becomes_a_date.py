"""date of joining becomes a date

Revision ID: 6f14d3b8e957
Revises: 5e2b90a7c4d1
Create Date: 2023-11-20 08:31:47.219035

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '6f14d3b8e957'
down_revision = '5e2b90a7c4d1'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.alter_column('joined',
               existing_type=sa.VARCHAR(length=10),
               type_=sa.Date(),
               existing_nullable=False,
               postgresql_using='joined::date')


def downgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.alter_column('joined',
               existing_type=sa.Date(),
               type_=sa.VARCHAR(length=10),
               existing_nullable=False)
