"""A table as parts, from which its text is written anew; it shares no code with the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

TABLE = "thing"


@dataclass(frozen=True)
class Col:
    """
    :ivar more: whatever stands after type, NOT NULL, DEFAULT and COLLATE.
    """

    type: str = ""
    not_null: str = ""
    default: str = ""
    collate: str = ""
    more: str = ""

    def text(self, name: str) -> str:
        parts = [f'"{name}"' if name in ("order", "größe x") else name, self.type, self.not_null]
        if self.default:
            parts.append(f"DEFAULT {self.default}")
        if self.collate:
            parts.append(f"COLLATE {self.collate}")
        return " ".join(part for part in [*parts, self.more] if part)


@dataclass(frozen=True)
class Feature:
    """What a database has besides the plain table.

    :ivar own: more columns; operations go for the first one too.
    :ivar late: columns that came by ADD COLUMN when the rows were there.
    :ivar before: SQL that runs before the table is made. :ivar after: when it has its rows.
    :ivar objects: indexes, views and triggers, in order.
    :ivar probes: statements that are tried afterwards.
    """

    own: Mapping[str, Col] = field(default_factory=dict)
    late: Mapping[str, Col] = field(default_factory=dict)
    identity: Col = Col("INTEGER", more="PRIMARY KEY")
    constraints: tuple[str, ...] = ()
    options: str = ""
    before: str = ""
    after: str = ""
    objects: tuple[str, ...] = ()
    probes: tuple[tuple[str, ...], ...] = ()
    foreign_keys: bool = False
    rowids: bool = True
    note: str = ""

    @property
    def strict(self) -> bool:
        return "STRICT" in self.options


@dataclass(frozen=True)
class Model:
    """The table as it should be.

    :ivar others: word replaced by word in everything that is not the table.
    """

    cols: Mapping[str, Col]
    constraints: tuple[str, ...]
    options: str
    objects: tuple[str, ...]
    name: str = TABLE
    note: str = ""
    renamed: tuple[tuple[str, str], ...] = ()

    def text(self, name: str | None = None) -> str:
        items = [col.text(key) + self.note for key, col in self.cols.items()]
        items += self.constraints
        return f"CREATE TABLE {name or self.name} ({', '.join(items)}) {self.options}"

    def with_col(self, name: str, **values: str) -> Model:
        return replace(self, cols={**self.cols, name: replace(self.cols[name], **values)})

    def rename(self, old: str, new: str) -> Model:
        """The word gives way everywhere."""

        def swap(text: str) -> str:
            return re.sub(rf"\b{old}\b", new, text)

        return replace(
            self,
            cols={
                swap(name): replace(col, more=swap(col.more)) for name, col in self.cols.items()
            },
            constraints=tuple(map(swap, self.constraints)),
            objects=tuple(map(swap, self.objects)),
            name=swap(self.name),
            renamed=(*self.renamed, (old, new)),
        )

    def swap(self, text: str) -> str:
        """A text with the words that were renamed."""
        for old, new in self.renamed:
            text = re.sub(rf"\b{old}\b", new, text)
        return text


def names(text: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", text) is not None


def start(feature: Feature) -> Model:
    """The table with a feature."""
    text = "TEXT" if feature.strict else "VARCHAR(50)"
    return Model(
        cols={
            "id": feature.identity,
            "cname": Col(text),
            "cnum": Col("INTEGER"),
            "cjunk": Col("TEXT"),
            "creq": Col("TEXT", "NOT NULL", "'r'"),
            "cdef": Col("INTEGER", default="5"),
            "cpid": Col("INTEGER", more="CONSTRAINT fk_pid REFERENCES p (pk)"),
            "cbin": Col("BLOB"),
            **feature.own,
        },
        constraints=(
            "CONSTRAINT ck_num CHECK (CAST(cnum AS INTEGER) < 1000)",
            "CONSTRAINT uq_n UNIQUE (cname, cnum)",
            *feature.constraints,
        ),
        options=feature.options,
        objects=("CREATE INDEX ix_x ON thing (cnum, cname)", *feature.objects),
        note=feature.note,
    )


def whole(feature: Feature) -> Model:
    """The table with the columns that came later too."""
    model = start(feature)
    return replace(model, cols={**model.cols, **feature.late})


def script(feature: Feature) -> str:
    """SQL that makes the database."""
    rowid = "oid, " if feature.rowids else ""
    values = [
        f"({f'{n}, ' if feature.rowids else ''}{n}, {rest})"
        for n, rest in (
            (1, "'alpha', 10, 'j', 1"),
            (2, "'beta', 20, NULL, NULL"),
            (7, "'gamma', 30, 'k', 2"),
        )
    ]
    model = start(feature)
    late = [f"ALTER TABLE thing ADD COLUMN {col.text(key)};" for key, col in feature.late.items()]
    objects = ";\n".join(model.objects)
    return f"""
        CREATE TABLE p (pk INTEGER PRIMARY KEY);
        INSERT INTO p VALUES (1), (2), (5);
        {feature.before}
        {model.text()};
        INSERT INTO thing ({rowid}id, cname, cnum, cjunk, cpid) VALUES {", ".join(values)};
        {" ".join(late)}
        {feature.after}
        {objects};
    """
