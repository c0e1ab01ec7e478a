"""index of due loans

Revision ID: a3f85d0e6c17
Revises: 81c6d2f09ab3
Create Date: 2024-02-20 15:19:40.108652

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = 'a3f85d0e6c17'
down_revision = '81c6d2f09ab3'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('loan', schema=None) as batch_op:
        batch_op.create_index('ix_loan_due_on', ['due_on', 'returned_on'], unique=False)


def downgrade():
    with op.batch_alter_table('loan', schema=None) as batch_op:
        batch_op.drop_index('ix_loan_due_on')
