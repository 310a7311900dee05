"""Paired timing, for the programs of this folder: who is compared takes turns, and ratios are taken within a round."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from seqbench.judge.stats import order_statistics
from seqbench.measure.seeds import stream

Clock = Callable[[], float]


def interleaved(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, clock: Clock = time.process_time, warm_ups: int = 2
) -> dict[str, list[float]]:
    """Return the seconds of every call in every round: each round runs all of them once, in an order drawn anew.

    The default clock is this process's processor time, which other processes disturb less than the wall's. As many
    rounds as warm-ups come first and do not count.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(-warm_ups, rounds):
        for place in torch.randperm(len(names), generator=stream("order", number)).tolist():
            begun = clock()
            calls[names[place]]()
            if number >= 0:
                found[names[place]].append(clock() - begun)
    return found


def ratio(mine: Sequence[float], others: Sequence[float]) -> dict[str, object]:
    """Return exp of the median paired ln ratio of seconds, and its interval by order statistics, at least 95 %.

    An end of the interval that so few rounds leave open (5 or fewer do) is None.
    """
    values = np.log(mine) - np.log(others)
    bounds = order_statistics(values, lower_level=0.025, upper_level=0.025)
    ends = [round(math.exp(end), 4) if math.isfinite(end) else None for end in (bounds.lower, bounds.upper)]
    return {"ratio": round(math.exp(float(np.median(values))), 4), "interval": ends}
