"""A model server that answers every chat with the same words and token counts, whole or streamed, and only once."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
WORDS = ["The ", "capital ", "is ", "Paris", "."]


class Upstream(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer the-upstream-key-of-the-test":
            self.send_error(401)
        elif "user" in request:
            self.send_error(400, "who asks is nobody's business here")
        elif request.get("n", 1) > 1:
            error = {"message": "n must be 1", "type": "invalid_request_error", "param": None, "code": 400}
            self.answer("application/json", json.dumps({"error": error}), status=400)
        elif request.get("stream"):
            parts: list[dict[str, object]] = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in WORDS]
            parts.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            if request.get("stream_options", {}).get("include_usage"):
                parts.append({"choices": [], "usage": USAGE})
            events = [json.dumps({"id": "1", "object": "chat.completion.chunk", **part}) for part in parts]
            self.answer("text/event-stream", "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]))
        elif self.path.endswith("/embeddings"):
            vector = {"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}
            embedded = {"object": "list", "data": [vector], "usage": USAGE, "model": "stand-in"}
            self.answer("application/json", json.dumps(embedded))
        else:
            message = {"role": "assistant", "content": "".join(WORDS)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.answer(
                "application/json", json.dumps({"id": "1", "choices": [choice], "usage": USAGE, "model": "stand-in"})
            )

    def answer(self, kind: str, body: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())


ThreadingHTTPServer(("127.0.0.1", 8001), Upstream).serve_forever()
