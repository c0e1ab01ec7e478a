"""What the extension adds to the start of an application, beside plain Flask-Migrate.

    python bench/startup.py [--runs 15]

Each run is a process of its own: it imports Flask and Flask-SQLAlchemy, then takes the time of
importing the extension and of ``init_app``. The three kinds take turns.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
import time
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
app = Flask("app")
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
db = SQLAlchemy(app)
begun = time.perf_counter()
{lines}
print(time.perf_counter() - begun)
"""

KINDS = {
    "flask-migrate": "from flask_migrate import Migrate\nMigrate(app, db)",
    "flask-safemigrate": "from flask_safemigrate import SafeMigrate\nSafeMigrate(app, db)",
}


def measure(lines: str) -> float:
    """Seconds that the lines take in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(lines=lines)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for lines in KINDS.values():
        measure(lines)
    for _ in range(runs):
        for kind, lines in KINDS.items():
            times[kind].append(measure(lines))
    for kind, values in times.items():
        values.sort()
        print(
            f"{kind:18} median {statistics.median(values) * 1000:7.1f} ms   "
            f"min {values[0] * 1000:7.1f}   max {values[-1] * 1000:7.1f}"
        )
    stock, ours = (statistics.median(times[kind]) for kind in KINDS)
    print(f"ratio of medians   {ours / stock:.3f}")


if __name__ == "__main__":
    main()
