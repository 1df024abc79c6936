"""People in the loop: what CrewAI would ask on a terminal becomes an approval or a signal."""

# The framework's insides.
# pyright: basic, reportPrivateUsage=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from crewai.core.providers.human_input import SyncHumanInputProvider
from crewai.flow.async_feedback.providers import ConsoleProvider

from ...context import Decision
from ...json import plain_json
from ..journal import from_loop, from_thread
from .world import World, here

_YES = ("approve", "approved", "accept", "accepted", "yes", "ok")
_NO = ("reject", "rejected", "refuse", "refused", "decline", "declined", "deny", "denied", "no")


class People(SyncHumanInputProvider):
    """`Task(human_input=True)`: approved means content, the comment of a refusal is the feedback to work in."""

    def handle_feedback(self, formatted_answer: Any, context: Any) -> Any:
        world = here()
        if world is None:
            return super().handle_feedback(formatted_answer, context)
        answer = formatted_answer
        while context.ask_for_human_input:
            decision = cast(Decision, from_thread(world.run, _review(world, answer, context)))
            if decision.approved:
                context.ask_for_human_input = False
            else:
                context.messages.append(context._format_feedback_message(_wish(decision)))
                answer = context._invoke_loop()
        return answer

    async def handle_feedback_async(self, formatted_answer: Any, context: Any) -> Any:
        world = here()
        if world is None:
            return await super().handle_feedback_async(formatted_answer, context)
        answer = formatted_answer
        while context.ask_for_human_input:
            decision = cast(Decision, await from_loop(world.run, _review(world, answer, context)))
            if decision.approved:
                context.ask_for_human_input = False
            else:
                context.messages.append(context._format_feedback_message(_wish(decision)))
                answer = await context._ainvoke_loop()
        return answer


def _review(world: World, answer: Any, context: Any) -> Any:
    task = context.task
    name = getattr(task, "name", None) or getattr(task, "description", None) or "the task"
    title = f"Is the answer of {' '.join(str(name).split())[:120]} good?"
    shown = {
        "task": getattr(task, "name", None),
        "agent": getattr(context.agent, "role", None),
        "answer": SyncHumanInputProvider._get_output_string(answer),
    }
    return lambda: world.ctx.approve(title, details=shown, key=_key(name))


def _wish(decision: Decision) -> str:
    return decision.comment or "The answer was refused. Improve it."


def _key(name: object) -> str:
    """What tells the question apart from those that are asked at the same time."""
    return " ".join(str(name).split())[:100]


class Questions:
    """`human_feedback` and `Flow.ask`, where the flow has no provider of its own."""

    def request_feedback(self, context: Any, flow: Any) -> str:
        world = here()
        if world is None:
            return ConsoleProvider().request_feedback(context, flow)
        method = str(context.method_name)
        shown = plain_json(
            {"message": context.message, "method": method, "output": _shown(context.method_output)}, "the question"
        )
        answers = _yes_and_no(context.emit)
        if answers is None:
            return _text_of(_asked(world, method, shown))
        decision = cast(
            Decision, from_thread(world.run, lambda: world.ctx.approve(context.message, details=shown, key=method))
        )
        outcome = answers[0] if decision.approved else answers[1]
        return f"{outcome}: {decision.comment}" if decision.comment else outcome

    def request_input(self, message: str, flow: Any, metadata: dict[str, Any] | None = None) -> str | None:
        world = here()
        if world is None:
            return ConsoleProvider().request_input(message, flow, metadata)
        return _text_of(_asked(world, _key(message), plain_json({"message": message}, "the question")))


def _asked(world: World, key: str, shown: Any) -> Any:
    async def ask() -> Any:
        await world.ctx.step("interrupt", lambda: shown, key=key, retry=False)
        return await world.ctx.wait_for("resume", key=key)

    return from_thread(world.run, ask)


def _shown(output: Any) -> Any:
    raw = getattr(output, "raw", None)
    return raw if isinstance(raw, str) else output if isinstance(output, (dict, list, str)) else str(output)


def _text_of(payload: Any) -> str:
    """A signal's payload is the text, or an object that has it as `feedback` or `text`."""
    if isinstance(payload, dict):
        members = cast("dict[str, Any]", payload)
        payload = members.get("feedback", members.get("text", members))
    return "" if payload is None else str(payload)


def _yes_and_no(outcomes: Sequence[str] | None) -> tuple[str, str] | None:
    """The two outcomes, when one says yes and the other no."""
    if outcomes is None or len(outcomes) != 2:
        return None
    first, second = outcomes
    if first.lower() in _YES and second.lower() in _NO:
        return first, second
    return (second, first) if second.lower() in _YES and first.lower() in _NO else None
