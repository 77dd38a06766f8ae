"""The command line: ``raphson fit``, ``raphson nls``, ``raphson predict``, ``raphson explain`` and ``raphson demo``.

Exit codes: 0 converged, 1 not converged (the result is still printed), 2 bad input (one line on standard
error says what to do). Nothing that takes time is imported before the arguments have been understood.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from raphson.errors import DataError, ModelError, RaphsonError, visible

if TYPE_CHECKING:
    import pandas as pd

CONVERGED, NOT_CONVERGED, BAD_INPUT = 0, 1, 2
_INTERRUPTED, _PIPE_CLOSED = 130, 141  # 128 + the signal, as shells count

_GLM_OPTIONS = (
    *("weights", "weights_kind", "offset", "trials", "penalty", "missing"),
    *("information", "cov", "groups", "small_sample", "dispersion", "bias"),
    *("method", "tol", "max_iter", "damping", "start"),
)
_NLS_OPTIONS = (
    *("start", "bounds", "fixed", "by", "loss", "scale", "weights", "weights_kind", "sigma", "absolute_sigma"),
    *("penalty", "missing"),
    *("information", "cov", "groups", "small_sample", "dispersion", "method", "tol", "max_iter", "damping", "seed"),
)
_TEXT_OPTIONS = ("sep", "decimal", "na", "encoding")
_PATIENCE = 0.7
"""Seconds that what runs has to end by itself after Ctrl-C."""
_DATA_HELP = "CSV, TSV (also as .csv.gz), Parquet or Arrow file; - reads CSV from standard input"
_DEMO_FORMULA = "low ~ age + lwt + race + smoke"
_FAMILIES = (
    "gaussian, binomial, poisson, gamma, inverse_gaussian, negative_binomial, tweedie(POWER), multinomial, "
    "quasipoisson, quasibinomial"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if not given.
    """
    if sys.stderr is None:  # closed, as by `2>&-`; what is printed to None goes to standard output
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        return _complain("standard output is closed; redirect it, to /dev/null if nothing should be shown", BAD_INPUT)
    if arguments is None:
        _end_soon_after_an_interrupt()
    try:
        options = _parser().parse_args(arguments)
        with _one_line_warnings(), _collector_asleep():
            code = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        code = _complain("interrupted", _INTERRUPTED)
        if arguments is None:
            os._exit(code)  # at once: Python's own end would wait for threads that compute
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough (`raphson predict ... | head`).
        _write_no_more()
        return _PIPE_CLOSED
    except RaphsonError as error:
        return _complain(str(error), BAD_INPUT)
    except OSError as error:
        if not error.filename:
            _write_no_more()
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}", BAD_INPUT)
    except MemoryError:
        return _complain("the data do not fit into memory: use fewer rows or columns", BAD_INPUT)
    except Exception as error:
        # A mistake of Raphson's own. Its traceback helps nobody but a developer, who can ask for it.
        if os.environ.get("RAPHSON_TRACEBACK"):
            raise
        text = f"unexpected {type(error).__name__}: {error}; RAPHSON_TRACEBACK=1 shows where: please report it"
        return _complain(text, BAD_INPUT)


def _write_no_more() -> None:
    """Give standard output somewhere to write: Python would complain once more when it flushes it at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_soon_after_an_interrupt() -> None:
    """End the process within a second of Ctrl-C, whatever its main thread is doing.

    That may be in a library, which sees nothing of signals until it returns, or be waiting for an import that the
    interrupt itself has broken off. The signal is noted in a pipe the moment that it comes, where a thread reads it.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def watch() -> None:
        while os.read(read, 1) != bytes([signal.SIGINT]):
            pass
        time.sleep(_PATIENCE)
        os._exit(_complain("interrupted", _INTERRUPTED))

    threading.Thread(target=watch, daemon=True).start()


def _fit(options: argparse.Namespace) -> int:
    _check_outputs(options)
    return _shown(_fitted(options.formula, _table(options), _glm_arguments(options)), options)


