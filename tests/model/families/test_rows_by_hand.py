"""Rows in NumPy against autodiff of the log density: every ready family with every link, from η = −800 to 800."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from raphson.model import families
from raphson.model.families import links
from raphson.model.families.rows_by_hand import hand_rows
from raphson.numeric import x64

SIZES = np.geomspace(1e-9, 800.0, 40)
ETA = np.unique(np.concatenate([-SIZES, SIZES, [0.0, 0.5, 1.0, -1.0, 2.0, 4.0, -4.0, -5.0, -5.001, 37.5, 1 - 1e-6]]))
"""From one end to the other, near 0 and where formulas change."""

COUNTS = (0.0, 1.0, 2.5, 7.0, 1000.0)
POSITIVE = (1e-6, 0.5, 1.0, 3.0, 1e5)
RESPONSES = {
    "gaussian": (-3.0, 0.0, 0.5, 1e6),
    "binomial": (0.0, 0.2, 1.0),
    "poisson": COUNTS,
    "quasipoisson": COUNTS,
    "quasibinomial": (0.0, 0.2, 1.0),
    "gamma": POSITIVE,
    "inverse_gaussian": POSITIVE,
}
POWERS = (-1.0, 0.0, 1.0, 1.01, 1.5, 2.0, 2.5, 3.0)

compiled = jax.jit(lambda family, y, eta: family.rows(y, eta))


def hold_to_autodiff(family, responses, log_theta=None, rtol=1e-13):
    """Each quantity agrees to `rtol`, up to what a few roundings of y and η change.

    Where the mean is near y, or a second derivative is near 0, neither way can keep more digits than that.
    """
    y, eta = (values.ravel() for values in np.meshgrid(responses, ETA))
    eta = eta[None] if log_theta is None else np.stack([eta, np.full_like(eta, log_theta)])
    with x64():
        expected = {name: np.asarray(part) for name, part in compiled(family, y, eta)._asdict().items()}
    found = hand_rows(family, y, eta)
    rounding = 4e-15 * (np.abs(eta) + (not np.isfinite(family.link.positive_ends[0])))
    if log_theta is not None:
        rounding[1] = 0.0
    moved = [(y * (1.0 + by), eta) for by in (-1e-15, 1e-15)] + [(y, eta + by * rounding) for by in (-1.0, 1.0)]
    others = [hand_rows(family, *there) for there in moved]
    inside = np.isfinite(expected["value"])
    assert (np.isfinite(found.value) == inside).all()
    for name, theirs in expected.items():
        ours = getattr(found, name)
        assert ours.shape == theirs.shape
        with np.errstate(all="ignore"):
            changes = np.max([np.nan_to_num(np.abs(getattr(other, name) - ours)) for other in others], axis=0)
            gap, near = np.abs(ours - theirs), rtol * np.abs(theirs) + 2.0 * changes + 1e-290
            if name == "observed":
                # by the chain rule over l = log μ it is −(ℓ_ll l'² + ℓ_l l''), of terms that cancel for some links
                terms = np.abs(expected["score"][0] * expected["slope"][0, 0] / expected["mean"][0])
                near[0, 0] += 4e-15 * np.nan_to_num(terms, posinf=0.0)
            if log_theta is not None:
                near = near + 1e-14 * y / (1.0 + np.exp(log_theta))  # of the terms of log θ, which cancel at μ = 0
            # overflow comes a little earlier in one or the other
            close = (gap <= near) | (ours == theirs) | ~(np.abs(theirs) < 1e300)
        bad = [tuple(place) for place in np.argwhere(~close & inside)]
        told = [f"{y[at[-1]]} {eta[:, at[-1]]}: {ours[at]} {theirs[at]} {near[at]}" for at in bad[:3]]
        assert not told, (family, log_theta, name, told)


@pytest.mark.parametrize("link", links.LINKS)
@pytest.mark.parametrize("name", RESPONSES)
def test_families_without_parameters(name, link):
    hold_to_autodiff(families.FAMILIES[name](link=link), RESPONSES[name])


@pytest.mark.parametrize("link", links.LINKS)
def test_tweedie(link):
    for power in POWERS:
        responses = (-2.0, 0.5, 3.0, 1e4) if power <= 0 else (0.0, 0.5, 3.0, 1e4) if power < 2 else (0.5, 3.0, 1e4)
        hold_to_autodiff(families.Tweedie(power=power, link=link), responses)


@pytest.mark.parametrize("link", links.LINKS)
def test_negative_binomial(link):
    for theta in (0.01, 2.0, 1e6):
        hold_to_autodiff(families.NegativeBinomial(theta=theta, link=link), COUNTS)
    for log_theta in (-20.0, -5.0, -4.0, 0.3, 2.2, 2.4, 8.0, 18.0) if link == "log" else (-4.0, 0.3, 8.0):
        # the expected information is an integral, of which up to three digits cancel
        hold_to_autodiff(families.NegativeBinomial(link=link), COUNTS, log_theta, rtol=1e-12)


def test_negative_binomial_of_a_theta_that_is_all_but_infinite():
    family = families.NegativeBinomial()
    y, m = (part.ravel() for part in np.meshgrid([0.0, 1.0, 3.0, 20.0, 1e3], [-3.0, 0.3, 3.0, 30.0]))
    for log_theta in (100.5, 150.0, 300.0):
        eta = np.stack([m, np.full_like(m, log_theta)])
        with x64():
            expected = compiled(family, y, eta)
        found = hand_rows(family, y, eta)
        for name, theirs in expected._asdict().items():
            np.testing.assert_allclose(getattr(found, name), np.asarray(theirs), rtol=1e-11, err_msg=name)
    assert hand_rows(family, y, np.stack([m + 30.0, eta[1]])) is None
    for far in (-1e4, 1e4):
        assert (hand_rows(family, y, np.stack([m, np.full_like(m, far)])).value == -np.inf).all()


def test_multinomial():
    rng = np.random.default_rng(0)
    family = families.Multinomial(levels=("a", "b", "c", "d"))
    eta, y = rng.choice(ETA, (3, 4000)), rng.integers(0, 4, 4000).astype(float)
    with x64():
        expected = compiled(family, y, eta)
    found = hand_rows(family, y, eta)
    for name, theirs in expected._asdict().items():
        np.testing.assert_allclose(getattr(found, name), np.asarray(theirs), rtol=2e-14, atol=1e-300, err_msg=name)


def test_a_class_that_is_derived_from_a_ready_one_is_left_to_autodiff():
    # It may have another density.
    y, eta = np.ones(3), np.zeros((1, 3))
    assert hand_rows(type("Own", (families.Poisson,), {})(link="log"), y, eta) is None
    assert hand_rows(families.Poisson(link=type("OwnLog", (links.Log,), {})()), y, eta) is None


def test_rows_of_different_log_theta_are_left_to_autodiff():
    y, eta = np.ones(3), np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 2.0]])
    assert hand_rows(families.NegativeBinomial(), y, eta) is None
    assert hand_rows(families.NegativeBinomial(), y, eta[:, :2][:, [0, 0, 1]]) is not None
