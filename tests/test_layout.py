"""The tests lie as the source does, and `make quick` knows the slow ones by their names."""

from __future__ import annotations

import re
from pathlib import Path

import raphson

HERE = Path(__file__).parent
SOURCE = Path(raphson.__file__).parent

ELSEWHERE = {
    "tests/cli/test_process.py": ["__main__"],  # it is a process
    # All families are walked over alike, and all ready densities.
    "tests/model/families/test_rows.py": [
        f"model/families/{name}"
        for name in (
            "base",
            "binomial",
            "distribution",
            "multinomial",
            "negative_binomial",
            "robust",
            "tweedie",
        )
    ],
    "tests/model/families/test_responses.py": ["model/families/structure"],
    "tests/model/likelihood/densities/test_ready.py": [
        f"model/likelihood/densities/{name}" for name in ("continuous", "counts", "ordered", "signature", "survival")
    ],
    # What a kind of model is made of is tested as its door puts it together.
    "tests/api/test_mle.py": [
        "fit/likelihood",
        *(f"model/likelihood/{name}" for name in ("build", "family", "finite", "general", "model")),
    ],
    "tests/model/likelihood/test_streamed.py": ["model/likelihood/streamed_density"],
    "tests/model/likelihood/test_streamed_general.py": ["model/likelihood/streamed_finite"],
    "tests/model/likelihood/test_expected.py": [
        f"model/likelihood/{name}" for name in ("distribution", "modes", "quadrature", "row_densities")
    ],
    "tests/api/test_network.py": ["api/network_training", "fit/network", "model/network/model"],
    "tests/api/test_nls.py": ["model/curve/least_squares", "model/curve/structure", "model/curve/user_functions"],
    "tests/model/test_log_likelihood.py": ["model/block_sums"],
    "tests/model/test_device_rows.py": ["model/device_designs", "model/traced_rows"],
    "tests/whole/test_gpu.py": ["model/curve/on_device", "model/network/on_device"],
    "tests/autodiff/test_graph.py": ["autodiff/operations"],
    "tests/autodiff/test_trace.py": ["autodiff/walk"],
    "tests/model/curve/test_code.py": ["model/curve/compiled"],
    "tests/model/curve/test_read.py": ["model/curve/remarks"],
    "tests/fit/test_bootstrap.py": ["model/curve/replicates", "fit/refitted", "fit/refitting"],
    "tests/fit/test_members.py": ["fit/estimates", "fit/reading"],
    "tests/fit/test_plotting.py": ["fit/pictured"],
    "tests/typing/test_typing.py": ["fit/levels"],
    "tests/fit/test_saving.py": ["fit/coefficients", "model/curve/saved"],
    "tests/fit/test_testing.py": ["fit/reference"],
    "tests/fit/test_anova.py": ["fit/nesting"],
    "tests/fit/test_many.py": ["api/by_group", "newton/many/ends"],
    "tests/fit/test_fit.py": ["fit/state", "fit/robust", "fit/uncertainty", "model/base", "model/problem"],
    "tests/newton/test_confined.py": ["model/glm/edge_remarks", "model/walls"],
    "tests/model/glm/test_streamed.py": ["model/streamed", "model/streamed_means", "newton/training/streaming"],
    "tests/model/bias/test_adjusted_scores.py": ["model/bias/objective"],
    "tests/model/varying/test_results.py": [
        f"model/varying/{name}"
        for name in ("algebra", "derivatives", "layout", "mode", "moments", "quadratic", "start")
    ],
    "tests/model/varying/test_densities.py": ["model/varying/higher"],
    "tests/model/varying/test_model.py": ["model/varying/criterion_model"],
    "tests/fit/varying/test_likelihood.py": ["model/varying/likelihood"],
    "tests/fit/varying/test_reading.py": ["api/glm_varying", "fit/varying/inferring"],
    "tests/newton/test_ascent.py": ["newton/directions", "newton/state"],
    "tests/report/test_progress.py": ["report/live_lines"],
    "tests/data/test_arrays.py": ["data/matrices"],
    "tests/data/test_streams.py": ["data/not_in_memory", "data/places", "data/seen_variables"],
    "tests/model/families/test_rows_by_hand.py": [
        "model/families/links_by_hand",
        "model/families/negative_binomial_by_hand",
        "special/powers",
    ],
}
"""Where modules are tested that have no file of their own in the mirror."""


def mirrored(module: str) -> Path:
    room, _, name = module.rpartition("/")
    return HERE / room / f"test_{name}.py"


def test_every_module_has_its_tests():
    modules = {
        str(file.relative_to(SOURCE).with_suffix("")) for file in SOURCE.rglob("*.py") if file.stem != "__init__"
    }
    listed = [module for several in ELSEWHERE.values() for module in several]
    alone = {module for module in modules if not mirrored(module).exists()}
    assert alone - set(listed) == set(), "write tests/ROOM/test_MODULE.py"
    assert set(listed) - alone == set(), "these have a file of their own, or are gone: take them off the list"
    assert [place for place in ELSEWHERE if not (HERE.parent / place).exists()] == []


def test_slow_tests_are_there():
    # A name that is left over from a test that was renamed would let it into `make quick`.
    lines = (HERE / "slow.txt").read_text(encoding="utf-8").splitlines()
    there = {
        name for file in HERE.rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))
    }
    assert [line for line in lines if not line.startswith("#") and line not in there] == []
