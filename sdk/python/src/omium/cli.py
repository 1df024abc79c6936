"""`omium worker module:attr team.yaml ...` runs agents, found by name or defined in files; `omium replay RUN ... --code
module:attr` replays recorded runs against them, without a network.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import socket
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

from .adapters import agent_of, extra_of, forbid_telemetry
from .agent import Agent, AnyAgent
from .client import Client
from .definitions import is_definition, load_definition
from .errors import OmiumError
from .isolation.zygote import become_attempt
from .json import dumps
from .worker import Worker
from .worker.code import code_of


def load_agents(targets: Sequence[str], allowed_tools: Sequence[str] = ()) -> list[AnyAgent]:
    """The agents that the targets name: `module:attr` an agent or a list of agents, `module` all agents in it, `team.yaml`
    the one that it defines.

    `allowed_tools`: what definitions may use as tools besides those of the SDK.

    Raises OmiumError `not_found` (no such module or attribute), `agent_threw` (it can't be imported), `agent_unknown` (it
    is no agent), `settings_invalid` (two have one id).
    """
    agents: dict[str, AnyAgent] = {}
    for target in targets:
        defined = is_definition(target)
        for found in [load_definition(Path(target), allowed_tools)] if defined else _agents_of(target):
            if agents.setdefault(found.id, found) is not found:
                raise OmiumError(
                    "settings_invalid", f'{target} has the agent "{found.id}", which another target has: rename one'
                )
    return list(agents.values())


def _agents_of(target: str) -> list[AnyAgent]:
    module_name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as cause:
        missing = cause.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise OmiumError(
                "not_found", f"there is no module {module_name} on the path (looked in {os.getcwd()})", cause=cause
            ) from cause
        extra = extra_of(missing)
        hint = f"\ninstall it with: pip install 'omium[{extra}]'" if extra else ""
        raise OmiumError("agent_threw", _import_failed(module_name, cause) + hint, cause=cause) from cause
    except BaseException as cause:
        raise OmiumError("agent_threw", _import_failed(module_name, cause), cause=cause) from cause
    if attribute:
        value: object = module
        for part in attribute.split("."):
            if not hasattr(value, part):
                raise OmiumError("not_found", f"{module_name} has no {attribute}")
            value = getattr(value, part)
        found = _flatten([value])
        try:
            framework_agent = None if found else agent_of(value, attribute.rsplit(".", 1)[-1])
        except ImportError as cause:
            said = f"{target} can't be run, {cause}: install the extra of its framework, e.g. omium[langgraph]"
            raise OmiumError("settings_invalid", said, cause=cause) from cause
        if framework_agent is not None:
            framework_agent.isolated = True
            found = [framework_agent]
    else:
        found = _flatten(vars(module).values())
    if not found:
        raise OmiumError(
            "agent_unknown",
            f"{target} is no agent: give what @omium.agent(...) made, a list of those, a LangGraph graph, an agent or team of "
            "AutoGen, an agent, orchestration, process or kernel of Semantic Kernel, or a crew or flow of CrewAI",
        )
    return found


def _import_failed(module_name: str, cause: BaseException) -> str:
    """With the traceback from the user's own code on: the machinery of imports tells nothing."""
    frames = [
        frame
        for frame in traceback.extract_tb(cause.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    said = "".join([*traceback.format_list(frames), *traceback.format_exception_only(cause)]).rstrip()
    return f"{module_name} can't be imported:\n{said}"


def _flatten(values: Iterable[object]) -> list[AnyAgent]:
    found: dict[int, AnyAgent] = {}
    for value in values:
        if isinstance(value, Agent):
            one = cast("Agent[Any, Any]", value)
            found[id(one)] = one
        elif isinstance(value, (list, tuple)):
            for inner in cast("Sequence[object]", value):
                if isinstance(inner, Agent):
                    one = cast("Agent[Any, Any]", inner)
                    found[id(one)] = one
    return list(found.values())


def _worker(arguments: argparse.Namespace) -> None:
    # the order in which sets of texts are iterated must be the same in every process that replays
    if os.environ.get("PYTHONHASHSEED") is None:
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "omium", *sys.argv[1:]])  # noqa: S606 - this very program
    directory = os.getcwd()
    agents, code = _prepared(arguments)
    worker = Worker(
        agents,
        slots=arguments.slots,
        isolation=arguments.isolation,
        memory_limit_mb=arguments.memory_limit,
        stall_timeout=arguments.stall_timeout,
        resident=arguments.resident,
        fresh=_fresh_command(arguments, directory, code),
        code=code,
    )
    ids = ", ".join(agent.id for agent in agents)
    ready = "ready %s runs %s (code %s, pid %s)"
    worker.run(
        attached=arguments.attached,
        on_ready=lambda: logging.getLogger("omium.worker").info(ready, worker.id, ids, code, os.getpid()),
    )


