"""The training loop of the 2013 program: minibatches, patience, validation, its printed lines.

An iteration is one minibatch and one update. Iterations are counted from 0 inside the loop; a
result's `validation` and `best_iteration` count updates made, as the printed lines do.
"""

import time
import warnings
from dataclasses import dataclass, field

import numpy as np

PATIENCE_INCREASE = 2
IMPROVEMENT_THRESHOLD = 0.995
LINE_EVERY = 100  # iterations between two lines "training @ iter"


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
    model : artists.model.Model
        Set by `artists.train.train`.
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
    model: object = None
    patience: int = 0
    interrupted: bool = False
    seconds: float = 0.0
    compile_seconds: float = 0.0

    @property
    def diverged_at(self) -> int | None:
        """The first iteration, from 0, whose cost is not finite; None where all are."""
        wrong = np.flatnonzero(~np.isfinite(self.costs))
        return int(wrong[0]) if len(wrong) else None


def run_epochs(plan, steps, result, say, save=None):
    """Run the 2013 loop from where the result stands, filling it in.

    Parameters
    ----------
    plan : object with n_epochs, patience and validation_frequency
        A `Recipe`, or what has the same fields.
    steps : steps.Steps
    result : Result
    say : callable
        Called with every line.
    save : callable, optional
        Called with the result after every validation.
    """
    n_train_batches = steps.n_batches[0]
    validation_frequency = plan.validation_frequency or max(
        1, min(n_train_batches, plan.patience // 2)
    )
    result.patience = max(result.patience, plan.patience)
    start = time.perf_counter() - result.seconds
    first = iteration = len(result.costs)
    try:
        while iteration < plan.n_epochs * n_train_batches:
            if iteration and result.patience <= iteration - 1:
                break
            epoch, minibatch_index = iteration // n_train_batches + 1, iteration % n_train_batches
            if minibatch_index == 0 or iteration == first:
                steps.start_epoch(epoch)
            if iteration % LINE_EVERY == 0:
                say(f"training @ iter =  {iteration}")
            n = next_event(iteration, validation_frequency, n_train_batches, result.patience)
            for cost in steps.train(range(minibatch_index, minibatch_index + n)):
                result.costs.append(cost)
                warn_if_diverged(result.costs)
            iteration += n
            if iteration % validation_frequency == 0:
                where = f"epoch {epoch}, minibatch {minibatch_index + n}/{n_train_batches}"
                validate(steps, result, iteration, where, say)
                result.seconds = time.perf_counter() - start
                if save is not None:
                    save(result)
    except KeyboardInterrupt:
        result.interrupted = True
        say("manually stopped")
    result.seconds = time.perf_counter() - start
    result.costs = np.array(result.costs, steps.network.x.dtype)
    say("Optimization complete.")
    say(
        f"Best validation score of {result.best_validation_error * 100.0:f} % obtained at "
        f"iteration {result.best_iteration},with test performance {result.test_error * 100.0:f} %"
    )


def next_event(iteration, validation_frequency, n_train_batches, patience):
    """Return the iterations to the next printed line, validation, end of an epoch or of patience.

    >>> next_event(150, validation_frequency=200, n_train_batches=180, patience=1000)
    30
    """
    events = (LINE_EVERY, validation_frequency, n_train_batches)
    return min(patience + 1 - iteration, *(k - iteration % k for k in events))


def validate(steps, result, iteration, where, say):
    """Validate after so many updates; where it is the best yet, test, keep it, extend patience."""
    loss = steps.validate()
    result.validation.append((iteration, loss))
    say(f"{where}, validation error {loss * 100.0:f} %")
    if loss < result.best_validation_error:
        if loss < result.best_validation_error * IMPROVEMENT_THRESHOLD:
            # 2013: the last iteration's number, counted from 0.
            result.patience = max(result.patience, (iteration - 1) * PATIENCE_INCREASE)
        result.best_validation_error = loss
        result.best_iteration = iteration
        steps.best = steps.network.values()
        result.test_error = steps.test()
        say(f"     {where}, test error of best model {result.test_error * 100.0:f} %")


def warn_if_diverged(costs):
    """Warn when the last cost is the first that is not finite."""
    if not np.isfinite(costs[-1]) and (len(costs) == 1 or np.isfinite(costs[-2])):
        warnings.warn(
            f"the cost is {costs[-1]} at iteration {len(costs) - 1}: training diverges; try a "
            "lower learning_rate",
            RuntimeWarning,
            stacklevel=4,
        )
