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
    except NameTaken:  # that run came further
        (baked,) = cloud.servers(BAKED)
    baked = cloud.relabel(baked, BAKED)
    image = cloud.snapshot(baked, "golden", GOLDEN)
    return baked, image, cloud.create(spec(stage, "gpu-1", HOST, image.id))


def tear_down(cloud: Cloud) -> None:
    """Delete all that is ours, and all that is nobody's."""
    for server in cloud.servers({OURS: None}):
        cloud.delete(server)
    for image in cloud.images({OURS: None}):
        cloud.delete_image(image)
    for leftover in cloud.leftovers():
        cloud.delete_leftover(leftover)


def live(cloud: Cloud, stage: Stage) -> list[str]:
    """Do both, and see that each came to its end; return the kinds of what was billed between them."""
    baked, image, host = build(cloud, stage)
    assert cloud.furnish(FURNISHING, check=True) == ()
    assert [(each.id, each.status) for each in cloud.servers(BAKED)] == [(baked.id, OFF)]
    assert [(each.id, each.status) for each in cloud.servers(HOST)] == [(host.id, RUNNING)]
    assert len(cloud.servers({OURS: None})) == 2
    assert [each.id for each in cloud.images({OURS: None})] == [image.id] == [host.image]
    for leftover in cloud.leftovers():
        cloud.delete_leftover(leftover)
    kinds = sorted(map(_kind, stage.billed()))
    tear_down(cloud)
    assert stage.billed() == set()
    return kinds


def _kind(billed: str) -> str:
    return billed.partition(" ")[0]
