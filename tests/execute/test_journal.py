"""The journal of a fit: sums are answered from the file, and a torn, altered or foreign file is recognised."""

from __future__ import annotations

import errno
import pickle
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest

from raphson.errors import DataError
from raphson.execute import serial, sum_blocks
from raphson.execute.journal import DIGEST, HEAD, MAGIC, Journal, Recorded, difference

ABOUT = {"formula": "y ~ x", "data": {"rows": 3, "files": [{"name": "a.csv", "size": 5}, {"name": "b.csv", "size": 6}]}}


class Counted:
    """Sums of squares, which count how often they were computed."""

    def __init__(self, path, description=ABOUT):
        self.journal, self.computed = Journal(path, description), 0

    def sum(self, power):
        def one(x):
            self.computed += 1
            return np.array([float(x) ** power])

        return sum_blocks(Recorded(serial(), self.journal), one, [1, 2, 3], lambda: ("power", power))


def written(path, powers=(1, 2, 3)):
    held = Counted(path)
    with held.journal:
        return [held.sum(power).tobytes() for power in powers]


def test_the_same_sums_are_answered_from_the_file(tmp_path):
    first = written(tmp_path / "j")
    again = Counted(tmp_path / "j")
    with again.journal:
        assert [again.sum(power).tobytes() for power in (1, 2, 3)] == first
        assert again.computed == 0
        again.sum(4)
        assert (again.journal.read, again.journal.written, again.computed) == (3, 1, 3)


def test_another_question_is_computed_and_what_follows_is_dropped(tmp_path):
    written(tmp_path / "j")
    other = Counted(tmp_path / "j")
    with other.journal:
        other.sum(1)
        assert other.sum(5) == pytest.approx(1 + 32 + 243)
        other.sum(3)
        assert other.computed == 6
    again = Counted(tmp_path / "j")
    with again.journal:
        for power in (1, 5, 3):
            again.sum(power)
        assert again.computed == 0


def test_wherever_the_file_is_cut_the_complete_entries_are_used(tmp_path):
    first = written(tmp_path / "j")
    whole = (tmp_path / "j").read_bytes()
    read = set()
    for size in range(0, len(whole), 5):
        (tmp_path / "j").write_bytes(whole[:size])
        again = Counted(tmp_path / "j")
        with again.journal:
            assert [again.sum(power).tobytes() for power in (1, 2, 3)] == first
            read.add(again.journal.read)
        assert (tmp_path / "j").read_bytes() == whole
    assert read == {0, 1, 2}


def test_a_file_that_was_extended_before_it_was_written_counts_as_cut(tmp_path):
    first = written(tmp_path / "j", (1, 2))
    with (tmp_path / "j").open("ab") as file:
        file.write(bytes(500))
    again = Counted(tmp_path / "j")
    with again.journal:
        assert [again.sum(power).tobytes() for power in (1, 2)] == first
        assert again.computed == 0


def test_any_altered_byte_before_the_last_entry_is_recognised(tmp_path):
    written(tmp_path / "j", (1,))
    last = (tmp_path / "j").stat().st_size
    written(tmp_path / "j", (1, 2))
    whole = (tmp_path / "j").read_bytes()
    for at in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[at] ^= 1
        (tmp_path / "j").write_bytes(changed)
        if at < last or at < last + HEAD:
            with pytest.raises(DataError, match=r"was changed\. Delete it|is another kind of file"):
                Counted(tmp_path / "j")
        else:  # it may as well be an entry that was being written
            again = Counted(tmp_path / "j")
            with again.journal:
                again.sum(1)
                again.sum(2)
                assert again.computed == 3
    assert len(whole) - last > HEAD + DIGEST


def test_entries_in_another_order_are_recognised(tmp_path):
    ends = []
    for powers in ((), (1,), (1, 2)):
        written(tmp_path / "j", powers)
        ends.append((tmp_path / "j").stat().st_size)
    whole = (tmp_path / "j").read_bytes()
    assert len(MAGIC) < ends[0] < ends[1] < ends[2] == len(whole)
    (tmp_path / "j").write_bytes(whole[: ends[0]] + whole[ends[1] :] + whole[ends[0] : ends[1]])
    with pytest.raises(DataError, match="was changed"):
        Counted(tmp_path / "j")


