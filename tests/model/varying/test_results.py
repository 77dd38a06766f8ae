"""The thirteen references of 30 digits, on arrays: estimates, errors, modes, deviations, degrees of freedom, value."""

import json
from pathlib import Path

import numpy as np
import pytest

from raphson.model.varying.results import AtMaximum
from raphson.model.varying.start import starting_values
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS

FOLDER = Path(__file__).parents[2] / "reference" / "mixed"
REFERENCES = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}
FITS = [(name, kind) for name, one in REFERENCES.items() for kind in one["fits"] if kind != "agq25"]


@pytest.fixture(scope="module", params=FITS, ids="-".join)
def fitted(request, reference_criterion):
    name, kind = request.param
    model, expected = reference_criterion(name, kind == "reml"), REFERENCES[name]["fits"][kind]
    with np.errstate(all="ignore"):
        found = maximize(model, starting_values(model), METHODS["newton"])
    assert found.status.converged
    theta, free = found.theta.copy(), np.ones(model.n_params, dtype=bool)
    if name == "dyestuff2_boundary":
        assert abs(theta[model.own_entries][0]) < 1e-6 * abs(np.exp(theta[-1]))
        theta[model.own_entries], free[model.own_entries] = 0.0, False
    return name, AtMaximum(model, theta, free), expected


def test_the_criterion(fitted):
    _, at, expected = fitted
    value = at.spot.value
    if "loglik" in expected:
        assert abs(value - expected["loglik"]) < 1e-9
    else:
        X = at.criterion.X
        value += 0.5 * np.linalg.slogdet(X.T @ X)[1]
        assert abs(value - expected["reml_loglik_invariant"]) < 1e-9


def reported(at):
    """The parameters as the references name them, with their slopes by θ: by kind, group and place."""
    out, J, model = {}, at.criterion.n_params, at.criterion
    last = np.eye(J)[-1]
    for one in at.reported:
        term = model.terms[one.term]
        if term.codes is None:  # λ = φ/σ²
            tau = at.theta[-1] if model.density.scaled else 0.0
            out["log_lambda", term.label, 0] = (
                tau - 2 * one.transformed,
                (last if model.density.scaled else 0.0) - 2 * one.slope,
            )
        else:
            kind = "log_sd" if one.kind == "sd" else "atanh_corr"
            out[kind, term.label, one.first] = one.transformed, one.slope
    if model.density.scaled:
        half = model.density.family.name == "gaussian"
        tau = at.theta[-1], last
        out["log_sigma" if half else "log_phi", "", 0] = (tau[0] / 2, tau[1] / 2) if half else tau
    return out


def of_reference(names, at):
    """Values and slopes in the order of the reference's names."""
    found, seen, values, slopes = reported(at), {}, [], []
    for j, name in enumerate(names):
        kind, _, rest = name.partition("[")
        label = rest.split(":(")[0] if ":(" in rest else rest.rstrip("]").rsplit(":", 1)[0]
        label = rest.rstrip("]") if kind == "log_lambda" else label
        if kind in ("log_sd", "log_lambda"):
            place = seen[label] = seen.get(label, -1) + 1
            value, slope = found[kind, label, place]
        elif kind.startswith("atanh"):
            value, slope = next(pair for (kind, _, _), pair in found.items() if kind == "atanh_corr")
        elif (kind, "", 0) in found:
            value, slope = found[kind, "", 0]
        else:
            value, slope = at.theta[j], np.eye(at.criterion.n_params)[j]
        values.append(value)
        slopes.append(slope)
    return np.array(values), np.array(slopes)


def test_estimates_and_their_errors(fitted):
    name, at, expected = fitted
    parameters = expected["parameters"]
    if name == "dyestuff2_boundary":
        values, slopes = of_reference(parameters["names"], at)
        keep = [j for j, value in enumerate(parameters["estimate"]) if not isinstance(value, str)]
        np.testing.assert_allclose(values[keep], [parameters["estimate"][j] for j in keep], rtol=1e-10)
        return
    values, slopes = of_reference(parameters["names"], at)
    np.testing.assert_allclose(values, parameters["estimate"], rtol=1e-10)
    np.testing.assert_allclose(np.sqrt(np.diag(slopes @ at.cov @ slopes.T)), parameters["se"], rtol=1e-10)


def test_fixed_effects(fitted):
    _, at, expected = fitted
    if "smooths" in expected:
        return  # the intercept of the reference is that of another constraint
    fixed = expected["fixed"]
    np.testing.assert_allclose(at.beta, fixed["estimate"], rtol=1e-10, atol=1e-10 * np.abs(fixed["estimate"]).max())
    np.testing.assert_allclose(np.sqrt(np.diag(at.beta_cov)), fixed["se"], rtol=1e-10)


def test_modes_and_their_deviations(fitted):
    _, at, expected = fitted
    for term in expected["random"]:
        number, own = next((k, one) for k, one in enumerate(at.criterion.terms) if one.label == term["group"])
        order = [own.levels.index(str(level)) for level in term["levels"]]
        shape = (len(order), own.width)
        modes = np.array(term["mode"], dtype=float).reshape(shape)
        np.testing.assert_allclose(at.modes(number)[order], modes, rtol=1e-10, atol=1e-10 * np.abs(modes).max())
        found = {"posterior_sd": at.posterior_cov, "sd_with_parameter_uncertainty": at.full_cov}
        if "smooths" not in expected:
            found["conditional_sd"] = at.conditional_cov
        for key in found.keys() & term.keys():
            deviations = np.sqrt(np.diagonal(found[key](number), axis1=1, axis2=2))[order]
            np.testing.assert_allclose(deviations, np.array(term[key], dtype=float).reshape(shape), rtol=1e-10)


def test_predictors(fitted):
    _, at, expected = fitted
    rows = np.array(expected["fitted"]["rows_from_1"]) - 1
    np.testing.assert_allclose(at.spot.mode.eta[0, rows], expected["fitted"]["eta"], rtol=1e-10)
    random = at.eta_of_terms()[0] + at.criterion.X @ at.beta
    np.testing.assert_allclose(random, at.spot.mode.eta[0], rtol=1e-10, atol=1e-10)


def test_effective_degrees_of_freedom(fitted):
    _, at, expected = fitted
    for smooth in expected.get("smooths", []):
        number = next(k for k, one in enumerate(at.criterion.terms) if one.label == smooth["term"])
        assert abs(at.edf[number] + 1.0 - smooth["edf"]) < 1e-9 * smooth["edf"]
    if "edf_total" in expected:
        assert abs(sum(at.edf.values()) - expected["edf_total"]) < 1e-9 * expected["edf_total"]
