"""What people spend at the gateway, and how much they may: the largest budget of their groups, or everybody's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from parrotpark.people.api import ask
from parrotpark.people.directory import Person

type Customers = dict[str, Mapping[str, Any]]
"""What LiteLLM knows of people, by their mail addresses."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a person may spend in a month, by the name of a group, and the one of everybody else."""

    amounts: Mapping[str, float]
    everybody: str

    def of(self, person: Person) -> str:
        """Name the budget of a person."""
        theirs = [group for group in person.groups if group in self.amounts]
        return max(theirs, key=lambda group: self.amounts[group], default=self.everybody)


@dataclass(frozen=True, slots=True)
class Gateway:
    """LiteLLM's API for its administrator."""

    url: str
    key: str = field(repr=False)

    def customers(self) -> Customers:
        """Return everybody who has asked something, or was given a budget.

        Raises:
            Refused: the gateway does not answer.
        """
        return {customer["user_id"]: customer for customer in self._call("/customer/list")}

    def assign(self, email: str, budget: str, *, known: bool) -> None:
        """Give a person a budget, whatever they have spent.

        Raises:
            Refused: the gateway does not answer, or does not have the budget.
        """
        self._call(f"/customer/{'update' if known else 'new'}", {"user_id": email, "budget_id": budget})

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return ask("the gateway", "litellm", self.url + path, self.key, body)


def differing(people: Iterable[Person], customers: Customers, budgets: Budgets) -> Iterator[tuple[str, str]]:
    """Yield the address of each person whose budget is another than it should be, and that budget."""
    for person in people:
        email, wanted = person.email.lower(), budgets.of(person)
        # Who was given none has everybody's.
        if (customers.get(email, {}).get("budget_id") or budgets.everybody) != wanted:
            yield email, wanted


def spent(person: Person, customers: Customers, budgets: Budgets) -> str:
    """Tell what a person has spent of their budget since the month began."""
    amount = customers.get(person.email.lower(), {}).get("spend") or 0
    return f"spent {amount:.2f} of {budgets.amounts[budgets.of(person)]:.2f}"
