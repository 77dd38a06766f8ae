"""A line that is replaced again and again until the work ends: on a terminal, or in the output of a notebook's cell."""

from __future__ import annotations

import math
import sys
from typing import Any, Protocol, TextIO

BESIDE = 10
"""Characters of the spinner, the time and the spaces between them."""


class LiveLine(Protocol):
    """A line that is shown from its construction on."""

    @property
    def width(self) -> float:
        """Number of characters that it has room for."""
        ...

    def update(self, text: str) -> None:
        """Show another text in its place."""
        ...

    def stop(self) -> None:
        """Remove it."""
        ...


class TerminalLine:
    """A line with a spinner and the time so far, drawn by a thread of rich."""

    def __init__(self, text: str, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        text_column = TextColumn(
            "{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")
        )
        columns = (SpinnerColumn(), text_column, TimeElapsedColumn())
        self._display = Progress(*columns, console=Console(file=stream), transient=True)
        self._task = self._display.add_task(text, total=None)
        self._display.start()

    @property
    def width(self) -> float:
        return self._display.console.width - BESIDE

    def update(self, text: str) -> None:
        self._display.update(self._task, description=text)

    def stop(self) -> None:
        self._display.stop()


class NotebookLine:
    """An output of the cell that is replaced by its identifier, which every kind of notebook can."""

    def __init__(self, text: str) -> None:
        from IPython.display import display  # pyright: ignore[reportMissingImports] - it is imported already

        self.width = math.inf
        self._handle: Any = display({"text/plain": text}, raw=True, display_id=True)

    def update(self, text: str) -> None:
        self._handle.update({"text/plain": text}, raw=True)

    def stop(self) -> None:
        self.update("")


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
