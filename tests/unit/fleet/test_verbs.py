"""Wake and sleep go on until it is so; keep and sweep take one step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from parrotpark.fleet import verbs
from parrotpark.fleet.wish import Wish, read_wish
from parrotpark.lease import STATE, UNTIL

if TYPE_CHECKING:
    from tests.unit.fleet.conftest import Controller, Project


def test_a_wake_makes_a_server_from_the_image_and_ends_when_the_models_answer(
    controller: Controller, project: Project
) -> None:
    image = project.save()
    report = verbs.fulfil(controller.keeper, Wish(None))
    server = project.named("gpu-1")
    assert (server.image, server.labels[STATE], server.labels["localhost-port"]) == (image.id, "serving", "8443")
    assert [str(action) for action in report.actions] == [
        "gpu-1: create from the golden image",
        "gpu-1: it serves",
    ]
    assert report.changed
    assert controller.told() == {"gpu-1": int(server.labels[UNTIL])}
    assert read_wish(controller.fleet.wish_file) == Wish(None)
    (config,) = project.user_data.values()
    (file,) = json.loads(config.removeprefix("#cloud-config\n"))["write_files"]
    assert json.loads(file["content"])["lease"] == {"until": server.created + 900}
