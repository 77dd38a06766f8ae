"""Pictures of a network's training: its losses by epoch, its gradients by layer, responses over fitted values."""

from __future__ import annotations

from typing import Any

import numpy as np

from raphson.checks.pictures import Mark, Picture, some
from raphson.errors import RaphsonError

VANISHED = 1e-3
"""The gradient vanishes where the first layer's norm is below this share of the last's."""
TURNED = 1.02
"""The loss of rows held back has turned if it ends this much above its lowest."""


def training_pictures(fit: Any) -> list[tuple[str, Picture, str]]:
    """A network's losses by epoch, and its gradients by layer: title, picture, caption."""
    found: list[tuple[str, Picture, str]] = []
    history = fit.history
    if len(history):
        epoch = history["epoch"].to_numpy(dtype=float)
        loss, held = (history[one].to_numpy(dtype=float) for one in ("loss", "validation"))
        title, caption = "The loss falls", "Mean loss of the rows trained on."
        marks = [Mark("line", "data", epoch, loss)]
        if np.isfinite(held).any():
            best = int(np.nanargmin(held))
            marks = [
                Mark("line", "soft", epoch, loss, dashed=True),
                Mark("line", "data", epoch, held),
                Mark("upright", "soft", epoch[[best]], dashed=True, label=f"kept: {epoch[best]:.0f}"),
            ]
            caption = "Blue: rows held back, which decide when to stop. Dashed: rows trained on."
            heart = held[-1] > TURNED * held[best] and loss[-1] < loss[best]
            title = (
                f"It learns by heart after epoch {epoch[best]:.0f}"
                if heart
                else "It learns what holds for rows held back"
            )
        positive = bool((loss > 0).all() and not (held <= 0).any())
        picture = Picture(
            "epoch", "mean loss" + (" (log)" if positive else ""), tuple(marks), y_log=positive, whole_x=True
        )
        found.append((title, picture, caption))
        try:
            profile = fit.gradient_profile().table
        except RaphsonError:
            profile = None
        if profile is not None and len(profile):
            last = profile.to_numpy(dtype=float)[-1]
            place = np.arange(len(last), dtype=float)
            ticks = tuple((float(k), str(label)) for k, label in enumerate(profile.columns))
            vanish = len(last) > 1 and last[0] < VANISHED * last[-1]
            title = "The gradient vanishes on its way back" if vanish else "The gradient reaches every layer"
            picture = Picture(
                "layer",
                "norm of the gradient (log)",
                (Mark("dots", "data", place, last),),
                ticks,
                y_log=bool((last > 0).all()),
            )
            found.append((title, picture, "Norm of the gradient of each layer's weights in the last epoch."))
    return found


def fitted_picture(fit: Any, response: str) -> list[tuple[str, Picture, str]]:
    """Responses over fitted values, if a row has one of each."""
    try:
        fitted = np.asarray(fit.fittedvalues, dtype=float)
        residual = np.asarray(fit.residuals("response"), dtype=float)
    except (RaphsonError, AttributeError):
        return []
    if fitted.ndim != 1 or not len(fitted):
        return []
    rows = some(len(fitted))
    marks = (Mark("dots", "data", fitted[rows], (fitted + residual)[rows]), Mark("diagonal", "soft"))
    picture = Picture("fitted value", response, marks)
    return [("Responses over fitted values", picture, "On the dashed line a response is what was predicted.")]
