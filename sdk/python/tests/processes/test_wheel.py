"""What is published: the wheel, in an environment where the sources are not."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import isolation_agents as agents
from isolation_stage import Stage

PROJECT = Path(__file__).parents[2]


def test_a_worker_runs_from_the_wheel(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.strip()

    build = (sys.executable, "-m", "uv", "build", "--wheel", "--no-build-isolation", "--offline", "--quiet")
    run(*build, "--out-dir", str(tmp_path), str(PROJECT))
    [wheel] = tmp_path.glob("omium-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "fresh"))
    python = str(tmp_path / "fresh" / "bin" / "python")
    run(
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        python,
        str(wheel),
    )
    # what it depends on is installed here already; its own folder comes first
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    imported = Path(run(python, "-c", "import omium; print(omium.__file__)"))
    assert imported.is_relative_to(tmp_path) and (imported.parent / "py.typed").exists()

    stage = Stage(program=[str(tmp_path / "fresh" / "bin" / "omium")])
    try:
        stage.work()
        assert stage.run("run", agents.where).output()
    finally:
        stage.close()
