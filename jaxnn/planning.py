"""The plan: which settings share a compiled program, and how many lanes it trains at a time."""

import dataclasses
import functools
import io
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console, Group
from rich.table import Table

from jaxnn.checks import whole_number
from jaxnn.datasets import Dataset
from jaxnn.mixtures import Mixture
from jaxnn.optimizers import MOMENTS
from jaxnn.preparing import Recipe, check_row_space, recipes
from jaxnn.settings import Setting
from jaxnn.training import Program
from jaxnn.types import Model, as_model


class Rates(NamedTuple):
    """What a kind of device does in a second, with all its cores, and what compiling takes.

    Attributes:
      products: operations of matrix products with mini-batches (a multiplication and an addition
        are two).
      bandwidth: bytes of weights, gradients and moments.
      activations: activations, forward and back, with what a layer does to each.
      draws: random numbers, for dropout.
      step: seconds that a step takes at least, whatever its lanes.
      lane: seconds that a lane's step takes beside all that.
      compile: seconds to compile a program, and `compile_layer` for each layer.
    """

    products: float
    bandwidth: float
    activations: float
    draws: float
    step: float
    lane: float
    compile: float
    compile_layer: float


RATES = {
    # two cores of an AMD EPYC with AVX2, JAX 0.10: fitted to `benchmarks/mixed.py --rates`
    "cpu": Rates(150e9, 25e9, 1e9, 0.1e9, 50e-6, 2e-6, 1.5, 0.8),
    # not measured: published rates of an H100 and of a TPU v4, at a fifth of their peak
    "gpu": Rates(10e12, 0.7e12, 50e9, 50e9, 150e-6, 0.0, 4.0, 1.5),
    "tpu": Rates(10e12, 0.25e12, 20e9, 20e9, 100e-6, 0.0, 4.0, 1.5),
}
"""Kind of device -> rates. Part of the package, so that the same call gives the same plan."""

_MOST_PAIRED = 128
"""Structures of which every pair is compared; more are first joined with their neighbours."""


