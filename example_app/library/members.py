"""Members and their loans."""

from __future__ import annotations

from flask import Blueprint, render_template
from sqlalchemy import select

from library.extensions import db
from library.models import Loan, Member

members = Blueprint("members", __name__)


@members.get("/")
def everyone() -> str:
    page = db.paginate(select(Member).order_by(Member.name, Member.id), per_page=20)
    return render_template("members.html", page=page)


@members.get("/<int:member_id>")
def one(member_id: int) -> str:
    member = db.get_or_404(Member, member_id)
    loans = db.session.scalars(
        select(Loan).filter_by(member_id=member_id).order_by(Loan.lent_on.desc())
    ).all()
    return render_template("member.html", member=member, loans=loans)
