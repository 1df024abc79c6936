"""LangGraph's own conformance tests for checkpointers, against the platform that `OMIUM_URL` names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability

from omium.adapters.langgraph_saver import OmiumCheckpointSaver


@checkpointer_test(name="OmiumCheckpointSaver")
async def registered() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
    async with OmiumCheckpointSaver() as saver:
        yield saver


@pytest.mark.parametrize("capability", [one.value for one in Capability])
def test_conforms(capability: str) -> None:
    report = asyncio.run(validate(registered, capabilities={capability}))
    result = report.results[capability]
    assert result.detected
    assert result.failures == []
    assert result.tests_passed >= 5
