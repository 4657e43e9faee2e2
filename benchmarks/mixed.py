"""How long does a search take whose settings differ in structure?

    python benchmarks/mixed.py             (extra `bench`; what is not installed is left out)
    python benchmarks/mixed.py --quick     a minute or two, to see that it runs
    python benchmarks/mixed.py --shapes digits --sides ours

256 settings drawn at random: hidden units, depth, mini-batch size, optimizer, activation and batch
norm differ from setting to setting. Trained for 60 epochs on pictures (1,080 of 64x64x3, 120 to
validate) and on scikit-learn's digits. Wall time of the whole search, compiling included:

- jaxnn.sweep: all settings in one call, measured in full but for the pixels, of which a part of
  the epochs is. Compiling is what a first sweep of one epoch takes over a second one; both have the
  plan of the long sweep, which then compiles nothing. In the row space, rotating the data counts
  as training.
- jaxnn, no padding or compiling: each setting of the share in a sweep of copies of itself, with
  full chunks on every core: what programs of equal structure take, and a mixed sweep could reach.
- PyTorch one by one: torch.optim, fused where it can be.
- torch.func.vmap and Flax (linen and Optax under jax.vmap, an epoch of steps jitted): settings of
  equal structure together, with learning rates and momenta of their own. Flax compiles once a
  structure.
- scikit-learn one by one: MLPClassifier, which lacks batch norm, leaky relu and rmsprop, and trains
  without, with relu and with Adam instead; at 1e-4, as it raises an error where weights overflow.

Ours is the whole call: checks, first weights, evaluation after every epoch, weights back on the
host. Of the others only steps count, and Flax's compilations. All have the data in memory in
float32, take an epoch's last, smaller mini-batch as a step, and use the threads that the library
chooses in one process.

The other sides are extrapolated from a share of the settings, or of the structures, drawn
at random, and from few epochs: time of the share x work of all / work of the share, where work is
weights x steps. The standard error of this ratio estimator is printed. Compiling is the mean over
the share x the number of structures.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sweep import about, seconds

import jaxnn

Setting = dict[str, Any]
Train = Callable[[int], Any]
"""Trains for a number of epochs and waits for the end."""

SPACE = {
    "hidden": jaxnn.choice([(25, 12), (50, 25), (64, 32), (128, 64), (64, 32, 16), (128,)]),
    "batch_size": jaxnn.choice([16, 32, 64, 128]),
    "optimizer": jaxnn.choice(["gd", "momentum", "rmsprop", "adam"]),
    "activation": jaxnn.choice(["relu", "tanh", "leaky_relu"]),
    "batch_norm": jaxnn.choice([False, True]),
    "learning_rate": jaxnn.loguniform(1e-4, 1e-1),
    "momentum": jaxnn.reverseloguniform(0.9, 0.999),
}
STRUCTURE = ("hidden", "batch_size", "optimizer", "activation", "batch_norm")


class Problem(NamedTuple):
    train: jaxnn.Dataset
    valid: jaxnn.Dataset

    def units(self, setting: Setting) -> tuple[int, ...]:
        return (math.prod(self.train.x.shape[1:]), *setting["hidden"], self.train.num_classes)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        x = np.array(self.train.x).reshape(len(self.train), -1)
        return x, np.array(self.train.y, np.int64)

    def work(self, settings: list[Setting]) -> float:
        """Weights x steps of an epoch."""
        weights = [sum(a * b for a, b in itertools.pairwise(self.units(s))) for s in settings]
        return float(np.dot(weights, [-(-len(self.train) // s["batch_size"]) for s in settings]))


def problem_of(shapes: str) -> Problem:
    if shapes == "signs":
        return Problem(*jaxnn.generated_signs(0)[:2])
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return Problem(*jaxnn.hold_out(jaxnn.Dataset(x / 16, y), 0.2))


def our_copies(problem: Problem, settings: list[Setting]) -> tuple[Train, int]:
    # a rate with which no lane diverges: a chunk of frozen lanes would end early
    setting = {**settings[0], "learning_rate": 1e-4}
    (planned,) = jaxnn.plan([setting], problem.train, epochs=1).programs
    cores = (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
    copies = [setting] * (planned.chunk * cores)
    train = lambda epochs: jaxnn.sweep(copies, *problem, epochs=epochs, progress=False)
    return train, len(copies)


def torch_eager(problem: Problem, settings: list[Setting]) -> tuple[Train, int]:
    import torch
    from torch import nn, optim

    (setting,) = settings
    has_norm, beta = setting["batch_norm"], setting["momentum"]
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "leaky_relu": nn.LeakyReLU}
    *hidden, last = itertools.pairwise(problem.units(setting))
    layers: list[Any] = []
    for pair in hidden:
        norm = [nn.BatchNorm1d(pair[1])] if has_norm else []
        layers += [nn.Linear(*pair, bias=not has_norm), *norm, activation[setting["activation"]]()]
    model = nn.Sequential(*layers, nn.Linear(*last))
    descents: dict[str, Callable[..., Any]] = {
        "gd": functools.partial(optim.SGD, fused=True),
        "momentum": functools.partial(optim.SGD, momentum=beta, dampening=beta, fused=True),
        "rmsprop": functools.partial(optim.RMSprop, alpha=0.9),
        "adam": functools.partial(optim.Adam, fused=True),
    }
    descent = descents[setting["optimizer"]](model.parameters(), lr=setting["learning_rate"])
    x, y = map(torch.from_numpy, problem.arrays())

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(setting["batch_size"]):
                if has_norm and len(rows) == 1:
                    continue  # BatchNorm1d refuses it
                descent.zero_grad()
                nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
                descent.step()

    return train, 1


def torch_vmap(problem: Problem, settings: list[Setting]) -> tuple[Train, int]:
    import torch
    from torch import nn

    first, lanes = settings[0], len(settings)
    name, has_norm = first["optimizer"], first["batch_norm"]
    activations = {"relu": torch.relu, "tanh": torch.tanh, "leaky_relu": nn.functional.leaky_relu}
    activation = activations[first["activation"]]
    x, y = map(torch.from_numpy, problem.arrays())
    pairs = list(itertools.pairwise(problem.units(first)))
    params: list[dict[str, Any]] = []
    running: list[dict[str, Any]] = []
    for num_in, num_out in pairs:
        kernel = torch.randn(lanes, num_in, num_out) / num_in**0.5
        params.append({"kernel": kernel, "bias": torch.zeros(lanes, num_out)})
        if has_norm and len(params) < len(pairs):
            params[-1]["scale"] = torch.ones(lanes, num_out)
            ones = torch.ones(lanes, num_out)
            running.append({"mean": torch.zeros_like(ones), "variance": ones})

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
        return nn.functional.cross_entropy(logits, y), statistics

    grads_of = torch.func.vmap(torch.func.grad(cost, has_aux=True), in_dims=(0, None, None))
    zeros = lambda: [{k: torch.zeros_like(p) for k, p in layer.items()} for layer in params]
    means, squares = zeros(), zeros()
    rates, betas = (
        torch.tensor([setting[key] for setting in settings])
        for key in ("learning_rate", "momentum")
    )
    beta2, step = 0.999 if name == "adam" else 0.9, 0

    def update(p: Any, grad: Any, mean: Any, square: Any) -> None:
        # torch.optim takes one learning rate for all lanes
        by_lane = (lanes, *[1] * (p.ndim - 1))
        rate = rates.view(by_lane)
        if name in ("momentum", "adam"):
            grad_share = 1 - betas.view(by_lane) if name == "momentum" else 0.1
            direction = mean.lerp_(grad, grad_share)
        else:
            direction = grad
        if name in ("rmsprop", "adam"):
            square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
            deviation = square.sqrt()
            if name == "adam":
                deviation.div_((1 - beta2**step) ** 0.5)
                rate = rate / (1 - 0.9**step)
            direction = direction / deviation.add_(1e-8)
        p.sub_(rate * direction)

    def train(epochs: int) -> None:
        nonlocal step
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(first["batch_size"]):
                step += 1
                grads, statistics = grads_of(params, x[rows], y[rows])
                for layer, grad, mean, square in zip(params, grads, means, squares, strict=True):
                    for key in layer:
                        update(layer[key], grad[key], mean[key], square[key])
                for kept, new in zip(running, statistics, strict=True):
                    for key in kept:
                        kept[key].lerp_(new[key], 0.1)

    return train, 1


def flax_vmap(problem: Problem, settings: list[Setting]) -> tuple[Train, int]:
    from flax import linen

    first, size = settings[0], settings[0]["batch_size"]
    has_norm = first["batch_norm"]
    layers: list[Any] = []
    for units in first["hidden"]:
        norm = [linen.BatchNorm(use_running_average=False, momentum=0.9)] if has_norm else []
        activation = getattr(linen, first["activation"])
        layers += [linen.Dense(units, use_bias=not has_norm), *norm, activation]
    network = linen.Sequential([*layers, linen.Dense(problem.train.num_classes)])
    descents: dict[str, Callable[[Any, Any], optax.GradientTransformation]] = {
        "gd": lambda rate, beta: optax.sgd(rate),
        "momentum": lambda rate, beta: optax.chain(
            optax.ema(beta, debias=False), optax.scale_by_learning_rate(rate)
        ),
        "rmsprop": lambda rate, beta: optax.rmsprop(rate, 0.9),
        "adam": lambda rate, beta: optax.adam(rate),
    }
    descent = descents[first["optimizer"]]
    x, y = map(jnp.asarray, problem.arrays())
    numbers = [jnp.array([s[key] for s in settings]) for key in ("learning_rate", "momentum")]

    def init(key: jax.Array, numbers: list[jax.Array]) -> Any:
        statistics = dict(network.init(key, x[:2]))
        params = statistics.pop("params")
        return params, statistics, descent(*numbers).init(params)

    def step(state: Any, numbers: list[jax.Array], x: jax.Array, y: jax.Array) -> Any:
        params, statistics, opt_state = state

        def cost(params: Any) -> Any:
            variables = {"params": params, **statistics}
            logits, new = network.apply(variables, x, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), new

        grads, statistics = jax.grad(cost, has_aux=True)(params)
        updates, opt_state = descent(*numbers).update(grads, opt_state, params)
        return optax.apply_updates(params, updates), statistics, opt_state

    lanes_step = jax.vmap(step, in_axes=(0, 0, None, None))
    state = jax.jit(jax.vmap(init))(jax.random.split(jax.random.key(0), len(settings)), numbers)

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, numbers: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
        body = lambda state, rows: (lanes_step(state, numbers, x[rows], y[rows]), None)
        order, full = jax.random.permutation(key, len(x)), len(x) // size * size
        state, _ = jax.lax.scan(body, state, order[:full].reshape(-1, size))
        return body(state, order[full:])[0] if full < len(x) else state

    def train(epochs: int) -> None:
        nonlocal state
        for index in range(epochs):
            state = epoch(state, numbers, x, y, jax.random.key(index))
        jax.block_until_ready(state)

    return train, 1


def scikit_learn(problem: Problem, settings: list[Setting]) -> tuple[Train, int]:
    from sklearn.neural_network import MLPClassifier

    (setting,) = settings
    optimizer, (x, y) = setting["optimizer"], problem.arrays()
    build = functools.partial(
        MLPClassifier,
        setting["hidden"],
        activation="tanh" if setting["activation"] == "tanh" else "relu",
        solver="sgd" if optimizer in ("gd", "momentum") else "adam",
        momentum=setting["momentum"] if optimizer == "momentum" else 0.0,
        nesterovs_momentum=False,
        batch_size=setting["batch_size"],
        learning_rate_init=1e-4,
        tol=0.0,
        n_iter_no_change=10**9,
    )

    def train(epochs: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build(max_iter=epochs).fit(x, y)

    return train, 1


class Side(NamedTuple):
    build: Callable[[Problem, list[Setting]], tuple[Train, int]]
    """Makes a `Train` of settings, and says how many times it trains them."""
    library: str
    is_grouped: bool = False
    """Settings of equal structure are trained together."""
    compiles: bool = False


OURS, ROTATED = "jaxnn.sweep", "jaxnn.sweep, row space"
COPIES = "jaxnn, no padding or compiling"
SIDES = {
    COPIES: Side(our_copies, "jaxnn"),
    "torch.func.vmap by structure": Side(torch_vmap, "torch", is_grouped=True),
    "PyTorch one by one": Side(torch_eager, "torch"),
    "Flax, jax.vmap by structure": Side(flax_vmap, "flax", is_grouped=True, compiles=True),
    "scikit-learn one by one": Side(scikit_learn, "sklearn"),
}


def measured(
    problem: Problem, settings: list[Setting], epochs: int, measure: int, row_space: bool
) -> dict[str, Any]:
    """The row of our sweep of all settings, from as many epochs as are to be measured."""
    plan = jaxnn.plan(settings, problem.train, epochs=epochs, row_space=row_space)
    print(f"\n{plan}", flush=True)
    run = lambda epochs: jaxnn.sweep(
        settings, *problem, epochs=epochs, plan=plan, row_space=row_space, progress=False
    )
    first, second = (seconds(lambda: run(1)) for _ in range(2))
    compiling, study = max(0.0, first - second), run(measure)
    training = study.seconds
    if measure < epochs:
        training += (epochs - measure) * (study.seconds - second) / (measure - 1)
    print(f"Best validation accuracy {study.best_value:.3f}", flush=True)
    return {
        "side": ROTATED if row_space else OURS,
        "seconds": compiling + training,
        "compile_seconds": compiling,
        "extrapolated": f"from {measure} of {epochs} epochs" if measure < epochs else "",
        "programs": len(plan.programs),
        "padded_share": plan.padded_share,
        "expected": {"seconds": plan.seconds, "compile_seconds": plan.compile_seconds},
        "diverged": int((study.diverged >= 0).sum()),
    }


def timed(train: Train, budget: float) -> tuple[float, float]:
    """Seconds that a first epoch takes over a second one, and seconds of an epoch.

    From differences of calls: what a call costs whatever its epochs is left out.
    """
    first, second = (seconds(lambda: train(1)) for _ in range(2))
    more, spent = 1, seconds(lambda: train(2)) - second
    if spent < budget:
        more = round(min(60.0, 1 + budget / max(spent, 1e-9)))
        spent = seconds(lambda: train(1 + more)) - second
    return max(0.0, first - second), max(0.0, spent / more)


def extrapolated(
    problem: Problem, settings: list[Setting], name: str, epochs: int, share: int, budget: float
) -> dict[str, Any]:
    """The row of another side, from a share of the settings."""
    side = SIDES[name]
    structures: dict[Any, list[Setting]] = {}
    for setting in settings:
        structures.setdefault(tuple(setting[key] for key in STRUCTURE), []).append(setting)
    units = list(structures.values()) if side.is_grouped else [[setting] for setting in settings]
    drawn = np.random.default_rng(0).permutation(len(units))[:share]
    share_units = [units[index] for index in drawn]
    work = np.array([problem.work(unit) for unit in share_units])
    compiling, spent = np.zeros(len(work)), np.zeros(len(work))
    for index, unit in enumerate(share_units):
        train, times = side.build(problem, unit)
        compiling[index], epoch = timed(train, budget)
        spent[index] = epoch * epochs / times
    ratio, num_lanes = spent.sum() / work.sum(), sum(map(len, share_units))
    spread = np.std(spent - ratio * work, ddof=1) if len(work) > 1 else np.nan
    error = len(units) * spread * ((1 - len(work) / len(units)) / len(work)) ** 0.5
    compile_seconds = float(compiling.mean()) * len(units) if side.compiles else 0.0
    return {
        "side": name,
        "seconds": ratio * problem.work(settings) + compile_seconds,
        "compile_seconds": compile_seconds,
        "extrapolated": f"from {num_lanes} of {len(settings)} settings",
        "estimator": "ratio, by weights x steps; compiling: mean x number of structures",
        "standard_error": float(error),
        "structures": len(structures),
        "share": [
            {"unit": int(number), "work": w, "seconds": s, "first_epoch_more": c}
            for number, w, s, c in zip(drawn, work, spent, compiling, strict=True)
        ],
    }


def duration(spent: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if spent >= 1.5 * size:
            return (
                f"{spent / size:.2g} {unit}" if spent < 10 * size else f"{spent / size:.0f} {unit}"
            )
    return f"{spent:.2g} s" if spent < 10 else f"{spent:.0f} s"


def table(result: dict[str, Any]) -> str:
    rows = result["rows"]
    lines = ["| | wall time | of it compiling | jaxnn.sweep is faster by | |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for row in rows:
        notes = [row["extrapolated"]] if row["extrapolated"] else []
        if "standard_error" in row:
            notes.append(f"+- {row['standard_error'] / row['seconds']:.0%}")
        else:
            notes.append(f"{row['programs']} programs, padded {row['padded_share']:.0%}")
        note = ", ".join(notes)
        cells = [row["side"], duration(row["seconds"]), f"{row['compile_seconds']:.0f} s"]
        cells += [f"{row['seconds'] / rows[0]['seconds']:.2g} x", note]
        lines.append(f"| {' | '.join(cells)} |")
    by_side = {row["side"]: row for row in rows}
    if COPIES in by_side:
        training = rows[0]["seconds"] - rows[0]["compile_seconds"]
        ratio = training / by_side[COPIES]["seconds"]
        lines.append(f"\nTraining takes {ratio:.2f} x the time of programs of equal structure.")
    return "\n".join(lines)


STRONG, WEAK = "#0072B2", "#9CCBEB"


def draw(results: dict[str, Any], path: Path) -> None:
    """A panel for each of the shapes, from what the JSON holds."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    count = [len(result["rows"]) for result in results.values()]
    figure = Figure(figsize=(8.6, 1.3 * len(count) + 0.42 * sum(count)), layout="constrained")
    all_axes = figure.subplots(len(count), 1, height_ratios=count, squeeze=False)[:, 0]
    for axes, result in zip(all_axes, results.values(), strict=True):
        rows = result["rows"]
        least = min(row["compile_seconds"] or row["seconds"] for row in rows) / 2
        most = max(row["seconds"] for row in rows)
        for y, row in enumerate(rows):
            is_ours = row["side"] in (OURS, ROTATED)
            dark, light = (STRONG, WEAK) if is_ours else ("0.55", "0.8")
            style: dict[str, Any] = {"hatch": "////"} if row["extrapolated"] else {}
            edge = "white"
            if row["side"] == COPIES:
                dark, edge = edge, STRONG
            for width, color in ((row["seconds"], dark), (row["compile_seconds"], light)):
                if width:
                    axes.barh(y, width, facecolor=color, edgecolor=edge, linewidth=0, **style)
            text, weight = f" {duration(row['seconds'])}", "bold" if is_ours else "normal"
            axes.text(row["seconds"], y, text, va="center", fontsize=9, weight=weight)
        labels = [f"{row['side']}\n{row['extrapolated']}".strip() for row in rows]
        axes.set_yticks(range(len(rows)), labels, fontsize=8)
        settings, epochs = f"{result['settings']} settings", f"{result['epochs']} epochs"
        axes.set(xscale="log", xlim=(least, most * 2.5))
        axes.set_xlabel(f"wall time, seconds ({settings}, {epochs}); less is better")
        axes.set_title(
            f"{settings} that differ in structure, {result['features']:,} features, {epochs}",
            loc="left",
            fontsize=11,
        )
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right"]].set_visible(False)
    handles = [
        Patch(color=WEAK, label="compiling (others: light grey)"),
        Patch(color=STRONG, label="training"),
        Patch(
            facecolor="0.55",
            hatch="////",
            edgecolor="white",
            label="extrapolated, others by work from a share drawn at random",
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def measure(shapes: str, options: argparse.Namespace) -> dict[str, Any]:
    problem = problem_of(shapes)
    settings = list(jaxnn.sample(SPACE, options.settings, seed=0, method="random"))
    (features, *_), epochs = problem.units(settings[0]), options.epochs
    result = {"about": about(), "settings": len(settings), "epochs": epochs, "features": features}
    rotations = (False, True) if len(problem.train) < features else (False,)
    # ours first: a program of copies could be one of the sweep's, and compiled before
    ours = []
    for row_space in rotations:
        # the epochs of a sweep take equally long; in pixels all of them take half an hour
        few = min(options.pixel_epochs, epochs) if len(rotations) > 1 and not row_space else epochs
        ours.append(measured(problem, settings, epochs, few, row_space))
    others = []
    for name, side in SIDES.items():
        if options.sides == "ours" and name != COPIES:
            continue
        if importlib.util.find_spec(side.library) is None:
            print(f"{name}: left out, {side.library} is not installed")
            continue
        budget = 0.0 if options.quick else 0.5
        others.append(extrapolated(problem, settings, name, epochs, options.share, budget))
        print(f"{name}: {duration(others[-1]['seconds'])}", flush=True)
    others.sort(key=lambda row: (row["side"] != COPIES, row["seconds"]))
    return {**result, "rows": ours + others}


def kept(before: dict[str, Any] | None, now: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of other sides from an earlier run of the same on such a machine."""
    same = ("settings", "epochs", "features")
    if before is None or any(before[key] != now[key] for key in same):
        return []
    if before["about"]["cpu"] != now["about"]["cpu"]:
        return []
    return [row for row in before["rows"] if row["side"] not in (OURS, ROTATED, COPIES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", choices=["signs", "digits", "all"], default="all")
    parser.add_argument("--settings", metavar="N", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--pixel-epochs", type=int, default=15, help="that our sweep trains (15)")
    parser.add_argument("--share", type=int, default=32, help="settings that others train (32)")
    parser.add_argument("--sides", choices=["ours", "all"], default="all")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="for the JSON and the picture")
    parser.add_argument("--quick", action="store_true", help="12 settings of digits, 2 epochs")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(shapes="digits", settings=12, epochs=2, share=2)
    results = Path(__file__).parent / "results"
    out = options.out or (Path(tempfile.mkdtemp()) if options.quick else results)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"mixed-{jax.default_backend()}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    found: dict[str, Any] = {}
    for shapes in ("signs", "digits"):
        if options.shapes in (shapes, "all"):
            found[shapes] = measure(shapes, options)
            if options.sides == "ours":
                found[shapes]["rows"] += kept(before.get(shapes), found[shapes])
            print(f"\n{table(found[shapes])}", flush=True)
        elif shapes in before:
            found[shapes] = before[shapes]
    path.write_text(json.dumps(found, indent=1) + "\n")
    if importlib.util.find_spec("matplotlib"):
        draw(found, path.with_suffix(".png"))
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
