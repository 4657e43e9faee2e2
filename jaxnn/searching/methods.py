"""Search methods: halving, coarse to fine, and the zoom between its rounds."""

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from jaxnn.engine.chunks import train_up_to
from jaxnn.engine.jobs import Job
from jaxnn.results.records import Record
from jaxnn.results.trials import Rung
from jaxnn.settings.domains import Choice, Range
from jaxnn.settings.sampling import Settings, Space, sample

PROBES = 256
"""Settings that programs are planned for where the true ones are not known yet."""

METHODS = ("random", "sobol", "grid", "coarse_to_fine", "halving", "optuna")


def halving_steps(
    num_settings: int, min_epochs: int, max_epochs: int, factor: float
) -> list[tuple[int, int]]:
    """How many settings are trained up to which epoch, rung by rung.

    >>> halving_steps(128, 1, 40, 3)
    [(128, 1), (43, 3), (15, 9), (5, 27), (2, 40)]
    """
    steps, count, epochs = [], num_settings, float(min_epochs)
    while round(epochs) < max_epochs and count > 1:
        steps.append((count, round(epochs)))
        count, epochs = math.ceil(count / factor), epochs * factor
    return [*steps, (count, max_epochs)]


def climb(
    job: Job, numbers: Sequence[int], steps: Sequence[tuple[int, int]], patience: int | None
) -> None:
    """Trains settings rung by rung, each time the best of them as many as the step says."""
    study = job.study
    lanes, done = job.lanes(numbers), 0
    for step, (count, until) in enumerate(steps):
        if step:
            kept = _best(study, numbers, count, done)
            is_complete = np.all(study.is_complete, axis=1)
            study.dropped[[n for n in numbers if n not in kept and not is_complete[n]]] = done
            study.rungs.append(Rung(done, tuple(numbers), tuple(sorted(kept))))
            numbers = sorted(kept)
        going = set(numbers)
        job.stage = f"rung {step + 1} of {len(steps)}" if len(steps) > 1 else "training"
        while done < until and not job.is_called_off():
            # networks that ended need nothing more, and their places are for others
            lanes = [
                (number, repeat)
                for number, repeat in lanes
                if number in going
                and study.diverged[number, repeat] < 0
                and study.ends[number, repeat] > done
            ]
            done = until if patience is None else min(until, done + max(1, patience // 2))
            if lanes:
                train_up_to(job, lanes, done, goes_on=done < study.num_epochs)
            if patience is not None:
                _end_the_stuck(study, lanes, done, patience)
        if job.is_called_off():
            return
    if len(steps) > 1:
        study.rungs.append(Rung(done, tuple(numbers), tuple(numbers)))


def _best(study: Record, numbers: Sequence[int], count: int, done: int) -> set[int]:
    """The best of some settings that were all trained for `done` epochs.

    By the last third of these epochs: a single one is so noisy that on the later rungs, where the
    settings are alike, it would drop them nearly by chance.
    """
    first, second = study.losses(slice(done - max(1, done // 3), done))
    # a setting that has no value any more is dropped even where there is room
    fine = [number for number in numbers if np.isfinite(first[number])] or list(numbers)
    return set(sorted(fine, key=lambda n: (first[n], second[n], n))[:count])


def _end_the_stuck(study: Record, lanes: list[tuple[int, int]], done: int, patience: int) -> None:
    """Ends networks whose best epoch is `patience` epochs ago."""
    curve = study.curves[f"valid_{study.metric}"]
    for number, repeat in lanes:
        values = curve[number, repeat, :done]
        if np.isfinite(values).all():
            best = values.argmax() if study.metric == "accuracy" else values.argmin()
            if done - 1 - best >= patience:
                study.ends[number, repeat] = done


def coarse_to_fine(
    job: Job,
    space: Space,
    num_settings: int,
    rounds: int,
    seed: int,
    train_settings: Callable[[Sequence[dict[str, Any]]], list[int]],
) -> None:
    """Rounds of settings, each drawn from what the best so far leave of the space."""
    edges = [round(num_settings * step / rounds) for step in range(rounds + 1)]
    part = space
    for step in range(rounds):
        if job.is_over:
            return
        if step:
            # half a setting less: rounding must not make it one more
            top = (max(2, math.ceil(TOP * edges[1])) - 0.5) / len(job.study.given)
            part = zoom(space, job.study, min(1.0, top)) if len(job.study.ranked) > 1 else space
        drawn = sample(part, edges[step + 1] - edges[step], seed + step)
        train_settings(Settings(drawn, part))


TOP = 0.2
"""Share of a round's settings that the next round of coarse_to_fine is drawn around."""


def zoom(space: Space, study: Record, top: float = 0.1) -> dict[str, Any]:
    """The part of a space where a study's best settings lie, each range on its own scale.

    Of a range on which the best k settings lie at positions a to b of 0..1, what is left goes from
    a - m to b + m with m = (b - a) / (k - 1): k even draws from an interval leave that much at
    each end on the mean. It stays within the range: the summary of a study says where to widen one
    instead. Of a choice the options that the best settings have are left, in their order; fixed
    values stay, and of a range of whole numbers a single one may be left, which is then fixed.

    Args:
      space: the domains, by name.
      study: a sweep of settings from that space.
      top: the share of its settings that counts as best, in (0, 1]; two settings at least.

    Returns:
      a space, to `sample` from again.

    Raises:
      ValueError: fewer than two settings have a value, or one lacks a name of the space.

    >>> from jaxnn import Dataset, loguniform, sample, sweep
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> space = {"learning_rate": loguniform(1e-6, 1e0), "optimizer": "gd"}
    >>> study = sweep(sample(space, 32), Dataset(x, (x[:, 0] > 0) * 1), 0.25, epochs=5)
    >>> finer = zoom(space, study)
    >>> finer["learning_rate"].low > 1e-3, finer["learning_rate"].scale, finer["optimizer"]
    (True, 'log', 'gd')
    """
    if not isinstance(top, Real) or not 0 < top <= 1:
        raise ValueError(f"top got {top!r}; expected a share in (0, 1] such as 0.1")
    if len(study.ranked) < 2:
        raise ValueError(
            f"zoom got a study in which {len(study.ranked)} of {len(study.settings)} settings have "
            "a value; expected two at least"
        )
    best = [study.settings[n] for n in study.ranked[: max(2, math.ceil(top * len(study.settings)))]]
    zoomed = {}
    for name, domain in space.items():
        if isinstance(domain, Range | Choice):
            if name not in best[0]:
                raise ValueError(f"zoom got a study without {name!r}, which the space has")
            domain = _zoomed(name, domain, [one[name] for one in best], len(study.settings))
        zoomed[name] = domain
    return zoomed


def _zoomed(name: str, domain: Range | Choice, values: list[Any], num_settings: int) -> Any:
    if isinstance(domain, Choice):
        left = tuple(option for option in domain.options if option in values)
        if not left:
            raise ValueError(
                f"zoom got a study whose best settings have none of the options of {name!r}; "
                "expected one of settings from this space"
            )
        return Choice(left)
    positions = np.array([domain.position(value) for value in values])
    first, last = positions.min(), positions.max()
    # where the best are equal, the distance to what was tried beside them is left
    margin = max((last - first) / (len(values) - 1), 1 / (2 * num_settings))
    low, high = domain.value(max(0.0, first - margin)), domain.value(min(1.0, last + margin))
    # of whole numbers a single one may be left
    return Range(low, high, domain.scale, domain.is_whole) if low < high else low
