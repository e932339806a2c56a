"""The rewrites beneath the graph: faster and more stable Ops in the place of plain ones.

The layers build the graph of the tutorial. Before PyTensor rewrites it in its own ways, these
rewrites replace parts of it with Ops that have the same values but are faster or more stable:

- max_pool_2d(conv2d(x, W)) and its gradient for W: one pass, see `conv_pool`;
- -log(softmax(x))[arange, y] and its gradient: from x, finite where softmax underflows;
- dot of matrices: in a fixed order, see `dot`;
- W - rate (dot + decay W): in one Op, in W's own memory (on the cpu);
- the sum of every map: on several threads (on the cpu).
"""

from pytensor.graph.basic import Variable
from pytensor.graph.rewriting.basic import node_rewriter, walking_rewriter
from pytensor.scalar.basic import Add, Log, Mul, Sub, TrueDiv
from pytensor.tensor.basic import ARange, get_underlying_scalar_constant_value
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Dot, Sum
from pytensor.tensor.shape import SpecifyShape
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor

from .conv2d import Conv2D, Conv2DGradFilters
from .conv_pool import ConvPool, ConvPoolGradFilters, SumMaps
from .dot import DescendDot, FixedDot
from .library import C_TYPES
from .max_pool import MaxPool, MaxPoolGrad
from .softmax import NegativeLogLikelihood, NegativeLogLikelihoodGrad, Softmax, SoftmaxGrad


def made_by(variable, op_type, scalar_op=None):
    """Return whether an Op of that type (Elemwise: of that scalar type) made the variable."""
    op = variable.owner and variable.owner.op
    return isinstance(op, op_type) and (scalar_op is None or isinstance(op.scalar_op, scalar_op))


@node_rewriter([Conv2DGradFilters])
def fuse_gradient(fgraph, node):
    """dW of conv2d under max_pool_2d: from the winners."""
    x, dz = node.inputs
    if not made_by(dz, MaxPoolGrad):
        return None
    z, p, dp = dz.owner.inputs
    if not made_by(z, Conv2D) or z.owner.inputs[0] is not x:
        return None
    ds, W = dz.owner.op.ds, z.owner.inputs[1]
    if not made_by(p, MaxPool) or p.owner.inputs[0] is not z or p.owner.op.ds != ds:
        return None
    return [ConvPoolGradFilters(ds)(x, ConvPool(ds)(x, W)[1], dp, W)]


@node_rewriter([MaxPool])
def fuse_pool(fgraph, node):
    """max_pool_2d of conv2d: one pass."""
    if type(node.op) is not MaxPool or not made_by(node.inputs[0], Conv2D):
        return None
    return [ConvPool(node.op.ds)(*node.inputs[0].owner.inputs)[0]]


def picks_labels(indices):
    """Return whether the indices are (arange(n), y): one cell of every row."""
    rows, y = indices if len(indices) == 2 else (None, None)
    return (
        rows is not None
        and made_by(rows, ARange)
        and is_constant(rows.owner.inputs[0], 0)
        and is_constant(rows.owner.inputs[2], 1)
        and y.type.dtype == "int32"
    )


def is_constant(variable, value):
    return get_underlying_scalar_constant_value(variable, raise_not_constant=False) == value


@node_rewriter([AdvancedSubtensor])
def fuse_nll(fgraph, node):
    """log(softmax(x))[arange(n), y]: from x."""
    log, *indices = node.inputs
    if not (picks_labels(indices) and made_by(log, Elemwise, Log)):
        return None
    if not made_by(log.owner.inputs[0], Softmax):
        return None
    return [-NegativeLogLikelihood()(log.owner.inputs[0].owner.inputs[0], indices[1])[0]]


@node_rewriter([SoftmaxGrad])
def fuse_nll_gradient(fgraph, node):
    """dx of log(softmax(x))[arange(n), y]: no division by a p that may be 0."""
    dp, p = node.inputs
    if not (made_by(dp, Elemwise, TrueDiv) and dp.owner.inputs[1] is p and made_by(p, Softmax)):
        return None
    inc = dp.owner.inputs[0]
    if not made_by(inc, AdvancedIncSubtensor) or inc.owner.op.set_instead_of_inc:
        return None
    zeros, g, *indices = inc.owner.inputs
    if not (picks_labels(indices) and is_constant(zeros, 0)):
        return None
    repeated = g.type.broadcastable != p.type.broadcastable[:1]
    if repeated or g.type.dtype != p.type.dtype:
        return None
    softmax_x = NegativeLogLikelihood()(p.owner.inputs[0], indices[1])[1]
    return [NegativeLogLikelihoodGrad()(softmax_x, indices[1], -g)]


