"""What a project is used for, from its furnishing to the last deletion, as runs of ours do it: each begins anew."""

from __future__ import annotations

from parrotpark.cloud import OFF, RUNNING, Cloud, Furnishing, Image, Rule, Server, ServerSpec
from parrotpark.cloud.errors import NameTaken
from tests.cloud_in_memory import PUBLIC_KEY
from tests.unit.providers.stages import Stage

OURS = "parrotpark-role"
NEW = {OURS: "bake", "parrotpark-state": "baking", "parrotpark-maker": "entry"}
BAKED = {OURS: "bake", "parrotpark-state": "baked"}
GOLDEN = {OURS: "gpu-image", "parrotpark-fingerprint": "0123456789abcdef0123456789abcdef"}
HOST = {OURS: "gpu", "parrotpark-slot": "gpu-1"}
USER_DATA = "#cloud-config\n# the key that a message must not show: sesame\n"
FURNISHING = Furnishing(
    "parrotpark",
    PUBLIC_KEY,
    "parrotpark-gpu",
    (Rule("tcp", "22", ("192.0.2.0/24", "2001:db8::/32")), Rule("icmp", None, ("0.0.0.0/0", "::/0"))),
)
OTHER_FURNISHING = Furnishing(
    FURNISHING.ssh_key,
    PUBLIC_KEY.replace("IOMq", "IOMr"),
    FURNISHING.firewall,
    (Rule("tcp", "22", ("0.0.0.0/0", "::/0")), Rule("udp", "51820-51830", ("192.0.2.1/32",))),
)


def spec(stage: Stage, name: str = "bake", labels: dict[str, str] = NEW, image: str | None = None) -> ServerSpec:
    """Describe a server with everything that a server can be given."""
    return ServerSpec(
        name,
        stage.offer,
        image or stage.image,
        labels,
        (FURNISHING.ssh_key,),
        (FURNISHING.firewall,),
        USER_DATA,
    )


def build(cloud: Cloud, stage: Stage) -> tuple[Server, Image, Server]:
    """Bring up all that a run wants, and adopt what an earlier one has made of it."""
    cloud.furnish(FURNISHING)
    try:
        baked = cloud.create(spec(stage))
        for image in cloud.images(GOLDEN):  # of a server that was deleted
            cloud.delete_image(image)
    except NameTaken:  # that run came further
        (baked,) = cloud.servers(BAKED)
    baked = cloud.relabel(baked, BAKED)
    image = cloud.snapshot(baked, "golden", GOLDEN)
    labels = {**HOST, "parrotpark-image": image.id}
    for host in cloud.servers(HOST):
        if host.labels != labels:  # it boots from another image
            cloud.delete(host)
    return baked, image, cloud.create(spec(stage, "gpu-1", labels, image.id))


def tear_down(cloud: Cloud) -> None:
    """Delete all that is ours, and all that is nobody's."""
    for server in cloud.servers({OURS: None}):
        cloud.delete(server)
    for image in cloud.images({OURS: None}):
        cloud.delete_image(image)
    for leftover in cloud.leftovers():
        cloud.delete_leftover(leftover)


def verify(cloud: Cloud, stage: Stage, built: tuple[Server, Image, Server]) -> list[str]:
    """See that all is there that was wanted, and nothing else; return the kinds of what is billed."""
    baked, image, host = built
    assert cloud.furnish(FURNISHING, check=True) == ()
    assert {(each.id, each.status) for each in cloud.servers({OURS: None})} == {(baked.id, OFF), (host.id, RUNNING)}
    assert dict(baked.labels) == BAKED
    assert [each.id for each in cloud.images({OURS: None})] == [image.id]
    assert host.image == image.id
    for leftover in cloud.leftovers():
        cloud.delete_leftover(leftover)
    return sorted(billed.partition(" ")[0] for billed in stage.billed())
