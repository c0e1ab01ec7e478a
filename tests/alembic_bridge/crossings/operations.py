"""Every operation of Alembic, as code for it and as what it makes of the parts of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.alembic_bridge.crossings.model import Col, Feature, Model, names, start

GONE = "gone"


@dataclass(frozen=True)
class Outcome:
    """
    :ivar sources: what fills columns that are not just copied.
    :ivar refuses: why it has to be refused, whatever the rows are.
    """

    after: Model
    sources: Mapping[str, str] = field(default_factory=dict)
    refuses: str | None = None
    dropped: bool = False


Make = Callable[[Model, Feature], "Outcome | None"]


@dataclass(frozen=True)
class Operation:
    """
    :ivar lines: methods of a batch; without ``op.`` in front they exist as those of ``op`` too.
    :ivar make: what becomes of the table, None where the operation makes no sense on it.
    """

    lines: tuple[str, ...]
    make: Make
    args: str = ""
    batch_only: bool = False
    plain_only: bool = False

    def body(self, batch: bool) -> str:
        if not batch:
            return "\n".join(map(_plain, self.lines))
        lines = [line if line.startswith("op.") else f"b.{line}" for line in self.lines]
        inner = "\n".join(f"    {line}" for line in lines) or "    pass"
        return f"with op.batch_alter_table('thing'{self.args}) as b:\n{inner}"


def _plain(line: str) -> str:
    if line.startswith("op."):
        return line
    name, _, rest = line.partition("(")
    if name.startswith("create_") or name == "drop_constraint":
        first, _, tail = rest.partition(", ")
        return f"op.{name}({first}, 'thing', {tail}"
    if name == "drop_index":
        return f"op.{name}({rest[:-1]}, table_name='thing')"
    return f"op.{name}('thing', {rest}"


# ---------------------------------------------------------------- what becomes of the table


def same(model: Model, feature: Feature) -> Outcome:
    return Outcome(model)


def _computed(col: Col) -> bool:
    return " AS (" in f" {col.more}"


def typed(column: str, type_: str, strict: str = "") -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        if column not in model.cols:
            return None
        if feature.strict:
            if not strict:
                return None
            return Outcome(model.with_col(column, type=strict), _cast(model, column, strict))
        return Outcome(model.with_col(column, type=type_), _cast(model, column, type_))

    return make


def _cast(model: Model, column: str, new: str) -> dict[str, str]:
    """What Alembic's CAST makes of text that becomes bytes, and of bytes that become text."""
    old = model.cols[column].type
    if new == "BLOB" and old != "BLOB":
        return {column: f'CAST("{column}" AS BLOB)'}
    if re.search("CHAR|TEXT", new) and not re.search("CHAR|CLOB|TEXT", old):
        as_text = f'CAST("{column}" AS TEXT)'
        return {column: f"CASE typeof(\"{column}\") WHEN 'blob' THEN {as_text} ELSE {column} END"}
    return {}


def nulled(column: str, text: str) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        if column not in model.cols:
            return None
        if text and model.cols[column].not_null:
            return Outcome(model)
        return Outcome(model.with_col(column, not_null=text))

    return make


def defaulted(column: str, text: str) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        if column not in model.cols:
            return None
        refuses = "computed" if _computed(model.cols[column]) else None
        return Outcome(model.with_col(column, default=text), refuses=refuses)

    return make


def renamed(column: str, new: str) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        if column not in model.cols:
            return None
        if column == "cjunk" and "fts5" in feature.before:
            # The word means a column of the full text table too, which keeps it.
            return None
        return Outcome(model.rename(column, new), {new: column})

    return make


def added(column: str, col: Col, fill: str = "NULL", *constraints: str) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        new = col
        if feature.strict and col.type not in ("INTEGER", "TEXT"):
            new = replace(col, type={"BOOLEAN": "INTEGER"}.get(col.type, "TEXT"))
        after = replace(
            model,
            cols={**model.cols, column: new},
            constraints=(*model.constraints, *constraints),
        )
        return Outcome(_named(model, after), {} if _computed(col) else {column: fill})

    return make


