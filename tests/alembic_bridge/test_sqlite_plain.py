"""What a revision does by plain Alembic it does here too: same schema, same rows."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from flask_safemigrate.alembic_bridge import sqlite
from flask_safemigrate.errors import OperationRefused, VerificationFailed
from tests.alembic_bridge.sqlite_plain import contents, upgrade_plain
from tests.alembic_bridge.sqlite_run import probe, seed, upgrade

SEED = """
CREATE TABLE t (id INTEGER NOT NULL, name VARCHAR(20), num INTEGER, PRIMARY KEY (id),
  CONSTRAINT uq_name UNIQUE (name),
  CONSTRAINT ck_num CHECK (num < 100)
);
INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', NULL);
CREATE TABLE link (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b));
INSERT INTO link VALUES (1, 2), (2, 2);
CREATE TABLE word (id VARCHAR(9) NOT NULL, PRIMARY KEY (id));
CREATE TABLE bare (x INTEGER);
CREATE TABLE child (id INTEGER NOT NULL, PRIMARY KEY (id), FOREIGN KEY (id) REFERENCES t (id));
"""


def block(table: str, *lines: str, args: str = "") -> str:
    body = "\n".join(f"    {line}" for line in lines) or "    pass"
    return f"with op.batch_alter_table({table!r}{args}) as b:\n{body}"


ALWAYS = ", recreate='always'"
#: One line that makes Alembic copy the table.
RECREATED = "b.alter_column('num', existing_type=sa.Integer(), nullable=True)"


def added(column: str, *lines: str, args: str = ALWAYS) -> str:
    return block("t", f"b.add_column(sa.Column('x', {column}))", *lines, args=args)


#: What a table change that is still put off would hide from the driver.
PUT_OFF = "op.add_column('t', sa.Column('x', sa.Integer, server_default='5'))\n"

SAME: dict[str, tuple[str, ...]] = {
    # Statements that the driver is given.
    "DELETE by the driver's cursor": (
        "op.get_bind().connection.cursor().execute('DELETE FROM link WHERE a = ?', (1,))",
    ),
    "rows by the driver": (
        PUT_OFF
        + "raw = op.get_bind().connection\n"
        + "raw.executemany('INSERT INTO bare VALUES (:a)', [{'a': 1}, {'a': 2}])\n"
        + "raw.execute('INSERT INTO bare SELECT x FROM t')\n"
        + "[row] = raw.execute('SELECT count(*) FROM bare').fetchall()\n"
        + "assert row == (5,), row\n"
        + "cursor = raw.cursor()\ncursor.execute('UPDATE t SET x = x + ?', [1])\n"
        + "assert cursor.rowcount == 3",
    ),
    "a cursor from before a change": (
        "cursor = op.get_bind().connection.cursor()\n"
        + PUT_OFF
        + "cursor.execute('UPDATE t SET x = 6 WHERE id = 1')\n"
        + "op.add_column('t', sa.Column('z', sa.Integer))\n"
        + "assert [d[0] for d in cursor.execute('SELECT * FROM t').description][-1] == 'z'",
    ),
    "a script by the driver's cursor": (
        PUT_OFF
        + "op.get_bind().connection.cursor().executescript("
        + "'DELETE FROM link; INSERT INTO bare SELECT x FROM t;')",
    ),
    # default= fills the rows of a table that Alembic copies.
    "a number": (added("sa.Numeric(), default=10.0"),),
    "a number, and the copy for another change": (
        added("sa.Integer(), default=7", RECREATED, args=""),
    ),
    "no copy, no filling": (added("sa.Integer(), default=7", args=""),),
    "a Boolean that is NOT NULL": (added("sa.Boolean(), default=False, nullable=False"),),
    "an Enum": (added("sa.Enum('red', 'blue', name='colour'), default='blue'"),),
    "an Enum of Python": (
        "import enum\nclass E(enum.Enum):\n    one = 'uno'\n" + added("sa.Enum(E), default=E.one"),
    ),
    "a date": (
        "import datetime\n" + added("sa.DateTime(), default=datetime.datetime(2020, 1, 31)"),
    ),
    "a callable, once": (
        "import itertools\nn = itertools.count(5)\n"
        + added("sa.Integer(), default=lambda: next(n)"),
    ),
    "a callable with its context": (added("sa.String(), default=lambda context: 'made'"),),
    "a callable that returns None": (
        added("sa.String(), default=lambda: None, server_default='x'"),
    ),
    "JSON": (added("sa.JSON(), default={'a': [1, 2]}"),),
    "a type of the project's own": (
        "class Up(sa.types.TypeDecorator):\n"
        "    impl, cache_ok = sa.String, True\n"
        "    def process_bind_param(self, value, dialect):\n        return value.upper()\n"
        + added("Up(), default='loud'"),
    ),
    "text with quotes and a NUL": (added("""sa.Text(), default="it's\\0 'so'\""""),),
    "an expression": (added("sa.String(), default=sa.func.upper('abc')"),),
    "an expression over a column": (added("sa.String(), default=sa.text(\"name || '!'\")"),),
    "both defaults": (added("sa.Integer(), default=1, server_default='2'"),),
    "both defaults alike": (added("sa.Integer(), default=2, server_default='2'"),),
    "only the server's": (added("sa.Integer(), server_default='2', nullable=False"),),
    "in the place of a column": (
        block(
            "t",
            "b.drop_column('num')",
            "b.add_column(sa.Column('num', sa.Numeric, default=10))",
        ),
    ),
    "on an empty table": (
        block(
            "bare",
            "b.add_column(sa.Column('f', sa.Boolean, default=False, nullable=False))",
            args=ALWAYS,
        ),
    ),
    "a computed column beside it": (
        added(
            "sa.Integer(), default=3",
            "b.add_column(sa.Column('y', sa.Integer, sa.Computed('x + 1')))",
        ),
    ),
    "outside of a block": ("op.add_column('t', sa.Column('x', sa.Integer, default=7))",),
    "filled, then changed": (
        added("sa.Integer(), default=7"),
        block(
            "t",
            "b.alter_column('x', existing_type=sa.Integer(), server_default='9', nullable=False)",
        ),
        "op.execute('INSERT INTO t (id) VALUES (9)')",
    ),
    # A constraint of a name that is there takes its place.
    "unique again": (block("t", "b.create_unique_constraint('uq_name', ['name'])"),),
    "unique over other columns": (block("t", "b.create_unique_constraint('uq_name', ['num'])"),),
    "the name of a check for a unique": (
        block("t", "b.create_unique_constraint('ck_num', ['num'])"),
    ),
    "foreign key again": (
        block("link", "b.create_foreign_key('fk', 't', ['a'], ['id'])"),
        block("link", "b.create_foreign_key('fk', 't', ['b'], ['id'], ondelete='CASCADE')"),
    ),
    "another primary key": (block("link", "b.create_primary_key('pk', ['a'])"),),
    "foreign key to columns that are not unique": (
        block(
            "t",
            "b.add_column(sa.Column('word', sa.String))",
            "b.create_foreign_key('fk', 'link', ['num'], ['a'])",
        ),
    ),
    "foreign key to a table that is not there": (
        block(
            "t", "b.add_column(sa.Column('n', sa.Integer, sa.ForeignKey('none.id', name='fk')))"
        ),
    ),
    # What is read of the table otherwise.
    "listeners of the reflection": (
        "def listen(inspector, table, info):\n"
        "    if info['name'] == 'name':\n"
        "        info.update(type=sa.Integer(), nullable=False, default='7')\n"
        + block("t", args=ALWAYS + ", reflect_kwargs={'listeners': [('column_reflect', listen)]}"),
        "op.execute('INSERT INTO t (id) VALUES (9)')",
    ),
    "a listener that changes nothing": (
        "def listen(inspector, table, info):\n    pass\n"
        + block("t", args=ALWAYS + ", reflect_kwargs={'listeners': [('column_reflect', listen)]}"),
    ),
    "columns of reflect_args": (
        block("bare", args=ALWAYS + ", reflect_args=[sa.Column('x', sa.String(9))]"),
    ),
    "rules of a column in reflect_args": (
        block(
            "t",
            args=ALWAYS + ", reflect_args=[sa.Column('name', sa.Unicode(60), nullable=False,"
            " server_default='q')]",
        ),
        "op.execute('INSERT INTO t (id) VALUES (9)')",
    ),
    "reflect_args where nothing is copied": (
        block(
            "t",
            "b.add_column(sa.Column('x', sa.Integer()))",
            args=", reflect_args=[sa.Column('name', sa.Unicode(60), nullable=False)]",
        ),
    ),
    "recreate='never' between blocks that copy": (
        block("t", args=", partial_reordering=[('num', 'name')], recreate='always'"),
        block("t", "b.add_column(sa.Column('x', sa.Integer))", args=", recreate='never'"),
        block("t", args=ALWAYS),
    ),
    "recreate='never' that is caught": (
        "try:\n    with op.batch_alter_table('t', recreate='never') as b:\n"
        "        b.add_column(sa.Column('num', sa.Integer))\n"
        "except sa.exc.OperationalError:\n    op.execute('DELETE FROM t WHERE id = 1')",
    ),
    "columns of copy_from": (
        "t = sa.Table('bare', sa.MetaData(), sa.Column('x', sa.String(9), nullable=False,"
        " server_default=sa.text(\"'d'\")))\n" + block("bare", args=ALWAYS + ", copy_from=t"),
        "op.execute('INSERT INTO bare DEFAULT VALUES')",
    ),
    # Constraints and indexes that the table has not.
    "keys of columns in reflect_args": (
        block(
            "bare",
            args=ALWAYS + ", reflect_args=[sa.Column('x', sa.Integer, sa.ForeignKey('t.id'),"
            " unique=True), sa.Index('ix_x', 'x')]",
        ),
    ),
    "a primary key in reflect_args": (
        block(
            "bare", args=ALWAYS + ", reflect_args=[sa.Column('x', sa.Integer, primary_key=True)]"
        ),
    ),
    "keys of copy_from": (
        "t = sa.Table('bare', sa.MetaData(), sa.Column('x', sa.Integer, sa.ForeignKey('t.id',"
        " ondelete='CASCADE'), sa.ForeignKey('one.other.id'), unique=True, index=True),"
        " sa.Index('ix_x', 'x', unique=True), sa.UniqueConstraint('x', name='uq_x'))\n"
        + block("bare", args=ALWAYS + ", copy_from=t"),
    ),
    "a key of copy_from that is dropped at once": (
        "t = sa.Table('bare', sa.MetaData(), sa.Column('x', sa.Integer),"
        " sa.UniqueConstraint('x', name='uq_x'))\n"
        + block("bare", "b.drop_constraint('uq_x', type_='unique')", args=", copy_from=t"),
    ),
    "a primary key of copy_from": (
        "t = sa.Table('bare', sa.MetaData(), sa.Column('x', sa.Integer, primary_key=True))\n"
        + block("bare", args=ALWAYS + ", copy_from=t"),
    ),
    "copy_from whose table is known": (
        "m = sa.MetaData()\nt = sa.Table('t', m, sa.Column('id', sa.Integer, primary_key=True))\n"
        "b = sa.Table('bare', m, sa.Column('x', sa.Integer, sa.ForeignKey('t.id', name='fk')))\n"
        + block("bare", args=ALWAYS + ", copy_from=b")
        + "\nassert list(t.columns.keys()) == ['id'] and t.columns.id.primary_key",
    ),
    "copy_from says what is there": (
        "t = sa.Table('t', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('name', sa.String(20), unique=True), sa.Column('num', sa.Integer),"
        " sa.UniqueConstraint('name', name='uq_name'))\n"
        + block("t", args=ALWAYS + ", copy_from=t"),
    ),
    "a column and an index in table_args": (
        block("bare", args=ALWAYS + ", table_args=(sa.Column('z', sa.Integer, default=3),)"),
        block("bare", args=ALWAYS + ", table_args=(sa.Index('ix_x', 'x', 'z'),)"),
    ),
    "options where nothing is copied": (
        block(
            "t",
            "b.add_column(sa.Column('x', sa.Integer()))",
            args=", partial_reordering=[('num', 'name')], table_kwargs={'sqlite_strict': True},"
            " table_args=(sa.UniqueConstraint('num'),)",
        ),
    ),
    "an order of some columns": (
        block("t", "b.add_column(sa.Column('x', sa.Integer()))", args=ALWAYS),
        block("t", args=ALWAYS + ", partial_reordering=[('num', 'name')]"),
    ),
    # What a keyword means, and to what.
    "autoincrement of a pair": (
        block("link", args=ALWAYS + ", table_kwargs={'sqlite_autoincrement': True}"),
    ),
    "autoincrement of a word": (
        block("word", args=ALWAYS + ", table_kwargs={'sqlite_autoincrement': True}"),
    ),
    "autoincrement without a key": (
        block("bare", args=ALWAYS + ", table_kwargs={'sqlite_autoincrement': True}"),
    ),
    "metadata of the revision's own": (
        "meta = sa.MetaData()\n"
        "child = sa.Table('child', meta, sa.Column('id', sa.Integer, primary_key=True),"
        " sa.ForeignKeyConstraint(['id'], ['t.id']))\n"
        + block("child", args=ALWAYS + ", copy_from=child")
        + "\nt = sa.Table('t', meta, sa.Column('name', sa.String(20)))\n"
        "op.bulk_insert(t, [{'name': 'new'}])\nassert len(t.columns) == 1",
    ),
    "table_args under the old name": (
        block(
            "t",
            "b.alter_column('name', existing_type=sa.String(20), new_column_name='label')",
            args=ALWAYS
            + ", table_args=[sa.UniqueConstraint('name', 'num'), sa.Index('by_name', 'name')]",
        ),
    ),
    "autoincrement of a foreign key": (
        block("child", args=ALWAYS + ", table_kwargs={'sqlite_autoincrement': True}"),
    ),
    "autoincrement": (
        block("t", args=ALWAYS + ", table_kwargs={'sqlite_autoincrement': True}"),
        "op.execute('DELETE FROM t')\nop.execute(\"INSERT INTO t (name) VALUES ('new')\")",
    ),
}


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("name", SAME)
def test_it_means_the_same(tmp_path: Path, name: str, schema_edits: bool) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    seed(ours, SEED)
    shutil.copy(ours, plain)
    upgrade_plain(plain, *SAME[name])
    upgrade(ours, *SAME[name], options=sqlite.EngineOptions(schema_edits=schema_edits))
    assert contents(ours) == contents(plain)


