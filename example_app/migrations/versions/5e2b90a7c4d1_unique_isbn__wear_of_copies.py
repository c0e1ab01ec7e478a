"""unique isbn, wear of copies

Revision ID: 5e2b90a7c4d1
Revises: 4c81f7d60e3a
Create Date: 2023-10-03 14:55:31.890144

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '5e2b90a7c4d1'
down_revision = '4c81f7d60e3a'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('book', schema=None) as batch_op:
        batch_op.create_unique_constraint('uq_book_isbn', ['isbn'])

    with op.batch_alter_table('copy', schema=None) as batch_op:
        batch_op.add_column(sa.Column('wear', sa.Integer(), server_default='0', nullable=False))
        batch_op.create_check_constraint('ck_copy_wear', 'wear BETWEEN 0 AND 5')


def downgrade():
    with op.batch_alter_table('copy', schema=None) as batch_op:
        batch_op.drop_constraint('ck_copy_wear', type_='check')
        batch_op.drop_column('wear')

    with op.batch_alter_table('book', schema=None) as batch_op:
        batch_op.drop_constraint('uq_book_isbn', type_='unique')
