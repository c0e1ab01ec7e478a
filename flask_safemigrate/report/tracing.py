"""What each statement of a rehearsal on a server would lock, rewrite and read."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from flask_safemigrate.outcome import Applied, Disk, Effect, Traced
from flask_safemigrate.report.layout import indented, labelled
from flask_safemigrate.report.wording import count, duration, size


def traced(work: Applied, width: int) -> list[Text]:
    """Return the statements of a rehearsal in order, and what they need of the disk."""
    if not work.traced:
        return []
    blocks = [Text("Statements", style="bold")]
    for each in work.traced:
        blocks.extend(_statement(each, width))
    if work.disk is not None:
        blocks.extend(labelled("Disk", _disk(work.disk), width, "" if _fits(work.disk) else "red"))
    if not work.rows and any(e.rewritten or e.read for s in work.traced for e in s.effects):
        said = "The times are those of empty tables; with --with-rows they are those of the rows."
        blocks.extend(indented(said, width, 0))
    return blocks


def _statement(each: Traced, width: int) -> Iterator[Text]:
    line = f", line {each.line}" if each.line is not None else ""
    took = f"{each.revision}{line}, {duration(each.seconds)}"
    if each.algorithm:
        took += f", ALGORITHM={each.algorithm}"
        took += "".join(f", LOCK={effect.lock}" for effect in each.effects if effect.lock)
    yield from indented(took, width, 2, "dim")
    yield from indented(" ".join(each.statement.split()), width, 4)
    for effect in each.effects:
        lock = "" if each.algorithm else effect.lock
        yield from indented(_effect(effect._replace(lock=lock)), width, 6, _style(effect))


def _effect(effect: Effect) -> str:
    said = []
    if effect.lock:
        said.append(f"lock {effect.lock}{' still' if effect.held else ''}")
    said.append(f"{effect.waits} wait{'s' if effect.waits == 'nobody' else ''}")
    if effect.rewritten:
        said.append("rewritten")
    elif effect.read:
        said.append("all rows are read")
    facts = []
    if effect.rows is not None:
        facts.append(f"about {count(effect.rows, 'row')}")
    if effect.size is not None:
        facts.append(size(effect.size))
    where = f" ({', '.join(facts)})" if facts else ""
    return f"{effect.table}{where}: {', '.join(said)}"


def _style(effect: Effect) -> str:
    if effect.rewritten and effect.waits != "nobody":
        return "red"
    return "yellow" if effect.waits != "nobody" else ""


def _fits(disk: Disk) -> bool:
    return disk.needed is None or disk.free is None or disk.needed < disk.free


def _disk(disk: Disk) -> str:
    needed = "an unknown size" if disk.needed is None else size(disk.needed)
    said = f"the rewritten tables and their indexes need {needed} more while it runs"
    if disk.free is None:
        return f"{said}; what is free on the server is not known here"
    verdict = "" if _fits(disk) else ", which is too little"
    return f"{said}; {size(disk.free)} are free{verdict}"
