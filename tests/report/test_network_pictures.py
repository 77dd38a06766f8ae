from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from raphson.errors import ModelError
from raphson.report.network_pictures import fitted_picture, training_pictures


def _net(held: list[float], norms: list[float]):
    n = len(held)
    history = pd.DataFrame({"epoch": range(1, n + 1), "loss": np.linspace(1.0, 0.1, n), "validation": held})
    table = pd.DataFrame([norms], columns=["hidden1", "output"])
    return SimpleNamespace(history=history, gradient_profile=lambda: SimpleNamespace(table=table))


def test_learning_by_heart_and_vanishing_gradients_are_found() -> None:
    losses, gradients = training_pictures(_net([0.9, 0.5, 0.7], [1e-9, 1.0]))
    assert losses[0] == "It learns by heart after epoch 2" and gradients[0] == "The gradient vanishes on its way back"
    losses, gradients = training_pictures(_net([0.9, 0.5, 0.4], [0.5, 1.0]))
    assert "rows held back" in losses[0] and gradients[0] == "The gradient reaches every layer"


def test_nothing_held_out() -> None:
    assert training_pictures(_net([np.nan] * 3, [0.5, 1.0]))[0][0] == "The loss falls"


def test_no_single_residual_no_picture() -> None:
    def refuse(kind: str) -> None:
        raise ModelError("several levels")

    assert fitted_picture(SimpleNamespace(fittedvalues=[1.0], residuals=refuse), "y") == []
