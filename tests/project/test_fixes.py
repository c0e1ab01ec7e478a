"""Cures that are written into revision files."""

from __future__ import annotations

import ast

import pytest

from flask_safemigrate.findings import Finding, Severity
from flask_safemigrate.project.fixes import fixed

HEAD = "from alembic import op\nimport sqlalchemy as sa\n\n\ndef upgrade():\n"
VALIDATE = 'op.execute("ALTER TABLE t VALIDATE CONSTRAINT c")'
NOT_NULL = (
    'op.create_check_constraint("ck_t_a", "t", "a IS NOT NULL", postgresql_not_valid=True)\n'
    "with op.get_context().autocommit_block():\n"
    '    op.execute("ALTER TABLE t VALIDATE CONSTRAINT ck_t_a")\n'
    'op.alter_column("t", "a", nullable=False)\n'
    'op.drop_constraint("ck_t_a", "t", type_="check")'
)
BLOCK = "with op.get_context().autocommit_block():\n    "


def _finding(
    code: str, line: int | None, hint: str = "", subject: str = "t.a", message: str = ""
) -> Finding:
    return Finding(code, Severity.WARNING, message, "", hint, subject=subject, file="x", line=line)


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.split("\n"))


CASES = {
    "index": (
        "SM610", "",
        "op.create_index(op.f('ix'),  't', ['a'], unique=False)",
        BLOCK
        + "op.create_index(op.f('ix'), 't', ['a'], unique=False, postgresql_concurrently=True)",
    ),
    "foreign key": (
        "SM611", f"op.create_foreign_key(...)\n{BLOCK}{VALIDATE}",
        "op.create_foreign_key('c', 't', 'u', ['a'], ['id'], ondelete='CASCADE')",
        "op.create_foreign_key('c', 't', 'u', ['a'], ['id'], ondelete='CASCADE',"
        f" postgresql_not_valid=True)\n{BLOCK}{VALIDATE}",
    ),
    "check": (
        "SM612", f"op.create_check_constraint(...)\n{BLOCK}{VALIDATE}",
        "op.create_check_constraint('c', 't', sa.column('a') > 0)",
        "op.create_check_constraint('c', 't', sa.column('a') > 0, postgresql_not_valid=True)\n"
        f"{BLOCK}{VALIDATE}",
    ),
    "not null": (
        "SM613", NOT_NULL,
        "op.alter_column('t', 'a',\n        existing_type=sa.Text(),\n        nullable=False)",
        NOT_NULL.replace(
            'op.alter_column("t", "a", nullable=False)',
            "op.alter_column('t', 'a', existing_type=sa.Text(), nullable=False)",
        ),
    ),
    "unique": (
        "SM616", f"{BLOCK}op.create_index(...)\n"
        'op.execute("ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX c")',
        "op.create_unique_constraint('c', 't', ['a'])",
        f"{BLOCK}op.create_index('c', 't', ['a'], unique=True, postgresql_concurrently=True)\n"
        'op.execute("ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX c")',
    ),
    "using": (
        "SM603", 'op.alter_column("t", "a", type_=..., postgresql_using="a::boolean")',
        "op.alter_column('t', 'a', type_=sa.Boolean())",
        "op.alter_column('t', 'a', type_=sa.Boolean(), postgresql_using='a::boolean')",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "hint", "before", "after"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_cure_stands_in_the_place_of_the_operation(
    code: str, hint: str, before: str, after: str, end: str
) -> None:
    above = HEAD + "    op.drop_table('w')  # ä\n"
    text = (above + _indented(before) + "    pass  # end\n").replace("\n", end)
    found = fixed(text, [_finding(code, 7, hint)])
    assert found.left == ()
    wanted = above + _indented(after) + "    pass  # end\n"
    assert found.text == wanted.replace("\n", end)
    ast.parse(found.text)


def test_what_is_concurrent_gets_a_block() -> None:
    text = HEAD + "    op.drop_index('ix', postgresql_concurrently=True)\n"
    finding = _finding("SM603", 6, message="cannot be dropped CONCURRENTLY inside a transaction")
    assert fixed(text, [finding]).text == HEAD + _indented(
        BLOCK + "op.drop_index('ix', postgresql_concurrently=True)"
    )


def test_a_batch_block_is_split() -> None:
    text = HEAD + _indented(
        "with op.batch_alter_table('t', schema=None) as batch_op:\n"
        "    batch_op.add_column(sa.Column('b', sa.Text()))\n"
        "    # why\n"
        "    batch_op.create_index(batch_op.f('ix'), ['a'], unique=False)\n"
        "\n"
        "    batch_op.drop_index('old', postgresql_concurrently=True)\n"
        "    batch_op.drop_column('c')\n"
        "op.drop_table('w')"
    )
    dropped = _finding("SM603", 11, subject="old", message="CONCURRENTLY")
    found = fixed(text, [_finding("SM610", 9), dropped])
    assert found.left == ()
    assert found.text == HEAD + _indented(
        "with op.batch_alter_table('t', schema=None) as batch_op:\n"
        "    batch_op.add_column(sa.Column('b', sa.Text()))\n"
        "# why\n"
        f"{BLOCK}op.create_index(op.f('ix'), 't', ['a'], unique=False,"
        " postgresql_concurrently=True)\n"
        f"{BLOCK}op.drop_index('old', postgresql_concurrently=True, table_name='t')\n"
        "with op.batch_alter_table('t', schema=None) as batch_op:\n"
        "    batch_op.drop_column('c')\n"
        "op.drop_table('w')"
    )


def test_a_column_is_filled_after_it_was_added() -> None:
    text = HEAD + (
        "    op.add_column('t', sa.Column('at', sa.DateTime(),"
        " server_default=sa.text('clock_timestamp()'), nullable=False))\n"
    )
    found = fixed(text, [_finding("SM615", 6)]).text
    ast.parse(found)
    order = ["op.add_column('t', sa.Column('at', sa.DateTime(), nullable=True))",
             "op.alter_column('t', 'at', server_default=sa.text('clock_timestamp()'))",
             "UPDATE", "op.create_check_constraint", "VALIDATE", "nullable=False"]  # fmt: skip
    places = [found.index(words) for words in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("body", "line", "code", "why"),
    [
        ("for n in 'ab':\n    op.create_index(n, 't', ['a'])", 7, "SM610", "in a loop"),
        (f"{BLOCK}op.create_index('n', 't', ['a'])", 7, "SM610", "autocommit_block() already"),
        ("helper()", 6, "SM610", "no call of op itself"),
        ("helper(op)", 6, "SM610", "no call of op itself"),
        ("x = op.create_index('n', 't', ['a'])", 6, "SM610", "statement of its own"),
        ("op.create_index(*names)", 6, "SM610", "not written out"),
        ("op.execute('CREATE INDEX n ON t (a)')", 6, "SM610", "no op.create_index()"),
        ("op.create_foreign_key(None, 't', 'u', ['a'], ['b'])", 6, "SM611", "has no name"),
        ("op.alter_column('t', 'a', type_=sa.Text(), nullable=False)", 6, "SM613", "has type_="),
        ("op.add_column('t', sa.Column('a', sa.Text()))", 6, "SM615", "nobody but a person"),
        ("with op.batch_alter_table('t', recreate='always') as b:\n    b.create_index('n', ['a'])",
         7, "SM610", "options of its own"),
        ("pass", 1, "SM610", "not stand in upgrade()"),
        ("pass", None, "SM610", "no line"),
        ("op.drop_table('t')", 6, "SM632", ""),
    ],
)  # fmt: skip
def test_what_is_left_with_the_reason(body: str, line: int | None, code: str, why: str) -> None:
    text = HEAD + _indented(body)
    found = fixed(text, [_finding(code, line, VALIDATE)])
    assert found.text == text
    assert found.done == ()
    ((_, said),) = found.left
    assert why in said
    assert bool(why) == bool(said)


def test_a_line_that_runs_for_several_tables_is_left() -> None:
    text = HEAD + "    op.create_index(name, table, ['a'])\n"
    found = fixed(text, [_finding("SM610", 6), _finding("SM610", 6, subject="u.a")])
    assert found.text == text
    assert len(found.left) == 2


def test_one_cure_an_operation() -> None:
    text = HEAD + "    op.create_index('n', 't', ['a'], postgresql_concurrently=True)\n"
    findings = [_finding("SM610", 6), _finding("SM603", 6, message="CONCURRENTLY")]
    found = fixed(text, findings)
    assert [f.code for f in found.done] == ["SM603"]
    assert [f.code for f, _ in found.left] == ["SM610"]


def test_a_comment_beside_it_stays() -> None:
    text = HEAD + "    op.create_index('ä', 't', ['a'])  # ünique\n"
    wanted = f"# ünique\n{BLOCK}op.create_index('ä', 't', ['a'], postgresql_concurrently=True)"
    assert fixed(text, [_finding("SM610", 6)]).text == HEAD + _indented(wanted)


@pytest.mark.parametrize("line", ["op.f('x'); op.create_index('n', 't', ['a'])",
                                  "op.create_index('n', 't', ['a']); pass"])  # fmt: skip
def test_what_shares_its_line_is_left(line: str) -> None:
    text = f"{HEAD}    {line}\n"
    assert fixed(text, [_finding("SM610", 6)]).text == text
