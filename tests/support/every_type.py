"""Models with every type, default and constraint that SQLAlchemy has for a database."""

from __future__ import annotations

import enum
import uuid
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql


class Mood(enum.Enum):
    sad = 1
    glad = 2


def define(db: Any, dialect: str) -> None:
    """Add the models to an application's metadata.

    :param dialect: ``sqlite``, ``postgresql`` or ``mysql``.
    """
    lite, pg, my = (dialect == name for name in ("sqlite", "postgresql", "mysql"))

    class Types(db.Model):
        __tablename__ = "plain_types"
        id = db.Column(db.Integer, primary_key=True)
        big = db.Column(sa.BigInteger)
        small = db.Column(sa.SmallInteger)
        num = db.Column(sa.Numeric)
        num2 = db.Column(sa.Numeric(10, 2))
        num3 = db.Column(sa.Numeric(10))
        dec = db.Column(sa.DECIMAL(12, 3))
        fl = db.Column(sa.Float)
        fl2 = db.Column(sa.Float(53))
        fl3 = db.Column(sa.Float(24))
        dbl = db.Column(sa.Double)
        real = db.Column(sa.REAL)
        dp = db.Column(sa.DOUBLE_PRECISION)
        boo = db.Column(sa.Boolean)
        boo2 = db.Column(sa.Boolean(create_constraint=True, name="ck_boo2"))
        s = db.Column(sa.String(50))
        u = db.Column(sa.Unicode(50))
        ch = db.Column(sa.CHAR(5))
        nch = db.Column(sa.NCHAR(5)) if not pg else db.Column(sa.CHAR(6))
        nvc = db.Column(sa.NVARCHAR(20)) if not pg else db.Column(sa.VARCHAR(20))
        t = db.Column(sa.Text)
        ut = db.Column(sa.UnicodeText)
        d = db.Column(sa.Date)
        dt = db.Column(sa.DateTime)
        dtz = db.Column(sa.DateTime(timezone=True))
        ts = db.Column(sa.TIMESTAMP, nullable=True)
        tstz = db.Column(sa.TIMESTAMP(timezone=True), nullable=True)
        ti = db.Column(sa.Time)
        tiz = db.Column(sa.Time(timezone=True))
        iv = db.Column(sa.Interval)
        lb = db.Column(sa.LargeBinary)
        lb2 = db.Column(sa.LargeBinary(100))
        js = db.Column(sa.JSON)
        uu = db.Column(sa.Uuid)
        uu2 = db.Column(sa.Uuid(native_uuid=False))
        en = db.Column(sa.Enum("a", "b", name="letters"))
        en2 = db.Column(sa.Enum(Mood))
        en3 = db.Column(sa.Enum("x", "y", name="xy", native_enum=False))
        en4 = db.Column(
            sa.Enum("x", "it's", name="xy2", native_enum=False, create_constraint=True)
        )
        pk = db.Column(sa.PickleType)

    class Defaults(db.Model):
        __tablename__ = "defaults"
        id = db.Column(db.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)
        i = db.Column(sa.Integer, server_default="5")
        i2 = db.Column(sa.Integer, server_default=sa.text("5"))
        i3 = db.Column(sa.Integer, server_default=sa.text("-5"))
        i4 = (
            db.Column(sa.BigInteger, server_default=sa.text("1 + 1"))
            if not my
            else db.Column(sa.BigInteger, server_default=sa.text("(1 + 1)"))
        )
        n = db.Column(sa.Numeric(10, 2), server_default="0")
        n2 = db.Column(sa.Numeric(10, 2), server_default=sa.text("0.00"))
        n3 = db.Column(sa.Numeric(10, 2), server_default=sa.text("'1.50'"))
        f = db.Column(sa.Float, server_default=sa.text("0.1"))
        f2 = db.Column(sa.Float, server_default="1e3")
        b = db.Column(sa.Boolean, server_default=sa.true(), nullable=False)
        b2 = db.Column(sa.Boolean, server_default=sa.false(), nullable=False)
        b3 = db.Column(sa.Boolean, server_default="1")
        b4 = db.Column(sa.Boolean, server_default=sa.text("false"))
        b5 = db.Column(sa.Boolean, server_default="f" if pg else "0")
        s = db.Column(sa.String(50), server_default="hello")
        s2 = db.Column(sa.String(50), server_default="it's")
        s3 = db.Column(sa.String(50), server_default="")
        s4 = db.Column(sa.String(50), server_default=sa.text("'x'"))
        s5 = db.Column(sa.String(50), server_default="NULL")
        s6 = db.Column(sa.String(50), server_default=sa.null())
        s7 = db.Column(sa.String(50), server_default="a\\b")
        s8 = db.Column(sa.String(50), server_default="CURRENT_TIMESTAMP")
        s9 = db.Column(sa.String(50), server_default='say "hi"')
        s10 = db.Column(sa.String(50), server_default="100%")
        s11 = db.Column(sa.String(50), server_default="(x)")
        s12 = db.Column(sa.String(50), server_default="grün ☃")
        d = db.Column(sa.Date, server_default="2020-01-31")
        dt = db.Column(sa.DateTime, server_default=sa.func.now())
        dt2 = db.Column(sa.DateTime, server_default=sa.text("CURRENT_TIMESTAMP"))
        dt3 = db.Column(sa.DateTime(timezone=True), server_default=sa.func.current_timestamp())
        dt4 = db.Column(sa.DateTime, server_default="2020-01-31 10:00:00")
        ti = db.Column(sa.Time, server_default="10:00:00")
        en = db.Column(sa.Enum("a", "b", name="letters2"), server_default="a")
        nn = db.Column(sa.Integer, nullable=False, server_default="0")
        js = db.Column(sa.JSON, server_default="{}") if not my else db.Column(sa.JSON)

    class Constraints(db.Model):
        __tablename__ = "constraints"
        id = db.Column(db.Integer, primary_key=True)
        email = db.Column(sa.String(100), unique=True)
        name = db.Column(sa.String(100), index=True)
        both = db.Column(sa.String(100), unique=True, index=True)
        a = db.Column(sa.Integer)
        b = db.Column(sa.Integer)
        c = db.Column(sa.Integer)
        kind = db.Column(sa.String(10))
        parent_id = db.Column(sa.ForeignKey("constraints.id", ondelete="CASCADE"))
        default_id = db.Column(
            sa.ForeignKey("defaults.id", ondelete="SET NULL", onupdate="CASCADE", name="fk_def")
            if not my
            else sa.ForeignKey("defaults.id", ondelete="SET NULL")
        )
        __table_args__ = (
            (
                sa.UniqueConstraint("a", "b"),
                sa.UniqueConstraint("b", "kind", name="uq_bk"),
                sa.CheckConstraint("a > b", name="ck_ab"),
                sa.CheckConstraint(
                    "kind IN ('x', 'y') AND a BETWEEN 1 AND 10 OR NOT (b = 3)", name="ck_kind"
                ),
                sa.CheckConstraint("length(name) > 2 AND name <> 'it''s'", name="ck_len"),
                sa.CheckConstraint(
                    sa.and_(sa.column("a") != 4, sa.column("name").is_not(None)), name="ck_expr"
                ),
                sa.Index("ix_ab", "a", "b"),
                sa.Index("ix_uniq", "kind", "a", unique=True),
            )
            + (
                ()
                if my
                else (
                    sa.Index(
                        "ix_part",
                        "a",
                        sqlite_where=sa.text("b > 0"),
                        postgresql_where=sa.text("b > 0"),
                    ),
                )
            )
            + (
                ()
                if not pg
                else (
                    sa.Index("ix_ba", "b", sa.text("a DESC")),
                    sa.Index("ix_fun", sa.text("lower(name)")),
                    sa.Index("ix_fun2", sa.func.lower(sa.column("kind")), "a"),
                )
            )
            + (
                ()
                if not my
                else (sa.Index("ix_len", "email", mysql_length=10, mariadb_length=10),)
            )
        )

    class Pairs(db.Model):
        __tablename__ = "pairs"
        a = db.Column(sa.Integer, primary_key=True)
        b = db.Column(sa.String(20), primary_key=True)
        c = db.Column(sa.Integer, sa.Computed("a * 2", persisted=True))
        d = db.Column(sa.Integer, sa.Identity()) if pg else db.Column(sa.Integer)
        e = db.Column(sa.String(10, collation="NOCASE" if lite else "C" if pg else "utf8mb4_bin"))
        f = db.Column(sa.String(10), comment="a comment")
        g = (
            db.Column(sa.Integer, sa.Computed("a + length(b)"))
            if not pg
            else db.Column(sa.Integer)
        )
        __table_args__: ClassVar = {"comment": "table comment"}

    class PairChild(db.Model):
        __tablename__ = "Pair Child"
        id = db.Column("Id", sa.Integer, primary_key=True)
        a = db.Column("A x", sa.Integer)
        b = db.Column("select", sa.String(20))
        order = db.Column("order", sa.Integer, server_default="1", index=True)
        uid = db.Column(sa.Uuid, primary_key=False, default=uuid.uuid4, unique=True)
        __table_args__ = (
            sa.ForeignKeyConstraint(["A x", "select"], ["pairs.a", "pairs.b"]),
            sa.CheckConstraint('"order" > 0' if not my else "`order` > 0", name="ck_order"),
        )

    sa.Table(
        "tags",
        db.metadata,
        sa.Column("l", sa.ForeignKey("constraints.id"), primary_key=True),
        sa.Column("r", sa.ForeignKey("plain_types.id"), primary_key=True),
    )
    if pg:

        class PgTypes(db.Model):
            __tablename__ = "pg_types"
            id = db.Column(
                postgresql.UUID(as_uuid=True),
                primary_key=True,
                server_default=sa.text("gen_random_uuid()"),
            )
            arr = db.Column(postgresql.ARRAY(sa.Integer), server_default="{}")
            arr2 = db.Column(sa.ARRAY(sa.String(10)), server_default=sa.text("ARRAY[]::varchar[]"))
            jb = db.Column(postgresql.JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False)
            inet = db.Column(postgresql.INET)
            tsv = db.Column(postgresql.TSVECTOR)
            rng = db.Column(postgresql.INT4RANGE)
            tsr = db.Column(postgresql.TSTZRANGE)
            by = db.Column(postgresql.BYTEA)
            iv = db.Column(postgresql.INTERVAL(fields="DAY TO SECOND"))
            bit = db.Column(postgresql.BIT(3))
            money = db.Column(postgresql.MONEY)
            mac = db.Column(postgresql.MACADDR)
            dt = db.Column(sa.DateTime, server_default=sa.text("(now() at time zone 'utc')"))
            dt2 = db.Column(
                sa.DateTime(timezone=True), server_default=sa.text("statement_timestamp()")
            )
            en = db.Column(
                postgresql.ENUM("q", "r", name="qr"), server_default="q", nullable=False
            )
            __table_args__ = (
                sa.Index("ix_gin", "jb", postgresql_using="gin"),
                sa.Index("ix_ops", sa.text("(jb->>'a')")),
                sa.Index("ix_incl", "inet", postgresql_include=["by"]),
                postgresql.ExcludeConstraint((sa.column("rng"), "&&"), using="gist", name="excl"),
            )

    if my:

        class MyTypes(db.Model):
            __tablename__ = "my_types"
            id = db.Column(mysql.INTEGER(unsigned=True), primary_key=True)
            ti = db.Column(mysql.TINYINT(1), server_default="0")
            ti2 = db.Column(mysql.TINYINT(4))
            mi = db.Column(mysql.MEDIUMINT)
            bi = db.Column(mysql.BIGINT(20, unsigned=True))
            lt = db.Column(mysql.LONGTEXT)
            mt = db.Column(mysql.MEDIUMTEXT)
            tt = db.Column(mysql.TINYTEXT)
            st = db.Column(mysql.SET("a", "b"))
            yr = db.Column(mysql.YEAR)
            dt = db.Column(mysql.DATETIME(fsp=6), server_default=sa.text("CURRENT_TIMESTAMP(6)"))
            ts = db.Column(
                mysql.TIMESTAMP,
                server_default=sa.text("CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP"),
            )
            vb = db.Column(mysql.VARBINARY(16))
            bn = db.Column(mysql.BINARY(16))
            dbl = db.Column(mysql.DOUBLE(asdecimal=False))
            dc = db.Column(mysql.DECIMAL(10, 2, unsigned=True), server_default="0.00")
            txt = db.Column(sa.Text, server_default=sa.text("('x')"))
            __table_args__: ClassVar = {
                "mysql_engine": "InnoDB",
                "mysql_charset": "utf8mb4",
                "mariadb_engine": "InnoDB",
            }
