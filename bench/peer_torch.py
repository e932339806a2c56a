"""The step in PyTorch, eager or compiled, on a GPU also as one CUDA graph. Filters are stored
flipped: its conv2d does not flip."""

from worker import BLOCK, serve


def build(settings, x, y):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(settings["threads"])
    recipe, batch_size = settings["recipe"], settings["recipe"]["batch_size"]
    variant = settings["variant"].split()
    device = "cuda" if settings["device"] == "cuda" else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # full float32, as everywhere
    torch.backends.cudnn.benchmark = True  # the fastest convolution, by trying
    x = torch.from_numpy(x).reshape(-1, 1, 64, 40).to(device)
    y = torch.from_numpy(y).to(device)
    params = {}

    def compute_cost(x, y, conv_W, conv_b, hidden_W, hidden_b, softmax_W, softmax_b):
        p = F.max_pool2d(F.conv2d(x, conv_W), recipe["poolsize"])
        h = F.relu(p + conv_b.view(1, -1, 1, 1)).flatten(1)
        h = F.relu(torch.addmm(hidden_b, h, hidden_W))
        cost = F.cross_entropy(torch.addmm(softmax_b, h, softmax_W), y)
        for coefficient, W in ((recipe["L2_softmax"], softmax_W), (recipe["L2_conv"], conv_W)):
            if coefficient:
                cost = cost + coefficient * (W * W).sum()
        return cost

    if "compiled" in variant:
        # By itself it makes CUDA graphs of cost and gradients, without the update.
        mode = "reduce-overhead" if device == "cuda" and "graph" not in variant else "default"
        compute_cost = torch.compile(compute_cost, dynamic=False, mode=mode)

    def set_values(values):
        for name, value in values.items():
            value = value[:, :, ::-1, ::-1].copy() if name == "conv_W" else value.copy()
            if name not in params:
                params[name] = torch.empty(
                    value.shape, dtype=x.dtype, device=device, requires_grad=True
                )
            with torch.no_grad():
                params[name].copy_(torch.from_numpy(value))

    def update(x, y):
        cost = compute_cost(x, y, **params)
        gradients = torch.autograd.grad(cost, list(params.values()))
        with torch.no_grad():
            torch._foreach_add_(list(params.values()), gradients, alpha=-recipe["learning_rate"])
        return cost.detach()

    def train_model(index):
        rows = slice(index * batch_size, (index + 1) * batch_size)
        return update(x[rows], y[rows]).item()

    version = f"PyTorch {torch.__version__}"
    if "graph" not in variant:
        return train_model, set_values, version
    graph = Graph(update, params, x, y, batch_size)
    if "block" not in variant:
        return graph.train_model, set_values, version
    return graph.train_model, set_values, version, graph.take_steps


class Graph:
    """An update as one CUDA graph, which finds its minibatch and keeps its cost on the GPU."""

    def __init__(self, update, params, x, y, batch_size):
        import torch

        self.update, self.params, self.x, self.y = update, params, x, y
        self.n_batches, self.batch_size = len(x) // batch_size, batch_size
        self.rows = torch.arange(batch_size, device=x.device)
        self.count = torch.zeros(1, dtype=torch.int64, device=x.device)  # steps since it was set
        self.costs = torch.zeros(BLOCK, dtype=x.dtype, device=x.device)
        self.graph = None

    def step(self):
        rows = self.count % self.n_batches * self.batch_size + self.rows
        cost = self.update(self.x.index_select(0, rows), self.y.index_select(0, rows))
        self.costs.index_copy_(0, self.count % BLOCK, cost.reshape(1))
        self.count += 1

    def capture(self):
        """Record a step, after some that choose algorithms; the parameters stay what they were."""
        import torch

        values = {name: p.detach().clone() for name, p in self.params.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()
        with torch.no_grad():
            for name, value in values.items():
                self.params[name].copy_(value)

    def replay(self, first, n):
        if self.graph is None:
            self.capture()
        self.count.fill_(first)
        for _ in range(n):
            self.graph.replay()

    def train_model(self, index):
        self.replay(index, 1)
        return self.costs[index % BLOCK].item()

    def take_steps(self, n):
        for _ in range(n // BLOCK):
            self.replay(0, BLOCK)
            self.costs.cpu()


if __name__ == "__main__":
    serve(build)
