"""The plan: which settings share a compiled program, and how many lanes it trains at a time."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
from rich.console import Group
from rich.table import Table

from jaxnn.checks import whole_number
from jaxnn.costs import RATES, Rates, Work, check_rates, lane_bytes, num_moments
from jaxnn.datasets import Dataset
from jaxnn.mixtures import Mixture
from jaxnn.preparing import Recipe, check_row_space, recipes
from jaxnn.settings import Setting
from jaxnn.showing import as_html, as_text, counted, duration
from jaxnn.training import Program
from jaxnn.types import Model, as_model

MOST_PROGRAMS = 12
"""Beyond these, programs are joined even at a loss: each holds two cores for seconds and stays in
memory. (256 settings of mixed structure on SIGNS: 22 programs would train 9 % faster.)"""

_MOST_PAIRED = 256
"""Structures of which every pair is compared; more are first joined with their neighbours."""


@dataclasses.dataclass(frozen=True)
class PlannedProgram:
    """Settings that share a compiled program.

    Attributes:
      program: its structure.
      inputs: their treatment of the inputs.
      settings: their numbers.
      num_lanes: settings x repetitions x folds.
      chunk: lanes trained at a time; the last chunk is filled up.
      seconds: expected for all epochs, compiling left out.
      real_seconds: what the same lanes would take without padding, each in its own structure.
      compile_seconds: expected.
      memory: bytes of a chunk's weights, gradients and moments.
    """

    program: Program
    inputs: str
    settings: tuple[int, ...]
    num_lanes: int
    chunk: int
    seconds: float
    real_seconds: float
    compile_seconds: float
    memory: int
    num_chunks: int

    def accepts(self, recipe: Recipe) -> bool:
        """Whether a setting can be trained by this program."""
        # the features may be those of the whole set, and the recipe's those of a part of it
        own, program = (one.with_features(1) for one in (recipe.program, self.program))
        return self.inputs == recipe.setting["inputs"] and own.merged(program) == program


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """How a sweep is trained: programs, longest first. `print(plan)` shows it.

    Attributes:
      device: kind of device, "cpu", "gpu" or "tpu".
      programs: the compiled programs.
      num_settings, seeds, folds, epochs, num_examples, num_features, row_space: what was planned
        for; the features after rotation, if there is one.
      note: what the user may want to know, or "".
    """

    device: str
    programs: tuple[PlannedProgram, ...]
    num_settings: int
    seeds: int
    epochs: int
    num_examples: int
    num_features: int
    row_space: bool
    folds: int = 1
    note: str = ""

    @property
    def seconds(self) -> float:
        """Expected wall time of training on one device, compiling left out."""
        return sum(planned.seconds for planned in self.programs)

    @property
    def compile_seconds(self) -> float:
        """Expected time of compiling, summed over programs."""
        return sum(planned.compile_seconds for planned in self.programs)

    @property
    def padded_share(self) -> float:
        """1 - real / executed seconds: padding, lanes that fill up, moments that not all need."""
        return max(0.0, 1 - sum(planned.real_seconds for planned in self.programs) / self.seconds)

    @property
    def memory(self) -> int:
        """Bytes of the largest chunk's weights, gradients and moments."""
        return max(planned.memory for planned in self.programs)

    def __str__(self) -> str:
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table())

    def _table(self) -> Group:
        each = self.seeds * self.folds
        head = (
            f"{self.num_settings:,} settings x {each:,} on {self.device}: "
            f"{self.num_settings * each:,} lanes in "
            f"{counted(len(self.programs), 'program')}; {self.num_examples:,} examples, "
            f"{self.num_features:,} features, {counted(self.epochs, 'epoch')}"
        )
        table = Table(header_style="bold")
        for name in ("batch", "lanes", "chunks", "hidden units", "depths"):
            table.add_column(name, justify="right")
        for name in ("optimizers", "activations", "batch norm"):
            table.add_column(name, overflow="fold")
        table.add_column("padded", justify="right")
        table.add_column("time", justify="right")
        for planned in self.programs:
            program, model = planned.program, planned.program.model
            parts = ("its own", "", "", "")
            if isinstance(model, Mixture):
                parts = (
                    "-".join(map(str, model.hidden)) or "none",
                    ", ".join(map(str, model.depths)),
                    ", ".join(model.activations),
                    "some"
                    if len(model.batch_norms) > 1
                    else "yes"
                    if model.batch_norms[0]
                    else "no",
                )
            table.add_row(
                str(program.batch_size),
                f"{planned.num_lanes:,}",
                f"{planned.num_chunks:,} x {planned.chunk:,}",
                *parts[:2],
                ", ".join(program.optimizers),
                *parts[2:],
                f"{max(0.0, 1 - planned.real_seconds / planned.seconds):.0%}",
                duration(planned.seconds),
            )
        foot = (
            f"Padded work {self.padded_share:.0%}; expected {duration(self.seconds)} and "
            f"{duration(self.compile_seconds)} of compiling, summed over programs; "
            f"{self.memory / 1e6:,.0f} MB a chunk at most."
        )
        return Group(head, table, foot, *([self.note] if self.note else []))


