"""The command line: ``raphson fit``, ``raphson nls``, ``raphson predict``, ``raphson explain`` and ``raphson demo``.

Exit codes: 0 converged, 1 not converged (the result is still printed), 2 bad input (one line on standard
error says what to do). Nothing that takes time is imported before the arguments have been understood.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from raphson.cli.output import BAD_INPUT, complain
from raphson.cli.parse import parser
from raphson.cli.process import (
    INTERRUPTED,
    collector_asleep,
    end_soon_after_an_interrupt,
    one_line_warnings,
    write_no_more,
)
from raphson.errors import RaphsonError

_PIPE_CLOSED = 141  # 128 + the signal, as shells count


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
        return complain("standard output is closed; redirect it, to /dev/null if nothing should be shown", BAD_INPUT)
    if arguments is None:
        end_soon_after_an_interrupt()
    try:
        options = parser().parse_args(arguments)
        with one_line_warnings(), collector_asleep():
            code = options.run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        code = complain("interrupted", INTERRUPTED)
        if arguments is None:
            os._exit(code)  # at once: Python's own end would wait for threads that compute
        return code
    except BrokenPipeError:
        # Whoever read our output has seen enough (`raphson predict ... | head`).
        write_no_more()
        return _PIPE_CLOSED
    except RaphsonError as error:
        return complain(str(error), BAD_INPUT)
    except OSError as error:
        if not error.filename:
            write_no_more()
        place = f"{error.filename}: " if error.filename else ""
        return complain(f"{place}{error.strerror or error}", BAD_INPUT)
    except MemoryError:
        return complain("the data do not fit into memory: use fewer rows or columns", BAD_INPUT)
    except Exception as error:
        # A mistake of Raphson's own. Its traceback helps nobody but a developer, who can ask for it.
        if os.environ.get("RAPHSON_TRACEBACK"):
            raise
        text = f"unexpected {type(error).__name__}: {error}; RAPHSON_TRACEBACK=1 shows where: please report it"
        return complain(text, BAD_INPUT)
