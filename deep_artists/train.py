"""The training loop of the 2013 program: minibatches, patience, validation, its printed lines.

An iteration is one minibatch and one update. Iterations are counted from 0 inside the loop; a
result's `validation` and `best_iteration` count updates made, as the printed lines do.
"""

import time
import warnings
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .device import check_device
from .machine import get_versions
from .model import Model
from .recipe import IMAGE_SHAPE, load_recipe
from .stream import check_values, open_streams

PATIENCE_INCREASE = 2
IMPROVEMENT_THRESHOLD = 0.995


@dataclass
class Result:
    """What a training run gives.

    Attributes
    ----------
    costs : np.ndarray [shape=(iterations,)], floatX
        The cost of every minibatch, before its update.
    validation : list of (int, float)
        Updates made and validation error, a share between 0 and 1.
    test_error : float
        Test error of the best model, between 0 and 1; 0 where no validation was reached, as the
        program prints.
    best_validation_error : float
        inf where no validation was reached.
    best_iteration : int
    log : list of str
        The lines that the 2013 program prints.
    model : Model
    patience : int
        Iterations to look at in any case, as it stood at the end.
    interrupted : bool
        Whether Ctrl-C ended the run.
    seconds, compile_seconds : float
        Of training, that of the runs it resumed included; of compilation.
    """

    costs: np.ndarray = field(default_factory=list)
    validation: list = field(default_factory=list)
    test_error: float = 0.0
    best_validation_error: float = np.inf
    best_iteration: int = 1
    log: list = field(default_factory=list)
    model: Model = None
    patience: int = 0
    interrupted: bool = False
    seconds: float = 0.0
    compile_seconds: float = 0.0


def train(
    datasets, recipe="page", floatX="float32", n_epochs=None, echo=None, checkpoint=None,
    device="cpu", memory_mb=None, **overrides
):
    """Train the network of a recipe.

    Parameters
    ----------
    datasets : Dataset, or three (x, y) pairs
        Train, valid and test: x float (n, 2560), y int (n,) with labels from 0. An opened set
        is read where it lies.
    recipe : str, path or Recipe
        See `recipe.load_recipe`.
    floatX : {'float32', 'float64'}
    n_epochs : int, optional
        Largest number of epochs, instead of the recipe's.
    echo : callable, optional
        Called with every line of the log as it comes; a resumed run repeats its earlier ones.
    checkpoint : str or path, optional
        Folder that the state of the run is kept in, written after every validation. A run that
        finds there the state of the same run goes on from it, to the same bits; that of another
        device too, to bits of its own.
    device : {'cpu', 'cuda'}
        See `device.check_device`. On another device than the cpu, the iterations up to the next
        event of the loop are one call, unless the set is read in blocks.
    memory_mb : float, optional
        Megabytes (10 ** 6 bytes) that the patches may take in memory. A set that takes more is read
        in blocks, and if the recipe shuffles, in another order: see `stream`.
    **overrides
        Values for other fields of the recipe, as ``learning_rate=0.05``.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If the recipe or an override is wrong, or the sets are: their widths, lengths, labels
        beyond the outputs, fewer patches than a minibatch, values that are not finite; or if
        `memory_mb` is too little for the batch size.
    RuntimeError
        If no C++ compiler is found, or something that the device needs.

    Warns
    -----
    RuntimeWarning
        Once, when a cost is not finite: the run has diverged. It goes on, as in 2013. And where the
        set is larger than the machine's memory and `memory_mb` is not given.

    Notes
    -----
    Ctrl-C ends the loop, not the function: the result holds what was reached.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.RandomState(0)
    >>> sets = [(rng.uniform(size=(20, 2560)), np.arange(20) % 2) for _ in range(3)]
    >>> result = train(sets, "second", n_epochs=2, batch_size=10, n_out=2)
    >>> len(result.costs), result.log[-2]
    (4, 'Optimization complete.')
    """
    if n_epochs is not None:
        overrides["n_epochs"] = n_epochs
    recipe = load_recipe(recipe, **overrides)
    if floatX not in ("float32", "float64"):
        raise ValueError(f"floatX = {floatX!r}; it is 'float32' or 'float64'")
    check_device(device)
    result = Result()

    def say(line):
        result.log.append(line)
        if echo is not None:
            echo(line)

    say("... loading data")
    splits = [check_split(name, split, recipe.batch_size)
              for name, split in zip(("train", "valid", "test"), as_three(datasets))]
    label_names = list(getattr(datasets, "label_names", None) or [])
    recipe = recipe.replace(n_out=count_outputs(recipe, splits, label_names))

    streams = open_streams(splits, recipe, floatX, memory_mb)
    hashes = check_values(splits, floatX, checkpoint is not None, getattr(datasets, "sha256", {}))

    checkpoints = None
    if checkpoint is not None:
        from .checkpoint import Checkpoints

        # Only a streamed order depends on the memory.
        memory = memory_mb if streams and recipe.shuffle else None
        checkpoints = Checkpoints(checkpoint, recipe, floatX, splits, hashes, memory)

    say("... building the model")
    start = time.perf_counter()
    functions = Functions(recipe, floatX, splits, streams, device)
    result.compile_seconds = time.perf_counter() - start

    say("... training")
    save = None
    if checkpoints is not None:
        if checkpoints.restore(result, functions) and echo is not None:
            for line in result.log[3:]:
                echo(line)
        save = partial(checkpoints.save, functions)
    run_epochs(recipe, functions, result, say, save)
    last = functions.network.values()
    result.model = Model(
        last=last,
        best=functions.best or last,
        recipe=recipe,
        label_names=label_names or [str(i) for i in range(recipe.n_out)],
        about={"versions": get_versions(), "device": device},
    )
    return result


