"""The step in PyTorch, eager or compiled. Filters are stored flipped: its conv2d does not flip."""

from worker import serve


def build(settings, x, y):
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(settings["threads"])
    recipe, batch_size = settings["recipe"], settings["recipe"]["batch_size"]
    device = "cuda" if settings["device"] == "cuda" else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # full float32, as everywhere
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

    if settings["variant"] == "compiled":
        mode = "reduce-overhead" if device == "cuda" else "default"  # CUDA graphs
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

    def train_model(index):
        rows = slice(index * batch_size, (index + 1) * batch_size)
        cost = compute_cost(x[rows], y[rows], **params)
        gradients = torch.autograd.grad(cost, list(params.values()))
        with torch.no_grad():
            torch._foreach_add_(list(params.values()), gradients, alpha=-recipe["learning_rate"])
        return cost.item()

    return train_model, set_values, f"PyTorch {torch.__version__}"


if __name__ == "__main__":
    serve(build)
