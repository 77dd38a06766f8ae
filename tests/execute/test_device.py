from __future__ import annotations

import copy
import gc

import jax
import numpy as np
import pytest

from raphson.compiled import compiled
from raphson.errors import ModelError
from raphson.execute import computing_with, device, gpu, threads
from raphson.execute.journal import Recorded
from raphson.execute.watched import Watched
from raphson.numeric import anchor, x64
from raphson.numeric import device as computing_device


class Owner:
    """What arrays are kept for."""


def test_what_is_mapped_computes_on_the_device():
    there = gpu(platform="cpu")
    found = there.map(lambda _: (computing_device(), anchor().device), range(3))
    assert found == [(jax.devices("cpu")[0],) * 2] * 3
    assert computing_device() is not jax.devices("cpu")[0] and anchor().device != jax.devices("cpu")[0]


def test_an_error_inside_leaves_the_device_as_it_was():
    with pytest.raises(ZeroDivisionError):
        gpu(platform="cpu").map(lambda x: 1 // x, [0])
    assert computing_device() is not jax.devices("cpu")[0]


def test_executors_around_it_have_its_device():
    there = gpu(platform="cpu")
    for around in (Watched(there, lambda *_: None), Recorded(there, None)):
        assert around.device is there.device
        with computing_with(around):
            assert computing_device() is jax.devices("cpu")[0]
    with computing_with(threads(2)):
        assert computing_device() is not jax.devices("cpu")[0]


def test_a_copy_in_another_process_has_a_device_of_its_own():
    there = gpu(platform="cpu", memory=1e6)
    again = copy.deepcopy(there)
    assert again == there and again.device.kept.most == 1_000_000


def test_without_a_gpu_the_error_names_the_remedy():
    if any(one.platform == "gpu" for one in jax.devices()):
        pytest.skip("there is one")
    with pytest.raises(ModelError, match=r"JAX sees no GPU here, only cpu.*platform='cpu'"):
        gpu()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"platform": "tpu"}, "platform"),
        ({"number": -1}, "number: expected"),
        ({"number": True}, "number: expected"),
        ({"number": 99, "platform": "cpu"}, r"number: expected one of the \d+ that JAX sees"),
        ({"memory": -1.0}, "memory: expected"),
        ({"memory": "1G"}, "memory: expected"),
    ],
)
def test_arguments_are_checked(given, message):
    with pytest.raises(ModelError, match=message):
        gpu(**{"platform": "cpu"} | given)


def test_arrays_are_kept_while_their_owner_lives():
    kept, owner = device.KeptRows(100), Owner()
    assert kept.keep(owner, "form", 1, 60, lambda: "arrays") == "arrays" and kept.find(owner, "form") == "arrays"
    assert kept.find(owner, "another") is None and kept.n_bytes == 60
    del owner
    gc.collect()
    assert kept.n_bytes == 0


def test_other_datas_arrays_go_first_and_what_has_no_room_is_not_made():
    kept, owners = device.KeptRows(100), [Owner() for _ in range(4)]
    for owner in owners[:2]:
        kept.keep(owner, "form", 1, 40, lambda: "of the first data")
    # Of the same data no other part gives way.
    assert kept.keep(owners[2], "form", 1, 40, lambda: pytest.fail("made")) is None and kept.n_bytes == 80
    assert kept.keep(owners[3], "form", 2, 90, lambda: "of the second") == "of the second" and kept.n_bytes == 90
    assert kept.find(owners[0], "form") is None
    assert kept.keep(owners[0], "form", 1, 101, lambda: pytest.fail("made")) is None


def test_a_device_that_tells_its_memory_keeps_rows_in_half_of_it():
    class Place:
        def memory_stats(self):
            return {"bytes_limit": 1000}

    assert device._room(Place()) == 500 and device._room(jax.devices("cpu")[0]) == device.KEPT_UNKNOWN


def test_an_array_made_there_has_64_bits():
    def made(_):
        with x64():
            return np.asarray(anchor() + 1.0).dtype

    assert gpu(platform="cpu").map(made, [0]) == [np.float64]


def test_a_device_without_memory_says_what_to_do():
    def full(_):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes")

    def other(_):
        raise RuntimeError("something else")

    with pytest.raises(ModelError, match=r"ran out of memory.*rp\.execute\.gpu\(memory="):
        gpu(platform="cpu").map(full, [0])
    with pytest.raises(RuntimeError, match="something else"):
        gpu(platform="cpu").map(other, [0])


def test_code_is_compiled_for_each_device():
    double = compiled(lambda x: 2.0 * x)
    x = np.arange(3.0)
    with x64():
        here = double(x)
        with gpu(platform="cpu").device.computing():
            there = double(x)
    assert here.devices() == {computing_device()} and there.devices() == {jax.devices("cpu")[0]}
    assert np.array_equal(np.asarray(here), np.asarray(there))
