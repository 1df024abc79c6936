"""No framework may phone home in tests either; it has to be told before it is imported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_model import ScriptedModel

from omium.adapters import forbid_telemetry

forbid_telemetry()
# what these tests share with those of the worker
sys.path.append(str(Path(__file__).parent.parent))


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    one = ScriptedModel()
    yield one
    one.close()
