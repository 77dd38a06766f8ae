"""A fit as one self-contained HTML page: no scripts, no external links, all text escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

from raphson.errors import RaphsonError
from raphson.report import content, iterations, plots
from raphson.report.summary import coefficients_html, facts_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # nothing is loaded or executed
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #22303c; background: #fff; max-width: 54rem;
       margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.35rem; font-weight: 600; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; font-weight: 600; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; }
.status { display: inline-block; padding: .15rem .6rem; border-radius: .25rem;
          background: #e3f1ec; color: #14543c; }
.status.failed { background: #fbe6e1; color: #8a2a12; }
.remark { background: #fdf4dc; padding: .6rem .8rem; border-left: 3px solid #d9a514; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th { font-weight: 500; text-align: left; white-space: nowrap; }
td { text-align: right; white-space: nowrap; }
th, td { padding: .22rem .9rem .22rem 0; border-bottom: 1px solid #e6eaed; }
thead th { text-align: right; color: #5b6b78; border-bottom: 1px solid #22303c; }
thead th:first-child { text-align: left; }
.facts td { padding-right: 3rem; text-align: left; }
.facts tr:last-child > * { border-bottom: 0; }
.facts th { color: #5b6b78; }
svg { max-width: 100%; height: auto; display: block; margin: 1.2rem 0; }
svg text { font-family: system-ui, sans-serif !important; }
footer { margin-top: 3rem; color: #5b6b78; font-size: .85rem; }
"""


def html_page(fit: Any, level: float = 0.95) -> str:
    """The report of a fit as one self-contained HTML page.

    Parameters
    ----------
    fit : Fit
    level : float
        Coverage of the intervals.

    Returns
    -------
    str
        A complete HTML document in UTF-8: summary, coefficients, path and residuals, with figures as inline SVG.
    """
    rows = content.coefficients(fit, level)
    title = fit.title
    remark = content.warning(fit)
    verdict = escape(content.verdict(fit).capitalize())
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='status{'' if fit.converged else ' failed'}'>{verdict}</p>",
        f"<p class='remark'>{escape(remark)}</p>" if remark else "",
        *(f"<p class='remark'>{escape(text)}</p>" for text in content.remarks(fit)),
        *(
            _coefficients(fit, rows, level)
            if fit.identified
            else [f"<div class='wide'>{fit.summary(level).html}</div>"]
        ),
        *(
            ["<h2>Curve</h2>", _drawn(lambda: plots.plot_curve(fit, level), "The curve")]
            if getattr(fit, "covariates", None) is not None
            else []
        ),
        *_curvature(fit),
        "<h2>Path of the iteration</h2>",
        _drawn(lambda: plots.plot_path(fit), "The path"),
        f"<div class='wide'>{iterations.as_html(fit)}</div>",
        f"<p>{escape(iterations.LEGEND)}</p>",
        "<h2>Residuals</h2>",
        _drawn(lambda: plots.plot_residuals(fit), "The residuals"),
    ]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<meta http-equiv='Content-Security-Policy' content=\"{_POLICY}\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n<footer>Written by Raphson.</footer>\n</body></html>\n"
    )


def _coefficients(fit: Any, rows: list[content.Coefficient], level: float) -> list[str]:
    """The description of the fit and the table of coefficients."""
    drawn = plots.with_interval(rows)
    return [
        f"<div class='wide'>{facts_html(fit)}</div>",
        "<h2>Coefficients</h2>",
        f"<div class='wide'>{coefficients_html(fit, rows, level)}</div>",
        *(
            f"<p>{escape(note)}: {escape(content.NOTES[note])}.</p>"
            for note in dict.fromkeys(r.note for r in rows if r.note)
        ),
        _drawn(lambda: plots.plot_coefficients(fit, level), "The coefficients") if drawn else "",
    ]


def _wide(part: str) -> str:
    return f"<div class='wide'>{part}</div>"


def _curvature(fit: Any) -> list[str]:
    """Bates and Watts's curvatures, for a curve with its data."""
    if getattr(fit, "covariates", None) is None:
        return []
    try:
        found = fit.curvature()
    except RaphsonError as error:
        return [f"<p>{escape(str(error))}.</p>"]
    return [
        f"<p>Curvature times √F: intrinsic {found.intrinsic:.3g}, of the parameters {found.parameter_effects:.3g} "
        f"(up to ½ is close to linear): {escape(found.verdict)}.</p>"
    ]


def _drawn(draw: Callable[[], Figure], what: str) -> str:
    # Saved and multinomial fits have no residuals to draw: only this figure is left out.
    try:
        return _svg(draw(), what)
    except RaphsonError as error:
        return f"<p>{escape(what)} cannot be drawn: {escape(str(error))}</p>"


def _svg(figure: Figure, what: str) -> str:
    import matplotlib

    text = StringIO()
    # Text stays text (small and searchable); with a fixed salt the same fit gives the same page.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": what}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    # Inline SVG needs neither metadata nor the declarations of XML namespaces.
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", drawing)
    return drawing.replace("<svg", f"<svg role='img' aria-label='{escape(what)}'", 1)
