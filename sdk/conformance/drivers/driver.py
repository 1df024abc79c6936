"""The Python clients, called by lines of JSON; see README.md. The argument says which: `sync` or `async`."""

import asyncio
import inspect
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import omium
from omium import OmiumError, RunOptions

# arguments and answers are the scenarios' business
Given = dict[str, Any]


def _options(given: Given) -> RunOptions | None:
    options = given.get("options")
    return None if options is None else RunOptions(labels=options.get("labels"))


_time = datetime.fromisoformat


def _some(given: Given, **names: str) -> Given:
    """Arguments under the names that Python has for them, those that are there."""
    return {name: given[theirs] for name, theirs in names.items() if theirs in given}


CALLS: dict[str, Callable[[Any, Given], Any]] = {
    "start": lambda c, g: c.start(g["agent"], g["input"], id=g.get("id"), options=_options(g)),
    "get": lambda c, g: c.get(g["run"]),
    "result": lambda c, g: c.handle(g["run"]).result(timeout=g["timeout"]),
    "ended": lambda c, g: c.handle(g["run"]).ended(timeout=g["timeout"]),
    "events": lambda c, g: c.handle(g["run"]).events(after=g.get("after", 0)),
    "steps": lambda c, g: c.handle(g["run"]).steps(),
    "signal": lambda c, g: c.handle(g["run"]).signal(g["name"], g.get("payload"), id=g.get("id")),
    "approve": lambda c, g: c.handle(g["run"]).approve(g["path"], g["decision"], g.get("comment")),
    "pause": lambda c, g: c.handle(g["run"]).pause(g.get("reason")),
    "resume": lambda c, g: c.handle(g["run"]).resume(),
    "cancel": lambda c, g: c.handle(g["run"]).cancel(g.get("reason")),
    "fork": lambda c, g: c.handle(g["run"]).fork(**_some(g, input="input", to_path="toPath", id="id")),
    "list": lambda c, g: c.list(
        **_some(
            g["filter"],
            agent="agent",
            status="status",
            labels="labels",
            forked_from="forkedFrom",
        ),
        **_some(g, page_size="pageSize"),
    ),
    "failures": lambda c, g: c.failures(execution=g["run"]),
    "agents": lambda c, g: c.agents(),
    "me": lambda c, g: c.me(),
    "workflows.validate": lambda c, g: c.workflows.validate(g["definition"]),
    "workflows.create": lambda c, g: c.workflows.create(g["id"], g["definition"], publish=g.get("publish", False)),
    "workflows.publish": lambda c, g: c.workflows.publish(g["id"], g["version"]),
    "workflows.get": lambda c, g: c.workflows.get(g["id"]),
    "workflows.list": lambda c, g: c.workflows.list(),
    "workflows.run": lambda c, g: c.workflows.run(g["id"], g.get("parameters"), run_id=g.get("runId")),
    "workflows.runs": lambda c, g: c.workflows.runs(g["id"]),
    "workflows.delete": lambda c, g: c.workflows.delete(g["id"]),
    "keys.create": lambda c, g: c.keys.create(g["name"], g["scopes"]),
    "keys.get": lambda c, g: c.keys.get(g["id"]),
    "keys.list": lambda c, g: c.keys.list(),
    "keys.rotate": lambda c, g: c.keys.rotate(g["id"], overlap=g["overlap"]),
    "keys.revoke": lambda c, g: c.keys.revoke(g["id"], g.get("reason")),
    "keys.verify": lambda c, g: c.keys.verify(g["key"]),
    "members.list": lambda c, g: c.members.list(),
    "members.get": lambda c, g: c.members.get(g["id"]),
    "members.setRole": lambda c, g: c.members.set_role(g["id"], g["role"]),
    "members.remove": lambda c, g: c.members.remove(g["id"]),
    "invitations.list": lambda c, g: c.invitations.list(),
    "invitations.create": lambda c, g: c.invitations.create(g["email"], g["role"]),
    "invitations.revoke": lambda c, g: c.invitations.revoke(g["id"]),
    "webhooks.create": lambda c, g: c.webhooks.create(g["url"], g["types"], filter=g.get("filter")),
    "webhooks.change": lambda c, g: c.webhooks.change(g["id"], g["changes"]),
    "webhooks.get": lambda c, g: c.webhooks.get(g["id"]),
    "webhooks.list": lambda c, g: c.webhooks.list(),
    "webhooks.rotate": lambda c, g: c.webhooks.rotate(g["id"], overlap=g["overlap"]),
    "webhooks.test": lambda c, g: c.webhooks.test(g["id"]),
    "webhooks.deliveries": lambda c, g: c.webhooks.deliveries(g["id"], **_some(g, status="status")),
    "webhooks.delivery": lambda c, g: c.webhooks.delivery(g["id"], g["delivery"]),
    "webhooks.redeliver": lambda c, g: c.webhooks.redeliver(g["id"], g["delivery"]),
    "webhooks.replay": lambda c, g: c.webhooks.replay(g["id"], _time(g["from"]), until=_time(g["to"])),
    "webhooks.replays": lambda c, g: c.webhooks.replays(g["id"]),
    "webhooks.disable": lambda c, g: c.webhooks.disable(g["id"]),
    "webhooks.enable": lambda c, g: c.webhooks.enable(g["id"]),
    "webhooks.delete": lambda c, g: c.webhooks.delete(g["id"]),
    # the same with another key
    "as.get": lambda c, g: type(c)(api_key=g["key"]).get(g["run"]),
}


def _plain(made: Any) -> Any:
    """A run's handle as the other drivers tell of it; anything else is plain already."""
    if isinstance(made, (omium.Run, omium.AsyncRun)):
        return {"id": made.id, "created": made.created, "position": made.position}
    return made


async def _answer(client: Any, call: str, given: Given) -> Any:
    made = CALLS[call](client, given)
    most = given.get("most")
    if isinstance(made, Iterator):
        return list(islice(made, most))
    if isinstance(made, AsyncIterator):
        found: list[Any] = []
        async for item in made:
            found.append(item)
            if len(found) == most:
                break
        return found
    return _plain(await made if inspect.isawaitable(made) else made)


async def _main(client: Any) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"ok": await _answer(client, asked["call"], asked.get("with") or {})}
        except OmiumError as error:
            answer = {"error": {"code": error.code, "detail": str(error)}}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


asyncio.run(_main(omium.Client() if sys.argv[1] == "sync" else omium.AsyncClient()))
