"""What kills and crowds leave behind: ``flask db deploy`` beside ``flask db upgrade``.

    python -m bench.survival kills  [--on sqlite,postgresql,mysql] [--count 500]
    python -m bench.survival crowds [--on ...] [--rounds 10] [--size 8]
    python -m bench.survival faults
    python -m bench.survival readers [--seconds 15]

Both tools run the same ten revisions, which mix changes of the schema, inserts and updates, and in
which each writes its name into a table, so that what ran twice or not at all shows. Every run is a
process of its own, copied from one that has imported everything, so that a random moment falls
into the work and a crowd begins at once. Servers are those of the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import statistics
import sys
import time
from collections import Counter

from bench import faults, readers
from bench.harness import (
    OURS,
    SECONDS,
    TOOLS,
    audit_quietly,
    beside,
    changed,
    project,
    run,
    to_the_middle,
)
from tests.support import forked
from tests.support.kept import Kept
from tests.support.ledger import content
from tests.support.projects import Project


def kills(tool: str, dialect: str, count: int) -> Counter[str]:
    """Kill the tool at random moments; after each kill run it once more."""
    seen: Counter[str] = Counter()
    chance = random.Random(0)
    with project(tool, dialect) as p:
        to_the_middle(p)
        before = content(p.url)
        with contextlib.closing(Kept(p.url, p.path.parent)) as kept:
            length = how_long(p, tool, kept)
            while seen["killed"] < count:
                kept.put_back()
                copy = forked.flask(p, *TOOLS[tool])
                # What is measured is a process from its start to its end.
                time.sleep(length * chance.random())
                copy.send(signal.SIGKILL)
                if copy.wait() != -signal.SIGKILL:
                    length *= 0.95  # the machine was busier when it was measured
                    continue
                length *= 1.03
                seen["killed"] += 1
                seen["with something changed"] += changed(p, before)
                again = run(p, tool)
                wrong = audit_quietly(p, tool)
                if not wrong and again.code == 0:
                    seen["healed by another run"] += 1
                else:
                    seen["exit 0 with wrong data" if again.code == 0 else "stuck"] += 1
                    if tool == OURS:
                        print(wrong, again.said, file=sys.stderr)
    return seen


def how_long(p: Project, tool: str, kept: Kept) -> float:
    """Seconds that a run takes that nobody disturbs."""
    took = []
    for _ in range(3):
        kept.put_back()
        begun = time.perf_counter()
        done = run(p, tool)
        took.append(time.perf_counter() - begun)
        if done.code:
            raise SystemExit(done.said)
    return statistics.median(took)


def crowds(tool: str, dialect: str, rounds: int, size: int) -> Counter[str]:
    """Start a crowd at once, on an empty database and in the middle of the history."""
    seen: Counter[str] = Counter()
    with project(tool, dialect) as p:
        for begin in (lambda p: None, to_the_middle):
            begin(p)
            with contextlib.closing(Kept(p.url, p.path.parent)) as kept:
                for _ in range(rounds):
                    kept.put_back()
                    crowd_once(p, tool, size, seen)
                kept.put_back()
    return seen


def crowd_once(p: Project, tool: str, size: int, seen: Counter[str]) -> None:
    together = forked.crowd_of(size)
    more = ("--lock-wait", "200") if tool == OURS else ()
    crowd = [forked.flask(p, *TOOLS[tool], *more, together=together) for _ in range(size)]
    codes = [copy.wait(SECONDS) for copy in crowd]
    wrong = audit_quietly(p, tool, size)
    seen["processes"] += size
    seen["exit 0"] += codes.count(0)
    seen["failed"] += size - codes.count(0)
    seen["rounds"] += 1
    seen["all exit 0"] += not any(codes)
    seen["everything exactly once"] += not wrong
    if tool == OURS and (wrong or any(codes)):
        print(wrong, *(copy.said for copy in crowd if copy.code), file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["kills", "crowds", "faults", "readers"])
    parser.add_argument("--on", default="sqlite,postgresql,mysql")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=15)
    given = parser.parse_args()
    if given.what == "faults":
        faults.show()
        return
    if given.what == "readers":
        readers.show(given.seconds)
        return
    for dialect in given.on.split(","):
        if given.what == "kills":
            title = f"{dialect}: killed at {given.count} random moments, then run once more"
            beside(title, {t: kills(t, dialect, given.count) for t in TOOLS})
        else:
            title = f"{dialect}: {given.size} at once, {given.rounds} rounds fresh and mid-history"
            beside(title, {t: crowds(t, dialect, given.rounds, given.size) for t in TOOLS})


if __name__ == "__main__":
    main()