def ask(path: Path, *statements: str) -> Any:
    return probe(path, path.with_name("probe.db"), statements)


def test_a_check_in_the_place_of_another_is_the_one_that_acts(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED)
    upgrade(path, block("t", "b.create_check_constraint('ck_num', 'num < 10')"))
    assert ask(path, "UPDATE t SET num = 9") == []
    assert ask(path, "UPDATE t SET num = 11") == "IntegrityError"


def test_a_check_in_the_place_of_another_is_proven_on_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED)
    with pytest.raises(Exception, match=r"1 of 3 rows break CHECK \"ck_num\" \(num < 2\)"):
        upgrade(path, block("t", "b.create_check_constraint('ck_num', 'num < 2')"))


UNNAMED = """
CREATE TABLE p (id INTEGER PRIMARY KEY);
CREATE TABLE t (id INTEGER PRIMARY KEY, mail VARCHAR(20), pid INTEGER, UNIQUE (mail),
  FOREIGN KEY (pid) REFERENCES p (id), UNIQUE (mail, pid));
INSERT INTO t (id, mail) VALUES (1, 'a');
"""
CONVENTION = (
    ", naming_convention={'uq': 'uniq__%(table_name)s__%(column_0_N_name)s',"
    " 'fk': 'to_%(referred_table_name)s', 'pk': 'key_of_%(table_name)s'}"
)


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("schema_edits", [True, False])
def test_a_naming_convention_names_for_good(tmp_path: Path, schema_edits: bool, runs: int) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    seed(ours, UNNAMED)
    shutil.copy(ours, plain)
    bodies = (
        block(
            "t",
            "b.alter_column('mail', existing_type=sa.String(20), nullable=False)",
            args=CONVENTION,
        ),
        block("t", "b.drop_constraint('uniq__t__mail', type_='unique')"),
        block("t", "b.drop_constraint('to_p', type_='foreignkey')"),
        block("t", "b.drop_constraint('uniq__t__mail_pid', type_='unique')"),
    )
    upgrade_plain(plain, *bodies)
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    if runs == 1:
        upgrade(ours, *bodies, options=options)
    else:
        for body in bodies:
            upgrade(ours, body, options=options)
    assert contents(ours) == contents(plain)


