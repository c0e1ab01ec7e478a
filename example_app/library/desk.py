"""The front page: what the library has and what is out."""

from __future__ import annotations

from flask import Blueprint, render_template
from sqlalchemy import func, select

from library.extensions import db
from library.models import Author, Book, Branch, Copy, Loan, Member, MemberAudit, Reservation

desk = Blueprint("desk", __name__)

COUNTED = {
    "branches": Branch,
    "authors": Author,
    "books": Book,
    "copies": Copy,
    "members": Member,
    "loans": Loan,
    "reservations": Reservation,
    "changed emails": MemberAudit,
}


@desk.get("/")
def index() -> str:
    counts = {
        name: db.session.scalar(select(func.count()).select_from(model))
        for name, model in COUNTED.items()
    }
    waiting = select(Loan).where(Loan.returned_on.is_(None)).order_by(Loan.due_on, Loan.id)
    loans = db.session.scalars(waiting.limit(15)).all()
    return render_template("index.html", counts=counts, loans=loans)
