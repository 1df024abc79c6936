"""The bench's CrewAI program: a flow that runs a crew of one agent and one task, as often as its input says.

See langgraph_bench.py.
"""

import asyncio
import os
import time
from typing import Any

from omium.adapters import forbid_telemetry

# its telemetry would be measured instead of it
forbid_telemetry()

from crewai import LLM, Agent, Crew, Flow, Task
from crewai.flow.flow import start
from crewai_core.printer import set_suppress_console_output
from marks import block_once, report


def say(text: str) -> str:
    llm = LLM(
        model="openai/omium-local-scripted", base_url=os.environ["OPENAI_BASE_URL"]
    )
    writer = Agent(role="writer", goal="write", backstory="You write.", llm=llm)
    task = Task(description=text, expected_output="a text", agent=writer)
    return str(Crew(agents=[writer], tasks=[task]).kickoff())


class Bench(Flow[dict[str, Any]]):
    @start()
    def ask(self) -> dict[str, Any]:
        said = ""
        calls = self.state["calls"]
        for done in range(calls):
            if done == calls - 1:
                block_once(self.state.get("block"))
            said = say(f"call {done} of {calls} after {said[:40]}")
        return report()


team = Bench


async def native(calls: int) -> float:
    """ms of one call, without Omium."""
    set_suppress_console_output(True)
    begin = time.perf_counter()
    await asyncio.to_thread(Bench().kickoff, inputs={"calls": calls, "block": None})
    return (time.perf_counter() - begin) * 1000 / calls
