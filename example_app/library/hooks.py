"""What `flask db deploy` and `flask db reset` run once the database is at head."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import select

from library.extensions import db, migrate
from library.models import Author, Book, Branch, Copy, Loan, Member, MembershipKind

LOAN_DAYS = {"adult": 28, "child": 21, "student": 56, "staff": 90}


@migrate.on_deploy
def insert_membership_kinds() -> None:
    """Every kind of membership exists, however often this runs."""
    known = set(db.session.scalars(select(MembershipKind.name)))
    for name, loan_days in LOAN_DAYS.items():
        if name not in known:
            db.session.add(MembershipKind(name=name, loan_days=loan_days))
    db.session.commit()


@migrate.on_seed
def insert_a_small_library() -> None:
    """Enough rows to work with after a reset."""
    insert_membership_kinds()
    adult = db.session.scalars(select(MembershipKind).filter_by(name="adult")).one()
    branch = Branch(name="Old Harbour", city="Porto")
    book = Book(
        title="A Tale of Two Schemas",
        isbn="9780000000001",
        author=Author(name="Ada Marlow"),
        copies=[Copy(branch=branch, shelfmark="A-1-01"), Copy(branch=branch, shelfmark="A-1-02")],
    )
    member = Member(
        name="Ines Duarte",
        email="ines@example.org",
        joined=date(2024, 1, 8),
        kind=adult,
        home_branch=branch,
    )
    lent_on = date(2024, 2, 1)
    loan = Loan(
        copy=book.copies[0],
        member=member,
        lent_on=lent_on,
        due_on=lent_on + timedelta(days=adult.loan_days),
    )
    db.session.add_all([book, loan])
    db.session.commit()
