"""Every kind of thing that a table may have, or that may depend on it."""

from __future__ import annotations

from tests.alembic_bridge.crossings.model import Col, Feature

INTEGER, TEXT = Col("INTEGER"), Col("TEXT")
LOG = "CREATE TABLE log (n INTEGER PRIMARY KEY, what);"
VALUES = (
    "UPDATE thing SET own = 'abc' WHERE id = 1; UPDATE thing SET own = x'00ff' WHERE id = 2;"
    "UPDATE thing SET own = {} WHERE id = 7;"
)


def own(type_: str = "INTEGER", more: str = "", **rest: str) -> dict[str, Col]:
    return {"own": Col(type_, more=more, **rest)}


def child(action: str, target: str = "(id)", more: str = "") -> str:
    return (
        "CREATE TABLE child (ck INTEGER PRIMARY KEY, tid INTEGER REFERENCES thing"
        f" {target} {action});"
        "INSERT INTO child VALUES (1, 1), (2, 1), (3, 7), (4, NULL);" + more
    )


def trigger(text: str) -> Feature:
    return Feature(
        own=own(),
        before=LOG,
        after="UPDATE thing SET own = id;",
        objects=(text,),
        probes=(
            ("INSERT INTO log (what) VALUES ('q')",),
            ("UPDATE thing SET own = own + 1", "SELECT what FROM log"),
        ),
    )


