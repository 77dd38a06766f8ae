"""A decomposition as text, as HTML with its graph, and as plain data."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.autodiff.rules import host
from raphson.sheets import notebook
from raphson.sheets.sheet import Grid, grid_html

if TYPE_CHECKING:
    from raphson.autodiff.decomposition import Decomposition
    from raphson.autodiff.sweeps import Quantity, Step

_INFIX = {
    "add": "+",
    "add_any": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "pow": "**",
    "rem": "%",
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}
_SPELLED = {
    "reduce_sum": "sum",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "prod",
    "reduce_and": "all",
    "reduce_or": "any",
    "convert_element_type": "convert",
    "broadcast_in_dim": "broadcast",
    "integer_pow": "power",
    "select_n": "where",
    "dot_general": "dot",
    "conv_general_dilated": "conv",
}
_FEW = 4
"""Elements of a vector, and arguments of an operation, that are written out."""

_GRAPH = 80
"""Most steps of a graph."""

_BOX, _PITCH = 150, 214
"""Width of a step's box in the graph, and distance of the columns of boxes."""


def number(value: Any) -> str:
    """A number with six digits; a short array element by element, a long one as its shape and range."""
    if isinstance(value, tuple):
        return "(" + ", ".join(map(number, value)) + ")"
    array = host(value)
    if getattr(array.dtype, "kind", "") not in "fiubc" or not isinstance(array, np.ndarray):
        return str(array.dtype)  # the key of a random generator
    if array.shape == ():
        return _one(array[()])
    if array.ndim == 1 and array.size <= _FEW:
        return "[" + ", ".join(map(_one, array)) + "]"
    shape = "×".join(map(str, array.shape))
    if array.size == 0 or array.dtype.kind not in "fiu":
        return shape
    finite = array[np.isfinite(array)]
    if finite.size < array.size:
        return f"{shape}, {array.size - finite.size} not finite"
    low, high = _one(array.min()), _one(array.max())
    return f"{shape}, all {low}" if low == high else f"{shape}, {low} to {high}"


def expression(step: Step) -> str:
    """A step as a formula: ``1 + z2``, ``exp(z1)``."""
    names = [one.name for one in step.inputs]
    operation = step.operation
    if operation in _INFIX and len(names) == 2:
        return f" {_INFIX[operation]} ".join(f"({name})" if name.startswith("-") else name for name in names)
    if operation == "neg":
        return f"-{names[0]}"
    if operation == "integer_pow":
        return f"{names[0]}**{step.parameters['y']}"
    if operation == "square":
        return f"{names[0]}**2"
    if operation.startswith("take["):
        return f"{names[0]}{operation.removeprefix('take')}"
    if operation == "select_n" and len(names) == 3:  # which, if false, if true
        names = [names[0], names[2], names[1]]
    shown = names if len(names) <= _FEW else [*names[:2], "...", names[-1]]
    return f"{_SPELLED.get(operation, operation)}({', '.join(shown)})"


def partials(step: Step) -> str:
    """A step's local partials, with the names of the inputs if there are several."""
    parts = []
    for quantity, partial, active in _local(step):
        if not active:
            continue
        if partial is not None:
            text = number(partial)
        elif step.outputs[0].active and len(step.outputs) == 1:
            text = f"Jacobian {'×'.join(map(str, (*step.outputs[0].shape, *quantity.shape)))}"
        else:
            text = "" if not step.is_active else "several outputs"
        parts.append((quantity.name, text))
    if len(parts) == 1:
        return parts[0][1]
    return ", ".join(f"{name}: {text}" for name, text in parts if text)