COPY_FROM = """
table = sa.Table('t', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True),
    sa.Column('mail', sa.String(20)), sa.Column('pid', sa.Integer),
    sa.UniqueConstraint('mail', name='one'), sa.UniqueConstraint('mail', 'pid', name='two'),
    sa.CheckConstraint('pid > 0', name='positive'),
    sa.ForeignKeyConstraint(['pid'], ['p.id'], name='to_p'))
"""


@pytest.mark.parametrize("schema_edits", [True, False])
def test_copy_from_names_for_good(tmp_path: Path, schema_edits: bool) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    seed(ours, UNNAMED.replace("UNIQUE (mail),", "UNIQUE (mail), CHECK (pid > 0),"))
    shutil.copy(ours, plain)
    bodies = (
        COPY_FROM
        + block(
            "t", "b.add_column(sa.Column('x', sa.Integer))", args=ALWAYS + ", copy_from=table"
        ),
        block("t", "b.drop_constraint('one', type_='unique')"),
        block("t", "b.drop_constraint('to_p', type_='foreignkey')"),
        block("t", "b.drop_constraint('positive', type_='check')"),
    )
    upgrade_plain(plain, *bodies)
    upgrade(ours, *bodies, options=sqlite.EngineOptions(schema_edits=schema_edits))
    assert contents(ours) == contents(plain)
    assert ask(ours, "UPDATE t SET pid = -1") == []


