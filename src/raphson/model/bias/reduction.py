"""The kinds of bias reduction, and the families that they are defined for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from raphson.choices import Bias
from raphson.errors import ModelError, check_choice

if TYPE_CHECKING:
    from raphson.model.bias.objective import Biased
    from raphson.model.log_likelihood import LogLikelihood
    from raphson.model.objective import Kind

BIAS = (*get_args(Bias), None)


def check_bias(bias: Any, family: Any, penalty: Any) -> None:
    """Refuse a bias reduction that is not known, or not defined for the family.

    Raises
    ------
    ModelError
    """
    check_choice("bias", bias, BIAS)
    if bias is None:
        return
    if family.quasi or family.auxiliary or (bias == "jeffreys" and not family.dispersion_fixed):
        what = "adjusted scores are" if bias == "firth" else "penalty ½ log det I(θ) is"
        other = (
            "has no likelihood"
            if family.quasi
            else "has another parameter to estimate"
            + ("; bias='firth' is for its coefficients" if not family.auxiliary else "")
        )
        raise ModelError(
            f"bias: {bias.capitalize()}'s {what} for likelihoods in the coefficients alone, such as binomial, "
            f"poisson or multinomial; the {family.name} family {other}. Leave bias= out"
        )
    if penalty is not None:
        raise ModelError(f"bias: expected either bias={bias!r} or penalty=, two ways of shrinking; got both")


def reduced(likelihood: LogLikelihood, bias: str, kind: Kind) -> Biased:
    """The objective whose root or maximum has less bias than the likelihood's."""
    if is_penalty(likelihood.family, bias):
        from raphson.model.bias.jeffreys import JeffreysPenalised

        return JeffreysPenalised(likelihood, kind)
    from raphson.model.bias.adjusted_scores import AdjustedScores

    return AdjustedScores(likelihood, kind)


def is_penalty(family: Any, bias: str) -> bool:
    """Whether the bias reduction maximises ℓ + ½ log det I: by its name, and Firth's for a canonical link."""
    return bias == "jeffreys" or (family.canonical and family.dispersion_fixed)


def described(family: Any, bias: str) -> str:
    """The kind of bias reduction, in words.

    Examples
    --------
    >>> from raphson.model.families import Binomial
    >>> described(Binomial(), "firth"), described(Binomial(link="probit"), "firth")
    ("Firth (Jeffreys' penalty)", 'Firth (adjusted scores)')
    """
    if bias == "jeffreys":
        return "Jeffreys' penalty"
    return "Firth (Jeffreys' penalty)" if is_penalty(family, bias) else "Firth (adjusted scores)"
