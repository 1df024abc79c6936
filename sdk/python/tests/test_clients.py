"""The clients against a gateway that misbehaves on demand."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

import omium
from omium import OmiumError
from omium.sse import Lines

Answer = tuple[int, dict[str, str], bytes]


class Gateway:
    """Answers requests with what was scripted, in order; remembers them."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def handle_one(self) -> None:
                size = int(self.headers.get("content-length", "0"))
                body = json.loads(self.rfile.read(size)) if size else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                gateway.requests.append((self.command, self.path, headers, body))
                status, answer_headers, content = gateway.answers.pop(0)
                self.send_response(status)
                for name, value in answer_headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def say(self, status: int, body: Any) -> None:
        self.answers.append((status, {"content-type": "application/json"}, json.dumps(body).encode()))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    one = Gateway()
    yield one
    one.close()


def _problem(code: str, status: int, retryable: bool) -> dict[str, Any]:
    return {
        "type": f"urn:omium:error:{code}",
        "title": code,
        "status": status,
        "detail": f"it is {code}",
        "code": code,
        "retryable": retryable,
        "requestId": "req-1",
        "errors": [{"path": "input.n", "message": "too small"}],
    }


RECEIPT = {"executionId": "run", "position": "0:1", "deduplicated": False}


def test_problems_become_errors(gateway: Gateway) -> None:
    gateway.say(422, _problem("input_invalid", 422, False))
    with omium.Client(url=gateway.url, api_key="key") as client, pytest.raises(OmiumError) as refused:
        client.start("agent", {"n": 0})
    error = refused.value
    assert (error.code, error.retryable, error.data) == ("input_invalid", False, {"requestId": "req-1"})
    assert str(error) == "it is input_invalid; input.n: too small"
    method, path, headers, body = gateway.requests[0]
    assert (method, path, headers["authorization"]) == ("POST", "/v1/executions", "Bearer key")
    assert body["input"] == {"n": 0} and body["id"].startswith("exe_")


def test_what_makes_something_is_sent_again_under_one_id_and_key(gateway: Gateway) -> None:
    with omium.Client(url=gateway.url, api_key="key") as client:
        makes: list[Callable[[], object]] = [
            lambda: client.start("agent"),
            lambda: client.handle("run").fork(),
            lambda: client.handle("run").signal("go"),
            lambda: client.workflows.run("digest"),
            lambda: client.replays.create(["run"]),
            lambda: client.checkpoints.create("thread", {"n": 1}),
        ]
        keys: set[str] = set()
        for make in makes:
            gateway.requests.clear()
            gateway.answers.append((502, {}, b"<html>"))
            gateway.say(201, RECEIPT)
            make()
            assert len(gateway.requests) == 2
            assert len({json.dumps(body) for _, _, _, body in gateway.requests}) == 1
            assert gateway.requests[0][3]["id"]
            keys |= {headers["idempotency-key"] for _, _, headers, _ in gateway.requests}
    assert len(keys) == len(makes)


def test_what_changes_something_is_sent_again_under_one_key(gateway: Gateway) -> None:
    with omium.Client(url=gateway.url, api_key="key") as client:
        keys: list[str] = []
        for _ in range(2):
            gateway.requests.clear()
            gateway.say(503, _problem("unavailable", 503, True))
            gateway.say(200, RECEIPT)
            client.handle("run").pause("lunch")
            first, second = (headers["idempotency-key"] for _, _, headers, _ in gateway.requests)
            assert first == second
            keys.append(first)
    assert keys[0] != keys[1] and all(key.startswith("cmd_") for key in keys)


def test_what_reads_has_no_key(gateway: Gateway) -> None:
    gateway.say(200, {"id": "run"})
    with omium.Client(url=gateway.url, api_key="key") as client:
        client.get("run")
    assert "idempotency-key" not in gateway.requests[0][2]


def test_a_refusal_is_final(gateway: Gateway) -> None:
    gateway.say(409, _problem("execution_finished", 409, False))
    with omium.Client(url=gateway.url, api_key="key") as client, pytest.raises(OmiumError) as refused:
        client.handle("run").pause()
    assert refused.value.code == "execution_finished"
    assert len(gateway.requests) == 1


