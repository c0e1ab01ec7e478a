"""membership kinds get a table

Revision ID: 81c6d2f09ab3
Revises: 70a9e5c2b4f6
Create Date: 2024-02-06 13:08:26.377518

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '81c6d2f09ab3'
down_revision = '70a9e5c2b4f6'
branch_labels = None
depends_on = None

LOAN_DAYS = {'adult': 28, 'child': 21, 'student': 56}


def upgrade():
    kind = op.create_table('membership_kind',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('name', sa.String(length=20), nullable=False),
        sa.Column('loan_days', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('name')
    )
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.add_column(sa.Column('kind_id', sa.Integer(), nullable=True))
        batch_op.create_foreign_key('fk_member_kind_id', 'membership_kind', ['kind_id'], ['id'])

    member = sa.table('member', sa.column('kind', sa.String), sa.column('kind_id', sa.Integer))
    names = op.get_bind().scalars(sa.select(member.c.kind).distinct().order_by(member.c.kind)).all()
    op.bulk_insert(kind, [{'name': name, 'loan_days': LOAN_DAYS.get(name, 28)} for name in names])
    op.execute(
        member.update().values(
            kind_id=sa.select(kind.c.id).where(kind.c.name == member.c.kind).scalar_subquery()
        )
    )


def downgrade():
    with op.batch_alter_table('member', schema=None) as batch_op:
        batch_op.drop_constraint('fk_member_kind_id', type_='foreignkey')
        batch_op.drop_column('kind_id')

    op.drop_table('membership_kind')