def _named(before: Model, after: Model) -> Model:
    """A trigger that inserts by position goes on to fill the columns that it filled."""
    columns = ", ".join(before.cols)
    return replace(
        after,
        objects=tuple(
            each.replace("INTO thing VALUES", f"INTO thing ({columns}) VALUES")
            for each in after.objects
        ),
    )


def dropped(*columns: str) -> Make:
    """As PostgreSQL: indexes and constraints go along; what else uses the column forbids it."""

    def make(model: Model, feature: Feature) -> Outcome | None:
        if any(column not in model.cols for column in columns):
            return None
        after, refuses = model, None
        for column in columns:
            outside = [
                each
                for each in after.objects
                if not each.split("(")[0].split(" ON ")[0].strip().endswith("INDEX")
                and "INDEX" not in each.split(" ON ")[0]
            ]
            if any(names(each, column) for each in outside):
                refuses = "a view or trigger uses it"
            if any("INTO thing VALUES" in each for each in outside):
                refuses = "by position"
            if any(
                _computed(col) and names(col.more, column)
                for name, col in after.cols.items()
                if name not in columns
            ):
                refuses = "a generated column uses it"
            if f"REFERENCES thing ({column}" in feature.after.replace("(own, cdef)", "(own"):
                refuses = "a foreign key refers to it"
            own = after.cols.get("own", Col()).more
            if column == "id" and (
                "REFERENCES thing" in own or "fk_self" in str(after.constraints)
            ):
                refuses = "its own foreign key refers to it"
            if column == "id" and re.search(r"REFERENCES thing( \(id\)| +[^(])", feature.after):
                refuses = refuses or "a foreign key refers to it"
            if column == "cjunk" and "fts5" in feature.before:
                refuses = refuses or "a full text table reads it"
            after = replace(
                after,
                cols={
                    name: replace(col, more=_without_checks(col.more, column))
                    for name, col in after.cols.items()
                    if name != column
                },
                constraints=tuple(
                    each
                    for each in after.constraints
                    if not names(each.replace("REFERENCES p (pk)", ""), column)
                ),
                objects=tuple(
                    each
                    for each in after.objects
                    if not (" INDEX " in each.split(" ON ")[0] and names(each, column))
                ),
            )
        return Outcome(after, refuses=refuses)

    return make


def _without_checks(more: str, column: str) -> str:
    return "" if more.startswith(("CHECK", "CONSTRAINT ck")) and names(more, column) else more


def constrained(*texts: str, restates: bool = False) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        return Outcome(replace(model, constraints=(*model.constraints, *texts)))

    return make


def unconstrained(name: str) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        left = tuple(each for each in model.constraints if f" {name} " not in each)
        cols = {
            key: replace(col, more="") if f" {name} " in f"{col.more} " else col
            for key, col in model.cols.items()
        }
        if left == model.constraints and cols == model.cols:
            return None
        after = replace(model, constraints=left, cols=cols)
        refuses = None
        if name == "uq_pair":
            refuses = "a foreign key needs it"
        return Outcome(after, refuses=refuses)

    return make


def indexed(text: str) -> Make:
    return lambda model, feature: Outcome(replace(model, objects=(*model.objects, text)))


def unindexed(name: str) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        left = tuple(each for each in model.objects if f"INDEX {name} " not in each)
        if left == model.objects:
            return None
        refuses = None
        if name == "ux_own" and "REFERENCES thing (own)" in feature.after:
            refuses = "a foreign key needs it"
        return Outcome(replace(model, objects=left), refuses=refuses)

    return make


def moved(new: str) -> Make:
    return lambda model, feature: Outcome(model.rename("thing", new))


def ordered(first: str, second: str) -> Make:
    """``second`` comes no earlier than right behind ``first``."""

    def make(model: Model, feature: Feature) -> Outcome | None:
        keys = [key for key in model.cols if key != second]
        keys.insert(keys.index(first) + 1, second)
        return Outcome(_named(model, replace(model, cols={key: model.cols[key] for key in keys})))

    return make


def last(column: str) -> Make:
    """SQLAlchemy's topological sort takes what waits for another after all that do not."""

    def make(model: Model, feature: Feature) -> Outcome | None:
        cols = {key: col for key, col in model.cols.items() if key != column}
        cols[column] = model.cols[column]
        return Outcome(_named(model, replace(model, cols=cols)))

    return make


