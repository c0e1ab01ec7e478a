"""merge shelfmark and due loans

Revision ID: b46c09f1d8e2
Revises: 92e7b1a45c0d, a3f85d0e6c17
Create Date: 2024-02-21 09:02:55.561390

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = 'b46c09f1d8e2'
down_revision = ('92e7b1a45c0d', 'a3f85d0e6c17')
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
