"""Servers of the real OpenStack are machines of the local cloud."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parrotpark.cloud import Cloud, ServerSpec
from tests.cloud_in_memory import Served
from tests.openstack.stage import RealStage


def test_a_server_is_a_machine_from_its_making_to_its_end(
    real_openstack: Served | None, stage: RealStage, cloud: Cloud
) -> None:
    if real_openstack is None:
        pytest.skip("this OpenStack was there before, and its machines are somebody else's")
    backend = real_openstack.backend
    spec = ServerSpec("bake", stage.offer, stage.image, {"a": "b"}, user_data="#cloud-config\n")
    baked = cloud.create(spec)
    (machine,) = backend.machines.values()
    assert (machine.id in backend.on, machine.image, machine.user_data) == (True, "debian-13", spec.user_data)
    image = cloud.snapshot(baked, "golden", {"c": "d"})
    assert not backend.on
    (snapshot,) = backend.snapshots
    host = cloud.create(replace(spec, name="gpu-1", image=image.id))
    assert [backend.machines[number].image for number in backend.on] == [snapshot]
    for server in (baked, host):
        cloud.delete(server)
    assert not backend.machines
