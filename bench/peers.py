"""The training step side by side: deep_artists, PyTorch, JAX, Theano 1.0.5 and Theano 0.6rc3.

    python bench/peers.py --recipe page --threads 1 2

Every peer is a process of its own environment (README.md says how to make them). All get the same
initial values and data. First the costs of ten steps must agree; then the peers take turns, a
round of steps each. While one works, the others are stopped, so that none disturbs it by waiting
actively. A round gives the median wall time of its steps and their mean processor time, of all
threads; a ratio compares the rounds of one turn. Printed are medians over the rounds, with
quartiles. Exit status: 1 if a peer failed or disagreed.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from machine import describe_setup
from peak import read_cpu
from worker import BLOCK

from deep_artists.artists.network import NAMES, Network
from deep_artists.artists.recipe import list_recipes, load_recipe

PEERS = {  # name: environment, script, variant
    "deep_artists": ("deep_artists", "peer_deep_artists.py", ""),
    "deep_artists-block": ("deep_artists", "peer_deep_artists.py", "block"),
    "torch": ("torch", "peer_torch.py", ""),
    "torch-compiled": ("torch", "peer_torch.py", "compiled"),
    "torch-graph": ("torch", "peer_torch.py", "graph"),
    "torch-compiled-graph": ("torch", "peer_torch.py", "compiled graph"),
    "torch-graph-block": ("torch", "peer_torch.py", "graph block"),
    "torch-compiled-graph-block": ("torch", "peer_torch.py", "compiled graph block"),
    "jax": ("jax", "peer_jax.py", ""),
    "jax-block": ("jax", "peer_jax.py", "block"),
    "theano-1.0.5": ("theano105", "peer_theano.py", ""),
    "theano-0.6": ("theano06", "peer_theano.py", ""),
}
VENV = "python3.11 -m venv bench/.peers/{0} && bench/.peers/{0}/bin/pip install "
SETUP = {  # environment: what makes it, run in the repository's root
    "torch": VENV.format("torch") + "torch==2.13.0 numpy",
    "jax": VENV.format("jax") + "jax==0.10.2 jaxlib==0.10.2",
    "theano105": VENV.replace("3.11", "3.8").format("theano105")
    + "'numpy<1.20' 'scipy<1.6' Theano==1.0.5",
    "theano06": "see reference/README.md, then: ln -s ~/theano06 bench/.peers/theano06",
}
N_OUT = 20
N_BATCHES = 8
# Largest relative difference of a cost from ours. Sums in another order and another exp give up to
# 6e-7 in float32 and 9e-16 in float64 (measured); half the gradient of conv_b gives 4e-6, half
# that of hidden_W 4e-5, an L2 coefficient 10 % off 1e-3. float64 is the strict check.
BOUNDS = {"float32": 3e-6, "float64": 1e-12}
ROUND_S = 0.3


class Worker:
    """The process of one peer at one number of threads."""

    def __init__(self, name, threads, python, folder, device):
        _, script, variant = PEERS[name]
        self.name, self.threads, self.rounds = name, threads, []
        self.least = BLOCK if "block" in variant else 3  # steps of a round
        pools = dict(
            OMP_NUM_THREADS=str(threads),
            OPENBLAS_NUM_THREADS="1",
            TORCHINDUCTOR_COMPILE_THREADS="1",
            XLA_PYTHON_CLIENT_PREALLOCATE="false",  # else the first JAX takes most of the GPU
        )
        self.process = subprocess.Popen(
            [
                *python,
                str(HERE / script),
                folder,
                json.dumps(dict(threads=threads, variant=variant, device=device)),
            ],
            env=os.environ | pools,
            cwd=folder,  # Theano leaves an a.out where it tries the compiler
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            stderr=open(Path(folder, f"{name}-{threads}.log"), "w"),
        )

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"exit status {self.process.returncode}")
        return json.loads(line)

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def run_round(self, steps):
        """Return the median seconds of a step, and the mean seconds of processor time."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self.read()
        self.stop()
        return float(np.median(answer["seconds"])), answer["cpu_s"] / steps


def make_workload(folder, recipe, floatX, patches=None):
    """Write settings and arrays for the workers.

    The patches have no silence and no constant parts: there PyTorch and JAX give other gradients
    than Theano, whose ties deep_artists keeps. patches: a file of some to take instead.
    """
    rng = np.random.RandomState(0)
    n = N_BATCHES * recipe.batch_size
    y = rng.randint(N_OUT, size=n)
    x = rng.uniform(size=(n, 64, 40)) * rng.uniform(size=(N_OUT, 64, 1))[y]
    if patches:
        found = np.load(patches, mmap_mode="r")
        found = found[np.sort(rng.permutation(len(found))[: 2 * n])]
        x = found[found.min(axis=1) > 0][:n]
    values = Network(recipe, recipe.batch_size, floatX).values()
    np.savez(Path(folder, "arrays.npz"), x=x.reshape(n, -1).astype(floatX), y=y, **values)
    settings = dict(
        recipe=recipe.to_dict(), floatX=floatX, names=NAMES, filter_shape=values["conv_W"].shape
    )
    Path(folder, "settings.json").write_text(json.dumps(settings))


