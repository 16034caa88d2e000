"""What the double passes in `tests/unit/providers`, the real OpenStack has to pass as well."""

from tests.unit.providers.test_conformance import *  # noqa: F403
