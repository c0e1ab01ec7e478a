"""Books and their copies."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from sqlalchemy import or_, select
from sqlalchemy.orm import selectinload

from library.extensions import db
from library.models import Author, Book

catalogue = Blueprint("catalogue", __name__)


@catalogue.get("/")
def books() -> str:
    wanted = request.args.get("q", "").strip()
    query = select(Book).join(Book.author).order_by(Book.title, Book.id)
    if wanted:
        query = query.where(or_(Book.title.contains(wanted), Author.name.contains(wanted)))
    page = db.paginate(query.options(selectinload(Book.copies)), per_page=20)
    return render_template("books.html", page=page, wanted=wanted)