def _prepared(arguments: argparse.Namespace) -> tuple[list[AnyAgent], str]:
    """The agents, and what version of them was imported."""
    forbid_telemetry()
    level = os.environ.get("OMIUM_LOG_LEVEL", "info").upper()
    names = logging.getLevelNamesMapping()
    logging.basicConfig(
        level=names.get(level, logging.INFO),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # every request of the model's client would be a line, and where CrewAI found its settings
    for library in ("httpx", "httpx2", "crewai_core.settings"):
        logging.getLogger(library).setLevel(logging.WARNING)
    sys.path.insert(0, os.getcwd())
    return load_agents(arguments.targets, arguments.allow_tools), code_of(arguments.targets)


def _fresh_command(arguments: argparse.Namespace, directory: str, code: str) -> list[str]:
    options = [f"--directory={directory}", f"--code={code}", f"--allow-tools={','.join(arguments.allow_tools)}"]
    if arguments.memory_limit is not None:
        options.append(f"--memory-limit={arguments.memory_limit}")
    return [sys.executable, "-m", "omium", "attempt", *options, *arguments.targets]


def _attempt(arguments: argparse.Namespace) -> None:
    """One attempt in an interpreter of its own: what the worker's zygote starts."""
    become_attempt(arguments.parent)
    channel = socket.socket(fileno=arguments.channel)
    channel.set_inheritable(False)
    os.chdir(arguments.directory)
    agents, code = _prepared(arguments)
    if code != arguments.code:
        said = "the code was changed after the worker had started: this attempt runs %s, the worker announced %s"
        logging.getLogger("omium.worker").warning(said, code, arguments.code)
    Worker(agents, memory_limit_mb=arguments.memory_limit).begin_attempt(channel, os.dup(1))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _seconds(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("more than 0")
    return value


REPLAY_EXIT_CODES = {"same": 0, "different": 1, "mismatch": 6, "miss": 7, "error": 4}
"""The same as those of the platform's command line; of several runs the last in this order decides."""


def _run_ids(client: Client, arguments: argparse.Namespace) -> Iterator[str]:
    yield from arguments.runs
    if arguments.ids is not None:
        with open(arguments.ids, encoding="utf-8") as lines:
            yield from (line.strip() for line in lines if line.strip())
    if arguments.agent is not None:
        for view in islice(client.list(agent=arguments.agent, status=arguments.status), arguments.last):
            yield view["id"]


def _replay(arguments: argparse.Namespace) -> int:
    from .hermetic import recorded_run, replay_runs

    worst = -1
    ranks = list(REPLAY_EXIT_CODES)
    with Client() as client:
        runs = (recorded_run(client, run_id) for run_id in _run_ids(client, arguments))
        for verdict in replay_runs(arguments.code, runs):
            worst = max(worst, ranks.index(verdict["verdict"]))
            where = f" at {verdict['path']}" if "path" in verdict else ""
            said = "" if verdict["verdict"] == "same" else f": {verdict['detail']}"
            text = f"{verdict['verdict']:<9} {verdict['id']}{where}{said}"
            print(dumps(verdict) if arguments.json else text, flush=True)
    if worst < 0:
        print("there is no such run to replay", file=sys.stderr)
        return 2
    return REPLAY_EXIT_CODES[ranks[worst]]


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="omium", description="Omium's Python SDK")
    commands = parser.add_subparsers(required=True, metavar="command")
    worker = commands.add_parser("worker", help="run agents until SIGTERM or SIGINT")
    worker.add_argument(
        "targets",
        nargs="+",
        metavar="target",
        help="module:attr (an agent, an object of a framework, a list of agents), module, or team.yaml",
    )
    worker.add_argument(
        "--slots", type=_positive, help="runs of one engine that may execute at the same time (100; 16 with processes)"
    )
    worker.add_argument(
        "--allow-tools",
        default=[],
        type=_names,
        metavar="NAME[,NAME]",
        help="modules whose functions definitions may use as tools, and http_get",
    )
    worker.add_argument(
        "--isolation",
        choices=("auto", "process", "none"),
        default="auto",
        help="which attempts execute in processes of their own: those of framework objects (auto), all, or none",
    )
    worker.add_argument("--memory-limit", type=_positive, metavar="MIB", help="resident memory of an attempt's process")
    worker.add_argument(
        "--stall-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="ends an attempt's process that asks for nothing for so long",
    )
    worker.add_argument(
        "--attached", action="store_true", help="drains and ends when its standard input closes, as on SIGTERM"
    )
    worker.add_argument(
        "--resident", type=_seconds, default=10.0, metavar="SECONDS", help="how long a run that waits stays in memory"
    )
    worker.set_defaults(do=_worker)
    # not for people, and so not in the help
    attempt = commands.add_parser("attempt")
    attempt.add_argument("targets", nargs="+")
    attempt.add_argument("--channel", type=int, required=True)
    attempt.add_argument("--parent", type=int, required=True)
    attempt.add_argument("--directory", required=True)
    attempt.add_argument("--code", required=True)
    attempt.add_argument("--allow-tools", default=[], type=_names)
    attempt.add_argument("--memory-limit", type=_positive)
    attempt.set_defaults(do=_attempt)
    replay = commands.add_parser("replay", help="run recorded runs against today's code, without a network")
    replay.add_argument("runs", nargs="*", metavar="RUN", help="ids of finished runs")
    replay.add_argument("--code", nargs="+", required=True, metavar="module:attr", help="as for worker")
    replay.add_argument("--agent", help="the last runs of this agent")
    replay.add_argument("--last", type=int, default=50, help="how many")
    replay.add_argument("--status", choices=("completed", "failed", "cancelled"), default="completed")
    replay.add_argument("--ids", metavar="FILE", help="these runs: one id a line")
    replay.add_argument("--json", action="store_true", help="one JSON document for each run")
    replay.set_defaults(do=_replay)
    parsed = parser.parse_args(arguments)
    try:
        code: int | None = parsed.do(parsed)
    except OmiumError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    return code or 0
