"""shelf is called shelfmark

Revision ID: 92e7b1a45c0d
Revises: 81c6d2f09ab3
Create Date: 2024-02-19 10:44:13.930276

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '92e7b1a45c0d'
down_revision = '81c6d2f09ab3'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('copy', schema=None) as batch_op:
        batch_op.alter_column('shelf',
               existing_type=sa.VARCHAR(length=20),
               existing_nullable=False,
               new_column_name='shelfmark')


def downgrade():
    with op.batch_alter_table('copy', schema=None) as batch_op:
        batch_op.alter_column('shelfmark',
               existing_type=sa.VARCHAR(length=20),
               existing_nullable=False,
               new_column_name='shelf')
