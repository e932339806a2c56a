"""Hessian-free optimisation: a truncated Newton method that sees curvature through products only.

The algorithm (J. Martens, "Deep learning via Hessian-free optimization", ICML 2010). With the
parameters theta, the cost f and its gradient g over the whole set, an update

1. models f around theta by q(x) = g.x + x.Bx / 2, B = G + lambda I. G is the Gauss-Newton matrix
   J'HJ: J the derivative of a `section` s of the network, through which theta enters, for theta; H
   that of the cost, twice, for s, positive where the cost is convex in s. G is never made: a
   product G v is a forward and a backward pass (`gauss_newton_product`);
2. minimises q by conjugate gradients (`minimise_model`) over a few minibatches, the same throughout
   an update. CG starts where the last one ended, and stops when q gains too little an iteration;
3. looks back over the candidates that CG kept on the way, whose cost it measured, for one that
   lowers f rather than q: the first that is no worse than its successor, from the last backwards,
   or the best of all;
4. steps there, and makes lambda smaller where f fell as q foretold, larger where it did not
   (Levenberg and Marquardt).
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import pytensor

from ..ops.compile import compile_function

SPACING = 1.3  # the n-th candidate is kept after about SPACING ** n iterations
LEAST_GAIN = 0.0005  # of q, as a share of it, for each iteration looked back
BAD_RHO, GOOD_RHO, DAMPING = 0.25, 0.75, 1.5


class Update(NamedTuple):
    """What one update did. Vectors hold all parameters, flat, in the order of `params`."""

    costs: np.ndarray  # of every minibatch of the gradient set, before
    gradient: np.ndarray
    lambda_: float  # the damping it was made with
    next_lambda: float
    cg_start: np.ndarray
    cg_end: np.ndarray  # where the next one's CG starts
    cg_iterations: int
    cg_costs: list  # of the candidates, in the order they were kept
    backtracked_to: int  # the CG iteration of the candidate chosen
    step: np.ndarray
    before_cost: float  # over the CG set
    after_cost: float
    predicted: float  # change of the cost, by q without damping
    rho: float  # the change that came over the one predicted


def gauss_newton_product(cost, section, params, vectors):
    """Return the graph of G v = J'HJ v.

    Parameters
    ----------
    cost : scalar tensor
        A graph of `section`; convex in it if G is to be positive.
    section : tensor
        A graph of `params`, such as the inputs of the softmax.
    params : list of shared variables
    vectors : list of tensors, like `params`

    Returns
    -------
    list of tensors, like `params`

    Notes
    -----
    R{s} = Jv runs forward beside the network (Pearlmutter 1994), by the Ops' own pushforward. H is
    symmetric, so both it and J' are pullbacks.

    Examples
    --------
    >>> import pytensor.tensor as pt
    >>> w, v = pytensor.shared(np.array([1.0, 2.0]), shape=(2,)), pt.dvector()
    >>> s = 3.0 * w
    >>> (Gv,) = gauss_newton_product((s**2).sum(), s, [w], [v])
    >>> Gv.eval({v: np.array([1.0, -1.0])}, mode="FAST_COMPILE")
    array([ 18., -18.])
    """
    Jv = pytensor.gradient.pushforward(section, params, vectors, use_op_pushforward=True)
    HJv = pytensor.gradient.pullback(pytensor.grad(cost, section), section, Jv)
    return pytensor.gradient.pullback(section, params, HJv)


def hessian_free(
    inputs,
    cost,
    section,
    params,
    gradient_set,
    cg_set,
    loss=None,
    lambda_=0.1,
    max_cg_iterations=250,
    preconditioned=False,
    global_backtracking=False,
    cg_start=None,
):
    """Minimise a cost by Hessian-free updates: an iterator without end, take as many as are wanted.

    Parameters
    ----------
    inputs : list of tensors
        What the minibatches give, such as ``[network.x, network.y]``.
    cost : scalar tensor
        The mean over a minibatch, a graph of `inputs` and `params`.
    section : tensor
        Where the graph is cut for the Gauss-Newton matrix, see `gauss_newton_product`.
    params : list of shared variables, float32 or float64, of one dtype
        Changed by every update.
    gradient_set, cg_set : Batches, or others that iterate over minibatches and have `advance()`
        Each minibatch is a tuple of arrays, one for each input. The gradient comes from one pass
        over the first, curvature and candidates' costs from the second, of which a thousand rows
        or more are advisable; the latter is iterated again and again and must not change before
        `advance()`. Minibatches count alike, whatever their rows.
    loss : scalar tensor, optional
        The cost as a graph of `section`, where `cost` itself goes around it.
    lambda_ : float
        The first damping.
    max_cg_iterations : int
    preconditioned : bool
        Run CG under Martens' diagonal, (lambda + sum of the squared gradients of the CG set's
        minibatches) ** 0.75.
    global_backtracking : bool
        Choose the best candidate of all.
    cg_start : np.ndarray, optional
        Where the first CG starts, flat; 0 if not given.

    Returns
    -------
    iterator of Update
        One after each update, and compiled when this returns. A step is taken even if it raises the
        cost; at a minimum it is 0.

    Notes
    -----
    Follows theano-hf (N. Boulanger-Lewandowski), as Sigtia and Dixon (2014) used it, without
    structural damping. Theirs evaluates candidates by adding to theta and subtracting again, so
    theta picks up a rounding of each; so does this.

    Examples
    --------
    >>> import pytensor.tensor as pt
    >>> from deep_artists.nn.batches import Batches
    >>> w, x, y = pytensor.shared(np.zeros(2), shape=(2,)), pt.dmatrix(), pt.dvector()
    >>> s = pt.dot(x, w)
    >>> data, rng = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.random.RandomState(0)
    >>> batches = [Batches(data, data.sum(axis=1), 3, rng) for _ in range(2)]
    >>> updates = hessian_free([x, y], ((s - y) ** 2).mean(), s, [w], *batches, lambda_=1e-3)
    >>> [round(float(update.after_cost), 5) for update, _ in zip(updates, range(3))]
    [0.0, 0.0, 0.0]
    >>> w.get_value().round(2)
    array([1., 1.])
    """
    vectors = [p.type() for p in params]
    functions = Functions(
        compile_function(inputs, cost),
        compile_function(inputs, [cost, *pytensor.grad(cost, params)]),
        compile_function(
            [*inputs, *vectors],
            gauss_newton_product(cost if loss is None else loss, section, params, vectors),
        ),
        params,
    )
    x = functions.zeros() if cg_start is None else cg_start
    search = preconditioned, max_cg_iterations, global_backtracking
    return take_updates(functions, x, gradient_set, cg_set, lambda_, *search)


def take_updates(
    functions, x, gradient_set, cg_set, lambda_, preconditioned, max_cg_iterations, best_of_all
):
    """Yield an Update after each; see `hessian_free`, which compiles the functions."""
    while True:
        costs, gradient = functions.gradient(gradient_set)
        gradient_set.advance()
        M = functions.preconditioner(cg_set, lambda_) if preconditioned else 1.0
        start, product = x, partial(functions.damped_product, cg_set, lambda_)
        x, cg_iterations, candidates = minimise_model(
            product, -gradient, start, M, partial(functions.cost_at, cg_set), max_cg_iterations
        )
        after_cost, step, backtracked_to = backtrack(candidates, best_of_all)
        predicted = np.dot(step, gradient + 0.5 * functions.product(cg_set, step))
        before_cost = functions.mean_cost(cg_set)
        functions.move(step)
        rho = (after_cost - before_cost) / predicted if predicted else 1.0  # no step
        used = lambda_
        if rho < BAD_RHO:
            lambda_ *= DAMPING
        elif rho > GOOD_RHO:
            lambda_ /= DAMPING
        cg_set.advance()
        yield Update(
            costs,
            gradient,
            used,
            lambda_,
            start,
            x,
            cg_iterations,
            [cost for cost, _, _ in candidates],
            backtracked_to,
            step,
            before_cost,
            after_cost,
            predicted,
            rho,
        )


def minimise_model(product, b, x, M, measure, max_iterations):
    """Minimise x.Bx / 2 - b.x by conjugate gradients, preconditioned by a diagonal.

    Parameters
    ----------
    product : callable
        v -> B v.
    b, x : np.ndarray
        The right-hand side, and where to start.
    M : float or np.ndarray
        The inverse of the preconditioner's diagonal.
    measure : callable
        x -> its cost, asked for after iterations ever further apart.
    max_iterations : int

    Returns
    -------
    x : np.ndarray
    iterations : int
        Stops where, of the last k = max(10, iterations // 10), each lowered the value by less
        than 0.05 % on average (Martens' criterion), or x is the minimum exactly.
    candidates : list of (cost, x, iteration)
        Those that were measured; iterations count from 1.

    Examples
    --------
    >>> B = np.diag([1.0, 2.0, 3.0])
    >>> x, n, candidates = minimise_model(B.dot, np.ones(3), np.zeros(3), 1.0, np.sum, 3)
    >>> x.round(6), n, [i for _, _, i in candidates]
    (array([1.      , 0.5     , 0.333333]), 3, [1, 2, 3])
    """
    r = b - product(x)
    d = M * r
    rMr = np.dot(r, d)
    values, candidates = [], []
    if not rMr:  # x is the minimum
        return x, 0, [(measure(x), x, 0)]
    for i in range(1, max_iterations + 1):
        Bd = product(d)
        alpha = rMr / np.dot(d, Bd)
        x = x + alpha * d
        r = r - alpha * Bd
        s = M * r
        rMr, before = np.dot(r, s), rMr
        d = s + (rMr / before) * d
        if not rMr or i >= math.ceil(SPACING ** len(candidates)):
            candidates.append((measure(x), x, i))
        if not rMr:  # B x = b exactly: there is no direction left
            break
        values.append(-0.5 * np.dot(x, r + b))
        k = max(10, i // 10)
        if i > k and values[-1] < 0:
            if (values[-1] - values[-1 - k]) / values[-1] < k * LEAST_GAIN:
                break
    return x, i, candidates


def backtrack(candidates, best_of_all=False):
    """Return the candidate (cost, x, iteration) to step to: walking back from the last while the
    one before costs less; or the one that costs least.

    >>> backtrack([(2, "a", 1), (4, "b", 2), (3, "c", 4), (5, "d", 8)])
    (3, 'c', 4)
    >>> backtrack([(2, "a", 1), (4, "b", 2), (3, "c", 4), (5, "d", 8)], best_of_all=True)
    (2, 'a', 1)
    """
    if best_of_all:
        return min(candidates, key=lambda candidate: candidate[0])
    j = len(candidates) - 1
    while j > 0 and candidates[j - 1][0] < candidates[j][0]:
        j -= 1
    return candidates[j]


class Functions:
    """The compiled functions of a cost over sets of minibatches, on flat vectors of parameters."""

    def __init__(self, cost, cost_and_gradient, products, params):
        self.cost, self.cost_and_gradient, self.products = cost, cost_and_gradient, products
        self.params = params
        self.shapes = [p.get_value(borrow=True).shape for p in params]
        self.ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])

    def zeros(self):
        return np.zeros(self.ends[-1], self.params[0].dtype)

    def split(self, v):
        parts = np.split(v, self.ends[:-1])
        dtype = self.params[0].dtype
        return [
            part.reshape(shape).astype(dtype, copy=False) for part, shape in zip(parts, self.shapes)
        ]

    def gradient(self, batches):
        """Return the costs of the minibatches, and the mean of their gradients."""
        costs, total = [], 0
        for batch in batches:
            cost, *gradients = self.cost_and_gradient(*batch)
            costs.append(cost)
            total = total + flatten(gradients) / len(batches)
        return np.array(costs), total

    def preconditioner(self, batches, lambda_):
        """Return the inverse of Martens' diagonal."""
        squares = sum(flatten(self.cost_and_gradient(*batch)[1:]) ** 2 for batch in batches)
        return (lambda_ + squares) ** -0.75

    def damped_product(self, batches, lambda_, v):
        """Return (G + lambda) v."""
        return lambda_ * v + self.product(batches, v)

    def product(self, batches, v):
        """Return G v, the mean over the minibatches."""
        parts = self.split(v)
        return sum(flatten(self.products(*batch, *parts)) / len(batches) for batch in batches)

    def mean_cost(self, batches):
        return np.mean([self.cost(*batch) for batch in batches])

    def cost_at(self, batches, x):
        """Return the cost at theta + x."""
        self.move(x)
        cost = self.mean_cost(batches)
        self.move(-x)
        return cost

    def move(self, x):
        """Add x to the parameters."""
        for p, part in zip(self.params, self.split(x)):
            p.set_value(p.get_value(borrow=True) + part, borrow=True)


def flatten(arrays):
    return np.concatenate([np.asarray(a).ravel() for a in arrays])
