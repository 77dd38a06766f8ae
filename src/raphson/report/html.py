"""A fit as one self-contained HTML page: no scripts, no external links, all text escaped.

A sentence comes first, then the verdict with what to doubt, the estimates, the checks, the iteration, and what is
needed to repeat the fit. In every check blue is what the data show, shaded is where they would lie if the model were
right, and vermilion is what to look at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from raphson.checks.check import p_text
from raphson.errors import RaphsonError, visible
from raphson.report import content, drawing, iterations, strip, varying_page
from raphson.report.correlations import correlation_strip
from raphson.report.curve import curve_pictures
from raphson.report.effect_pictures import average_picture, percent_or_one
from raphson.report.framing import drawn, framed, listed_pairs, made_with, panel, sign
from raphson.report.headline import effects_headline
from raphson.report.network_pictures import fitted_picture, training_pictures
from raphson.report.summary import RATIOS, coefficients_html
from raphson.report.verdict import verdict_html
from raphson.report.whiskers import effects_table, parameters_table
from raphson.report.words import counted, figures, listed, name, to

GRAMMAR = (
    "In every picture, blue is what the data show, shaded is where they would lie if the model were right (95%), and "
    "vermilion is what to look at."
)


@dataclass(frozen=True)
class Parts:
    """What a page shows besides the fit itself, each None or empty where the fit has none.

    Attributes
    ----------
    checks : of the fit, in reading order.
    unchecked : why there are none.
    draws, seed : simulated data sets, and the seed of their random numbers.
    effects : on the response's scale.
    averages : mean responses over each covariate.
    ends : (p, 2) intervals of the parameters, by profiles or Wald's.
    profiled : which.
    ratios : whether coefficients are given as ratios.
    varies : what varies.
    """

    checks: Sequence[Any] = ()
    unchecked: str = ""
    draws: int = 0
    seed: int = 0
    effects: Any = None
    averages: Sequence[Any] = ()
    ends: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    profiled: bool = False
    ratios: bool = False
    varies: varying_page.Varies | None = None


def html_page(fit: Any, level: float, parts: Parts) -> str:
    """The report of a fit as one self-contained HTML page.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals.
    parts : what it shows besides.

    Returns
    -------
    str
        A complete HTML document in UTF-8, with pictures as inline SVG.
    """
    links = {one.name: f"check-{k}" for k, one in enumerate(parts.checks)}
    body = [
        "<header class='in'>",
        f"<p class='over'>Raphson report: {escape(_kind(fit))}, {_rows(fit)}</p>",
        f"<h1>{_headline(fit, parts)}</h1>",
        *(_lede(fit) if parts.varies is None else varying_page.lede(parts.varies)),
        f"<p class='formula'><code>{escape(fit.title)}</code></p>",
        verdict_html(fit, parts.checks, links, parts.effects),
        "</header><main class='in'>",
        *(_estimates(fit, level, parts)),
        *_curve(fit, level),
        *_varying(level, parts),
        *_checks(parts, links),
        *_training(fit),
        *_path(fit),
        "</main>",
        f"<footer><div class='in'>{_reproducible(fit, parts)}</div></footer>",
    ]
    return framed(fit.title, body)


def _svg(picture: Any, what: str, **size: float) -> str:
    return drawn(lambda: drawing.svg(picture, what, **size))


# -- the sentence ------------------------------------------------------------------------------------------------------


def _kind(fit: Any) -> str:
    link = fit.family.link_name
    return f"{fit.family.name.replace('_', ' ')}{f', {link} link' if link else ''}"


def _rows(fit: Any) -> str:
    return counted(round(fit.nobs), "row")


def _headline(fit: Any, parts: Parts) -> str:
    if not content.usable(fit):
        what = "iteration did not reach a maximum" if fit.identified else "loss of the training diverged"
        return f"Do not use these numbers: the {what}."
    if parts.effects is not None:
        varies = parts.varies
        return effects_headline(parts.effects, varies and varying_page.clauses(varies.curves, parts.effects.scale))
    if not fit.identified:
        explained = content.explained(fit)
        network = f"A network of {len(fit.names):,} weights"
        if explained < 0:
            return f"{network} predicts {name(_response(fit))} less well than one mean for all rows."
        share = f" explains {figures(100 * explained)}% of the deviance" if math.isfinite(explained) else " is trained"
        return f"{network}{share} of {name(_response(fit))}."
    if fit.covariates is not None:
        return _curve_headline(fit, parts)
    return _parameters_headline(fit)


def _parameters_headline(fit: Any) -> str:
    """The clearest coefficients, with the first one's size; a threshold, which no covariate moves, is not one."""
    params = counted(len(fit.names), "parameter")
    rows = [row for row in content.coefficients(fit) if "Intercept" not in row.name]
    rows = [row for row in rows if ":" in row.name] or rows
    pulls = sorted((row for row in rows if row.p_value < 0.05), key=lambda row: row.p_value)
    beginning = f"{params[:1].upper()}{params[1:]} of {name(_kind(fit))}; "
    if not pulls:
        return f"{beginning}none is clearly different from 0."
    first, *others = pulls[:3]
    size = f"{name(first.name)} at {figures(first.estimate)}"
    if math.isfinite(first.lower) and math.isfinite(first.upper):
        size += f" ({to(first.lower, first.upper)})"
    clear = listed([size, *(name(row.name) for row in others)])
    return f"{beginning}the clearest {'are' if others else 'is'} {clear}."


