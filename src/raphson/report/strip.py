"""The iteration as a strip: the distance to the maximum at each step, or the loss where distances are not known."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.checks.pictures import Mark, Picture
from raphson.report import content, drawing
from raphson.report.words import figures

FORMULA = (
    "<math display='block' aria-label='theta becomes theta plus alpha times M inverse times the gradient of the "
    "log-likelihood'><mi>θ</mi><mo>←</mo><mi>θ</mi><mo>+</mo><mi>α</mi><msup><mi>M</mi><mrow><mo>−</mo><mn>1</mn>"
    "</mrow></msup><mo>∇</mo><mi>ℓ</mi><mo>(</mo><mi>θ</mi><mo>)</mo></math>"
)

MATRICES = {
    "newton": "Newton's method: M is the observed information, minus the Hessian of the log-likelihood. Near the "
    "maximum each step doubles the number of correct digits.",
    "fisher": "Fisher scoring: M is the expected information. For a canonical link it is Newton's method.",
    "gauss-newton": "Gauss-Newton: M is JᵀJ, the cross-product of the Jacobian; each step is a least squares problem.",
    "levenberg-marquardt": "Levenberg-Marquardt: M is JᵀJ + τD, Gauss-Newton damped by τ while far from the optimum.",
    "bhhh": "M is the outer product of the rows' scores.",
    "bfgs": "M is built up from the changes of the gradient.",
    "gradient": "Gradient descent: M is the identity, and the learning rate is α.",
    "momentum": "Momentum: M is the identity, and the gradient is averaged over the steps.",
    "sgd": "Stochastic gradient descent: M is the identity, and each gradient is of a batch of rows.",
    "rmsprop": "RMSprop: M is diagonal, the root mean square of each gradient so far.",
    "adam": "Adam: M is diagonal, the root mean square of each gradient so far, and the gradient is averaged as well.",
}
"""What M is in each method."""


def method_sentence(method: str) -> str:
    """What M is in a method."""
    key = method.lower().replace("_", "-").replace(" ", "-")
    for name, text in MATRICES.items():
        if key.startswith(name):
            return text
    return f"M is the matrix of the method {method}."


def path_picture(fit: Any) -> Picture:
    """The distance in standard errors at each step, on a log axis; without one, the objective's shortfall."""
    path = fit.path
    step = path["iteration"].to_numpy(dtype=float)
    label, values = "distance to the maximum in standard errors", _distances(path)
    known = np.isfinite(values) & (values > 0)
    if np.count_nonzero(known) < 2:
        objective = path["llf"].to_numpy(dtype=float)
        label, values = content.objective_name(fit), objective
        known = np.isfinite(values)
        logarithmic = False
    else:
        logarithmic = True
    x, y = step[known], values[known]
    marks = [Mark("line", "data", x, y)]
    if len(x) <= 60:
        marks.append(Mark("dots", "data", x, y))
    named = np.unique([0, len(x) // 2, len(x) - 1]) if len(x) else np.zeros(0, dtype=int)
    if logarithmic:
        marks += [
            Mark("dots", "data", x[[k]], y[[k]], label=figures(float(y[k])), **_beside(k, len(x)))
            for k in named.tolist()
        ]
    return Picture(f"iteration ({fit.method})", label, tuple(marks), y_log=logarithmic, whole_x=True, roomy=True)


def _beside(k: int, n: int) -> dict[str, Any]:
    """Where a label stands: above a line that falls, and at its end below."""
    last = k == n - 1 > 0
    return {"left": last, "under": last}


def _distances(path: Any) -> np.ndarray:
    """The distance where it was computed, else the decrement: the same by the matrix of the method."""
    out = path["decrement"].to_numpy(dtype=float) if "decrement" in path else np.full(len(path), np.nan)
    if "distance" in path:
        own = path["distance"].to_numpy(dtype=float)
        out = np.where(np.isfinite(own), own, out)
    return out


def strip_svg(fit: Any) -> str:
    """The strip as SVG."""
    picture = path_picture(fit)
    return drawing.svg(picture, f"{picture.y_label} at each of {fit.n_iter} iterations", width=6.6, height=1.7)
