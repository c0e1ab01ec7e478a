"""book language and member phone

Revision ID: 35d9c8e2a06b
Revises: 2a7be04c51f8
Create Date: 2023-05-23 09:03:18.402217

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '35d9c8e2a06b'
down_revision = '2a7be04c51f8'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('book', schema=None) as batch_op:
        batch_op.add_column(sa.Column('language', sa.String(length=2), server_default='en', nullable=False))

    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.add_column(sa.Column('phone', sa.String(length=30), nullable=True))


def downgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.drop_column('phone')

    with op.batch_alter_table('book', schema=None) as batch_op:
        batch_op.drop_column('language')
