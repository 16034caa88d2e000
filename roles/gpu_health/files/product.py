"""Multiply matrices on each card, and see whether the result is right and came soon enough.

Usage: product.py, with a Python that has PyTorch. It prints one line of JSON: of each card `name`, `right`, `teraflops`
and `least`. `--processor` takes the processor for a card, to try the program itself.

The matrices hold -1, 0 and 1, so that every number of the product is exact in float16, and a vector shows whether all
of them are right: (A B) r is A (B r), which the processor reckons (Freivalds' check).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

SIZE = 4096
ROUNDS = 20
# Operations of a multiprocessor in each tick, float16 with float32 sums: NVIDIA's tuning guides and data sheets.
OPERATIONS = {(7, 5): 1024, (8, 0): 2048, (9, 0): 4096, (10, 0): 8192, (10, 3): 8192}
OTHERS = 1024
# A card computes at more than 1000 MHz; one that is as slow as this is throttled, or stuck at its idle clock.
SLOWEST = 300e6


def least(multiprocessors: int, capability: tuple[int, int]) -> float:
    """Return in TFLOPS what a card computes at least."""
    return multiprocessors * OPERATIONS.get(capability, OTHERS) * SLOWEST / 1e12


def right(torch: Any, first: Any, second: Any, product: Any) -> bool:
    """Tell whether a product is right, by the processor."""
    vector = torch.randint(1, 10, (product.shape[1],), dtype=torch.float64)
    expected = first.double() @ (second.double() @ vector)
    return bool(torch.equal(product.cpu().double() @ vector, expected))


def measure(torch: Any, device: str, wait: Callable[[], None]) -> tuple[bool, float]:
    """Multiply; return whether the last product is right, and TFLOPS."""
    torch.manual_seed(1)
    first, second = (torch.randint(-1, 2, (SIZE, SIZE)).to(torch.float16) for _ in range(2))
    left, other = first.to(device), second.to(device)
    for _ in range(ROUNDS):  # it takes a moment until the clock is up
        product = left @ other
    wait()
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        product = left @ other
    wait()
    seconds = time.perf_counter() - begin
    return right(torch, first, second, product), 2 * SIZE**3 * ROUNDS / seconds / 1e12


def main() -> None:
    import torch  # takes seconds, and is not there where this is tested

    results: list[dict[str, Any]] = []
    if "--processor" in sys.argv:
        good, speed = measure(torch, "cpu", lambda: None)
        results.append({"name": "processor", "right": good, "teraflops": speed, "least": 0})
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        torch.cuda.set_device(index)
        good, speed = measure(torch, f"cuda:{index}", torch.cuda.synchronize)
        bound = least(card.multi_processor_count, (card.major, card.minor))
        results.append({"name": f"{card.name} {index}", "right": good, "teraflops": speed, "least": bound})
    print(json.dumps(results))


if __name__ == "__main__":
    main()