def test_an_unreachable_gateway_is_unavailable() -> None:
    # no service of today has this port, and no program is given it
    with omium.Client(url="http://127.0.0.1:1", api_key="key") as client, pytest.raises(OmiumError) as refused:
        client.agents()
    assert (refused.value.code, refused.value.retryable) == ("unavailable", True)


def _sse(*events: tuple[int, str]) -> Answer:
    text = ": heartbeat\n\n" + "".join(
        f"id: {version}\nevent: {kind}\ndata: {json.dumps({'version': version, 'type': kind})}\n\n"
        for version, kind in events
    )
    return 200, {"content-type": "text/event-stream"}, text.encode()


def _break_twice(gateway: Gateway) -> None:
    gateway.answers.append(_sse((1, "ExecutionRequested"), (2, "ExecutionStarted")))
    gateway.say(503, _problem("unavailable", 503, True))
    # what came twice is given once
    status, headers, rest = _sse((2, "ExecutionStarted"), (3, "ExecutionCompleted"))
    live_output = b'event: delta\ndata: {"path": "chat#1", "attempt": 1, "text": "Hel"}\n\n'
    gateway.answers.append((status, headers, live_output + rest))


def test_events_survive_broken_connections(gateway: Gateway) -> None:
    _break_twice(gateway)
    with omium.Client(url=gateway.url, api_key="key") as client:
        assert [event["version"] for event in client.handle("run").events()] == [1, 2, 3]
    assert [headers.get("last-event-id") for _, _, headers, _ in gateway.requests] == [None, "2", "2"]


def test_events_survive_broken_connections_asynchronously(gateway: Gateway) -> None:
    _break_twice(gateway)

    async def main() -> list[int]:
        async with omium.AsyncClient(url=gateway.url, api_key="key") as client:
            return [event["version"] async for event in client.handle("run").events()]

    assert asyncio.run(main()) == [1, 2, 3]


def test_live_output_comes_between_events(gateway: Gateway) -> None:
    _break_twice(gateway)
    with omium.Client(url=gateway.url, api_key="key") as client:
        seen = [one["text"] if "text" in one else one["version"] for one in client.handle("run").watch()]
    assert seen == [1, 2, "Hel", 3]


def test_bad_settings_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMIUM_API_KEY", raising=False)
    with pytest.raises(OmiumError, match=r"2 bad setting\(s\)\n.*OMIUM_URL.*\n.*OMIUM_API_KEY"):
        omium.Client(url="nowhere")


def test_going_back_and_starting_over(gateway: Gateway) -> None:
    answers: list[dict[str, Any]] = [RECEIPT, {"effects": []}, RECEIPT]
    for answer in answers:
        gateway.say(200, answer)
    item = {"name": "search", "entry": {"status": "completed", "path": "search#1", "kind": "step", "value": 1}}
    gateway.say(200, {"items": [item], "nextCursor": "1"})
    gateway.say(200, {"items": []})
    gateway.say(201, {"id": "rpl_1", "started": [], "refused": []})
    with omium.Client(url=gateway.url, api_key="key") as client:
        run = client.handle("run")
        run.roll_back("search#1", reason="worse", overrides={"models": {"*": "small"}})
        run.preview_roll_back(None)
        edits = omium.Edits(outputs={"search#1": {"found": 1}}, agent="next")
        forked = run.fork(to_path=None, edits=edits, options=omium.RunOptions(labels={"team": "a"}), id="fork")
        assert forked.id == "run"
        assert [(name, entry["path"]) for name, entry in run.journal()] == [("search", "search#1")]
        client.replays.create(agent="writer", last=3, start="chat#1", budget=9, id="mine")
    bodies = {path: body for _, path, _, body in gateway.requests}
    assert bodies["/v1/executions/run/rollback"] == {
        "toPath": "search#1",
        "reason": "worse",
        "overrides": {"models": {"*": "small"}},
    }
    assert bodies["/v1/executions/run/rollback/preview"] == {"toPath": None}
    assert bodies["/v1/executions/run/fork"] == {
        "id": "fork",
        "toPath": None,
        "options": {"labels": {"team": "a"}},
        "outputs": [{"path": "search#1", "output": {"found": 1}}],
        "agent": "next",
    }
    assert bodies["/v1/replays"] == {
        "id": "mine",
        "runs": {"agent": "writer", "last": 3},
        "from": {"path": "chat#1"},
        "budget": {"totalMicroCredits": 9},
    }


