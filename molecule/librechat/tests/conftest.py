"""What the tests share with those of the other chat."""

from tests.browser import curl

__all__ = ["curl"]
