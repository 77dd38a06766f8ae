r"""Shares of the variance: R², and the intraclass correlation, on the scale of the predictor.

With σ_f² the variance of what does not vary by groups, Xβ̂ with the smooth functions; σ_l² of a group, the mean of
zᵀGz over the rows (Johnson, Methods Ecol. Evol. 5, 2014, 944-946); and σ_ε² that of the responses,

    R²_m = σ_f²/(σ_f² + Σσ_l² + σ_ε²),    R²_c = (σ_f² + Σσ_l²)/(σ_f² + Σσ_l² + σ_ε²),    ICC = Σσ_l²/(Σσ_l² + σ_ε²)

(Nakagawa, Johnson and Schielzeth, J. R. Soc. Interface 14, 2017, 20170213, section 2). σ_ε² is

    gaussian, identity        φ, times the mean of 1/w with precision weights
    binomial                  π²/3 (logit), 1 (probit), π²/6 (cloglog): of the latent response (their section 6)
    poisson, log              ψ₁(λ);  with the root 1/4
    negative binomial, log    ψ₁((1/λ + 1/θ)⁻¹)
    gamma, log                ψ₁(1/φ)

with ψ₁ the trigamma function (their sections 3 and 5) and λ the mean of the marginal means exp(xᵀβ̂ + offset + ½zᵀGz),
which takes the place of that of a second fit without covariates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ModelError, RefusedName
from raphson.inference.intervals import quantile
from raphson.model.varying.results import AtMaximum
from raphson.numeric import in_one_thread
from raphson.scipy_special import expit, polygamma

if TYPE_CHECKING:
    import pandas as pd

LATENT = {"logit": math.pi**2 / 3, "probit": 1.0, "cloglog": math.pi**2 / 6}
"""Variances of the latent responses of shares, by link."""


@dataclass(frozen=True, eq=False)
class Shares:
    """The parts of the variance, with the derivatives of those that groups have and of the responses'.

    Attributes
    ----------
    fixed : σ_f².
    groups : σ_l² by the group.
    response : σ_ε².
    moves : (J,) ∂σ_l² by θ, by the group.
    response_moves : (J,) ∂σ_ε² by θ, along the modes.
    by_beta : (p,) ∂σ_ε² by β, where β is integrated; else zeros.
    """

    fixed: float
    groups: dict[str, float]
    response: float
    moves: dict[str, np.ndarray]
    response_moves: np.ndarray
    by_beta: np.ndarray

    @property
    def of_groups(self) -> float:
        return sum(self.groups.values())

    @property
    def marginal(self) -> float:
        """R²_m."""
        return self.fixed / (self.fixed + self.of_groups + self.response)

    @property
    def conditional(self) -> float:
        """R²_c."""
        return (self.fixed + self.of_groups) / (self.fixed + self.of_groups + self.response)


def check_defined(family: str, link: str | None, what: str) -> None:
    """Refuse families and links whose responses have no variance on the scale of the predictor."""
    defined = {
        "gaussian": ("identity",),
        "binomial": tuple(LATENT),
        "poisson": ("log", "sqrt"),
        "negative_binomial": ("log",),
        "gamma": ("log",),
    }
    if link not in defined.get(family, ()):
        raise RefusedName(
            f"{what}: not defined for the family {family!r} with the link {link!r}, whose responses have no variance "
            "on the scale of the predictor; see conditional_aic, deviance and edf"
        )


def shares(at: AtMaximum, weights: np.ndarray, precision: np.ndarray | None) -> Shares:
    """The parts of the variance of a fit.

    Parameters
    ----------
    weights : (n,) how many rows each stands for.
    precision : (n,) weights of the rows' variances, or None.
    """
    own, layout, J = at.criterion, at.criterion.layout, at.criterion.n_params
    w = weights / weights.sum()
    fixed = own.X @ at.beta
    groups: dict[str, float] = {}
    moves: dict[str, np.ndarray] = {}
    half, by_half = np.zeros(own.n_rows), np.zeros((J, own.n_rows))  # zᵀGz and its derivatives
    entries = at.theta[own.own_entries]
    for piece, place in zip(layout.pieces, layout.slices, strict=True):
        if piece.term is None:
            continue
        term, scale = own.terms[piece.term], own.scales[piece.term]
        if term.codes is None:
            fixed = fixed + piece.product(at.coefficients[place])
            continue
        L = scale.matrix(entries)
        turned = term.columns @ L
        each = np.einsum("ij,ij->i", turned, turned)
        groups[term.group] = groups.get(term.group, 0.0) + float(w @ each)
        half += each
        slope = moves.setdefault(term.group, np.zeros(J))
        for m, unit in enumerate(scale.moves(entries)):
            j = own.p + scale.start + m
            moved = 2.0 * np.einsum("ij,ij->i", turned, term.columns @ unit)
            slope[j] += float(w @ moved)
            by_half[j] += moved
    mean = float(w @ fixed)
    n = float(weights.sum())
    spread = float(w @ (fixed - mean) ** 2) * n / (n - 1.0) if n > 1 else 0.0
    response, by_theta, by_beta = _of_response(at, w, precision, half, by_half)
    return Shares(spread, groups, response, moves, by_theta, by_beta)


def _of_response(
    at: AtMaximum, w: np.ndarray, precision: np.ndarray | None, half: np.ndarray, by_half: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """σ_ε² with its derivatives by θ, and by β where that is integrated."""
    own, density = at.criterion, at.criterion.density
    family, link = density.family.name, density.family.link_name
    zeros, none = np.zeros(own.n_params), np.zeros(len(at.beta))
    tau = zeros.copy()
    if family == "gaussian":
        phi = math.exp(float(at.theta[-1])) * (1.0 if precision is None else float(w @ (1.0 / precision)))
        tau[-1] = phi
        return phi, tau, none
    if family == "binomial":
        return LATENT[str(link)], zeros, none
    if link == "sqrt":
        return 0.25, zeros, none
    if family == "gamma":
        shape = math.exp(-float(at.theta[-1]))
        tau[-1] = -float(polygamma(2, shape)) * shape
        return float(polygamma(1, shape)), tau, none
    each = w * np.exp(own.X @ at.beta + _smooths(at) + own.offset[0] + 0.5 * half)
    lam = float(each.sum())
    by_theta, by_beta = 0.5 * by_half @ each, own.X.T @ each
    if own.p:
        by_theta[: own.p] += by_beta
        by_beta = none
    if family == "poisson":
        slope = float(polygamma(2, lam))
        return float(polygamma(1, lam)), slope * by_theta, slope * by_beta
    theta = math.exp(float(at.theta[-1])) if density.joint else float(density.family.theta)
    harmonic = 1.0 / (1.0 / lam + 1.0 / theta)
    slope = float(polygamma(2, harmonic)) * harmonic**2
    if density.joint:
        tau[-1] = slope / theta
    return float(polygamma(1, harmonic)), slope / lam**2 * by_theta + tau, slope / lam**2 * by_beta


def _smooths(at: AtMaximum) -> np.ndarray:
    layout, total = at.criterion.layout, np.zeros(at.criterion.n_rows)
    for piece, place in zip(layout.pieces, layout.slices, strict=True):
        if piece.term is not None and piece.codes is None:
            total = total + piece.product(at.coefficients[place])
    return total


@in_one_thread
def intraclass(at: AtMaximum, found: Shares, level: float) -> pd.DataFrame:
    """The intraclass correlations: of each group, and of all together where there are several."""
    import pandas as pd

    total = found.of_groups + found.response
    moves = sum(found.moves.values()) + found.response_moves
    rows = []
    several = {"all": (found.of_groups, sum(found.moves.values()))} if len(found.groups) > 1 else {}
    parts = {name: (value, found.moves[name]) for name, value in found.groups.items()} | several
    for name, (part, slope) in parts.items():
        estimate = part / total
        by_theta = slope / total - part / total**2 * moves
        error = math.sqrt(max(_variance(at, by_theta, -part / total**2 * found.by_beta), 0.0))
        rows.append((name, estimate, *_on_logit(estimate, error, level)))
    return pd.DataFrame(rows, columns=["group", "estimate", "std_error", "lower", "upper"])


def _variance(at: AtMaximum, by_theta: np.ndarray, by_beta: np.ndarray) -> float:
    """By the delta method; β that is integrated has H⁻¹ given θ, and moves with it."""
    if not by_beta.any():
        return float(by_theta @ at.cov @ by_theta)
    own = at.criterion
    total = by_theta + at.moves_of_modes[:, own.layout.place_of_fixed] @ by_beta
    return float(total @ at.cov @ total) + float(by_beta @ at.beta_cov @ by_beta)


def _on_logit(estimate: float, error: float, level: float) -> tuple[float, float, float]:
    """Error and interval, by the normal distribution of the logit; at the edge there is none."""
    if not 0.0 < estimate < 1.0:
        return math.nan, estimate, math.nan
    centre, reach = math.log(estimate / (1.0 - estimate)), quantile(level, None) * error / (estimate * (1.0 - estimate))
    low, high = (float(expit(centre + side * reach)) for side in (-1.0, 1.0))
    return error, low, high


def _check(fit: Any, what: str) -> None:
    check_defined(fit.family.name, fit.family.link_name, what)
    fit.at(what)


def r2_marginal(fit: Any) -> float:
    """Share of the variance that covariates and smooth functions explain, σ_f²/(σ_f² + Σσ_l² + σ_ε²).

    On the scale of the predictor, with Σσ_l² of the groups and σ_ε² of the responses: Nakagawa, Johnson and Schielzeth
    (J. R. Soc. Interface 14, 2017, 20170213, section 2), with the trigamma function for counts and a gamma, and the
    latent variance for shares. Other families and links are refused.
    """
    _check(fit, "r2_marginal")
    return fit.shares.marginal


def r2_conditional(fit: Any) -> float:
    """Share of the variance that covariates, smooth functions and groups explain; see :func:`r2_marginal`."""
    _check(fit, "r2_conditional")
    return fit.shares.conditional


def icc(fit: Any, level: float = 0.95) -> pd.DataFrame:
    """The intraclass correlation: how alike responses of the same group are, given the covariates.

    A row for each group, and "all" together where there are several: ``group, estimate, std_error, lower, upper``. The
    estimate is σ_l²/(Σσ_l² + σ_ε²), the adjusted one of Nakagawa, Johnson and Schielzeth (J. R. Soc. Interface 14,
    2017, 20170213, section 2), with σ_ε² as for ``r2_marginal``; its error is by the delta method from the exact
    Hessian, and the interval is of its logit. At 0 there is neither.

    Parameters
    ----------
    level : coverage of the intervals.

    Raises
    ------
    ModelError
        If nothing varies by groups, or the responses have no variance on the scale of the predictor.
    """
    _check(fit, "icc")
    if not fit.group_sizes:
        raise ModelError("icc: expected effects that vary by groups, such as (1 | group); got smooth functions only")
    return intraclass(fit.maximum, fit.shares, level)
