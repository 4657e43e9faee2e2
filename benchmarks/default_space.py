"""Does each part of `jaxnn.default_space` pay?

    taskset -c 0 python benchmarks/default_space.py             (classes; an hour)
    taskset -c 0 python benchmarks/default_space.py --reals
    python benchmarks/default_space.py --quick

Searches of equally many seconds, on one core and with compiling, over the default space and over
each of its variants, in which one part is left out, fixed or added. A fifth of each table of
`sets.TUNING` is unseen; five folds validate, or of many examples a fifth. Shown is the variant
minus the default space, in accuracy (points) and log-loss of the unseen examples, or in rmse and
mae relative to the default space's: means over tables and seeds, with standard errors over the
tables, of the best network as it was trained and of the greedy ensemble.

Twelve tables of classes, one seed, 20 seconds on a core of an AMD EPYC, JAX 0.10.2, 28 November
2026:

| variant | best, points | log-loss | greedy, points | log-loss |
| --- | --- | --- | --- | --- |
| the default space itself | 0.8654 | 0.3634 | 0.8731 | 0.2682 |
| no first setting | -0.01 ± 0.32 | +0.011 ± 0.008 | +0.24 ± 0.17 | -0.001 ± 0.001 |
| no dropout | -0.06 ± 0.58 | +0.045 ± 0.069 | +0.19 ± 0.27 | +0.001 ± 0.002 |
| constant learning rate | -0.71 ± 0.21 | +0.079 ± 0.059 | +0.18 ± 0.21 | +0.005 ± 0.002 |
| batch norm | -0.19 ± 0.66 | -0.031 ± 0.045 | +0.01 ± 0.32 | -0.002 ± 0.003 |
| silu | +0.11 ± 0.35 | -0.031 ± 0.034 | +0.36 ± 0.31 | -0.002 ± 0.003 |
| weight decay drawn | +0.03 ± 0.24 | -0.038 ± 0.019 | +0.34 ± 0.23 | -0.001 ± 0.002 |
| learning rate 1e-3 to 1e-1 | -0.07 ± 0.15 | +0.021 ± 0.015 | +0.30 ± 0.28 | +0.002 ± 0.003 |
| three layers of 128 | -0.42 ± 0.37 | +0.084 ± 0.085 | +0.50 ± 0.22 | -0.002 ± 0.002 |
| two layers of 256 | -0.42 ± 0.39 | +0.001 ± 0.048 | +0.07 ± 0.22 | -0.001 ± 0.002 |

Two errors are exceeded by the cosine schedule, for the best network, and by three layers, for the
ensemble. What costs time and was no gain is left out; dropout and the first setting are kept
without proof. Before that, with batch norm, SiLU and AdamW in all variants, a structure that is
drawn cost the ensemble 2.4 ± 1.2 points: in 20 seconds all lanes are padded to the largest network,
so that 4 to 16 settings fit in place of 100. Mini-batches that are drawn cost 0.5 ± 0.3 there, and
label smoothing that is drawn 0.5 ± 0.4. Real targets were not compared yet.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import sets
from measuring import log_loss, table

import jaxnn
from jaxnn.settings.domains import Domain

Space = dict[str, Any]
Variant = Callable[[Space], Space]


def having(**changes: Any) -> Variant:
    return lambda space: space | changes


COMMON: dict[str, Variant] = {
    "default": having(),
    "no first setting": having(),
    "no dropout": having(dropout=0.0),
    "constant learning rate": having(decay_schedule="none"),
    "batch norm": having(batch_norm=True),
    "silu": having(activation="silu"),
    "weight decay drawn": having(optimizer="adamw", weight_decay=jaxnn.loguniform(1e-3, 1e0)),
    "learning rate 1e-3 to 1e-1": having(learning_rate=jaxnn.loguniform(1e-3, 1e-1)),
    "three layers of 128": having(hidden=(128, 128, 128)),
    "two layers of 256": having(hidden=(256, 256)),
    "hidden drawn": having(
        hidden=jaxnn.layers(jaxnn.randint(1, 3), jaxnn.lograndint(32, 256), shape="brick")
    ),
    "mini-batches of 16, 32, 64": having(batch_size=jaxnn.choice([16, 32, 64])),
}
CLASSES = COMMON | {"label smoothing drawn": having(label_smoothing=jaxnn.choice([0.0, 0.1]))}
REALS = COMMON | {"huber's loss drawn": having(loss=jaxnn.choice(["squared", "huber"]))}


def measured(fitted: Any, test: jaxnn.Dataset) -> tuple[float, float]:
    """Accuracy and log-loss, or rmse and mae."""
    y = np.asarray(test.original_y)
    if test.is_real:
        errors = fitted.predict(test.original) - y
        return float(np.sqrt(np.square(errors).mean())), float(np.abs(errors).mean())
    return fitted.score(test), log_loss(fitted.predict_proba(test.original), y)


Row = dict[str, Any]


def run(name: str, variants: dict[str, Variant], seed: int, seconds: float) -> list[Row]:
    rest, test = sets.parts({**sets.TUNING, **sets.TUNING_REALS}[name], seed)
    rows = []
    # each begins at another variant, so that none is always first
    names = [*variants]
    shift = (sum(map(ord, name)) + seed) % len(names)
    for variant in names[shift:] + names[:shift]:
        change = variants[variant]
        setting = jaxnn.default_setting(rest)
        space = change(jaxnn.default_space(rest))
        # as it is in the variant of the space
        setting |= {key: one for key, one in space.items() if not isinstance(one, Domain)}
        setting |= {key: one.value(0.0) for key, one in space.items() if key not in setting}
        jax.clear_caches()
        study = jaxnn.search(
            space, rest, seconds=seconds, first=[] if variant == "no first setting" else [setting],
            seed=seed, order_seed=seed, progress=False, **sets.validated(rest),
        )  # fmt: skip
        for answer, one in (("best", study.fitted()), ("greedy", study.ensemble(method="greedy"))):
            rows.append(
                {
                    "set": name, "seed": seed, "variant": variant, "answer": answer,
                    "values": measured(one, test), "settings": len(study.given),
                }
            )  # fmt: skip
            print(*rows[-1].values(), flush=True)
    return rows


def shown(rows: list[Row], is_real: bool) -> str:
    lines = [["variant", "answer", *(["rmse, %", "mae, %"] if is_real else ["points", "log-loss"])]]
    variants = dict.fromkeys(row["variant"] for row in rows)
    for answer in ("best", "greedy"):
        own = [row for row in rows if row["answer"] == answer]
        base = {
            (r["set"], r["seed"]): np.array(r["values"]) for r in own if r["variant"] == "default"
        }
        for variant in variants:
            by_set: dict[str, list[np.ndarray]] = {}
            for row in own:
                if row["variant"] == variant:
                    known = base[row["set"], row["seed"]]
                    less = np.array(row["values"]) - known
                    less = 100 * less / known if is_real else less * [100, 1]
                    by_set.setdefault(row["set"], []).append(less)
            if variant == "default":
                means = np.mean([*base.values()], axis=0)
                lines.append([variant, answer, *(f"{one:.4g}" for one in means)])
                continue
            each = np.array([np.mean(some, axis=0) for some in by_set.values()])
            errors = (
                each.std(axis=0, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.full(2, np.nan)
            )
            cells = [f"{m:+.3f} ± {e:.3f}" for m, e in zip(each.mean(axis=0), errors, strict=True)]
            lines.append([variant, answer, *cells])
    return table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--reals", action="store_true", help="real targets")
    parser.add_argument("--problems", nargs="+")
    parser.add_argument("--variants", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--out", type=Path, help="a file of JSON lines, to which runs are added")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    variants = REALS if given.reals else CLASSES
    problems = given.problems or [*(sets.TUNING_REALS if given.reals else sets.TUNING)]
    if given.quick:
        problems, given.seconds, given.variants = problems[:1], 8, ["default", "no dropout"]
    variants = {name: variants[name] for name in given.variants or variants}
    rows: list[Row] = []
    for seed in given.seeds:
        for name in problems:
            new = run(name, variants, seed, given.seconds)
            rows += new
            if given.out is not None:
                with given.out.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in new)
    print(shown(rows, given.reals))


if __name__ == "__main__":
    main()
