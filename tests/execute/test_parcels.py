"""What goes to workers, and what of it goes once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from raphson.errors import RaphsonError
from raphson.execute.parcels import ARRAY_BYTES, Sender, Unpacker


class Model:
    """Has a parcel of its own, without what was derived."""

    def __init__(self, size, derived=None):
        self.rows, self.derived = np.arange(float(size)), derived

    def for_workers(self):
        return Model(len(self.rows))


def unpacked(sender, key, content, read):
    def held(other):
        read.append(other)
        return unpacked(sender, other, sender.content(other), read)

    return Unpacker(content, held).load()


def test_what_is_the_same_in_every_pass_is_pickled_once_and_without_what_was_derived():
    sender, model = Sender(), Model(10, derived=threading.Lock())
    packed = [sender.pack(lambda block, theta=theta: (theta, model.rows.sum(), block)) for theta in (1.0, 2.0)]
    (one, _), (two, content) = packed
    assert one.key != two.key and one.needs == two.needs and len(one.needs) == 1
    read = []
    assert unpacked(sender, two.key, content, read)(3) == (2.0, 45.0, 3)


def test_an_array_is_sent_again_when_its_numbers_have_changed():
    sender, theta = Sender(), np.zeros(ARRAY_BYTES // 8)
    (before, _) = sender.pack([theta])
    theta[0] = 1.0
    (after, content) = sender.pack([theta])
    assert before.needs != after.needs
    assert unpacked(sender, after.key, content, [])[0][0] == 1.0


def test_functions_of_the_same_code_are_one_parcel():
    def made():
        return lambda x: x + 1

    sender = Sender()
    assert sender.parcel(made()).key == sender.parcel(made()).key


def test_a_parcel_is_forgotten_with_its_object():
    sender, model = Sender(), Model(10)
    sender.parcel(model)
    assert sender._made and sender._found
    del model
    assert not sender._made and not sender._found and not sender._kept


def test_what_cannot_be_pickled_is_refused_in_words():
    lock = threading.Lock()
    with pytest.raises(RaphsonError, match=r"executor: what is fitted cannot be sent to other processes .*lock"):
        Sender().pack(lambda block: lock)