def as_text(decomposition: Decomposition, most: int | None) -> str:
    """The table of a decomposition as text."""
    rows = _rows(decomposition)
    left_out = 0
    if most is not None and len(rows) > most:
        left_out = len(rows) - most
        rows = [*rows[: most // 2], ["...", f"({left_out} more)", "", "", "", ""], *rows[len(rows) - most // 2 :]]
    table = [_HEAD, *rows]
    if not any(row[-1] for row in rows):  # an expression has no lines
        table = [row[:-1] for row in table]
    widths = [min(max(len(row[k]) for row in table), _WIDEST[k]) for k in range(len(table[0]))]
    lines = ["  ".join(cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in table]  # fmt: skip
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([_title(decomposition), "", *lines])


def as_html(decomposition: Decomposition) -> str:
    """A self-contained HTML page: no scripts, no external links, all text escaped."""
    title = escape(_title(decomposition))
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='color-scheme' content='light dark'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title></head>\n<body>\n{fragment(decomposition)}\n</body></html>\n"
    )


def fragment(decomposition: Decomposition) -> str:
    """The table and the graph as an HTML fragment, which follows the theme of the page that it stands in."""
    rows = tuple(tuple(row) for row in _rows(decomposition))
    table = grid_html(Grid(tuple(_HEAD), rows, words=tuple(range(1, len(_HEAD)))))
    title = escape(_title(decomposition))
    return notebook.fragment(f"<style>{_STYLE}</style><p class='title'>{title}</p>\n{_graph(decomposition)}\n{table}")


def as_dict(decomposition: Decomposition) -> dict[str, Any]:
    """A decomposition as plain data."""
    return {
        "function": decomposition.name,
        "value": decomposition.value,
        "arguments": [
            {"name": one.name, "value": _plain(one.value), "adjoint": _plain(_adjoint(one))}
            for one in decomposition.arguments
        ],
        "steps": [
            {
                "name": step.name,
                "operation": step.operation,
                "expression": expression(step),
                "inputs": [one.name for one in step.inputs],
                "value": _plain(step.value),
                "partials": [_plain(one) for one in step.partials],
                "adjoint": _plain(step.adjoint),
                "file": step.file,
                "line": step.line,
                "text": step.text,
            }
            for step in decomposition.steps
        ],
    }


_HEAD = ["step", "operation", "value", "local partials", "adjoint", "line"]
_WIDEST = [12, 36, 32, 48, 32, 64]
"""Letters of each column of the table at most."""

_STYLE = (
    "svg { max-width: 100%; height: auto; display: block; margin: 1rem 0 }"
    "svg text { font: 12px system-ui, sans-serif; fill: currentcolor } svg text.small { font-size: 10px; "
    "fill: var(--rp-soft) } svg rect { fill: var(--rp-shade); stroke: var(--rp-edge) } svg line { "
    "stroke: var(--rp-edge) } svg rect.argument { stroke: var(--rp-data); stroke-width: 2 } "
    "svg rect.broken { stroke: var(--rp-doubt); stroke-width: 3 }"
).replace("svg", f".{notebook.SCOPE} svg")


def _title(decomposition: Decomposition) -> str:
    count = len(decomposition.steps)
    steps = "step" if count == 1 else "steps"
    return f"{cut(decomposition.name, 60)} = {_one(decomposition.value)}, in {count} elementary {steps}"


def _rows(decomposition: Decomposition) -> list[list[str]]:
    rows = [[one.name, "argument", number(one.value), "", number(_adjoint(one)), ""] for one in decomposition.arguments]
    last = None
    for step in decomposition.steps:
        place = ""
        if step.source is not None and step.source != last:
            place = f"{step.source}  {step.text}" if step.line else step.text
        last = step.source
        adjoint = number(step.adjoint) if step.is_active else ""
        rows.append([step.name, expression(step), number(step.value), partials(step), adjoint, place])
    return rows


def _graph(decomposition: Decomposition) -> str:
    """Draw the steps that depend on the arguments, from left to right by the number of steps before them."""
    steps = [step for step in decomposition.steps if step.is_active]
    if len(steps) > _GRAPH:
        return f"<p>The graph of {len(steps)} steps is left out; it is drawn for up to {_GRAPH}.</p>"
    depth: dict[int, int] = {id(one): 0 for one in decomposition.arguments}
    for step in steps:
        here = 1 + max((depth[id(one)] for one in step.inputs if id(one) in depth), default=0)
        depth.update({id(one): here for one in step.outputs})
    taken: dict[int, int] = {}
    place: dict[int, tuple[int, int]] = {}
    boxes, lines = [], []
    broken = decomposition.first_nonfinite()

    def box(quantities: Any, name: str, text: str, value: str, adjoint: str, kind: str) -> None:
        column = depth[id(quantities[0])]
        row = taken.get(column, 0)
        taken[column] = row + 1
        x, y = 10 + _PITCH * column, 10 + 86 * row
        for one in quantities:
            place[id(one)] = (x, y)
        boxes.append(
            f"<rect x='{x}' y='{y}' width='{_BOX}' height='58' rx='5' class='{kind}'/>"
            f"<text x='{x + 8}' y='{y + 17}'>{escape(cut(f'{name} = {text}' if text else name, 22))}</text>"
            f"<text x='{x + 8}' y='{y + 34}' class='small'>value {escape(cut(value, 22))}</text>"
            f"<text x='{x + 8}' y='{y + 50}' class='small'>adjoint {escape(cut(adjoint, 20))}</text>"
        )

    for one in decomposition.arguments:
        box([one], one.name, "", number(one.value), number(_adjoint(one)), "argument")
    for step in steps:
        kind = "broken" if broken is not None and broken.step is step else "step"
        box(step.outputs, step.name, expression(step), number(step.value), number(step.adjoint), kind)
        x2, y2 = place[id(step.outputs[0])]
        for quantity, partial, active in _local(step):
            if not active or id(quantity) not in place:
                continue
            x1, y1 = place[id(quantity)]
            lines.append(f"<line x1='{x1 + _BOX}' y1='{y1 + 29}' x2='{x2}' y2='{y2 + 29}'/>")
            if partial is not None and np.shape(partial) == ():
                # The label is in the gap before the step, above the line; below it if the line comes from below.
                label, away = escape(_one(partial)), (_PITCH - _BOX) // 2
                y = y2 + 29 + (y1 - y2) * away // (x2 - x1 - _BOX) + (14 if y1 > y2 else -5)
                lines.append(f"<text x='{x2 - away}' y='{y}' class='small' text-anchor='middle'>{label}</text>")
    width = 20 - _PITCH + _BOX + _PITCH * (1 + max(depth.values(), default=0))
    height = 20 + 86 * max(taken.values(), default=1)
    return (
        f"<svg role='img' aria-label='The steps and their local partials' viewBox='0 0 {width} {height}' "
        f"width='{width}' height='{height}'>{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _local(step: Step) -> list[tuple[Quantity, Any, bool]]:
    active = set(step.active)
    return [
        (one, partial, k in active) for k, (one, partial) in enumerate(zip(step.inputs, step.partials, strict=True))
    ]


def _adjoint(quantity: Quantity) -> Any:
    return np.zeros(quantity.shape) if quantity.adjoint is None else quantity.adjoint


def _one(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if np.iscomplexobj(value):
        return f"{complex(value):.6g}"
    return f"{float(value) + 0.0:.6g}"  # + 0.0: no minus zero


def _plain(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    array = host(value)
    known = isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
    return array.tolist() if known else str(array.dtype)


def cut(text: str, width: int) -> str:
    """Shorten a text to a width."""
    return text if len(text) <= width else text[: width - 1] + "…"
