"""States of frameworks are stored beside the runs: in order, bounded, and without a way to fail a run."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from omium.client import AsyncClient
from omium.client.checkpoints import NewCheckpoint
from omium.worker import state_keeper
from omium.worker.state_keeper import StateKeeper


class Gateway:
    """Takes checkpoints when it is let, and refuses those whose id begins with a status."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.open = threading.Event()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                gateway.open.wait(10)
                status = int(body["id"][:3]) if body["id"][:3].isdigit() else 201
                code = "checkpoint_conflict" if status == 409 else "invalid_request"
                answer: dict[str, Any] = {"thread": body["thread"], "position": "p", "deduplicated": False}
                if status != 201:
                    answer = {"code": code, "detail": "no", "retryable": False, "status": status}
                gateway.taken.append((body["thread"], body["id"]))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    # all are stored, however busy the machine is
    monkeypatch.setattr(state_keeper, "_CLOSE_WITHIN_S", 60)
    one = Gateway()
    yield one
    one.close()


def _state(thread: str, id: str) -> NewCheckpoint:
    return {"thread": thread, "id": id, "namespace": "spec", "state": {"json": {}}, "metadata": {}}


def _keeping(gateway: Gateway, states: list[NewCheckpoint]) -> None:
    async def main() -> None:
        client = AsyncClient(url=gateway.url, api_key="om_test_key")
        keeper = StateKeeper(client, logging.getLogger("spec.states"))
        for state in states:
            keeper.keep(state)
        # whoever keeps does not wait
        assert gateway.taken == []
        gateway.open.set()
        await keeper.close()
        await client.close()

    asyncio.run(main())


def test_states_of_a_run_are_stored_in_their_order(gateway: Gateway) -> None:
    _keeping(gateway, [_state(f"run-{n % 6}", f"step-{n}") for n in range(30)])
    assert len(gateway.taken) == 30
    for run in range(6):
        assert [id for thread, id in gateway.taken if thread == f"run-{run}"] == [
            f"step-{n}" for n in range(30) if n % 6 == run
        ]


def test_one_that_is_there_already_is_left_and_one_that_is_refused_is_a_warning(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    _keeping(gateway, [_state("run", "409-there"), _state("run", "step")])
    assert caplog.records == []
    gateway.taken.clear()
    _keeping(gateway, [_state("run", "400-bad"), _state("run", "after")])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert gateway.taken[-1] == ("run", "after")


def test_what_comes_faster_than_it_can_be_stored_is_dropped_oldest_first(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    _keeping(gateway, [_state("run", f"step-{n}") for n in range(100)])
    kept = [id for _, id in gateway.taken]
    assert kept[-1] == "step-99"
    assert len(kept) <= 33
    assert len(caplog.records) == 1