def added_behind(column: str, col: Col, behind: str) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        found = added(column, col)(model, feature)
        assert found is not None
        turned = ordered(behind, column)(found.after, feature)
        assert turned is not None
        return replace(found, after=turned.after)

    return make


def optioned(more: str, identity_only: bool = True) -> Make:
    """AUTOINCREMENT on a plain INTEGER PRIMARY KEY."""

    def make(model: Model, feature: Feature) -> Outcome | None:
        if model.cols["id"] != Col("INTEGER", more="PRIMARY KEY"):
            return None
        return Outcome(model.with_col("id", more=more))

    return make


def without_rowid(model: Model, feature: Feature) -> Outcome | None:
    if "PRIMARY KEY" not in model.cols["id"].more or "AUTO" in model.cols["id"].more:
        return None
    if feature.options or "fts" in feature.before:
        return None
    return Outcome(replace(model, options="WITHOUT ROWID"))


def then(*makes: Make) -> Make:
    def make(model: Model, feature: Feature) -> Outcome | None:
        sources: dict[str, str] = {}
        refuses = None
        for each in makes:
            found = each(model, feature)
            if found is None:
                return None
            model = found.after
            sources.update(found.sources)
            refuses = refuses or found.refuses
        return Outcome(model, sources, refuses)

    return make


# ---------------------------------------------------------------- the operations


def _simple() -> dict[str, Operation]:
    found: dict[str, Operation] = {}
    for column in ("cname", "cnum", "own", "id", "cpid", "creq"):
        for label, code, text, strict in (
            ("varchar", "sa.String(200)", "VARCHAR(200)", "TEXT"),
            ("text", "sa.Text()", "TEXT", "TEXT"),
            ("integer", "sa.Integer()", "INTEGER", "INTEGER"),
            ("real", "sa.REAL()", "REAL", "REAL"),
            ("numeric", "sa.Numeric(10, 2)", "NUMERIC(10, 2)", ""),
            ("date", "sa.Date()", "DATE", ""),
            ("bytes", "sa.LargeBinary()", "BLOB", "BLOB"),
        ):
            found[f"{column} to {label}"] = Operation(
                (f"alter_column('{column}', type_={code})",), typed(column, text, strict)
            )
        found[f"{column} not null"] = Operation(
            (f"alter_column('{column}', nullable=False)",), nulled(column, "NOT NULL")
        )
        found[f"{column} null"] = Operation(
            (f"alter_column('{column}', nullable=True)",), nulled(column, "")
        )
        found[f"{column} default"] = Operation(
            (f"alter_column('{column}', server_default='7')",), defaulted(column, "'7'")
        )
        found[f"{column} default expression"] = Operation(
            (f"alter_column('{column}', server_default=sa.text('(1 + 2)'))",),
            defaulted(column, "(1 + 2)"),
        )
        found[f"{column} no default"] = Operation(
            (f"alter_column('{column}', server_default=None)",), defaulted(column, "")
        )
        found[f"{column} renamed"] = Operation(
            (f"alter_column('{column}', new_column_name='fresh')",), renamed(column, "fresh")
        )
        found[f"{column} renamed and not null"] = Operation(
            (f"alter_column('{column}', new_column_name='fresh', nullable=False)",),
            then(nulled(column, "NOT NULL"), renamed(column, "fresh")),
        )
        found[f"{column} dropped"] = Operation((f"drop_column('{column}')",), dropped(column))
        found[f"{column} checked"] = Operation(
            (f"create_check_constraint('ck_new', '{column} <> 777')",),
            lambda model, feature, c=column: (  # type: ignore[misc]
                constrained(f"CONSTRAINT ck_new CHECK ({c} <> 777)")(model, feature)
                if c in model.cols
                else None
            ),
        )
        found[f"{column} unique"] = Operation(
            (f"create_unique_constraint('uq_new', ['{column}', 'cdef'])",),
            lambda model, feature, c=column: (  # type: ignore[misc]
                constrained(f"CONSTRAINT uq_new UNIQUE ({c}, cdef)")(model, feature)
                if c in model.cols
                else None
            ),
        )
        found[f"{column} refers"] = Operation(
            (f"create_foreign_key('fk_new', 'p', ['{column}'], ['pk'], ondelete='SET NULL')",),
            lambda model, feature, c=column: (  # type: ignore[misc]
                constrained(
                    f"CONSTRAINT fk_new FOREIGN KEY ({c}) REFERENCES p (pk) ON DELETE SET NULL"
                )(model, feature)
                if c in model.cols
                else None
            ),
        )
        found[f"{column} indexed"] = Operation(
            (f"create_index('ix_new', ['{column}'])",),
            lambda model, feature, c=column: (  # type: ignore[misc]
                indexed(f"CREATE INDEX ix_new ON thing ({c})")(model, feature)
                if c in model.cols
                else None
            ),
        )
    return found


