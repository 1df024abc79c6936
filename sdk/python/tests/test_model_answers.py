"""What a model provider may send, to `ctx.llm` and to the client of a framework: shown, bounded, and judged."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

import omium
from omium import Context, OmiumError
from omium.adapters import model_calls
from omium.llm.openai import OpenAiCompatible
from omium.replay.run import Run
from omium.testing import run_agent

CHUNK = {"model": "m", "choices": [{"delta": {"content": "x" * 65_536}}]}


class Provider:
    """Answers as its path says: `/v1/<behaviour>/chat/completions`."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                behaviour = self.path.split("/")[2]
                streamed = behaviour.startswith("stream")
                self.send_response(200)
                self.send_header("content-type", "text/event-stream" if streamed else "application/json")
                self.end_headers()
                try:
                    for part in getattr(self, behaviour.replace("-", "_"))():
                        self.wfile.write(part)
                except (BrokenPipeError, ConnectionResetError):
                    return

            def nonsense(self) -> Iterator[bytes]:
                yield b"<html>busy</html>"

            def nothing(self) -> Iterator[bytes]:
                yield b"{}"

            def endless(self) -> Iterator[bytes]:
                yield b'{"choices": [{"message": {"content": "'
                while True:
                    yield b"x" * 65_536

            def stream_endless(self) -> Iterator[bytes]:
                while True:
                    yield f"data: {json.dumps(CHUNK)}\n\n".encode()

            def stream_nonsense(self) -> Iterator[bytes]:
                yield b"data: {nonsense\n\ndata: [DONE]\n\n"

            def stream_cut(self) -> Iterator[bytes]:
                yield b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'

            def stream(self) -> Iterator[bytes]:
                for text in ("Hel", "lo ", "there"):
                    yield f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n".encode()
                end: dict[str, Any] = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
                yield f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode()

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    one = Provider()
    yield one
    one.close()


@pytest.fixture
def deltas(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Live output of all runs."""
    shown: list[str] = []
    begin = Run.__init__

    def listened(self: Run, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        send = self.port.send

        def listen(message: dict[str, Any]) -> None:
            if message["type"] == "delta":
                shown.append(f"{message['path'].split(':')[0]}: {message['text']}")
            send(message)

        self.port.send = listen  # type: ignore[method-assign]

    monkeypatch.setattr(Run, "__init__", listened)
    return shown


@omium.agent()
async def by_framework(url: str, ctx: Context) -> str:
    model_calls.install(lambda model: model)
    body: dict[str, Any] = {"model": "m", "messages": [], "stream": "stream" in url}
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/chat/completions", json=body)
    return answer.text if answer.is_success else str(answer.json()["error"]["code"])


@omium.agent()
async def by_framework_in_thread(url: str, ctx: Context) -> str:
    import asyncio

    model_calls.install(lambda model: model)

    def ask() -> str:
        with httpx.Client() as client:
            body: dict[str, Any] = {"model": "m", "messages": [], "stream": "stream" in url}
            answer = client.post(f"{url}/chat/completions", json=body)
        return answer.text if answer.is_success else str(answer.json()["error"]["code"])

    return await asyncio.to_thread(ask)


def by_ctx_llm(url: str, shown: list[str]) -> str:
    """As `ctx.llm` asks, without its retries."""
    import asyncio

    async def main() -> str:
        complete = OpenAiCompatible(url, None)
        try:
            completion = await complete({"model": "m", "messages": []}, shown.append if "stream" in url else None)
        except OmiumError as error:
            return error.code
        finally:
            await complete.close()
        return str(completion["message"]["content"])

    return asyncio.run(main())


@pytest.mark.parametrize(
    "behaviour", ["nonsense", "nothing", "endless", "stream-endless", "stream-nonsense", "stream-cut"]
)
def test_an_answer_that_is_none_is_malformed_for_ctx_llm(provider: Provider, behaviour: str) -> None:
    assert by_ctx_llm(f"{provider.url}/{behaviour}", []) == "model_malformed"


@pytest.mark.parametrize("agent", [by_framework, by_framework_in_thread], ids=["async", "sync"])
@pytest.mark.parametrize("behaviour", ["nonsense", "endless", "stream-endless", "stream-nonsense", "stream-cut"])
def test_an_answer_that_is_none_is_malformed_for_a_framework(provider: Provider, agent: Any, behaviour: str) -> None:
    assert run_agent(agent, f"{provider.url}/{behaviour}", limit=20).output == "model_malformed"


@pytest.mark.parametrize("agent", [by_framework, by_framework_in_thread], ids=["async", "sync"])
def test_the_stream_of_a_framework_is_shown_while_it_comes(provider: Provider, deltas: list[str], agent: Any) -> None:
    assert "Hel" in run_agent(agent, f"{provider.url}/stream", limit=20).output
    assert (
        "".join(delta.removeprefix("chat/completions: ").removeprefix("completions: ") for delta in deltas)
        == "Hello there"
    )


def test_the_stream_of_ctx_llm_is_shown_while_it_comes(deltas: list[str]) -> None:
    @omium.agent()
    async def streaming(_: None, ctx: Context) -> str:
        return (await ctx.llm.chat(model="m", messages=[], stream=True))["content"]

    assert run_agent(streaming, llm=["Hello there"]).output == "Hello there"
    assert deltas and set(delta.split(": ")[0] for delta in deltas) == {"chat#1"}


def test_a_step_shows_what_it_does_from_its_thread(deltas: list[str]) -> None:
    @omium.agent()
    async def showing(_: None, ctx: Context) -> None:
        await ctx.step("long", lambda info: info.show("y" * 100_000))

    run_agent(showing)
    assert [len(delta) for delta in deltas] == [65_536 + len("long#1: "), 100_000 - 65_536 + len("long#1: ")]
