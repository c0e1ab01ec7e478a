"""nobody has a fax any more

Revision ID: 4c81f7d60e3a
Revises: 35d9c8e2a06b
Create Date: 2023-08-14 11:27:59.005862

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '4c81f7d60e3a'
down_revision = '35d9c8e2a06b'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.drop_column('fax')


def downgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.add_column(sa.Column('fax', sa.String(length=30), nullable=True))