OPERATIONS: dict[str, Operation] = {
    **_simple(),
    "cjunk dropped": Operation(("drop_column('cjunk')",), dropped("cjunk")),
    "cdef dropped": Operation(("drop_column('cdef')",), dropped("cdef")),
    "two dropped": Operation(
        ("drop_column('cjunk')", "drop_column('cbin')"), dropped("cjunk", "cbin")
    ),
    "cdef default": Operation(
        ("alter_column('cdef', existing_type=sa.Integer(), server_default='8')",),
        defaulted("cdef", "'8'"),
    ),
    "cdef no default": Operation(
        ("alter_column('cdef', server_default=None)",), defaulted("cdef", "")
    ),
    "cdef to text": Operation(
        ("alter_column('cdef', type_=sa.Text())",), typed("cdef", "TEXT", "TEXT")
    ),
    "added": Operation(
        ("add_column(sa.Column('extra', sa.Integer))",), added("extra", Col("INTEGER"))
    ),
    "added with default": Operation(
        ("add_column(sa.Column('extra', sa.Text, server_default='x', nullable=False))",),
        added("extra", Col("TEXT", "NOT NULL", "'x'"), "'x'"),
    ),
    "added with expression": Operation(
        ("add_column(sa.Column('extra', sa.Text, server_default=sa.text(\"(lower('A'))\")))",),
        added("extra", Col("TEXT", default="(lower('A'))"), "'a'"),
    ),
    "added with reference": Operation(
        (
            "add_column(sa.Column('extra', sa.Integer,"
            " sa.ForeignKey('p.pk', name='fk_x', ondelete='CASCADE')))",
        ),
        added(
            "extra",
            Col("INTEGER"),
            "NULL",
            "CONSTRAINT fk_x FOREIGN KEY (extra) REFERENCES p (pk) ON DELETE CASCADE",
        ),
    ),
    "added with reference and default": Operation(
        (
            "add_column(sa.Column('extra', sa.Integer,"
            " sa.ForeignKey('p.pk', name='fk_x'), server_default='2', nullable=False))",
        ),
        added(
            "extra",
            Col("INTEGER", "NOT NULL", "'2'"),
            "2",
            "CONSTRAINT fk_x FOREIGN KEY (extra) REFERENCES p (pk)",
        ),
    ),
    "added unique": Operation(
        ("add_column(sa.Column('extra', sa.Integer, unique=True))",),
        added("extra", Col("INTEGER"), "NULL", "UNIQUE (extra)"),
    ),
    "added boolean": Operation(
        ("add_column(sa.Column('extra', sa.Boolean(create_constraint=True, name='ck_x')))",),
        added("extra", Col("BOOLEAN"), "NULL", "CONSTRAINT ck_x CHECK (extra IN (0, 1))"),
    ),
    "added computed": Operation(
        ("add_column(sa.Column('extra', sa.Integer, sa.Computed('cdef + 1')))",),
        added("extra", Col("INTEGER", more="GENERATED ALWAYS AS (cdef + 1)")),
    ),
    "added stored": Operation(
        ("add_column(sa.Column('extra', sa.Integer, sa.Computed('cdef + 1', persisted=True)))",),
        added("extra", Col("INTEGER", more="GENERATED ALWAYS AS (cdef + 1) STORED")),
    ),
    "added behind": Operation(
        ("add_column(sa.Column('extra', sa.Integer), insert_after='cname')",),
        added_behind("extra", Col("INTEGER"), "cname"),
        batch_only=True,
    ),
    "added before, always": Operation(
        ("add_column(sa.Column('extra', sa.Integer), insert_before='cnum')",),
        added_behind("extra", Col("INTEGER"), "cname"),
        args=", recreate='always'",
        batch_only=True,
    ),
    "check dropped": Operation(
        ("drop_constraint('ck_num', type_='check')",), unconstrained("ck_num")
    ),
    "own check dropped": Operation(
        ("drop_constraint('ck_own', type_='check')",), unconstrained("ck_own")
    ),
    "unique dropped": Operation(
        ("drop_constraint('uq_n', type_='unique')",), unconstrained("uq_n")
    ),
    "own unique dropped": Operation(
        ("drop_constraint('uq_own', type_='unique')",), unconstrained("uq_own")
    ),
    "pair unique dropped": Operation(
        ("drop_constraint('uq_pair', type_='unique')",), unconstrained("uq_pair")
    ),
    "foreign key dropped": Operation(
        ("drop_constraint('fk_pid', type_='foreignkey')",), unconstrained("fk_pid")
    ),
    "self reference dropped": Operation(
        ("drop_constraint('fk_self', type_='foreignkey')",), unconstrained("fk_self")
    ),
    "composite key dropped": Operation(
        ("drop_constraint('fk_q', type_='foreignkey')",), unconstrained("fk_q")
    ),
    "foreign key replaced": Operation(
        (
            "drop_constraint('fk_pid', type_='foreignkey')",
            "create_foreign_key('fk_pid', 'p', ['cpid'], ['pk'], ondelete='CASCADE')",
        ),
        then(
            unconstrained("fk_pid"),
            constrained(
                "CONSTRAINT fk_pid FOREIGN KEY (cpid) REFERENCES p (pk) ON DELETE CASCADE"
            ),
        ),
    ),
    "unique index": Operation(
        ("create_index('ix_new', ['cdef', 'cname'], unique=True)",),
        indexed("CREATE UNIQUE INDEX ix_new ON thing (cdef, cname)"),
    ),
    "partial index": Operation(
        ("create_index('ix_new', ['cdef'], sqlite_where=sa.text('cnum > 10'))",),
        indexed("CREATE INDEX ix_new ON thing (cdef) WHERE cnum > 10"),
    ),
    "expression index": Operation(
        ("create_index('ix_new', [sa.text('lower(cname)'), sa.text('cdef DESC')])",),
        indexed("CREATE INDEX ix_new ON thing (lower(cname), cdef DESC)"),
    ),
    "index dropped": Operation(("drop_index('ix_x')",), unindexed("ix_x")),
    "own index dropped": Operation(("drop_index('ix_own')",), unindexed("ix_own")),
    "own unique index dropped": Operation(("drop_index('ux_own')",), unindexed("ux_own")),
    "recreated": Operation((), same, ", recreate='always'", batch_only=True),
    "nothing in a batch": Operation((), same, batch_only=True),
    "recreated, widened": Operation(
        ("alter_column('cname', type_=sa.String(200))",),
        typed("cname", "VARCHAR(200)", "TEXT"),
        ", recreate='always', schema=None",
        batch_only=True,
    ),
    "never, widened": Operation(
        (
            "alter_column('cname', existing_type=sa.String(50), existing_nullable=True,"
            " type_=sa.String(200))",
        ),
        typed("cname", "VARCHAR(200)", "TEXT"),
        ", recreate='never'",
        batch_only=True,
    ),
    "reordered": Operation(
        (),
        last("cname"),
        ", recreate='always', partial_reordering=[('cnum', 'cname')]",
        batch_only=True,
    ),
    "table_args": Operation(
        (),
        constrained("CONSTRAINT ck_args CHECK (cnum <> 700)"),
        ", table_args=(sa.CheckConstraint('cnum <> 700', name='ck_args'),)",
        batch_only=True,
    ),
    "table_args and widened": Operation(
        ("alter_column('cname', type_=sa.Text())",),
        then(
            typed("cname", "TEXT", "TEXT"),
            constrained("CONSTRAINT uq_args UNIQUE (cnum, cdef)"),
        ),
        ", recreate='always', table_args=(sa.UniqueConstraint('cnum', 'cdef', name='uq_args'),)",
        batch_only=True,
    ),
    "copy_from": Operation(
        ("drop_column('cbin')",),
        dropped("cbin"),
        ", copy_from=sa.Table('thing', sa.MetaData(), sa.Column('id', sa.Integer,"
        " primary_key=True), sa.Column('cname', sa.String(50)), sa.Column('cbin',"
        " sa.LargeBinary()))",
        batch_only=True,
    ),
    "reflect_args": Operation(
        ("alter_column('cnum', nullable=False)",),
        nulled("cnum", "NOT NULL"),
        ", reflect_args=[sa.Column('cname', sa.String(50))],"
        " reflect_kwargs={'resolve_fks': False}",
        batch_only=True,
    ),
    "naming_convention": Operation(
        ("alter_column('cname', type_=sa.Text())",),
        typed("cname", "TEXT", "TEXT"),
        ", naming_convention={'uq': 'uq_%(table_name)s_%(column_0_name)s',"
        " 'ck': 'ck_%(table_name)s_%(constraint_name)s'}",
        batch_only=True,
    ),
    "autoincrement": Operation(
        (),
        optioned("PRIMARY KEY AUTOINCREMENT"),
        ", recreate='always', table_kwargs={'sqlite_autoincrement': True}",
        batch_only=True,
    ),
    "without rowid": Operation(
        (),
        without_rowid,
        ", recreate='always', table_kwargs={'sqlite_with_rowid': False}",
        batch_only=True,
    ),
    "table renamed": Operation(
        ("op.rename_table('thing', 'stuff')",), moved("stuff"), plain_only=True
    ),
    "table renamed and widened": Operation(
        (
            "op.rename_table('thing', 'stuff')",
            "op.alter_column('stuff', 'cname', type_=sa.Text(), nullable=False)",
        ),
        then(typed("cname", "TEXT", "TEXT"), nulled("cname", "NOT NULL"), moved("stuff")),
        plain_only=True,
    ),
    "renamed to a reserved word": Operation(
        ("alter_column('cname', new_column_name='group')",),
        renamed("cname", '"group"'),
    ),
    "several": Operation(
        (
            "drop_column('cjunk')",
            "alter_column('cname', new_column_name='title', nullable=False)",
            "add_column(sa.Column('flag', sa.Integer, server_default='0', nullable=False))",
            "create_check_constraint('ck_flag', 'flag >= 0')",
            "create_index('ix_flag', ['flag'])",
            "alter_column('cnum', type_=sa.Text())",
        ),
        then(
            dropped("cjunk"),
            nulled("cname", "NOT NULL"),
            renamed("cname", "title"),
            added("flag", Col("INTEGER", "NOT NULL", "'0'"), "0"),
            constrained("CONSTRAINT ck_flag CHECK (flag >= 0)"),
            indexed("CREATE INDEX ix_flag ON thing (flag)"),
            typed("cnum", "TEXT", "TEXT"),
        ),
    ),
    "own converted, rebuilt and indexed": Operation(
        (
            "alter_column('own', type_=sa.Text())",
            "create_unique_constraint('uq_new', ['own', 'id'])",
            "create_index('ix_new', ['own', 'cdef'])",
        ),
        then(
            typed("own", "TEXT", "TEXT"),
            constrained("CONSTRAINT uq_new UNIQUE (own, id)"),
            indexed("CREATE INDEX ix_new ON thing (own, cdef)"),
        ),
    ),
    "dropped and added again": Operation(
        ("drop_column('cbin')", "add_column(sa.Column('cbin', sa.Integer, server_default='1'))"),
        then(dropped("cbin"), added("cbin", Col("INTEGER", default="'1'"), "1")),
    ),
    "columns that swap names": Operation(
        (
            "alter_column('cjunk', new_column_name='x1')",
            "alter_column('cbin', new_column_name='cjunk')",
            "alter_column('x1', new_column_name='cbin')",
        ),
        then(renamed("cjunk", "x1"), renamed("cbin", "cjunk"), renamed("x1", "cbin")),
    ),
}


def applies(operation: Operation, feature: Feature) -> bool:
    model = replace(start(feature), cols={**start(feature).cols, **feature.late})
    return operation.make(model, feature) is not None
