"""Caddy as browsers, model clients and the host's owner meet it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from testinfra.host import Host

ROOT = "/srv/data/caddy/pki/authorities/local/root.crt"
ENDPOINT = "http://192.0.2.1:8001"

# Answers every GET with its own port, /ticks with one line every half second, and /origin with where the page is from.
SERVER = """
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        if self.path.endswith('/origin'):
            self.wfile.write(self.headers['Origin'].encode())
            return
        for tick in range(3 if self.path.endswith('/ticks') else 1):
            time.sleep(0.5 * tick)
            self.wfile.write(b'%d\\n' % self.server.server_port)
            self.wfile.flush()
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.do_GET()
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def serving(host: Host, port: int, program: str = SERVER) -> Iterator[None]:
    unit = f"test-server-{port}"
    host.check_output("systemd-run --quiet --unit=%s python3 -c %s %s", unit, program, str(port))
    host.check_output("curl --silent --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:%s", str(port))
    try:
        yield
    finally:
        host.check_output("systemctl stop %s", unit)


@pytest.fixture
def overlay(host: Host) -> Iterator[None]:
    """Bring up the address that Caddy has been listening on since before it was there."""
    host.check_output("ip address add 192.0.2.1/32 dev lo")
    yield
    host.check_output("ip address delete 192.0.2.1/32 dev lo")


def browse(host: Host, path: str, *options: str) -> str:
    result = host.run(f"curl --silent --cacert {ROOT} {' '.join(options)} https://localhost{path}")
    assert result.rc == 0, result.stderr
    return str(result.stdout)


def ask(host: Host) -> tuple[int, str]:
    """Ask the endpoint; returns status and body."""
    body, _, status = host.run(
        f"curl --silent --max-time 5 --write-out '\\n%{{http_code}}' {ENDPOINT}"
    ).stdout.rpartition("\n")
    return int(status), body.strip()


def test_runs_now_and_at_boot(host: Host) -> None:
    service = host.service("caddy.service")
    assert service.is_running
    assert service.is_enabled


def test_a_route_goes_to_its_upstream(host: Host) -> None:
    with serving(host, 4000), serving(host, 8080):
        assert browse(host, "/v1/models").strip() == "4000"
        assert browse(host, "/").strip() == "8080"


def test_a_body_that_is_too_long_is_refused(host: Host) -> None:
    body = "head --bytes=%d /dev/zero | curl --silent --output /dev/null --write-out '%%{http_code}' --data-binary @-"
    with serving(host, 8080):
        sizes = (900_000, 1_100_000)
        short, long = (host.run(f"{body % size} --cacert {ROOT} https://localhost/").stdout for size in sizes)
    assert short == "200"
    assert long in {"413", "502"}  # 502 from Debian's Caddy, where the proxy meets the bound while it reads


@pytest.mark.parametrize(
    ("host_name", "origin", "seen"),
    [
        ("localhost", "https://localhost", "https://localhost:8443"),
        ("localhost:9443", "https://localhost:9443", "https://localhost:8443"),
        ("localhost:9443", "https://evil.example:9443", "https://evil.example:9443"),
        ("localhost:9443", "http://localhost:9443", "http://localhost:9443"),
    ],
)
def test_a_page_is_the_applications_own_by_whatever_port_it_was_opened(
    host: Host, host_name: str, origin: str, seen: str
) -> None:
    with serving(host, 8080):
        assert browse(host, "/origin", f"--header 'Host: {host_name}'", f"--header 'Origin: {origin}'") == seen


def test_another_address_leads_to_the_right_one(host: Host) -> None:
    headers = host.check_output(f"curl --silent --head --cacert {ROOT} 'https://127.0.0.1/c/1?a=b'").lower()
    assert "location: https://localhost:8443/c/1?a=b" in headers


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/models/",
        "/v1/vector_stores",
        "/V1/vector_stores",
        "//v1/vector_stores",
        "/v1//vector_stores",
        "/%76%31/vector_stores",
        "/v1%2Fvector_stores",
        "/chat/../v1/vector_stores",
        "/v1/models/../vector_stores",
        "/v1/models/%2e%2e/vector_stores",
    ],
)
def test_what_is_not_named_is_not_served(host: Host, path: str) -> None:
    with serving(host, 4000), serving(host, 8080):
        answer = browse(host, path, "--path-as-is --include")
    assert answer.startswith("HTTP/2 404")
    assert json.loads(answer.splitlines()[-1])["error"]["message"] == "Nothing is served here."


