"""Tools of crews: that fail, wait, count, are cached, or run crews themselves."""

import threading
from typing import Any, ClassVar

import pytest
from crew_parts import job, member, run, sweep
from crewai import Crew
from crewai.tools import BaseTool, tool
from crewai.tools.tool_failure import ToolFailure
from scripted_model import ScriptedModel

from omium.adapters.crewai import durable

# CrewAI's own use of what it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_tool_that_runs_a_crew_is_code_when_it_says_so(model: ScriptedModel) -> None:
    class Ask(BaseTool):
        name: str = "ask"
        description: str = "Asks experts."
        tags: ClassVar[list[str]] = ["omium:code"]

        def _run(self, question: str) -> str:
            expert = member("expert", model)
            return Crew(agents=[expert], tasks=[job("answer", f"answer {question}", expert)]).kickoff().raw

    asker = member("asker", model, tools=[Ask()])
    crew = Crew(agents=[asker], tasks=[job("ask", 'use ask({"question": "why"})', asker)])
    calm = sweep(model, durable(crew, id="nested"))
    assert [entry["kind"] for entry in calm.journal] == ["llm"] * 3
    assert "answer why" in calm.output["raw"]


def test_tools_fail_as_the_framework_expects(model: ScriptedModel) -> None:
    tried: list[str] = []

    class Search(BaseTool):
        name: str = "search"
        description: str = "Searches."

        def _run(self, word: str) -> Any:
            tried.append(word)
            if word == "broken":
                raise ValueError("no such index")
            return ToolFailure(message="quota exceeded")

    def using(word: str) -> Crew:
        one = member("one", model, tools=[Search()])
        return Crew(agents=[one], tasks=[job("search", f'use search({{"word": "{word}"}})', one)])

    raised = sweep(model, durable(using("broken"), id="raising"))
    assert "no such index" in raised.output["raw"]
    assert raised.journal[1]["status"] == "failed"
    declared = sweep(model, durable(using("limited"), id="declaring"))
    assert "quota exceeded" in declared.output["raw"]
    assert tried.count("broken") == 5


def test_async_tools_and_tools_that_count(model: ScriptedModel) -> None:
    class Look(BaseTool):
        name: str = "look"
        description: str = "Looks."
        max_usage_count: int | None = 1

        async def _run(self, at: str) -> str:
            return f"saw {at}"

    looked = Look()
    one = member("one", model, tools=[looked])
    two = member("two", model, tools=[looked])
    tasks = [job(name, f'use look({{"at": "{name}"}})', who) for name, who in (("sea", one), ("sky", two))]
    calm = sweep(model, durable(Crew(agents=[one, two], tasks=tasks), id="looking"))
    assert [one["raw"] for one in calm.output["tasks"]] == ["on saw sea", "on saw sky"]
    # the tool that the user made is not the one that runs
    assert looked.current_usage_count == 0


def test_parallel_tools_of_one_answer(model: ScriptedModel) -> None:
    barrier = threading.Barrier(3, timeout=20)

    @tool("wait")
    def wait(number: int) -> str:
        """Waits for the others."""
        barrier.wait()
        return f"waited {number}"

    def script(asked: dict[str, Any]) -> Any:
        return (
            None if asked["messages"][-1]["role"] != "tool" else str([one["content"] for one in asked["messages"][3:]])
        )

    model.script = script
    model.tool_calls = lambda asked: [("wait", {"number": number}) for number in range(3)]
    one = member("one", model, tools=[wait])
    crew = Crew(agents=[one], tasks=[job("wait", "wait all", one)])
    agent = durable(crew, id="waiting")
    calm = run(agent)
    assert calm.output["raw"] == "['waited 0', 'waited 1', 'waited 2']"
    again = run(agent, crash_after=[4, 5])
    assert again.output == calm.output
    assert set(again.executions.values()) == {1}


def test_equal_calls_of_a_cached_tool_are_made_once(model: ScriptedModel) -> None:
    looked: list[str] = []

    @tool("look_up")
    def look_up(word: str) -> str:
        """Looks a word up."""
        looked.append(word)
        return f"{word} means {len(word)}"

    agents = [member(role, model, tools=[look_up]) for role in ("first", "second", "third")]
    tasks = [
        job(str(one.role), 'use look_up({"word": "sea"})', one, async_execution=one is not agents[-1]) for one in agents
    ]
    calm = sweep(model, durable(Crew(agents=agents, tasks=tasks, cache=True), id="cached"))
    assert calm.output["raw"] == "on sea means 3"
    assert len([entry for entry in calm.journal if entry["kind"] == "tool"]) == 1
    # each of nine runs made it itself; once more at most for each of their fourteen crashes, where it was under way
    assert 9 <= len(looked) <= 9 + 14
    uncached = run(durable(Crew(agents=agents, tasks=tasks), id="uncached"))
    assert len([entry for entry in uncached.journal if entry["kind"] == "tool"]) == 3
