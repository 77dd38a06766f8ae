"""The command line in this process, and a fit that it saved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raphson import cli, datasets


@pytest.fixture(scope="session")
def run() -> Callable[..., int]:
    """Run the command line and give its exit code."""

    def run(*arguments: str) -> int:
        try:
            return cli.main(list(arguments))
        except SystemExit as leaving:  # argparse leaves by itself
            assert isinstance(leaving.code, int)
            return leaving.code

    return run


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The one line on standard error; nothing may stand on standard output."""

    def read() -> str:
        out, error = capsys.readouterr()
        assert out == ""
        assert error.startswith("raphson: error: ") and error.count("\n") == 1 and error.endswith("\n")
        return error

    return read


@pytest.fixture(scope="session")
def saved(run: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("model") / "fit.json"
    formula, births = "low ~ age + lwt + race + smoke", str(datasets.path("births"))
    assert run("fit", formula, births, "--family", "binomial", "--save", str(place)) == 0
    return str(place)