def test_a_stream_is_not_held_back(host: Host) -> None:
    with serving(host, 8080):
        # All three ticks take 1.5 seconds.
        first = host.run(f"curl --silent --max-time 1 --cacert {ROOT} https://localhost/ticks").stdout
    assert first.split()[0] == "8080"


# Answers a request's headers with its own, and the request's body with the number of its bytes, as soon as it has each.
EARLY = """
import socket, sys
with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as server:
    while True:
        client, _ = server.accept()
        with client, client.makefile('rb') as lines:
            head = b''.join(iter(lines.readline, b'\\r\\n'))
            client.sendall(b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')
            count = b'%d' % len(lines.read(9)) if head.startswith(b'POST') else b'healthy'
            client.sendall(b'%x\\r\\n%s\\r\\n0\\r\\n\\r\\n' % (len(count), count))
"""
# Sends a request whose body comes a little later than its headers; prints what is answered.
LATE = """
import http.client, time
for _ in range(10):
    connection = http.client.HTTPConnection('192.0.2.1', 8001)
    connection.putrequest('POST', '/')
    connection.putheader('Content-Length', '9')
    connection.endheaders()
    time.sleep(0.2)
    connection.send(b'123456789')
    print(connection.getresponse().read().decode() or 'nothing')
"""


@pytest.mark.usefixtures("overlay")
def test_an_answer_is_whole_though_it_begins_before_the_request_has_ended(host: Host) -> None:
    with serving(host, 8101, EARLY):
        host.check_output("curl --silent --retry 20 --retry-all-errors --retry-delay 1 --fail %s", ENDPOINT)
        assert host.check_output("python3 -c %s", LATE).split() == ["9"] * 10


def test_browsers_are_told_to_load_nothing_from_elsewhere_and_not_to_insist_on_the_internal_ca(host: Host) -> None:
    with serving(host, 8080):
        headers = browse(host, "/", "--head --request GET").lower()
    assert "content-security-policy: default-src 'self'" in headers
    assert "strict-transport-security" not in headers


def test_the_log_has_no_secrets(host: Host) -> None:
    with serving(host, 8080):
        browse(host, "/?token=whisper-1", "--header 'Authorization: Bearer whisper-2'", "--header 'X-Key: whisper-3'")
    log = host.run("journalctl --unit=caddy --output=cat").stdout
    assert '"status":200' in log
    assert "whisper" not in log


@pytest.mark.usefixtures("overlay")
def test_without_servers_the_endpoint_says_so_at_once(host: Host) -> None:
    status, body = ask(host)
    assert status == 503
    assert "sleeps" in json.loads(body)["error"]["message"]


@pytest.mark.usefixtures("overlay")
def test_the_endpoint_finds_the_server_that_is_there(host: Host) -> None:
    with serving(host, 8102):
        host.check_output("sleep 3")  # longer than a health check
        assert [ask(host) for _ in range(4)] == [(200, "8102")] * 4


@pytest.mark.usefixtures("overlay")
def test_a_server_that_went_silent_costs_no_request(host: Host) -> None:
    with serving(host, 8101), serving(host, 8102):
        host.check_output("sleep 3")  # longer than a health check
        host.check_output(
            "nft 'add table ip silent; add chain ip silent out { type filter hook output priority 0; };"
            " add rule ip silent out tcp dport 8101 drop'"
        )
        try:
            # At once, so that each server is the less busy one for some.
            answers = host.check_output(
                f"curl --silent --parallel --parallel-immediate --write-out '\\n%{{http_code}}\\n' {ENDPOINT}/[1-8]"
            )
        finally:
            host.check_output("nft delete table ip silent")
    assert sorted(answers.split()) == ["200"] * 8 + ["8102"] * 8


def test_administration_is_not_reached_over_the_network(host: Host) -> None:
    listening = host.check_output("ss -Hltnp | grep '\"caddy\"' | tr -s ' ' | cut -d' ' -f4").splitlines()
    assert set(listening) == {"*:80", "*:443", "192.0.2.1:8001", "127.0.0.1:8003"}


def test_files_are_served_as_they_are(host: Host) -> None:
    host.check_output("mkdir -p /run/leases && echo 1800000000 >/run/leases/gpu-1")
    assert host.check_output("curl -sf http://127.0.0.1:8003/gpu-1") == "1800000000"
    assert host.check_output("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8003/") == "404"