@dataclasses.dataclass(frozen=True)
class PlannedProgram:
    """Settings that share a compiled program.

    Attributes:
      program: its structure.
      inputs: their treatment of the inputs.
      settings: their numbers.
      num_lanes: settings x repetitions.
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

    @property
    def num_chunks(self) -> int:
        return -(-self.num_lanes // self.chunk)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """How a sweep is trained: programs, longest first. `print(plan)` shows it.

    Attributes:
      device: kind of device, "cpu", "gpu" or "tpu".
      programs: the compiled programs.
      num_settings, seeds, epochs, num_examples, num_features: what was planned for; the features
        after rotation, if there is one.
      note: what the user may want to know, or "".
    """

    device: str
    programs: tuple[PlannedProgram, ...]
    num_settings: int
    seeds: int
    epochs: int
    num_examples: int
    num_features: int
    note: str = ""

    @property
    def seconds(self) -> float:
        """Expected wall time of training, compiling left out."""
        return sum(planned.seconds for planned in self.programs)

    @property
    def compile_seconds(self) -> float:
        """Expected time of compiling, summed over programs."""
        return sum(planned.compile_seconds for planned in self.programs)

    @property
    def padded_share(self) -> float:
        """1 - real / executed seconds: padding, lanes that fill up, moments that not all need."""
        return 1 - sum(planned.real_seconds for planned in self.programs) / self.seconds

    @property
    def memory(self) -> int:
        """Bytes of the largest chunk's weights, gradients and moments."""
        return max(planned.memory for planned in self.programs)

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=120)
        console.print(self._table())
        return str(console.file.getvalue())  # type: ignore[attr-defined]

    def _repr_html_(self) -> str:
        console = Console(record=True, file=io.StringIO(), width=120, force_jupyter=False)
        console.print(self._table())
        layout = '<pre style="line-height:normal;font-family:monospace">{code}</pre>'
        return console.export_html(inline_styles=True, code_format=layout)

    def _table(self) -> Group:
        lanes = self.num_settings * self.seeds
        head = (
            f"{self.num_settings:,} settings x {self.seeds:,} on {self.device}: {lanes:,} lanes in "
            f"{_count(len(self.programs), 'program')}; {self.num_examples:,} examples, "
            f"{self.num_features:,} features, {_count(self.epochs, 'epoch')}"
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
                f"{1 - planned.real_seconds / planned.seconds:.0%}",
                _duration(planned.seconds),
            )
        foot = (
            f"Padded work {self.padded_share:.0%}; expected {_duration(self.seconds)} and "
            f"{_duration(self.compile_seconds)} of compiling, summed over programs; "
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

    Settings of any structure may share one, but for the mini-batch size and `inputs`: what differs
    is padded, or computed for all and chosen by lane. From a program for each structure, the two
    whose union saves most time are joined, until none saves any: a compilation less, against what
    the union's lanes work more in all epochs, by `rates`.

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
      a `Plan`: a pure function of the arguments and the kind of device.

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
    if rates is not None and not isinstance(rates, Rates):
        raise ValueError(f"rates got {rates!r}; expected jaxnn.Rates(...)")
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
    row_space: bool = False,
    rates: Rates | None = None,
    chunk: int | None = None,
) -> Plan:
    """`plan` for settings that were checked."""
    device = jax.local_devices()[0]
    kind = device.platform if device.platform in RATES else "gpu"
    num_features = given = math.prod(train.x.shape[1:])
    if row_space and len(train) < num_features:
        num_features = len(train)
    work = _Work(rates or RATES[kind], seeds, epochs, len(train), device, chunk)
    groups: dict[tuple[str, Program], list[int]] = {}
    for number, one in enumerate(prepared):
        program = one.program.with_features(num_features)
        groups.setdefault((one.setting["inputs"], program), []).append(number)
    real = {key: work.lane_seconds(key[1]) for key in groups}
    blocks: dict[tuple[str, int], dict[Program, list[int]]] = {}
    for (inputs, program), numbers in groups.items():
        blocks.setdefault((inputs, program.batch_size), {})[program] = numbers
    programs = []
    for (inputs, _), block in blocks.items():
        real_of = {n: real[inputs, program] for program, numbers in block.items() for n in numbers}
        for program, numbers in _joined(block, work):
            programs.append(
                PlannedProgram(
                    program,
                    inputs,
                    tuple(sorted(numbers)),
                    len(numbers) * seeds,
                    work.chunk(program),
                    work.seconds(program, len(numbers)),
                    sum(real_of[n] for n in numbers) * seeds,
                    work.compile_seconds(program),
                    work.chunk(program) * lane_bytes(program),
                )
            )
    programs.sort(key=lambda planned: (-planned.seconds, planned.settings))
    return Plan(
        kind,
        tuple(programs),
        len(prepared),
        seeds,
        epochs,
        len(train),
        num_features,
        _advice(programs, work, len(train), given) if not row_space else "",
    )


def check_plan(plan: Plan, prepared: Sequence[Recipe]) -> None:
    """ValueError unless the plan was made for these settings."""
    planned = {number: one for one in plan.programs for number in one.settings}
    if sorted(planned) != list(range(len(prepared))):
        raise ValueError(
            f"plan got one for {len(planned)} settings; expected one for these {len(prepared)}"
        )
    for number, one in enumerate(prepared):
        program = planned[number].program
        # the features may be those of the whole set, and the sweep's those of a part of it
        own, program = (p.with_features(1) for p in (one.program, program))
        if planned[number].inputs != one.setting["inputs"] or own.merged(program) != program:
            raise ValueError(
                f"plan got a program for settings[{number}] that does not fit its structure; "
                "expected a plan of the same settings and data"
            )


def lane_bytes(program: Program) -> int:
    """Of a lane's weights, gradients and moments."""
    moments = sum(any(MOMENTS[name][i] for name in program.optimizers) for i in (0, 1))
    return _num_weights(program.model) * (2 + moments) * jnp.result_type(float).itemsize


@functools.lru_cache
def _num_weights(model: Model | Mixture) -> int:
    if isinstance(model, Mixture):
        return model.num_weights
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def default_chunk(program: Program, device: jax.Device) -> int:
    """How many lanes a device trains at a time: a function of structure and kind of device alone.

    A power of two. On a CPU at most 32, and weights, gradients and moments of at most 40 MB, so
    that they have a chance to stay in its cache (measured on 64-32-16-10 and 12288-25-12-6: more
    lanes are not faster, and a short sweep would train more that are thrown away). Elsewhere at
    most 8,192, in an eighth of the memory.
    """
    if device.platform == "cpu":
        most, memory = 32, 40e6
    else:
        most, memory = 8192, (device.memory_stats() or {}).get("bytes_limit", 8e9) / 8
    lanes = min(most, memory / max(lane_bytes(program), 1))
    return 2 ** max(0, int(math.log2(lanes)))