def test_workflows_are_run_as_executions(gateway: Gateway) -> None:
    receipt = {"id": "digest", "position": "1:7", "deduplicated": False, "executionId": "wf.digest.x"}
    gateway.say(201, {**receipt, "executionPosition": "0:3"})
    gateway.say(200, {**receipt, "deduplicated": True})
    with omium.Client(url=gateway.url, api_key="key") as client:
        run = client.workflows.run("digest", {"n": 1}, run_id="x", version=2)
        assert (run.id, run.position, run.created) == ("wf.digest.x", "0:3", True)
        again = client.workflows.run("digest", run_id="x")
        assert (again.id, again.position, again.created) == ("wf.digest.x", None, False)
    assert gateway.requests[0][1:2] + gateway.requests[0][3:] == (
        "/v1/workflows/digest/runs",
        {"parameters": {"n": 1}, "id": "x", "version": 2},
    )


def test_calls_are_made_as_told_and_logged(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        gateway.say(503, _problem("unavailable", 503, True))
    own = httpx.Client(trust_env=False)
    client = omium.Client(url=gateway.url, api_key="secret-key", http_client=own, headers={"x-team": "docs"})
    caplog.set_level(logging.DEBUG, logger="omium.client")
    with client.with_options(max_tries=1).with_options(max_tries=2) as hasty, pytest.raises(OmiumError) as refused:
        hasty.handle("run").pause()
    assert refused.value.code == "unavailable" and len(gateway.requests) == 2
    headers = gateway.requests[0][2]
    assert headers["x-team"] == "docs"
    assert headers["user-agent"].startswith(f"omium-python/{omium.__version__} python/3.")
    assert "POST /v1/executions/run/pause answered 503 in" in caplog.text
    assert "is tried again in" in caplog.text and "secret-key" not in caplog.text
    # whoever gives a client closes it
    client.close()
    assert not own.is_closed
    own.close()


def test_what_has_no_call_is_asked_for_by_its_path(gateway: Gateway) -> None:
    gateway.say(200, {"name": "Ours"})
    gateway.say(200, {"items": [1], "nextCursor": "c"})
    gateway.say(200, {"items": [2]})
    with omium.Client(url=gateway.url, api_key="key") as client:
        assert client.request("PATCH", "/v1/tenant", body={"name": "Ours"}, idempotency_key="mine") == {"name": "Ours"}
        assert list(client.pages("/v1/domains")) == [1, 2]
    assert gateway.requests[0][2]["idempotency-key"] == "mine"
    assert [path for _, path, _, _ in gateway.requests[1:]] == [
        "/v1/domains?limit=200",
        "/v1/domains?limit=200&cursor=c",
    ]


def test_a_feed_goes_on_after_what_was_taken(gateway: Gateway) -> None:
    def happened(version: int) -> dict[str, Any]:
        return {"execution": "a", "event": {"version": version, "type": "StepCompleted", "position": f"0:{version}"}}

    def sent(version: int) -> str:
        return f"id: 0:{version}\nevent: StepCompleted\ndata: {json.dumps(happened(version))}\n\n"

    stream = {"content-type": "text/event-stream"}
    gateway.say(200, {"items": [happened(1)], "after": "0:1", "nextCursor": "0:1"})
    gateway.say(200, {"items": [], "after": "0:2"})
    gateway.answers.append((200, stream, (sent(3) + 'id: 0:4\nevent: position\ndata: "0:4"\n\n').encode()))
    gateway.answers.append((200, stream, sent(5).encode()))
    gateway.answers.append((200, stream, b""))
    with omium.Client(url=gateway.url, api_key="key") as client:
        feed = client.follow(after=["0:0"])
        assert [next(feed)["event"]["version"] for _ in range(3)] == [1, 3, 5]
    assert [headers.get("last-event-id") for _, _, headers, _ in gateway.requests[2:4]] == ["0:2", "0:4"]


@pytest.mark.parametrize("cut", range(1, 5))
def test_lines_end_where_the_specification_says(cut: int) -> None:
    text = "a\u2028b\u0085c\r\nd\re\n\nf".encode()
    lines = Lines()
    found = [line for at in range(0, len(text), cut) for line in lines.feed(text[at : at + cut])]
    assert found == ["a\u2028b\u0085c", "d", "e", ""]
