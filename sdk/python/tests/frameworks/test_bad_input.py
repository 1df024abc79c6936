"""What tools and models do that they should not, in every framework: the run ends with a code or goes on, and nothing hangs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_model import ScriptedModel
from test_defined_teams import FRAMEWORKS, PREFIX

from omium.agent import AnyAgent
from omium.definitions import load_definition
from omium.testing import run_agent

TEAM = """
omium: 1
id: bad
framework: {framework}
model: scripted
tools:
  - {{use: "bad_tools:{tool}"}}
agents:
  worker: {{role: a worker, tools: [{tool}]}}
tasks:
  work: {{agent: worker, prompt: 'use {prefix}{tool}({arguments})'}}
"""


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedModel]:
    one = ScriptedModel()
    monkeypatch.setenv("OPENAI_BASE_URL", one.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    yield one
    one.close()


def team_with(folder: Path, framework: str, tool: str, arguments: str = '{{{{"word": "tea"}}}}') -> AnyAgent:
    path = folder / "team.yaml"
    prefix = PREFIX.get(framework, "")
    text = TEAM.replace("{arguments}", arguments)
    path.write_text(text.format(framework=framework, tool=tool, prefix=prefix))
    return load_definition(path, ["bad_tools"])


@pytest.mark.parametrize(
    ("tool", "code"),
    [("returns_much", "payload_too_large"), ("returns_a_lock", "output_invalid"), ("fills_memory", "memory_exceeded")],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_no_tool_may_do_ends_the_run_with_a_code(
    tmp_path: Path, provider: ScriptedModel, framework: str, tool: str, code: str
) -> None:
    run = run_agent(team_with(tmp_path, framework, tool), None, limit=30)
    if (framework, tool) == ("langgraph", "returns_a_lock"):
        # what its tools give is stored in its own way, and its node tells its model what goes wrong
        assert "not msgpack serializable" in str(run.output)
        return
    assert run.error is not None and run.error.code == code
    assert tool in str(run.journal[-1]["path"]) and len(provider.calls) == 1


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_tool_that_wants_to_end_the_process_fails_alone(
    tmp_path: Path, provider: ScriptedModel, framework: str
) -> None:
    run = run_agent(team_with(tmp_path, framework, "raises_exit"), None, limit=30)
    assert run.error is None
    assert [entry["status"] for entry in run.journal] == ["completed", "failed", "completed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{{{{"word": ', ["JSON", "Expecting value"]),
        ('{{{{"thing": 5}}}}', ["validation error", "Missing required"]),
        ("unknown", ["no tool", "not found", "not part of"]),
    ],
)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_call_that_cannot_be_made_is_told_to_the_model(
    tmp_path: Path, provider: ScriptedModel, framework: str, arguments: str, said: list[str]
) -> None:
    asked: list[object] = []

    def one_call(request: dict[str, object]) -> list[tuple[str, dict[str, object]]]:
        asked.append(request)
        return [("no_such_tool", {})] if arguments == "unknown" and len(asked) == 1 else []

    provider.tool_calls = one_call
    run = run_agent(team_with(tmp_path, framework, "hears", arguments), None, limit=30)
    assert run.error is None
    assert len(asked) == 2 and any(words in str(asked[1]) for words in said)
