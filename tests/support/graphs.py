"""Random histories on disk: branches, merges, dependencies and labels."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

FILE = '''\
"""{message}

Revision ID: {id}
Revises: {revises}
Create Date: 2024-01-{day:02d} 10:00:00.123456

"""
{header}


def upgrade():
    pass


def downgrade():
    pass
'''


@dataclass(frozen=True)
class Node:
    """One revision of a generated history."""

    id: str
    parents: tuple[str, ...]
    depends_on: tuple[str, ...]
    labels: tuple[str, ...]


def _header(node: Node, choose: random.Random) -> str:
    def value(names: tuple[str, ...]) -> str:
        if not names:
            return choose.choice(["None", "None", "()"])
        if len(names) == 1:
            return choose.choice([f"{names[0]!r}", f'"{names[0]}"', f"({names[0]!r},)"])
        inside = ", ".join(repr(name) for name in names)
        spread = "".join(f"    {name!r},\n" for name in names)
        return choose.choice([f"({inside})", f"[{inside}]", f"(\n{spread})"])

    down = value(node.parents)
    if choose.random() < 0.3:
        return (
            "from typing import Sequence, Union\n\n"
            f"revision: str = {node.id!r}\n"
            f"down_revision: Union[str, Sequence[str], None] = {down}\n"
            f"branch_labels: Union[str, Sequence[str], None] = {value(node.labels)}\n"
            f"depends_on: Union[str, Sequence[str], None] = {value(node.depends_on)}\n"
        )
    return (
        f"revision = {node.id!r}  # the id\n"
        f"down_revision = {down}\n"
        f"branch_labels = {value(node.labels)}\n"
        f"depends_on = {value(node.depends_on)}\n"
    )


def random_history(seed: int, versions: Path) -> tuple[Node, ...]:
    """Write a history that Alembic accepts; the order of the files is not that of the graph."""
    choose = random.Random(seed)
    nodes: list[Node] = []
    above: dict[str, set[str]] = {}
    heads: set[str] = set()
    for number in range(choose.randint(1, 9)):
        id = f"{choose.randrange(16**6):06x}{number}"
        # A merge joins revisions of which none needs another; Alembic fails on others.
        needed = set().union(*(above[head] for head in heads))
        free = sorted(heads - needed)
        roll = choose.random()
        if not nodes or roll < 0.1:
            parents: tuple[str, ...] = ()
        elif roll < 0.35 and len(free) > 1:
            parents = tuple(choose.sample(free, choose.randint(2, min(3, len(free)))))
        elif roll < 0.6:
            parents = (choose.choice(nodes).id,)
        else:
            parents = (choose.choice(free),)
        known = set(parents).union(*(above[p] for p in parents))
        others = [node for node in nodes if node.id not in known]
        depends_on: tuple[str, ...] = ()
        if others and choose.random() < 0.3:
            other = choose.choice(others)
            depends_on = (choose.choice([other.id, *other.labels]),)
            known |= {other.id, *above[other.id]}
        labels = (f"label{number}",) if choose.random() < 0.25 else ()
        nodes.append(Node(id, parents, depends_on, labels))
        above[id] = known
        heads = (heads - set(parents)) | {id}
    versions.mkdir(parents=True, exist_ok=True)
    for day, node in enumerate(nodes, 1):
        text = FILE.format(
            message=f"change {day}",
            id=node.id,
            revises=", ".join(node.parents),
            day=day,
            header=_header(node, choose),
        )
        (versions / f"{node.id}_change.py").write_text(text)
    return tuple(nodes)
