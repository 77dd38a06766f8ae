"""What comes only on demand is named where it is needed, and nobody else's is imported."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import raphson as rp
from raphson.errors import EXTRAS

WITHOUT = """
import sys

class Without:
    '''A finder of modules that finds everything but what the extras bring.'''

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("matplotlib", "pyarrow", "sklearn"):
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]

import json, warnings
import raphson as rp

found = {"imported": sorted({"jax", "numpy", "pandas", "scipy", "rich"} & set(sys.modules))}

def told(name, call):
    try:
        found[name] = repr(call())
    except rp.RaphsonError as error:
        found[name] = str(error)

warnings.simplefilter("ignore")
fit = rp.glm("low ~ lwt + smoke", rp.datasets.path("births"), family="binomial")
found["params"] = fit.params.round(3).to_dict()
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a process says that has none of the extras."""
    folder = tmp_path_factory.mktemp("without")
    for name in ("t.parquet", "t.arrow", "t.csv.zst"):
        (folder / name).write_bytes(b"PAR1")
    script = WITHOUT + (
        "import polars\n"
        "from raphson.files import write_table\n"
        "told('plot', fit.plot_path)\n"
        "from raphson.fit.reporting import page as written\n"
        "page = written(fit)\n"
        "found['page'] = 'pip install' in page and '<td' in page\n"
        "for name in ('t.parquet', 't.arrow', 't.csv.zst'):\n"
        "    told(name, lambda: rp.glm('y ~ x', name))\n"
        "told('stream', lambda: rp.stream('t.parquet'))\n"
        "told('polars', lambda: rp.glm('y ~ x', polars.DataFrame({'x': [1.0, 2.0], 'y': [1.0, 2.0]})))\n"
        "told('write', lambda: write_table(fit.augment(), 'out.parquet'))\n"
        "told('sklearn', lambda: rp.sklearn)\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_brings_nothing_along(told):
    assert told["imported"] == []


def test_a_text_file_is_fitted_without_extras(told):
    assert told["params"] == {"Intercept": 0.622, "lwt": -0.013, "smoke": 0.677}


def test_a_page_without_matplotlib_says_what_draws(told):
    assert told["page"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("plot", 'a plot needs matplotlib: pip install "raphson[plot]"'),
        ("t.parquet", 't.parquet: reading Parquet needs pyarrow: pip install "raphson[parquet]"'),
        ("t.arrow", 't.arrow: reading Arrow needs pyarrow: pip install "raphson[parquet]"'),
        ("t.csv.zst", 't.csv.zst: decompressing Zstandard needs pyarrow: pip install "raphson[parquet]"'),
        ("stream", 't.parquet: reading Parquet needs pyarrow: pip install "raphson[parquet]"'),
        ("polars", 'data: reading a frame of polars needs pyarrow: pip install "raphson[parquet]"'),
        ("write", 'out.parquet: writing Parquet and Arrow needs pyarrow: pip install "raphson[parquet]"'),
        ("sklearn", 'raphson.sklearn needs scikit-learn 1.6 or later: pip install "raphson[sklearn]"'),
    ],
)
def test_what_is_missing_is_named_with_its_extra(told, case, message):
    assert told[case].startswith(message)


def test_the_extras_are_those_that_the_errors_name():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    offered = project["optional-dependencies"]
    assert offered["all"] == [f"raphson[{','.join(name for name in EXTRAS if name not in ('arviz', 'tables'))}]"]
    for extra, package in EXTRAS.items():
        assert offered[extra][0].partition(">=")[0] == package.split()[0]


def test_the_version_is_that_of_the_distribution():
    assert rp.__version__ == version("raphson")
