"""Teams that are written down, built on a framework: they run as its objects do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness_access import run_noting
from scripted_model import ScriptedModel

import definition_tools
from omium import OmiumError
from omium.agent import AnyAgent
from omium.definitions import load_definition
from omium.testing import run_agent

TEAM = """
omium: 1
id: team
framework: {framework}
model: scripted
input: {{topic: string}}
tools: [calculator]
agents:
  reader: {{role: a reader, instructions: Read closely.}}
  counter: {{role: a counter, tools: [calculator], temperature: 0.5}}
tasks:
  plan:  {{agent: reader, prompt: "Plan {{topic}}"}}
  left:  {{agent: reader, prompt: "Left of {{plan}}", after: [plan]}}
  right:
    agent: counter
    prompt: 'use calculator({{{{"expression": "6 * 7"}}}})'
    after: [plan]
  write: {{agent: reader, prompt: "{{left}} and {{right}}", after: [left, right], expected: short}}
"""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedModel]:
    one = ScriptedModel()
    monkeypatch.setenv("OPENAI_BASE_URL", one.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    yield one
    one.close()


FRAMEWORKS = ["langgraph", "crewai", "autogen", "semantic_kernel"]


def team_of(folder: Path, framework: str, text: str = TEAM) -> AnyAgent:
    """The team on that framework, by whose names for tools it asks for them."""
    path = folder / "team.yaml"
    path.write_text(text.format(framework=framework).replace("use calc", f"use {PREFIX.get(framework, '')}calc"))
    return load_definition(path, ["definition_tools"])


PREFIX = {"semantic_kernel": "tools-"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_team_runs_its_tasks_and_repeats_no_call(tmp_path: Path, provider: ScriptedModel, framework: str) -> None:
    agent = team_of(tmp_path, framework)
    assert agent.isolated
    calm = run_agent(agent, {"topic": "tides"}, limit=30)
    assert calm.error is None
    output = str(calm.output)
    if framework == "crewai":
        # which tells its models more than the prompt
        assert output.index("Left of") < output.index("Plan tides") < output.index("and on 42") < output.index("short")
    else:
        assert output == "on on Left of on Plan tides and on 42\n\nA good answer: short"
    # two of the four tasks are one call, and the tool's takes two
    assert len(calm.journal) == 6
    assert {entry["path"].split(":")[0] for entry in calm.journal} == {
        "completions",
        f"{PREFIX.get(framework, '')}calculator",
    }
    before = sum(provider.calls.values())
    for crash in range(1, len(calm.journal) + 1):
        crashed = run_agent(agent, {"topic": "tides"}, crash_after=crash, limit=30)
        assert crashed.output == calm.output
        assert set(crashed.executions.values()) == {1}
    # one that was on its way when its process died is asked for again
    assert sum(provider.calls.values()) - before <= (before + 1) * len(calm.journal)


SHOPPING = """
omium: 1
id: shopping
framework: {framework}
model: scripted
tools:
  - {{use: "definition_tools:lookup", effect: true}}
  - {{use: "definition_tools:later"}}
agents:
  buyer: {{role: a buyer, tools: [lookup, later]}}
tasks:
  to-buy: {{agent: buyer, prompt: 'use NAMElookup({{{{"word": "tea", "times": 2}}}})'}}
  user: {{agent: buyer, prompt: 'use NAMElater({{{{"word": "tea"}}}}) {{input}}', after: [to-buy]}}
  state: {{agent: buyer, prompt: "{{to-buy}} and {{user}}", after: [user]}}
"""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_its_tools_may_be_async_and_have_effects(tmp_path: Path, provider: ScriptedModel, framework: str) -> None:
    prefix = PREFIX.get(framework, "")
    agent = team_of(tmp_path, framework, SHOPPING.replace("NAME", prefix))
    definition_tools.calls.clear()
    sent: list[dict[str, object]] = []
    output = run_noting(agent, ["at once", 3], sent)
    assert "tea means 2" in output and "tea later" in output
    assert definition_tools.calls == ["tea"]
    intents = [one["name"] for one in sent if one["type"] == "step_started" and one.get("intent")]
    assert intents == [f"{prefix}lookup"]
    assert any('["at once",3]' in asked for asked in (key.replace("\\", "") for key in provider.calls))


@pytest.mark.parametrize("framework", ["crewai", "autogen", "semantic_kernel"])
def test_a_model_that_only_calls_tools_comes_to_an_end(tmp_path: Path, provider: ScriptedModel, framework: str) -> None:
    text = TEAM.replace("temperature: 0.5", "max_turns: 2")
    provider.tool_calls = lambda asked: (
        [(f"{PREFIX.get(framework, '')}calculator", {"expression": "1"})] if asked.get("tools") else []
    )
    outcome = run_agent(team_of(tmp_path, framework, text), {"topic": "tides"}, limit=30)
    if framework == "autogen":
        assert outcome.error is not None and outcome.error.code == "step_failed"
        assert "raise its max_turns" in outcome.error.detail
    else:
        # they ask a last time, without tools
        assert outcome.error is None
        assert [entry["path"].split(":")[0] for entry in outcome.journal].count("completions") <= 6


@pytest.mark.parametrize("framework", ["autogen", "semantic_kernel"])
def test_a_refusal_of_the_model_keeps_its_code(tmp_path: Path, provider: ScriptedModel, framework: str) -> None:
    provider.script = lambda asked: 401
    error = run_agent(team_of(tmp_path, framework), {"topic": "tides"}, limit=30).error
    assert error is not None and error.code == "model_auth"


def test_what_a_framework_cannot_do_is_said_when_the_worker_starts(
    tmp_path: Path, provider: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEAM.replace("tools: [calculator]\nagents", "tools: [calculator, 'definition_tools:odd']\nagents").replace(
        "tools: [calculator], temp", "tools: [calculator, odd], temp"
    )
    with pytest.raises(OmiumError, match=r"semantic_kernel can't build this team: ValueError: tool odd takes `kernel`"):
        team_of(tmp_path, "semantic_kernel", text)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(OmiumError, match=r"autogen can't build this team: OpenAIError: .*OPENAI_API_KEY"):
        team_of(tmp_path, "autogen")


def test_a_langgraph_team_has_no_more_turns_than_it_is_given(tmp_path: Path, provider: ScriptedModel) -> None:
    path = tmp_path / "team.yaml"
    text = TEAM.format(framework="langgraph").replace("tools: [calculator], temperature", "max_turns: 1, temperature")
    path.write_text(text.replace("temperature: 0.5", "tools: [calculator]"))
    error = run_agent(load_definition(path), {"topic": "tides"}, limit=30).error
    assert error is not None and error.code == "step_failed" and "raise its max_turns" in error.detail