def test_copy_from_names_the_check_of_a_type(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        "CREATE TABLE b (id INTEGER PRIMARY KEY, used BOOLEAN, CHECK (used IN (0, 1)));"
        "INSERT INTO b VALUES (1, 1);",
    )
    table = (
        "table = sa.Table('b', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('used', sa.Boolean(create_constraint=True, name='ck_used')))\n"
    )
    upgrade(path, table + block("b", args=ALWAYS + ", copy_from=table"))
    assert ask(path, "UPDATE b SET used = 7") != []
    upgrade(path, block("b", "b.drop_constraint('ck_used', type_='check')"))
    assert ask(path, "UPDATE b SET used = 7") == []


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("index", ["'by_mail', 't', ['mail']", "'by_mail', 't', ['pid', 'mail']"])
def test_an_index_that_copy_from_leaves_out_can_be_made_again(
    tmp_path: Path, index: str, runs: int
) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    seed(ours, UNNAMED + "CREATE INDEX by_mail ON t (mail);")
    shutil.copy(ours, plain)
    bodies = (
        COPY_FROM + block("t", args=ALWAYS + ", copy_from=table"),
        f"op.create_index({index})",
    )
    upgrade_plain(plain, *bodies)
    if runs == 1:
        upgrade(ours, *bodies)
    elif "pid" not in index:
        for body in bodies:
            upgrade(ours, body)
    else:
        upgrade(ours, bodies[0])
        with pytest.raises(OperationRefused, match='already an index "by_mail"'):
            upgrade(ours, bodies[1])
        return
    assert contents(ours)["t"]["indexes"] == contents(plain)["t"]["indexes"]


