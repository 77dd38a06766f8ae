"""How often the 95 % intervals of a network's predictions hold the mean, and a new response, on simulated curves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import raphson as rp

CURVES, ROWS, NOISE = 20, 200, 0.3

TRAININGS: dict[str, dict[str, Any]] = {
    "levenberg-marquardt": {"method": "levenberg-marquardt", "weight_decay": 1e-3},
    "adam, cosine": {"learning_rate": 0.03, "epochs": 600, "validation": 0, "schedule": "cosine"},
    "adam, stopped early": {"learning_rate": 0.02, "epochs": 800, "patience": 100},
}


def mean(x: np.ndarray) -> np.ndarray:
    """The curve."""
    return np.sin(2 * x) + 0.3 * x


def covered(training: dict[str, Any]) -> tuple[float, float]:
    """Shares of a grid where the intervals held the mean, and a new response."""
    grid = np.linspace(-2, 2, 41)
    shares = []
    for seed in range(CURVES):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-2.2, 2.2, ROWS)
        data = {"x": x, "y": mean(x) + NOISE * rng.normal(size=ROWS)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rp.ConvergenceWarning)
            fit = rp.network("y ~ x", data, hidden=(12,), activation="tanh", seed=seed, **training)
        new = mean(grid) + NOISE * rng.normal(size=len(grid))
        asked = {"confidence": mean(grid), "prediction": new}
        tables = {kind: fit.predict({"x": grid}, interval=kind) for kind in asked}
        shares.append(
            [tables[kind]["lower"].lt(true).mul(tables[kind]["upper"].gt(true)).mean() for kind, true in asked.items()]
        )
    return tuple(np.mean(shares, axis=0))


def run() -> None:
    """Print the table."""
    print(f"\nnetworks of 12 units on {CURVES} curves of {ROWS} rows: how often 95 % intervals held")
    for name, training in TRAININGS.items():
        of_mean, of_new = covered(training)
        print(f"  {name:22s} the mean {of_mean:.3f}   a new response {of_new:.3f}")


if __name__ == "__main__":
    run()
