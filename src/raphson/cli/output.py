"""What a command prints and writes, and its exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from raphson.cli.spelling import as_options
from raphson.errors import DataError, visible

if TYPE_CHECKING:
    import pandas as pd

CONVERGED, NOT_CONVERGED, BAD_INPUT = 0, 1, 2


def print_error(message: str, code: int) -> int:
    print(f"raphson: error: {as_options(one_line(message))}", file=sys.stderr)
    return code


def one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def print_document(fit: Any, answers: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the summary and the answers to what was asked about the fit, as one JSON document."""
    from raphson.report.document import document

    print_json(document(fit, options.level, options.exponentiate) | answers)


def print_json(value: Any) -> None:
    from raphson.report.document import to_json

    print(to_json(value))


def draw(figure: Any, place: str | os.PathLike[str]) -> None:
    from raphson.files import written_whole

    with written_whole(place) as draft:
        figure.savefig(draft, dpi=150, bbox_inches="tight")


def beside(rows: Any, predicted: pd.DataFrame) -> pd.DataFrame:
    """The columns of the data, then the predictions.

    Raises
    ------
    DataError
        If the data have a column with the name of one of the predictions.
    """
    both = [name for name in predicted if name in rows]
    if both:
        raise DataError(f"--keep: the data have a column {both[0]!r}, as the predictions do; rename it, or omit --keep")
    return rows.join(predicted)


def write_predictions(frame: pd.DataFrame, options: argparse.Namespace) -> None:
    if options.json:
        print_json({"predictions": frame.to_dict(orient="records")})
    if options.out is not None:
        from raphson.files import write_table

        write_table(frame, options.out)
    elif not options.json:
        frame.to_csv(sys.stdout, index=False)
