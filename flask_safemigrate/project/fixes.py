"""Writes the cure of a hazard into a revision file, in the place of the operation.

What a person wrote stays: the corrected code is put together from the arguments of the call as
they stand in the file. An operation is found by its line, and only where its call stands in
``upgrade()`` itself: what a helper or a loop does is written in one place and means several.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from flask_safemigrate.findings import Finding
from flask_safemigrate.project.headers import parse

_BLOCK = "with op.get_context().autocommit_block():"
_BLOCK_CALL = "op.get_context().autocommit_block()"
_USING = re.compile(r'postgresql_using="((?:[^"\\]|\\.)*)"')
_VALIDATES = re.compile(r"ALTER TABLE .* VALIDATE CONSTRAINT ")
_BATCH = 10_000  # rows


class CannotFix(Exception):
    """Why the cure is not written into the file."""


class Fixed(NamedTuple):
    """A file with cures.

    :param done: the findings whose cure is in it.
    :param left: those whose is not, each with the reason, "" where there is no fix for its kind.
    """

    text: str
    done: tuple[Finding, ...]
    left: tuple[tuple[Finding, str], ...]


class _Call(NamedTuple):
    """The call of an operation, as ``op`` would have it.

    :param arguments: source texts of the positional arguments.
    :param keywords: source texts by name.
    :param nodes: the trees of the positional arguments.
    """

    name: str
    arguments: tuple[str, ...]
    keywords: Mapping[str, str]
    nodes: tuple[ast.expr, ...]

    def source(self, **more: str) -> str:
        """The call with other keywords; an empty one leaves a keyword out."""
        keywords = {**self.keywords, **more}
        words = [f"{name}={value}" for name, value in keywords.items() if value]
        return f"op.{self.name}({', '.join([*self.arguments, *words])})"

    def literal(self, at: int) -> str:
        """The text that an argument is.

        :raises CannotFix: it is another expression.
        """
        node = self.nodes[at] if at < len(self.nodes) else None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        raise CannotFix("the name is not written out in the call")

    def only(self, *names: str) -> None:
        """:raises CannotFix: the call has other keywords than these."""
        others = [name for name in self.keywords if name not in names]
        if others:
            raise CannotFix(f"the call has {others[0]}=, which the cure does not know")


Lines = list[str]
_Fixer = Callable[[_Call, Finding], Lines]


def _outside(*lines: str) -> Lines:
    return [_BLOCK, *(f"    {line}" for line in lines)]


def _concurrently(call: _Call, finding: Finding) -> Lines:
    if call.name not in ("create_index", "drop_index"):
        raise CannotFix("it is no op.create_index() or op.drop_index()")
    return _outside(call.source(postgresql_concurrently="True"))


def _fails(call: _Call, finding: Finding) -> Lines:
    if "CONCURRENTLY" in finding.message:
        return _concurrently(call, finding)
    using = _USING.search(finding.hint)
    if using and call.name == "alter_column":
        return [call.source(postgresql_using=repr(using[1].replace('\\"', '"')))]
    raise CannotFix("what it is to do instead, a person must say")


def _validated(call: _Call, finding: Finding) -> Lines:
    if call.name not in ("create_foreign_key", "create_check_constraint"):
        raise CannotFix("it is no op.create_foreign_key() or op.create_check_constraint()")
    if call.arguments[:1] == ("None",):
        raise CannotFix("the constraint has no name, by which it could be validated")
    validate = next(
        (line.strip() for line in finding.hint.splitlines() if _VALIDATES.search(line)), ""
    )
    if not validate:
        raise CannotFix("it cannot be validated later")
    return [call.source(postgresql_not_valid="True"), *_outside(validate)]


def _not_null(call: _Call, finding: Finding) -> Lines:
    if call.name != "alter_column":
        raise CannotFix("it is no op.alter_column()")
    call.only("nullable", "existing_type", "existing_nullable", "existing_server_default",
              "existing_comment")  # fmt: skip
    lines = finding.hint.splitlines()
    found = [at for at, line in enumerate(lines) if line.startswith("op.alter_column(")]
    if len(found) != 1:
        raise CannotFix("its cure is no code")
    lines[found[0]] = call.source()
    return lines


def _by_index(call: _Call, finding: Finding) -> Lines:
    if call.name != "create_unique_constraint":
        raise CannotFix("it is no op.create_unique_constraint()")
    call.only()
    if call.arguments[:1] == ("None",):
        raise CannotFix("the constraint has no name")
    name, table, columns = call.arguments[:3]
    index = _Call("create_index", (name, table, columns), {"unique": "True"}, ())
    uses = next((line for line in finding.hint.splitlines() if "USING INDEX" in line), "")
    if not uses:
        raise CannotFix("its cure is no code")
    return [*_outside(index.source(postgresql_concurrently="True")), uses.strip()]


def _filled_later(call: _Call, finding: Finding) -> Lines:
    """A column whose default is another for each row: bare, then the default, then the rows."""
    column = call.nodes[1] if call.name == "add_column" and len(call.nodes) == 2 else None
    if not isinstance(column, ast.Call) or len(column.args) < 2:
        raise CannotFix("it is no op.add_column() of a sa.Column()")
    words = {word.arg: ast.unparse(word.value) for word in column.keywords}
    first = column.args[0]
    named = isinstance(first, ast.Constant) and isinstance(first.value, str)
    if not named or "server_default" not in words or None in words or len(column.args) > 2:
        raise CannotFix("nobody but a person knows what the rows are to have")
    table, name = call.literal(0), str(ast.literal_eval(first))
    default = words.pop("server_default")
    required = words.pop("nullable", "True") == "False"
    inner = [*map(ast.unparse, column.args), *(f"{k}={v}" for k, v in words.items())]
    bare = f"{ast.unparse(column.func)}({', '.join([*inner, 'nullable=True'])})"
    t, c = (f'"{each}"' for each in (table, name))
    update = (
        f"UPDATE {t} SET {c} = DEFAULT WHERE ctid = ANY (ARRAY(SELECT ctid FROM {t} "
        f"WHERE {c} IS NULL LIMIT {_BATCH}))"
    )
    lines = [
        f"op.add_column({call.arguments[0]}, {bare})",
        f"op.alter_column({call.arguments[0]}, {name!r}, server_default={default})",
        *_outside(
            "while op.get_bind().exec_driver_sql(",
            f"    {update!r}",
            ").rowcount > 0:",
            "    pass",
        ),
    ]
    if not required:
        return lines
    check = f"ck_{table}_{name}"
    validate = f'ALTER TABLE {t} VALIDATE CONSTRAINT "{check}"'
    condition = f"{c} IS NOT NULL"
    return [
        *lines,
        f"op.create_check_constraint({check!r}, {call.arguments[0]}, {condition!r}, "
        "postgresql_not_valid=True)",
        *_outside(f"op.execute({validate!r})"),
        f"op.alter_column({call.arguments[0]}, {name!r}, nullable=False)",
        f'op.drop_constraint({check!r}, {call.arguments[0]}, type_="check")',
    ]


#: By code, those first that leave nothing to do for the others.
FIXERS: Mapping[str, _Fixer] = {
    "SM603": _fails,
    "SM616": _by_index,
    "SM610": _concurrently,
    "SM611": _validated,
    "SM612": _validated,
    "SM613": _not_null,
    "SM615": _filled_later,
}

#: How many arguments stand before the table's in an operation of ``op``, which a batch block has
#: in its head; None: by the name ``table_name``.
_TABLE_AT: Mapping[str, int | None] = {
    "add_column": 0,
    "alter_column": 0,
    "create_index": 1,
    "create_foreign_key": 1,
    "create_unique_constraint": 1,
    "create_check_constraint": 1,
    "drop_index": None,
}


class _Place(NamedTuple):
    """A statement of ``upgrade()`` that is one call of an operation.

    :param batch: the block around it, None where it stands for itself.
    """

    statement: ast.Expr
    call: ast.Call
    name: str
    batch: ast.With | None


def fixed(text: str, findings: Sequence[Finding]) -> Fixed:
    """Return a revision file with the cures of what was found in it.

    :param findings: of this file, with their lines.
    """
    done: list[Finding] = []
    left: list[tuple[Finding, str]] = []
    tree = parse(text, "x.py")
    edits: dict[ast.Expr, tuple[_Place, Lines]] = {}
    order = [*FIXERS]
    at_line: dict[int | None, set[tuple[str, str]]] = {}
    for each in findings:
        at_line.setdefault(each.line, set()).add((each.code, each.subject))
    for finding in sorted(
        findings, key=lambda f: order.index(f.code) if f.code in FIXERS else len(order)
    ):
        try:
            if finding.code not in FIXERS:
                raise CannotFix
            same = [s for code, s in at_line[finding.line] if code == finding.code]
            if len(same) > 1:
                raise CannotFix("its line runs several times, for other tables or columns")
            place = _find(tree, finding.line)
            if place.statement not in edits:
                call = _as_op(text, place)
                comment = _beside(text, place.statement)
                lines = FIXERS[finding.code](call, finding)
                edits[place.statement] = place, [*comment, *lines]
            else:
                raise CannotFix("another cure changes the same operation; judge it again after")
            done.append(finding)
        except CannotFix as error:
            left.append((finding, str(error)))
    return Fixed(_written(text, list(edits.values())), tuple(done), tuple(left))


def _find(tree: ast.Module, line: int | None) -> _Place:
    """
    :raises CannotFix: there is no such statement.
    """
    if line is None:
        raise CannotFix("it has no line in the file")
    upgrade = next(
        (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "upgrade"), None
    )
    if upgrade is None or not _covers(upgrade, line):
        raise CannotFix("the operation does not stand in upgrade() itself")
    batch: ast.With | None = None
    body: Sequence[ast.stmt] = upgrade.body
    while True:
        node = next((each for each in body if _covers(each, line)), None)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return _placed(node, node.value, batch)
        if isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
            raise CannotFix("the operation stands in a loop")
        if isinstance(node, ast.With):
            source = ast.unparse(node.items[0].context_expr)
            if source == _BLOCK_CALL:
                raise CannotFix("the operation stands in an autocommit_block() already")
            if not source.startswith("op.batch_alter_table(") or batch is not None:
                raise CannotFix(f'the operation stands in "with {source}"')
            batch = node
        elif not isinstance(node, ast.If):
            raise CannotFix("the operation does not stand in upgrade() as a statement of its own")
        body = [*node.body, *getattr(node, "orelse", [])]


def _covers(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _placed(statement: ast.Expr, call: ast.Call, batch: ast.With | None) -> _Place:
    function = call.func
    owner = "op"
    if batch is not None:
        variable = batch.items[0].optional_vars
        owner = variable.id if isinstance(variable, ast.Name) else ""
    if (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == owner
    ):
        return _Place(statement, call, function.attr, batch)
    raise CannotFix(f"the operation is no call of {owner or 'op'} itself")


def _beside(text: str, statement: ast.stmt) -> Lines:
    """The comment that ends a statement's line.

    :raises CannotFix: other statements stand on its lines.
    """
    lines = _lines(text)
    last = lines[(statement.end_lineno or statement.lineno) - 1].encode()
    before = lines[statement.lineno - 1].encode()[: statement.col_offset]
    after = last[statement.end_col_offset :].decode().strip()
    if before.strip() or (after and not after.startswith("#")):
        raise CannotFix("other statements stand in its line")
    return [after] if after else []


def _lines(text: str) -> list[str]:
    """The lines as those of a file end, whatever else ``splitlines`` takes for an end."""
    return [line for line in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text) if line]


def _as_op(text: str, place: _Place) -> _Call:
    """The call as ``op`` would have it, also where a batch block names the table."""
    if any(isinstance(a, ast.Starred) for a in place.call.args) or any(
        word.arg is None for word in place.call.keywords
    ):
        raise CannotFix("its arguments are not written out")
    nodes = [*place.call.args]
    arguments = [_segment(text, node) for node in place.call.args]
    keywords = {str(w.arg): _segment(text, w.value) for w in place.call.keywords}
    if place.batch is not None:
        head = place.batch.items[0].context_expr
        assert isinstance(head, ast.Call)
        variable = place.batch.items[0].optional_vars
        assert isinstance(variable, ast.Name)
        options = {w.arg: ast.unparse(w.value) for w in head.keywords}
        table = head.args[0] if len(head.args) == 1 else None
        if table is None or {k for k, v in options.items() if v != "None"}:
            raise CannotFix("its batch block has options of its own")
        if place.name not in _TABLE_AT:
            raise CannotFix(f"{place.name}() stands in a batch block")
        at = _TABLE_AT[place.name]
        own = re.compile(rf"\b{re.escape(variable.id)}\.f\(")
        arguments = [own.sub("op.f(", argument) for argument in arguments]
        if at is None:
            keywords["table_name"] = _segment(text, table)
        elif len(arguments) < at:
            raise CannotFix("its arguments are not in the usual order")
        else:
            arguments.insert(at, _segment(text, table))
            nodes.insert(at, table)
    return _Call(place.name, tuple(arguments), keywords, tuple(nodes))


def _segment(text: str, node: ast.expr) -> str:
    found = ast.get_source_segment(text, node)
    assert found is not None
    return found


def _written(text: str, edits: Sequence[tuple[_Place, Lines]]) -> str:
    """Put the lines in the place of the statements, whole lines at a time."""
    lines = _lines(text)
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    by_block: dict[ast.stmt, list[tuple[_Place, Lines]]] = {}
    for place, wanted in edits:
        by_block.setdefault(place.batch or place.statement, []).append((place, wanted))
    for block in sorted(by_block, key=lambda node: -node.lineno):
        new = {place.statement: wanted for place, wanted in by_block[block]}
        indent = " " * block.col_offset
        out: Lines = []
        if isinstance(block, ast.With):
            out = _split(lines, block, new)
        else:
            assert isinstance(block, ast.Expr)
            out = [f"{indent}{line}" for line in new[block]]
        last = block.end_lineno or block.lineno
        lines[block.lineno - 1 : last] = [f"{line}{end}" for line in out]
    return "".join(lines)


def _split(lines: Sequence[str], block: ast.With, new: Mapping[ast.Expr, Lines]) -> Lines:
    """A batch block in pieces, with the corrected code between them."""
    indent = " " * block.col_offset
    head = [line.rstrip("\r\n") for line in lines[block.lineno - 1 : block.body[0].lineno - 1]]
    while head and not head[-1].strip().endswith(":"):
        head.pop()  # a comment above the first statement
    out: Lines = []
    open_ = False
    begin = block.lineno + len(head)
    for statement in block.body:
        last = statement.end_lineno or statement.lineno
        if isinstance(statement, ast.Expr) and statement in new:
            above = [line.strip() for line in lines[begin - 1 : statement.lineno - 1]]
            out += [f"{indent}{line}" for line in (*filter(None, above), *new[statement])]
            open_ = False
        else:
            kept = [line.rstrip("\r\n") for line in lines[begin - 1 : last]]
            if not open_:
                out += head
                while kept and not kept[0].strip():
                    kept.pop(0)
            out += kept
            open_ = True
        begin = last + 1
    return out
