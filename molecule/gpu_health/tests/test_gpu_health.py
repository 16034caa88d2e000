"""A host whose cards are well lets models start; one whose are not says why to whoever asks."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from testinfra.host import Host

CHECK = "parrotpark-gpu-health.service"
URL = "http://127.0.0.1:9400"
MODEL = "[Unit]\nRequires={0}\nAfter={0}\n[Service]\nType=oneshot\nExecStart=/usr/bin/touch /run/model-started\n"


@pytest.fixture(autouse=True)
def model(host: Host) -> Iterator[None]:
    """What may start on a host that is well alone."""
    host.check_output("printf %s > /run/systemd/system/model.service", MODEL.format(CHECK))
    host.check_output("systemctl daemon-reload")
    yield
    host.check_output("systemctl stop %s model.service", CHECK)
    host.check_output("systemctl reset-failed")
    host.check_output("rm --force /run/model-started /run/systemd/system/model.service")


def health(host: Host) -> list[str]:
    return list(json.loads(host.check_output("curl --silent %s/health", URL))["reasons"])


def test_models_start_on_a_host_that_is_well(host: Host) -> None:
    assert host.run("systemctl start model.service").rc == 0
    assert host.file("/run/model-started").exists
    assert health(host) == []
    told = host.check_output("curl --silent --fail %s/metrics", URL)
    assert "parrotpark_gpu_healthy 1\n" in told
    assert 'parrotpark_gpu_memory_total_bytes{slot="00000000:06:00.0",name="NVIDIA L4"} 24152899584\n' in told
    assert "power" not in told


def test_no_model_starts_on_a_host_that_multiplies_wrongly(host: Host) -> None:
    host.check_output("sed --in-place=.well 's/true/false/' /srv/host/product.json")
    try:
        assert host.run("systemctl start model.service").rc != 0
        assert not host.file("/run/model-started").exists
        (reason,) = health(host)
        assert reason.startswith("NVIDIA L4 0 multiplies matrices wrongly: take another host")
        journal = host.check_output("journalctl --unit=%s --lines=20 --output=cat --no-pager", CHECK)
        assert f"this host may not serve: {reason}" in journal
        assert "parrotpark_gpu_healthy 0\n" in host.check_output("curl --silent %s/metrics", URL)
    finally:
        host.check_output("mv /srv/host/product.json.well /srv/host/product.json")


def test_ansible_hears_of_the_cards(host: Host) -> None:
    told = json.loads(host.check_output("/etc/ansible/facts.d/parrotpark_gpu.fact"))
    assert [card["name"] for card in told["cards"]] == ["NVIDIA L4"]
