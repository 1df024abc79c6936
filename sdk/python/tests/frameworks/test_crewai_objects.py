"""What a module may offer as a crew, and what is said about what it may not."""

import sys
from pathlib import Path

import pytest

from omium import OmiumError
from omium.cli import load_agents

# CrewAI's own use of what it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


OBJECTS = """
from __future__ import annotations
from crewai import Agent, Crew, Flow, Task

lone = Agent(role="lone", goal="g", backstory="b", llm="openai/gpt-4o")
def broken() -> Crew:
    raise KeyError("no such agent")
def made() -> Crew:
    one = Agent(role="one", goal="g", backstory="b", llm="openai/gpt-4o")
    return Crew(agents=[one], tasks=[Task(description="d", expected_output="e", agent=one)])
def mistaken() -> Crew:
    return "crew"
def unsaid():
    return made()
class Talk(Flow):
    pass
"""


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("lone", "agent_unknown", "does not run by itself"),
        ("broken", "agent_threw", "no such agent"),
        ("mistaken", "agent_unknown", "makes a str"),
        ("unsaid", "agent_unknown", "is no agent"),
    ],
)
def test_bad_objects_are_coded_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, code: str, said: str
) -> None:
    (tmp_path / "crew_objects.py").write_text(OBJECTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.delitem(sys.modules, "crew_objects", raising=False)
    with pytest.raises(OmiumError, match=said) as raised:
        load_agents([f"crew_objects:{target}"])
    assert raised.value.code == code
    assert [one.id for one in load_agents(["crew_objects:made", "crew_objects:Talk"])] == ["made", "Talk"]


def test_a_framework_that_is_not_installed_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crew_lacking.py").write_text("import crewai")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "crewai", None)
    with pytest.raises(OmiumError, match=r"pip install 'omium\[crewai\]'") as raised:
        load_agents(["crew_lacking:crew"])
    assert raised.value.code == "agent_threw"
