"""Which bias reduction is defined for which family, and what it is."""

from __future__ import annotations

import pytest

from raphson.errors import ModelError
from raphson.model.bias.reduction import check_bias, described, is_penalty
from raphson.model.families import Binomial, Gaussian, NegativeBinomial, Poisson, QuasiPoisson


@pytest.mark.parametrize(
    ("family", "bias", "penalty", "name"),
    [
        (Binomial(), "firth", True, "Firth (Jeffreys' penalty)"),
        (Binomial(link="probit"), "firth", False, "Firth (adjusted scores)"),
        (Binomial(link="probit"), "jeffreys", True, "Jeffreys' penalty"),
        (Poisson(), "firth", True, "Firth (Jeffreys' penalty)"),
        (Gaussian(), "firth", False, "Firth (adjusted scores)"),  # its dispersion is estimated
    ],
)
def test_firths_is_a_penalty_for_canonical_links(family, bias, penalty, name):
    check_bias(bias, family, None)
    assert is_penalty(family, bias) is penalty and described(family, bias) == name


@pytest.mark.parametrize(
    ("family", "bias", "penalty", "message"),
    [
        (Binomial(), "frith", None, "bias: expected one of"),
        (QuasiPoisson(), "firth", None, "Firth's adjusted scores are for.*has no likelihood"),
        (NegativeBinomial(), "firth", None, "has another parameter to estimate. Leave"),
        (Gaussian(), "jeffreys", None, "bias='firth' is for its coefficients. Leave"),
        (Binomial(), "firth", 1.0, "two ways of shrinking; got both"),
    ],
)
def test_other_families_are_refused_with_the_reason(family, bias, penalty, message):
    with pytest.raises(ModelError, match=message):
        check_bias(bias, family, penalty)


def test_nothing_is_checked_where_nothing_is_asked():
    check_bias(None, QuasiPoisson(), 1.0)
