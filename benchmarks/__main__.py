"""`python -m benchmarks [NAME ...]`: all of them, or those named."""

from __future__ import annotations

import sys

from benchmarks import (
    bad_starts,
    bootstrap,
    clusters,
    cold_start,
    coverage,
    curve_speed,
    factors,
    flights,
    gamma,
    interrupted,
    large_logistic,
    layerwise_memory,
    least_squares,
    many_curves,
    many_groups,
    mixed,
    multinomial,
    negative_binomial,
    network,
    network_intervals,
    one_pass,
    sgd_flat,
    small_logistic,
    streamed_logistic,
    streamed_zero_inflated,
    wide_logistic,
    zero_inflated,
)

ALL = {
    "small": small_logistic,
    "large": large_logistic,
    "flights": flights,
    "factors": factors,
    "gamma": gamma,
    "least-squares": least_squares,
    "multinomial": multinomial,
    "negative-binomial": negative_binomial,
    "wide": wide_logistic,
    "cold": cold_start,
    "curves": many_curves,
    "groups": many_groups,
    "mixed": mixed,
    "curve": curve_speed,
    "bad-starts": bad_starts,
    "bootstrap": bootstrap,
    "coverage": coverage,
    "zip": zero_inflated,
    "zip-streamed": streamed_zero_inflated,
    "network": network,
    "network-intervals": network_intervals,
    "flat": sgd_flat,
    "interrupted": interrupted,
    "clusters": clusters,
    "streamed": streamed_logistic,
    "layerwise": layerwise_memory,
    "pass": one_pass,
}

for name in sys.argv[1:] or ALL:
    if name not in ALL:
        raise SystemExit(f"benchmark: expected one of {', '.join(ALL)}; got {name!r}")
    ALL[name].run()