def _curve_headline(fit: Any, parts: Parts) -> str:
    sentence = f"The curve follows {name(_response(fit))}"
    if "residual_sd" in fit.measures and math.isfinite(fit.residual_sd):
        sentence += f" to within {figures(fit.residual_sd)}"
    wrong = [one for one in parts.checks if one.passed is False and not one.name.startswith("profile")]
    if not wrong:
        return f"{sentence}; nothing in the residuals speaks against its form."
    if any(one.name.startswith("straight") for one in wrong):
        return f"{sentence}, but the residuals show that its form is wrong."
    return f"{sentence}; {escape(wrong[0].title[:1].lower() + wrong[0].title[1:])}."


def _response(fit: Any) -> str:
    formula = fit.formula or ""
    return visible(formula.split("~")[0].strip()) or "y"


def _lede(fit: Any) -> list[str]:
    if not (fit.identified and fit.linear) or not math.isfinite(content.explained(fit)) or not fit.converged:
        return []
    df = fit.df_model
    if not df or not fit.has_intercept or not fit.dispersion > 0:
        return []
    from raphson.scipy_special import chdtrc, fdtrc

    fall = (fit.null_deviance - fit.deviance) / fit.dispersion
    p = fdtrc(df, fit.df_resid, fall / df) if fit.use_t else chdtrc(df, fall)
    share = figures(100 * content.explained(fit))
    text = "tell more than chance" if p < 0.05 else "do not clearly tell more than chance"
    text = f"Together the covariates {text} ({p_text(float(p))}); they explain {share}% of the deviance."
    return [f"<p class='lede'>{text}</p>"]


# -- the estimates -----------------------------------------------------------------------------------------------------


def _estimates(fit: Any, level: float, parts: Parts) -> list[str]:
    if not fit.identified:
        return [f"<section><h2>The network</h2>{_network(fit.summary(level))}</section>"]
    rows = content.coefficients(fit, level, parts.ratios)
    notes = [
        f"<p class='note'>{escape(note)}: {escape(content.NOTES[note])}.</p>"
        for note in dict.fromkeys(row.note for row in rows if row.note)
    ]
    if parts.ratios:
        notes.insert(0, f"<p class='note'>{escape(content.estimate_name(fit, True)).capitalize()}: {RATIOS}</p>")
    if parts.effects is None:
        with np.errstate(over="ignore"):
            ends = np.exp(parts.ends) if parts.ratios else parts.ends
        table = parameters_table(rows, ends, parts.profiled, level)
        correlated = correlation_strip(fit) if fit.covariates is not None else ""
        return [
            f"<section id='estimates'><h2>The estimates</h2>{table}",
            *notes,
            correlated,
            _facts(fit, parts.varies),
            "</section>",
        ]
    title = f"Coefficients as {'ratios' if parts.ratios else 'fitted'}"
    as_fitted = coefficients_html(fit, rows, level, parts.ratios)
    return [
        f"<section id='estimates'><h2>What moves {escape(_moved(parts.effects.scale))}</h2>",
        effects_table(parts.effects, level) if parts.effects.rows else "",
        f"<details><summary>{title}</summary><div class='tab'>{_stacked(as_fitted)}</div></details>",
        *notes,
        *_averages(parts.averages, parts.effects.scale),
        _facts(fit, parts.varies),
        "</section>",
    ]


def _network(summary: Any) -> str:
    """A network's layers as a table, and its facts."""
    grid = summary.grids[0]
    head, body = grid.head, grid.rows
    heads = "".join(f"<th scope='col'>{escape(one)}</th>" for one in head)
    lines = "".join(
        f"<tr><th scope='row'>{escape(first)}</th>"
        + "".join(
            f"<td data-l='{escape(label)}'>{escape(cell)}</td>" for label, cell in zip(head[1:], cells, strict=True)
        )
        + "</tr>"
        for first, *cells in body
    )
    facts = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in summary.facts)
    return (
        f"<div class='tab'><table class='stacked'><caption>Layers, first to last</caption>"
        f"<thead><tr>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div><dl class='repro' style='margin-top:28px'>{facts}</dl>"
    )


