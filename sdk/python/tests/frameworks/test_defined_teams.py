"""Teams that are written down, built on a framework: they run as its objects do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_model import ScriptedModel

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


def test_a_langgraph_team_runs_its_tasks_as_nodes_and_repeats_no_call(tmp_path: Path, provider: ScriptedModel) -> None:
    path = tmp_path / "team.yaml"
    path.write_text(TEAM.format(framework="langgraph"))
    agent = load_definition(path)
    assert agent.isolated
    calm = run_agent(agent, {"topic": "tides"}, limit=30)
    assert calm.output == "on on Left of on Plan tides and on 42\n\nA good answer: short"
    assert {entry["path"].split(":")[0] for entry in calm.journal} == {"completions", "calculator"}
    before = sum(provider.calls.values())
    for crash in range(1, len(calm.journal) + 1):
        crashed = run_agent(agent, {"topic": "tides"}, crash_after=crash, limit=30)
        assert crashed.output == calm.output
        assert set(crashed.executions.values()) == {1}
    # one that was on its way when its process died is asked for again
    assert sum(provider.calls.values()) - before <= (before + 1) * len(calm.journal)


def test_a_langgraph_team_has_no_more_turns_than_it_is_given(tmp_path: Path, provider: ScriptedModel) -> None:
    path = tmp_path / "team.yaml"
    text = TEAM.format(framework="langgraph").replace("tools: [calculator], temperature", "max_turns: 1, temperature")
    path.write_text(text.replace("temperature: 0.5", "tools: [calculator]"))
    error = run_agent(load_definition(path), {"topic": "tides"}, limit=30).error
    assert error is not None and error.code == "step_failed" and "raise its max_turns" in error.detail
