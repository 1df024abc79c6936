"""An OpenAI-compatible endpoint for tests of adapters: answers by what it is asked, with random ids as real ones have."""

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ScriptedModel:
    """A message that says `use NAME(JSON)` is answered by that tool call, when it is offered, until its result is there.

    So is a system message, whatever is asked. A request with `hang` in it is never answered. Embeddings are near to each other
    when they are of texts with the same words.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """how often each request was received"""
        self.script: Callable[[dict[str, Any]], str | int | None] = lambda asked: None
        """the answer to a request, or the status of its refusal; None leaves it to the rules above"""
        self.tool_calls: Callable[[dict[str, Any]], list[tuple[str, dict[str, Any]]]] = lambda asked: []
        """tools that are to be called at once, by name and arguments"""
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path.endswith("/embeddings"):
                    self.embed(asked)
                    return
                model.calls[json.dumps([asked["messages"], bool(asked.get("stream"))])] += 1
                scripted = model.script(asked)
                if isinstance(scripted, int):
                    self.send_error(scripted)
                    return
                if "hang" in str(asked["messages"]):
                    # until the caller gives up
                    self.rfile.read(1)
                    return
                message = _message(asked) if scripted is None else {"role": "assistant", "content": scripted}
                together = model.tool_calls(asked)
                if together and scripted is None:
                    message = {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [_tool_call(*one) for one in together],
                    }
                usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
                base = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": 0, "model": "scripted"}
                finish = "tool_calls" if "tool_calls" in message else "stop"
                self.send_response(200)
                if asked.get("stream"):
                    self.send_header("content-type", "text/event-stream")
                    self.end_headers()
                    chunk = {**base, "object": "chat.completion.chunk"}
                    if "tool_calls" in message:
                        message["tool_calls"] = [
                            {"index": index, **call} for index, call in enumerate(message["tool_calls"])
                        ]
                    for choice in ({"delta": message, "finish_reason": None}, {"delta": {}, "finish_reason": finish}):
                        part = {**chunk, "choices": [{"index": 0, **choice}]}
                        self.wfile.write(f"data: {json.dumps(part)}\n\n".encode())
                    last = {**chunk, "choices": [], "usage": usage}
                    self.wfile.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())
                    return
                self.send_header("content-type", "application/json")
                self.end_headers()
                choice = {"index": 0, "message": message, "finish_reason": finish}
                answer = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
                self.wfile.write(json.dumps(answer).encode())

            def embed(self, asked: dict[str, Any]) -> None:
                texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
                model.calls[json.dumps(["embed", texts])] += 1
                data = [
                    {"object": "embedding", "index": index, "embedding": _vector(text)}
                    for index, text in enumerate(texts)
                ]
                usage = {"prompt_tokens": 4 * len(texts), "total_tokens": 4 * len(texts)}
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                answer = {"object": "list", "model": "scripted-embedding", "data": data, "usage": usage}
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _vector(text: str) -> list[float]:
    """Near to those of texts with the same words."""
    counts = [0.0] * 32
    for word in text.lower().split():
        counts[sum(word.encode()) % 32] += 1.0
    length = sum(count * count for count in counts) ** 0.5 or 1.0
    return [count / length for count in counts]


def _message(asked: dict[str, Any]) -> dict[str, Any]:
    messages = asked["messages"]
    last = messages[-1]
    text = _text_of(last)
    offered = [tool["function"]["name"] for tool in asked.get("tools") or []]
    system = " ".join(_text_of(one) for one in messages if one["role"] in ("system", "developer"))
    for order in (text, system):
        if last["role"] == "tool" or "use " not in order:
            continue
        name, _, arguments = order.split("use ", 1)[1].partition("(")
        if name not in offered:
            continue
        call = {"name": name, "arguments": arguments.split(")", 1)[0]}
        tool_call = {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": call}
        return {"role": "assistant", "content": None, "tool_calls": [tool_call]}
    return {"role": "assistant", "content": f"on {text}"}


def _text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return " ".join(part["text"] for part in content) if isinstance(content, list) else str(content)


def _tool_call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    call = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": call}
