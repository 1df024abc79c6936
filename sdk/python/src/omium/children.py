"""Child runs from inside of a framework: a node of a graph, a step of a process, a method of a flow calls another agent."""

from __future__ import annotations

from .adapters.journal import current_run, from_loop
from .agent import AnyAgent
from .context import ask_child, refuse_inside_step
from .errors import OmiumError
from .json import JsonValue, plain_json, request_hash_of
from .policy import RunOptions


async def call_agent(agent: AnyAgent | str, input: object, *, options: RunOptions | None = None) -> JsonValue:
    """Runs another agent, of whatever framework, as a child of the current run, and gives its output.

    For code that has no `ctx`, as that of a framework; on replay the recorded output is the answer. Equal calls of one run
    are told apart by their order.
    Raises OmiumError `child_failed`, and `invalid_request` outside of runs and inside of steps and recorded tools.
    """
    agent_id = agent if isinstance(agent, str) else agent.id
    refuse_inside_step("call")
    run = current_run()
    if run is None:
        raise OmiumError("invalid_request", f'agent "{agent_id}" was called outside of a run: start it with a client')
    given = plain_json(input, f'the input of agent "{agent_id}"')
    wire: JsonValue = options.wire() if options else {}
    identity = request_hash_of({"agentId": agent_id, "input": given, "options": wire})
    path = run.framework_calls.next(agent_id, identity)
    output: JsonValue = await from_loop(run, lambda: ask_child(run, path, agent_id, given, options, None))
    return output
