"""The command line: fits, predictions from them, comparisons, derivatives and a demonstration.

Exit codes: 0 converged, 1 not converged (the result is still printed), 2 bad input (one line on standard
error says what to do). Slow imports wait until the arguments have been parsed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from raphson.cli.output import BAD_INPUT, print_error
from raphson.cli.parse import parser
from raphson.cli.process import (
    INTERRUPTED,
    discard_output,
    exit_soon_after_interrupt,
    garbage_collection_paused,
    one_line_warnings,
)
from raphson.errors import RaphsonError

_PIPE_CLOSED = 141  # 128 + the signal, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words of the command line; by default those of the process.
    """
    if sys.stderr is None:  # closed, as by `2>&-`; print(file=None) would go to standard output
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:  # closed, as by `>&-`: files are written, and nothing is shown
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if arguments is None:
        exit_soon_after_interrupt()
    try:
        options = parser().parse_args(arguments)
        with one_line_warnings(), garbage_collection_paused():
            code = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        code = print_error("interrupted", INTERRUPTED)
        if arguments is None:
            os._exit(code)  # a normal exit would wait for threads that compute
        return code
    except BrokenPipeError:
        # The reader of the output has closed it, as in `raphson predict ... | head`.
        discard_output()
        return _PIPE_CLOSED
    except RaphsonError as error:
        return print_error(str(error), BAD_INPUT)
    except OSError as error:
        if not error.filename:
            discard_output()
        place = f"{error.filename}: " if error.filename else ""
        return print_error(f"{place}{error.strerror or error}", BAD_INPUT)
    except MemoryError:
        return print_error("the data do not fit into memory; use fewer rows or columns", BAD_INPUT)
    except Exception as error:
        # A bug in Raphson. Only developers need the traceback, and they can ask for it.
        if os.environ.get("RAPHSON_TRACEBACK"):
            raise
        text = (
            f"unexpected {type(error).__name__}: {error}; this is a bug in Raphson, please report it "
            "(RAPHSON_TRACEBACK=1 shows the traceback)"
        )
        return print_error(text, BAD_INPUT)