def _moved(scale: Any) -> str:
    return f"the {scale.quantity}"


def _stacked(table: str) -> str:
    """A table that a narrow page shows as cards, each cell with its heading."""
    heads = [re.sub("<.*?>", "", one) for one in re.findall(r"<th scope='col'>(.*?)</th>", table)]
    out = []
    for row in table.split("<tr>"):
        cells = iter(heads[1:])
        out.append(re.sub("<td>", lambda _, cells=cells: f"<td class='n' data-l='{next(cells, '')}'>", row))
    table = "<tr>".join(out)
    table = table.replace("<th scope='col'></th>", "<th scope='col'><span class='sr'>name</span></th>")
    table = re.sub(r">\s*NaN\s*<", ">–<", table)
    return re.sub(r"<table class='\w+'>", "<table class='stacked'>", table, count=1)


def _averages(found: Sequence[Any], scale: Any) -> list[str]:
    if not found:
        return []
    figures_ = [_average(one, scale) for one in found]
    what = "probabilities" if percent_or_one(scale) != 1.0 else "mean responses"
    return [
        f"<h3 style='margin-top:36px'>The same in {what}, averaged over the rows</h3>",
        f"<div class='panels four'>{''.join(figures_)}</div>",
    ]


def _average(one: Any, scale: Any) -> str:
    picture = average_picture(one, scale)
    what = f"{picture.y_label} over {one.name}: {_told(one, percent_or_one(scale))}"
    return f"<figure>{_svg(picture, what, width=2.6, height=2.0)}</figure>"


def _told(one: Any, factor: float) -> str:
    if one.labels is None:
        ends = f"{figures(factor * one.mean[0])} at {one.x[0]:.4g}, {figures(factor * one.mean[-1])} at {one.x[-1]:.4g}"
        return ends
    return ", ".join(f"{figures(factor * m)} with {label}" for m, label in zip(one.mean, one.labels, strict=True))


def _facts(fit: Any, varies: varying_page.Varies | None = None) -> str:
    pairs = [] if varies is None else varying_page.numbers(varies)
    explained = content.explained(fit) if fit.linear else math.nan
    if math.isfinite(explained):
        pairs.append(("Deviance explained", f"{figures(100 * explained)}%", ""))
    if fit.use_t and math.isfinite(fit.dispersion):
        pairs.append(("Dispersion", figures(fit.dispersion, 3), "estimated"))
    r_squared = content.r_squared(fit)
    if math.isfinite(r_squared):
        pairs.append(("R²", figures(r_squared, 4), "about the mean"))
    if "residual_sd" in fit.measures and math.isfinite(fit.residual_sd):
        pairs.append(("Residual SD", figures(fit.residual_sd, 3), f"{figures(fit.df_resid, 4)} df"))
    if fit.theta is not None:
        pairs.append(("Theta", figures(fit.theta, 3), f"± {figures(fit.theta_se)}" if fit.theta_se else ""))
    if math.isfinite(fit.llf):
        pairs.append(("Log-likelihood", f"{fit.llf:,.2f}".replace("-", "−"), ""))
        pairs.append(("AIC, BIC", f"{fit.aic:,.1f}, {fit.bic:,.1f}".replace("-", "−"), ""))
    cells = "".join(
        f"<div><dt>{escape(k)}</dt><dd>{escape(v)}{f'<small>{escape(small)}</small>' if small else ''}</dd></div>"
        for k, v, small in pairs
    )
    table = _stacked_facts(fit)
    folded = f"<details><summary>The fit in numbers</summary><div class='tab'>{table}</div></details>"
    return f"<dl class='facts'>{cells}</dl>{folded}"


def _stacked_facts(fit: Any) -> str:
    return listed_pairs([(label, value.replace("NaN", "not defined")) for label, value in content.facts(fit)])


def _varying(level: float, parts: Parts) -> list[str]:
    if parts.varies is None:
        return []
    scale = None if parts.effects is None else parts.effects.scale
    quantity = "predictor" if scale is None else f"logarithm of the {scale.quantity}" if scale.ratio else scale.quantity
    return varying_page.section(parts.varies, level, quantity)


def _curve(fit: Any, level: float) -> list[str]:
    if fit.covariates is None:
        return []
    try:
        pictures = curve_pictures(fit, level)
    except RaphsonError as error:
        return [f"<section><h2>The curve</h2><p>It cannot be drawn: {escape(str(error))}</p></section>"]
    panels = "".join(
        f"<figure><h3>{escape(visible(title))}</h3>{_svg(picture, f'The curve. {title}')}</figure>"
        for title, picture in pictures
    )
    shades = f"Dark shade: {100 * level:g}% for the curve; light shade: {100 * level:g}% for new responses."
    return [
        f"<section><h2>The curve</h2><p class='note'>{shades}</p><div class='panels'>{panels}</div>"
        f"{_curvature(fit)}</section>"
    ]


