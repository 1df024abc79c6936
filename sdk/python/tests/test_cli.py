"""Finding agents by name: every bad target is a coded error."""

import sys
from pathlib import Path

import pytest

from omium import OmiumError
from omium.cli import load_agents, main
from omium.worker.code import code_of

AGENTS = """
import omium

@omium.agent(id="{prefix}one")
async def one(given, ctx): ...

@omium.agent(id="{prefix}two")
async def two(given, ctx): ...

both = [one, two]
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spec_good.py").write_text(AGENTS.format(prefix=""))
    (tmp_path / "spec_other.py").write_text(AGENTS.format(prefix="other-"))
    (tmp_path / "spec_same.py").write_text(AGENTS.format(prefix=""))
    (tmp_path / "spec_team.py").write_text("import autogen_agentchat")
    (tmp_path / "spec_kernel.py").write_text("import semantic_kernel")
    for framework in ("autogen_agentchat", "semantic_kernel"):
        # as when its extra is not installed
        monkeypatch.setitem(sys.modules, framework, None)
    (tmp_path / "spec_empty.py").write_text("value = 1")
    (tmp_path / "spec_raises.py").write_text("raise RuntimeError('no database')")
    (tmp_path / "spec_syntax.py").write_text("def ")
    (tmp_path / "spec_exits.py").write_text("raise SystemExit(3)")
    (tmp_path / "spec_lacks.py").write_text("import a_package_that_is_not_installed")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.startswith("spec_")]:
        del sys.modules[name]


@pytest.mark.usefixtures("modules")
def test_finds_agents_lists_and_whole_modules() -> None:
    assert [one.id for one in load_agents(["spec_good:two", "spec_other:both", "spec_good"])] == [
        "two",
        "other-one",
        "other-two",
        "one",
    ]


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(
    ("targets", "code", "said"),
    [
        (["spec_missing:x"], "not_found", "no module spec_missing"),
        (["spec_good:nothing"], "not_found", "has no nothing"),
        (["spec_raises"], "agent_threw", r"spec_raises.py\", line 1[\s\S]*RuntimeError: no database"),
        (["spec_syntax"], "agent_threw", r"spec_syntax.py[\s\S]*SyntaxError"),
        (["spec_exits"], "agent_threw", "SystemExit"),
        (["spec_lacks"], "agent_threw", "a_package_that_is_not_installed"),
        (["spec_team"], "agent_threw", r"pip install 'omium\[autogen\]'"),
        (["spec_kernel"], "agent_threw", r"pip install 'omium\[semantic-kernel\]'"),
        (["spec_empty:value"], "agent_unknown", "is no agent"),
        (["spec_good", "spec_same"], "settings_invalid", "rename one"),
    ],
)
def test_a_bad_target_is_a_coded_error(targets: list[str], code: str, said: str) -> None:
    with pytest.raises(OmiumError, match=said) as refused:
        load_agents(targets)
    assert refused.value.code == code


@pytest.mark.usefixtures("modules")
def test_a_bad_target_ends_the_command_with_its_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    assert main(["worker", "spec_raises"]) == 1
    assert capsys.readouterr().err.startswith("agent_threw: spec_raises can't be imported:\n")


@pytest.mark.usefixtures("modules")
def test_workers_with_other_code_can_be_told_apart(tmp_path: Path) -> None:
    load_agents(["spec_good", "spec_other"])
    before = code_of(["spec_good"])
    assert before == code_of(["spec_good:one"])
    (tmp_path / "spec_good.py").write_text(AGENTS.format(prefix="changed-"))
    assert code_of(["spec_good"]) != before
