"""A gateway that answers every chat with the same words, or names the tools it got, and embeds as strictly as vLLM:
what is too long is refused.

To a model of any script a character may be a token, so every character counts as one here.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zlib import crc32

CONTEXT = 256
AROUND = 2  # tokens that a model puts before and behind a text
DIMENSIONS = 64


def vector(text: str) -> list[float]:
    """Count the words: texts that share some are near each other."""
    counts = [0.001] * DIMENSIONS
    for word in text.split():
        counts[crc32(word.encode()) % DIMENSIONS] += 1.0
    return counts


class Upstream(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer the-upstream-key-of-the-test":
            self.send_error(401)
        elif self.path != "/v1/embeddings":
            tools = [tool["function"]["name"] for tool in request.get("tools", [])]
            message = {"role": "assistant", "content": f"I could call {tools}." if tools else "The capital is Paris."}
            self.answer({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        elif max(map(len, request["input"])) > CONTEXT - AROUND:
            self.send_error(400)
        else:
            self.answer({"data": [{"embedding": vector(text)} for text in request["input"]]})

    def answer(self, said: dict[str, object]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())


ThreadingHTTPServer(("127.0.0.1", 8001), Upstream).serve_forever()
