"""`Plan`, the table of programs and the settings that share them, and how it is printed."""

import dataclasses
from collections.abc import Sequence

from rich.console import Group
from rich.table import Table

from jaxnn.compiled.programs import Program
from jaxnn.data.inputs import INPUTS
from jaxnn.disk.encoding import LARGE, SECONDS, TEXT, TRUTH, Rule, an, many, one_of, recorded, whole
from jaxnn.system.functions import Function, name_of, short_name
from jaxnn.system.terminal import as_html, as_text, counted, duration
from jaxnn.training.recipes import Recipe, by_structure

MOST_ROWS = 200
"""The most programs in a printed plan; the longest are shown."""


@recorded(
    program=an(Program),
    inputs=one_of(*INPUTS),
    settings=many(whole()),
    num_lanes=LARGE,
    chunk=whole(1),
    seconds=Rule("a number > 0", lambda value: SECONDS.is_valid(value) and value > 0),
    real_seconds=SECONDS,
    compile_seconds=SECONDS,
    memory=LARGE,
    num_chunks=LARGE,
)
@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedProgram:
    """Settings that share a compiled program.

    Attributes:
      program: the structure of the program.
      inputs: the settings' treatment of inputs.
      settings: the numbers of the settings.
      num_lanes: settings x repetitions x folds.
      chunk: lanes trained at a time; the last chunk is filled up.
      seconds: expected seconds of all epochs, without compiling.
      real_seconds: expected seconds of the same lanes without padding, each in its own structure.
      compile_seconds: expected seconds of compiling.
      memory: bytes of a chunk's weights, gradients and moments, and an estimate of those of a
        foreign model's activations.
      num_chunks: the number of chunks.
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

    @property
    def key(self) -> tuple[Program, str, int]:
        """What makes it the same program in another plan."""
        return self.program, self.inputs, self.chunk

    def accepts(self, recipe: Recipe) -> bool:
        """Whether a setting can be trained by this program."""
        # num_features is ignored: in row space it differs between a set and a part of it
        own, program = (one.with_features(1) for one in (recipe.program, self.program))
        return self.inputs == recipe.setting["inputs"] and own.merged(program) == program


@recorded(
    device=one_of("cpu", "gpu", "tpu"),
    programs=many(an(PlannedProgram)),
    num_settings=whole(),
    seeds=whole(1),
    epochs=whole(1),
    num_examples=whole(1),
    num_features=whole(1),
    row_space=TRUTH,
    folds=whole(1),
    note=TEXT,
)
@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Plan:
    """How a sweep is trained: programs, longest first. `print(plan)` shows it.

    Attributes:
      device: kind of device, "cpu", "gpu" or "tpu".
      programs: the compiled programs.
      num_settings, seeds, folds, epochs, num_examples, num_features, row_space: what was planned
        for; `num_features` counts the features of the row space, if it is used.
      note: advice to the user, or "".
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
        """Expected wall time of training on one device, without compiling."""
        return sum(planned.seconds for planned in self.programs)

    @property
    def compile_seconds(self) -> float:
        """Expected seconds of compiling, summed over programs."""
        return sum(planned.compile_seconds for planned in self.programs)

    @property
    def padded_share(self) -> float:
        """1 - real / executed seconds: padding, filled-up lanes and moments that go unused."""
        real = sum(planned.real_seconds for planned in self.programs)
        # a part of a study may have no programs
        return max(0.0, 1 - real / self.seconds) if self.programs else 0.0

    @property
    def memory(self) -> int:
        """Bytes of the largest chunk, as `PlannedProgram.memory`."""
        return max((planned.memory for planned in self.programs), default=0)

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
        losses = {planned.program.loss for planned in self.programs}
        if len(losses) > 1:
            table.add_column("loss", overflow="fold")
        table.add_column("padded", justify="right")
        table.add_column("time", justify="right")
        for planned in self.programs[:MOST_ROWS]:
            program = planned.program
            hidden, depths, activations, batch_norm = program.networks.words
            table.add_row(
                "-".join(map(str, dict.fromkeys(program.batch_sizes))),
                f"{planned.num_lanes:,}",
                f"{planned.num_chunks:,} x {planned.chunk:,}",
                hidden,
                depths,
                ", ".join(map(short_name, program.optimizers)),
                activations,
                batch_norm,
                *([short_name(program.loss)] if len(losses) > 1 else []),
                f"{max(0.0, 1 - planned.real_seconds / planned.seconds):.0%}",
                duration(planned.seconds),
            )
        foot = (
            f"Padded work {self.padded_share:.0%}; expected {duration(self.seconds)} and "
            f"{duration(self.compile_seconds)} of compiling, summed over programs; "
            f"{self.memory / 1e6:,.0f} MB a chunk at most."
        )
        more = len(self.programs) - MOST_ROWS
        rest = [f"... and {counted(more, 'program')} more."] if more > 0 else []
        return Group(head, table, *rest, foot, *([self.note] if self.note else []))


def functions_of(plan: Plan) -> dict[str, Function]:
    """Returns name -> function, of the user's own functions in a plan."""
    return {name_of(value): value for one in plan.programs for value in one.program.functions}


def check_plan(plan: Plan, prepared: Sequence[Recipe], row_space: bool) -> None:
    """Raises ValueError unless the plan fits these settings and `row_space`."""
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
    wrong = [
        number
        for one, rows in by_structure(prepared)
        # one row of each program
        for number in {id(planned[row]): row for row in reversed(rows)}.values()
        if not planned[number].accepts(one)
    ]
    if wrong:
        raise ValueError(
            f"plan got a program for settings[{min(wrong)}] that does not fit its structure; "
            "expected a plan of the same settings and data"
        )
