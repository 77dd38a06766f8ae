"""Time several programs in turns, each in a process of its own, and print the ratios of their medians.

Each contestant is a Python source that defines ``prepare()`` (not timed) and ``work(prepared)``, and may define
``answer(result)``, a list of numbers by which one sees that all solved the same problem. A process stays up for the
whole contest and is told when it is its turn, so that no two run at once and none slows the others.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

RUNNER = """
import json, sys, time
source = json.loads(sys.stdin.readline())
space = {}
try:
    exec(source, space)
    prepared = space["prepare"]()
    result = space["work"](prepared)
    shown = [float(v) for v in space.get("answer", lambda r: [])(result)]
    print(json.dumps({"answer": shown}), flush=True)
except Exception as error:
    print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
    sys.exit()
for line in sys.stdin:
    repeats = int(line)
    start, busy = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        space["work"](prepared)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    print(json.dumps({"seconds": seconds / repeats, "busy": busy / repeats}), flush=True)
"""

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Bytecode of an installed package was written when it was installed; that of a source tree has to be written too, or
the first fit of each process would compile all modules again."""


@dataclass
class Contestant:
    """A program under test."""

    name: str
    source: str
    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Processor time of each turn, over all threads: what other programs on the machine do not lengthen."""
    answer: list[float] = field(default_factory=list)
    error: str = ""

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RUNNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        reply = self._ask(json.dumps(self.source))
        self.error, self.answer = reply.get("error", ""), reply.get("answer", [])

    def turn(self, repeats: int) -> None:
        if not self.error:
            reply = self._ask(str(repeats))
            self.seconds.append(reply["seconds"])
            self.busy.append(reply["busy"])

    def _ask(self, line: str) -> dict:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        return json.loads(reply) if reply else {"error": "the process ended"}

    def stop(self) -> None:
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()


def contest(title: str, contestants: list[Contestant], turns: int, repeats: int = 1) -> dict[str, float]:
    """Run the contest, print a table, and return each median in seconds; the first contestant is ours."""
    for contestant in contestants:
        contestant.start()
    for _ in range(turns):
        for contestant in contestants:
            contestant.turn(repeats)
    for contestant in contestants:
        contestant.stop()
    medians = {c.name: statistics.median(c.seconds) for c in contestants if c.seconds}
    ours = medians.get(contestants[0].name, float("nan"))
    print(f"\n{title}: medians of {turns} turns")
    for c in contestants:
        if c.error:
            print(f"  {c.name:34s} failed: {c.error}")
            continue
        gap = max((abs(a - b) for a, b in zip(c.answer, contestants[0].answer, strict=False)), default=0.0)
        print(
            f"  {c.name:34s} {1e3 * medians[c.name]:10.2f} ms   {medians[c.name] / ours:6.2f} × ours"
            f"   (fastest {1e3 * min(c.seconds):.2f}, "
            f"processor {1e3 * statistics.median(c.busy):.2f}, furthest from our answer {gap:.1e})"
        )
    return medians