def _nls(options: argparse.Namespace) -> int:
    _check_outputs(options)
    if options.by is not None and (options.save is not None or options.report is not None):
        raise ModelError("--by: many curves are printed, and neither saved nor reported; leave out --save and --report")
    from raphson.api.nls import nls
    from raphson.report.progress import Progress

    # As for glm: the defaults live in nls's own signature.
    given = {name: value for name in _NLS_OPTIONS if (value := getattr(options, name)) is not None}
    with Progress("Fitting") as progress:

        def step(**row: Any) -> None:
            _wake_collector()
            progress(**row)

        fit = nls(options.formula, _table(options), progress=step, **given)
    if options.by is None:
        return _shown(fit, options)
    curves: Any = fit
    if options.json:
        from raphson.report.document import to_json

        tables = {"coefficients": curves.tidy(), "groups": curves.glance().rename_axis("group").reset_index()}
        print(to_json({name: table.to_dict(orient="records") for name, table in tables.items()}))
    else:
        curves.tidy().to_csv(sys.stdout, index=False)
    return CONVERGED if bool(curves.converged.all()) else NOT_CONVERGED


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse places that cannot be written to before the work, not after it."""
    from raphson.files import check_output

    if options.save is not None:
        check_output(options.save, (".json",), "a saved fit", [options.data])
    if options.report is not None:
        check_output(options.report, (".html", ".htm"), "a report", [options.data])


def _shown(fit: Any, options: argparse.Namespace) -> int:
    """Print, save and report a fit, as asked for."""
    _print_fit(fit, options)
    if options.save is not None:
        _save(fit, options.save)
    if options.report is not None:
        _report(fit, options.report, options.level)
    return CONVERGED if fit.converged else NOT_CONVERGED


def _predict(options: argparse.Namespace) -> int:
    from raphson.files import TABLES, check_output, check_table

    if options.out is not None:
        check_table(options.out)
        check_output(options.out, TABLES, "a table", [options.data, options.model])
    from raphson.api.load import load
    from raphson.data import read_table
    from raphson.report.progress import Progress

    fit = load(options.model)
    with Progress("Predicting"):
        predicted = fit.predict(
            read_table(_table(options)),
            se=options.se,
            interval=options.interval,
            level=options.level,
            kind=options.kind,
        )
    _write_predictions(_as_frame(predicted), options)
    return CONVERGED


def _explain(options: argparse.Namespace) -> int:
    from raphson.files import check_output

    if options.html is not None:
        check_output(options.html, (".html", ".htm"), "a page", [])
    from raphson.api.explain import explain

    steps = explain(options.expression, options.at)
    if options.json:
        from raphson.report.document import to_json

        print(to_json(steps.to_dict()))
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


def _demo(options: argparse.Namespace) -> int:
    from raphson import datasets
    from raphson.files import written_whole
    from raphson.report import iterations
    from raphson.report.summary import summary

    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    data = datasets.path("births")
    print("189 births at Springfield, Massachusetts, in 1986: which mothers had a child of less than 2.5 kg?")
    print("(Hosmer and Lemeshow 1989, Applied Logistic Regression.) The same fit from the command line:\n")
    print(f'    raphson fit "{_DEMO_FORMULA}" {data.name} --family binomial --method irls\n', flush=True)
    fit = _fitted(_DEMO_FORMULA, data, {"family": "binomial", "method": "irls"})
    print("The iterations, each a weighted least squares problem:\n")
    print(iterations.as_text(fit))
    print(f"\n{summary(fit)}\n")
    _save(fit, folder / "fit.json")
    _report(fit, folder / "report.html", 0.95)
    with written_whole(folder / "path.png") as draft:
        fit.plot_path().savefig(draft, dpi=150)
    with written_whole(folder / data.name) as draft:
        draft.write_bytes(data.read_bytes())
    for name in (data.name, "fit.json", "report.html", "path.png"):
        print(f"wrote {folder / name}")
    return CONVERGED if fit.converged else NOT_CONVERGED


def _fitted(formula: str, data: Any, arguments: dict[str, Any]) -> Any:
    # Compiling keeps no one waiting while the libraries that read the data are loaded.
    ahead: threading.Thread | None = threading.Thread(target=_compile_ahead, args=(arguments["family"],), daemon=True)
    ahead.start()
    try:
        import formulaic  # noqa: F401

        from raphson.api.glm import glm
        from raphson.report.progress import Progress

        with Progress("Fitting") as progress:

            def step(**row: Any) -> None:
                _wake_collector()
                progress(**row)

            return glm(formula, data, progress=step, **arguments)
    except KeyboardInterrupt:
        ahead = None  # it may wait for an import that was broken off
        raise
    finally:
        if ahead is not None:
            ahead.join()  # a process that ends in the middle of compiling may not end well


def _compile_ahead(family: Any) -> None:
    with suppress(Exception):  # whatever is wrong with the family is reported where it is used
        from raphson.model.families import resolve
        from raphson.model.rows import compile_ahead

        compile_ahead(resolve(family))


def _glm_arguments(options: argparse.Namespace) -> dict[str, Any]:
    # Only what was given: the defaults live in one place, glm's own signature.
    given = {name: value for name in _GLM_OPTIONS if (value := getattr(options, name)) is not None}
    return {"family": _family(options), **given}


def _family(options: argparse.Namespace) -> Any:
    if options.link is None:
        return options.family
    from dataclasses import replace

    from raphson.model import families

    family: Any = families.resolve(options.family)  # every family is a dataclass
    return replace(family, link=options.link)


def _table(options: argparse.Namespace) -> Any:
    """Standard input for ``-``, else the path itself; the table where options say how its text is written."""
    source = options.data
    if source == "-":
        if sys.stdin is None:
            raise DataError("data: standard input is closed; name a file")
        source = getattr(sys.stdin, "buffer", sys.stdin)  # bytes, whose encoding is the file's own and no locale's
    text = {name: value for name in _TEXT_OPTIONS if (value := getattr(options, name)) is not None}
    if not text:
        return source
    from raphson.data import TextFormat, read_table

    return read_table(source, TextFormat(**text))


def _print_fit(fit: Any, options: argparse.Namespace) -> None:
    if options.json:
        from raphson.report.document import document, to_json

        print(to_json(document(fit, options.level)))
    else:
        from raphson.report.summary import summary

        print(summary(fit, options.level))


def _save(fit: Any, place: str | os.PathLike[str]) -> None:
    from raphson.files import written_whole

    with written_whole(place) as draft:
        fit.save(draft)


def _report(fit: Any, place: str | os.PathLike[str], level: float) -> None:
    from raphson.files import written_whole
    from raphson.report.html import html_page

    with written_whole(place) as draft:
        draft.write_text(html_page(fit, level), encoding="utf-8")


def _as_frame(predicted: Any) -> pd.DataFrame:
    import pandas as pd

    return predicted if isinstance(predicted, pd.DataFrame) else predicted.to_frame("fit")


def _write_predictions(frame: pd.DataFrame, options: argparse.Namespace) -> None:
    if options.json:
        from raphson.report.document import to_json

        print(to_json({"predictions": frame.to_dict(orient="records")}))
    if options.out is not None:
        from raphson.files import write_table

        write_table(frame, options.out)
    elif not options.json:
        frame.to_csv(sys.stdout, index=False)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="raphson",
        description="Fit generalised linear models and curves by maximum likelihood.",
        epilog="Exit codes: 0 converged, 1 not converged (the result is still printed), 2 bad input.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_fit(commands)
    _add_nls(commands)
    _add_predict(commands)
    _add_explain(commands)
    _add_demo(commands)
    return parser


def _add_fit(commands: Any) -> None:
    fit = commands.add_parser("fit", help="fit a model to a data file", description="Fit a generalised linear model.")
    fit.set_defaults(run=_fit)
    fit.add_argument("formula", metavar="FORMULA", help='such as "low ~ age + lwt + race"')
    fit.add_argument("data", metavar="DATA", help=_DATA_HELP)
    model = fit.add_argument_group("the model")
    model.add_argument("--family", default="gaussian", help=f"one of {_FAMILIES} (default gaussian)")
    model.add_argument("--link", help="instead of the family's usual link")
    _add_weights(model)
    model.add_argument("--offset", metavar="COLUMN", help='a column or an expression such as "log(Holders)"')
    model.add_argument("--trials", metavar="COLUMN", help="group sizes of a binomial count")
    _add_penalty(model)
    model.add_argument("--bias", choices=("firth", "jeffreys"), help="bias reduction; finite under separation, too")
    _add_text(fit)
    _add_spread(fit)
    iteration = _add_iteration(fit, "fisher-scoring (default), irls, newton, bhhh, newton-cg or gradient-descent")
    iteration.add_argument(
        "--start", type=_list_of_numbers, metavar="NUMBER,...", help="where to begin, such as --start=-1,0.5: one each"
    )
    _add_result(fit)


def _add_nls(commands: Any) -> None:
    nls = commands.add_parser(
        "nls",
        help="fit a curve to a data file",
        description="Fit a curve by nonlinear least squares. Names in it that are no columns are parameters.",
    )
    nls.set_defaults(run=_nls)
    nls.add_argument("formula", metavar="CURVE", help='such as "y ~ b1*(1-exp(-b2*x))"')
    nls.add_argument("data", metavar="DATA", help=_DATA_HELP)
    model = nls.add_argument_group("the curve")
    model.add_argument(
        "--start",
        type=_numbers,
        metavar="NAME=NUMBER,...",
        help="starting values, such as b2=1e-4; those of other parameters are looked for",
    )
    model.add_argument(
        "--bounds", type=_bounds, metavar="NAME=LOW:HIGH,...", help="such as b2=0:1,b1=0: (an empty end is no bound)"
    )
    model.add_argument("--fixed", type=_numbers, metavar="NAME=NUMBER,...", help="parameters that are not estimated")
    model.add_argument("--by", metavar="COLUMN", help="fit a curve for each value of it")
    model.add_argument("--loss", choices=("squared", "huber", "cauchy", "tukey"))
    model.add_argument("--scale", type=float, metavar="NUMBER", help="of a robust loss (default: estimated)")
    _add_weights(model)
    model.add_argument("--sigma", metavar="COLUMN", help="standard deviations of the responses: weights 1/sigma**2")
    model.add_argument(
        "--absolute-sigma",
        action="store_true",
        default=None,
        help="sigma are the standard deviations themselves: dispersion 1",
    )
    _add_penalty(model)
    _add_text(nls)
    _add_spread(nls)
    iteration = _add_iteration(
        nls, "levenberg-marquardt (default), gauss-newton, modified-gauss-newton, newton or any other of `raphson fit`"
    )
    iteration.add_argument("--seed", type=int, metavar="NUMBER", help="of the search for starting values")
    _add_result(nls)


def _add_text(command: Any) -> None:
    text = command.add_argument_group("files of text")
    text.add_argument("--sep", type=_separator, metavar="CHARACTER", help="between the columns: ';', tab, ...")
    text.add_argument("--decimal", metavar="CHARACTER", help="decimal point: . (default) or ,")
    text.add_argument(
        "--na", type=_marks, metavar="TEXT,...", help="missing values besides nothing at all, NA, NaN and null"
    )
    text.add_argument("--encoding", metavar="NAME", help="such as latin-1 (default utf-8)")


def _add_weights(model: Any) -> None:
    model.add_argument("--weights", metavar="COLUMN")
    model.add_argument("--weights-kind", choices=("frequency", "precision", "sampling"))


def _add_penalty(model: Any) -> None:
    model.add_argument("--penalty", type=float, metavar="NUMBER", help="ridge penalty")
    model.add_argument("--missing", choices=("drop", "raise"), help="what to do with missing values (default drop)")


def _add_spread(command: Any) -> None:
    spread = command.add_argument_group("standard errors")
    spread.add_argument("--information", choices=("expected", "observed", "opg"))
    spread.add_argument("--cov", choices=("model", "HC0", "HC1", "HC2", "HC3", "cluster"))
    spread.add_argument("--groups", metavar="COLUMN", help="clusters for --cov cluster")
    spread.add_argument(
        "--small-sample",
        choices=("full", "clusters"),
        help="factor of --cov cluster: G/(G-1) times (n-1)/(n-p) (default), or G/(G-1) alone",
    )
    spread.add_argument("--dispersion", type=_dispersion, help="pearson, deviance, ml or a number")
    spread.add_argument("--level", type=_level, default=0.95, help="coverage of the intervals (default 0.95)")


def _add_iteration(command: Any, methods: str) -> Any:
    iteration = command.add_argument_group("the iteration")
    iteration.add_argument("--method", help=methods)
    iteration.add_argument("--tol", type=float, help="distance to the maximum in standard errors at which to stop")
    iteration.add_argument("--max-iter", type=int, metavar="STEPS")
    iteration.add_argument("--damping", type=float, metavar="NUMBER", help="of the first step (default 0)")
    return iteration


def _add_result(command: Any) -> None:
    output = command.add_argument_group("the result")
    output.add_argument("--save", metavar="FILE", help="write the fit, for `raphson predict`")
    output.add_argument("--report", metavar="FILE", help="write one HTML page")
    output.add_argument("--json", action="store_true", help="print JSON instead of the summary")


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser(
        "predict", help="predict from a saved fit", description="Predict the mean response for new data."
    )
    predict.set_defaults(run=_predict)
    predict.add_argument("model", metavar="MODEL", help="file written by --save")
    predict.add_argument("data", metavar="DATA", help=_DATA_HELP)
    _add_text(predict)
    predict.add_argument("--out", metavar="FILE", help="CSV, TSV, Parquet or Arrow by its ending (default: print CSV)")
    predict.add_argument("--interval", choices=("confidence", "prediction"))
    predict.add_argument("--se", action="store_true", help="add standard errors")
    predict.add_argument("--kind", choices=("response", "link"), default="response")
    predict.add_argument("--level", type=_level, default=0.95, help="coverage of the interval (default 0.95)")
    predict.add_argument("--json", action="store_true", help="print JSON instead of CSV")


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain",
        help="take a function apart into elementary steps",
        description="Show the elementary steps of an expression: values, local partial derivatives and adjoints.",
    )
    explain.set_defaults(run=_explain)
    explain.add_argument("expression", metavar="EXPRESSION", help='such as "log(1 + exp(-y*x))"')
    explain.add_argument("--at", type=_numbers, required=True, metavar="NAME=NUMBER,...", help="such as y=1,x=0.3")
    explain.add_argument("--html", metavar="FILE", help="write one HTML page with the table and the graph")
    explain.add_argument("--json", action="store_true", help="print JSON instead of the table")


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="a real fit from shipped data",
        description="Fit a logistic regression by IRLS, step by step.",
    )
    demo.set_defaults(run=_demo)
    demo.add_argument("--out", metavar="DIR", default="raphson-demo", help="where to write (default raphson-demo)")


class _Parser(argparse.ArgumentParser):
    """One line for a usage error, where argparse prints the whole usage before it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"raphson: error: {_one_line(message)} (see `{self.prog} --help`)\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"raphson {version('raphson')}")
        parser.exit(0)


