"""The reference models with effects that vary, from their formulas, at their maximum."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raphson.data import from_formula
from raphson.model import families
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.densities import Density
from raphson.model.varying.results import AtMaximum
from raphson.model.varying.start import starting_values
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS

FOLDER = Path(__file__).parents[2] / "reference" / "mixed"

FORMULAS = {
    "sleepstudy_corr": "Reaction ~ Days + (Days | Subject)",
    "sleepstudy_uncorr": "Reaction ~ Days + (Days || Subject)",
    "machines": "score ~ Machine + (1 | Worker/Machine)",
    "cbpp": "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)",
    "dyestuff2_boundary": "Yield ~ 1 + (1 | Batch)",
    "mcycle_cr": "accel ~ s(times, k=20)",
    "discoveries_cr": "count ~ s(year)",
    "airquality_two": "Ozone ~ s(Wind) + s(Temp)",
    "ovary_smooth_and_group": "follicles ~ s(Time) + (1 | Mare)",
}
FAMILIES = {"cbpp": "binomial", "discoveries_cr": "poisson", "ovary_smooth_and_group": "poisson"}


@pytest.fixture(scope="session")
def reference():
    """The data, formula and answer of a reference by its name."""

    def found(name):
        data = pd.read_csv(FOLDER / f"{name}.csv")
        if name == "airquality_two":
            data = data[data.Ozone.notna()]
        return data, FORMULAS[name], json.loads((FOLDER / f"{name}.json").read_text())["fits"]

    return found


@pytest.fixture(scope="session")
def at_maximum(reference):
    """The model data and the criterion at its maximum, of a reference."""

    @cache
    def made(name, restricted=False):
        data, formula, _ = reference(name)
        read = from_formula(formula, data, varying=True)
        y, size = read.response.values, None
        if y.ndim == 2:
            size = y.sum(axis=1)
            y = y[:, 0] / size
        density = Density(families.resolve(FAMILIES.get(name, "gaussian")), y, None, size, "precision")
        criterion = Criterion(density, np.asarray(read.X), read.varying, None, restricted)
        with np.errstate(all="ignore"):
            theta = maximize(criterion, starting_values(criterion), METHODS["newton"]).theta.copy()
        free = np.ones(len(theta), dtype=bool)
        if name == "dyestuff2_boundary":
            theta[criterion.own_entries], free[criterion.own_entries] = 0.0, False
        return read, AtMaximum(criterion, theta, free)

    return made