class _Work(NamedTuple):
    """The cost model: seconds of a program's lanes over all epochs, and of compiling it."""

    rates: Rates
    seeds: int
    epochs: int
    num_examples: int
    device: jax.Device
    fixed_chunk: int | None

    def chunk(self, program: Program) -> int:
        return self.fixed_chunk or default_chunk(program, self.device)

    def lane_seconds(self, program: Program) -> float:
        """Of one lane in a full chunk, over all epochs."""
        rates, model = self.rates, program.model
        weights, batch = _num_weights(model), program.batch_size
        moments = sum(any(MOMENTS[name][i] for name in program.optimizers) for i in (0, 1))
        # forward, gradients of the weights, and of the inputs of all layers but the first
        products, activations = 6 * weights, 0
        if isinstance(model, Mixture):
            products -= 2 * model.units[0] * model.units[1]
            activations = sum(model.hidden) * (2 if True in model.batch_norms else 1)
            activations += sum(model.hidden) * (len(model.activations) - 1) // 2
        # a gradient written and read, a weight and each moment read and written, l2's two reads
        itemsize = jnp.result_type(float).itemsize
        traffic = itemsize * weights * (4 + 4 * moments + 2 * program.has_l2)
        per_step = (
            batch * products / rates.products
            + traffic / rates.bandwidth
            + batch * activations / rates.activations
            + batch * activations * program.has_dropout / rates.draws
            + rates.step / self.chunk(program)
            + rates.lane
        )
        return per_step * math.ceil(self.num_examples / batch) * self.epochs

    def seconds(self, program: Program, num_settings: int) -> float:
        """Of all chunks; the last one is filled up."""
        chunk = self.chunk(program)
        chunks = math.ceil(num_settings * self.seeds / chunk)
        return chunks * chunk * self.lane_seconds(program)

    def compile_seconds(self, program: Program) -> float:
        layers = len(program.model.units) - 1 if isinstance(program.model, Mixture) else 3
        return self.rates.compile + layers * self.rates.compile_layer

    def total(self, program: Program, num_settings: int) -> float:
        return self.compile_seconds(program) + self.seconds(program, num_settings)


Block = list[tuple[Program, list[int]]]


def _joined(block: dict[Program, list[int]], work: _Work) -> Block:
    """Programs of one mini-batch size, joined as long as that saves time."""
    groups: Block = sorted(block.items(), key=lambda group: repr(_order(group[0])))
    while len(groups) > _MOST_PAIRED:
        groups = _with_neighbours(groups)
    costs = [work.total(program, len(numbers)) for program, numbers in groups]
    gains: dict[tuple[int, int], tuple[float, Program]] = {}

    def compare(pairs: Iterable[tuple[int, int]]) -> None:
        for a, b in pairs:
            program = groups[a][0].merged(groups[b][0])
            if program is not None:
                together = work.total(program, len(groups[a][1]) + len(groups[b][1]))
                gains[a, b] = (costs[a] + costs[b] - together, program)

    alive = list(range(len(groups)))
    compare(itertools.combinations(alive, 2))
    while gains:
        (a, b), (gain, program) = max(gains.items(), key=lambda item: item[1][0])
        if gain <= 0:
            break
        groups.append((program, groups[a][1] + groups[b][1]))
        costs.append(work.total(program, len(groups[-1][1])))
        alive = [index for index in alive if index not in (a, b)]
        gains = {pair: v for pair, v in gains.items() if not {a, b} & set(pair)}
        compare((index, len(groups) - 1) for index in alive)
        alive.append(len(groups) - 1)
    return [groups[index] for index in alive]


def _order(program: Program) -> Any:
    """Programs that are cheap to join come side by side."""
    moments = tuple(any(MOMENTS[name][i] for name in program.optimizers) for i in (0, 1))
    model = program.model
    shape = (len(model.hidden), model.hidden) if isinstance(model, Mixture) else ()
    return (moments, program.has_dropout, program.has_l2, shape, program)


def _with_neighbours(groups: Block) -> Block:
    """Each second group joined with the one before it, where they can be."""
    halved: Block = []
    for first, second in itertools.zip_longest(groups[::2], groups[1::2]):
        program = first[0].merged(second[0]) if second else None
        if program is None:
            halved += [first, second] if second else [first]
        else:
            halved.append((program, first[1] + second[1]))
    return halved


def _advice(
    programs: list[PlannedProgram], work: _Work, num_examples: int, num_features: int
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


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
