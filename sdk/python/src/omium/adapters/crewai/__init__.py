"""CrewAI: any crew or flow, unchanged, as a durable agent.

1. Model calls and tool calls are journaled one by one. The crew itself starts anew in every attempt, as a copy of its own
   on threads of its own, and is carried by the journal to where it was.
2. A tool tagged `omium:effect` records its intent first and is never blindly called again; its idempotency key is
   `omium.current_step().idempotency_key`. A tool tagged `omium:code` is code of the run: what it calls is recorded, not it.
3. `Task(human_input=True)` becomes an approval whose comment is the feedback. `human_feedback` becomes one when its
   outcomes are a yes and a no, otherwise, as `Flow.ask` does, a recorded step that shows the question and a wait for the signal `resume`.
4. Nothing of CrewAI's own state is read back: no cache between runs, no stored task outputs, no checkpoint. Outputs of tasks
   and states of flows are kept among the run's checkpoints.
"""

# The framework's insides.
# pyright: basic, reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from crewai import Flow
from crewai.core.providers.human_input import set_provider
from crewai.crews.crew_output import CrewOutput
from crewai.flow.async_feedback.types import HumanFeedbackPending
from crewai_core.printer import set_suppress_console_output

from ...agent import Agent
from ...context import Context
from ...errors import OmiumError
from ...json import JsonValue
from .. import model_calls
from ..journal import current_run
from ..tools import CODE_TAG, EFFECT_TAG
from .copies import maker_of
from .memory import is_forkable
from .names import label_of
from .outputs import crew_output, plain, state_of
from .people import People
from .seams import install
from .world import World, enter

__all__ = ["CODE_TAG", "EFFECT_TAG", "durable"]

# an agent may do I/O or compute for a while before it makes its next call
_MISMATCH_GRACE_MS = 10_000


def durable(crew_or_flow: Any, *, id: str, description: str | None = None) -> Agent[Any, Any]:
    """The durable agent that runs a Crew, a Flow (class or instance), a `@CrewBase` class or instance, or a function that
    makes a crew or flow.

    Its input is what `kickoff(inputs=...)` takes. Its output: of a crew `{raw, json, tasks: [{name, agent, raw, json}]}`,
    of a flow `{output, state}`.
    Raises OmiumError `agent_unknown` when it is none of these, `agent_threw` when it can't be made.
    """
    install()
    model_calls.install(label_of)
    make = maker_of(crew_or_flow, id)

    async def run(given: JsonValue, ctx: Context) -> Any:
        if given is not None and not isinstance(given, dict):
            raise OmiumError("input_invalid", f'the input of "{id}" is what kickoff(inputs=...) takes: an object')
        run_ = current_run()
        if run_ is None:
            raise OmiumError("internal", "a crew was started outside of a run")
        world = World(run_, ctx)

        def code() -> Any:
            enter(world)
            # panels would go to stdout, and the platform shows what happens
            set_suppress_console_output(True)
            set_provider(People())
            return _kick_off(make(), given, world)

        try:
            return await asyncio.to_thread(code)
        except Exception as error:
            # the platform's own failure of a model call, which the model's client and the framework have wrapped
            raise model_calls.behind(run_, error) from error

    agent: Agent[Any, Any] = Agent(run, id, None, description, None, None)
    agent.mismatch_grace_ms = _MISMATCH_GRACE_MS
    agent.forkable = lambda: is_forkable(crew_or_flow)
    return agent


def _kick_off(made: Any, given: Mapping[str, Any] | None, world: World) -> Any:
    inputs = None if given is None else dict(given)
    # nobody here reads a stream; the models' own streaming is another setting
    made.stream = False
    if not isinstance(made, Flow):
        return crew_output(cast(CrewOutput, made.kickoff(inputs=inputs)))
    flow = cast("Flow[Any]", made)
    # an id that every attempt has, as prompts may name it; what an earlier attempt saved is not taken up
    flow._stamp_state_id(world.next_id())
    flow._skip_persistence_restore = True
    output: Any = flow.kickoff(inputs=inputs)
    if isinstance(output, HumanFeedbackPending):
        raise OmiumError(
            "settings_invalid",
            f'the feedback on "{output.context.method_name}" is asked for by a provider of its own: leave `provider` out, '
            "and the platform asks",
        )
    return {"output": plain(output), "state": state_of(flow)}