def _separator(text: str) -> str:
    """A tab has to be named, for who can type one?"""
    return "\t" if text in ("tab", "\\t") else text


def _marks(text: str) -> tuple[str, ...]:
    return tuple(mark.strip() for mark in text.split(","))


def _level(text: str) -> float:
    level = float(text)
    if not 0 < level < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, such as 0.95; got {text}")
    return level


def _list_of_numbers(text: str) -> list[float]:
    """Read ``-1,0.5``."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers, one for each coefficient, such as --start=-1,0.5; got {text}"
        ) from None


def _numbers(text: str) -> dict[str, float]:
    """Read ``b1=500,b2=1e-4``."""
    numbers: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            number = float(value)
        except ValueError:
            equals = ""
        if name in numbers:
            raise argparse.ArgumentTypeError(f"expected each name once; {name} has two numbers in {text}")
        if not equals or not name:
            raise argparse.ArgumentTypeError(f"expected names with a number each, such as y=1,x=0.3; got {text}")
        numbers[name] = number
    return numbers


def _bounds(text: str) -> dict[str, tuple[float | None, float | None]]:
    """Read ``b1=0:10,b2=0:``; an empty end is no bound."""
    bounds: dict[str, tuple[float | None, float | None]] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        low, colon, high = (piece.strip() for piece in value.partition(":"))
        try:
            pair = (float(low) if low else None, float(high) if high else None)
        except ValueError:
            colon = ""
        if not (equals and colon and name) or name in bounds:
            raise argparse.ArgumentTypeError(f"expected names with two ends each, such as b1=0:10,b2=0: ; got {text}")
        bounds[name] = pair
    return bounds


def _dispersion(text: str) -> str | float:
    if text in ("pearson", "deviance", "ml"):
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected pearson, deviance, ml or a number; got {text}") from None


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = _one_line(str(message))
        if line not in said:
            said.add(line)
            print(f"raphson: warning: {line}", file=sys.stderr)

    with warnings.catch_warnings():
        # What libraries have to say to programmers is no business of who runs a command.
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        warnings.showwarning = show
        yield


@contextmanager
def _collector_asleep() -> Iterator[None]:
    """Collect no garbage until the iteration starts.

    Imports and compilation make hundreds of thousands of objects that live as long as the process. Looking
    through them for garbage, again and again, takes a sixth of the time of a small fit.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def _wake_collector() -> None:
    if not gc.isenabled():
        gc.freeze()  # what is there by now stays, and is not looked through any more
        gc.enable()


def _complain(message: str, code: int) -> int:
    print(f"raphson: error: {_one_line(message)}", file=sys.stderr)
    return code


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


if __name__ == "__main__":
    sys.exit(main())
