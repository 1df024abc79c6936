"""The Python clients, called by lines of JSON; see README.md. The argument says which: `sync` or `async`."""

import asyncio
import inspect
import json
import sys
import traceback
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
    recovery = (options or {}).get("recovery", {}).get("policy")
    return None if options is None else RunOptions(labels=options.get("labels"), recovery=recovery)


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
    "roll_back": lambda c, g: c.handle(g["run"]).roll_back(g["toPath"], **_some(g, reason="reason")),
    "preview_roll_back": lambda c, g: c.handle(g["run"]).preview_roll_back(g["toPath"]),
    "preview_fork": lambda c, g: c.handle(g["run"]).preview_fork(**_some(g, to_path="toPath")),
    "journal": lambda c, g: c.handle(g["run"]).journal(),
    "diff": lambda c, g: c.handle(g["run"]).diff(g["other"]),
    "resolve": lambda c, g: c.handle(g["run"]).resolve(g["path"], g["resolution"], g.get("comment")),
    "run.checkpoints": lambda c, g: c.handle(g["run"]).checkpoints(**_some(g, kind="kind")),
    "request": lambda c, g: c.request(g["method"], g["path"], **_some(g, body="body")),
    "pages": lambda c, g: c.pages(g["path"]),
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
    "workflows.version": lambda c, g: c.workflows.version(g["id"], g["version"]),
    "workflows.deprecate": lambda c, g: c.workflows.deprecate(g["id"], g["version"], g.get("reason")),
    "workflows.templates": lambda c, g: c.workflows.templates(),
    "schedules.list": lambda c, g: c.schedules.list(**_some(g, workflow="workflow")),
    "schedules.get": lambda c, g: c.schedules.get(g["id"]),
    "schedules.put": lambda c, g: c.schedules.put(g["id"], g["schedule"]),
    "schedules.pause": lambda c, g: c.schedules.pause(g["id"]),
    "schedules.resume": lambda c, g: c.schedules.resume(g["id"]),
    "schedules.delete": lambda c, g: c.schedules.delete(g["id"]),
    "schedules.firings": lambda c, g: c.schedules.firings(g["id"]),
    "triggers.list": lambda c, g: c.triggers.list(),
    "triggers.get": lambda c, g: c.triggers.get(g["id"]),
    "triggers.put": lambda c, g: c.triggers.put(g["id"], g["trigger"]),
    "triggers.pause": lambda c, g: c.triggers.pause(g["id"]),
    "triggers.resume": lambda c, g: c.triggers.resume(g["id"]),
    "triggers.delete": lambda c, g: c.triggers.delete(g["id"]),
    "checkpoints.create": lambda c, g: c.checkpoints.create(
        g["thread"], g["state"], **_some(g, id="id", namespace="namespace", label="label", metadata="metadata")
    ),
    "checkpoints.list": lambda c, g: c.checkpoints.list(**_some(g, thread="thread", kind="kind", metadata="metadata")),
    "checkpoints.get": lambda c, g: c.checkpoints.get(g["thread"], **_some(g, id="id")),
    "checkpoints.verify": lambda c, g: c.checkpoints.verify(g["thread"], g["id"]),
    "checkpoints.rollback": lambda c, g: c.checkpoints.rollback(g["thread"], g["id"], **_some(g, reason="reason")),
    "checkpoints.pin": lambda c, g: c.checkpoints.pin(g["thread"], g["id"], g["holder"]),
    "checkpoints.unpin": lambda c, g: c.checkpoints.unpin(g["thread"], g["id"], g["holder"]),
    "checkpoints.retention": lambda c, g: c.checkpoints.retention(g["thread"]),
    "checkpoints.set_retention": lambda c, g: c.checkpoints.set_retention(g["thread"], g["retention"]),
    "checkpoints.delete": lambda c, g: c.checkpoints.delete(
        g["thread"], [(one.get("namespace", ""), one["id"]) for one in g["which"]]
    ),
    "checkpoints.delete_thread": lambda c, g: c.checkpoints.delete_thread(g["thread"]),
    "recoveries.list": lambda c, g: c.recoveries.list(**_some(g, status="status", failure_class="class")),
    "recoveries.get": lambda c, g: c.recoveries.get(g["id"]),
    "recoveries.groups": lambda c, g: c.recoveries.groups(hours=g["hours"]),
    "recoveries.stats": lambda c, g: c.recoveries.stats(hours=g["hours"]),
    "recoveries.decide": lambda c, g: c.recoveries.decide(g["id"], g["action"], g.get("reason")),
    "policies.list": lambda c, g: c.recovery_policies.list(),
    "policies.versions": lambda c, g: c.recovery_policies.versions(g["name"]),
    "policies.publish": lambda c, g: c.recovery_policies.publish(g["name"], g["policy"], **_some(g, note="note")),
    "policies.retire": lambda c, g: c.recovery_policies.retire(g["name"]),
    "policies.validate": lambda c, g: c.recovery_policies.validate(g["policy"]),
    "replays.create": lambda c, g: c.replays.create(g["runs"], **_some(g, id="id", start="from")),
    "replays.report": lambda c, g: c.replays.report(g["id"]),
    "follow": lambda c, g: c.follow(**_some(g, after="after", live="live")),
    "charges": lambda c, g: c.charges(**_some(g, after="after", live="live")),
    "members.list": lambda c, g: c.members.list(),
    "members.get": lambda c, g: c.members.get(g["id"]),
    "members.set_role": lambda c, g: c.members.set_role(g["id"], g["role"]),
    "members.remove": lambda c, g: c.members.remove(g["id"]),
    "invitations.list": lambda c, g: c.invitations.list(),
    "invitations.create": lambda c, g: c.invitations.create(g["email"], g["role"]),
    "invitations.revoke": lambda c, g: c.invitations.revoke(g["id"]),
    "workflows.delete": lambda c, g: c.workflows.delete(g["id"]),
    "keys.create": lambda c, g: c.keys.create(g["name"], g["scopes"]),
    "keys.get": lambda c, g: c.keys.get(g["id"]),
    "keys.list": lambda c, g: c.keys.list(),
    "keys.rotate": lambda c, g: c.keys.rotate(g["id"], overlap=g["overlap"]),
    "keys.revoke": lambda c, g: c.keys.revoke(g["id"], g.get("reason")),
    "keys.verify": lambda c, g: c.keys.verify(g["key"]),
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
            options = asked.get("options")
            # of its own, since clients have budgets of retries
            caller = type(client)(**_some(options, timeout="timeout", max_tries="tries")) if options else client
            answer = {"ok": await _answer(caller, asked["call"], asked.get("with") or {})}
        except OmiumError as error:
            answer = {"error": {"code": error.code, "detail": str(error)}}
        except Exception:
            answer = {"error": {"code": "none", "detail": traceback.format_exc()}}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


asyncio.run(_main(omium.Client() if sys.argv[1] == "sync" else omium.AsyncClient()))
