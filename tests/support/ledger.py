"""A history in which every revision counts itself, so that what ran twice or not at all shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, inspect, text

from tests.support.projects import Project, ProjectFactory

_ACCOUNTS = 200
_NOTE = "op.execute(\"INSERT INTO ledger (entry) VALUES ('{0}')\")"
_PAY = "op.execute('UPDATE account SET cents = cents + 1')"
_TAKE = "op.execute('UPDATE account SET cents = cents - 1')"
_FORGET = "op.execute(\"DELETE FROM ledger WHERE entry = '{0}'\")"

#: Changes of the schema, new rows and rows that are changed by adding, in turn, on every server.
_STEPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "r01": (
        (
            "op.create_table('account', sa.Column('id', sa.Integer, primary_key=True),"
            " sa.Column('name', sa.String(50)), sa.Column('cents', sa.Integer, nullable=False),"
            " sa.Column('junk', sa.String(10)))",
            "op.create_table('ledger', sa.Column('entry', sa.String(40)))",
        ),
        ("op.drop_table('ledger')", "op.drop_table('account')"),
    ),
    "r02": (
        (
            "op.bulk_insert(sa.table('account', sa.column('id'), sa.column('name'),"
            " sa.column('cents')),"
            f" [{{'id': i, 'name': f'a{{i}}', 'cents': 100}} for i in range(1, {_ACCOUNTS} + 1)])",
        ),
        ("op.execute('DELETE FROM account')",),
    ),
    "r03": (
        (
            "op.create_table('visit', sa.Column('id', sa.Integer, primary_key=True),"
            " sa.Column('account_id', sa.Integer,"
            " sa.ForeignKey('account.id', name='fk_visit_account')))",
            'op.execute("INSERT INTO visit (id, account_id) SELECT id, id FROM account")',
        ),
        ("op.drop_table('visit')",),
    ),
    "r04": (
        ("op.create_index('ix_account_name', 'account', ['name'])", _PAY),
        ("op.drop_index('ix_account_name', 'account')", _TAKE),
    ),
    "r05": (
        (
            "op.add_column('account', sa.Column('born', sa.Integer, server_default='0',"
            " nullable=False))",
            _PAY,
        ),
        ("with op.batch_alter_table('account') as b:\n    b.drop_column('born')", _TAKE),
    ),
    "r06": (
        ("with op.batch_alter_table('account') as b:\n    b.drop_column('junk')", _PAY),
        ("op.add_column('account', sa.Column('junk', sa.String(10)))", _TAKE),
    ),
    "r07": (
        (
            "op.create_table('tag', sa.Column('id', sa.Integer, primary_key=True),"
            " sa.Column('word', sa.String(20)))",
            "op.execute(\"INSERT INTO tag (id, word) VALUES (1, 'one'), (2, 'two')\")",
            "op.add_column('visit', sa.Column('tag_id', sa.Integer))",
            "op.execute('UPDATE visit SET tag_id = 1')",
        ),
        (
            "with op.batch_alter_table('visit') as b:\n    b.drop_column('tag_id')",
            "op.drop_table('tag')",
        ),
    ),
    "r08": (
        (
            "with op.batch_alter_table('account') as b:\n"
            "    b.alter_column('name', existing_type=sa.String(50), type_=sa.String(200))",
            _PAY,
        ),
        (
            "with op.batch_alter_table('account') as b:\n"
            "    b.alter_column('name', existing_type=sa.String(200), type_=sa.String(50))",
            _TAKE,
        ),
    ),
    "r09": (
        ("op.create_index('ix_visit_tag', 'visit', ['tag_id'])", _PAY),
        ("op.drop_index('ix_visit_tag', 'visit')", _TAKE),
    ),
    "r10": (
        (
            "with op.batch_alter_table('account') as b:\n"
            "    b.alter_column('name', existing_type=sa.String(200), nullable=False)",
            _PAY,
        ),
        (
            "with op.batch_alter_table('account') as b:\n"
            "    b.alter_column('name', existing_type=sa.String(200), nullable=True)",
            _TAKE,
        ),
    ),
}

HEAD = "r10"
MIDDLE = "r04"

HOOKS = """
@migrate.on_deploy(once=True)
def once():
    with db.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO ledger (entry) VALUES ('hook once')"))
