"""Every model call of every framework that reaches its model over httpx or httpx2: recorded, and answered from the record.

The framework's own client is left as it is. The transports below it are wrapped once for the process; a request to a model
that is made by a run's own code becomes a step, any other passes.

1. An answer counts when it is recorded; only then does the framework see it. A stream is read to its end and recorded
   before its consumer sees any of it.
2. What does not change the answer is not part of a request's identity.
3. Failures are recorded as well, so that a framework that tries again does so on replay. The client's own retries are
   switched off: the step's policy is the one.
4. httpx2, which the `openai` package uses from version 3 on, has httpx's classes under its own name. What is answered is of
   the library that asked.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any, cast
from weakref import WeakKeyDictionary

import httpx

from ..errors import OmiumError
from ..json import JsonValue, dumps, plain_json
from ..llm.context import LLM_RETRY
from ..llm.model import Completion, Usage
from ..llm.openai import BoundedAnswer, StreamedAnswer, idempotency_header, refusal, unanswered
from ..llm.overrides import overridden
from ..llm.prices import usage_of, worst_case_micro_credits
from ..replay.run import Run
from ..replay.step_call import StepInfo, TryAgain
from ..sse import lines_of, parse_events_sync
from .journal import current_run, from_loop, from_thread, on_this_loop, record_call

_LIBRARIES = ("httpx", "httpx2")
_PATHS = ("/chat/completions", "/responses", "/embeddings")
_VOLATILE = ("user", "metadata", "stream_options", "store", "prompt_cache_key", "safety_identifier")

_Namer = Callable[[str], str]
_Show = Callable[[str], None]
_state: dict[str, Any] = {}
_refused: WeakKeyDictionary[Run, OmiumError] = WeakKeyDictionary()


def install(namer: _Namer) -> None:
    """Wraps the transports of httpx and httpx2, once. `namer` makes a readable name of a model's, and gives others back as they are."""
    namers: list[_Namer] = _state.setdefault("namers", [])
    if namer not in namers:
        namers.append(namer)
    for name in _LIBRARIES:
        if name not in _state:
            _state[name] = _wrap(name)


def _wrap(name: str) -> tuple[Any, Any] | None:
    """The library's own ways to send a request, which are replaced; None when it is not installed."""
    try:
        library: Any = importlib.import_module(name)
    except ModuleNotFoundError:
        return None
    own = (library.AsyncHTTPTransport.handle_async_request, library.HTTPTransport.handle_request)
    library.AsyncHTTPTransport.handle_async_request = _handle_async
    library.HTTPTransport.handle_request = _handle_sync
    return own


def _library_of(request: httpx.Request) -> Any:
    """The library that a request is of; annotated as httpx's, which the other one is a copy of."""
    return sys.modules[type(request).__module__.split(".")[0]]


def _send_async(transport: Any, request: httpx.Request) -> Any:
    return _state[_library_of(request).__name__][0](transport, request)


def _send_sync(transport: Any, request: httpx.Request) -> Any:
    return _state[_library_of(request).__name__][1](transport, request)


def _asked(request: httpx.Request) -> bool:
    return request.method == "POST" and request.url.path.endswith(_PATHS)


