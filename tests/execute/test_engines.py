"""What executor= takes."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from raphson.errors import ModelError
from raphson.execute import serial
from raphson.execute.engines import ENGINES, as_executor, register
from raphson.execute.pools import Pool


def test_executors_of_this_package_are_taken_as_they_are():
    assert as_executor(serial()) is serial() or as_executor(serial()) == serial()


def test_a_pool_is_recognised_and_one_that_forks_refused():
    with ThreadPoolExecutor(1) as pool:
        assert isinstance(as_executor(pool), Pool)
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as forking,
        pytest.raises(ModelError, match=r"executor: its processes are forks .*get_context\('spawn'\)"),
    ):
        as_executor(forking)


def test_an_engine_can_be_registered_and_anything_else_is_refused():
    class Own:
        name = "own"

        @classmethod
        def of(cls, given):
            return cls() if given == "own" else None

        def map(self, function, blocks):
            return [function(block) for block in blocks]

    register(Own)
    try:
        assert isinstance(as_executor("own"), Own)
    finally:
        del ENGINES._parts["own"]
    with pytest.raises(ModelError, match=r"engines.register: expected a class"):
        register(object)
    with pytest.raises(ModelError, match=r"executor: expected rp.execute.threads"):
        as_executor(3)
