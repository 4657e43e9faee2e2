"""Planning: which settings share a compiled program, and the size of its chunks."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from jaxnn.compiled.programs import Program
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import check_row_space
from jaxnn.data.splits import checked_data
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.planning.costs import RATES, Rates, Work, check_rates
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.checks import whole_number
from jaxnn.training.recipes import Recipe, by_structure, recipes

MOST_PROGRAMS = 12
"""Above this number, programs are joined even at a loss: each takes seconds to compile and stays in
memory. (256 settings of mixed structure on SIGNS: 22 would train 9 % faster.)"""

MOST_LOST = 0.01
"""The largest share of all seconds that a union may lose there. (2,000 networks of 16 to 1,024
units on 600 examples: 2.1 hours in 30 programs, 4.6 in 12.)"""

_MOST_PAIRED = 256
"""The most groups whose pairs are all compared; more are first joined with their neighbours."""


def plan(
    settings: Sequence[Setting],
    train: Dataset,
    *,
    epochs: int = 60,
    seeds: int = 1,
    model: Model | ModelFn | None = None,
    row_space: bool = False,
    rates: Rates | None = None,
) -> Plan:
    """Decides which settings share a compiled program.

    Settings can share a program if they have the same `inputs`, and either all or none of them have
    hidden layers. A mini-batch is filled up to at most four times its size. Other differences are
    padded, or computed for all lanes and chosen by lane. Planning starts with a program for each
    structure and joins the two whose union saves most time, first among equal mini-batches, until
    no union saves time, and there are at most MOST_PROGRAMS or a further union would lose more than
    MOST_LOST of all seconds. A union saves a compilation and costs
    padded work in every epoch; `rates` says how much.

    Args:
      settings: dicts, as from `sample`.
      train: the training set; only its shape matters.
      epochs: epochs of the sweep; the more there are, the more programs are worth compiling.
      seeds: repetitions of each setting.
      model: a pair of pure functions in place of `mlp`, or a function that makes one, see `fit`.
      row_space: whether the sweep trains in the row space of the data.
      rates: rates that you measured for the device; None takes the shipped ones of its kind.

    Returns:
      a `Plan`: a pure function of the arguments, the kind of device (and its memory, unless it is a
      CPU) and the default float type. `sweep(..., plan=plan)` trains by it.

    Raises:
      ValueError: bad input.

    >>> import numpy as np
    >>> data = Dataset(np.ones((100, 8)), np.arange(100) % 2)
    >>> settings = [{"hidden": (5,)}, {"hidden": (3, 2), "optimizer": "gd"}, {"batch_size": 64}]
    >>> [planned.settings for planned in plan(settings, data).programs]
    [(0, 1), (2,)]
    """
    train, _ = checked_data(train, None, 0)
    if rates is not None:
        check_rates(rates)
    epochs, seeds = whole_number("epochs", epochs, 1), whole_number("seeds", seeds, 1)
    model = None if model is None else as_model(model)
    check_row_space(row_space, model)
    prepared = recipes(settings, train, model, epochs)
    return plan_recipes(prepared, train, epochs, seeds, row_space=row_space, rates=rates)


def plan_recipes(
    prepared: Sequence[Recipe],
    train: Dataset,
    epochs: int,
    seeds: int,
    *,
    folds: int = 1,
    rungs: Sequence[tuple[float, int]] | None = None,
    row_space: bool = False,
    rates: Rates | None = None,
    chunk: int | None = None,
    known: Sequence[PlannedProgram] = (),
) -> Plan:
    """Makes the plan of checked settings; arguments as for `plan`, and:

    Args:
      folds: data sets that each setting is trained on.
      rungs: (share of the settings, epochs) of each stretch; None trains all settings to the end.
      chunk: the size of all chunks; None chooses.
      known: programs that exist already; a setting that fits into one needs no other.
    """
    device = jax.local_devices()[0]
    kind = device.platform if device.platform in RATES else "gpu"
    given = math.prod(train.x.shape[1:])
    num_features = min(given, len(train)) if row_space else given
    work = Work(
        rates=rates or RATES[kind],
        seeds=seeds,
        folds=folds,
        rungs=tuple(rungs or [(1.0, epochs)]),
        num_examples=len(train),
        input_shape=train.x.shape[1:],
        device=device,
        fixed_chunk=chunk,
    )
    structures, taken, real = _by_program(prepared, num_features, known, work)

    shared = lambda inputs, program, rows: _Shared(
        inputs, program, rows, Counter(prepared[row].program.batch_size for row in rows)
    )
    new = _joined([shared(*structure, rows) for structure, rows in structures.items()], work)
    programs = [_planned(one, work.chunk(one.program, one.sizes), real, work) for one in new]
    programs += [
        _planned(shared(one.inputs, one.program, rows), one.chunk, real, work)
        for one, rows in taken.items()
        if rows
    ]
    programs.sort(key=lambda planned: (-planned.seconds, planned.settings))
    return Plan(
        device=kind,
        programs=tuple(programs),
        num_settings=len(prepared),
        seeds=seeds,
        epochs=epochs,
        num_examples=len(train),
        num_features=num_features,
        row_space=row_space,
        folds=folds,
        note=_advice(programs, work, len(train), given) if not row_space else "",
    )


Rows = list[int]


def _by_program(
    prepared: Sequence[Recipe], num_features: int, known: Sequence[PlannedProgram], work: Work
) -> tuple[dict[tuple[str, Program], Rows], dict[PlannedProgram, Rows], dict[int, float]]:
    """Returns the rows of settings, by their own structure or by the known program they fit.

    And for each row the seconds of its lanes in its own structure.
    """
    structures: dict[tuple[str, Program], Rows] = {}
    taken: dict[PlannedProgram, Rows] = {one: [] for one in known}
    real: dict[int, float] = {}
    for one, rows in by_structure(prepared):
        program = one.program.with_features(num_features)
        real |= dict.fromkeys(rows, work.real_seconds(program))
        fitting = [planned for planned in taken if planned.accepts(one)]
        if fitting:
            cost = lambda planned: work.step_seconds(planned.program, planned.chunk)
            taken[min(fitting, key=cost)] += rows
        else:
            structures.setdefault((one.setting["inputs"], program), []).extend(rows)
    return structures, taken, real


class _Shared(NamedTuple):
    """Settings, by row, that share a program."""

    inputs: str
    program: Program
    settings: list[int]
    sizes: Counter[int]

    def joined(self, other: "_Shared") -> "_Shared | None":
        program = self.program.merged(other.program) if self.inputs == other.inputs else None
        settings, sizes = self.settings + other.settings, self.sizes + other.sizes
        return program and _Shared(self.inputs, program, settings, sizes)

    @property
    def order(self) -> tuple[Any, ...]:
        """A sort key: groups that are cheap to join come next to each other."""
        program, hidden = self.program, self.program.networks.hidden
        block = (self.inputs, program.batch_size, program.num_moments, program.switches)
        # without the addresses of functions, which differ from process to process
        text = re.sub(r" at 0x[0-9a-f]+", "", repr(program))
        return (block, len(hidden), hidden, text)


def _planned(shared: _Shared, chunk: int, real: Mapping[int, float], work: Work) -> PlannedProgram:
    """Returns the plan of a program; `real` is the seconds of each row in its own structure."""
    program, sizes = shared.program, shared.sizes
    return PlannedProgram(
        program=program,
        inputs=shared.inputs,
        settings=tuple(sorted(shared.settings)),
        num_lanes=len(shared.settings) * work.seeds * work.folds,
        chunk=chunk,
        seconds=work.seconds(program, sizes, chunk),
        real_seconds=sum(real[row] for row in shared.settings),
        compile_seconds=work.compile_seconds(program),
        memory=chunk * program.lane_bytes(work.input_shape),
        num_chunks=work.num_chunks(sizes, chunk),
    )


def _joined(groups: list[_Shared], work: Work) -> list[_Shared]:
    """Joins groups where that saves time, and to at most MOST_PROGRAMS.

    Groups of equal mini-batches are joined first, since comparing all pairs takes long.
    """
    groups.sort(key=lambda group: group.order)
    for is_equal in (True, False):
        while len(groups) > _MOST_PAIRED:
            halved = _with_neighbours(groups, is_equal)
            if len(halved) == len(groups):
                break
            groups = halved
    blocks = itertools.groupby(groups, lambda group: group.program.batch_sizes)
    equal = [one for _, block in blocks for one in _best_joined([*block], work, len(groups))]
    return _best_joined(equal, work, MOST_PROGRAMS)


def _best_joined(groups: list[_Shared], work: Work, most: int) -> list[_Shared]:
    """Joins the pair of groups that saves most time, repeatedly, until no pair saves any.

    If more than `most` are left, pairs that lose at most MOST_LOST of all seconds are joined, too.
    """
    total = lambda one: work.total(one.program, one.sizes)
    alive = dict(enumerate(groups))
    costs = {index: total(group) for index, group in alive.items()}
    gains: dict[tuple[int, int], tuple[float, _Shared]] = {}

    def compare(pairs: Iterable[tuple[int, int]]) -> None:
        for a, b in pairs:
            together = alive[a].joined(alive[b])
            if together is not None:
                gains[a, b] = (costs[a] + costs[b] - total(together), together)

    compare(itertools.combinations(alive, 2))
    while gains:
        pair, (gain, together) = max(gains.items(), key=lambda item: item[1][0])
        most_lost = MOST_LOST * sum(costs[n] for n in alive) if len(alive) > most else 0.0
        if -gain >= most_lost:
            break
        index = max(alive) + 1
        alive = {n: group for n, group in alive.items() if n not in pair} | {index: together}
        costs[index] = total(together)
        gains = {other: found for other, found in gains.items() if not {*pair} & {*other}}
        compare((n, index) for n in alive if n != index)
    return list(alive.values())


def _with_neighbours(groups: list[_Shared], is_equal: bool) -> list[_Shared]:
    """Joins groups pairwise, where they can be joined, or only those of equal mini-batches."""
    halved: list[_Shared] = []
    for first, second in itertools.zip_longest(groups[::2], groups[1::2]):
        sizes = {one.program.batch_sizes for one in (first, second) if one}
        together = first.joined(second) if second and len(sizes) <= 2 - is_equal else None
        halved += [together] if together else [first, second] if second else [first]
    return halved


def _advice(
    programs: list[PlannedProgram], work: Work, num_examples: int, num_features: int
) -> str:
    """Returns advice on how to train faster, or ""."""
    if any(work.is_one_by_one(planned.program) and planned.chunk == 1 for planned in programs):
        return (
            "Lanes with convolutions are trained one after another: vmapped, as grouped "
            "convolutions, they are slower here. As matrix products they are far faster: "
            "nn.Conv(..., conv_general_dilated=jaxnn.convolution)."
        )
    can_rotate = all(one.program.networks.num_features is not None for one in programs)
    if num_examples >= num_features or not can_rotate:
        return ""
    # one size in place of all: what counts is the ratio
    given, rotated = (
        sum(
            work.seconds(one.program.with_features(n), {one.program.batch_size: len(one.settings)})
            for one in programs
        )
        for n in (num_features, num_examples)
    )
    faster = given / rotated
    if faster < 1.5:
        return ""
    return (
        f"{num_examples:,} examples, {num_features:,} features: row_space=True trains about "
        f"{faster:.0f} x faster; exact for gd and momentum, another path for adam and rmsprop."
    )