@migrate.on_deploy
def each():
    with db.engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO ledger (entry) VALUES ('hook each')"))
"""

#: Stops revision r08 between its two statements in the way that the environment names.
FAULT = """\
import os, signal
def fault():
    how = os.environ.get("FAULT", "")
    if how == "python":
        raise RuntimeError("on purpose")
    if how == "sql":
        op.execute("SELECT nothing FROM nowhere")
    if how == "ddl":
        op.create_table("tag", sa.Column("id", sa.Integer))
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
    if how == "stay":
        import time
        print("staying", flush=True)
        time.sleep(60)
"""


def keep_ledger(
    factory: ProjectFactory, url: str | None = None, *, safe: bool = True, **options: Any
) -> Project:
    """Write a project with the ten revisions; HOOKS come with ours only."""
    project = factory(url=url, safe=safe, after=HOOKS if safe else "", **options)
    for name, (up, down) in _STEPS.items():
        up = (*up[:1], "fault()", *up[1:]) if name == "r08" else up
        project.revision(
            name,
            "\n".join((*up, _NOTE.format(name))),
            "\n".join((_FORGET.format(name), *down) if name != "r01" else down),
            header=FAULT if name == "r08" else "",
        )
    return project


@dataclass(frozen=True)
class Found:
    """One table: names in order, rows in the order of their columns' names."""

    columns: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    rows: tuple[Any, ...] = ()


def audit(url: str, *, deploys: int | None = None) -> list[str]:
    """Return what is wrong with a database that should be at head, one phrase each.

    :param deploys: how many ran, with the hooks; None where no hook is expected.
    """
    found = content(url)
    wrong = []
    if found.get("alembic_version", Found()).rows != ((HEAD,),):
        wrong.append("it is not at head")
    if {name: table.columns for name, table in found.items()} != _COLUMNS:
        return [*wrong, f"its tables are { ({n: t.columns for n, t in found.items()}) }"]
    wanted = Counter(list(_STEPS))
    if deploys is not None:
        wanted += Counter({"hook once": 1, "hook each": deploys})
    ledger = Counter(entry for (entry,) in found["ledger"].rows)
    for entry in sorted({*ledger, *wanted}):
        if ledger[entry] != wanted[entry]:
            wrong.append(f"{entry}: {ledger[entry]} times instead of {wanted[entry]}")
    indexes = {name for table in found.values() for name in table.indexes}
    if not {"ix_account_name", "ix_visit_tag"} <= indexes:
        wrong.append(f"its indexes are {sorted(indexes)}")
    paid = sum(line == _PAY for up, _ in _STEPS.values() for line in up)
    if {(id, cents) for _, cents, id, _ in found["account"].rows} != {
        (number, 100 + paid) for number in range(1, _ACCOUNTS + 1)
    }:
        cents = sorted({row[1] for row in found["account"].rows})
        wrong.append(f"{len(found['account'].rows)} accounts have {cents} cents")
    if {(a, id, tag) for a, id, tag in found["visit"].rows} != {
        (number, number, 1) for number in range(1, _ACCOUNTS + 1)
    }:
        wrong.append("visits are missing or doubled")
    return wrong


_COLUMNS = {
    "account": ("born", "cents", "id", "name"),
    "alembic_version": ("version_num",),
    "ledger": ("entry",),
    "tag": ("id", "word"),
    "visit": ("account_id", "id", "tag_id"),
}


def content(url: str) -> dict[str, Found]:
    """Return every table that is not one of ours."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            looking = inspect(connection)
            found = {}
            for table in sorted(looking.get_table_names()):
                if table.startswith("safemigrate_"):
                    continue
                columns = tuple(sorted(column["name"] for column in looking.get_columns(table)))
                indexes = tuple(sorted(str(i["name"]) for i in looking.get_indexes(table)))
                rows = connection.execute(text(f"SELECT {', '.join(columns)} FROM {table}"))
                # None has no order.
                found[table] = Found(columns, indexes, tuple(sorted(map(tuple, rows), key=repr)))
            return found
    finally:
        engine.dispose()
