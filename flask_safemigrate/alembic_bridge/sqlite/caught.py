"""Whether a revision may catch what an operation raises, and what it gets then.

Changes are queued and made at the next barrier. An operation inside of a ``try`` cannot wait so
long: what stock Alembic raises there has to be raised there, as the same class.
"""

from __future__ import annotations

import ast
import functools
import linecache
import re
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

from flask_safemigrate.errors import SafeMigrateError

#: Packages whose own frames stand between a revision and the implementation.
_LIBRARIES = ("alembic", "contextlib", "flask_safemigrate", "sqlalchemy")

#: Context managers that let every error through.
_TRANSPARENT = (
    "Session",
    "app_context",
    "autocommit_block",
    "batch_alter_table",
    "begin_nested",
    "begin_transaction",
    "catch_warnings",
)

#: A line that begins a ``try`` or a ``with``, but for the plainest one.
_CATCHES = re.compile(
    r"^[ \t]*(?:try\b|(?:async[ \t]+)?with\b"
    r"(?![ \t]+op\.batch_alter_table\((?:(?! as )[^\n])*\)[ \t]+as[ \t]+\w+[ \t]*:[ \t]*$))",
    re.MULTILINE,
)
_DRIVER = re.compile(r"\.\s*(connection|cursor|driver_connection|dbapi_connection)\b")


class _Region(NamedTuple):
    """Lines of a source file whose errors may not get out of it.

    :ivar handlers: those of a ``try``.
    :ivar suppressed: the classes that ``contextlib.suppress`` names.
    """

    first: int
    last: int
    handlers: tuple[ast.ExceptHandler, ...] = ()
    suppressed: tuple[ast.expr, ...] = ()


@functools.lru_cache(maxsize=256)
def _regions(source: str) -> tuple[_Region, ...] | None:
    """The regions of a source text, innermost first; None where it cannot be read."""
    if _CATCHES.search(source) is None:
        return ()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.With, ast.AsyncWith)):
            if not all(_is_transparent(item.context_expr) for item in node.items):
                named = [
                    kind
                    for item in node.items
                    if isinstance(item.context_expr, ast.Call)
                    and _called(item.context_expr) == "suppress"
                    for kind in item.context_expr.args
                ]
                last = node.end_lineno or node.lineno
                found.append(_Region(node.lineno, last, suppressed=tuple(named)))
        elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            tried: Any = node
            if tried.handlers:
                last = tried.body[-1].end_lineno or tried.body[-1].lineno
                found.append(_Region(tried.body[0].lineno, last, tuple(tried.handlers)))
    return tuple(sorted(found, key=lambda each: each.last - each.first))


def _is_transparent(manager: ast.expr) -> bool:
    return _called(manager) in _TRANSPARENT


def _called(expression: ast.expr) -> str | None:
    """The name of a function that is called, without what stands before its dot."""
    function = expression.func if isinstance(expression, ast.Call) else None
    return getattr(function, "attr", None) or getattr(function, "id", None)


def _around(frame: FrameType) -> list[_Region] | None:
    """The regions that a frame stands in, innermost first; None where it cannot be told."""
    source = _source(frame)
    regions = _regions(source) if source else None
    if regions is None:
        return None
    return [each for each in regions if each.first <= (frame.f_lineno or 0) <= each.last]


def _source(frame: FrameType) -> str:
    """The text of the file that a frame's code comes from, "" where there is none."""
    name = frame.f_code.co_filename
    linecache.checkcache(name)
    return "".join(linecache.getlines(name, frame.f_globals))


def _frames(outermost: CodeType) -> Iterator[FrameType]:
    """The frames of the revision and of what it calls, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not outermost:
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _LIBRARIES:
            yield frame
        frame = frame.f_back


def may_be_caught(outermost: CodeType) -> bool:
    """Whether an error raised now may be caught by what a function has called.

    :param outermost: the code of that function.
    """
    return any(_around(frame) != [] for frame in _frames(outermost))


def uses_driver(outermost: CodeType) -> bool:
    """Whether a revision, or what it calls, works on the driver's connection.

    Nothing tells of the statements that run there, so that no change can wait for one.

    :param outermost: as of :func:`may_be_caught`.
    """
    return any(_DRIVER.search(_source(frame)) for frame in _frames(outermost))


def is_swallowed(error: Exception, outermost: CodeType) -> bool:
    """Whether an error raised now ends in a handler that does not raise it again.

    What a context manager of the project's own does is not known; it is not taken for one that
    swallows.

    :param outermost: as of :func:`may_be_caught`.
    """
    for frame in _frames(outermost):
        for region in _around(frame) or ():
            if any(_is(error, kind, frame) for kind in region.suppressed):
                return True
            for handler in region.handlers:
                if _takes(handler, frame, error):
                    return not isinstance(handler.body[-1], ast.Raise)
    return False


def _takes(handler: ast.ExceptHandler, frame: FrameType, error: Exception) -> bool:
    if handler.type is None:
        return True
    wanted = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_is(error, each, frame) for each in wanted)


def _is(error: Exception, name: ast.expr, frame: FrameType) -> bool:
    kinds = _classes(name, frame)
    return isinstance(kinds, (type, tuple)) and isinstance(error, kinds)


def _classes(name: ast.expr, frame: FrameType) -> Any:
    """What a name, dotted or not, of an ``except`` stands for; None where it cannot be told."""
    if isinstance(name, ast.Attribute):
        return getattr(_classes(name.value, frame), name.attr, None)
    if not isinstance(name, ast.Name):
        return None
    for names in (frame.f_locals, frame.f_globals, vars(sys.modules["builtins"])):
        if name.id in names:
            return names[name.id]
    return None


def as_stock(refusal: SafeMigrateError, stock: Exception) -> Exception:
    """What stock Alembic raises, as an error that has our message and hint too.

    It is of both classes; its text, which a handler may look into, is that of the stock one.
    """
    name, module = type(stock).__name__, type(stock).__module__
    kind: Any = type(name, (type(stock), type(refusal)), {"__module__": module})
    made = kind.__new__(kind, *stock.args)
    made.__dict__.update(stock.__dict__)
    made.message, made.hint = refusal.message, refusal.hint
    error: Exception = made
    return error