@node_rewriter([Dot])
def fix_order(fgraph, node):
    """dot of two float matrices of one dtype."""
    A, B = node.inputs
    if A.type.ndim != 2 or B.type.ndim != 2 or A.type.dtype != B.type.dtype:
        return None
    return [FixedDot()(A, B)] if A.type.dtype in C_TYPES else None


def split_scaled(variable):
    """Return (constant, tensor) of their product, or None; the constant as a literal of C reads."""
    if not (made_by(variable, Elemwise, Mul) and len(variable.owner.inputs) == 2):
        return None
    for scale, tensor in (variable.owner.inputs, variable.owner.inputs[::-1]):
        value = get_underlying_scalar_constant_value(scale, raise_not_constant=False)
        if not isinstance(value, Variable):
            return float(str(value)), tensor
    return None


def find_dot(fgraph, variable):
    """Return the inputs of the dot that made the variable, used nowhere else, or None."""
    while len(fgraph.clients[variable]) == 1:
        if made_by(variable, FixedDot):
            return variable.owner.inputs
        if not made_by(variable, SpecifyShape):
            return None
        variable = variable.owner.inputs[0]
    return None


@node_rewriter([Elemwise])
def fuse_descent(fgraph, node):
    """W - rate (dot + decay W): in one Op."""
    if not isinstance(node.op.scalar_op, Sub) or node.inputs[0].type.ndim != 2:
        return None
    W, step = node.inputs
    scaled = split_scaled(step)
    if scaled is None or W.type != node.outputs[0].type or len(fgraph.clients[step]) != 1:
        return None
    rate, gradient = scaled
    terms, decay = [gradient], 0.0
    if made_by(gradient, Elemwise, Add) and len(fgraph.clients[gradient]) == 1:
        terms = gradient.owner.inputs
        decays = [term and term[0] for term in map(split_scaled, terms) if term and term[1] is W]
        terms = [term for term in terms if (split_scaled(term) or (0, 0))[1] is not W]
        if len(terms) != 1 or len(decays) != 1:
            return None
        decay = decays[0]
    product = find_dot(fgraph, terms[0])
    return product and [DescendDot()(W, *product, rate, decay)]


@node_rewriter([DescendDot])
def descend_inplace(fgraph, node):
    """DescendDot in W's own memory."""
    return None if node.op.inplace else [DescendDot(inplace=1)(*node.inputs)]


@node_rewriter([Sum])
def sum_maps(fgraph, node):
    """The sum of every map of a 4-dimensional tensor, in float64."""
    (d,), op = node.inputs, node.op
    if d.type.ndim != 4 or op.axis != (0, 2, 3) or d.type.dtype not in C_TYPES:
        return None
    if op.acc_dtype != "float64" or node.outputs[0].type.dtype != d.type.dtype:
        return None
    return [SumMaps()(d)]


@node_rewriter([Sum])
def narrow_sum(fgraph, node):
    """A float32 sum, added up in float32."""
    (x,), op = node.inputs, node.op
    if (x.type.dtype, op.acc_dtype, op.dtype) != ("float32", "float64", "float32"):
        return None
    return [Sum(axis=op.axis, dtype="float32", acc_dtype="float32")(x)]


REWRITES = (fuse_gradient, fuse_pool, fuse_nll_gradient, fuse_nll, fix_order)


def add_rewrites(mode):
    """Return the mode with every rewrite in a walk of its own, right after the first merge."""
    return mode.register(
        *(
            (walking_rewriter("in_to_out", rewrite), 0.1 + 0.01 * i)
            for i, rewrite in enumerate(REWRITES)
        )
    )


def add_narrow_sums(mode):
    """Return the mode with float32 sums added up in float32, as Theano 0.6rc3 added them.

    PyTensor adds them up in float64, which is right in more digits and elsewhere.
    """
    return mode.register((walking_rewriter("in_to_out", narrow_sum), 48.05))


def add_cpu_rewrites(mode):
    """Return the mode with the rewrites that only the cpu has an Op for.

    Their expressions are found once PyTensor has simplified them and before it fuses what is left;
    where PyTensor lets other Ops overwrite their inputs, `DescendDot` may too.
    """
    return mode.register(
        (walking_rewriter("in_to_out", fuse_descent), 48.0),
        (walking_rewriter("in_to_out", sum_maps), 48.1),
        (walking_rewriter("in_to_out", descend_inplace, ignore_newtrees=True), 50.3),
    )