def run_epochs(recipe, functions, result, say, save=None):
    """Run the 2013 loop from where the result stands, filling it in.

    save(result) is called after every validation.
    """
    n_train_batches = functions.n_batches[0]
    validation_frequency = recipe.validation_frequency or max(
        1, min(n_train_batches, recipe.patience // 2)
    )
    result.patience = max(result.patience, recipe.patience)
    costs, first = result.costs, len(result.costs)
    start = time.perf_counter() - result.seconds
    try:
        iteration = first
        while iteration < recipe.n_epochs * n_train_batches:
            if iteration and result.patience <= iteration - 1:
                break
            epoch, minibatch_index = iteration // n_train_batches + 1, iteration % n_train_batches
            if minibatch_index == 0 or iteration == first:
                functions.start_epoch(epoch)
            if iteration % 100 == 0:
                say(f"training @ iter =  {iteration}")
            # To the next event: a printed line, a validation, the end of the epoch or of patience.
            events = (100, validation_frequency, n_train_batches)
            n = min(result.patience + 1 - iteration, *(k - iteration % k for k in events))
            for cost in functions.run(
                functions.train_model, range(minibatch_index, minibatch_index + n)
            ):
                costs.append(cost)
                if not np.isfinite(cost) and (len(costs) == 1 or np.isfinite(costs[-2])):
                    warnings.warn(
                        f"the cost is {cost} at iteration {len(costs) - 1}: training diverges; "
                        "try a lower learning_rate",
                        RuntimeWarning,
                        stacklevel=3,
                    )
            iteration += n
            if iteration % validation_frequency == 0:
                where = f"epoch {epoch}, minibatch {minibatch_index + n}/{n_train_batches}"
                loss = functions.validate()
                result.validation.append((iteration, loss))
                say(f"{where}, validation error {loss * 100.0:f} %")
                if loss < result.best_validation_error:
                    if loss < result.best_validation_error * IMPROVEMENT_THRESHOLD:
                        # 2013: the last iteration's number, counted from 0.
                        result.patience = max(
                            result.patience, (iteration - 1) * PATIENCE_INCREASE
                        )
                    result.best_validation_error = loss
                    result.best_iteration = iteration
                    functions.best = functions.network.values()
                    result.test_error = functions.test()
                    say(f"     {where}, test error of best model {result.test_error * 100.0:f} %")
                result.seconds = time.perf_counter() - start
                if save is not None:
                    save(result)
    except KeyboardInterrupt:
        result.interrupted = True
        say("manually stopped")
    result.seconds = time.perf_counter() - start
    result.costs = np.array(costs, functions.network.x.dtype)
    say("Optimization complete.")
    say(
        f"Best validation score of {result.best_validation_error * 100.0:f} % obtained at "
        f"iteration {result.best_iteration},with test performance {result.test_error * 100.0:f} %"
    )


class Functions:
    """The compiled functions of a run, over data held in shared variables: all of it, or a block.

    Attributes
    ----------
    network : Network
    n_batches : list of int
        Whole minibatches in train, valid and test; the tail is left out.
    train_model : callable
        Minibatch index -> its cost, before the update it makes.
    run : callable
        run(train_model, range of indices) gives a cost for each: on the cpu as they are asked
        for, on another device all in one call.
    best : dict or None
        The parameters of lowest validation error, kept by the loop.
    """

    def __init__(self, recipe, floatX, splits, streams=None, device="cpu"):
        import pytensor
        import pytensor.tensor as pt

        from .network import Network
        from .ops.fusion import compile_function

        self.recipe, self.run, self.best = recipe, map, None
        if device != "cpu":
            from .ops.jax import call, run

            self.run = run if streams is None else map
        batch_size = recipe.batch_size
        self.n_batches = [len(x) // batch_size for x, _ in splits]
        self.network = network = Network(recipe, batch_size, floatX)
        index = pt.lscalar("index")
        self.streams = streams or [None] * 3
        self.order = None
        if recipe.shuffle and streams is None:
            self.order = pytensor.shared(np.arange(len(splits[0][0])), name="order")

        def give(split, stream, order):
            if stream is not None:
                shared_x, shared_y, order = stream.x, stream.y, stream.order
            else:
                x, y = split[:2]
                # The memory of float32 x is used as it is, of a memory-mapped file too.
                shared_x = pytensor.shared(np.asarray(x, dtype=floatX), borrow=True, name="x")
                # 2013: y is stored as floatX and cast to int32 in the graph.
                shared_y = pytensor.shared(np.asarray(y, dtype=floatX), borrow=True, name="y")
            rows = slice(index * batch_size, (index + 1) * batch_size)
            if device != "cpu":  # XLA needs a length that is known; on the cpu a slice is a view
                rows = index * batch_size + pt.arange(batch_size)
            rows = rows if order is None else order[rows]
            x, y = pt.cast(shared_x[rows], floatX), pt.cast(shared_y[rows], "int32")
            return {
                network.x: pt.specify_shape(x, network.x.type.shape),
                network.y: pt.specify_shape(y, (batch_size,)),
            }

        givens = [give(*given) for given in zip(splits, self.streams, (self.order, None, None))]
        outputs = network.cost, network.errors, network.errors
        functions = [
            compile_function([index], output, givens=given, updates=updates, device=device)
            for output, given, updates in zip(outputs, givens, (network.updates(), [], []))
        ]
        if streams is not None:
            functions = [function if device == "cpu" else partial(call, function)
                         for function in functions]
            functions = [stream.feed(function) for stream, function in zip(streams, functions)]
        self.train_model, self.validate_model, self.test_model = functions

    def start_epoch(self, epoch):
        """Draw the order of an epoch: of it and the seed alone."""
        if self.streams[0] is not None:
            self.streams[0].start_epoch(epoch)
        elif self.order is not None:
            rng = np.random.RandomState([self.recipe.seed, epoch])
            self.order.set_value(rng.permutation(len(self.order.get_value(borrow=True))))

    def validate(self):
        """Return the mean error of the whole validation minibatches."""
        return float(np.mean(list(self.run(self.validate_model, range(self.n_batches[1])))))

    def test(self):
        """Return the mean error of the whole test minibatches."""
        return float(np.mean(list(self.run(self.test_model, range(self.n_batches[2])))))


def as_three(datasets):
    """Return the three splits of a set."""
    try:
        splits = list(datasets)
    except TypeError:
        splits = []
    if len(splits) != 3:
        raise ValueError("datasets: train, valid and test are needed, each (x, y)")
    return splits


def check_split(name, split, batch_size):
    """Return (x, y) of a split as arrays that can be trained on."""
    try:
        x, y = (np.asarray(a) for a in split[:2])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: a pair of arrays (x, y) is needed") from error
    width = int(np.prod(IMAGE_SHAPE))
    if x.ndim != 2 or x.shape[1] != width or x.dtype.kind not in "fiu":
        raise ValueError(f"{name}: x is {x.dtype} {x.shape}; float (n, {width}) is needed")
    numbers = y.dtype.kind in "fiu" and np.isfinite(y).all()
    if y.shape != (len(x),) or not numbers or (y < 0).any() or (y != np.floor(y)).any():
        raise ValueError(f"{name}: y is {y.dtype} {y.shape}; {len(x)} labels from 0 are needed")
    if len(x) < batch_size:
        raise ValueError(
            f"{name}: {len(x)} patches do not fill one minibatch of {batch_size}; take a smaller "
            "batch_size or more tracks"
        )
    return x, y


def count_outputs(recipe, splits, label_names):
    """Return the number of softmax outputs, after checking that every label has one."""
    n_labels = max(len(label_names), int(max(y.max() for _, y in splits)) + 1)
    if recipe.n_out and n_labels > recipe.n_out:
        raise ValueError(
            f"{n_labels} labels, but recipe {recipe.name} has n_out = {recipe.n_out}; give "
            f"n_out={n_labels}, or 0 for one per label"
        )
    if n_labels > max(len(label_names), sum(len(y) for _, y in splits)):
        raise ValueError(f"label {n_labels - 1} of so few patches; number the labels 0, 1, 2, ...")
    if n_labels < 2:
        raise ValueError("there is one label only; artists can be told apart if there are two")
    return recipe.n_out or n_labels
