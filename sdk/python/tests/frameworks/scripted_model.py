"""An OpenAI-compatible endpoint for tests of adapters: answers by what it is asked, with random ids as real ones have."""

import json
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ScriptedModel:
    """A message that says `use NAME(JSON)` is answered by that tool call, until its result is there."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        """how often each request was received"""
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                model.calls[json.dumps([asked["messages"], bool(asked.get("stream"))])] += 1
                message = _message(asked["messages"])
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

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _message(messages: list[dict[str, Any]]) -> dict[str, Any]:
    last = messages[-1]
    text = str(last["content"])
    if last["role"] != "tool" and "use " in text:
        name, _, arguments = text.split("use ", 1)[1].partition("(")
        call = {"name": name, "arguments": arguments.split(")", 1)[0]}
        tool_call = {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": call}
        return {"role": "assistant", "content": None, "tool_calls": [tool_call]}
    return {"role": "assistant", "content": f"on {text}"}