FEATURES: dict[str, Feature] = {
    "nothing": Feature(),
    "an own column": Feature(own=own()),
    # ---------------------------------------------------------------- CHECK
    "column check": Feature(own=own(more="CHECK (own > 0 OR own IS NULL)")),
    "named column check": Feature(own=own(more="CONSTRAINT ck_own CHECK (own <> 7)")),
    "two column checks": Feature(own=own(more="CHECK (own > 0) CONSTRAINT c2 CHECK (own < 99)")),
    "table check": Feature(own=own(), constraints=("CHECK (own <> cnum)",)),
    "named table check": Feature(own=own(), constraints=("CONSTRAINT ck_t CHECK (own < 99)",)),
    "check of a function": Feature(
        own=own("TEXT"), constraints=("CHECK (length(own) + length(cname) < 40)",)
    ),
    "check with strings and parentheses": Feature(
        own=own("TEXT", more="CHECK (own NOT IN ('a)', 'b,c', 'it''s (', \"own)\"))"),
        after="UPDATE thing SET own = 'q';",
    ),
    "check that rows break": Feature(
        own=own(more="CHECK (own < 5)"),
        after="PRAGMA ignore_check_constraints=ON; UPDATE thing SET own = 50 WHERE id = 2;"
        "PRAGMA ignore_check_constraints=OFF;",
    ),
    "check on conflict": Feature(own=own(), constraints=("CHECK (own > 0) ON CONFLICT IGNORE",)),
    # ---------------------------------------------------------------- UNIQUE, NOT NULL, conflict
    "unique column": Feature(own=own(more="UNIQUE"), after="UPDATE thing SET own = id;"),
    "unique replace": Feature(
        own=own("TEXT", more="UNIQUE ON CONFLICT REPLACE"),
        after="UPDATE thing SET own = 'c' || id;",
        probes=(("INSERT INTO thing (id, own, cnum) VALUES (90, 'c1', 7)",),),
    ),
    "named unique ignore": Feature(
        own=own(),
        constraints=("CONSTRAINT uq_own UNIQUE (own, cdef) ON CONFLICT IGNORE",),
        after="UPDATE thing SET own = id;",
        probes=(("INSERT INTO thing (own, cdef) VALUES (1, 5)",),),
    ),
    "unique with collation and order": Feature(
        own=own("TEXT", collate="NOCASE"),
        constraints=("UNIQUE (own COLLATE BINARY DESC)",),
        after="UPDATE thing SET own = CASE id WHEN 1 THEN 'A' WHEN 2 THEN 'a' END;",
    ),
    "not null replace": Feature(
        own=own("TEXT", not_null="NOT NULL ON CONFLICT REPLACE", default="'gap'"),
        probes=(("UPDATE thing SET own = NULL",),),
    ),
    "not null": Feature(own=own("TEXT", not_null="NOT NULL", default="'gap'")),
    "constrained not null": Feature(
        own=own("TEXT", not_null="CONSTRAINT nn NOT NULL", default="'gap'")
    ),
    # ---------------------------------------------------------------- keys
    "cascading children": Feature(after=child("ON DELETE CASCADE"), foreign_keys=True),
    "cascading children, not enforced": Feature(
        after=child("ON DELETE CASCADE ON UPDATE CASCADE")
    ),
    "children set null": Feature(
        after=child("ON DELETE SET NULL ON UPDATE CASCADE", ""), foreign_keys=True
    ),
    "children set default": Feature(after=child("ON DELETE SET DEFAULT"), foreign_keys=True),
    "restricting children": Feature(after=child("ON DELETE RESTRICT"), foreign_keys=True),
    "deferred children": Feature(
        after=child("DEFERRABLE INITIALLY DEFERRED"),
        foreign_keys=True,
        probes=(("BEGIN", "INSERT INTO child VALUES (9, 99)", "COMMIT"),),
    ),
    "children of children": Feature(
        after=child(
            "ON DELETE CASCADE",
            more="CREATE TABLE grand (gk INTEGER PRIMARY KEY, cid REFERENCES child (ck)"
            " ON DELETE CASCADE); INSERT INTO grand VALUES (1, 1), (2, 3);",
        ),
        foreign_keys=True,
    ),
    "mutual references": Feature(
        own=own(more="REFERENCES child (ck) ON DELETE SET NULL"),
        after=child("ON DELETE CASCADE")
        + "UPDATE thing SET own = 2 WHERE id = 1; UPDATE thing SET own = 1 WHERE id = 7;",
        foreign_keys=True,
    ),
    "mutual references that restrict": Feature(
        own=own(more="REFERENCES child (ck) ON DELETE RESTRICT ON UPDATE CASCADE"),
        after=child("ON DELETE RESTRICT") + "UPDATE thing SET own = 2 WHERE id = 1;",
        foreign_keys=True,
    ),
    "children with orphans, indexes and triggers": Feature(
        before=LOG,
        after="CREATE TABLE child (ck INTEGER PRIMARY KEY AUTOINCREMENT, tid INTEGER"
        " CHECK (tid <> 13) REFERENCES thing (id) ON DELETE CASCADE, up INTEGER"
        " REFERENCES child (ck) ON DELETE CASCADE, gen AS (tid * 2) STORED);"
        "INSERT INTO child (ck, tid, up) VALUES (1, 1, NULL), (2, 404, 1), (30, 7, 2);"
        "DELETE FROM child WHERE ck = 30;",
        objects=(
            "CREATE TRIGGER ct AFTER DELETE ON child BEGIN"
            " INSERT INTO log (what) VALUES ('gone ' || old.ck); END",
            "CREATE UNIQUE INDEX ix_child ON child (gen) WHERE up IS NULL",
        ),
        probes=(("DELETE FROM child WHERE ck = 1",), ("INSERT INTO child (tid) VALUES (2)",)),
        foreign_keys=True,
    ),
    "children of a unique column": Feature(
        own=own("TEXT", more="UNIQUE"),
        after="UPDATE thing SET own = 'k' || id;"
        "CREATE TABLE kid (ck INTEGER PRIMARY KEY, k TEXT REFERENCES thing (own)"
        " ON UPDATE CASCADE ON DELETE CASCADE); INSERT INTO kid VALUES (1, 'k1'), (2, 'k7');",
        foreign_keys=True,
    ),
    "children of a unique index": Feature(
        own=own("TEXT"),
        objects=("CREATE UNIQUE INDEX ux_own ON thing (own)",),
        after="UPDATE thing SET own = 'k' || id;"
        "CREATE TABLE kid (ck INTEGER PRIMARY KEY, k TEXT REFERENCES thing (own)"
        " ON DELETE CASCADE); INSERT INTO kid VALUES (1, 'k1'), (2, 'k7');",
        foreign_keys=True,
    ),
    "children of a composite key": Feature(
        own=own("TEXT"),
        constraints=("CONSTRAINT uq_pair UNIQUE (own, cdef)",),
        after="UPDATE thing SET own = 'k' || id;"
        "CREATE TABLE kid (ck INTEGER PRIMARY KEY, k TEXT, d INTEGER,"
        " FOREIGN KEY (k, d) REFERENCES thing (own, cdef) ON DELETE SET NULL);"
        "INSERT INTO kid VALUES (1, 'k1', 5), (2, NULL, 5);",
        foreign_keys=True,
    ),
    "self reference cascade": Feature(
        own=own(more="REFERENCES thing (id) ON DELETE CASCADE"),
        after="UPDATE thing SET own = 1 WHERE id > 1;",
        foreign_keys=True,
    ),
    "self reference restrict": Feature(
        own=own(more="REFERENCES thing ON DELETE RESTRICT"),
        after="UPDATE thing SET own = 1 WHERE id > 1;",
        foreign_keys=True,
    ),
    "self reference deferred": Feature(
        own=own(),
        constraints=(
            "CONSTRAINT fk_self FOREIGN KEY (own) REFERENCES thing (id)"
            " DEFERRABLE INITIALLY DEFERRED",
        ),
        after="UPDATE thing SET own = 1 WHERE id > 1;",
    ),
    "composite foreign key": Feature(
        own=own("TEXT"),
        before="CREATE TABLE q (a TEXT, b INTEGER, PRIMARY KEY (a, b));"
        "INSERT INTO q VALUES ('x', 5), ('y', 5);",
        constraints=("CONSTRAINT fk_q FOREIGN KEY (own, cdef) REFERENCES q ON DELETE CASCADE",),
        after="UPDATE thing SET own = 'x' WHERE id < 5;",
        foreign_keys=True,
    ),
    "deferrable foreign key": Feature(
        own=own(more="REFERENCES p (pk) ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED"),
        after="UPDATE thing SET own = 5;",
        probes=(("BEGIN", "UPDATE thing SET own = 50", "COMMIT"),),
    ),
    "foreign key with match": Feature(
        own=own(more="REFERENCES p (pk) MATCH SIMPLE ON DELETE SET NULL NOT DEFERRABLE"),
        after="UPDATE thing SET own = 5;",
    ),
    "foreign key to a missing table": Feature(own=own(more="REFERENCES missing (key)")),
    "orphans": Feature(
        own=own(more="CONSTRAINT fk_own REFERENCES p (pk)"),
        after="PRAGMA foreign_keys=OFF; UPDATE thing SET own = 404;",
    ),
    # ---------------------------------------------------------------- triggers
    "trigger after insert": trigger(
        "CREATE TRIGGER tr AFTER INSERT ON thing BEGIN"
        " INSERT INTO log (what) VALUES ('ins ' || new.cname); END"
    ),
    "trigger before update of own": trigger(
        "CREATE TRIGGER tr BEFORE UPDATE OF own ON thing WHEN new.own > old.own BEGIN"
        " INSERT INTO log (what) VALUES (old.own || '>' || new.own); END"
    ),
    "trigger after delete": trigger(
        "CREATE TRIGGER tr AFTER DELETE ON thing FOR EACH ROW BEGIN"
        " INSERT INTO log (what) SELECT old.id; DELETE FROM log WHERE what IS NULL; END"
    ),
    "trigger that raises": trigger(
        "CREATE TRIGGER tr BEFORE UPDATE ON thing BEGIN SELECT RAISE(ABORT, 'no'); END"
    ),
    "trigger that updates its table": trigger(
        "CREATE TRIGGER tr AFTER INSERT ON thing BEGIN"
        " UPDATE thing SET cdef = cdef + 1 WHERE id = new.id; END"
    ),
    "trigger of another table": trigger(
        "CREATE TRIGGER tr AFTER INSERT ON log BEGIN UPDATE thing SET cdef = cdef + 1; END"
    ),
    "trigger of another table by name": trigger(
        "CREATE TRIGGER tr AFTER INSERT ON log BEGIN"
        " INSERT INTO thing (cname, cnum) VALUES ('from log', 77); END"
    ),
    "trigger of another table by position": Feature(
        before=LOG,
        objects=(
            "CREATE TRIGGER tr AFTER INSERT ON log BEGIN INSERT INTO thing"
            " VALUES (99, 'n', 76, 'j', 'r', 4, 1, NULL); END",
        ),
        probes=(("INSERT INTO log (what) VALUES ('q')",),),
    ),
    "trigger with an upsert": Feature(
        before=LOG,
        objects=(
            "CREATE TRIGGER tr AFTER INSERT ON log BEGIN INSERT INTO thing (id, cname)"
            " VALUES (1, 'up') ON CONFLICT (id) DO UPDATE SET cname = excluded.cname; END",
        ),
        probes=(("INSERT INTO log (what) VALUES ('q')",),),
    ),
    "trigger with a select of all": trigger(
        "CREATE TRIGGER tr AFTER UPDATE ON thing BEGIN"
        " INSERT INTO log (what) SELECT count(*) FROM (SELECT * FROM thing); END"
    ),
    "trigger with a common table": trigger(
        "CREATE TRIGGER tr AFTER INSERT ON log WHEN new.n > 0 BEGIN UPDATE thing SET cdef ="
        " (SELECT max(x.cdef) + 1 FROM thing AS x WHERE x.id < thing.id); END"
    ),
    # ---------------------------------------------------------------- views
    "view": Feature(objects=("CREATE VIEW v AS SELECT id, cname FROM thing WHERE cnum > 10",)),
    "view of all": Feature(objects=("CREATE VIEW v AS SELECT * FROM thing",)),
    "view with column names": Feature(
        own=own(), objects=("CREATE VIEW v (a, b) AS SELECT id, own FROM thing",)
    ),
    "views on views": Feature(
        own=own(),
        objects=(
            "CREATE VIEW v AS SELECT id AS i, own AS o FROM thing",
            "CREATE VIEW w AS SELECT v.i, count(*) AS c FROM v JOIN thing AS x ON x.id = v.i"
            " GROUP BY v.i",
        ),
    ),
    "view with INSTEAD OF triggers": Feature(
        own=own(),
        objects=(
            "CREATE VIEW v AS SELECT id AS i, cname AS title FROM thing",
            "CREATE TRIGGER v_i INSTEAD OF INSERT ON v BEGIN"
            " INSERT INTO thing (cname, cnum) VALUES (new.title, 88); END",
            "CREATE TRIGGER v_u INSTEAD OF UPDATE OF title ON v BEGIN"
            " UPDATE thing SET cname = new.title WHERE id = old.i; END",
            "CREATE TRIGGER v_d INSTEAD OF DELETE ON v BEGIN"
            " DELETE FROM thing WHERE id = old.i; END",
        ),
        probes=(
            ("INSERT INTO v (title) VALUES ('vv')",),
            ("UPDATE v SET title = 'changed' WHERE i = 2",),
            ("DELETE FROM v WHERE i = 2",),
        ),
    ),
    "view with a window and a common table": Feature(
        objects=(
            "CREATE VIEW v AS WITH x AS (SELECT id, cdef FROM thing)"
            " SELECT id, sum(cdef) OVER (ORDER BY id) AS s FROM x",
        )
    ),
    # ---------------------------------------------------------------- indexes
    "index": Feature(own=own(), objects=("CREATE INDEX ix_own ON thing (own)",)),
    "unique index": Feature(
        own=own("TEXT"),
        after="UPDATE thing SET own = 'x' || id;",
        objects=("CREATE UNIQUE INDEX ux_own ON thing (own)",),
    ),
    "partial index": Feature(
        own=own(), objects=("CREATE UNIQUE INDEX ix_own ON thing (cdef) WHERE own = 1",)
    ),
    "expression index": Feature(
        own=own("TEXT"),
        after="UPDATE thing SET own = 'X' || id;",
        objects=("CREATE UNIQUE INDEX ix_own ON thing (lower(own), cdef + 1)",),
    ),
    "descending collated index": Feature(
        own=own("TEXT"),
        objects=("CREATE INDEX ix_own ON thing (own COLLATE NOCASE DESC, cnum)",),
    ),
    "indexes of all": Feature(
        own=own("VARCHAR(9)"),
        objects=(
            "CREATE INDEX ix_1 ON thing (cdef, own)",
            "CREATE INDEX ix_2 ON thing (creq) WHERE cnum IS NOT NULL",
            "CREATE INDEX \"ix 3, )\" ON thing (cjunk || '-' || cname)",
        ),
    ),
    # ---------------------------------------------------------------- columns
    "nocase": Feature(
        own=own("TEXT", collate="NOCASE", more="UNIQUE"),
        after="UPDATE thing SET own = 'M' || id;",
        probes=(("SELECT id FROM thing WHERE own = 'm2'",),),
    ),
    "rtrim": Feature(own=own("TEXT", collate="RTRIM"), after="UPDATE thing SET own = 'M ';"),
    "virtual column": Feature(
        own={"own": Col("INTEGER", default="4"), "gen": Col("TEXT", more="AS (own || '!')")},
        probes=(("UPDATE thing SET own = 9", "SELECT gen FROM thing"),),
    ),
    "stored column": Feature(
        own={
            "own": Col("INTEGER", default="4"),
            "gen": Col("INTEGER", more="GENERATED ALWAYS AS (own * 2) STORED"),
        },
        objects=("CREATE INDEX ix_gen ON thing (gen)",),
        probes=(("UPDATE thing SET own = 9", "SELECT gen FROM thing"),),
    ),
    "generated column itself": Feature(
        own=own("TEXT", more="GENERATED ALWAYS AS (cname || cdef) STORED")
    ),
    "virtual column itself, indexed": Feature(
        own=own("TEXT", more="AS (cname || cdef)"),
        objects=("CREATE UNIQUE INDEX ux_own ON thing (own)",),
    ),
    "generated from generated": Feature(
        own={
            "own": Col("INTEGER", more="AS (cdef * 2) VIRTUAL"),
            "gen": Col("INTEGER", not_null="NOT NULL", more="AS (own + 1) STORED"),
        }
    ),
    "no type": Feature(own=own(""), after=VALUES.format("1.5")),
    "odd types": Feature(
        own={
            "own": Col("UNSIGNED BIG INT"),
            "g": Col("GEOMETRY(3, 4326)"),
            "s": Col("STRING"),
            "j": Col("JSONB"),
            "q": Col('"odd type"'),
        },
        after="UPDATE thing SET own = 18, s = '7', g = 'p', q = 1;",
    ),
    # ---------------------------------------------------------------- values
    "foreign values in an integer column": Feature(own=own(), after=VALUES.format("2.5")),
    "foreign values in a real column": Feature(own=own("REAL"), after=VALUES.format("9e999")),
    "big integers": Feature(
        own=own("BIGINT"),
        after="UPDATE thing SET own = 9223372036854775807 WHERE id = 1;"
        "UPDATE thing SET own = -9223372036854775808 WHERE id = 2;",
    ),
    "large reals": Feature(
        own=own("FLOAT"),
        # SQLite's own conversion to text gives 15 digits, the engine as many as it takes.
        after="UPDATE thing SET own = 1.5e308 WHERE id = 1;"
        "UPDATE thing SET own = -2.5e-300 WHERE id = 2; UPDATE thing SET own = 0.1 WHERE id = 7;",
    ),
    "dates as text": Feature(
        own=own("DATETIME"),
        after="UPDATE thing SET own = '2020-01-31 10:00:00.000000';",
    ),
    "decimal text": Feature(
        own=own("DECIMAL(10, 2)"),
        after="UPDATE thing SET own = '1.50' WHERE id = 1; UPDATE thing SET own = '0012' "
        "WHERE id = 2;",
    ),
    "text that looks like numbers": Feature(
        own=own("TEXT"),
        after="UPDATE thing SET own = '007' WHERE id = 1; UPDATE thing SET own = '1e3'"
        " WHERE id = 2; UPDATE thing SET own = ' 12 ' WHERE id = 7;",
    ),
    "text that is no text": Feature(
        own=own("TEXT"),
        after="UPDATE thing SET own = 'nul' || char(0) || 'tail' WHERE id = 1;"
        "UPDATE thing SET own = CAST(x'fffe41' AS TEXT) WHERE id = 2;"
        "UPDATE thing SET own = '' WHERE id = 7;",
    ),
    # ---------------------------------------------------------------- defaults
    "default text": Feature(own=own("TEXT", default="'it''s, (ok)'")),
    "default expression": Feature(own=own("TEXT", default="(upper('x') || '(' || 1)")),
    "default time": Feature(
        own=own("TEXT", default="CURRENT_DATE"), after="UPDATE thing SET own = 'then';"
    ),
    "default hex and blob": Feature(
        own={"own": Col("INTEGER", default="0x10"), "f": Col("BLOB", default="x'00ff'")}
    ),
    "default null": Feature(own=own("TEXT", default="NULL")),
    "default true": Feature(own=own("BOOLEAN", not_null="NOT NULL", default="TRUE")),
    "default word": Feature(own=own("TEXT", default="plain")),
    "default negative": Feature(own=own("REAL", default="-1.5e3")),
    "rows older than a column": Feature(late=own(default="42")),
    "rows older than text columns": Feature(
        late={"own": Col("TEXT", "NOT NULL", "'x'"), "later": Col("REAL", default="5")}
    ),
    "rows older than a column without default": Feature(late=own("VARCHAR(5)")),
    # ---------------------------------------------------------------- the table
    "autoincrement": Feature(
        own=own(),
        identity=Col("INTEGER", more="PRIMARY KEY AUTOINCREMENT"),
        after="INSERT INTO thing (id) VALUES (500); DELETE FROM thing WHERE id = 500;",
    ),
    "autoincrement, not null and conflict": Feature(
        identity=Col(
            "INTEGER",
            "NOT NULL",
            more="CONSTRAINT pk PRIMARY KEY ON CONFLICT REPLACE AUTOINCREMENT",
        ),
        probes=(("INSERT INTO thing (id, cname, cnum) VALUES (1, 'z', 5)",),),
    ),
    "primary key of the table": Feature(
        identity=Col("INTEGER", "NOT NULL"), constraints=("CONSTRAINT pk_t PRIMARY KEY (id)",)
    ),
    "strict": Feature(
        own=own("ANY"),
        options="STRICT",
        after="UPDATE thing SET own = '007' WHERE id = 1; UPDATE thing SET own = 7 WHERE id = 2;",
    ),
    "strict and without rowid": Feature(
        own=own("INT"),
        identity=Col("INTEGER"),
        constraints=("PRIMARY KEY (id)",),
        options="WITHOUT ROWID, STRICT",
        rowids=False,
    ),
    "without rowid": Feature(
        own=own("TEXT"),
        identity=Col("INTEGER"),
        constraints=("PRIMARY KEY (creq, id DESC)",),
        options="WITHOUT ROWID",
        rowids=False,
    ),
    "without rowid with unique and index": Feature(
        own=own("TEXT", more="UNIQUE"),
        identity=Col("INTEGER", more="PRIMARY KEY DESC"),
        objects=("CREATE INDEX ix_own ON thing (cdef, own)",),
        after="UPDATE thing SET own = 'k' || id;",
        options="WITHOUT ROWID",
        rowids=False,
    ),
    "text primary key": Feature(own=own("TEXT"), identity=Col("TEXT", more="PRIMARY KEY")),
    "bigint primary key": Feature(identity=Col("BIGINT", more="PRIMARY KEY")),
    "primary key over nulls": Feature(
        identity=Col("VARCHAR(9)", more="PRIMARY KEY"),
        after="INSERT INTO thing (oid, id, cname, cnum) VALUES (11, NULL, 'n1', 1),"
        " (12, NULL, 'n2', 2);",
    ),
    "no primary key": Feature(own=own(), identity=INTEGER),
    "primary key descending": Feature(identity=Col("INTEGER", more="PRIMARY KEY DESC")),
    "composite primary key": Feature(
        own=own("INTEGER", default="1"),
        identity=INTEGER,
        constraints=("CONSTRAINT pk_t PRIMARY KEY (id, creq COLLATE NOCASE)",),
    ),
    "columns named rowid": Feature(
        own={"own": TEXT, "rowid": TEXT, "_rowid_": TEXT}, identity=INTEGER
    ),
    # ---------------------------------------------------------------- text
    "comments": Feature(own=own(), note=" -- a note, with ) and 'quote\n"),
    "block comments": Feature(own=own(), note=" /* , UNIQUE (x) ( */ "),
    "odd names": Feature(
        own={"own": INTEGER, "order": INTEGER, "größe x": TEXT},
        constraints=('CHECK ("order" <> 13)', 'CONSTRAINT [uq x] UNIQUE (`größe x`, "order")'),
        objects=('CREATE INDEX "ix full" ON thing ("größe x", [order])',),
    ),
    "words in double quotes that are strings": Feature(
        own=own("TEXT", default='"word"'),
        after='UPDATE thing SET own = "extra" WHERE id = 1;',
        objects=('CREATE INDEX ix_own ON thing (own) WHERE own <> "extra"',),
    ),
    # ---------------------------------------------------------------- the file
    "write-ahead log": Feature(own=own(), after="PRAGMA journal_mode=WAL;"),
    "header": Feature(before="PRAGMA user_version=42; PRAGMA application_id=77;"),
    "statistics": Feature(own=own(), objects=("CREATE INDEX ix_own ON thing (own)", "ANALYZE")),
    "full text": Feature(
        before="CREATE VIRTUAL TABLE fts USING fts5(cjunk, content='thing', content_rowid='id');",
        objects=(
            "CREATE TRIGGER fts_i AFTER INSERT ON thing BEGIN"
            " INSERT INTO fts (rowid, cjunk) VALUES (new.id, new.cjunk); END",
        ),
        after="INSERT INTO fts (fts) VALUES ('rebuild');",
        probes=(("INSERT INTO thing (cjunk) VALUES ('mango')",),),
    ),
    "broken views and a broken trigger": Feature(
        own=own(),
        before=LOG,
        objects=(
            "CREATE VIEW broken AS SELECT nosuch FROM thing",
            "CREATE VIEW worse AS SELECT * FROM missing",
            "CREATE TRIGGER odd AFTER INSERT ON log BEGIN INSERT INTO missing VALUES (1); END",
        ),
    ),
}
