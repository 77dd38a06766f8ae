"""Families: the distribution of a response, written once as its log density.

>>> from raphson.model import families
>>> families.resolve("inverse.gaussian").link.name
'inverse_squared'
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from raphson.errors import ModelError
from raphson.model.families.base import Family, Observations, Rows
from raphson.model.families.binomial import Binomial, QuasiBinomial
from raphson.model.families.exponential import Gamma, Gaussian, InverseGaussian, Poisson, QuasiPoisson
from raphson.model.families.multinomial import Multinomial
from raphson.model.families.negative_binomial import NegativeBinomial
from raphson.model.families.robust import LOSSES, resolve_loss
from raphson.model.families.tweedie import Tweedie

__all__ = [
    "FAMILIES",
    "Binomial",
    "Family",
    "Gamma",
    "Gaussian",
    "InverseGaussian",
    "Multinomial",
    "NegativeBinomial",
    "Observations",
    "Poisson",
    "QuasiBinomial",
    "QuasiPoisson",
    "Rows",
    "Tweedie",
    "from_dict",
    "resolve",
]

FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in (
        Gaussian,
        Binomial,
        Poisson,
        Gamma,
        InverseGaussian,
        NegativeBinomial,
        Tweedie,
        Multinomial,
        QuasiPoisson,
        QuasiBinomial,
    )
}
"""The families by name."""

_ALIASES = {
    "normal": "gaussian",
    "bernoulli": "binomial",
    "nb": "negative_binomial",
    "negbin": "negative_binomial",
    "inversegaussian": "inverse_gaussian",
    "negativebinomial": "negative_binomial",
    "quasi_poisson": "quasipoisson",
    "quasi_binomial": "quasibinomial",
}

_PARAMETERS = {"tweedie": "power", "negative_binomial": "theta"}


def resolve(family: str | Family) -> Family:
    """Return the family that is meant by a name.

    Parameters
    ----------
    family : str or Family
        A name, in either case and with '-', '.' or a space for '_', with its parameter in brackets where
        it has one ("tweedie(1.5)", "negative_binomial(2)"); or a family, returned as it is.

    Returns
    -------
    Family

    Raises
    ------
    ModelError
        For a name that no family has, or a parameter that is missing or impossible.

    Examples
    --------
    >>> from raphson.model import families
    >>> families.resolve("Gamma").link
    Inverse()
    """
    if isinstance(family, Family):
        return family
    known = ", ".join(FAMILIES)
    if isinstance(family, type) and issubclass(family, Family):
        family = family.name
    if not isinstance(family, str):
        raise ModelError(f"family: expected a name ({known}) or a Family, got {type(family).__name__}.")
    match = re.fullmatch(r"\s*([^()]*?)\s*(?:\(\s*(?:(?:power|theta)\s*=\s*)?([^()]*?)\s*\))?\s*", family)
    name, inner = (match[1], match[2]) if match else (family, None)
    name = re.sub(r"[-.\s]+", "_", name.strip().lower())
    name = _ALIASES.get(name, name)
    if name not in FAMILIES:
        near = get_close_matches(name, [*FAMILIES, *_ALIASES], n=1)
        hint = f" Did you mean {_ALIASES.get(near[0], near[0])!r}?" if near else ""
        raise ModelError(f"family: there is no family named {family!r}.{hint} The families are {known}.")
    if inner is None:
        if name == "tweedie":
            raise ModelError('family: the tweedie family needs its power, as in "tweedie(1.5)" or Tweedie(power=1.5).')
        return FAMILIES[name]()
    if name not in _PARAMETERS:
        raise ModelError(f"family: the {name} family has no parameter, got {family!r}. Write {name!r}.")
    try:
        value = float(inner)
    except ValueError:
        raise ModelError(
            f"family: expected a number for the {_PARAMETERS[name]} of {name}, got {inner!r}. "
            f'Write it as in "{name}(1.5)".'
        ) from None
    return FAMILIES[name](**{_PARAMETERS[name]: value})


def from_dict(fields: dict[str, Any]) -> Family:
    """Return the family that :meth:`Family.to_dict` described.

    Raises
    ------
    ModelError
        If the description names no family or link, or has other fields than the family takes.
    """
    fields = dict(fields) if isinstance(fields, dict) else {}
    name = fields.pop("name", None)
    if isinstance(name, str) and name in LOSSES:
        if set(fields) != {"link", "scale"} or fields["link"] != "identity":
            raise ModelError(f"family: the saved {name} loss has other fields: {sorted(fields)}.")
        return resolve_loss(name, fields["scale"])
    if name not in FAMILIES:
        raise ModelError(f"family: expected the saved description of a family, got the name {name!r}.")
    allowed = {"link", "levels"} if name == "multinomial" else {"link", _PARAMETERS.get(name, "link")}
    if not set(fields) <= allowed:
        raise ModelError(f"family: the saved {name} has unknown fields: {sorted(set(fields) - allowed)}.")
    if isinstance(fields.get("levels"), list):
        fields["levels"] = tuple(str(level) for level in fields["levels"])
    return FAMILIES[name](**fields)
