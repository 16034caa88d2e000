"""hcloud-python, unchanged, drives the local cloud's API over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hcloud import APIException, Client
from hcloud.actions import ActionFailedException
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer, ServerCreatePublicNetwork
from hcloud.volumes import Volume

from localcloud.core import scarcity
from tests.cloud_in_memory import PUBLIC_KEY, Served, serving

FALKENSTEIN = Location(name="fsn1")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def client(cloud: Served) -> Client:
    environment = cloud.environment
    return Client(environment["HCLOUD_TOKEN"], environment["HCLOUD_ENDPOINT"], poll_interval=0.01)


def create(
    client: Client, name: str, *, image: Image | None = None, volumes: list[Volume] | None = None
) -> BoundServer:
    answer = client.servers.create(
        name,
        ServerType(name="cx23"),
        image or Image(name="debian-13"),
        location=FALKENSTEIN,
        volumes=volumes,
        labels={"parrotpark-role": "gpu"},
    )
    for action in (answer.action, *answer.next_actions):
        action.wait_until_finished()
    answer.server.reload()
    return answer.server


def test_everything_a_server_is_made_of(client: Client, cloud: Served) -> None:
    key = client.ssh_keys.create("me", PUBLIC_KEY)
    address = client.primary_ips.create("ipv4", "entry", location=FALKENSTEIN).primary_ip
    made = client.volumes.create(10, "data", location=FALKENSTEIN, format="ext4")
    made.action.wait_until_finished()
    rule = FirewallRule(FirewallRule.DIRECTION_IN, FirewallRule.PROTOCOL_TCP, ["0.0.0.0/0"], port="22")
    firewall = client.firewalls.create("entry", [rule]).firewall

    answer = client.servers.create(
        "entry",
        ServerType(name="cx33"),
        Image(name="debian-13"),
        location=FALKENSTEIN,
        ssh_keys=[key],
        volumes=[made.volume],
        firewalls=[firewall],
        user_data="#cloud-config\n",
        labels={"a": "b"},
        public_net=ServerCreatePublicNetwork(ipv4=address),
    )
    assert answer.root_password is None
    for action in (answer.action, *answer.next_actions):
        action.wait_until_finished()
    server = client.servers.get_by_name("entry")
    assert server is not None
    assert server.status == server.STATUS_RUNNING
    assert server.public_net is not None
    assert server.public_net.ipv4 is not None
    assert server.public_net.ipv4.ip == address.ip
    assert server.public_net.firewalls is not None
    assert [(each.firewall.name, each.status) for each in server.public_net.firewalls] == [("entry", "applied")]
    assert server.location is not None
    assert server.location.name == "fsn1"
    assert server.server_type is not None
    assert server.server_type.cores == 4
    assert [volume.name for volume in server.volumes or []] == ["data"]
    assert "create_volume ext4" in cloud.backend.calls
    (machine,) = cloud.backend.machines.values()
    assert (machine.id, machine.ssh_public_keys, machine.user_data) == (server.id, (PUBLIC_KEY,), "#cloud-config\n")
    assert firewall.get_actions()[0].command == "set_firewall_rules"

    server.delete().wait_until_finished()
    assert client.servers.get_all() == []
    assert client.volumes.get_by_id(made.volume.id or 0).server is None
    assert client.primary_ips.get_by_id(address.id or 0).assignee_id is None


def test_power_rebuild_and_snapshot(client: Client) -> None:
    server = create(client, "gpu-1")
    for act, status in (
        (server.power_off, "off"),
        (server.power_on, "running"),
        (server.reboot, "running"),
        (server.reset, "running"),
        (server.shutdown, "off"),
    ):
        act().wait_until_finished()
        server.reload()
        assert server.status == status
    snapshot = server.create_image("golden", labels={"fingerprint": "f"})
    snapshot.action.wait_until_finished()
    image = client.images.get_all(type=["snapshot"], label_selector="fingerprint=f")[0]
    assert image.status == "available"
    server.rebuild(image).action.wait_until_finished()
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    with pytest.raises(APIException) as refused:
        server.delete()
    assert refused.value.code == "protected"
    made = create(client, "gpu-2", image=image).image
    assert made is not None
    assert made.id == image.id
    image.delete()
    with pytest.raises(APIException) as gone:
        client.images.get_by_id(image.id or 0)
    assert gone.value.code == "not_found"


def test_lists_are_paged_and_selected(client: Client) -> None:
    for number in range(60):
        client.primary_ips.create("ipv4", f"a{number}", location=FALKENSTEIN, labels={"odd": str(number % 2)})
    assert len(client.primary_ips.get_all()) == 60
    assert len(client.primary_ips.get_all(label_selector="odd in (1)")) == 30
    assert client.primary_ips.get_by_name("a59") is not None
    assert client.primary_ips.get_by_name("a60") is None


def test_firewall_by_label(client: Client, cloud: Served) -> None:
    create(client, "gpu-1")
    selector = FirewallResource(
        FirewallResource.TYPE_LABEL_SELECTOR, label_selector=FirewallResourceLabelSelector("parrotpark-role=gpu")
    )
    firewall = client.firewalls.create("gpu", resources=[selector]).firewall
    assert cloud.backend.rules == {"10.77.0.10": []}
    with pytest.raises(APIException, match="still in use"):
        firewall.delete()
    for action in firewall.remove_from_resources([selector]):
        action.wait_until_finished()
    assert cloud.backend.rules == {"10.77.0.10": None}
    firewall.delete()


def test_failure_reaches_the_client(client: Client, cloud: Served) -> None:
    cloud.backend.fails = {"start"}
    with pytest.raises(ActionFailedException, match="start does not work today"):
        create(client, "gpu-1")


def test_refusals_reach_the_client(client: Client) -> None:
    with pytest.raises(APIException) as refused:
        client.servers.create("gpu_1", ServerType(name="cx23"), Image(name="debian-13"))
    assert refused.value.code == "invalid_input"
    assert refused.value.details["fields"][0]["name"] == "name"
    with pytest.raises(APIException) as unknown:
        Client("wrong" * 12, client._client._endpoint).servers.get_all()
    assert unknown.value.code == "unauthorized"


def test_scarcity_reaches_the_client(client: Client, tmp_path: Path) -> None:
    scarce = scarcity.Scarcity().with_offer("cx23", "fsn1", sold_out=True)
    for wanted, code in ((scarce, "resource_unavailable"), (scarce.with_limit("entry", 0), "resource_limit_exceeded")):
        scarcity.write(tmp_path, wanted)
        with pytest.raises(APIException) as refused:
            create(client, "gpu-1")
        assert refused.value.code == code
    assert client.servers.get_all() == []


def test_what_is_offered(client: Client) -> None:
    assert {each.name for each in client.locations.get_all()} == {"fsn1", "nbg1", "hel1"}
    kind = client.server_types.get_by_name("gpu-l4")
    assert kind is not None
    assert {each.location.name for each in kind.locations or []} == {"fsn1", "nbg1"}
    assert client.images.get_by_name_and_architecture("debian-13", "x86") is not None
    for absent in (client.networks, client.load_balancers, client.placement_groups, client.isos, client.floating_ips):
        assert absent.get_all() == []
