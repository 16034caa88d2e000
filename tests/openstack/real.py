"""Real OpenStack on this machine: installed, configured, started and stopped, for the tests that ask for it.

    python -m tests.openstack.real [--machines]

keeps it running until it is interrupted, and writes the `clouds.yaml` of a customer. With --machines its servers are
machines of the local cloud that runs here, and all of it is where one of them is in the network, so that they reach it.

Nothing of it outlives the program. What it prepares once stays in a folder, so that the next start takes half a minute.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from localcloud import paths
from tests.machines import among_machines, ended_politely
from tests.openstack import configure, seed
from tests.openstack.configure import ADDRESS, DATABASES, EPMD, KEYSTONE, MARIADB, PASSWORD, PORTS, RABBITMQ, REGION

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
VENV = ROOT / ".venv/openstack"
STATE = ROOT / ".state/openstack"
CUSTOMER = STATE / "clouds.yaml"
PATIENCE = 240.0  # seconds for a service to start on a busy machine
MODULES = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "neutron": "neutron.wsgi.api",
    "nova": "nova.wsgi.osapi_compute",
}


def install() -> None:
    """Install what the requirements name, if that has not been done yet."""
    done, wanted = VENV / "installed", (ROOT / "requirements/openstack.txt").read_text()
    if done.exists() and done.read_text() == wanted:
        return
    subprocess.run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, VENV], check=True)
    what = ["--require-hashes", "--compile-bytecode", "--requirement", str(ROOT / "requirements/openstack.txt")]
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(VENV / "bin/python"), *what], check=True)
    done.write_text(wanted)


@contextmanager
def running(machines: Mapping[str, str] | None = None) -> Iterator[None]:
    """Run OpenStack while the block lasts; `machines` are the variables that name a local cloud with its machines."""
    install()
    with ExitStack() as stack:
        stack.enter_context(_started("mariadb", _mariadb(), MARIADB))
        stack.enter_context(_started("epmd", ["epmd", "-port", str(EPMD), "-address", ADDRESS], EPMD))
        stack.enter_context(_started("rabbitmq", ["/usr/lib/rabbitmq/bin/rabbitmq-server"], RABBITMQ))
        _prepare()
        for name in PORTS:
            stack.enter_context(_started(name, _uwsgi(name)))
        for name, port in PORTS.items():
            _await(name, port)
        seed.catalogue()  # without it, nova's other services end at once
        for name in ("conductor", "scheduler"):
            stack.enter_context(_started(f"nova-{name}", [str(VENV / f"bin/nova-{name}"), *_nova_conf()]))
        program = [str(VENV / "bin/python"), str(HERE / "plugins/parrotpark_compute.py"), *_nova_conf()]
        stack.enter_context(_started("nova-compute", program, more=machines))
        seed.goods()
        seed.await_compute()
        yield


def _mariadb() -> Sequence[str]:
    data = STATE / "mariadb"
    if _stale():
        shutil.rmtree(STATE, ignore_errors=True)
        for name in (
            "fernet",
            "credential",
            "images",
            "tasks",
            "staging",
            "nova",
            "neutron",
            "locks",
            "logs",
            "faults",
        ):
            (STATE / name).mkdir(parents=True)
        make = ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}", "--skip-test-db"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    for path, text in configure.files(VENV, STATE).items():
        (STATE / path).parent.mkdir(parents=True, exist_ok=True)
        (STATE / path).write_text(text)
    shutil.copy(VENV / "etc/nova/api-paste.ini", STATE / "nova")  # nova looks beside its nova.conf only
    lines = [f"CREATE DATABASE IF NOT EXISTS {name};" for name in DATABASES]
    lines += [f"CREATE USER IF NOT EXISTS openstack IDENTIFIED BY '{PASSWORD}';"]
    lines += ["GRANT ALL ON *.* TO openstack;"]
    (STATE / "init.sql").write_text("\n".join(lines) + "\n")
    # What a power cut would lose may be lost here.
    fast = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--skip-log-bin", "--sync-binlog=0"]
    own = [f"--bind-address={ADDRESS}", f"--port={MARIADB}", f"--socket={STATE}/mariadb.sock", "--skip-name-resolve"]
    own += ["--max-connections=400", f"--init-file={STATE}/init.sql", f"--pid-file={STATE}/mariadb.pid"]
    return ["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", *own, *fast]


def _uwsgi(name: str) -> Sequence[str]:
    # A connection that uwsgi closes although it was kept alive fails the next call of a service, so none is kept.
    return [
        str(VENV / "bin/uwsgi"),
        *("--http-socket", f"{ADDRESS}:{PORTS[name]}"),
        *("--module", MODULES[name], "--callable", "application"),
        *("--add-header", "Connection: close", "--buffer-size", "65535"),
        *("--master", "--need-app", "--lazy-apps", "--die-on-term", "--enable-threads", "--threads", "4"),
        *("--processes", "1", "--disable-logging", "--thunder-lock", "--home", str(VENV)),
    ]


def _nova_conf() -> Sequence[str]:
    return ["--config-file", str(STATE / "nova/nova.conf")]


def _environment() -> dict[str, str]:
    rabbit = STATE / "rabbitmq"
    comma = ADDRESS.replace(".", ",")
    return {
        "PATH": f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(STATE),
        "PYTHONPATH": str(HERE / "plugins"),
        "OS_KEYSTONE_CONFIG_FILES": str(STATE / "keystone/keystone.conf"),
        "OS_PLACEMENT_CONFIG_DIR": str(STATE / "placement"),
        "OS_GLANCE_CONFIG_DIR": str(STATE / "glance"),
        "OS_GLANCE_CONFIG_FILES": "glance-api.conf",
        "OS_NEUTRON_CONFIG_DIR": str(STATE / "neutron"),
        "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
        "OS_NOVA_CONFIG_DIR": str(STATE / "nova"),
        "PARROTPARK_FAULTS": str(STATE / "faults"),
        "RABBITMQ_NODENAME": "parrotpark@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": ADDRESS,
        "RABBITMQ_NODE_PORT": str(RABBITMQ),
        "RABBITMQ_DIST_PORT": "25676",
        "RABBITMQ_MNESIA_BASE": str(rabbit),
        "RABBITMQ_LOG_BASE": str(rabbit / "logs"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(rabbit / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(rabbit / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            f"-kernel inet_dist_use_interface {{{comma}}} -rabbit loopback_users [] +S 1:1"  # guest may come from there
        ),
        "ERL_EPMD_PORT": str(EPMD),
        "ERL_EPMD_ADDRESS": ADDRESS,
    }


@contextmanager
def _started(
    name: str, command: Sequence[str], port: int | None = None, more: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of its own process group while the block lasts; if we are killed, it is told to end too."""
    (STATE / "logs").mkdir(parents=True, exist_ok=True)
    with (STATE / f"logs/{name}").open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            env=_environment() | dict(more or {}),
            cwd=STATE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if port:
            _await(name, port)
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for each, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, each)
            process.wait(seconds)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _await(name: str, port: int) -> None:
    end = time.monotonic() + PATIENCE
    while not answers(port):
        if time.monotonic() > end:
            raise TimeoutError(f"{name} does not start: see {STATE}/logs/{name}")
        time.sleep(0.2)


