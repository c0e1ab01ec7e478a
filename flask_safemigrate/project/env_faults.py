"""What in an ``env.py`` fails, by the looks of its source."""

from __future__ import annotations

import ast


def faults(tree: ast.Module, *, multidb: bool) -> frozenset[str]:
    """What in an ``env.py`` fails with the Flask-SQLAlchemy and SQLAlchemy of today.

    ``own engine`` (not the application's), ``config url`` (takes the URL from the configuration),
    ``percent`` (and does not escape it), ``masked password``, ``get_engine arguments``,
    ``get_engine`` (about to be removed), ``one metadata`` (of several binds), ``directives``
    (passed by name beside the extension's arguments) and ``no arguments``.
    """
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {_name(call.func) for call in calls}
    attributes = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    handled = {
        n.id
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type
        for n in ast.walk(node.type)
        if isinstance(n, ast.Name)
    }
    found = set()
    if names & {"engine_from_config", "create_engine"}:
        found.add("own engine")
    for call in calls:
        if _name(call.func) in ("set_main_option", "set_section_option"):
            inside = {
                *(n.value for n in ast.walk(call) if isinstance(n, ast.Constant)),
                *(n.attr for n in ast.walk(call) if isinstance(n, ast.Attribute)),
            }
            if "SQLALCHEMY_DATABASE_URI" in inside:
                found.add("config url")
                if "replace" not in inside:
                    found.add("percent")
        elif _name(call.func) == "get_engine":
            if len(call.args) > 1 or any(k.arg == "app" for k in call.keywords):
                found.add("get_engine arguments")
            if isinstance(call.func, ast.Attribute) and "AttributeError" not in handled:
                found.add("get_engine")
        elif isinstance(call.func, ast.Name) and call.func.id == "str" and call.args:
            of = call.args[0]
            if isinstance(of, ast.Attribute) and of.attr == "url":
                found.add("masked password")
        elif _name(call.func) == "configure":
            keywords = {keyword.arg for keyword in call.keywords}
            if {"process_revision_directives", None} <= keywords:
                found.add("directives")
            if "connection" in keywords and None not in keywords:
                found.add("no arguments")
    if multidb and "metadatas" not in attributes | texts and "metadata" in attributes:
        found.add("one metadata")
    return frozenset(found)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def passed(tree: ast.Module) -> set[str | None]:
    """Keywords that go to ``context.configure``."""
    return {
        keyword.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _name(node.func) == "configure"
        for keyword in node.keywords
    }
