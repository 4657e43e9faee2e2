"""How networks are trained with PyTorch: as the sides in `sides.py`, which says what they share."""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from problems import Problem
from sides import DEFAULTS, Setting, Train, only


def torch_network(pairs: list[tuple[int, int]], setting: Setting) -> Any:
    from torch import nn

    activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU}
    *hidden, last = pairs
    layers: list[Any] = []
    for pair in hidden:
        norm = [nn.BatchNorm1d(pair[1])] if setting["batch_norm"] else []
        layers += [nn.Linear(*pair, bias=not norm), *norm, activation[setting["activation"]]()]
    return nn.Sequential(*layers, nn.Linear(*last))


def torch_optimizer(params: Iterable[Any], setting: Setting) -> Any:
    """Fused where it can be; momentum with dampening, as the course has it."""
    from torch import optim

    beta = setting["momentum"]
    descents: dict[str, Callable[..., Any]] = {
        "gd": functools.partial(optim.SGD, fused=True),
        "momentum": functools.partial(optim.SGD, momentum=beta, dampening=beta, fused=True),
        "rmsprop": functools.partial(optim.RMSprop, alpha=0.9),
        "adam": functools.partial(optim.Adam, fused=True),
    }
    descent = descents[setting["optimizer"]]
    return descent(params, lr=setting["learning_rate"], weight_decay=setting["l2"])


def torch_epoch(network: Any, optimizer: Any, x: Any, y: Any, size: int) -> None:
    """The usual eager loop."""
    import torch

    for rows in torch.randperm(len(x), device=x.device).split(size):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
        optimizer.step()


def torch_eager(problem: Problem, settings: list[Setting], compiled: bool = False) -> Train:
    import torch

    setting = only(settings)
    x, y = torch_arrays(problem)
    network = torch_network(problem.pairs(setting["hidden"]), setting).to(x.device)
    optimizer = torch_optimizer(network.parameters(), setting)
    forward = torch.compile(network, mode="reduce-overhead") if compiled else network
    return _train(x, lambda: torch_epoch(forward, optimizer, x, y, setting["batch_size"]))


def torch_vmap_fused(problem: Problem, settings: list[Setting]) -> Train:
    """`torch.func.vmap` with PyTorch's optimizer, which has one learning rate for all lanes."""
    import torch

    setting, (x, y) = DEFAULTS | settings[0], torch_arrays(problem)
    params, set_grads = torch_lanes(problem, settings)
    optimizer = torch_optimizer(params.values(), setting)

    def epoch() -> None:
        for rows in torch.randperm(len(x), device=x.device).split(setting["batch_size"]):
            set_grads(x[rows], y[rows])
            optimizer.step()

    return _train(x, epoch)


def torch_lanes(
    problem: Problem, settings: list[Setting]
) -> tuple[dict[str, Any], Callable[[Any, Any], None]]:
    """Parameters (lanes, ...), and what sets their gradients for a mini-batch."""
    import torch

    setting = DEFAULTS | settings[0]
    network = torch_network(problem.pairs(setting["hidden"]), setting).to(torch_device())
    params = {
        name: torch.stack([p.detach()] * len(settings)).requires_grad_()
        for name, p in network.named_parameters()
    }

    def cost(params: Any, x: Any, y: Any) -> Any:
        logits = torch.func.functional_call(network, params, (x,))
        return torch.nn.functional.cross_entropy(logits, y)

    grads_of = torch.func.vmap(torch.func.grad(cost), in_dims=(0, None, None))

    def set_grads(x: Any, y: Any) -> None:
        for name, grad in grads_of(params, x, y).items():
            params[name].grad = grad

    return params, set_grads


