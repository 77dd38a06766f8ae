"""Files and functions stay short enough to be read at once."""

import ast
import io
import tokenize
from pathlib import Path

import raphson

SOURCE = Path(raphson.__file__).parent
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 600, 60
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def long_functions(text: str, most: int) -> list[str]:
    """Functions with a body of more lines of code, without docstrings, comments and blank lines.

    A signature doesn't count: that of a door is as long as what it can be told.
    """
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            code.update(range(token.start[0], token.end[0] + 1))
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            code.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [
        one.name for one in functions if len(code & set(range(one.body[0].lineno, (one.end_lineno or 0) + 1))) > most
    ]


def test_what_counts_as_a_line_of_code():
    text = "def long(\na,\nb):\n    'A docstring.'\n    # comment\n\n    def inner():\n        return (\n1)\n"
    assert long_functions(text, 3) == [] and long_functions(text, 2) == ["long"]


def test_files_and_functions_are_short():
    long = []
    for path in sorted(SOURCE.rglob("*.py")):
        name, text = path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")
        long += [f"{name}: {one}" for one in long_functions(text, MOST_LINES_OF_A_FUNCTION)]
        long += [name] * (len(text.splitlines()) > MOST_LINES_OF_A_FILE)
    assert long == []
