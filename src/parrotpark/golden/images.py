"""The golden image as its labels describe it: what everything that bakes or wakes GPU hosts looks for."""

from __future__ import annotations

from collections.abc import Sequence

from parrotpark.cloud import Cloud, Image
from parrotpark.shared import lease as label

ROLE = "gpu-image"


def find(cloud: Cloud) -> Sequence[Image]:
    """List our golden images, of whatever fingerprint, newest first: one call."""
    return cloud.images({label.ROLE: ROLE})


def newest(images: Sequence[Image]) -> Image | None:
    """Choose the newest image."""
    return max(images, key=lambda image: image.created, default=None)


def current(images: Sequence[Image], whole: str) -> Image | None:
    """Choose the newest image of the fingerprint."""
    return newest([image for image in images if image.labels.get(label.FINGERPRINT) == whole])


def current_by_cloud(images: Sequence[Image], whole: str) -> dict[str, Image]:
    """Choose the newest image of the fingerprint in every cloud that has one."""
    clouds = {image.cloud for image in images}
    found = {cloud: current([image for image in images if image.cloud == cloud], whole) for cloud in sorted(clouds)}
    return {cloud: image for cloud, image in found.items() if image}
