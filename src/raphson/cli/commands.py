"""The commands: each reads its data, calls the Python function and prints the result."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from raphson.cli.output import (
    BAD_INPUT,
    CONVERGED,
    NOT_CONVERGED,
    beside,
    draw,
    print_document,
    print_error,
    print_json,
    write_predictions,
)
from raphson.cli.process import resume_garbage_collection
from raphson.cli.questions import PLOTS, answers, records, refuse_of_groups, table_text
from raphson.errors import DataError, MissingDataWarning, ModelError, RaphsonError, warn_user
from raphson.options import GLM, MLE, NETWORK, NLS, Record, keywords

TEXT_OPTIONS = ("sep", "decimal", "na", "encoding")
_DEMO_FORMULA = "low ~ age + lwt + race + smoke"


def fit(options: argparse.Namespace) -> int:
    """``raphson fit``"""
    _check_outputs(options)
    given = _linear_model(options)
    found = _fitted(options.formula, _table(options), given)
    return _groups_shown(found, options) if "by" in given else _shown(found, options)


def _linear_model(options: argparse.Namespace) -> dict[str, Any]:
    """The keywords of a generalised linear model that were given."""
    given = _given(options, GLM)
    if options.link is not None:
        from dataclasses import replace

        from raphson.model import families

        family: Any = families.resolve(given.get("family", "gaussian"))  # every family is a dataclass
        given["family"] = replace(family, link=options.link)
    return given


def nls(options: argparse.Namespace) -> int:
    """``raphson nls``"""
    _check_outputs(options)
    given = _given(options, NLS)
    from raphson.api.nls import nls as front_door

    found = _with_progress(front_door, options.formula, _table(options), given)
    return _groups_shown(found, options) if "by" in given else _shown(found, options)


def mle(options: argparse.Namespace) -> int:
    """``raphson mle``"""
    _check_outputs(options)
    from raphson.api.mle import mle as front_door

    def fitted(formulas: Any, data: Any, **given: Any) -> Any:
        return front_door(options.density, formulas, data, **given)

    return _shown(
        _with_progress(fitted, _by_parameter(options.formulas), _table(options), _given(options, MLE)), options
    )


def _by_parameter(formulas: list[str]) -> str | dict[str, str]:
    """The formula of each parameter that ``log_sigma = ~ x`` names; a single one without a name is the first one's."""
    named: dict[str, str] = {}
    for one in formulas:
        name, equals, formula = (piece.strip() for piece in one.partition("="))
        if not equals or not name.isidentifier():
            if len(formulas) == 1:
                return one
            raise ModelError(
                f'formulas: expected the parameter of each formula, as in "log_sigma = ~ x"; got {one!r} among '
                f"{len(formulas)} formulas"
            )
        if name in named:
            raise ModelError(f"formulas: expected one formula for each parameter; got two for {name}")
        named[name] = formula
    return named


def network(options: argparse.Namespace) -> int:
    """``raphson network``"""
    _check_outputs(options)
    from raphson.api.network import network as front_door

    return _shown(_with_progress(front_door, options.formula, _table(options), _given(options, NETWORK)), options)


def anova(options: argparse.Namespace) -> int:
    """``raphson anova``"""
    from raphson.data import read_table
    from raphson.fit.anova import anova as compared

    given, table = _linear_model(options), read_table(_table(options))
    if "by" in given:
        raise ModelError("--by: nested models are compared on all rows; leave out --by")
    fits = [_fitted(formula, table, given) for formula in options.formulas]
    kept = _rows_of_all(fits)
    if kept is not None:
        fits = [_fitted(formula, table.loc[kept], given) for formula in options.formulas]
    found = compared(*fits)
    if options.json:
        print_json({"models": records(found, "formula")})
    else:
        print(table_text("Each model beside the next smaller one, by likelihood-ratio tests", found))
    return CONVERGED if all(one.converged for one in fits) else NOT_CONVERGED


def _rows_of_all(fits: list[Any]) -> Any:
    """The labels of the rows that every fit uses, and a warning about the others; None if all use the same."""
    every = fits[0].fittedvalues.index
    kept = every
    for one in fits[1:]:
        every, kept = every.union(one.fittedvalues.index), kept.intersection(one.fittedvalues.index, sort=False)
    if len(kept) == len(every):
        return None
    warn_user(
        f"{len(every) - len(kept)} of {len(every)} rows are left out of all models, as some model cannot use them",
        MissingDataWarning,
    )
    return kept


