"""What the library keeps: branches, books and their copies, members, loans, reservations."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from library.extensions import db

# PostgreSQL and MariaDB bring collations of their own; only SQLite knows NOCASE.
Email = sa.String(120).with_variant(sa.String(120, collation="NOCASE"), "sqlite")


class Branch(db.Model):
    __tablename__ = "branch"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    city: Mapped[str] = mapped_column(sa.String(80))


class Author(db.Model):
    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(120))

    books: Mapped[list[Book]] = relationship(back_populates="author")


class Book(db.Model):
    __tablename__ = "book"
    __table_args__ = (sa.UniqueConstraint("isbn", name="uq_book_isbn"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("author.id"))
    title: Mapped[str] = mapped_column(sa.String(200), index=True)
    isbn: Mapped[str] = mapped_column(sa.String(13))
    language: Mapped[str] = mapped_column(sa.String(2), server_default="en")

    author: Mapped[Author] = relationship(back_populates="books")
    copies: Mapped[list[Copy]] = relationship(back_populates="book")


class Copy(db.Model):
    __tablename__ = "copy"
    __table_args__ = (
        sa.CheckConstraint("times_lent >= 0"),
        sa.CheckConstraint("wear BETWEEN 0 AND 5", name="ck_copy_wear"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(sa.ForeignKey("book.id", ondelete="CASCADE"))
    branch_id: Mapped[int | None] = mapped_column(sa.ForeignKey("branch.id", ondelete="SET NULL"))
    shelfmark: Mapped[str] = mapped_column(sa.String(20))
    wear: Mapped[int] = mapped_column(server_default="0")
    times_lent: Mapped[int] = mapped_column(server_default="0")

    book: Mapped[Book] = relationship(back_populates="copies")
    branch: Mapped[Branch | None] = relationship()


class MembershipKind(db.Model):
    __tablename__ = "membership_kind"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(20), unique=True)
    loan_days: Mapped[int]


class Member(db.Model):
    __tablename__ = "member"
    # A card number is never given out twice, not even after its member has left.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    email: Mapped[str] = mapped_column(Email, unique=True)
    joined: Mapped[date]
    home_branch_id: Mapped[int | None] = mapped_column(
        sa.ForeignKey("branch.id", ondelete="SET NULL")
    )
    phone: Mapped[str | None] = mapped_column(sa.String(30))
    kind_id: Mapped[int] = mapped_column(
        sa.ForeignKey("membership_kind.id", name="fk_member_kind_id")
    )

    kind: Mapped[MembershipKind] = relationship()
    home_branch: Mapped[Branch | None] = relationship()
    loans: Mapped[list[Loan]] = relationship(back_populates="member")


class Loan(db.Model):
    __tablename__ = "loan"
    __table_args__ = (sa.Index("ix_loan_due_on", "due_on", "returned_on"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    copy_id: Mapped[int] = mapped_column(sa.ForeignKey("copy.id", ondelete="CASCADE"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id", ondelete="CASCADE"))
    lent_on: Mapped[date]
    due_on: Mapped[date]
    returned_on: Mapped[date | None]

    copy: Mapped[Copy] = relationship()
    member: Mapped[Member] = relationship(back_populates="loans")


class Reservation(db.Model):
    __tablename__ = "reservation"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(sa.ForeignKey("book.id", ondelete="CASCADE"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id", ondelete="CASCADE"))
    made_at: Mapped[datetime]


class MemberAudit(db.Model):
    """Written by the trigger `member_email_changed`, never by the app."""

    __tablename__ = "member_audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[int]
    old_email: Mapped[str] = mapped_column(sa.String(120))
    new_email: Mapped[str] = mapped_column(sa.String(120))
    changed_at: Mapped[datetime] = mapped_column(server_default=sa.func.current_timestamp())