def answers(port: int = PORTS["nova"]) -> bool:
    """Say whether something listens: with the port of nova, whether OpenStack runs already."""
    try:
        socket.create_connection((ADDRESS, port), 1.0).close()
    except OSError:
        return False
    return True


def _script(commands: Sequence[Sequence[str]]) -> Sequence[str]:
    return ["sh", "-c", " && ".join(shlex.join((f"{VENV}/bin/{name}", *rest)) for name, *rest in commands)]


def _fingerprint() -> str:
    sources = [ROOT / "requirements/openstack.txt", HERE / "configure.py"]
    read = [ADDRESS.encode(), *(source.read_bytes() for source in sources)]
    return hashlib.sha256(b"".join(read)).hexdigest()


def _stale() -> bool:
    done = STATE / "prepared"
    return not done.exists() or done.read_text() != _fingerprint()


def _prepare() -> None:
    """Make the tables of all databases, and the users of all services."""
    if not _stale():
        return
    nova = ("nova-manage", *_nova_conf())
    keystone = ("keystone-manage", "--config-file", str(STATE / "keystone/keystone.conf"))
    cell = ("--name", "one", "--database_connection", configure.database("nova"), "--transport-url", configure.QUEUE)
    both = ("--keystone-user", "root", "--keystone-group", "root")
    bootstrap = ("--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION)
    urls = [part for kind in ("admin", "internal", "public") for part in (f"--bootstrap-{kind}-url", KEYSTONE)]
    at_once = {
        "keystone": (
            (*keystone, "db_sync"),
            (*keystone, "fernet_setup", *both),
            (*keystone, "credential_setup", *both),
            (*keystone, "bootstrap", *bootstrap, *urls),
        ),
        "placement": (("placement-manage", "--config-file", str(STATE / "placement/placement.conf"), "db", "sync"),),
        "glance": (("glance-manage", "--config-file", str(STATE / "glance/glance-api.conf"), "db_sync"),),
        "neutron": (("neutron-db-manage", "--config-file", str(STATE / "neutron/neutron.conf"), "upgrade", "heads"),),
        "nova": (
            (*nova, "api_db", "sync"),
            (*nova, "cell_v2", "map_cell0", "--database_connection", configure.database("nova_cell0")),
            (*nova, "cell_v2", "create_cell", *cell),
            (*nova, "db", "sync"),
        ),
    }
    with ExitStack() as stack:
        began = {
            name: stack.enter_context(_started(f"prepare-{name}", _script(each))) for name, each in at_once.items()
        }
        for name, process in began.items():
            if process.wait(1200):
                raise RuntimeError(f"the database of {name} cannot be made: see {STATE}/logs/prepare-{name}")
    (STATE / "prepared").write_text(_fingerprint())


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: sys.exit())
    if "--machines" in sys.argv:
        install()  # out there are no registries
        with among_machines("openstack") as (address, before):
            token = (paths.TOKENS / "test").read_text()
            cloud = {"HCLOUD_ENDPOINT": f"http://{paths.GATEWAY}:{paths.API_PORT}/v1", "HCLOUD_TOKEN": token}
            environment = {**os.environ, **cloud, "OPENSTACK_ADDRESS": address}
            with ended_politely([*before, sys.executable, "-m", "tests.openstack.real"], environment) as process:
                assert process.stdout
                print(process.stdout.readline(), end="", flush=True)
                sys.exit(process.wait())
    with running({name: value for name, value in os.environ.items() if name.startswith("HCLOUD_")}):
        CUSTOMER.write_text(seed.project().clouds_yaml())
        print(f"OpenStack runs at {KEYSTONE}, for {CUSTOMER}", flush=True)
        while True:
            signal.pause()
