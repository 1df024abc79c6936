"""The bench's Semantic Kernel program: a function of a kernel that asks an agent, as often as it is told.

See langgraph_bench.py.
"""

import os
import time
from typing import Any

from marks import block_once, report
from openai import AsyncOpenAI
from semantic_kernel import Kernel
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function

service = OpenAIChatCompletion(
    ai_model_id="omium-local-scripted",
    async_client=AsyncOpenAI(
        base_url=os.environ["OPENAI_BASE_URL"], api_key="none", max_retries=0
    ),
)
writer = ChatCompletionAgent(name="writer", instructions="You write.", service=service)


async def ask(calls: int, block: str | None) -> dict[str, Any]:
    said = ""
    for done in range(calls):
        if done == calls - 1:
            block_once(block)
        said = str(
            await writer.get_response(
                messages=f"call {done} of {calls} after {said[:40]}"
            )
        )
    return report()


class Bench:
    @kernel_function
    async def ask(
        self, kernel: Kernel, calls: int, block: str | None = None
    ) -> dict[str, Any]:
        """Asks again and again."""
        return await ask(calls, block)


team = Kernel()
team.add_plugin(Bench(), "bench")


async def native(calls: int) -> float:
    """ms of one call, without Omium."""
    begin = time.perf_counter()
    await ask(calls, None)
    return (time.perf_counter() - begin) * 1000 / calls
