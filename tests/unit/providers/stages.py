"""What every provider brings to be tested by the suite in this folder, and the providers that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from parrotpark.cloud import Account, Cloud, Offer
from tests.unit.providers.faults import Wrap
from tests.unit.providers.hetzner import hetzner
from tests.unit.providers.openstack import openstack
from tests.unit.providers.scaleway import scaleway


class Stage(Protocol):
    """An API on the loopback with an empty project behind it.

    Its background work is done when its clients sleep, without waiting for real seconds, and not before: so they see
    what is in progress, and make the same requests in every run.
    """

    @property
    def account(self) -> Account:
        """The cloud that `cloud` reaches."""

    @property
    def offer(self) -> Offer:
        """A server that can be had, at this cloud."""

    @property
    def other_type(self) -> str:
        """Another server type that can be had there."""

    @property
    def image(self) -> str:
        """The name of an image of the provider's own."""

    @property
    def most_user_data(self) -> int:
        """How many bytes of ASCII a server may be given."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What of the credential no message may show."""

    def cloud(self) -> Cloud:
        """A new client, as each run of ours has one."""

    def stranger(self) -> Cloud:
        """A client whose credential opens nothing."""

    def clear(self) -> None:
        """Empty the project, without a request."""

    def billed(self) -> Set[str]:
        """All in the project that costs money, each as its kind, a space, and its id; told without a request."""

    def strand(self) -> Set[str]:
        """Make what bills and belongs to nothing, in place of a run that was killed; return each as a `Leftover` is
        written."""


STAGES: Mapping[str, Callable[[Path, Wrap], AbstractContextManager[Stage]]] = {
    "hetzner": hetzner,
    "openstack": openstack,
    "scaleway": scaleway,
}