def _curvature(fit: Any) -> str:
    """Bates and Watts's curvatures."""
    try:
        found = fit.curvature()
    except RaphsonError as error:
        return f"<p class='note'>{escape(str(error))}.</p>"
    return (
        f"<p class='note'>Curvature times √F: intrinsic {figures(found.intrinsic)}, of the parameters "
        f"{figures(found.parameter_effects)} (up to ½ is close to linear): {escape(found.verdict)}.</p>"
    )


# -- the checks --------------------------------------------------------------------------------------------------------


def _checks(parts: Parts, links: dict[str, str]) -> list[str]:
    if not parts.checks:
        why = f"<p class='note'>{escape(parts.unchecked)}</p>" if parts.unchecked else ""
        return [f"<section><h2>Does the model fit?</h2>{why}</section>"] if why else []
    panels = []
    for one in parts.checks:
        mark = "" if one.passed is None else sign(one.passed)
        panels.append(
            f"<figure id='{links[one.name]}'><h3>{mark}{escape(one.title)}</h3>"
            f"{_svg(one.picture, f'{one.title}. {one.caption}')}"
            f"<figcaption>{escape(one.caption)}</figcaption></figure>"
        )
    return [
        f"<section><h2>Does the model fit?</h2><p class='note'>{GRAMMAR}</p>"
        f"<div class='panels'>{''.join(panels)}</div></section>"
    ]


def _training(fit: Any) -> list[str]:
    found = [] if fit.identified else [*training_pictures(fit), *fitted_picture(fit, _response(fit))]
    panels = "".join(panel(title, picture, caption) for title, picture, caption in found)
    return [f"<section><h2>How it learned</h2><div class='panels'>{panels}</div></section>"] if found else []


def _path(fit: Any) -> list[str]:
    picture = drawn(lambda: strip.strip_svg(fit)) if fit.n_iter and len(fit.path) > 1 else ""
    how = f"<div>{strip.FORMULA}<p class='soft'>{escape(strip.method_sentence(str(fit.method)))}</p></div>"
    table = f"<div class='tab'>{_stacked(iterations.as_html(fit))}</div><p class='note'>{escape(iterations.LEGEND)}</p>"
    return [
        f"<section id='path'><h2>How it got there</h2><div class='path'><div>{picture}</div>{how}</div>",
        f"<details><summary>The iterations as a table</summary>{table}</details></section>",
    ]


# -- data and reproducibility ------------------------------------------------------------------------------------------


def _reproducible(fit: Any, parts: Parts) -> str:
    dropped = f"{fit.n_dropped:,} dropped" if fit.n_dropped else "none dropped"
    pairs = [("Rows used", f"{fit.nobs:,.10g}; {dropped}"), ("Family", _kind(fit))]
    given = content.given(fit)
    pairs += given or [("Weights", "none; no offset, no penalty")]
    if parts.effects is not None:
        references = [f"{row.term}: {row.label}" for row in parts.effects.rows if row.kind == "reference"]
        if references:
            pairs.append(("Reference", ", ".join(references)))
    pairs.append(("Errors", f"{content.covariance_name(fit)}, from the {fit.information_kind} information"))
    if parts.varies is not None:
        pairs.append(("Criterion", varying_page.method(parts.varies)))
    if parts.draws:
        pairs.append(("Simulated", f"{parts.draws:,} data sets for the shades, seed {parts.seed}"))
    pairs += made_with()
    return f"<h2>Data and reproducibility</h2>{listed_pairs(pairs)}<pre>{escape(_call(fit))}</pre>"


def _call(fit: Any) -> str:
    """The call that makes the fit, as far as a fit remembers it."""
    formula = fit.formula
    if formula is None:
        return f"# of arrays\n{visible(fit.title)}"
    how = _how(fit)
    formulas = getattr(fit, "formulas", None)
    if formulas is not None:
        return f"rp.mle({fit.family.name!r}, {formulas!r}, data, {how})"
    if not fit.identified:
        return f"rp.network({formula!r}, data, family={fit.family.name!r}, method={fit.method!r})"
    if fit.covariates is not None or not fit.linear:
        return f"rp.nls({formula!r}, data, method={fit.method!r})"
    return f"rp.glm({formula!r}, data, family={fit.family.name!r}, {how})"


def _how(fit: Any) -> str:
    """The method, or what is maximised where coefficients vary: "ML (25 nodes)" is the likelihood by quadrature."""
    name, _, by = getattr(fit, "inputs", {}).get("criterion", "").partition(" ")
    if not name:
        return f"method={fit.method!r}"
    nodes = by.strip("()").partition(" nodes")
    return f"criterion={name.lower()!r}" + (f", quadrature={nodes[0]}" if nodes[1] else "")
