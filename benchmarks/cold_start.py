"""A cold `raphson fit` on a small CSV file, beside the bare import of statsmodels."""

from __future__ import annotations

from benchmarks.contest import Contestant, contest

COLD = """
import subprocess, sys, os
def prepare(): return None
def work(_): subprocess.run({command!r}, check=True, stdout=subprocess.DEVNULL)
"""


def run() -> None:
    """Print the table."""
    import sys
    from pathlib import Path

    from raphson import datasets

    program = str(Path(sys.executable).parent / "raphson")
    formula = "low ~ age + lwt + race + smoke"
    fit = [program, "fit", formula, str(datasets.path("births")), "--family", "binomial"]
    peer = [sys.executable, "-c", "import statsmodels.api"]
    contest(
        "a cold start",
        [
            Contestant("raphson fit births.csv", COLD.format(command=fit)),
            Contestant("python -c 'import statsmodels.api'", COLD.format(command=peer)),
        ],
        turns=7,
    )
