"""Real machines of the local cloud, for the tests that ask for them. Those need root."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hcloud import APIException, Client
from hcloud.images.domain import Image
from hcloud.locations.domain import Location
from hcloud.server_types.domain import ServerType
from hcloud.servers.client import BoundServer
from hcloud.ssh_keys.client import BoundSSHKey
from hcloud.volumes.client import BoundVolume

from tests.cloud_in_memory import Served, serving
from tests.machines import PREFIX, Boot, Machine, client, settle, start_local_cloud


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-fault", action="store_true", help="try every fault at every request of each provider")
    parser.addoption("--openstack", action="store_true", help="also run what takes a real OpenStack on this machine")


@pytest.fixture(scope="session")
def real_openstack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served | None]:
    """A real OpenStack before a local cloud in memory, which is yielded; None if it runs already, as somebody's."""
    if not request.config.getoption("--openstack"):
        pytest.skip("takes a real OpenStack: see --openstack")
    from tests.openstack import real  # only this needs openstacksdk

    if real.answers():
        yield None
        return
    with serving(tmp_path_factory.mktemp("machines")) as served, real.running(served.environment):
        yield served


@pytest.fixture(scope="module")
def local_cloud() -> Client:
    """The local cloud, started or adopted."""
    start_local_cloud()
    return client("test")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client's key, and a host key that all machines are given."""
    directory = tmp_path_factory.mktemp("keys")
    for name in ("client", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", directory / name], check=True)
    (directory / "known_hosts").write_text(f"10.77.0.* {(directory / 'host.pub').read_text()}")
    return directory


@pytest.fixture(scope="module")
def ssh_key(local_cloud: Client, keys: Path) -> Iterator[BoundSSHKey]:
    """The client's key, as the API knows it."""
    key = local_cloud.ssh_keys.create(f"{PREFIX}key", (keys / "client.pub").read_text().strip())
    yield key
    key.delete()


@pytest.fixture(scope="module")
def boot(local_cloud: Client, keys: Path, ssh_key: BoundSSHKey) -> Iterator[Boot]:
    """Boots machines, and deletes them in the end."""
    made: list[BoundServer] = []
    host_key = (keys / "host").read_text().replace("\n", "\n    ")
    seed = f"#cloud-config\nssh_keys:\n  ed25519_private: |\n    {host_key}\n"
    seed += f"  ed25519_public: {(keys / 'host.pub').read_text()}\n"

    def boot(
        name: str,
        user_data: str = "",
        image: str = "debian-13",
        volume: BoundVolume | None = None,
        server_type: str = "cx23",
    ) -> Machine:
        found = local_cloud.images.get_by_id(int(image)) if image.isdecimal() else Image(name=image)
        answer = local_cloud.servers.create(
            name=f"{PREFIX}{name}",
            server_type=ServerType(name=server_type),
            image=found,
            location=Location(name="fsn1"),
            ssh_keys=[ssh_key],
            volumes=[volume] if volume else [],
            user_data=seed + user_data,
        )
        made.append(answer.server)
        settle(answer.action, *answer.next_actions)
        machine = Machine(answer.server, keys)
        machine.await_boot()
        return machine

    yield boot
    for server in made:
        with suppress(APIException):  # a test deleted it
            settle(server.delete())


@pytest.fixture(scope="module")
def volume(local_cloud: Client) -> Iterator[BoundVolume]:
    """A formatted volume."""
    answer = local_cloud.volumes.create(size=10, name=f"{PREFIX}data", location=Location(name="fsn1"), format="ext4")
    settle(answer.action)
    yield answer.volume
    answer.volume.reload()
    if answer.volume.server:
        settle(answer.volume.detach())
    answer.volume.delete()


@pytest.fixture(scope="module")
def one(boot: Boot, volume: BoundVolume) -> Machine:
    """A machine with a volume and user data."""
    return boot("one", "write_files:\n- {path: /root/told, content: told}\nruncmd: [touch /root/ran]\n", volume=volume)


@pytest.fixture(scope="module")
def two(boot: Boot) -> Machine:
    """Its neighbour."""
    return boot("two")
