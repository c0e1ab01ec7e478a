"""audit of member emails, view of open loans

Revision ID: 2a7be04c51f8
Revises: 1f0c6a3b9d21
Create Date: 2023-03-02 16:40:05.733310

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '2a7be04c51f8'
down_revision = '1f0c6a3b9d21'
branch_labels = None
depends_on = None

INSERT = (
    "INSERT INTO member_audit (member_id, old_email, new_email)"
    " VALUES (OLD.id, OLD.email, NEW.email);"
)
TRIGGER = {
    'sqlite': [
        "CREATE TRIGGER member_email_changed AFTER UPDATE OF email ON member"
        f" WHEN OLD.email <> NEW.email BEGIN {INSERT} END"
    ],
    'postgresql': [
        "CREATE FUNCTION member_email_changed() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {INSERT} RETURN NEW; END $$",
        "CREATE TRIGGER member_email_changed AFTER UPDATE OF email ON member FOR EACH ROW"
        " WHEN (OLD.email <> NEW.email) EXECUTE FUNCTION member_email_changed()",
    ],
    'mysql': [
        "CREATE TRIGGER member_email_changed AFTER UPDATE ON member FOR EACH ROW"
        f" IF OLD.email <> NEW.email THEN {INSERT} END IF"
    ],
}
TRIGGER['mariadb'] = TRIGGER['mysql']


def upgrade():
    op.create_table('member_audit',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('member_id', sa.Integer(), nullable=False),
        sa.Column('old_email', sa.String(length=120), nullable=False),
        sa.Column('new_email', sa.String(length=120), nullable=False),
        sa.Column('changed_at', sa.DateTime(), server_default=sa.text('CURRENT_TIMESTAMP'), nullable=False),
        sa.PrimaryKeyConstraint('id')
    )
    for statement in TRIGGER[op.get_context().dialect.name]:
        op.execute(statement)
    op.execute(
        "CREATE VIEW open_loans AS"
        " SELECT member_id, count(*) AS loans, min(due_on) AS first_due"
        " FROM loan WHERE returned_on IS NULL GROUP BY member_id"
    )


def downgrade():
    op.execute("DROP VIEW open_loans")
    if op.get_context().dialect.name == 'postgresql':
        op.execute("DROP TRIGGER member_email_changed ON member")
        op.execute("DROP FUNCTION member_email_changed")
    else:
        op.execute("DROP TRIGGER member_email_changed")
    op.drop_table('member_audit')
