"""What the process of every peer does. Runs under Python 2.7 and Python 3.

A peer's script calls ``serve(build)``. ``build(settings, x, y)`` returns three things, or four:
``train_model(index)`` makes one update from minibatch `index` and returns its cost as a number;
``set_values(values)`` sets the parameters from arrays by the names of `artists.recipe`; the
version is a text; ``take_steps(n)`` makes n updates, a multiple of BLOCK, in calls of BLOCK updates
between which nothing goes to Python, and is timed where there is one.

The answers, a JSON text a line, go to stdout; first the versions and the costs of ten steps, then
for every number k that comes by stdin the seconds of each of k steps, and of processor time (of
all threads) for the k together.
"""

import json
import os
import resource
import sys
from timeit import default_timer

import numpy as np

N_COSTS = 10
BLOCK = 64


def serve(build):
    """Build the step for the workload in the folder that the command line names, then answer."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print must not mix with the answers

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    with open(os.path.join(sys.argv[1], "settings.json")) as file:
        settings = json.load(file)
    settings.update(json.loads(sys.argv[2]))  # threads, variant
    with np.load(os.path.join(sys.argv[1], "arrays.npz")) as file:
        values = dict((name, file[name]) for name in file.files)
    x, y = values.pop("x"), values.pop("y")
    n_batches = len(x) // settings["recipe"]["batch_size"]
    built = build(settings, x, y)
    train_model, set_values, version = built[:3]
    take_steps = built[3] if len(built) > 3 else None

    set_values(values)
    costs = [float(train_model(i % n_batches)) for i in range(N_COSTS)]
    answer(version=version, costs=costs)
    for line in iter(sys.stdin.readline, ""):
        set_values(values)  # every round does the same work
        steps = int(line)
        take_steps(steps) if take_steps else train_model(0)  # wakes threads, fills caches
        seconds, cpu_start = [], read_cpu_s()
        if take_steps:
            start = default_timer()
            take_steps(steps)
            seconds.append((default_timer() - start) / steps)
        else:
            for i in range(steps):
                start = default_timer()
                train_model((i + 1) % n_batches)
                seconds.append(default_timer() - start)
        answer(seconds=seconds, cpu_s=read_cpu_s() - cpu_start)


def read_cpu_s():
    """Return the processor time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