@pytest.mark.parametrize(
    ("now", "what"),
    [
        ({"formula": "y ~ z"}, "its formula was 'y ~ x', and now it is 'y ~ z'"),
        (
            {"data": {"rows": 4, "files": ABOUT["data"]["files"]}},
            "its data's rows was 3, and now it is 4",
        ),
        (
            {"data": {"rows": 3, "files": [ABOUT["data"]["files"][0], {"name": "b.csv", "size": 7}]}},
            "its data's file b.csv's size was 6, and now it is 7",
        ),
        (
            {"data": {"rows": 3, "files": ABOUT["data"]["files"][:1]}},
            "the number of its data's files was 2, and now it is 1",
        ),
        ({"version": "9"}, "its version was None, and now it is '9'"),
    ],
)
def test_a_file_of_another_fit_is_refused(tmp_path, now, what):
    written(tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(DataError) as caught:
        Journal(tmp_path / "j", ABOUT | now)
    assert what in str(caught.value)
    assert "Delete the file, or pass another name" in str(caught.value)
    assert (tmp_path / "j").read_bytes() == before


def test_another_kind_of_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "j").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is another kind of file"):
        Journal(tmp_path / "j", ABOUT)
    assert (tmp_path / "j").read_text() == "a,b\n1,2\n"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        Journal(tmp_path / "none" / "j", ABOUT)


def test_sums_that_cannot_be_kept_are_computed_again_and_those_behind_them_kept(tmp_path):
    def run():
        journal, computed = Journal(tmp_path / "j", ABOUT), []
        with journal:
            for value in (1.0, object(), 3.0):
                journal.answer((str(type(value)),), lambda value=value: computed.append(value) or value)
        return len(computed)

    assert (run(), run()) == (3, 1)


def test_a_full_disk_is_told_of_and_what_is_complete_is_kept(tmp_path, monkeypatch):
    held = Counted(tmp_path / "j")
    with held.journal:
        held.sum(1)
        complete = (tmp_path / "j").read_bytes()

        class Full:
            def __init__(self, file):
                self.file = file

            def __getattr__(self, name):
                return getattr(self.file, name)

            def write(self, content):
                self.file.write(content[:20])
                raise OSError(errno.ENOSPC, "No space left on device")

        held.journal._file = Full(held.journal._file)
        with pytest.raises(DataError, match="No space left on device; make room and call again"):
            held.sum(2)
    assert (tmp_path / "j").read_bytes() == complete


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_a_file_that_another_fit_writes_is_refused(tmp_path):
    with Counted(tmp_path / "j").journal, pytest.raises(DataError, match="is being written by another fit"):
        Journal(tmp_path / "j", ABOUT)
    written(tmp_path / "j")


def test_what_is_asked_after_the_fit_is_kept_too_and_the_file_is_free_meanwhile(tmp_path):
    first = Counted(tmp_path / "j")
    with first.journal:
        first.sum(1)
    later = first.sum(2)
    again = Counted(tmp_path / "j")  # the first fit does not hold the file
    with again.journal:
        again.sum(1)
    assert again.sum(2) == later and again.computed == 0
    assert again.sum(3) == 1 + 8 + 27 and again.computed == 3
    # Another fit has written into the file: it is left to it.
    size = (tmp_path / "j").stat().st_size
    assert first.sum(4) == 1 + 16 + 81 and (tmp_path / "j").stat().st_size == size
    third = Counted(tmp_path / "j")
    with third.journal:
        assert [third.sum(power)[0] for power in (1, 2, 3)] == [6, 14, 36] and third.computed == 0


@pytest.mark.parametrize("how", ["gone", "another file", "in use", "full"])
def test_after_the_fit_sums_are_computed_whatever_became_of_the_file(how, tmp_path, monkeypatch):
    held = Counted(tmp_path / "j")
    with held.journal:
        held.sum(1)
    if how == "gone":
        (tmp_path / "j").unlink()
    elif how == "another file":
        (tmp_path / "j").write_bytes(bytes((tmp_path / "j").stat().st_size))
    elif how == "full":

        def full(content, at):
            raise DataError("no room")

        monkeypatch.setattr(held.journal, "_write", full)
    before = None if how == "gone" else (tmp_path / "j").read_bytes()
    with Journal(tmp_path / "j", ABOUT) if how == "in use" else nullcontext():
        assert held.sum(2) == 14
    assert held.sum(3) == 36
    assert not (tmp_path / "j").exists() if before is None else (tmp_path / "j").read_bytes() == before


def test_a_copy_of_the_executor_in_another_process_has_no_journal(tmp_path):
    with Counted(tmp_path / "j").journal as journal:
        assert pickle.loads(pickle.dumps(Recorded(serial(), journal))) == serial()  # noqa: S301


def test_killed_in_the_middle_of_a_sum_the_others_are_kept(tmp_path):
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(sys.path)!r})
from raphson.execute.journal import Journal
journal = Journal({str(tmp_path / "j")!r}, {ABOUT!r})
journal.answer(("a",), lambda: 1.5)
journal.answer(("b",), lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode != 0
    with Journal(tmp_path / "j", ABOUT) as journal:
        assert journal.answer(("a",), lambda: 9.0) == 1.5
        assert journal.answer(("b",), lambda: 2.5) == 2.5


def test_a_difference_names_the_first_part_that_differs():
    assert difference("data", {"rows": 1, "x": 2}, {"rows": 1, "x": 3}) == "its data's x was 2, and now it is 3"