def torch_vmap(problem: Problem, settings: list[Setting]) -> Train:
    """`torch.func.vmap` of settings of one structure, each with its learning rate and momentum."""
    import torch

    first, lanes = DEFAULTS | settings[0], len(settings)
    activations = {
        "relu": torch.relu,
        "tanh": torch.tanh,
        "leaky_relu": torch.nn.functional.leaky_relu,
    }
    activation, has_norm = activations[first["activation"]], first["batch_norm"]
    x, y = torch_arrays(problem)
    params: list[dict[str, Any]] = []
    running: list[dict[str, Any]] = []
    pairs = problem.pairs(first["hidden"])
    for num_in, num_out in pairs:
        kernel = torch.randn(lanes, num_in, num_out, device=x.device) / num_in**0.5
        zeros = torch.zeros(lanes, num_out, device=x.device)
        params.append({"kernel": kernel, "bias": zeros})
        if has_norm and len(params) < len(pairs):
            params[-1]["scale"] = torch.ones_like(zeros)
            running.append({"mean": torch.zeros_like(zeros), "variance": torch.ones_like(zeros)})

    def cost(params: Any, x: Any, y: Any) -> Any:
        statistics = []
        for layer in params[:-1]:
            z = x @ layer["kernel"]
            if has_norm:
                mean, variance = z.mean(0), z.var(0, unbiased=False)
                statistics.append({"mean": mean, "variance": variance})
                z = (z - mean) * torch.rsqrt(variance + 1e-5) * layer["scale"]
            x = activation(z + layer["bias"])
        logits = x @ params[-1]["kernel"] + params[-1]["bias"]
        return torch.nn.functional.cross_entropy(logits, y), statistics

    grads_of = torch.func.vmap(torch.func.grad(cost, has_aux=True), in_dims=(0, None, None))
    update = _torch_update(first["optimizer"], params, settings)

    def epoch() -> None:
        for rows in torch.randperm(len(x), device=x.device).split(first["batch_size"]):
            grads, statistics = grads_of(params, x[rows], y[rows])
            update(grads)
            for kept, new in zip(running, statistics, strict=True):
                for key in kept:
                    kept[key].lerp_(new[key], 0.1)

    return _train(x, epoch)


def _torch_update(
    name: str, params: list[dict[str, Any]], settings: list[Setting]
) -> Callable[[list[dict[str, Any]]], None]:
    """A step of an optimizer in place: torch.optim has no learning rate for each lane."""
    import torch

    zeros = lambda: [{k: torch.zeros_like(p) for k, p in layer.items()} for layer in params]
    means, squares = zeros(), zeros()
    rates, betas = (
        torch.tensor([(DEFAULTS | setting)[key] for setting in settings]).to(means[0]["bias"])
        for key in ("learning_rate", "momentum")
    )
    beta2, steps = 0.999 if name == "adam" else 0.9, itertools.count(1)

    def update_one(step: int, p: Any, grad: Any, mean: Any, square: Any) -> None:
        by_lane = (len(settings), *[1] * (p.ndim - 1))
        rate, direction = rates.view(by_lane), grad
        if name in ("momentum", "adam"):
            grad_share = 1 - betas.view(by_lane) if name == "momentum" else 0.1
            direction = mean.lerp_(grad, grad_share)
        if name in ("rmsprop", "adam"):
            square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            deviation = square.sqrt()
            if name == "adam":
                deviation.div_((1 - beta2**step) ** 0.5)
                rate = rate / (1 - 0.9**step)
            direction = direction / deviation.add_(1e-8)
        p.sub_(rate * direction)

    def update(grads: list[dict[str, Any]]) -> None:
        step = next(steps)
        for layer, grad, mean, square in zip(params, grads, means, squares, strict=True):
            for key in layer:
                update_one(step, layer[key], grad[key], mean[key], square[key])

    return update


def torch_arrays(problem: Problem) -> tuple[Any, Any]:
    import torch

    x, y = (torch.from_numpy(array).to(torch_device()) for array in problem.arrays())
    return x, y


def torch_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _train(x: Any, epoch: Callable[[], None]) -> Train:
    """Trains for epochs, and waits for the device of x."""

    def train(epochs: int) -> None:
        for _ in range(epochs):
            epoch()
        if x.is_cuda:
            import torch

            torch.cuda.synchronize()

    return train
