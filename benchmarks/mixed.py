"""How long does a search take whose settings differ in structure?

    python benchmarks/mixed.py             (extra `bench`; what is not installed is left out)
    python benchmarks/mixed.py --quick     a minute or two, to see that it runs
    python benchmarks/mixed.py --shapes digits --sides ours
    python benchmarks/mixed.py --shapes digits --space vocabulary

256 settings drawn at random: hidden units, depth, mini-batch size, optimizer, activation and batch
norm differ from setting to setting. Trained for 60 epochs on pictures (1,080 of 64x64x3, 120 to
validate) and on scikit-learn's digits. With `--space vocabulary` all optimizers, eight activations,
batch norm, all schedules and 1 to 4 layers of 16 to 256 units differ; this is measured of ours
alone, beside the space above. Wall time of the whole search, compiling included:

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
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from measuring import about, canvas, duration, is_installed, results_folder, seconds, table
from problems import Problem, digits
from sides import Setting, Side, Train, flax_vmap, installed, jaxnn_sweep, scikit_learn
from torch_sides import torch_eager, torch_vmap

import jaxnn
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS

SPACE = {
    "hidden": jaxnn.choice([(25, 12), (50, 25), (64, 32), (128, 64), (64, 32, 16), (128,)]),
    "batch_size": jaxnn.choice([16, 32, 64, 128]),
    "optimizer": jaxnn.choice(["gd", "momentum", "rmsprop", "adam"]),
    "activation": jaxnn.choice(["relu", "tanh", "leaky_relu"]),
    "batch_norm": jaxnn.choice([False, True]),
    "learning_rate": jaxnn.loguniform(1e-4, 1e-1),
    "momentum": jaxnn.reverseloguniform(0.9, 0.999),
}
VOCABULARY = SPACE | {
    "hidden": jaxnn.layers(jaxnn.randint(1, 4), jaxnn.lograndint(16, 256)),
    "batch_size": 32,
    "optimizer": jaxnn.choice([*OPTIMIZERS]),
    "activation": jaxnn.choice(
        ["relu", "tanh", "leaky_relu", "gelu", "silu", "selu", "elu", "mish"]
    ),
    "decay_schedule": jaxnn.choice([*DECAY_SCHEDULES]),
}
SPACES: dict[str, dict[str, Any]] = {"structures": SPACE, "vocabulary": VOCABULARY}
STRUCTURE = ("hidden", "batch_size", "optimizer", "activation", "batch_norm")


OURS, ROTATED = "jaxnn.sweep", "jaxnn.sweep, row space"
COPIES = Side("jaxnn, no padding or compiling", "jaxnn", jaxnn_sweep)
SIDES = [
    COPIES,
    Side("torch.func.vmap by structure", "torch", torch_vmap, is_grouped=True),
    Side("PyTorch one by one", "torch", torch_eager),
    Side("Flax, jax.vmap by structure", "flax", flax_vmap, is_grouped=True, compiles=True),
    Side("scikit-learn one by one", "sklearn", scikit_learn),
]


def problem_of(shapes: str) -> Problem:
    if shapes == "signs":
        return Problem(*jaxnn.generated_signs(0)[:2])
    return Problem(*jaxnn.hold_out(digits(), 0.2))


def work_of(problem: Problem, settings: list[Setting]) -> float:
    """Weights x steps of an epoch."""
    weights = [sum(a * b for a, b in problem.pairs(setting["hidden"])) for setting in settings]
    return float(np.dot(weights, [-(-len(problem.train) // s["batch_size"]) for s in settings]))


def copies_of(setting: Setting, problem: Problem) -> list[Setting]:
    """Enough for full chunks on every core."""
    # a rate with which no lane diverges: a chunk of frozen lanes would end early
    setting = {**setting, "learning_rate": 1e-4}
    (planned,) = jaxnn.plan([setting], problem.train, epochs=1).programs
    cores = (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
    return [setting] * (planned.chunk * cores)


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
    problem: Problem, settings: list[Setting], side: Side, epochs: int, share: int, budget: float
) -> dict[str, Any]:
    """The row of another side, from a share of the settings."""
    structures: dict[Any, list[Setting]] = {}
    for setting in settings:
        structures.setdefault(tuple(setting[key] for key in STRUCTURE), []).append(setting)
    units = list(structures.values()) if side.is_grouped else [[setting] for setting in settings]
    drawn = np.random.default_rng(0).permutation(len(units))[:share]
    share_units = [units[index] for index in drawn]
    work = np.array([work_of(problem, unit) for unit in share_units])
    compiling, spent = np.zeros(len(work)), np.zeros(len(work))
    for index, unit in enumerate(share_units):
        lanes = copies_of(unit[0], problem) if side is COPIES else unit
        compiling[index], epoch = timed(side.build(problem, lanes), budget)
        spent[index] = epoch * epochs * len(unit) / len(lanes)
    ratio, num_lanes = spent.sum() / work.sum(), sum(map(len, share_units))
    spread = np.std(spent - ratio * work, ddof=1) if len(work) > 1 else np.nan
    error = len(units) * spread * ((1 - len(work) / len(units)) / len(work)) ** 0.5
    compile_seconds = float(compiling.mean()) * len(units) if side.compiles else 0.0
    return {
        "side": side.name,
        "seconds": ratio * work_of(problem, settings) + compile_seconds,
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


def against_ours(result: dict[str, Any]) -> str:
    rows = result["rows"]
    cells = [["", "wall time", "of it compiling", "jaxnn.sweep is faster by", ""]]
    for row in rows:
        notes = [row["extrapolated"]] if row["extrapolated"] else []
        if "standard_error" in row:
            notes.append(f"+- {row['standard_error'] / row['seconds']:.0%}")
        else:
            notes.append(f"{row['programs']} programs, padded {row['padded_share']:.0%}")
        cells.append([row["side"], duration(row["seconds"]), f"{row['compile_seconds']:.0f} s"])
        cells[-1] += [f"{row['seconds'] / rows[0]['seconds']:.2g} x", ", ".join(notes)]
    text = table(cells)
    by_side = {row["side"]: row for row in rows}
    if COPIES.name in by_side:
        training = rows[0]["seconds"] - rows[0]["compile_seconds"]
        ratio = training / by_side[COPIES.name]["seconds"]
        text += f"\n\nTraining takes {ratio:.2f} x the time of programs of equal structure."
    return text


STRONG, WEAK = "#0072B2", "#9CCBEB"


def draw(results: dict[str, Any], path: Path) -> None:
    """A panel for each of the shapes, from what the JSON holds."""
    from matplotlib.patches import Patch

    count = [len(result["rows"]) for result in results.values()]
    size = (8.6, 1.3 * len(count) + 0.42 * sum(count))
    figure, all_axes = canvas(len(count), 1, size, height_ratios=count)
    for axes, result in zip(all_axes[:, 0], results.values(), strict=True):
        rows = result["rows"]
        least = min(row["compile_seconds"] or row["seconds"] for row in rows) / 2
        most = max(row["seconds"] for row in rows)
        for y, row in enumerate(rows):
            is_ours = row["side"] in (OURS, ROTATED)
            dark, light = (STRONG, WEAK) if is_ours else ("0.55", "0.8")
            style: dict[str, Any] = {"hatch": "////"} if row["extrapolated"] else {}
            edge = "white"
            if row["side"] == COPIES.name:
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
        title = f"{settings} that differ in structure, {result['features']:,} features, {epochs}"
        axes.set_title(title, loc="left", fontsize=11)
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
    share = "extrapolated, others by work from a share drawn at random"
    handles = [
        Patch(color=WEAK, label="compiling (others: light grey)"),
        Patch(color=STRONG, label="training"),
        Patch(facecolor="0.55", hatch="////", edgecolor="white", label=share),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def measure(shapes: str, options: argparse.Namespace, space: str) -> dict[str, Any]:
    problem = problem_of(shapes)
    settings = list(jaxnn.sample(SPACES[space], options.settings, seed=0, method="random"))
    features, epochs = problem.features, options.epochs
    result = {"about": about(), "settings": len(settings), "epochs": epochs, "features": features}
    rotations = (False, True) if len(problem.train) < features else (False,)
    # ours first: a program of copies could be one of the sweep's, and compiled before
    ours = []
    for row_space in rotations:
        # the epochs of a sweep take equally long; in pixels all of them take half an hour
        few = min(options.pixel_epochs, epochs) if len(rotations) > 1 and not row_space else epochs
        ours.append(measured(problem, settings, epochs, few, row_space))
    others = []
    sides = [COPIES] if options.sides == "ours" else SIDES
    for side in installed(sides if options.space == "structures" else []):
        budget = 0.0 if options.quick else 0.5
        others.append(extrapolated(problem, settings, side, epochs, options.share, budget))
        print(f"{side.name}: {duration(others[-1]['seconds'])}", flush=True)
    others.sort(key=lambda row: (row["side"] != COPIES.name, row["seconds"]))
    return {**result, "rows": ours + others}


def beside(found: dict[str, dict[str, Any]]) -> str:
    """Our rows of several spaces, as a table."""
    cells = [["", "programs", "padded", "compiling", "wall time", "as planned", "diverged"]]
    for name, result in found.items():
        for row in result["rows"]:
            cells.append([f"{name}: {row['side']}", f"{row['programs']}"])
            cells[-1] += [f"{row['padded_share']:.0%}", f"{row['compile_seconds']:.0f} s"]
            expected = row["expected"]["seconds"] + row["expected"]["compile_seconds"]
            cells[-1] += [duration(row["seconds"]), duration(expected), f"{row['diverged']}"]
    return table(cells)


def kept(before: dict[str, Any] | None, now: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of other sides from an earlier run of the same on such a machine."""
    same = ("settings", "epochs", "features")
    if before is None or any(before[key] != now[key] for key in same):
        return []
    if before["about"]["cpu"] != now["about"]["cpu"]:
        return []
    return [row for row in before["rows"] if row["side"] not in (OURS, ROTATED, COPIES.name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", choices=["signs", "digits", "all"], default="all")
    parser.add_argument("--space", choices=[*SPACES], default="structures")
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
    out = results_folder(options.out, options.quick)
    shaped = [one for one in ("signs", "digits") if options.shapes in (one, "all")]
    if options.space == "vocabulary":
        spaces = {
            f"{shapes}, {space}": measure(shapes, options, space)
            for shapes in shaped
            for space in ("vocabulary", "structures")
        }
        print(f"\n{beside(spaces)}")
        path = out / f"mixed-vocabulary-{jax.default_backend()}.json"
        path.write_text(json.dumps(spaces, indent=1) + "\n")
        print(f"\nwritten to {out}")
        return
    path = out / f"mixed-{jax.default_backend()}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    found: dict[str, Any] = {}
    for shapes in ("signs", "digits"):
        if shapes in shaped:
            found[shapes] = measure(shapes, options, options.space)
            if options.sides == "ours":
                found[shapes]["rows"] += kept(before.get(shapes), found[shapes])
            print(f"\n{against_ours(found[shapes])}", flush=True)
        elif shapes in before:
            found[shapes] = before[shapes]
    path.write_text(json.dumps(found, indent=1) + "\n")
    if is_installed("matplotlib"):
        draw(found, path.with_suffix(".png"))
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
