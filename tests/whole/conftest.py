"""Scripts in processes of their own, which need not import everything anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

SERVER = """
import gc, importlib, json, os, pkgutil, sys, threading, traceback

sys.path[:0] = json.loads(sys.argv[1])
import jax, jax.numpy, numpy, pandas, pyarrow.parquet, raphson

for module in pkgutil.walk_packages(raphson.__path__, "raphson."):
    if module.name not in ("raphson.__main__", "raphson.sklearn"):
        importlib.import_module(module.name)
assert threading.active_count() == 1  # the only one that a fork has
gc.freeze()  # what the collector does not touch, the forks share

for line in sys.stdin:
    code, arguments, folder = json.loads(line)
    child = os.fork()
    if not child:
        status = 1
        try:
            for stream, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT), stream)
            sys.argv = ["-c", *arguments]
            exec(compile(code, "<script>", "exec"), {"__name__": "__main__"})
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run a script with arguments in a process of its own, in which Raphson and JAX are imported and nothing is used.

    The process is a fork of one that has imported them, which takes a second, and nothing else.
    """
    if not sys.platform.startswith("linux"):  # forks of a process with such libraries are not safe everywhere

        def started(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            begin = f"import json, sys\nsys.path[:0] = json.loads({json.dumps(sys.path)!r})\n"
            return subprocess.run([sys.executable, "-c", begin + code, *arguments], capture_output=True, text=True)

        yield started
        return

    command = [sys.executable, "-c", SERVER, json.dumps(sys.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        asks, answers = server.stdin, server.stdout

        def forked(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
            folder = tmp_path_factory.mktemp("script")
            asks.write(json.dumps([code, arguments, str(folder)]) + "\n")
            asks.flush()
            status = int(answers.readline())
            out, error = ((folder / name).read_text(encoding="utf-8") for name in ("out", "err"))
            return subprocess.CompletedProcess([code, *arguments], status, out, error)

        yield forked
        asks.close()
