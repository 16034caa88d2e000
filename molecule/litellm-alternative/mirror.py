"""Stands for the server of Prisma's engines: each starts the WASM build, and says that it is what was asked for.

/srv/asked has what was asked for, a line each. LiteLLM's schema has engines of other platforms fetched as well; they
do not run here.
"""

import gzip
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ENGINE = """#!/bin/sh
[ "$1" = --version ] && exec echo {name} {commit}
exec /srv/engine/query-engine "$@"
"""
FOREIGN = "#!/bin/sh\nexit 127\n"
NATIVE = "debian-openssl-3.0.x"
ENGINES = ("query-engine", "schema-engine")


class Mirror(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        # /all_commits/COMMIT/PLATFORM/ENGINE.gz, and .sha256 of it packed and unpacked
        _, _, commit, platform, file = self.path.split("/")
        name = file.partition(".")[0]
        with Path("/srv/asked").open("a") as asked:
            asked.write(f"{platform} {file}\n")
        if name not in ENGINES:
            self.send_error(404)
            return
        content = (ENGINE.format(name=name, commit=commit) if platform == NATIVE else FOREIGN).encode()
        if ".gz" in file:
            content = gzip.compress(content, mtime=0)
        if file.endswith(".sha256"):
            content = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


ThreadingHTTPServer(("127.0.0.1", 8010), Mirror).serve_forever()
