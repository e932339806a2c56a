"""A training step of the genre network beside PyTorch's, in turns: medians.

    pip install torch
    OMP_NUM_THREADS=1 python bench/genre_torch.py [--json FILE]

513-500-500-500-10, float32, minibatches of neighbouring rows out of one array, plain SGD, the cost
returned as a number. Times are processor time, so one thread is to be compared.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from deep_artists.nn.batches import Batches
from deep_artists.systems.genre import Network
from deep_artists.systems.genre_train import Steps

SIZES = (513, 500, 500, 500, 10)
RATE = 0.001
RATES = (0.0, 0.5, 0.5)


def make_ours(activation, dropout, batches):
    network = Network(
        activation=activation,
        n_hidden=SIZES[1:4],
        floatX="float32",
        dropout_rates=RATES if dropout else None,
    )
    steps, draw = Steps(network, RATE), network.draw_masks().draw
    minibatches = cycle(lambda: steps.cast(batches))
    return lambda: steps.train(*(batch := next(minibatches)), *draw(len(batch[0])))


def make_theirs(activation, dropout, batches):
    function = {"sigmoid": torch.nn.Sigmoid, "relu": torch.nn.ReLU}[activation]
    layers = []
    for i, (n, m) in enumerate(zip(SIZES, SIZES[1:])):
        layers += [torch.nn.Dropout(RATES[i])] if dropout and i < 3 and RATES[i] else []
        layers += [torch.nn.Linear(n, m), function()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(network.parameters(), RATE)
    minibatches = cycle(lambda: batches)

    def step():
        x, y = (torch.from_numpy(a) for a in next(minibatches))
        optimizer.zero_grad()
        cost = torch.nn.functional.binary_cross_entropy_with_logits(network(x), y, reduction="sum")
        cost = cost / len(x)
        cost.backward()
        optimizer.step()
        return cost.item()

    return step


def cycle(make):
    while True:
        yield from make()


def measure(steps, seconds=6.0):
    """Return the median time of each step, in ms; they take turns of a few steps."""
    times = [[] for _ in steps]
    for step in steps:
        for _ in range(5):
            step()
    end = time.process_time() + seconds
    while time.process_time() < end:
        for step, taken in zip(steps, times):
            for _ in range(5):
                start = time.process_time()
                step()
                taken.append(time.process_time() - start)
    return [1000 * np.median(taken) for taken in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    from machine import describe_setup
    from tables import format_genre

    rng = np.random.RandomState(0)
    x = rng.uniform(size=(12000, SIZES[0])).astype(np.float32)
    y = np.eye(10, dtype=np.float32)[rng.randint(10, size=len(x))]
    found = {"ms": {}, "torch": torch.__version__, "machine": describe_setup()}
    for activation, dropout in (("sigmoid", False), ("relu", False), ("relu", True)):
        for batch_size in (20, 1200):
            batches = Batches(x, y, batch_size, rng)
            steps = [make(activation, dropout, batches) for make in (make_ours, make_theirs)]
            name = f"{activation}{' + dropout' if dropout else ''}, {batch_size}"
            found["ms"][name] = measure(steps)
    print(format_genre(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