def test_an_index_that_is_there_is_an_error_where_a_revision_waits_for_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED + "CREATE INDEX by_num ON t (num);")
    caught = (
        "try:\n    op.create_index('by_num', 't', ['num'])\n"
        "except sa.exc.OperationalError:\n    op.execute('DELETE FROM bare')"
    )
    upgrade(path, "op.execute('INSERT INTO bare VALUES (1)')", caught)
    assert contents(path)["bare"]["rows"] == []


def test_a_naming_convention_names_nothing_where_nothing_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(path, UNNAMED)
    upgrade(path, block("t", "b.add_column(sa.Column('x', sa.Integer))", args=CONVENTION))
    assert "CONSTRAINT" not in ask(path, "SELECT sql FROM sqlite_master WHERE name = 't'")[0][0]


CATEGORIES = """
op.create_table('category', sa.Column('id', sa.Integer, primary_key=True),
                sa.Column('uuid', sa.Text))
op.create_table('plan', sa.Column('id', sa.Integer, primary_key=True))
"""
TO_UUID = block(
    "plan",
    "b.add_column(sa.Column('uuid', sa.Text))",
    "b.create_foreign_key('fk', 'category', ['uuid'], ['uuid'])",
)
TO_NONE = block(
    "plan",
    "b.add_column(sa.Column('uuid', sa.Text))",
    "b.create_foreign_key('fk', 'none', ['uuid'], ['uuid'])",
)
STARTS = {
    "filled": (CATEGORIES + "op.execute('INSERT INTO plan VALUES (1)')",),
    "empty": (CATEGORIES,),
    "fresh": (),
}


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("body", [TO_UUID, TO_NONE])
def test_a_key_that_leads_nowhere_is_taken_where_nothing_enforces_it(
    tmp_path: Path, start: str, body: str, schema_edits: bool
) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    bodies = (*(STARTS[start] or (CATEGORIES,)), body)
    upgrade_plain(plain, *bodies)
    if STARTS[start]:
        upgrade(ours, *STARTS[start])
        upgrade(ours, body, options=options)
    else:
        upgrade(ours, *bodies, options=options)
    assert contents(ours) == contents(plain)


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (TO_UUID, "not the primary key of their table"),
        (TO_NONE, r'(no such table: main\.none|no table "none")'),
    ],
)
def test_a_key_that_leads_nowhere_is_refused_where_it_is_enforced(
    tmp_path: Path, start: str, body: str, says: str, schema_edits: bool
) -> None:
    path = tmp_path / "app.db"
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    bodies = (body,) if STARTS[start] else (CATEGORIES, body)
    if STARTS[start]:
        upgrade(path, *STARTS[start])
    match = f"add foreignkey constraint 'fk' to 'plan': .*{says}"
    with pytest.raises(OperationRefused, match=match):
        upgrade(path, *bodies, options=options, foreign_keys=True)


@pytest.mark.parametrize(
    ("parent", "says"),
    [
        ("plan.uuid", "not the primary key of their table"),
        ("none.id", 'there is no table "none" to refer to'),
    ],
)
def test_a_new_table_whose_key_leads_nowhere_is_refused_by_its_revision(
    tmp_path: Path, parent: str, says: str
) -> None:
    path = tmp_path / "app.db"
    seed(path, "CREATE TABLE plan (id INTEGER PRIMARY KEY, uuid VARCHAR);")
    body = (
        "op.create_table('link', sa.Column('plan', sa.String(), nullable=False),"
        f" sa.ForeignKeyConstraint(['plan'], ['{parent}']))"
    )
    match = rf"create_table\('link'\): .*{says}"
    with pytest.raises(OperationRefused, match=match) as caught:
        upgrade(path, "pass", body, "pass", foreign_keys=True)
    assert "r2" in caught.value.message
    upgrade(path, "pass", body, "pass")
    assert "link" in str(contents(path))


