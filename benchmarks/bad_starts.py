"""From bad starts: the share of 100 that reaches the certified minimum, on each of NIST's nonlinear regressions.

Starts are drawn log-uniformly within a factor 100 of the certified values, each parameter by itself, its sign kept.
A fit counts if its residual sum of squares is within 1e-6 of the certified one. The peers get exact Jacobians where
they take them, tolerances of 1e-12 and 2,000 evaluations; Raphson its defaults.

``python -m benchmarks.bad_starts [DATA SET ...]``
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PLACE = Path(__file__).parent.parent / "tests" / "reference" / "nist_nls"
STARTS, FACTOR, SEED = int(os.environ.get("STARTS", "100")), 100.0, 1
NEAR = 1e-6
"""Relative distance of the residual sum of squares at which the minimum counts as reached."""

ROUNDING = 1e-22
"""A residual sum of squares below this share of that of y is 0."""

Fit = Callable[[np.ndarray], np.ndarray]


class Problem:
    """One data set, as each library wants it."""

    def __init__(self, name: str) -> None:
        case = json.loads((PLACE / f"{name}.json").read_text())
        self.names: list[str] = case["param_names"]
        self.formula = f"{case['response']} ~ {case['expr']}"
        self.data = {**dict(zip(case["x_names"], map(np.array, case["x"]), strict=True)), "y": np.array(case["y"])}
        self.truth, self.rss = np.array(case["polished"]["params"]), case["polished"]["rss"]
        self.y = np.log(self.data["y"]) if case["response"] == "log(y)" else self.data["y"]
        self.code = compile(case["expr"], name, "eval")

    def starts(self) -> np.ndarray:
        draws = np.random.default_rng(SEED).uniform(-1.0, 1.0, (STARTS, len(self.truth)))
        return self.truth * FACTOR**draws

    def curve(self, theta: Any, library: Any) -> Any:
        names = ("exp", "log", "sin", "cos", "arctan", "pi")
        values = {name: getattr(library, name) for name in names} | self.data
        return eval(self.code, values, dict(zip(self.names, theta, strict=True)))  # noqa: S307 (our own expressions)

    def reached(self, theta: np.ndarray) -> bool:
        with np.errstate(all="ignore"):
            r = self.y - self.curve(theta, np)
            return bool(r @ r <= self.rss * (1 + NEAR) + ROUNDING * (self.y @ self.y))


def raphson(problem: Problem) -> Fit:
    import raphson as rp

    def fit(start: np.ndarray) -> np.ndarray:
        found = rp.nls(problem.formula, problem.data, start=dict(zip(problem.names, start.tolist(), strict=True)))
        return found.params[problem.names].to_numpy()

    return fit


def scipy(method: str) -> Callable[[Problem], Fit]:
    """Least squares of SciPy, with the Jacobian by JAX."""

    def of(problem: Problem) -> Fit:
        import jax
        import jax.numpy as jnp
        from scipy.optimize import least_squares

        jax.config.update("jax_enable_x64", True)
        residual = jax.jit(lambda theta: problem.curve(theta, jnp) - problem.y)
        jacobian = jax.jit(jax.jacfwd(residual))
        tight: dict[str, Any] = {"ftol": 1e-12, "xtol": 1e-12, "gtol": 1e-12, "max_nfev": 2000, "x_scale": "jac"}

        def fit(start: np.ndarray) -> np.ndarray:
            return least_squares(
                lambda t: np.asarray(residual(t)), start, lambda t: np.asarray(jacobian(t)), method=method, **tight
            ).x

        return fit

    return of


def lmfit(problem: Problem) -> Fit:
    import lmfit as peer

    def fit(start: np.ndarray) -> np.ndarray:
        parameters = peer.create_params(**dict(zip(problem.names, start.tolist(), strict=True)))
        found = peer.minimize(
            lambda p: problem.curve([p[name].value for name in problem.names], np) - problem.y,
            parameters,
            ftol=1e-12,
            xtol=1e-12,
            max_nfev=2000 * (len(start) + 1),
        )
        return np.array([found.params[name].value for name in problem.names])

    return fit


def optimistix(problem: Problem) -> Fit:
    import jax
    import jax.numpy as jnp
    import optimistix as peer

    jax.config.update("jax_enable_x64", True)
    solver = peer.LevenbergMarquardt(rtol=1e-12, atol=1e-12)

    @jax.jit
    def solve(start: Any) -> Any:
        return peer.least_squares(
            lambda theta, _: problem.curve(theta, jnp) - problem.y, solver, start, max_steps=2000, throw=False
        ).value

    return lambda start: np.asarray(solve(jnp.asarray(start)))


PEERS: dict[str, Callable[[Problem], Fit]] = {
    "raphson": raphson,
    "scipy lm": scipy("lm"),
    "scipy trf": scipy("trf"),
    "lmfit": lmfit,
    "optimistix": optimistix,
}


def share(problem: Problem, fit: Fit) -> tuple[float, float, list[int]]:
    """The share of the starts that reach the minimum, the median time of a fit, and the numbers of the others."""
    lost, seconds = [], []
    for number, start in enumerate(problem.starts()):
        begun = time.perf_counter()
        try:
            reached = problem.reached(fit(start))
        except Exception:  # whatever a library raises, the minimum was not reached
            reached = False
        seconds.append(time.perf_counter() - begun)
        if not reached:
            lost.append(number)
    return 1.0 - len(lost) / STARTS, float(np.median(seconds)), lost


def run(names: list[str] | None = None, libraries: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Print the table; gives it, too."""
    chosen = libraries or list(PEERS)
    names = names or sorted(path.stem for path in PLACE.glob("*.json"))
    print(f"\nshare of {STARTS} bad starts that reach the certified minimum (median time of a fit)")
    print(f"  {'':10s}" + "".join(f"{library:>18s}" for library in chosen))
    table: dict[str, dict[str, float]] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name in names:
            problem, row = Problem(name), {}
            shown = ""
            for library in chosen:
                row[library], seconds, lost = share(problem, PEERS[library](problem))
                shown += f"{100 * row[library]:8.0f} %{1e3 * seconds:6.0f} ms"
                if os.environ.get("LOST"):
                    shown += f" {lost}"
            table[name] = row
            print(f"  {name:10s}{shown}", flush=True)
    means = {library: float(np.mean([row[library] for row in table.values()])) for library in chosen}
    print("  mean      " + "".join(f"{100 * means[library]:8.1f} %         " for library in chosen))
    if "raphson" in chosen:
        behind = [name for name, row in table.items() if row["raphson"] < max(row.values())]
        print(f"  behind the best peer on: {', '.join(behind) or 'none'}")
    return table


if __name__ == "__main__":
    run(sys.argv[1:])
