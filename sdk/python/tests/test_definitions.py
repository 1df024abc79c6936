"""Teams that are written down: what is built runs, what is wrong is said with its place."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import definition_tools
from omium import OmiumError
from omium.cli import load_agents
from omium.definitions import load_definition
from omium.definitions.tools import calculate
from omium.testing import run_agent

TEAM = """
omium: 1
id: team
model: scripted
input:
  topic: string
  depth: {type: integer, default: 2}
tools:
  - calculator
  - use: read_file
    root: corpus
  - use: definition_tools:lookup
    effect: true
agents:
  reader:
    role: a reader
    instructions: Read closely.
    tools: [read_file, calculator]
  writer: {role: a writer, model: better, temperature: 0.5, tools: [lookup]}
tasks:
  plan:   {agent: reader, prompt: "Plan {topic} to depth {depth}, as {{json}}"}
  left:   {agent: reader, prompt: "Left of {plan}", after: [plan]}
  right:  {agent: writer, prompt: "Right of {plan}", after: [plan]}
  write:  {agent: writer, prompt: "{left} and {right}", after: [left, right], expected: short}
"""
ALLOWED = ["definition_tools"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "tides.txt").write_text("The moon.")
    (tmp_path / "secret.txt").write_text("no")
    (tmp_path / "corpus" / "link").symlink_to(tmp_path / "secret.txt")

    def to_file(text: str, name: str = "team.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return to_file


def model(asked: dict[str, Any]) -> Any:
    """Answers with what it was asked; uses the tool that the prompt names first."""
    last = asked["messages"][-1]
    text = str(last["content"])
    prompt = str(asked["messages"][1]["content"])
    if last["role"] == "user" and prompt.startswith("Left"):
        call = {"name": "read_file", "arguments": '{"path": "tides.txt"}'}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": call}],
        }
        return {"message": message, "finishReason": "tool_calls"}
    if last["role"] == "user" and prompt.startswith("Right"):
        call = {"name": "lookup", "arguments": '{"word": "moon"}'}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": call}],
        }
        return {"message": message, "finishReason": "tool_calls"}
    return f"<{asked['model']}: {text}>"


def test_a_plain_team_runs_as_a_graph_and_repeats_nothing_after_a_crash(write: Callable[..., Path]) -> None:
    agent = load_definition(write(TEAM), ALLOWED)
    assert (
        not load_definition(
            write(
                TEAM.replace("  - use: definition_tools:lookup\n    effect: true\n", "").replace(
                    ", tools: [lookup]", ""
                )
            )
        ).isolated
        and agent.isolated
    )
    definition_tools.calls.clear()
    calm = run_agent(agent, {"topic": "tides"}, llm=model)
    assert calm.output == "<better: <scripted: The moon.> and <better: moon means 1>\n\nA good answer: short>"
    paths = [entry["path"] for entry in calm.journal]
    assert {path.split("/")[0] for path in paths} == {f"tools:{name}#1" for name in ("plan", "left", "right", "write")}
    # an effect that was under way would wait for somebody who knows what became of it
    agent = load_definition(write(TEAM.replace("    effect: true\n", "")), ALLOWED)
    for crash in range(1, len(paths) + 1):
        crashed = run_agent(agent, {"topic": "tides"}, llm=model, crash_after=crash)
        assert crashed.output == calm.output
        assert set(crashed.executions.values()) == {1}


def test_its_input_is_checked_and_announced(write: Callable[..., Path]) -> None:
    agent = load_definition(write(TEAM), ALLOWED)
    error = run_agent(agent, {"topc": "tides"}, llm=model).error
    assert error is not None and error.code == "input_invalid" and "topic" in error.detail and "topc" in error.detail
    schema: Any = agent.definition["inputSchema"]
    assert schema["required"] == ["topic"]


def test_json_says_the_same(write: Callable[..., Path]) -> None:
    value = {
        "omium": 1,
        "id": "one",
        "model": "scripted",
        "agents": {"a": {"role": "r"}},
        "tasks": {"first": {"agent": "a", "prompt": "{input}?"}, "second": {"agent": "a", "prompt": "2"}},
    }
    agents = load_agents([str(write(json.dumps(value), "team.json"))])
    assert run_agent(agents[0], "what", llm=model).output == {"first": "<scripted: what?>", "second": "<scripted: 2>"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("role: a reader", "rol: a reader"), r"team.yaml:16: agents.reader.rol: there is no such member here"),
        (("role: a reader\n", "\n"), r"agents.reader.role: is missing"),
        (("temperature: 0.5", "temperature: hot"), r"team.yaml:19: agents.writer.temperature: .*number, not 'hot'"),
        (("temperature: 0.5", "temperature: 9"), r"agents.writer.temperature: .*less than or equal to 2, not 9"),
        (
            ('agent: reader, prompt: "Plan', 'agent: reeder, prompt: "Plan'),
            r'tasks.plan.agent: there is no agent "reeder"; there are: reader, writer',
        ),
        (("after: [left, right]", "after: [left, rihgt]"), r'tasks.write.after\[1\]: there is no task "rihgt"'),
        (
            ('"Plan {topic}', '"Plan {topics}'),
            r'tasks.plan.prompt: there is no value "{topics}"; there are: topic, depth',
        ),
        (
            ('"Left of {plan}", after: [plan]', '"Left of {plan}"'),
            r"tasks.left.prompt: {plan} is what task .* add it to `after`",
        ),
        (
            ('depth {depth}, as {{json}}"}', 'x", after: [write]}'),
            r"the tasks wait for one another: plan -> write -> left -> plan",
        ),
        (("tools: [lookup]", "tools: [look]"), r'agents.writer.tools\[0\]: there is no tool "look"'),
        (("model: scripted", "model: 3"), r"team.yaml:4: model: .*string, not 3"),
        (("\nmodel: scripted", ""), r"agents.reader.model: is missing"),
        (("omium: 1", "omium: 2"), r"team.yaml:2: omium: .* reads version 1 .*, not 2: install the omium"),
        (("omium: 1", "omium: 2\nshards: 3"), r"has 1 problem\(s\)\n  team.yaml:2: omium: "),
        (("depth: {type: integer, default: 2}", "depth: int"), r"input.depth"),
        (("model: scripted", "framework: magic\nmodel: scripted"), r"team.yaml:4: framework: .*'plain'"),
        (
            ("    role: a reader\n", "    role: a reader\n    role: twice\n"),
            r"team.yaml:17: agents.reader.role: is given twice .first on line 16.",
        ),
        (("    root: corpus\n", ""), r"team.yaml:10: tools\[1\]: read_file needs a `root`"),
        (("root: corpus", "root: nowhere"), r"tools\[1\]: the root 'nowhere' is no folder"),
        (("  - calculator", "  - http_get"), r"http_get is off: start the worker with --allow-tools http_get"),
        (("definition_tools:lookup", "os:system"), r"tools\[2\]: os:system is not allowed: .*--allow-tools os"),
        (("definition_tools:lookup", "definition_tools:nothing"), r"definition_tools has no function nothing"),
        (("definition_tools:lookup", "definition_tools:undocumented"), r"no docstring"),
        (("definition_tools:lookup", "definition_tools:positional"), r"takes words by position"),
        (
            ("  - calculator", "  - abacus"),
            r'there is no tool "abacus": use calculator, read_file, http_get or module:function',
        ),
        (("  - calculator", "  - calculator\n  - calculator"), r'another tool is called "calculator"'),
        (("omium: 1", "omium: [1"), r"is not YAML"),
        (("omium: 1", "a: &x 1\nomium: *x"), r"aliases"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
def test_what_is_wrong_is_said_with_its_place(write: Callable[..., Path], change: tuple[str, str], said: str) -> None:
    before, after = change
    assert before in TEAM
    with pytest.raises(OmiumError, match=said) as refused:
        load_definition(write(TEAM.replace(before, after, 1)), ALLOWED)
    assert refused.value.code == "settings_invalid"


@pytest.mark.parametrize(
    ("module", "extra"), [("yaml", "definitions"), ("pydantic", "definitions"), ("langgraph.graph", "langgraph")]
)
def test_what_is_not_installed_is_named_with_its_extra(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("omium.definitions.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    text = TEAM.replace("model: scripted", "model: scripted\nframework: langgraph")
    with pytest.raises(OmiumError, match=rf"install omium\[{extra}\]") as refused:
        load_definition(write(text), ALLOWED)
    assert refused.value.code == "settings_invalid"


def test_a_file_that_is_missing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(OmiumError, match="there is no file") as refused:
        load_agents([str(tmp_path / "nothing.yaml")])
    assert refused.value.code == "not_found"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("2 ** 10", 1024),
        ("-(7 // 2) % 5", 2),
        ("sqrt(16) + max(1, 2)", 6),
        ("1 / 4", 0.25),
        ("pi > 0", None),
        ("__import__('os')", None),
        ("9 ** 9 ** 9", None),
        ("(1).real", None),
        ("1/0", None),
        ("'a' * 9", None),
        ("(" * 500, None),
    ],
)
def test_the_calculator_knows_arithmetic_and_nothing_else(expression: str, value: float | None) -> None:
    if value is not None:
        assert calculate(expression) == value
    else:
        with pytest.raises(ValueError, match=r"arithmetic|computed|real|large"):
            calculate(expression)


def test_files_outside_of_the_root_are_not_read(write: Callable[..., Path]) -> None:
    from omium.definitions.model import ToolUse
    from omium.definitions.tools import build_tool

    read = build_tool(ToolUse(use="read_file", root="corpus"), write(TEAM).parent, []).fn
    assert read("tides.txt") == read("/tides.txt") == "The moon."
    assert read("") == "link\ntides.txt"
    for outside in ("../secret.txt", "link", "tides.txt/../../secret.txt", "/etc/passwd"):
        with pytest.raises(ValueError, match=r"outside|no file"):
            read(outside)