@pytest.mark.parametrize(
    ("bodies", "says", "word"),
    [
        (
            ("op.execute('CREATE TABLE link (plan REFERENCES plan (uuid))')",),
            'of table "link" leads to "plan", which has no such unique key',
            "link",
        ),
        (
            ("op.execute('CREATE TABLE link (plan REFERENCES none (uuid))')",),
            'of table "link" leads to "none", which is not there',
            "none",
        ),
        (
            (
                "op.create_table('link', sa.Column('p', sa.Integer, sa.ForeignKey('plan.id')))",
                "op.drop_table('plan')",
            ),
            'of table "link" leads to "plan", which is gone',
            "plan",
        ),
    ],
)
def test_a_key_that_no_operation_brought_is_named_with_what_to_look_for(
    tmp_path: Path, bodies: tuple[str, ...], says: str, word: str
) -> None:
    path = tmp_path / "app.db"
    seed(path, "CREATE TABLE plan (id INTEGER PRIMARY KEY, uuid VARCHAR);")
    with pytest.raises(VerificationFailed, match=says) as caught:
        upgrade(path, *bodies, foreign_keys=True)
    assert caught.value.words == (word,)


def test_rows_without_parent_are_found_without_a_key_too(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    seed(path, SEED + "UPDATE t SET num = 7 WHERE id = 3;")
    with pytest.raises(OperationRefused, match=r"1 of 3 rows .* in \"link\" for \"num\", .* 3$"):
        upgrade(path, block("t", "b.create_foreign_key('fk', 'link', ['num'], ['a'])"))


#: Values of every kind in columns of every kind; ``late`` is read out of its default.
MIXED = """
CREATE TABLE v (id INTEGER NOT NULL PRIMARY KEY, s VARCHAR(20), b BLOB, n INTEGER, r FLOAT,
  raw BINARY(4), d DATETIME);
INSERT INTO v VALUES (1, 'a', x'33', 3, 1.5, x'61', '2020-01-31 00:00:00'),
  (2, '', x'', 0, 2.0, x'', NULL),
  (3, 'größe €', x'2d31', -7, NULL, x'c3a4', 5),
  (4, 'a' || char(0) || 'b', NULL, 9007199254740993, 1e300, x'610062', NULL),
  (5, NULL, x'3930', NULL, -0.25, NULL, '2021-12-31 23:59:59.000001');
CREATE INDEX by_all ON v (s, b, n);
CREATE TABLE k (s VARCHAR(9) NOT NULL, b BLOB, PRIMARY KEY (s), UNIQUE (b)) WITHOUT ROWID;
INSERT INTO k VALUES ('ä', x'61'), ('', x'c3a4');
CREATE TABLE u (id INTEGER NOT NULL PRIMARY KEY, bare);
CREATE UNIQUE INDEX by_bare ON u (bare);
INSERT INTO u (bare) VALUES (x'6162'), ('a'), (7), (1.5), (NULL), (x'');
ALTER TABLE v ADD COLUMN late VARCHAR(9) DEFAULT 'x';
ALTER TABLE v ADD COLUMN later BLOB DEFAULT 'x';
ALTER TABLE v ADD COLUMN latest BLOB DEFAULT x'37';
"""


def retyped(table: str, column: str, type_: str, more: str = "") -> str:
    return block(table, f"b.alter_column({column!r}, type_=sa.{type_}{more})")


#: Of bytes that are no number Alembic makes 0; here they are kept.
NUMBERS = "op.execute(\"DELETE FROM v WHERE b = x''\")"

RETYPED: dict[str, tuple[str, ...]] = {
    "text to bytes": (retyped("v", "s", "LargeBinary()"),),
    "text to bytes and back": (
        retyped("v", "s", "LargeBinary()"),
        retyped("v", "s", "Text()"),
    ),
    "text to bytes and back in one block": (
        block(
            "v",
            "b.alter_column('s', type_=sa.LargeBinary())",
            "b.alter_column('s', type_=sa.Text())",
        ),
    ),
    "text to bytes under another name": (
        retyped("v", "s", "PickleType()", ", new_column_name='kept'"),
    ),
    "whole numbers to bytes": (retyped("v", "n", "LargeBinary()"),),
    "floats to bytes": (retyped("v", "r", "LargeBinary()"),),
    "dates to bytes": (retyped("v", "d", "BLOB()"),),
    "bytes to numbers": (NUMBERS, retyped("v", "b", "Integer()")),
    "bytes to numbers and on to text": (
        NUMBERS,
        retyped("v", "b", "Integer()"),
        retyped("v", "b", "String(9)"),
    ),
    "bytes to text": (retyped("v", "b", "String(9)"),),
    "bytes to text, which is then told its length": (
        block(
            "v",
            "b.alter_column('b', type_=sa.Text())",
            "b.alter_column('b', type_=sa.String(9))",
        ),
    ),
    "bytes of a type that SQLite does not know to text": (retyped("v", "raw", "Text()"),),
    "bytes of a type that SQLite does not know to bytes": (retyped("v", "raw", "LargeBinary()"),),
    "bytes to bytes of a type that SQLite does not know": (retyped("v", "b", "BINARY(4)"),),
    "bytes to JSON": (retyped("v", "b", "JSON()"),),
    "no type to text": (retyped("u", "bare", "Text()"),),
    "no type to bytes": (retyped("u", "bare", "LargeBinary()"),),
    "a key to bytes": (retyped("k", "s", "LargeBinary()"),),
    "a unique column to text": (retyped("k", "b", "Text()"),),
    "a default in text to bytes": (retyped("v", "late", "LargeBinary()"),),
    "a default in text to text": (retyped("v", "later", "Text()"),),
    "a default in bytes to numbers": (retyped("v", "latest", "Integer()"),),
    "both ways, and rows that come after": (
        block(
            "v",
            "b.alter_column('late', type_=sa.LargeBinary())",
            "b.alter_column('b', type_=sa.Text())",
        ),
        "op.execute(\"INSERT INTO v (id, s, b) VALUES (9, 'z', x'7a')\")",
    ),
    "filled, then changed": (
        "op.add_column('v', sa.Column('x', sa.String(9), server_default='ab'))",
        retyped("v", "x", "LargeBinary()"),
    ),
    "filled with bytes, then changed": (
        "op.add_column('v', sa.Column('x', sa.LargeBinary(), server_default='ab'))",
        retyped("v", "x", "Text()"),
    ),
    # What the table is only said to have is copied as it is.
    "bytes by copy_from": (
        block(
            "k",
            args=ALWAYS
            + ", copy_from=sa.Table('k', sa.MetaData(),"
            + " sa.Column('s', sa.LargeBinary(), primary_key=True),"
            + " sa.Column('b', sa.Text(), unique=True), sqlite_with_rowid=False)",
        ),
    ),
}


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("name", RETYPED)
def test_another_type_holds_the_same(tmp_path: Path, name: str, schema_edits: bool) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    seed(ours, MIXED)
    shutil.copy(ours, plain)
    upgrade_plain(plain, *RETYPED[name])
    upgrade(ours, *RETYPED[name], options=sqlite.EngineOptions(schema_edits=schema_edits))
    found, expected = contents(ours), contents(plain)
    for table in ("v", "k", "u"):
        assert found[table]["rows"] == expected[table]["rows"]
        assert found[table]["columns"] == expected[table]["columns"]


@pytest.mark.parametrize("schema_edits", [True, False])
def test_text_that_cannot_be_read_becomes_its_bytes(tmp_path: Path, schema_edits: bool) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    seed(ours, MIXED + "UPDATE v SET s = CAST(x'fffe41' AS TEXT) WHERE id = 2;")
    shutil.copy(ours, plain)
    body = retyped("v", "s", "LargeBinary()")
    upgrade_plain(plain, body)
    upgrade(ours, body, options=sqlite.EngineOptions(schema_edits=schema_edits))
    assert ask(ours, "SELECT s FROM v") == ask(plain, "SELECT s FROM v")
    assert ask(ours, "SELECT s FROM v WHERE id = 2") == [(b"\xff\xfeA",)]


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize(
    ("encoding", "value", "ok"),
    [
        ("UTF-8", "fffe41", False),
        ("UTF-8", "edb080", False),
        ("UTF-8", "c3a4", True),
        ("UTF-16le", "6100e400", True),
        ("UTF-16be", "006100e4", True),
        ("UTF-16le", "610000", False),
        ("UTF-16be", "d800", False),
    ],
)
def test_bytes_become_text_where_they_are_text(
    tmp_path: Path, encoding: str, value: str, ok: bool, schema_edits: bool
) -> None:
    ours, plain = tmp_path / "ours.db", tmp_path / "plain.db"
    seed(
        ours,
        f"PRAGMA encoding='{encoding}';CREATE TABLE w (id INTEGER NOT NULL PRIMARY KEY, b BLOB);"
        f"INSERT INTO w VALUES (1, x'{value}'), (2, NULL), (3, 'kept'), (4, x'');",
    )
    shutil.copy(ours, plain)
    body = retyped("w", "b", "String(9)")
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    if not ok:
        kept = ours.read_bytes()
        said = (
            rf'1 of 4 rows have bytes in "w"\."b" that are no {encoding} text, which the type VARC'
        )
        with pytest.raises(OperationRefused, match=said):
            upgrade(ours, body, options=options)
        assert ours.read_bytes() == kept
        return
    upgrade_plain(plain, body)
    upgrade(ours, body, options=options)
    assert contents(ours) == contents(plain)


@pytest.mark.parametrize("schema_edits", [True, False])
def test_bytes_that_are_no_number_stay(tmp_path: Path, schema_edits: bool) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        "CREATE TABLE w (id INTEGER PRIMARY KEY, b BLOB);"
        "INSERT INTO w (b) VALUES (x'33'), ('4'), (x'616263'), (x''), (x'3300'), (x'33ff'),"
        "(NULL);",
    )
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    upgrade(path, retyped("w", "b", "Integer()"), options=options)
    kept = [(3,), (4,), (b"abc",), (b"",), (b"3\0",), (b"3\xff",), (None,)]
    assert ask(path, "SELECT b FROM w") == kept


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize("type_", ["Numeric()", "REAL()"])
def test_bytes_whose_digits_would_be_lost_are_refused(
    tmp_path: Path, type_: str, schema_edits: bool
) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        "CREATE TABLE w (id INTEGER PRIMARY KEY, b BLOB);"
        "INSERT INTO w (b) VALUES (CAST('12345678901234567890.5' AS BLOB)), (x'33');",
    )
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    with pytest.raises(OperationRefused, match=r"1 of 2 rows have a number .* hold exactly"):
        upgrade(path, retyped("w", "b", type_), options=options)