def plan(
    settings: Sequence[Setting],
    train: Dataset,
    *,
    epochs: int = 60,
    seeds: int = 1,
    model: Model | None = None,
    row_space: bool = False,
    rates: Rates | None = None,
) -> Plan:
    """Decides which settings share a compiled program.

    Settings may share one if they have mini-batch size and `inputs` in common, and hidden layers or
    none: what differs otherwise is padded, or computed for all and chosen by lane. From a program
    for each structure, the two whose union saves most time are joined, until none saves any and
    there are no more than MOST_PROGRAMS: a compilation less, against what the union's lanes work
    more in all epochs, by `rates`.

    Args:
      settings: dicts, as from `sample`.
      train: the training set; its shape alone matters.
      epochs: of the sweep; the more there are, the more programs are worth their compilation.
      seeds: repetitions of each setting.
      model: a pair of pure functions in place of `mlp`.
      row_space: whether the sweep trains in the row space of the data.
      rates: the device's, measured by you; None takes those shipped for its kind. `sweep(...,
        plan=plan)` trains by this plan.

    Returns:
      a `Plan`: a pure function of the arguments, the kind of device (and its memory, where that is
      not a CPU) and the default float type.

    Raises:
      ValueError: bad input.

    >>> import numpy as np
    >>> data = Dataset(np.ones((100, 8)), np.arange(100) % 2)
    >>> settings = [{"hidden": (5,)}, {"hidden": (3, 2), "optimizer": "gd"}, {"batch_size": 64}]
    >>> [planned.settings for planned in plan(settings, data).programs]
    [(0, 1), (2,)]
    """
    if not isinstance(train, Dataset):
        raise ValueError(f"train got {type(train).__name__}; expected jaxnn.Dataset(x, y)")
    if rates is not None:
        check_rates(rates)
    epochs, seeds = whole_number("epochs", epochs, 1), whole_number("seeds", seeds, 1)
    model = None if model is None else as_model(model)
    check_row_space(row_space, model)
    return plan_recipes(
        recipes(settings, train, model), train, epochs, seeds, row_space=row_space, rates=rates
    )


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
    """`plan` for settings that were checked.

    Args:
      rungs: share of the settings and epochs of each stretch; None trains all of them to the end.
      known: programs that are there already; settings that fit into one need no other.
    """
    device = jax.local_devices()[0]
    kind = device.platform if device.platform in RATES else "gpu"
    num_features = given = math.prod(train.x.shape[1:])
    if row_space and len(train) < num_features:
        num_features = len(train)
    work = Work(
        rates or RATES[kind],
        seeds,
        folds,
        tuple(rungs or [(1.0, epochs)]),
        len(train),
        device,
        chunk,
    )
    structures: dict[tuple[str, Program], list[int]] = {}
    taken: dict[PlannedProgram, list[int]] = {one: [] for one in known}
    real = {}
    for number, one in enumerate(prepared):
        program = one.program.with_features(num_features)
        real[number] = work.real_seconds(program)
        fitting = [planned for planned in taken if planned.accepts(one)]
        if fitting:
            cost = lambda planned: work.epoch_seconds(planned.program, planned.chunk)
            taken[min(fitting, key=cost)].append(number)
        else:
            structures.setdefault((one.setting["inputs"], program), []).append(number)

    def planned(inputs: str, program: Program, numbers: list[int], chunk: int) -> PlannedProgram:
        lanes = len(numbers) * seeds
        return PlannedProgram(
            program,
            inputs,
            tuple(sorted(numbers)),
            lanes * folds,
            chunk,
            work.seconds(program, len(numbers), chunk),
            sum(real[number] for number in numbers),
            work.compile_seconds(program),
            chunk * lane_bytes(program),
            folds * work.num_chunks(lanes, chunk),
        )

    shared = [_Shared(inputs, program, ns) for (inputs, program), ns in structures.items()]
    programs = [
        planned(*one, work.chunk(one.program, len(one.settings))) for one in _joined(shared, work)
    ]
    programs += [planned(one.inputs, one.program, ns, one.chunk) for one, ns in taken.items() if ns]
    programs.sort(key=lambda planned: (-planned.seconds, planned.settings))
    return Plan(
        kind,
        tuple(programs),
        len(prepared),
        seeds,
        epochs,
        len(train),
        num_features,
        row_space,
        folds,
        _advice(programs, work, len(train), given) if not row_space else "",
    )


