from __future__ import annotations

import inspect

import pytest

from flask_safemigrate.workflows.ports import Ports
from tests.checks.states import state
from tests.workflows.memory import Memory

_VERBS = [name for name in vars(Ports) if not name.startswith("_")]


@pytest.mark.parametrize("name", _VERBS)
def test_the_ports_in_memory_are_called_as_the_real_ones(name: str) -> None:
    assert len(_VERBS) > 20
    wanted = vars(Ports)[name]
    if isinstance(wanted, property):
        assert hasattr(Memory(state()), name)
        return
    given = vars(Memory)[name]
    expected = inspect.signature(wanted).parameters.values()
    found = inspect.signature(given).parameters.values()
    assert [(p.name, p.kind, p.default) for p in found] == [
        (p.name, p.kind, p.default) for p in expected
    ]
