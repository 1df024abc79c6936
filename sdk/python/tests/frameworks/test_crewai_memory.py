"""Memory and knowledge of crews: what they ask models and storages is recorded, and never asked twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crewai import LLM, Agent, Crew, Task
from crewai.knowledge.source.string_knowledge_source import StringKnowledgeSource
from crewai.memory.unified_memory import Memory
from harness_access import step_names
from scripted_model import ScriptedModel

from omium.adapters.crewai import durable
from omium.adapters.crewai.memory import is_forkable
from omium.testing import TestRun, run_agent

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ANSWERS: dict[str, Any] = {
    "MemoryAnalysis": {"suggested_scope": "/sea", "categories": ["sea"], "importance": 0.6, "extracted_metadata": {}},
    "ExtractedMemories": {"memories": ["tides follow the moon", "tides turn twice a day"]},
    "QueryAnalysis": {"keywords": ["tides"], "suggested_scopes": ["/"], "complexity": "simple", "recall_queries": []},
    "ConsolidationPlan": {"actions": [], "insert_new": True, "insert_reason": "it is new"},
}


def _analysis(asked: dict[str, Any]) -> str | None:
    """What memory asks the model for, by the name of the shape that it wants."""
    wanted = json.dumps(asked.get("response_format") or {})
    return next((json.dumps(answer) for name, answer in ANSWERS.items() if name in wanted), None)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    one = ScriptedModel()
    one.script = _analysis
    yield one
    one.close()


def _embedder(model: ScriptedModel) -> dict[str, Any]:
    config = {"api_key": "x", "api_base": model.base_url, "model_name": "scripted-embedding"}
    return {"provider": "openai", "config": config}


def _crew(model: ScriptedModel, folder: Path, **options: Any) -> Crew:
    llm = LLM(model="openai/scripted", base_url=model.base_url, api_key="x")
    writer = Agent(role="writer", goal="write", backstory="Writes.", llm=llm)
    tasks = [
        Task(name=name, description=f"{name} about the tides", expected_output="a text", agent=writer)
        for name in ("plan", "write")
    ]
    memory = Memory(llm=llm, embedder=_embedder(model), storage=str(folder))
    return Crew(agents=[writer], tasks=tasks, memory=memory, **options)


def _run(crew: Crew, **options: Any) -> TestRun[Any]:
    run = run_agent(durable(crew, id="remembering"), None, limit=120, **options)
    assert run.error is None, run.error
    return run


def test_memory_is_recorded_call_by_call_and_answers_from_the_record(model: ScriptedModel, tmp_path: Path) -> None:
    remembering = _crew(model, tmp_path / "calm")
    assert not is_forkable(remembering) and is_forkable(Crew(agents=remembering.agents, tasks=remembering.tasks))
    calm = _run(remembering)
    records, asked = len(calm.journal), len(model.calls)
    names = set(step_names(durable(_crew(model, tmp_path / "named"), id="remembering"), None))
    assert {"memory: scripted", "memory: scripted-embedding", "writer (plan): scripted"} <= names
    assert {"memory search", "memory save", "memory scopes"} <= names

    model.calls.clear()
    crashed = _run(_crew(model, tmp_path / "crashed"), crash_after=list(range(1, records + 1)))
    assert crashed.output == calm.output
    assert len(crashed.attempts) == records + 1
    assert set(crashed.executions.values()) == {1}, "nothing that was recorded was asked or stored twice"
    assert len(model.calls) == asked, "a call has one wording in all attempts"

    # on another worker, with another storage: what the run has seen is in its journal
    model.calls.clear()
    moved = _run(_crew(model, tmp_path / "elsewhere"), journal=crashed.journal)
    assert (moved.output, moved.executions, model.calls) == (calm.output, {}, {})


def test_a_later_run_remembers_what_an_earlier_one_has_learned(model: ScriptedModel, tmp_path: Path) -> None:
    crew = _crew(model, tmp_path / "shared")
    _run(crew, execution_id="first")
    _run(crew, execution_id="second")
    asked = [call for call in model.calls if "Relevant memories" in call or "tides follow the moon" in call]
    assert asked


def test_knowledge_is_searched_once(model: ScriptedModel, tmp_path: Path) -> None:
    source = StringKnowledgeSource(content="The tide at Saint-Malo rises by twelve metres.")
    crew = _crew(model, tmp_path / "memory", knowledge_sources=[source], embedder=_embedder(model))
    crew.memory = False
    assert not is_forkable(crew)
    calm = _run(crew)
    assert {"knowledge: scripted-embedding", "knowledge search"} <= set(step_names(durable(crew, id="knowing"), None))
    assert any("twelve metres" in call for call in model.calls if "embed" not in call)
    model.calls.clear()
    again = _run(crew, journal=calm.journal)
    assert (again.output, again.executions, model.calls) == (calm.output, {}, {})