def compare(options: argparse.Namespace) -> int:
    """``raphson compare``"""
    from raphson.api.compare import DEFAULT
    from raphson.api.compare import compare as race
    from raphson.files import check_output

    if options.plot is not None:
        check_output(options.plot, PLOTS, "a plot", [options.data])
    given = _linear_model(options)
    if "by" in given:
        raise ModelError("--by: methods are compared on one model; leave out --by")
    limits = {name: given[name] for name in ("tol", "max_iter", "start") if name in given}
    fitted = _fitted(options.formula, _table(options), {name: given[name] for name in given if name not in limits})
    found = race(fitted, options.methods or DEFAULT, seed=given.get("seed", 0), **limits)
    if options.json:
        print_json({"methods": records(found.table, "method"), "notes": found.notes})
    else:
        print(found)
    if options.plot is not None:
        draw(found.plot(), options.plot)
    return CONVERGED if fitted.converged else NOT_CONVERGED


def _groups_shown(found: Any, options: argparse.Namespace) -> int:
    """Print the fits of many groups, save and report them if asked."""
    table = found.tidy(options.level, options.exponentiate)
    if options.json:
        groups = found.glance().rename_axis("group").reset_index()
        print_json({"coefficients": table.to_dict(orient="records"), "groups": groups.to_dict(orient="records")})
    else:
        table.to_csv(sys.stdout, index=False)
    if options.save is not None:
        found.save(options.save)
    if options.report is not None:
        found.report(options.report)
    return CONVERGED if bool(found.converged.all()) else NOT_CONVERGED


