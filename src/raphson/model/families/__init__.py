"""Families: the distribution of a response, written once as its log density.

>>> from raphson.model import families
>>> families.resolve("inverse.gaussian").link.name
'inverse_squared'
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from raphson.errors import ModelError
from raphson.hints import hint
from raphson.lazy import Lazy, on_request
from raphson.model.families import links
from raphson.model.families.base import Family, Observations, Rows
from raphson.model.families.exponential import (
    Gamma,
    Gaussian,
    InverseGaussian,
    Poisson,
    PositiveMean,
    QuasiPoisson,
)
from raphson.model.families.links import Link
from raphson.model.families.structure import needed_by, parameters_of, structured
from raphson.registry import Registry

if TYPE_CHECKING:
    import raphson.model.families.binomial as _binomial
    import raphson.model.families.multinomial as _multinomial
    import raphson.model.families.negative_binomial as _negative_binomial
    import raphson.model.families.tweedie as _tweedie
    from raphson.model.families.binomial import Binomial, QuasiBinomial
    from raphson.model.families.multinomial import Multinomial
    from raphson.model.families.negative_binomial import NegativeBinomial
    from raphson.model.families.tweedie import Tweedie

__all__ = [
    "FAMILIES",
    "Binomial",
    "Family",
    "Gamma",
    "Gaussian",
    "InverseGaussian",
    "Link",
    "Multinomial",
    "NegativeBinomial",
    "Observations",
    "Poisson",
    "PositiveMean",
    "QuasiBinomial",
    "QuasiPoisson",
    "Rows",
    "Tweedie",
    "from_dict",
    "links",
    "register",
    "resolve",
]

_WHERE = {
    "Binomial": ("raphson.model.families.binomial", "Binomial"),
    "Multinomial": ("raphson.model.families.multinomial", "Multinomial"),
    "NegativeBinomial": ("raphson.model.families.negative_binomial", "NegativeBinomial"),
    "QuasiBinomial": ("raphson.model.families.binomial", "QuasiBinomial"),
    "Tweedie": ("raphson.model.families.tweedie", "Tweedie"),
}

if not TYPE_CHECKING:  # otherwise a type checker would accept any name
    _binomial, _multinomial = Lazy("raphson.model.families.binomial"), Lazy("raphson.model.families.multinomial")
    _negative_binomial = Lazy("raphson.model.families.negative_binomial")
    _tweedie = Lazy("raphson.model.families.tweedie")
    __getattr__ = on_request(__name__, _WHERE, lambda name: hint("class", name, __all__, "rp.families."))


def __dir__() -> list[str]:
    return sorted(__all__)


def _check_moments(family: type[Family]) -> None:
    from raphson.model.families.checks import check_moments

    check_moments(family)


FAMILIES: Registry[type[Family]] = Registry(
    "family",
    "family",
    "families",
    "rp.families.register",
    _check_moments,
    {
        "normal": "gaussian",
        "bernoulli": "binomial",
        "nb": "negative_binomial",
        "negbin": "negative_binomial",
        "inversegaussian": "inverse_gaussian",
        "negativebinomial": "negative_binomial",
        "quasi_poisson": "quasipoisson",
        "quasi_binomial": "quasibinomial",
    },
)
"""The families by name."""

FAMILIES.add_builtin("gaussian", Gaussian)
FAMILIES.add_later("binomial", lambda: _binomial.Binomial)
FAMILIES.add_builtin("poisson", Poisson)
FAMILIES.add_builtin("gamma", Gamma)
FAMILIES.add_builtin("inverse_gaussian", InverseGaussian)
FAMILIES.add_later("negative_binomial", lambda: _negative_binomial.NegativeBinomial)
FAMILIES.add_later("tweedie", lambda: _tweedie.Tweedie)
FAMILIES.add_later("multinomial", lambda: _multinomial.Multinomial)
FAMILIES.add_builtin("quasipoisson", QuasiPoisson)
FAMILIES.add_later("quasibinomial", lambda: _binomial.QuasiBinomial)


def register(family: Any) -> Any:
    """Make a family available by its name, like those that come with Raphson; a class decorator.

    Parameters
    ----------
    family : subclass of Family
        With a ``name`` and a ``default_link``. Fields besides its link are numeric parameters, of which the first may
        follow the name in brackets: ``"tweedie(1.5)"``.

    Returns
    -------
    type
        The class, now a frozen dataclass that JAX can take apart.

    Raises
    ------
    ModelError
        If the class lacks something that every family needs, something does not follow from its density, or the name is
        taken.

    Examples
    --------
    >>> import raphson as rp
    >>> rp.families.register("logistic")
    Traceback (most recent call last):
    raphson.errors.ModelError: families.register: expected a subclass of rp.families.Family; got 'logistic'
    """
    from raphson.model.families.checks import check_family

    check_family(family)
    return FAMILIES.register(getattr(family, "name", None), structured(family))


def resolve(family: str | Family) -> Family:
    """Return the family with a name.

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
        For an unknown name, or a parameter that is missing or invalid.

    Examples
    --------
    >>> from raphson.model import families
    >>> families.resolve("Gamma").link
    Inverse()
    """
    if type(family) is str and FAMILIES.is_builtin(family) and not needed_by(FAMILIES[family]):
        return _with_defaults(FAMILIES[family])
    if isinstance(family, Family):
        return family
    if isinstance(family, type) and issubclass(family, Family):
        family = family.name
    if not isinstance(family, str):
        known = ", ".join(FAMILIES)
        raise ModelError(f"family: expected a name ({known}) or a Family; got {type(family).__name__}")
    if family in FAMILIES and not needed_by(FAMILIES[family]):
        return FAMILIES[family]()
    match = re.fullmatch(r"\s*([^()]*?)\s*(?:\(\s*(?:(\w+)\s*=\s*)?([^()]*?)\s*\))?\s*", family)
    given, parameter, inner = match.groups() if match else (family, None, None)
    name = FAMILIES.name_of(given)
    if name is None:
        raise FAMILIES.unknown(family, like=given)
    kind = FAMILIES[name]
    if inner is None:
        if needed := needed_by(kind):
            shown = f'"{name}(1.5)" or ' if len(needed) == 1 else ""
            values = ", ".join(f"{one}=1.5" for one in needed)
            raise ModelError(
                f"family: the {name} family needs its {', '.join(needed)}, as in {shown}{kind.__name__}({values})"
            )
        return kind()
    takes = parameters_of(kind)
    if parameter in (None, "link") and (link := links.LINKS.name_of(inner.strip("'\""))) is not None:
        raise ModelError(
            f"family: a link is not given in the name; got {family!r}. Write "
            f"family=rp.families.{kind.__name__}(link={link!r})"
        )
    if parameter not in (None, *takes) or not takes:
        which = f" {parameter}" if takes else ""
        raise ModelError(f"family: the {name} family has no parameter{which}; got {family!r}. Write {name!r}")
    try:
        value = float(inner)
    except ValueError:
        raise ModelError(
            f"family: expected a number for the {parameter or takes[0]} of {name}; got {inner!r}. "
            f'Write it as in "{name}(1.5)"'
        ) from None
    arguments: dict[str, Any] = {parameter or takes[0]: value}
    return kind(**arguments)


@cache
def _with_defaults(kind: Any) -> Family:
    """A family that comes with Raphson, which is frozen and so made once."""
    return kind()


def from_dict(fields: dict[str, Any]) -> Family:
    """Return the family that :meth:`Family.to_dict` described.

    Raises
    ------
    ModelError
        If the description names an unknown family or link, or has fields that the family does not take.
    """
    from raphson.model.families.robust import LOSSES, resolve_loss

    fields = dict(fields) if isinstance(fields, dict) else {}
    name = fields.pop("name", None)
    if isinstance(name, str) and name in LOSSES:
        if set(fields) != {"link", "scale"} or fields["link"] != "identity":
            raise ModelError(f"family: the saved {name} loss has other fields: {sorted(fields)}")
        return resolve_loss(name, fields["scale"])
    if not isinstance(name, str):
        raise ModelError(f"family: expected the saved description of a family; got the name {name!r}")
    kind = FAMILIES.saved(name)
    links.LINKS.saved(fields.get("link"))
    allowed = {"link", *(("levels",) if name == "multinomial" else parameters_of(kind))}
    if not set(fields) <= allowed:
        raise ModelError(f"family: the saved {name} has unknown fields: {sorted(set(fields) - allowed)}")
    if isinstance(fields.get("levels"), list):
        fields["levels"] = tuple(str(level) for level in fields["levels"])
    return kind(**fields)