@pytest.mark.parametrize("schema_edits", [True, False])
@pytest.mark.parametrize(
    "table",
    [
        "w (id INTEGER PRIMARY KEY, s TEXT, UNIQUE (s))",
        "w (id INTEGER PRIMARY KEY, s TEXT); CREATE UNIQUE INDEX u ON w (s)",
        "w (id INTEGER, s TEXT PRIMARY KEY) WITHOUT ROWID",
    ],
)
def test_text_that_becomes_bytes_that_are_there_is_refused(
    tmp_path: Path, table: str, schema_edits: bool
) -> None:
    path = tmp_path / "app.db"
    seed(path, f"CREATE TABLE {table}; INSERT INTO w VALUES (1, 'a'), (2, x'61'), (3, 'b');")
    kept = path.read_bytes()
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    with pytest.raises(OperationRefused, match=r"2 of 3 rows of \"w\" share \"s\", first b'a'"):
        upgrade(path, retyped("w", "s", "LargeBinary()"), options=options)
    assert path.read_bytes() == kept


@pytest.mark.parametrize("schema_edits", [True, False])
def test_both_sides_of_a_foreign_key_become_bytes(tmp_path: Path, schema_edits: bool) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        "CREATE TABLE p (s VARCHAR(9) NOT NULL PRIMARY KEY);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, s VARCHAR(9) REFERENCES p (s));"
        "INSERT INTO p VALUES ('a'), ('ä'); INSERT INTO c VALUES (1, 'ä'), (2, NULL);",
    )
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    both = [retyped(table, "s", "LargeBinary()") for table in ("p", "c")]
    upgrade(path, "\n".join(both), foreign_keys=True, options=options)
    assert ask(path, "SELECT * FROM c") == [(1, "ä".encode()), (2, None)]
    assert ask(path, "PRAGMA foreign_key_check") == []
    back = [retyped(table, "s", "String(9)") for table in ("p", "c")]
    upgrade(path, "\n".join(back), foreign_keys=True, options=options)
    assert ask(path, "SELECT * FROM c") == [(1, "ä"), (2, None)]


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 37), reason="no STRICT tables")
@pytest.mark.parametrize("schema_edits", [True, False])
def test_a_strict_table_takes_what_fits_and_counts_what_does_not(
    tmp_path: Path, schema_edits: bool
) -> None:
    path = tmp_path / "app.db"
    seed(
        path,
        "CREATE TABLE w (id INTEGER PRIMARY KEY, s TEXT, b BLOB, n TEXT) STRICT;"
        "INSERT INTO w VALUES (1, 'a', x'33', '1.5'), (2, 'ä', x'34', 'x');",
    )
    options = sqlite.EngineOptions(schema_edits=schema_edits)
    body = block(
        "w",
        "b.alter_column('s', type_=sa.LargeBinary())",
        "b.alter_column('b', type_=sa.Integer())",
        "b.alter_column('n', type_=sa.Numeric())",
    )
    upgrade(path, body, options=options)
    assert ask(path, "SELECT * FROM w") == [(1, b"a", 3, "1.5"), (2, "ä".encode(), 4, "x")]
    seed(path, "UPDATE w SET s = x'35' WHERE id = 1")
    with pytest.raises(OperationRefused, match="1 of 2 rows do not fit the type INTEGER"):
        upgrade(path, retyped("w", "s", "Integer()"), options=options)
