"""What a framework asks a person, as calls of the platform.

A question is a recorded step that shows it, and a wait: for the approval of a person when the question is a dict with an
`approve` title, otherwise for the signal `resume`, whose payload is the answer. What asks in a framework that knows no dicts
is made to ask for an approval by `APPROVAL_TAG` among its `tags`.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any, cast

from ..context import Context, Decision

APPROVAL_TAG = "omium:approval"


class People:
    """The questions of one run, numbered in the order in which its code asks them."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._asked = 0

    async def ask(self, question: object) -> Any:
        """A `Decision`, or what the signal `resume` says."""
        self._asked += 1
        number = self._asked
        shown: Any = await self._ctx.step("interrupt", lambda: question, key=number, retry=False)
        title = cast("dict[str, Any]", shown).get("approve") if isinstance(shown, dict) else None
        if isinstance(title, str):
            return await self._ctx.approve(title, details=cast(object, shown))
        return await self._ctx.wait_for("resume", key=number)

    async def text(self, question: object) -> str:
        """An answer for a framework whose people speak text. That of an approval is `APPROVE`, or `REJECT: ` and why."""
        said = await self.ask(question)
        if isinstance(said, Decision):
            refused = f"REJECT: {said.comment}" if said.comment else "REJECT"
            return "APPROVE" if said.approved else refused
        return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


people: ContextVar[People | None] = ContextVar("omium_people", default=None)
"""Whom the code of the current run asks."""
