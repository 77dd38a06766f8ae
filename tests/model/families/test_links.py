"""Links: every subclass is walked, so that a new one is tested by itself."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from raphson.errors import ModelError
from raphson.model.families import links
from raphson.numeric import x64

ALL = sorted(links.Link.__subclasses__(), key=lambda link: link.name)
DERIVED = ("mean", "log_mean", "log_complement", "reciprocal")


def middle(link):
    """Linear predictors in the middle of the domain, the means between 0 and 1."""
    return link.link(np.linspace(0.05, 0.95, 19))


@pytest.mark.parametrize("cls", ALL)
def test_link_inverts_mean(cls):
    link = cls()
    eta = middle(link)
    with x64():
        np.testing.assert_allclose(np.asarray(link.mean(eta)), np.linspace(0.05, 0.95, 19), rtol=1e-13)


@pytest.mark.parametrize("cls", ALL)
def test_the_functions_of_a_link_agree(cls):
    # red when one of the four is that of another link
    link = cls()
    eta = middle(link)
    with x64():
        mean = np.asarray(link.mean(eta))
        np.testing.assert_allclose(np.asarray(link.log_mean(eta)), np.log(mean), rtol=1e-13)
        np.testing.assert_allclose(np.asarray(link.log_complement(eta)), np.log1p(-mean), rtol=1e-13)
        np.testing.assert_allclose(np.asarray(link.reciprocal(eta)), 1 / mean, rtol=1e-13)


@pytest.mark.parametrize("cls", ALL)
def test_derivatives_are_those_of_finite_differences(cls):
    link = cls()
    eta = middle(link)
    with x64():
        for name in DERIVED:
            function = getattr(link, name)

            def slope(v, function=function):
                return jax.jvp(function, (v,), (np.ones_like(eta),))[1]

            for lower in (function, slope):
                step = 1e-6 * np.maximum(np.abs(eta), 0.1)
                exact = jax.jvp(lower, (eta,), (np.ones_like(eta),))[1]
                finite = (np.asarray(lower(eta + step)) - np.asarray(lower(eta - step))) / (2 * step)
                np.testing.assert_allclose(np.asarray(exact), finite, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("cls", ALL)
def test_masks_say_where_the_mean_is(cls):
    link = cls()
    eta = np.array([-800.0, -3, -1.5, -0.5, 0.0, 0.5, 1.5, 3, 800])
    with x64(), np.errstate(all="ignore"):
        valid = np.asarray(link.valid(eta))
        mean = np.asarray(link.mean(eta))
        # a mean that is rounded to 0 or 1 is still inside, so eta is drawn to the middle
        near = np.asarray(link.mean(np.clip(eta, -3, 3)))
        np.testing.assert_array_equal(np.asarray(link.positive(eta)), valid & (near > 0))
        np.testing.assert_array_equal(np.asarray(link.proper(eta)), valid & (near > 0) & (near < 1))
    assert np.isfinite(mean[valid]).all() or link.name == "log"
    assert not np.asarray(link.valid(np.array([np.nan]))).any()


@pytest.mark.parametrize("cls", ALL)
def test_limits_are_those_of_the_mean(cls):
    link = cls()
    with x64():
        for limit, eta in zip(link.limits, (-1e6, 1e6), strict=True):
            if limit is None:
                assert link.name == "inverse" or not np.asarray(link.valid(np.array([eta]))).any() or eta > 0
            elif np.isfinite(limit):
                np.testing.assert_allclose(np.asarray(link.mean(np.array([eta]))), limit, atol=2e-3)
            else:
                assert np.sign(limit) * np.asarray(link.mean(np.array([eta])))[0] > 1e5


@pytest.mark.parametrize("cls", ALL)
def test_equal_by_type_and_found_by_name(cls):
    assert cls() == cls()
    assert hash(cls()) == hash(cls())
    assert links.resolve(cls.name.upper().replace("_", "-")) == cls()
    assert links.resolve(cls) == cls()
    assert all(cls() != other() for other in ALL if other is not cls)


def test_all_links_are_listed():
    assert set(links.LINKS.values()) == set(ALL)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("logti", r"link: there is no link named 'logti'. Did you mean 'logit'\? The links are identity, log"),
        ("zzz", r"no link named 'zzz'. The links are"),
        (3, r"link: expected a name \(identity, .*\) or a Link; got int"),
    ],
)
def test_unknown_links(name, message):
    with pytest.raises(ModelError, match=message):
        links.resolve(name)