def check_plan(plan: Plan, prepared: Sequence[Recipe], row_space: bool) -> None:
    """ValueError unless the plan was made for these settings, in this space."""
    if plan.row_space != row_space:
        raise ValueError(
            f"plan got one for row_space={plan.row_space}; expected one for row_space={row_space}"
        )
    planned = {number: one for one in plan.programs for number in one.settings}
    count = sum(len(one.settings) for one in plan.programs)
    if count != len(prepared) or sorted(planned) != list(range(count)):
        raise ValueError(
            f"plan got one for {count} settings; expected one for these {len(prepared)}"
        )
    for number, one in enumerate(prepared):
        if not planned[number].accepts(one):
            raise ValueError(
                f"plan got a program for settings[{number}] that does not fit its structure; "
                "expected a plan of the same settings and data"
            )


class _Shared(NamedTuple):
    """Settings, by number, that share a program."""

    inputs: str
    program: Program
    settings: list[int]

    def joined(self, other: "_Shared") -> "_Shared | None":
        program = self.program.merged(other.program) if self.inputs == other.inputs else None
        return program and _Shared(self.inputs, program, self.settings + other.settings)

    @property
    def order(self) -> tuple[Any, ...]:
        """Puts side by side what is cheap to join."""
        program, model = self.program, self.program.model
        shape = (len(model.hidden), model.hidden) if isinstance(model, Mixture) else ()
        block = (self.inputs, program.batch_size, num_moments(program), program.has_dropout)
        return (block, shape, repr(program))


def _joined(groups: list[_Shared], work: Work) -> list[_Shared]:
    """Joins the pair that saves most time, again and again, until none does.

    Where there are still more than MOST_PROGRAMS, those that lose least are joined as well.
    """
    groups.sort(key=lambda group: group.order)
    while len(groups) > _MOST_PAIRED and len(halved := _with_neighbours(groups)) < len(groups):
        groups = halved
    total = lambda one: work.total(one.program, len(one.settings))
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
        if gain <= 0 and len(alive) <= MOST_PROGRAMS:
            break
        index = max(alive) + 1
        alive = {n: group for n, group in alive.items() if n not in pair} | {index: together}
        costs[index] = total(together)
        gains = {other: found for other, found in gains.items() if not {*pair} & {*other}}
        compare((n, index) for n in alive if n != index)
    return list(alive.values())


def _with_neighbours(groups: list[_Shared]) -> list[_Shared]:
    """Each second group joined with the one before it, where they can be."""
    halved: list[_Shared] = []
    for first, second in itertools.zip_longest(groups[::2], groups[1::2]):
        together = first.joined(second) if second else None
        halved += [together] if together else [first, second] if second else [first]
    return halved


def _advice(
    programs: list[PlannedProgram], work: Work, num_examples: int, num_features: int
) -> str:
    """The line about the row space, where it would pay."""
    is_ours = all(isinstance(planned.program.model, Mixture) for planned in programs)
    if num_examples >= num_features or not is_ours:
        return ""
    rotated = 0.0
    for planned in programs:
        program = planned.program.with_features(num_examples)
        rotated += work.seconds(program, len(planned.settings))
    faster = sum(planned.seconds for planned in programs) / rotated
    if faster < 1.5:
        return ""
    return (
        f"{num_examples:,} examples, {num_features:,} features: row_space=True trains about "
        f"{faster:.0f} x faster; exact for gd and momentum, another path for adam and rmsprop."
    )
