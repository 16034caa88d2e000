"""A cloud project in which there is nothing, and no way to make anything."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = {"page": 1, "per_page": 50, "previous_page": None, "next_page": None, "last_page": 1, "total_entries": 0}


class Cloud(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers["Authorization"] != "Bearer the-token-of-the-gpu-project-of-the-test":
            self.answer(401, {"error": {"code": "unauthorized", "message": "unable to authenticate", "details": None}})
        else:
            things = self.path.removeprefix("/v1/").partition("?")[0]
            self.answer(200, {things: [], "meta": {"pagination": PAGE}})

    def answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


ThreadingHTTPServer(("127.0.0.1", 8770), Cloud).serve_forever()
