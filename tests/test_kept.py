from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raphson import kept


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of compiled code, which does not exist yet."""
    folder = tmp_path / "cache" / "compiled"
    monkeypatch.setenv(kept.VARIABLE, str(folder))
    monkeypatch.setattr(kept, "_choice", kept._Choice())
    return folder


def only_file(place: Path) -> Path:
    (file,) = place.iterdir()
    return file


def test_what_is_written_is_read_again(place):
    assert kept.folder() == place and kept.read("key") is None
    kept.write("key", b"code")
    assert kept.read("key") == b"code" and kept.read("other") is None
    kept.write("key", b"newer")
    assert kept.read("key") == b"newer" and only_file(place)


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_the_folder_is_closed_to_others(place):
    kept.write("key", b"code")
    assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: bytes([content[0] ^ 1]) + content[1:],
    ],
)
def test_torn_and_altered_files_are_ignored(place, damage):
    kept.write("key", b"some code")
    file = only_file(place)
    file.write_bytes(damage(file.read_bytes()))
    assert kept.read("key") is None
    kept.write("key", b"some code")
    assert kept.read("key") == b"some code"


def test_a_file_under_another_key_is_ignored(place):
    kept.write("key", b"code")
    file = only_file(place)
    file.rename(file.with_stem("other"))
    assert kept.read("other") is None


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720])
def test_a_folder_into_which_others_can_write_is_left_alone(place, mode):
    kept.write("key", b"code")
    place.chmod(mode)
    assert kept.read("key") is None
    kept.write("another", b"code")
    assert only_file(place).stem == "key"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners are those of POSIX")
def test_a_folder_of_another_user_is_left_alone(place, monkeypatch):
    kept.write("key", b"code")
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    assert kept.read("key") is None
    kept.write("another", b"code")
    assert only_file(place).stem == "key"


def test_a_link_to_a_folder_is_left_alone(place, tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    place.parent.mkdir()
    place.symlink_to(other, target_is_directory=True)
    kept.write("key", b"code")
    assert not list(other.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_read_only_folder_is_read_and_not_written(place, monkeypatch):
    kept.write("key", b"code")
    place.chmod(0o500)
    try:

        def refused(*_, **__):
            raise PermissionError

        monkeypatch.setattr("tempfile.mkstemp", refused)  # root may write everywhere
        kept.write("another", b"code")
        assert kept.read("key") == b"code" and kept.read("another") is None
    finally:
        place.chmod(0o700)


def test_a_folder_that_cannot_be_made_keeps_nothing(place):
    place.parent.write_text("a file where the folder should be")
    kept.write("key", b"code")
    assert kept.read("key") is None


def test_the_least_recently_used_go_when_there_are_too_many(place, monkeypatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 10_000)
    for k in range(8):
        kept.write(f"key{k}", bytes(1000))
        os.utime(place / f"key{k}.code", (k, k))
    assert kept.read("key0") is not None  # which makes it the newest
    kept.write("large", bytes(4000))
    left = {file.stem for file in place.iterdir()}
    assert {"key0", "large", "key7"} <= left and not left & {"key1", "key2", "key3"}
    assert sum(file.stat().st_size for file in place.iterdir()) <= 10_000


WRITER = """
import sys
from raphson import kept
size = int(sys.argv[1])
for _ in range(60):
    kept.write("key", bytes([size % 251]) * size)
    found = kept.read("key")
    assert found is not None and len(set(found)) == 1 and len(found) % 251 == found[0], len(found)
"""


def test_two_processes_write_at_once(place):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(size)]) for size in (100_000, 300_001)]
    assert [one.wait(600) for one in writers] == [0, 0]
    assert only_file(place).stem == "key"


@pytest.mark.parametrize("said", ["off", "OFF", "0", "no", "false", " off "])
def test_it_can_be_switched_off_by_the_environment(place, monkeypatch, said):
    monkeypatch.setenv(kept.VARIABLE, said)
    assert kept.folder() is None
    kept.write("key", b"code")
    assert kept.read("key") is None and not place.exists()


def test_what_is_said_in_code_overrides_the_environment(place, tmp_path):
    kept.keep(False)
    assert kept.folder() is None
    kept.keep(tmp_path / "here")
    assert kept.folder() == tmp_path / "here"
    kept.keep(True)
    assert kept.folder() not in (None, place, tmp_path / "here")


@pytest.mark.parametrize(
    ("system", "variables", "expected"),
    [
        ("linux", {}, "HOME/.cache/raphson/compiled"),
        ("linux", {"XDG_CACHE_HOME": "HOME/elsewhere"}, "HOME/elsewhere/raphson/compiled"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "HOME/.cache/raphson/compiled"),
        ("darwin", {"XDG_CACHE_HOME": "HOME/elsewhere"}, "HOME/Library/Caches/raphson/compiled"),
        ("win32", {"LOCALAPPDATA": "HOME/Local"}, "HOME/Local/raphson/Cache/compiled"),
        ("win32", {}, "HOME/AppData/Local/raphson/Cache/compiled"),
    ],
)
def test_the_usual_folder_is_the_platforms(monkeypatch, tmp_path, system, variables, expected):
    monkeypatch.setattr(kept, "_choice", kept._Choice())
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in (kept.VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("HOME", str(tmp_path)))
    assert str(kept.folder()) == expected.replace("HOME", str(tmp_path))


def test_a_user_without_a_home_keeps_nothing(monkeypatch):
    def homeless():
        raise RuntimeError("no home")

    monkeypatch.setattr(kept, "_choice", kept._Choice())
    monkeypatch.setattr(Path, "home", homeless)
    for name in (kept.VARIABLE, "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    assert kept.folder() is None and kept.read("key") is None
    kept.write("key", b"code")
