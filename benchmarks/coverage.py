"""Do 95% intervals cover 95%? Five textbook settings of 10,000 data sets each, and one where Wald's do not."""

from __future__ import annotations

import time
from typing import Any

REPETITIONS = 10_000


def settings() -> dict[str, tuple[Any, Any, dict[str, Any]]]:
    """Name → (a fit whose design and family are simulated from, the truth, options)."""
    import numpy as np
    import pandas as pd

    import raphson as rp

    rng = np.random.default_rng(0)

    def design(n: int) -> pd.DataFrame:
        return pd.DataFrame({"x": rng.normal(size=n), "z": rng.integers(0, 2, n).astype(float)})

    linear, logistic, counts, gamma, probit = design(30), design(300), design(100), design(200), design(300)
    linear["y"] = 1 + linear["x"] + rng.normal(size=30)
    logistic["y"] = (rng.random(300) < 1 / (1 + np.exp(-0.5 * logistic["x"]))).astype(float)
    counts["y"] = rng.poisson(np.exp(1 + 0.3 * counts["x"]))
    gamma["y"] = rng.gamma(4.0, np.exp(1 + 0.3 * gamma["x"]) / 4.0)
    probit["y"] = (probit["x"] + rng.normal(size=300) > 0).astype(float)
    gamma_log, probit_link = rp.families.Gamma(link="log"), rp.families.Binomial(link="probit")
    return {
        "linear regression, n = 30": (rp.glm("y ~ x + z", linear), [1.0, 1.0, -0.5], {"dispersion": 2.0}),
        "logistic regression, n = 300": (rp.glm("y ~ x + z", logistic, family="binomial"), [0.2, 0.6, -0.4], {}),
        "Poisson regression, n = 100": (rp.glm("y ~ x + z", counts, family="poisson"), [1.0, 0.3, -0.2], {}),
        "gamma regression, n = 200": (
            rp.glm("y ~ x + z", gamma, family=gamma_log),
            [1.0, 0.3, 0.2],
            {"dispersion": 0.25},
        ),
        "probit regression, n = 300": (rp.glm("y ~ x + z", probit, family=probit_link), [0.1, 0.8, -0.3], {}),
    }


def two_groups() -> tuple[Any, list[float]]:
    """Two groups of 25, 5% of successes against 50%: often one group has none, and Wald no interval."""
    import numpy as np
    import pandas as pd

    import raphson as rp

    frame = pd.DataFrame({"treated": np.repeat([0.0, 1.0], 25), "y": np.tile([0.0, 1.0, 1.0, 1.0, 1.0], 10)})
    return rp.glm("y ~ treated", frame, family="binomial"), [-3.0, 3.0]


def run() -> None:
    """Print a line for each setting."""
    import raphson as rp

    print(f"\ncoverage of 95% intervals, {REPETITIONS:,} data sets each (lowest to highest over the parameters)")
    groups, truth = two_groups()
    cases = settings() | {"two groups of 25, 5% and 50%": (groups, truth, {})}
    for name, (fit, true, options) in cases.items():
        begun = time.perf_counter()
        table = rp.simulate_coverage(fit, true, reps=REPETITIONS, seed=1, **options).table
        shares = ", ".join(
            f"{kind} {100 * table[kind].min():.2f} to {100 * table[kind].max():.2f}%" for kind in ("wald", "profile")
        )
        print(f"  {name:32s} {shares}   ({time.perf_counter() - begun:.1f} s)")
