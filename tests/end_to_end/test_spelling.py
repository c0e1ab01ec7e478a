"""What differs in spelling alone is no drift, for every type, default and constraint."""

from __future__ import annotations

import json

import pytest

from tests.support.projects import Project, ProjectFactory
from tests.support.servers import Databases


def compared(project: Project) -> dict[str, str]:
    """The findings about schemas, by code."""
    result = project.invoke(
        "db", "doctor", "--format", "json", "--select", "SM3", "--select", "SM4"
    )
    found = json.loads(result.stdout)["findings"]
    return {f["code"]: f["message"] for f in found}


@pytest.mark.parametrize("command", ["upgrade", "safe-upgrade"])
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
def test_models_history_and_database_agree(
    project: ProjectFactory, databases: Databases, dialect: str, command: str
) -> None:
    p = project(
        url=databases.create(dialect) if dialect != "sqlite" else None,
        models=f"from tests.support.every_type import define\ndefine(db, {dialect!r})",
    )
    written = p.invoke("db", "migrate", "-m", "all")
    assert written.exit_code == 0, written.output
    done = p.invoke("db", command, *(["--yes"] if command == "safe-upgrade" else []))
    assert done.exit_code == 0, done.output
    assert compared(p) == {}
