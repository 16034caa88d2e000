"""The golden image is made once, and nothing stays behind, whichever call of the API goes wrong on the way."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from parrotpark.cloud import Offer, ServerSpec
from parrotpark.cloud.errors import CloudError
from parrotpark.cloud.hetzner import HetznerCloud
from parrotpark.golden import bake_server, images, plan
from parrotpark.golden.fingerprint import Fingerprint
from parrotpark.shared.lease import Lease, State

if TYPE_CHECKING:
    from tests.unit.parrotpark.conftest import Network

pytestmark = pytest.mark.usefixtures("impatient")

NEW = Fingerprint("b" * 32, {"vllm": "1" * 12})
OLD = Fingerprint("a" * 32, {"vllm": "0" * 12})


def make(cloud: HetznerCloud) -> None:
    """As a run does: make the image, and delete what it makes superfluous."""
    plan.carry_out(cloud, plan.to_make(images.find(cloud), bake_server.find(cloud, "gpu-bake"), NEW), NEW)
    rest = plan.to_finish(images.find(cloud), bake_server.find(cloud, "gpu-bake"), NEW)
    assert rest
    plan.carry_out(cloud, rest, NEW)


def prepare(cloud: HetznerCloud) -> None:
    """Have a baked server, and the image that the one to be made stands in for."""
    for image in images.find(cloud):
        cloud.delete_image(image)
    lease = Lease("gpu", "gpu-bake", State.BAKING, "me", NEW.whole, 1_900_000_000)
    server = cloud.create(ServerSpec("gpu-bake", Offer("gpu", "fsn1", "ccx33"), "debian-13", lease.labels()))
    cloud.snapshot(server, "old", plan.labels(OLD))


@pytest.mark.parametrize("fault", ["refused", "lost", "nonsense", "killed"])
def test_a_fault_at_any_call_is_made_good_by_the_next_run(hetzner: HetznerCloud, network: Network, fault: str) -> None:
    prepare(hetzner)
    before = network.calls
    make(hetzner)
    for nth in range(1, network.calls - before + 1):
        prepare(hetzner)
        network.spoil(fault, nth=nth)
        with suppress(CloudError, KeyboardInterrupt):
            make(hetzner)
        network.heal()  # where this time fewer looks were enough, the fault is still to come
        assert images.find(hetzner), "an image to boot from was there all the time"
        make(hetzner)
        assert [dict(image.labels) for image in hetzner.images({})] == [plan.labels(NEW)]
        assert hetzner.servers({}) == ()
