"""One small curve, fitted again and again: NIST's Misra1a with standard errors, beside lmfit and SciPy.

``python -m benchmarks curve``; the aim is half of lmfit's time warm, and two thirds for the first fit of a process.
"""

from __future__ import annotations

import statistics

from benchmarks.contest import Contestant, contest

DATA = """
import numpy as np
x = np.array([77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0])
y = np.array([10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78])
def prepare(): return None
"""

RAPHSON = (
    DATA
    + """
import raphson as rp
data = {"x": x, "y": y}
def work(_):
    fit = rp.nls("y ~ b1*(1 - exp(-b2*x))", data, start={"b1": 500.0, "b2": 1e-4})
    return fit.params.to_numpy(), fit.bse.to_numpy()
def answer(found): return np.concatenate(found)
"""
)

LMFIT = (
    DATA
    + """
import lmfit
model = lmfit.Model(lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)))
def work(_):
    found = model.fit(y, x=x, b1=500.0, b2=1e-4)
    return [p.value for p in found.params.values()], [p.stderr for p in found.params.values()]
def answer(found): return np.concatenate(found)
"""
)

SCIPY = (
    DATA
    + """
from scipy.optimize import curve_fit
def work(_):
    found, V = curve_fit(lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)), x, y, p0=[500.0, 1e-4])
    return found, np.sqrt(np.diag(V))
def answer(found): return np.concatenate(found)
"""
)


FIRST = """
import subprocess, sys
def prepare(): return None
def work(_): subprocess.run([sys.executable, "-c", {script!r}], check=True, stdout=subprocess.DEVNULL)
"""

WHOLE = "\nprint(answer(work(prepare())))\n"


def run() -> None:
    """Print the tables."""
    ours, lmfit = Contestant("raphson", RAPHSON), Contestant("lmfit", LMFIT)
    medians = contest(
        "Misra1a from its first start, with standard errors",
        [ours, lmfit, Contestant("scipy curve_fit", SCIPY)],
        turns=25,
        repeats=20,
    )
    busy = statistics.median(ours.busy) / statistics.median(lmfit.busy)
    print(f"  {medians[ours.name] / medians[lmfit.name]:.2f} × lmfit's time, {busy:.2f} × its processor time")
    first = contest(
        "the same as the first fit of a process, imports included",
        [Contestant(one.name, FIRST.format(script=one.source + WHOLE)) for one in (ours, lmfit)],
        turns=9,
    )
    print(f"  {first[ours.name] / first[lmfit.name]:.2f} × lmfit's time")


if __name__ == "__main__":
    run()
