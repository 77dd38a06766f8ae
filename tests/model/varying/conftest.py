"""The reference models as arrays: responses, designs and varying terms, built here without formulas."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from raphson.data.varying.term import VaryingTerm
from raphson.model import families
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.densities import Density

FOLDER = Path(__file__).parents[2] / "reference" / "mixed"


@pytest.fixture(scope="session")
def reference_criterion():
    """From the name of a reference, and whether β is integrated, to its criterion."""
    return criterion


@pytest.fixture(scope="session")
def grouping_term():
    return grouping


def reference(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def criterion(name, restricted):
    y, X, terms, family, size = _built(name)
    return Criterion(Density(families.resolve(family), y, None, size, "precision"), X, terms, None, restricted)


def grouping(label, values, columns=None, structure="correlated"):
    levels, codes = np.unique([str(one) for one in values], return_inverse=True)
    columns = np.ones((len(codes), 1)) if columns is None else np.asarray(columns, dtype=float)
    names = tuple(f"c{j}" for j in range(columns.shape[1]))
    return VaryingTerm(label, label, columns, codes.astype(np.int32), tuple(levels.tolist()), names, structure)


def smooth(label, x, definition):
    """The unpenalised column, and the term of the penalised ones, of a natural cubic spline by its values at knots."""
    knots = np.array(definition["knots"])
    B, S = _natural_spline(np.asarray(x, dtype=float), knots)
    assert np.allclose(S, definition["S"], rtol=1e-9, atol=1e-9 * np.abs(S).max())
    values, vectors = np.linalg.eigh(S)
    kept = values > 1e-10 * values[-1]
    columns = B @ vectors[:, kept] / np.sqrt(values[kept])
    columns -= columns.mean(axis=0)
    flat = B @ knots  # the linear function, which a spline by its values has exactly
    names = tuple(f"b{j}" for j in range(columns.shape[1]))
    return flat - flat.mean(), VaryingTerm(label, label, columns, None, (), names, "common")


def _natural_spline(x, knots):
    h, m = np.diff(knots), len(knots)
    D, B = np.zeros((m - 2, m)), np.zeros((m - 2, m - 2))
    for i in range(m - 2):
        D[i, i : i + 3] = 1 / h[i], -1 / h[i] - 1 / h[i + 1], 1 / h[i + 1]
        B[i, i] = (h[i] + h[i + 1]) / 3
        if i < m - 3:
            B[i, i + 1] = B[i + 1, i] = h[i + 1] / 6
    F = np.zeros((m, m))  # second derivatives at the knots
    F[1:-1] = np.linalg.solve(B, D)
    j = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, m - 2)
    left, right, width = knots[j + 1] - x, x - knots[j], h[j]
    out, rows = np.zeros((len(x), m)), np.arange(len(x))
    out[rows, j] += left / width
    out[rows, j + 1] += right / width
    out += ((left**3 / width - width * left) / 6)[:, None] * F[j]
    out += ((right**3 / width - width * right) / 6)[:, None] * F[j + 1]
    return out, D.T @ np.linalg.solve(B, D)


def _dummies(values):
    levels = sorted({str(one) for one in values})
    return np.stack([np.array([str(one) == level for one in values], dtype=float) for level in levels[1:]], axis=1)


def _built(name):
    frame = pd.read_csv(FOLDER / f"{name}.csv")
    one = np.ones((len(frame), 1))
    if name.startswith("sleepstudy"):
        X = np.column_stack([one, frame.Days])
        structure = "correlated" if name.endswith("_corr") else "independent"
        return frame.Reaction.to_numpy(), X, [grouping("Subject", frame.Subject, X, structure)], "gaussian", None
    if name == "penicillin":
        terms = [grouping("plate", frame.plate), grouping("sample", frame["sample"])]
        return frame.diameter.to_numpy(float), one, terms, "gaussian", None
    if name == "machines":
        pairs = [f"{a}:{b}" for a, b in zip(frame.Worker, frame.Machine, strict=True)]
        terms = [grouping("Worker", frame.Worker), grouping("Worker:Machine", pairs)]
        return frame.score.to_numpy(), np.column_stack([one, _dummies(frame.Machine)]), terms, "gaussian", None
    if name == "dyestuff2_boundary":
        return frame.Yield.to_numpy(), one, [grouping("Batch", frame.Batch)], "gaussian", None
    if name == "cbpp":
        size, X = frame["size"].to_numpy(float), np.column_stack([one, _dummies(frame.period)])
        return frame.incidence.to_numpy() / size, X, [grouping("herd", frame.herd)], "binomial", size
    if name == "grouseticks":
        X = np.column_stack([one, _dummies(frame.YEAR), (frame.HEIGHT - 460) / 100])
        terms = [grouping("BROOD", frame.BROOD), grouping("LOCATION", frame.LOCATION)]
        return frame.TICKS.to_numpy(float), X, terms, "poisson", None
    if name == "orthodont_gamma":
        male = _dummies(frame.Sex)[:, 0]
        X = np.column_stack([one, frame.age, male, frame.age * male])
        return frame.distance.to_numpy(), X, [grouping("Subject", frame.Subject)], families.Gamma(link="log"), None
    if name == "bacteria_probit":
        X = np.column_stack([one, _dummies(frame.trt), frame.week > 2]).astype(float)
        return frame.y.to_numpy(float), X, [grouping("ID", frame.ID)], families.Binomial(link="probit"), None
    return _smooths(name, frame, one)


def _smooths(name, frame, one):
    response, family = {
        "mcycle_cr": ("accel", "gaussian"),
        "discoveries_cr": ("count", "poisson"),
        "airquality_two": ("Ozone", "gaussian"),
        "ovary_smooth_and_group": ("follicles", "poisson"),
    }[name]
    X, terms = one, [grouping("Mare", frame.Mare)] if name.startswith("ovary") else []
    for definition in reference(name)["smooth_definitions"]:
        flat, term = smooth(definition["term"], frame[definition["term"][2:-1]], definition)
        X, terms = np.column_stack([X, flat]), [*terms, term]
    return frame[response].to_numpy(float), X, terms, family, None
