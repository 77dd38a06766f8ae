"""Peak memory of a step on a deep, wide network: all gradients at once, and one layer's at a time.

First the gradients alone, each layer's weights changed in place: by one reverse sweep over the whole chain, and by
``rp.autodiff.backpropagate``. Then a whole training, which beside the gradients holds the last good weights.

glibc is told to give every large array back as soon as it is let go: what it would keep for later is no array that is
held, and would be counted.
"""

from __future__ import annotations

import os
import subprocess
import sys

LAYERS, WIDTH, ROWS = 40, 1_024, 32

ENVIRONMENT = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20)}

BEGIN = f"""
import resource, sys
import jax, jax.numpy as jnp
import numpy as np
import raphson as rp
from raphson.autodiff import backpropagate
from raphson.model.families import Gaussian
from raphson.model.network.layers import Network
from raphson.newton.training.first_order import Descent, Sample, beginning, train
rng = np.random.default_rng(0)
X, y = rng.normal(size=({ROWS}, {WIDTH})), rng.normal(size={ROWS})
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""

STEP = f"""
def dense(W, x):
    return jnp.tanh(x @ W)
def loss(x):
    return jnp.square(x).mean()
def chain(weights):
    x = X
    for W in weights:
        x = dense(W, x)
    return loss(x)
weights = [rng.normal(size=({WIDTH}, {WIDTH})) / {WIDTH}**0.5 for _ in range({LAYERS})]
size = sum(W.nbytes for W in weights) / 2**20
with jax.enable_x64(True):  # what stays of JAX itself is no part of the step
    jax.block_until_ready(jax.grad(lambda W: loss(dense(W, X)))(weights[0]))
before = peak()
if sys.argv[1] == "whole":
    with jax.enable_x64(True):
        for W, gradient in zip(weights, jax.jit(jax.grad(chain))(weights), strict=True):
            W -= 0.1 * np.asarray(gradient)
else:
    for (W, _), gradient in backpropagate([(W, dense) for W in weights], X, loss):
        W -= 0.1 * gradient
print(size, peak() - before, float(sum(np.abs(W).sum() for W in weights)))
"""

TRAINING = f"""
network = Network.of({WIDTH}, 1, ({WIDTH},) * {LAYERS}, activation="tanh")
descent = Descent("sgd", 1, {ROWS}, learning_rate=1e-3, update=sys.argv[1])
begin = beginning(network.initial(rng), network.state(np.zeros(1), np.ones(1)), descent)
before = peak()
trained = train(network, Gaussian(), begin, Sample((X,), y, None, None, float), descent)
total = float(sum(np.abs(p["weight"]).sum() for p in trained.params))
print(8 * network.n_params / 2**20, peak() - before, total)
"""


def run() -> None:
    """Print the table."""
    print(
        f"\n{LAYERS} layers of {WIDTH} units, batches of {ROWS}, double precision: peak memory above the weights' own"
    )
    for what, source in {"gradients of a step": STEP, "training by sgd": TRAINING}.items():
        for update in ("whole", "layerwise"):
            command = [sys.executable, "-c", BEGIN + source, update]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
            weights, peak, total = map(float, done.stdout.split())
            print(f"  {what:20s} {update:10s} {peak:7.0f} MiB, the weights {weights:.0f} MiB   (Σ|W| {total:.6f})")


if __name__ == "__main__":
    run()
