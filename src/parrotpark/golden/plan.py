"""The golden image: whether there is one for a fingerprint, why not, how one is made, and which are surplus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parrotpark.cloud import Cloud, Image, Server
from parrotpark.cloud.errors import NotFound
from parrotpark.golden.fingerprint import Fingerprint, changed_parts
from parrotpark.golden.images import ROLE, current, newest
from parrotpark.shared import lease as label
from parrotpark.shared.lease import State
from parrotpark.shared.wish import ASLEEP, Wish


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to happen so that the golden image exists and, with `surplus`, no other."""

    image: Image | None  # None: it has to be made
    finished: tuple[Server, ...]  # baked for it, and to be deleted
    surplus: tuple[Image, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything has to happen."""
        return self.image is None or bool(self.finished or self.surplus)


def wanted(wish: Wish, run_tags: Sequence[str], skip_tags: Sequence[str]) -> bool:
    """Say whether a run makes the image: for hosts that are to serve, and never with tags, which would leave out
    parts of the host.
    """
    return wish != ASLEEP and list(run_tags) == ["all"] and not skip_tags


def wakes_from(whole: str, newest: str | None, *, current: bool, baked: bool) -> str:
    """Choose the fingerprint of the image that the scheduler makes hosts from.

    Until there is one of the `current` fingerprint, or one is sure to be `baked`, that is the newest, stale or not.
    """
    return whole if current or baked else newest or whole


def labels(fingerprint: Fingerprint) -> dict[str, str]:
    """Return what a golden image of this fingerprint carries."""
    return {label.ROLE: ROLE, label.FINGERPRINT: fingerprint.whole, **fingerprint.part_labels()}


def why_stale(images: Sequence[Image], fingerprint: Fingerprint) -> str:
    """Say why no image is the current one, by what has changed since the newest."""
    last = newest(images)
    if last is None:
        return "there is none yet"
    return f"because {', '.join(changed_parts(last.labels, fingerprint))} changed"


def surplus(images: Sequence[Image], current: Image | None) -> tuple[Image, ...]:
    """Choose the images to prune: all but the current one, and none before there is one."""
    return () if current is None else tuple(image for image in images if image.id != current.id)


def describe(images: Mapping[str, Sequence[Image]], fingerprint: Fingerprint) -> str:
    """Tell people in one line how things are; `images` are those of every cloud."""
    stale = {cloud: found for cloud, found in images.items() if not current(found, fingerprint.whole)}
    if not stale:
        return "image current"
    if len(stale) < len(images):
        return f"image current, but none at {', '.join(stale)}"
    return f"stale: {why_stale([image for found in stale.values() for image in found], fingerprint)}"


def to_make(images: Sequence[Image], servers: Sequence[Server], fingerprint: Fingerprint) -> Plan:
    """Plan to make the image unless it exists, delete the server it was made from, and keep every older image.

    Until the scheduler knows the new fingerprint, it wakes hosts from an older one.
    """
    return Plan(current(images, fingerprint.whole), _finished(servers, fingerprint))


def to_finish(images: Sequence[Image], servers: Sequence[Server], fingerprint: Fingerprint) -> Plan | None:
    """Plan to delete everything that the image supersedes; None, and nothing goes, before the image exists."""
    image = current(images, fingerprint.whole)
    return Plan(image, _finished(servers, fingerprint), surplus(images, image)) if image else None


def _finished(servers: Sequence[Server], fingerprint: Fingerprint) -> tuple[Server, ...]:
    # A host that has joined holds secrets; on a server of another fingerprint somebody else may be baking.
    baked = {label.STATE: State.BAKING.value, label.FINGERPRINT: fingerprint.whole}
    return tuple(server for server in servers if baked.items() <= server.labels.items())


def carry_out(cloud: Cloud, plan: Plan, fingerprint: Fingerprint) -> Image:
    """Make the image, and only then delete what it was made from and what it supersedes.

    Raises:
        NotFound: there is no server to make the image from.
        CloudError: the cloud refused something; everything before it is done, and the next run goes on from there.
    """
    image = plan.image or _make(cloud, plan.finished, fingerprint)
    for server in plan.finished:
        cloud.delete(server)
    for old in plan.surplus:
        cloud.delete_image(old)
    return image


def _make(cloud: Cloud, baked: Sequence[Server], fingerprint: Fingerprint) -> Image:
    if not baked:
        raise NotFound(f"there is no server that was baked from fingerprint {fingerprint.whole}: bake again")
    return cloud.snapshot(baked[0], f"Parrotpark GPU host {fingerprint.whole}", labels(fingerprint))
