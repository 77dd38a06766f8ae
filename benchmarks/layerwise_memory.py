"""Peak memory of a training step of a deep, wide network: all gradients at once, and one layer's at a time."""

from __future__ import annotations

import subprocess
import sys

LAYERS, WIDTH = 40, 1_024

SOURCE = f"""
import resource, sys
import numpy as np
from raphson.model.families import Gaussian
from raphson.model.network import Network
from raphson.newton.first_order import Descent, Sample, beginning, train
network = Network.of({WIDTH}, 1, ({WIDTH},) * {LAYERS}, activation="tanh")
rng = np.random.default_rng(0)
X, y = rng.normal(size=(32, {WIDTH})), rng.normal(size=32)
descent = Descent("sgd", 1, 32, learning_rate=1e-3, update=sys.argv[1])
begin = beginning(network.initial(rng), network.state(np.zeros(1), np.ones(1)), descent)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
sample = Sample((X,), y, None, None, float)
trained = train(network, Gaussian(), begin, sample, descent)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(8 * network.n_params / 2**20, after - before, float(sum(np.abs(p["weight"]).sum() for p in trained.params)))
"""


def run() -> None:
    """Print the table."""
    print(f"\na step of sgd on {LAYERS} layers of {WIDTH} units, double precision")
    for update in ("whole", "layerwise"):
        done = subprocess.run([sys.executable, "-c", SOURCE, update], capture_output=True, text=True, check=True)
        weights, peak, total = map(float, done.stdout.split())
        print(f"  {update:10s} {peak:7.0f} MiB above the weights' own {weights:.0f} MiB   (Σ|W| {total:.6f})")


if __name__ == "__main__":
    run()
