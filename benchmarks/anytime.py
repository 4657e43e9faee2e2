"""How good is what a search returns after 15, 30, 60 and 120 seconds, against what others find?

    taskset -c 0 python benchmarks/anytime.py --out runs.jsonl          (extra `bench`; hours)
    taskset -c 0 python benchmarks/anytime.py --problems vehicle --seeds 0 --sides ours optuna
    python benchmarks/anytime.py --show runs.jsonl                      tables of what was written
    python benchmarks/anytime.py --quick

Each side gets four fifths of a table, stratified, and so many seconds on one core, compiling
included and imports not. It may hold out what it likes to validate. Then it predicts the last
fifth, which nobody looked at: accuracy and log-loss. Ten tables of classes, `sets.CLASSES`, which
played no part when `jaxnn.default_space` was tuned. Where an answer takes a tenth longer than the
seconds there is none, which ranks last.

- jaxnn: `search(None, rest, seconds=0.9 * s)`, with five folds or, from 2,500 examples on, a fifth
  held out; and then its best network as it was trained, or its greedy ensemble.
- scikit-learn: HalvingRandomSearchCV over MLPClassifier, a fifth to validate, epochs as the
  resource, up to 54; first 27 candidates, then as many as the rest of the seconds is expected to
  hold. The better of both, which it trains anew on all examples.
- Optuna + PyTorch: trials one by one, TPE and median pruning, AdamW with a cosine schedule,
  dropout, 54 epochs; the best network, or the ten best averaged.
- RealMLP (pytabkit): its tuned defaults from one seed after the other, averaged.

All treat inputs as their users would: standardised, or RealMLP's own way. Rows of runs are added to
`--out`; those that it has are not run again.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sets
from measuring import log_loss, table
from rivals import Answer, Side, Task, optuna, realmlp, scikit_learn

import jaxnn

SECONDS = (15, 30, 60, 120)


def ours(task: Task) -> Iterator[Answer]:
    import jax

    for budget in task.budgets:
        jax.clear_caches()
        start = time.perf_counter()
        study = jaxnn.search(
            None, task.rest, seconds=0.9 * budget, seed=task.seed, order_seed=task.seed,
            progress=False, **sets.validated(task.rest),
        )  # fmt: skip
        best = study.fitted().predict_proba(task.inputs)
        yield Answer(budget, "jaxnn, best", time.perf_counter() - start, best)
        together = study.ensemble(method="greedy").predict_proba(task.inputs)
        yield Answer(budget, "jaxnn, greedy", time.perf_counter() - start, together)


SIDES: dict[str, Side] = {
    "ours": ours,
    "sklearn": scikit_learn,
    "optuna": optuna,
    "realmlp": realmlp,
}


LATE = 1.1
"""Of its budget, what an answer may take."""


def measured(answer: Answer, y: np.ndarray) -> tuple[float, float] | tuple[None, None]:
    """Accuracy and log-loss; None if there is no answer in time."""
    found = answer.probabilities
    if found is None or answer.seconds > LATE * answer.budget:
        return None, None
    accuracy = float((found.argmax(axis=1) == y).mean())
    return round(accuracy, 5), round(log_loss(found, y), 5)


Row = dict[str, Any]


def rows_in(path: Path | None) -> list[Row]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(
    problems: Sequence[str], seeds: Sequence[int], sides: Sequence[str], budgets: tuple[int, ...],
    out: Path | None,
) -> list[Row]:  # fmt: skip
    rows = rows_in(out)
    done = {(row["set"], row["seed"], row["side"], row["budget"]) for row in rows}
    for seed in seeds:
        for name in problems:
            rest, test = sets.parts({**sets.TUNING, **sets.CLASSES}[name], seed)
            inputs = np.asarray(test.original, np.float32)
            for side in sides:
                left = tuple(one for one in budgets if (name, seed, side, one) not in done)
                new = []
                for answer in SIDES[side](Task(rest, inputs, seed, left)) if left else ():
                    accuracy, loss = measured(answer, np.asarray(test.y))
                    new.append(
                        {
                            "set": name, "seed": seed, "side": side, "name": answer.name,
                            "budget": answer.budget, "seconds": round(answer.seconds, 1),
                            "accuracy": accuracy, "loss": loss,
                        }
                    )  # fmt: skip
                    print(*new[-1].values(), flush=True)
                rows += new
                if out is not None:
                    with out.open("a") as file:
                        file.writelines(json.dumps(row) + "\n" for row in new)
    return rows


Of = dict[tuple[str, int, int], dict[str, float | None]]
"""(set, seed, budget) -> name of an answer -> value."""


def shown(rows: Sequence[Row], measure: str) -> str:
    """Means by set and budget, over the seeds that have an answer, and mean ranks."""
    names = [*dict.fromkeys(row["name"] for row in rows)]
    values: Of = defaultdict(dict)
    for row in rows:
        values[row["set"], row["seed"], row["budget"]][row["name"]] = row[measure]
    lines = [["set", "seconds", *names]]
    for name, budget in sorted({(own, budget) for own, _, budget in values}):
        cells = []
        for one in names:
            each = [
                found.get(one)
                for (own, _, at), found in values.items()
                if (own, at) == (name, budget)
            ]
            known = [value for value in each if value is not None]
            missing = f" ({len(known)} of {len(each)})" if len(known) < len(each) else ""
            cells.append(f"{np.mean(known):.3f}{missing}" if known else "-")
        lines.append([name, str(budget), *cells])
    return "\n\n".join([table(lines), *(ranks(values, names, measure, own) for own in OURS)])


OURS = ("jaxnn, best", "jaxnn, greedy")


def ranks(values: Of, names: Sequence[str], measure: str, own: str) -> str:
    """Mean ranks of one of our answers among those of others, over sets and seeds."""
    names = [own, *(one for one in names if one not in OURS)]
    lines = [["mean rank", "seconds", *names]]
    for budget in sorted({at for _, _, at in values}):
        whole = [f for (_, _, at), f in values.items() if at == budget and {*names} <= {*f}]
        if not whole:
            continue
        each = np.array([[worse(f[one], measure) for one in names] for f in whole])
        # equal values share the mean of their ranks
        less = (each[:, None, :] < each[:, :, None]).sum(axis=2)
        same = (each[:, None, :] == each[:, :, None]).sum(axis=2)
        means = (less + (same + 1) / 2).mean(axis=0)
        lines.append([f"{len(whole)} runs", str(budget), *(f"{one:.2f}" for one in means)])
    return table(lines)


def worse(value: float | None, measure: str) -> float:
    """What is larger for a worse value, and infinite for none."""
    if value is None:
        return math.inf
    return -value if measure == "accuracy" else value


def took(rows: Sequence[Row]) -> str:
    """The median and most seconds that answers took, as shares of their budgets."""
    lines = [["answer", "median", "most"]]
    for name in dict.fromkeys(row["name"] for row in rows):
        shares = [row["seconds"] / row["budget"] for row in rows if row["name"] == name]
        lines.append([name, f"{np.median(shares):.2f}", f"{max(shares):.2f}"])
    return table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    known = [*sets.CLASSES, *sets.TUNING]
    parser.add_argument("--problems", nargs="+", choices=known, default=[*sets.CLASSES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=[*SIDES])
    parser.add_argument("--budgets", nargs="+", type=int, default=SECONDS)
    parser.add_argument("--out", type=Path, help="a file of JSON lines, to which runs are added")
    parser.add_argument("--show", nargs="+", type=Path, help="only show such files")
    parser.add_argument("--quick", action="store_true", help="one table, 10 seconds, no RealMLP")
    given = parser.parse_args()
    if given.quick:
        given.problems, given.seeds, given.budgets = ["vehicle"], [0], [10]
        given.sides = ["ours", "sklearn", "optuna"]
    if given.show:
        rows = [row for path in given.show for row in rows_in(path)]
    else:
        rows = run(given.problems, given.seeds, given.sides, tuple(given.budgets), given.out)
    for measure in ("accuracy", "loss"):
        print(f"\n{measure}\n{shown(rows, measure)}")
    print(f"\nseconds, of the budget\n{took(rows)}")


if __name__ == "__main__":
    main()
