"""A table goes that a view or trigger of SQLite still names."""

from __future__ import annotations

import pytest

from tests.support.projects import ProjectFactory

TABLES = (
    "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))\n"
    "op.create_table('u', sa.Column('id', sa.Integer, primary_key=True))\n"
)


@pytest.mark.parametrize(
    ("made", "drop"),
    [
        ('CREATE VIEW "a view" AS SELECT id FROM t', 'DROP VIEW "a view"'),
        (
            "CREATE TRIGGER tr AFTER INSERT ON u BEGIN DELETE FROM t; END",
            'DROP TRIGGER "tr"',
        ),
    ],
    ids=["view", "trigger"],
)
def test_the_way_out_is_told_and_works(project: ProjectFactory, made: str, drop: str) -> None:
    p = project(revisions=[("a1", f"{TABLES}op.execute({made!r})")])
    assert p.invoke("db", "safe-upgrade", "--yes").exit_code == 0
    file = p.revision("a2", "op.drop_table('t')")
    for command in (("safe-upgrade", "--dry-run"), ("safe-upgrade", "--yes")):
        refused = p.invoke("db", *command)
        said = " ".join(refused.output.split())
        assert refused.exit_code == 1, said
        assert "Revision 'a2' in " in said
        assert "does not work any more" in said
        assert f"op.execute({drop!r})" in said
        assert p.heads() == {"a1"}
    text = file.read_text()
    way_out = f"op.execute({drop!r})"
    file.write_text(text.replace("op.drop_table('t')", f"{way_out}; op.drop_table('t')"))
    done = p.invoke("db", "safe-upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert p.heads() == {"a2"}
