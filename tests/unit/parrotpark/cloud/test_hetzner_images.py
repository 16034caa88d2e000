"""Snapshots and leftovers of Hetzner Cloud, against the local cloud's API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hcloud import Client
from hcloud.locations import Location

from parrotpark.cloud import Account, Leftover, Offer, Server, ServerSpec
from parrotpark.cloud.errors import CloudError, NotFound, Transient
from parrotpark.cloud.hetzner import HetznerCloud
from tests.cloud_in_memory import Served

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import Network

pytestmark = pytest.mark.usefixtures("impatient")

LABELS = {"parrotpark-role": "gpu-image", "parrotpark-fingerprint": "f"}


@pytest.fixture
def client(local_cloud: Served, token: str) -> Client:
    return Client(token, api_endpoint=local_cloud.endpoint)


@pytest.fixture
def server(hetzner: HetznerCloud) -> Server:
    return hetzner.create(ServerSpec("gpu-bake", Offer("gpu", "fsn1", "ccx33"), "debian-13", {"a": "b"}))


# ---- Images -----------------------------------------------------------------------------------------------------


def test_an_image_is_made_of_a_server_that_is_off_listed_booted_and_deleted(
    hetzner: HetznerCloud, server: Server, local_cloud: Served
) -> None:
    before = int(time.time())
    image = hetzner.snapshot(server, "golden", LABELS)
    assert (image.description, dict(image.labels)) == ("golden", LABELS)
    assert before <= image.created <= time.time()
    calls = local_cloud.backend.calls
    assert calls.index("stop") < calls.index("snapshot")
    assert "pull" not in calls
    assert hetzner.images({"parrotpark-role": None}) == (image,)
    assert hetzner.images({"parrotpark-fingerprint": "other"}) == ()
    spec = ServerSpec("gpu-1", Offer("gpu", "fsn1", "ccx33"), image.id, {})
    hetzner.check([spec])
    assert hetzner.create(spec).image == image.id
    hetzner.delete_image(image)
    hetzner.delete_image(image)
    assert hetzner.images({}) == ()


def test_the_newest_image_comes_first(hetzner: HetznerCloud, server: Server) -> None:
    first, second = (hetzner.snapshot(server, "golden", {"number": number}) for number in "12")
    assert hetzner.images({"number": None}) == (second, first)


def test_a_server_that_does_not_shut_down_loses_its_power(
    hetzner: HetznerCloud, server: Server, local_cloud: Served
) -> None:
    local_cloud.backend.fails = {"stop"}
    hetzner.snapshot(server, "golden", LABELS)
    calls = local_cloud.backend.calls
    assert calls.index("stop") < calls.index("pull") < calls.index("snapshot")


def test_an_image_is_made_once(hetzner: HetznerCloud, server: Server, local_cloud: Served) -> None:
    image = hetzner.snapshot(server, "golden", LABELS)
    assert hetzner.snapshot(server, "golden", LABELS) == image
    assert hetzner.snapshot(server, "golden", {**LABELS, "other": "label"}) != image
    assert local_cloud.backend.calls.count("snapshot") == 2


def test_an_image_of_another_server_is_not_mistaken_for_it(hetzner: HetznerCloud, server: Server) -> None:
    other = hetzner.create(ServerSpec("gpu-1", Offer("gpu", "fsn1", "ccx33"), "debian-13", {}))
    assert hetzner.snapshot(server, "golden", LABELS) != hetzner.snapshot(other, "golden", LABELS)


def test_an_image_whose_answer_was_lost_is_found(
    hetzner: HetznerCloud, server: Server, local_cloud: Served, network: Network
) -> None:
    network.spoil("lost", call="/actions/create_image")
    image = hetzner.snapshot(server, "golden", LABELS)
    assert hetzner.images({}) == (image,)
    assert local_cloud.backend.calls.count("snapshot") == 1


def test_an_image_that_is_still_being_made_is_waited_for(
    server: Server, local_cloud: Served, account: Account, token: str, client: Client
) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        local_cloud.backend.gate.set()

    patient = HetznerCloud(account, token, sleep=wait)
    local_cloud.backend.gate.clear()
    begun = client.servers.get_by_id(int(server.id)).create_image("golden", labels=LABELS).image
    assert patient.images({}) == ()
    assert patient.snapshot(server, "golden", LABELS).id == str(begun.id)
    assert waited
    assert local_cloud.backend.calls.count("snapshot") == 1


def test_an_image_that_fails_leaves_the_server(hetzner: HetznerCloud, server: Server, local_cloud: Served) -> None:
    local_cloud.backend.fails = {"snapshot"}
    with pytest.raises(Transient, match="snapshot does not work today"):
        hetzner.snapshot(server, "golden", LABELS)
    assert hetzner.images({}) == ()
    assert [each.name for each in hetzner.servers({})] == ["gpu-bake"]


def test_a_server_that_is_gone_is_named(hetzner: HetznerCloud, server: Server) -> None:
    hetzner.delete(server)
    with pytest.raises(NotFound, match=f"'{server.id}' not found"):
        hetzner.snapshot(server, "golden", LABELS)


def test_an_image_that_is_gone_makes_no_server(hetzner: HetznerCloud) -> None:
    with pytest.raises(CloudError, match="image '4711' not found"):
        hetzner.create(ServerSpec("gpu-1", Offer("gpu", "fsn1", "ccx33"), "4711", {}))
    assert hetzner.servers({}) == ()


# ---- Leftovers --------------------------------------------------------------------------------------------------


def test_what_no_server_uses_is_listed_and_deleted(hetzner: HetznerCloud, server: Server, client: Client) -> None:
    here = Location(name="fsn1")
    address = client.primary_ips.create("ipv4", "lost", location=here).primary_ip
    volume = client.volumes.create(10, "disk", location=here)
    volume.action.wait_until_finished()
    used = client.volumes.create(10, "used", server=client.servers.get_by_id(int(server.id)))
    for action in (used.action, *used.next_actions):
        action.wait_until_finished()
    found = hetzner.leftovers()
    created = found[0].created
    assert time.time() - 60 < created <= found[1].created <= time.time()
    assert found == (
        Leftover("address", str(address.id), "gpu", "lost", created),
        Leftover("volume", str(volume.volume.id), "gpu", "disk", found[1].created),
    )
    assert [str(each) for each in found] == ["address lost", "volume disk"]
    for leftover in [*found, *found]:
        hetzner.delete_leftover(leftover)
    assert hetzner.leftovers() == ()
    assert client.volumes.get_by_name("used") is not None


def test_what_a_person_protected_is_no_leftover(hetzner: HetznerCloud, client: Client) -> None:
    here = Location(name="fsn1")
    address = client.primary_ips.create("ipv4", "kept", location=here).primary_ip
    client.primary_ips.change_protection(address, delete=True).wait_until_finished()
    volume = client.volumes.create(10, "kept", location=here)
    volume.action.wait_until_finished()
    client.volumes.change_protection(volume.volume, delete=True).wait_until_finished()
    assert hetzner.leftovers() == ()


def test_a_deleted_server_leaves_nothing(hetzner: HetznerCloud, server: Server) -> None:
    hetzner.delete(server)
    assert hetzner.leftovers() == ()
