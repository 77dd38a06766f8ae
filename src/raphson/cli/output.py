"""What a command prints and writes, and its exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from raphson.errors import visible

if TYPE_CHECKING:
    import pandas as pd

CONVERGED, NOT_CONVERGED, BAD_INPUT = 0, 1, 2


def print_error(message: str, code: int) -> int:
    print(f"raphson: error: {one_line(message)}", file=sys.stderr)
    return code


def one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def print_fit(fit: Any, options: argparse.Namespace) -> None:
    if options.json:
        from raphson.report.document import document, to_json

        print(to_json(document(fit, options.level)))
    else:
        from raphson.report.summary import summary

        print(summary(fit, options.level))


def save(fit: Any, place: str | os.PathLike[str]) -> None:
    from raphson.files import written_whole

    with written_whole(place) as draft:
        fit.save(draft)


def report(fit: Any, place: str | os.PathLike[str], level: float) -> None:
    from raphson.files import written_whole
    from raphson.fit import reporting

    with written_whole(place) as draft:
        draft.write_text(reporting.page(fit, level), encoding="utf-8")


def as_frame(predicted: Any) -> pd.DataFrame:
    import pandas as pd

    return predicted if isinstance(predicted, pd.DataFrame) else predicted.to_frame("fit")


def write_predictions(frame: pd.DataFrame, options: argparse.Namespace) -> None:
    if options.json:
        from raphson.report.document import to_json

        print(to_json({"predictions": frame.to_dict(orient="records")}))
    if options.out is not None:
        from raphson.files import write_table

        write_table(frame, options.out)
    elif not options.json:
        frame.to_csv(sys.stdout, index=False)
