"""The face of Scaleway's API with machines of the local cloud behind it, for as long as the program runs.

    python -m tests.scaleway_on_machines

says what an inventory needs to name it: a JSON of the cloud. Its state is in memory, its machines end with it.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer
from hcloud.ssh_keys import BoundSSHKey

from parrotpark.cloud import Account
from parrotpark.cloud.api import same_key
from tests.cloud_in_memory import listening
from tests.machines import among_machines, client, ended_politely, settle
from tests.scaleway_in_memory import PROJECT, SECRET, ZONE, Scaleway, Thing, create_app

PREFIX = "scaleway-"  # of the names of its machines
MACHINE_TYPE, LOCATION = "ccx33", "nbg1"  # elsewhere than the hosts of the demo, which tests let be scarce


class OnMachines(Scaleway):
    """Does with machines what the API says of servers; what takes a while is begun by `work`."""

    def __init__(self) -> None:
        self._cloud = client("test")
        self._images: dict[str, int] = {}  # image of the local cloud by snapshot
        super().__init__()

    def _started(self, server: Thing) -> None:
        machine = self._machine(server)
        if machine:
            settle(machine.power_on())
        else:
            machine = self._made(server)
        super()._started(server)
        assert machine.public_net
        assert machine.public_net.ipv4
        server["public_ips"][0]["address"] = machine.public_net.ipv4.ip

    def _stopped(self, server: Thing) -> None:
        machine = self._machine(server)
        assert machine
        settle(machine.power_off())
        super()._stopped(server)

    def _remove(self, id_: str) -> None:
        if machine := self._machine(self.servers[id_]):
            settle(machine.delete())
        super()._remove(id_)

    def _copied(self, snapshot: Thing) -> None:
        image = self.images[snapshot["references"][0]["product_resource_id"]]
        machine = self._machine(self.servers[image["from_server"]])
        assert machine
        made = machine.create_image(type="snapshot")
        settle(made.action)
        assert made.image.id
        self._images[snapshot["id"]] = made.image.id
        super()._copied(snapshot)

    def _made(self, server: Thing) -> BoundServer:
        number = self._images.get(server["image"]["root_volume"]["id"])
        answer = self._cloud.servers.create(
            f"{PREFIX}{server['id']}",
            ServerType(name=MACHINE_TYPE),
            self._cloud.images.get_by_id(number) if number else Image(name="debian-13"),
            location=Location(name=LOCATION),
            ssh_keys=[self._key(key["public_key"]) for key in self.keys.values()],
            user_data=self.user_data.get(server["id"], b"").decode(),
        )
        settle(answer.action, *answer.next_actions)
        return answer.server

    def _machine(self, server: Thing) -> BoundServer | None:
        return self._cloud.servers.get_by_name(f"{PREFIX}{server['id']}")

    def _key(self, public_key: str) -> BoundSSHKey:
        for key in self._cloud.ssh_keys.get_all():
            if same_key(str(key.public_key), public_key):
                return key
        return self._cloud.ssh_keys.create(f"{PREFIX}{time.time_ns()}", public_key)


def serve(address: str) -> None:
    """Serve it there until the program is ended."""
    face = OnMachines()
    with tempfile.TemporaryDirectory() as directory, listening(create_app(face), address) as origin:
        file = Path(directory, "secret-key")
        file.write_text(SECRET)
        print(json.dumps(Account("scaleway", "scaleway", str(file), origin, ZONE, PROJECT).to_dict()), flush=True)
        while True:
            time.sleep(0.5)
            face.work()


def main() -> None:
    """Run it among the machines, which have to reach it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    if sys.argv[1:]:
        serve(sys.argv[1])
    command = [sys.executable, "-m", "tests.scaleway_on_machines"]
    with among_machines("scaleway") as (address, before), ended_politely([*before, *command, address]) as process:
        assert process.stdout
        print(process.stdout.readline(), end="", flush=True)
        process.wait()


if __name__ == "__main__":
    main()
