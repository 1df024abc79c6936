"""What is published: the wheel, in an environment where the sources are not."""

import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import isolation_agents as agents
from isolation_stage import Stage

PROJECT = Path(__file__).parents[2]
GUIDES = PROJECT.parents[1] / "docs" / "guides"


def run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd).stdout.strip()


class Installed:
    """The wheel in an environment of its own, without what it depends on."""

    def __init__(self, folder: Path) -> None:
        build = (sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline", "--quiet")
        run(*build, "--out-dir", str(folder), str(PROJECT), cwd=folder)
        [wheel] = folder.glob("omium-*.whl")
        run(sys.executable, "-m", "venv", "--without-pip", str(folder / "fresh"), cwd=folder)
        self.python = str(folder / "fresh" / "bin" / "python")
        self.omium = str(folder / "fresh" / "bin" / "omium")
        install = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps")
        run(*install, "--python", self.python, str(wheel), cwd=folder)
        self.site = Path(run(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder))


def test_a_worker_runs_from_the_wheel(tmp_path: Path) -> None:
    installed = Installed(tmp_path)
    # what it depends on is installed here already; its own folder comes first
    (installed.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    imported = Path(run(installed.python, "-c", "import omium; print(omium.__file__)", cwd=tmp_path))
    assert imported.is_relative_to(tmp_path) and (imported.parent / "py.typed").exists()

    stage = Stage(program=[installed.omium])
    try:
        stage.work()
        assert stage.run("run", agents.where).output()
    finally:
        stage.close()


def needed_by(distribution: str) -> set[str]:
    """What is installed with a distribution, without its extras."""
    needed: set[str] = set()
    for text in metadata.requires(distribution) or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed |= {requirement.name} | needed_by(requirement.name)
    return needed


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """As `pip install omium` leaves it: no extra."""
    installed = Installed(tmp_path_factory.mktemp("bare"))
    for name in needed_by("omium"):
        for top in {file.parts[0] for file in metadata.files(name) or []} - {"..", "__pycache__"}:
            (installed.site / top).symlink_to(Path(sysconfig.get_path("purelib")) / top)
    return installed


@pytest.mark.parametrize("framework", ["langgraph", "crewai", "autogen", "semantic-kernel"])
def test_without_its_extra_the_program_of_a_guide_is_refused_with_the_way_out(
    bare: Installed, tmp_path: Path, framework: str
) -> None:
    guide = (GUIDES / f"durable-{framework}.md").read_text()
    [program] = re.findall(r"^`trip\.py`.*?```python\n(.*?)```", guide, re.MULTILINE | re.DOTALL)
    (tmp_path / "trip.py").write_text(program)
    refused = subprocess.run([bare.omium, "worker", "trip:trip"], capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("agent_threw: trip can't be imported:\n")
    assert "No module named" in refused.stderr
    assert refused.stderr.endswith(f"install it with: pip install 'omium[{framework}]'\n")


def test_without_its_extra_a_definition_is_refused_with_the_way_out(bare: Installed, tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text("omium: 1\n")
    refused = subprocess.run([bare.omium, "worker", "team.yaml"], capture_output=True, text=True, cwd=tmp_path)
    assert (refused.returncode, refused.stderr[:17]) == (1, "settings_invalid:")
    assert "install omium[definitions]" in refused.stderr
