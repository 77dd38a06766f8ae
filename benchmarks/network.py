"""A network 64-64-64-10 with batch norm, Adam and batches of 32, on digits tiled to 36,000 rows: steps per second,
the time of 20 epochs with all that is compiled, and the test accuracy over five seeds.

Beside PyTorch where it is installed (`pip install torch`), on one thread (with more it is slower here: the batches are
small), and scikit-learn's MLPClassifier, which has no batch norm.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from sklearn.datasets import load_digits

EPOCHS, ROWS, BATCH, SEEDS, TURNS = 20, 36_000, 32, 5, 3

DATA = f"""
import json, sys, time
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
full = len(sys.argv) > 1 and sys.argv[1] == "speed"
seed = int(sys.argv[2])
if full:
    times = {ROWS} // len(y) + 1
    X, y = np.tile(X, (times, 1))[:{ROWS}], np.tile(y, times)[:{ROWS}]
EPOCHS, BATCH = {EPOCHS}, {BATCH}
marks = []
"""

RAPHSON = """
import raphson as rp
begin = time.perf_counter()
fit = rp.network(y, X, hidden=(64, 64), family="multinomial", batch_norm=True, batch_size=BATCH, epochs=EPOCHS,
                 validation=0, seed=seed, progress=lambda **row: marks.append(time.perf_counter()))
total = time.perf_counter() - begin
found = fit.predict(X_test).to_numpy().argmax(axis=1)
"""

TORCH = """
import torch
torch.set_num_threads(1)
torch.manual_seed(seed)
begin = time.perf_counter()
X, X_test = X / 16.0, X_test / 16.0
nn = torch.nn
net = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(),
                    nn.Linear(64, 10))
step, loss = torch.optim.Adam(net.parameters()), nn.CrossEntropyLoss()
A, b = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
for _ in range(EPOCHS):
    order = torch.randperm(len(b))
    for i in range(0, len(b) - BATCH + 1, BATCH):
        rows = order[i : i + BATCH]
        step.zero_grad()
        loss(net(A[rows]), b[rows]).backward()
        step.step()
    marks.append(time.perf_counter())
total = time.perf_counter() - begin
net.eval()
found = net(torch.tensor(X_test, dtype=torch.float32)).argmax(1).numpy()
"""

SKLEARN = """
import warnings
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
begin = time.perf_counter()
net = MLPClassifier((64, 64), batch_size=BATCH, max_iter=EPOCHS, tol=0.0, n_iter_no_change=EPOCHS, random_state=seed)
net.fit(X / 16.0, y)
total = time.perf_counter() - begin
marks = [begin + total * (i + 1) / EPOCHS for i in range(EPOCHS)]
found = net.predict(X_test / 16.0)
"""

END = """
gaps = np.diff(marks)
print(json.dumps({"steps": len(y) // BATCH / float(np.median(gaps)), "total": total,
                  "accuracy": float((found == y_test).mean())}))
"""


def measured(source: str, *arguments: object) -> dict[str, float] | None:
    """What one run in a process of its own measures; None where the package is not installed."""
    command = [sys.executable, "-W", "ignore", "-c", DATA + source + END, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No module named" in done.stderr:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def run() -> None:
    """Print the table: speeds in turns, the medians of them."""
    tiled = len(load_digits().target)
    print(f"\nnetwork 64-64-64-10, batch norm, Adam, batches of {BATCH}, {ROWS:,} rows ({tiled} tiled), {TURNS} turns")
    sources = {"raphson": RAPHSON, "PyTorch": TORCH, "scikit-learn": SKLEARN}
    turns = [{name: measured(source, "speed", 0) for name, source in sources.items()} for _ in range(TURNS)]
    for name, source in sources.items():
        speeds = [(turn[name], turn["raphson"]) for turn in turns]
        if any(speed is None or ours is None for speed, ours in speeds):
            print(f"  {name:14s} is not installed")
            continue
        ratios = [ours["steps"] / speed["steps"] for speed, ours in speeds]  # type: ignore[index]
        steps, total = (statistics.median(speed[what] for speed, _ in speeds) for what in ("steps", "total"))  # type: ignore[index]
        accuracies = [measured(source, "accuracy", seed)["accuracy"] for seed in range(SEEDS)]  # type: ignore[index]
        print(
            f"  {name:14s} {steps:9,.0f} steps/s (ours {statistics.median(ratios):5.1f} ×)   "
            f"{EPOCHS} epochs {total:6.1f} s   accuracy {statistics.mean(accuracies):.4f} "
            f"({min(accuracies):.4f} to {max(accuracies):.4f})"
        )


if __name__ == "__main__":
    run()
