"""The ``{plot}`` block: code that is shown, run while the page is built, and followed by the picture that it draws.

Matplotlib's own directive draws the figures that pyplot manages, and those of a Fit are not among them. A block is by
itself. Its picture is ``figure``, or that of ``axes``, or ``shown``, as a notebook would show it. ``:alt:`` says in
words what can be seen.
"""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any, ClassVar

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from docutils import nodes
from docutils.parsers.rst import directives
from gallery import note
from sphinx.util.docutils import SphinxDirective

from raphson.report.style import LIGHT

FOLDER = "_pictures"

COLOURS = [LIGHT[role] for role in ("data", "doubt", "negative", "edge", "soft")]

STYLE: dict[str, Any] = {
    "axes.edgecolor": LIGHT["rule"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (6.8, 3.6),
    "font.size": 9,
    "svg.hashsalt": "raphson",  # the same picture has the same bytes
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["soft"],
    "ytick.color": LIGHT["soft"],
}
"""Of pictures that are drawn by Matplotlib alone, in the palette of the package's own."""


class Picture(SphinxDirective):
    """Code, and the picture that it draws."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        if "alt" not in self.options:
            raise self.error("a plot needs :alt:, which says in words what can be seen")
        code = "\n".join(self.content)
        number = self.env.new_serialno("picture")
        name = f"{self.env.docname.replace('/', '-')}-{number + 1}.svg"
        place = Path(self.env.srcdir) / FOLDER / name
        place.parent.mkdir(exist_ok=True)
        html = draw(code, place, self.get_source_info()[0])
        shown = nodes.literal_block(code, code, language="python")
        if html is not None:
            return [shown, nodes.raw("", f'<div class="shown" tabindex="0">{html}</div>', format="html")]
        anchor = f"picture-{number + 1}"
        note(self.env, f"{FOLDER}/{name}", self.options["alt"], anchor)
        picture = nodes.image(uri=f"/{FOLDER}/{name}", alt=self.options["alt"], classes=["picture"], ids=[anchor])
        return [shown, picture]


def draw(code: str, place: Path, page: str) -> str | None:
    """Run the code, and write its picture to a file, or return what a notebook would show."""
    names: dict[str, Any] = {}
    source = f"<{Path(page).stem}>"
    linecache.cache[source] = (len(code), None, code.splitlines(keepends=True), source)  # for those who show lines
    with mpl.rc_context(STYLE):
        exec(compile(code, source, "exec"), names)
        if "shown" in names:
            return str(names["shown"]._repr_html_())
        figure = names.get("figure") or names["axes"].figure
        figure.savefig(place, bbox_inches="tight", metadata={"Date": None})
    plt.close("all")
    return None


def setup(app: Any) -> dict[str, Any]:
    mpl.use("Agg")
    app.add_directive("plot", Picture)
    return {"parallel_read_safe": True}
