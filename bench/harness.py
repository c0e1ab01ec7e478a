"""What the measurements of survival share: both tools on one history, and how it is looked at."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tests.support import forked
from tests.support.ledger import MIDDLE, audit, content, keep_ledger
from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases, Server, find_server

#: What each tool is called with.
OURS = "flask db deploy"
TOOLS = {"flask db upgrade": ("db", "upgrade"), OURS: ("db", "deploy")}
SECONDS = 240.0


@contextlib.contextmanager
def project(tool: str, dialect: str, url: str | None = None) -> Iterator[Project]:
    """A project on an empty database of its own.

    :param url: of an SQLite file elsewhere.
    """

    def require(name: str) -> Server:
        server = find_server(name)
        if not server.reachable:
            raise SystemExit(f"no {name} server (set {server.variable}): {server.problem}")
        return server

    databases = Databases(require)
    with tempfile.TemporaryDirectory() as folder:
        factory = ProjectFactory(Path(folder))
        if dialect != "sqlite":
            url = databases.create(dialect)
        try:
            yield keep_ledger(factory, url, safe=tool == OURS)
        finally:
            factory.close()
            databases.close()


def run(p: Project, tool: str, *more: str) -> forked.Copy:
    """Run a tool to its end."""
    copy = forked.flask(p, *TOOLS[tool], *more)
    copy.wait(SECONDS)
    return copy


def to_the_middle(p: Project) -> None:
    """Bring a database to the revision where the rounds begin, by plain Flask-Migrate."""
    copy = forked.flask(p, "db", "upgrade", MIDDLE)
    if copy.wait(SECONDS):
        raise SystemExit(copy.said)


def changed(p: Project, before: object) -> bool:
    """Whether a database is not what it was, or does not answer."""
    try:
        return content(p.url) != before
    except SQLAlchemyError:
        return True


def audit_quietly(p: Project, tool: str, deploys: int = 1) -> list[str]:
    """What is wrong, also where the database does not even answer."""
    try:
        wrong = audit(p.url, deploys=deploys if tool == OURS else None)
    except SQLAlchemyError as error:
        return [str(error)]
    # A kill between a hook and the record of it lets the hook run again.
    return wrong if deploys > 1 else [each for each in wrong if not each.startswith("hook ")]


def beside(title: str, found: dict[str, Counter[str]]) -> None:
    """Print the counts of both tools side by side."""
    print(f"\n{title}\n{'':28}" + "".join(f"{tool:>20}" for tool in found))
    for row in dict.fromkeys(key for counts in found.values() for key in counts):
        print(f"{row:28}" + "".join(f"{counts[row]:>20}" for counts in found.values()))
    sys.stdout.flush()
