"""``rp.table``: several fits side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from raphson.errors import ModelError, check_choice
from raphson.fit.fit import Fit
from raphson.inference.intervals import check_level
from raphson.report.side_by_side import BESIDE, SideBySide, side_by_side


def table(
    *fits: Fit,
    names: Sequence[str] | None = None,
    level: float = 0.95,
    exponentiate: bool = False,
    show: Literal["std_error", "interval", "p_value"] | None = "std_error",
) -> SideBySide:
    """Show several fits side by side: a column for each, a row for each term.

    Parameters
    ----------
    fits : the fits, which may be of different models.
    names : heading of each column; by default (1), (2), …
    level : coverage of the intervals.
    exponentiate : whether to show ratios, exp of the coefficients; see :meth:`raphson.Fit.tidy`.
    show : what stands beside an estimate: "std_error", "interval", "p_value" or None.

    Returns
    -------
    SideBySide
        It prints as text, and in a notebook as HTML; ``to_markdown()``, ``to_latex()`` and ``to_great_tables()`` write
        it, and ``tidy()`` has its numbers as a data frame.

    Raises
    ------
    ModelError
        If an argument is no fit with coefficients, or `names` are not as many as the fits.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> fits = [rp.glm(f"low ~ {x}", births, family="binomial") for x in ("lwt", "lwt + smoke")]
    >>> print(rp.table(*fits, names=["weight", "and smoking"]))
    2 models of low
    <BLANKLINE>
                                    weight         and smoking
    ----------------------------------------------------------
    Intercept                0.998 (0.785)       0.622 (0.796)
    lwt                 -0.01406 (0.00617)  -0.01332 (0.00609)
    smoke                                        0.677 (0.325)
    Observations                       189                 189
    Deviance explained              0.0255              0.0440
    Log-likelihood                 -114.35             -112.17
    AIC                             232.69              230.34
    BIC                             239.17              240.07
    <BLANKLINE>
    In parentheses: standard errors.
    """
    if not fits:
        raise ModelError("table: expected one or more fits, such as rp.glm returns; got none")
    for one in fits:
        if not isinstance(one, Fit):
            if isinstance(one, (list, tuple)):
                raise ModelError(
                    f"table: expected each fit as an argument; got a {type(one).__name__}. Write table(*fits)"
                )
            hint = "; its tidy() is a table of all" if hasattr(one, "tidy") else ""
            raise ModelError(f"table: expected fits, such as rp.glm returns; got {type(one).__name__}{hint}")
        if not one.identified:
            raise ModelError("table: expected fits with coefficients; got a network, whose weights have no meaning")
    if names is not None and (isinstance(names, str) or len(names) != len(fits)):
        raise ModelError(f"names: expected a list of {len(fits)} texts, one for each fit; got {names!r}")
    check_choice("show", show, tuple(BESIDE))
    check_level(level)
    titles = [str(one) for one in names] if names is not None else [f"({k})" for k in range(1, len(fits) + 1)]
    return side_by_side(fits, titles, level, exponentiate, show)