def _given(options: argparse.Namespace, door: tuple[Record, ...]) -> dict[str, Any]:
    """The function's keywords that were given on the command line; it has its own defaults for the others."""
    return {one.name: getattr(options, one.name) for one in keywords(door) if hasattr(options, one.name)}


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse files that cannot be written before the fit rather than after it."""
    if hasattr(options, "by"):
        refuse_of_groups(options)
    from raphson.files import check_output

    if options.save is not None:
        check_output(options.save, (".json",), "a saved fit", [options.data])
    if options.report is not None:
        check_output(options.report, (".html", ".htm"), "a report", [options.data])
    if options.plot is not None:
        check_output(options.plot, PLOTS, "a plot", [options.data])


def _shown(fit: Any, options: argparse.Namespace) -> int:
    """Save, print, report and draw a fit, and answer the questions about it, according to the options.

    A question that this fit cannot answer takes nothing from the rest: it is an error after all else has been done.
    """
    if options.save is not None:
        fit.save(options.save)
    if not options.json:
        print(fit.summary(options.level, options.exponentiate), flush=True)
    found: dict[str, Any] = {}
    refused: list[RaphsonError] = []
    for name, answer in answers(fit, options):
        if isinstance(answer, RaphsonError):
            refused.append(answer)
            continue
        found[name] = answer.value
        if not options.json:
            print(f"\n{answer.text}", flush=True)
    if options.json:
        print_document(fit, found, options)
    if options.report is not None:
        fit.report(options.report, options.level, options.exponentiate)
    if options.plot is not None:
        try:
            draw(fit.plot(level=options.level).figure, options.plot)
        except RaphsonError as error:
            refused.append(error)
    for error in refused:
        print_error(str(error), BAD_INPUT)
    return BAD_INPUT if refused else CONVERGED if fit.converged else NOT_CONVERGED


def predict(options: argparse.Namespace) -> int:
    """``raphson predict``"""
    from raphson.files import TABLES, check_output, check_table

    if options.out is not None:
        check_table(options.out)
        check_output(options.out, TABLES, "a table", [options.data, options.model])
    from raphson.api.load import load
    from raphson.data import read_table, streamed
    from raphson.fit.by_pieces import as_frame
    from raphson.fit.fit import Fit
    from raphson.report.progress import Progress

    fit, table = load(options.model), _table(options)
    asked = {name: getattr(options, name) for name in ("se", "interval", "level", "kind")}
    asked |= {name: getattr(options, name) for name in ("effects", "new_levels") if hasattr(options, name)}
    large = None if options.out is None or options.json or options.keep or hasattr(table, "read") else streamed(table)
    with Progress("Predicting"):
        if large is not None and isinstance(fit, Fit):
            fit.predict(large, to=options.out, **asked)
            return CONVERGED
        rows = read_table(table)
        predicted = as_frame(fit.predict(rows, **asked))
    write_predictions(beside(rows, predicted) if options.keep else predicted, options)
    return CONVERGED


def explain(options: argparse.Namespace) -> int:
    """``raphson explain``"""
    from raphson.files import check_output

    if options.html is not None:
        check_output(options.html, (".html", ".htm"), "a page", [])
    from raphson.api.explain import explain as taken_apart

    steps = taken_apart(options.expression, options.at)
    if options.json:
        print_json(steps.to_dict())
    else:
        print(steps)
        for finding in (steps.first_nonfinite(), steps.vanishing()):
            if finding is not None:
                print(f"\n{finding}")
    if options.html is not None:
        from raphson.files import written_whole

        with written_whole(options.html) as draft:
            draft.write_text(steps.to_html(), encoding="utf-8")
    return CONVERGED


def demo(options: argparse.Namespace) -> int:
    """``raphson demo``"""
    from raphson import datasets
    from raphson.files import written_whole
    from raphson.report import iterations
    from raphson.report.summary import summary

    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    data = datasets.path("births")
    print("189 births in Springfield, Massachusetts, in 1986: which mothers had a child of less than 2.5 kg?")
    print("(Hosmer and Lemeshow 1989, Applied Logistic Regression.) The same fit from the command line:\n")
    print(f'    raphson fit "{_DEMO_FORMULA}" {data.name} --family binomial --method irls\n', flush=True)
    fit = _fitted(_DEMO_FORMULA, data, {"family": "binomial", "method": "irls"})
    print("The iterations, each a weighted least squares problem:\n")
    print(iterations.as_text(fit))
    print(f"\n{summary(fit)}\n")
    fit.save(folder / "fit.json")
    fit.report(folder / "report.html")
    with written_whole(folder / "path.png") as draft:
        fit.plot_path().figure.savefig(draft, dpi=150)
    with written_whole(folder / data.name) as draft:
        draft.write_bytes(data.read_bytes())
    for name in (data.name, "fit.json", "report.html", "path.png"):
        print(f"wrote {folder / name}")
    return CONVERGED if fit.converged else NOT_CONVERGED


def completion(options: argparse.Namespace) -> int:
    """``raphson completion``"""
    from raphson.cli.completion import script

    print(script(options.parser(), options.shell))
    return CONVERGED


def _fitted(formula: str, data: Any, given: dict[str, Any]) -> Any:
    # Compile in a second thread while the libraries that read the data are imported.
    family = given.get("family", "gaussian")
    ahead: threading.Thread | None = threading.Thread(target=_compile_ahead, args=(family,), daemon=True)
    ahead.start()
    try:
        from raphson.api.glm import glm

        return _with_progress(glm, formula, data, given)
    except KeyboardInterrupt:
        ahead = None  # it may be waiting for an import that the interrupt broke off
        raise
    finally:
        if ahead is not None:
            ahead.join()  # a process that exits while compiling may crash


def _with_progress(front_door: Callable[..., Any], formula: Any, data: Any, given: dict[str, Any]) -> Any:
    from raphson.report.progress import Progress

    class Fitting(Progress):
        def __call__(self, **row: Any) -> None:
            resume_garbage_collection()
            super().__call__(**row)

    with Fitting("Fitting") as progress:
        return front_door(formula, data, progress=progress, **given)


def _compile_ahead(family: Any) -> None:
    with suppress(Exception):  # errors about the family are raised where it is used
        from raphson.model.families import resolve
        from raphson.model.rows import compile_ahead

        compile_ahead(resolve(family))


def _table(options: argparse.Namespace) -> Any:
    """The path, or standard input for ``-``; the table itself if options say how its text is to be read."""
    source = options.data
    if source == "-":
        if sys.stdin is None:
            raise DataError("data: '-' reads standard input, which is closed; name a file")
        source = getattr(sys.stdin, "buffer", sys.stdin)  # bytes, so that --encoding and not the locale decides
    if isinstance(source, str) and "~" in source.lstrip("~") and not Path(source).exists():
        raise DataError(f"data: expected a file; got the formula {source!r}. The formula comes first, then the file")
    text = {name: value for name in TEXT_OPTIONS if (value := getattr(options, name)) is not None}
    if not text:
        return source
    from raphson.data import TextFormat, read_table

    return read_table(source, TextFormat(**text))