async def _handle_async(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
    run = current_run()
    if run is None or not _asked(request):
        return cast(httpx.Response, await _send_async(self, request))
    body = await request.aread()
    outgoing = _as_sent(run, request, body)

    async def send(show: _Show) -> tuple[httpx.Response, bytes]:
        outgoing.headers.update(idempotency_header())
        response = cast(httpx.Response, await _send_async(self, outgoing))
        incoming = _Incoming(response, show)
        try:
            async for part in response.aiter_bytes():
                incoming.feed(part)
            return response, incoming.content
        finally:
            await response.aclose()

    sending = on_this_loop(run, send)
    return cast(httpx.Response, await from_loop(run, lambda: _answer(run, request, body, sending)))


def _handle_sync(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
    run = current_run()
    if run is None or not _asked(request):
        return cast(httpx.Response, _send_sync(self, request))
    body = request.read()
    outgoing = _as_sent(run, request, body)

    def send(show: _Show) -> tuple[httpx.Response, bytes]:
        outgoing.headers.update(idempotency_header())
        response = cast(httpx.Response, _send_sync(self, outgoing))
        incoming = _Incoming(response, show)
        try:
            for part in response.iter_bytes():
                incoming.feed(part)
            return response, incoming.content
        finally:
            response.close()

    return cast(httpx.Response, from_thread(run, lambda: _answer(run, request, body, send)))


async def _answer(run: Run, request: httpx.Request, body: bytes, send: Callable[..., Any]) -> httpx.Response:
    asked = cast("dict[str, Any]", json.loads(body))
    identity = plain_json({key: asked[key] for key in asked if key not in _VOLATILE}, "the request to the model")
    kind = request.url.path.rsplit("/", 1)[-1]
    model = str(asked.get("model", ""))
    llm = run.port.llm
    library = _library_of(request)

    def record(info: StepInfo, response: httpx.Response, content: bytes) -> JsonValue:
        if not response.is_success:
            raise refusal(response, content.decode("utf-8", "replace"))
        text = content.decode("utf-8")
        streamed = "event-stream" in response.headers.get("content-type", "")
        try:
            answer = _whole_of(text) if streamed else json.loads(text)
        except ValueError as cause:
            raise OmiumError(
                "model_malformed", "the answer of the model provider cannot be read", cause=cause
            ) from cause
        info.report_usage(_usage(run, answer, model))
        return {"stream": text} if streamed else {"answer": cast(JsonValue, answer)}

    async def fn_async(info: StepInfo) -> JsonValue:
        try:
            response, content = await send(info.show)
        except library.TransportError as cause:
            raise unanswered(request.url, cause) from cause
        return record(info, response, content)

    def fn_sync(info: StepInfo) -> JsonValue:
        try:
            response, content = send(info.show)
        except library.TransportError as cause:
            raise unanswered(request.url, cause) from cause
        return record(info, response, content)

    under_budget = run.budget_micro_credits is not None
    try:
        recorded = await record_call(
            run,
            kind,
            _name_of(model),
            {"path": kind, "body": identity},
            fn_async if inspect.iscoroutinefunction(send) else fn_sync,
            kind="llm",
            base_retry=LLM_RETRY,
            reserve_micro_credits=worst_case_micro_credits(llm.prices, _overridden(run, kind, asked))
            if under_budget
            else None,
            reconcile=(lambda _: TryAgain()) if under_budget else None,
        )
    except OmiumError as error:
        _refused[run] = error
        if error.code in ("replay_mismatch", "replay_miss"):
            raise
        said = {"error": {"message": str(error), "type": error.code, "code": error.code}}
        headers = {"content-type": "application/json", "x-should-retry": "false"}
        return library.Response(error.status, headers=headers, content=dumps(said), request=request)
    if "stream" in recorded:
        headers = {"content-type": "text/event-stream"}
        stream = cast(str, recorded["stream"])
        shown = stream if _wants_usage(asked) else _without_usage(stream)
        return library.Response(200, headers=headers, content=shown.encode(), request=request)
    headers = {"content-type": "application/json"}
    return library.Response(200, headers=headers, content=dumps(recorded["answer"]), request=request)


class _Incoming:
    """An answer as it comes in: shown while it is streamed, bounded in any case."""

    def __init__(self, response: httpx.Response, show: _Show) -> None:
        self._answer = BoundedAnswer()
        self._show = show
        self._streamed = response.is_success and "event-stream" in response.headers.get("content-type", "")
        self._partial = b""

    def feed(self, part: bytes) -> None:
        self._answer.feed(part)
        if not self._streamed:
            return
        *lines, self._partial = (self._partial + part).split(b"\n")
        text = "".join(_text_in(line) for line in lines)
        if text:
            self._show(text)

    @property
    def content(self) -> bytes:
        return self._answer.content


def _text_in(line: bytes) -> str:
    """What a line of a stream adds to the text of the answer."""
    if not line.startswith(b"data:"):
        return ""
    try:
        event: Any = json.loads(line[5:])
        if event.get("type") == "response.output_text.delta":
            return str(event.get("delta") or "")
        return str(event["choices"][0]["delta"].get("content") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        # what can't be read is judged when the answer is whole
        return ""


def _name_of(model: str) -> str:
    """By the framework that knows who speaks: several may share a worker."""
    names = (namer(model) for namer in cast("list[_Namer]", _state["namers"]))
    return next((name for name in names if name != model), model)


def behind(run: Run, error: BaseException) -> BaseException:
    """The refusal of a model that a framework turned into an error of its own; the error itself when it is another."""
    refused = _refused.get(run)
    said: BaseException | None = error
    while refused is not None and said is not None:
        # the answer that the framework was given has the code in it, an exception its text
        if said is refused or refused.code in str(said) or refused.detail in str(said):
            return refused
        said = said.__cause__ or said.__context__
    return error


def _wants_usage(asked: dict[str, Any]) -> bool:
    options = cast("dict[str, Any]", asked.get("stream_options") or {})
    return bool(options.get("include_usage"))


def _overridden(run: Run, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Embeddings are compared with those of one model: another one would make them worthless."""
    return asked if kind == "embeddings" else overridden(asked, run.overrides)


def _as_sent(run: Run, request: httpx.Request, body: bytes) -> httpx.Request:
    """The request with the run's overrides; a stream tells its tokens only when asked to."""
    asked = cast("dict[str, Any]", json.loads(body))
    sent = _overridden(run, request.url.path.rsplit("/", 1)[-1], asked)
    if asked.get("stream") and request.url.path.endswith("/chat/completions") and not _wants_usage(asked):
        given = cast("dict[str, Any]", asked.get("stream_options") or {})
        sent = {**sent, "stream_options": {**given, "include_usage": True}}
    if sent is asked:
        return request
    library = _library_of(request)
    headers = library.Headers({name: value for name, value in request.headers.items() if name != "content-length"})
    return library.Request(
        request.method,
        request.url,
        headers=headers,
        content=dumps(sent),
        extensions=request.extensions,
    )


def _without_usage(stream: str) -> str:
    """The stream as a consumer expects it that did not ask for tokens: without the chunk that has no choice."""
    kept: list[str] = []
    for event in parse_events_sync(iter(lines_of(stream))):
        if event.data != "[DONE]" and json.loads(event.data).get("choices") == []:
            continue
        kept.append(f"data: {event.data}\n\n")
    return "".join(kept)


def _whole_of(text: str) -> dict[str, Any]:
    """The answer that a stream of completions adds up to. Raises OmiumError `model_malformed` when it broke off."""
    streamed = StreamedAnswer()
    for event in parse_events_sync(iter(lines_of(text))):
        streamed.feed(event.data, lambda _: None)
    return streamed.answer()


def _usage(run: Run, answer: dict[str, Any], model: str) -> Usage:
    used: dict[str, Any] = answer.get("usage") or {}
    completion: Completion = {
        "message": {"role": "assistant", "content": None},
        "finishReason": "stop",
        "model": str(answer.get("model") or model),
    }
    tokens_in = used.get("prompt_tokens", used.get("input_tokens"))
    tokens_out = used.get("completion_tokens", used.get("output_tokens"))
    if isinstance(tokens_in, int):
        completion["inputTokens"] = tokens_in
    if isinstance(tokens_out, int):
        completion["outputTokens"] = tokens_out
    cost = used.get("omium_cost_micro_credits")
    if isinstance(cost, int):
        completion["costMicroCredits"] = cost
    return usage_of(run.port.llm.prices, completion)
