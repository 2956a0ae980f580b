"""Times contenders against each other: in turn, in short blocks, so that what disturbs one disturbs all."""

import gc
import random
import time
from collections.abc import Callable
from itertools import repeat

BLOCK_SECONDS = 0.003
LEAST_ROUNDS = 5


def calls_per_block(run: Callable[[], object]) -> int:
    """How many calls take about a block."""
    run()
    calls = 1
    while True:
        seconds = block(run, calls)
        if seconds > BLOCK_SECONDS / 4:
            return max(1, round(BLOCK_SECONDS * calls / seconds))
        calls *= 4


def block(run: Callable[[], object], calls: int) -> float:
    """The process's seconds on the processor, those of all its threads, for that many calls."""
    began = time.process_time_ns()
    for _ in repeat(None, calls):
        run()
    return (time.process_time_ns() - began) / 1e9


def rounds(runs: list[Callable[[], object]], most: int, limit_seconds: float) -> list[list[float]]:
    """Seconds per call of each in every round. Each round runs one block of each, in an order of its own.

    Past the limit there are no more rounds than it takes to tell a spread.
    """
    calls = [calls_per_block(run) for run in runs]
    order, generator = list(range(len(runs))), random.Random(0)
    found: list[list[float]] = [[] for _ in runs]
    began = time.monotonic()
    gc.collect()
    gc.disable()
    try:
        for done in range(most):
            if done >= LEAST_ROUNDS and time.monotonic() - began > limit_seconds:
                break
            generator.shuffle(order)
            for index in order:
                if calls[index] > 1:
                    runs[index]()  # brings its code and weights back into the caches
                found[index].append(block(runs[index], calls[index]) / calls[index])
    finally:
        gc.enable()
    return found