def start_workers(arguments, folder, started):
    """Start one worker after the other; return those that agree with the first, and the rest."""
    workers, left_out, reference = [], {}, None
    for name in arguments.peers:
        environment = PEERS[name][0]
        python = arguments.python.get(environment)
        for threads in arguments.threads:
            label = f"{name}, {threads} threads"
            if not python:
                left_out[label] = f"absent; to set it up: {SETUP[environment]}"
                continue
            print(f"starting {label}", file=sys.stderr)
            worker = Worker(name, threads, python, folder, arguments.device)
            started.append(worker)
            try:
                answer = worker.read()
            except (RuntimeError, ValueError) as error:
                log = Path(folder, f"{name}-{threads}.log").read_text().strip().splitlines()
                left_out[label] = f"failed ({error}): {log[-1] if log else 'no message'}"
                continue
            costs = np.array(answer["costs"])
            reference = costs if reference is None else reference
            worker.version = answer["version"]
            worker.difference = float(np.max(np.abs(costs - reference) / np.abs(reference)))
            worker.stop()
            if worker.difference <= BOUNDS[arguments.floatX]:
                workers.append(worker)
            else:
                left_out[label] = f"disagrees: costs {costs.tolist()}, ours {reference.tolist()}"
    return workers, left_out


def take_turns(workers, rounds):
    """Fill in every worker's rounds; the order turns by one each round."""
    steps = {w: count_steps(w) for w in workers}
    for i in range(rounds):
        for worker in workers[i % len(workers) :] + workers[: i % len(workers)]:
            worker.rounds.append(worker.run_round(steps[worker]))


def count_steps(worker):
    """Return the steps of a worker's rounds: what fits into ROUND_S, in whole blocks."""
    fitting = ROUND_S / worker.run_round(worker.least)[0] / worker.least
    return worker.least * int(np.clip(fitting, 1, 30))


def quartiles(values):
    low, middle, high = np.percentile(values, [25, 50, 75])
    digits = 1 if middle >= 10 else 2
    return f"{middle:.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def make_table(workers):
    """Return the Markdown table; a ratio is to deep_artists with as many threads."""
    ours = {w.threads: np.array(w.rounds) for w in workers if w.name == "deep_artists"}
    columns = (
        "peer",
        "version",
        "threads",
        "ms per step",
        "times deep_artists",
        "processor ms per step",
        "times deep_artists",
        "cost differs by",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for w in workers:
        cells, rounds = [w.name, w.version, str(w.threads)], np.array(w.rounds)
        for column in (0, 1):  # wall, processor
            cells.append(quartiles(rounds[:, column] * 1e3))
            cells.append(
                quartiles(rounds[:, column] / ours[w.threads][:, column])
                if w.threads in ours
                else ""
            )
        lines.append(f"| {' | '.join(cells)} | {w.difference:.0e} |")
    return "\n".join(lines)


def list_peers(device):
    """Return the names of the peers of a device; only CUDA has graphs."""
    left_out = {"cpu": ("graph", "block"), "cuda": ("theano",)}.get(device, ("theano", "graph"))
    return [name for name in PEERS if not any(word in name for word in left_out)]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="page", choices=list_recipes())
    parser.add_argument("--batch", type=int, help="default: the recipe's own")
    parser.add_argument("--floatX", default="float32", choices=list(BOUNDS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--device", default="cpu", help="cuda: all on the GPU; one thread each")
    parser.add_argument(
        "--peers", nargs="+", choices=list(PEERS), help="default: all of the device"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="ENVIRONMENT=COMMAND",
        help="interpreter of theano06, theano105, torch or jax, where it is not "
        "bench/.peers/ENVIRONMENT/bin/python",
    )
    parser.add_argument("--patches", help="train_x.npy of a set: its patches instead of noise")
    parser.add_argument("--out", help="default: bench/results/peers-....json")
    arguments = parser.parse_args()
    if arguments.device != "cpu":
        arguments.threads = [1]
    arguments.peers = arguments.peers or list_peers(arguments.device)
    found = {"deep_artists": [sys.executable]}
    for environment, _, _ in PEERS.values():
        python = HERE / ".peers" / environment / "bin" / "python"
        if python.exists():
            found.setdefault(environment, [str(python)])
    given = (item.partition("=") for item in arguments.python)
    arguments.python = found | {name: shlex.split(command) for name, _, command in given}
    return arguments


def main():
    arguments = parse_arguments()
    recipe = load_recipe(arguments.recipe, n_out=N_OUT, shuffle=False)
    if arguments.batch:
        recipe = recipe.replace(batch_size=arguments.batch)
    started = []
    # As Ctrl-C does: workers that are stopped would stay.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        make_workload(folder, recipe, arguments.floatX, arguments.patches)
        try:
            workers, left_out = start_workers(arguments, folder, started)
            take_turns(workers, arguments.rounds)
        finally:
            for worker in started:
                worker.process.kill()
                worker.process.wait()
    title = (
        f"recipe {recipe.name}, batch {recipe.batch_size}, {arguments.floatX}, device "
        f"{arguments.device}, "
        f"{arguments.rounds} rounds, {read_cpu()[0]}, {os.cpu_count()} cores"
    )
    print(title, make_table(workers), sep="\n\n")
    for label, reason in left_out.items():
        print(f"{label}: {reason}")
    out = Path(
        arguments.out
        or HERE
        / "results"
        / "-".join(
            ["peers", recipe.name, arguments.floatX, arguments.device, f"{recipe.batch_size}.json"]
        )
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    results = [
        dict(
            peer=w.name,
            version=w.version,
            threads=w.threads,
            rounds=w.rounds,
            cost_difference=w.difference,
        )
        for w in workers
    ]
    out.write_text(
        json.dumps(dict(title=title, machine=describe_setup(), results=results, left_out=left_out))
        + "\n"
    )
    return int(any(not reason.startswith("absent;") for reason in left_out.values()))


if __name__ == "__main__":
    sys.exit(main())
