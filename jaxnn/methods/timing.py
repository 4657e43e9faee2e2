"""Budgets in seconds: how many settings and epochs fit, chosen before the training begins."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxnn.disk.commits import newest
from jaxnn.disk.encoding import decode
from jaxnn.engine.devices import num_cores, train_up_to
from jaxnn.engine.feeds import Feed, empty_record
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Call, Folds
from jaxnn.methods.arena import Drawn
from jaxnn.methods.budgets import Budget, Clock, check_seconds
from jaxnn.methods.starting import drawn_first, with_space
from jaxnn.methods.table import Method
from jaxnn.results.records import Record

SHARE = 0.9
"""The share of the seconds that the chosen training is expected to take."""

MOST_MEASURED_EPOCHS = 3000

MOST_PLANNED = 64
"""The most settings by which a plan is first made: the time of planning grows with their square."""

MOST_MEASURED = 0.1
"""The largest share of the seconds that an epoch may take which is trained to measure the speed."""

NUM_SETTINGS = 64
"""The settings of a search without a budget in seconds."""

LEAST_COMPILING = 0.2
"""The smallest part of the expected seconds of compiling that a compiler may need."""

MOST_WHOLE = 2**31 - 1

_STEPS, _LEAST_EPOCHS, _MOST_EPOCHS, _MOST_SETTINGS = 1500, 3, 60, 512
"""The steps of the longest training in a budget of medium size, bounds on its epochs, and the most
settings."""


class Counts(NamedTuple):
    """How much a search trains, as its arguments."""

    num_settings: int
    max_epochs: int
    min_epochs: int


class Pace(NamedTuple):
    """What training and compiling take, in units of what the plan expects."""

    training: float = 1.0
    compiling: float = 1.0


GUESSED = Pace(2.0, 2.5)
"""What is expected of a machine before it is measured, or if it cannot be."""

Start = tuple[Call, Drawn, int]
"""A call with all that it left open, what it draws first, and the epochs of all networks."""


def started(call: Call, how: Method, parts: Folds, clock: Clock) -> Start:
    """Returns the start of a search, with the numbers of settings and epochs that were left open.

    With a budget in seconds they are the largest of a ladder that is expected to fit, by a plan and
    by what compiling and training a first program took. A directory that was begun keeps its
    numbers.

    Args:
      call: the call; without a space it gets the default one.
      how: its method.
      parts: the data of each fold.
      clock: the seconds since the call began.

    Raises:
      ValueError: bad arguments, no budget in seconds and no number of epochs, or not one program
        can be compiled within it.
    """
    call = with_space(call, parts[0][0])
    given = call.arguments
    is_open = given["num_settings"] is None or given["max_epochs"] is None
    if given["seconds"] is None and given["max_epochs"] is None:
        raise ValueError("max_epochs got None; expected a whole number, or seconds such as 60")
    if given["seconds"] is not None:
        check_seconds(given["seconds"])
        if is_open and (known := _counts_in(call)) is not None:
            call = _filled(call, known)
        elif is_open:
            return _fitting(call, how, parts, clock)
    return _start(_filled(call, Counts(NUM_SETTINGS, 0, 1)), how, parts)


def _start(call: Call, how: Method, parts: Folds) -> Start:
    drawn, rungs = drawn_first(how, call, Budget.among(call.arguments), parts[0][0])
    work = round(sum(count * epochs for count, epochs in rungs))
    # a directory or a storage holds settings, where the call may have a study
    call = call.replaced(first=drawn.known) if drawn.known else call
    return call, drawn, work * call.options.seeds * call.options.folds


def _fitting(call: Call, how: Method, parts: Folds, clock: Clock) -> Start:
    """Returns the start of the largest search that is expected to fit into the seconds."""
    # bad numbers are told before anything is made of them
    Budget.among(_filled(call, Counts(NUM_SETTINGS, MOST_WHOLE, 1)).arguments)
    if how.draw == "grid" and call.arguments["num_settings"] is None:
        raise ValueError(
            "seconds came with method='grid' without num_settings; expected it, since a grid of "
            "other size has other values"
        )
    trial, ladder = _Trial(call, how, parts, clock), _ladder(call, len(parts[0][0]))
    chosen = ladder[len(ladder) // 2]
    for _ in range(2):
        # the more is trained, the more programs are worth compiling
        trial.plan(chosen, MOST_PLANNED)
        chosen = trial.largest(ladder)
    if trial.has_one_structure:
        # all of it, so that the program that is measured may be the search's
        trial.plan(chosen)
    trial.measure()
    chosen = trial.largest(ladder)
    if trial.expected(ladder[0]) > call.arguments["seconds"]:
        raise ValueError(
            f"seconds got {call.arguments['seconds']:g}; expected more: {ladder[0].num_settings} "
            f"settings and {ladder[0].max_epochs} epochs are expected to take "
            f"{trial.expected(ladder[0]):.2g} seconds, {trial.compile_seconds:.2g} of them to "
            "compile"
        )
    for _ in range(3):
        # few settings say little of many, whose chunks are full
        trial.plan(chosen)
        if (found := trial.largest(ladder)) == chosen:
            break
        chosen = found
    trial.plan(chosen)
    if call.arguments["max_epochs"] is None:
        most, each = ladder[-1].max_epochs, _epochs(chosen.max_epochs)
        ladder = [_counts(call, chosen.num_settings, one) for one in each if one <= most]
    trial.plan(trial.largest(ladder))
    return trial.start


class _Trial:
    """Plans of the searches that a call may become, and how fast they are."""

    def __init__(self, call: Call, how: Method, parts: Folds, clock: Clock):
        self._call, self._how, self._parts, self._clock = call, how, parts, clock
        self._seconds, self._pace = float(call.arguments["seconds"]), GUESSED
        self._compiled: Any = None
        self._planned: Counts | None = None

    def plan(self, counts: Counts, most: int | None = None) -> None:
        """Plans a search, by at most some of its settings."""
        num_settings = min(counts.num_settings, most or counts.num_settings)
        before, self._planned = self._planned, counts._replace(num_settings=num_settings)
        if self._planned == before:
            return
        self.start = _start(_filled(self._call, self._planned), self._how, self._parts)

    @property
    def _drawn(self) -> Drawn:
        return self.start[1]

    def _budget(self, counts: Counts) -> Budget:
        return Budget.among(_filled(self._call, counts).arguments)

    def _work(self, counts: Counts) -> float:
        """Returns the epochs of all settings together."""
        rungs = self._how.rungs(self._budget(counts))
        return sum(count * epochs for count, epochs in rungs)

    @property
    def compile_seconds(self) -> float:
        """The expected seconds of compiling what is not compiled yet; a core compiles a program."""
        programs = self._drawn.plan.programs
        each = [one.compile_seconds for one in programs if one.key != self._compiled]
        return self._pace.compiling * max(sum(each) / num_cores(), *each, 0.0)

    def expected(self, counts: Counts) -> float:
        """Returns the expected seconds of a search, by those of the planned one."""
        share = self._work(counts) / self._work(self._planned or counts)
        training = self._pace.training * self._drawn.plan.seconds * share
        return training + self.compile_seconds

    def largest(self, ladder: Sequence[Counts]) -> Counts:
        """Returns the last of a ladder that is expected to fit into what is left, or the first."""
        left = SHARE * self._seconds - self._clock.seconds()
        fits = [one for one in ladder if self.expected(one) <= left]
        return fits[-1] if fits else ladder[0]

    @property
    def has_one_structure(self) -> bool:
        """Whether all settings have the structure of the one program that trains them."""
        programs = {one.program for one in self._drawn.recipes}
        return len(programs) == len(self._drawn.plan.programs) == 1

    def measure(self) -> None:
        """Compiles the program of one setting, and trains a chunk on each core by it.

        Where all settings have one structure, it is that of the planned search: if the chosen
        search has chunks of the same size, it compiles nothing. Otherwise it is a structure in the
        middle of the planned ones, which compiles quickly.
        """
        drawn, train = self._drawn, self._parts[0][0]
        options = self._call.options.ranked(drawn.recipes)
        # one fold is enough, since folds train the same programs
        options = dataclasses.replace(
            options, folds=1, select="mean", progress=False, on_epoch=None
        )
        if self.has_one_structure:
            options = dataclasses.replace(options, chunk=drawn.plan.programs[0].chunk)
        by_size = sorted(drawn.recipes, key=lambda one: one.program.networks.num_weights)
        middle = by_size[len(by_size) // 2]
        (first,) = options.plan([middle], train, 1).programs
        prepared = [middle] * math.ceil(num_cores() * first.chunk / options.seeds)
        plan = options.plan(prepared, train, 1)
        if plan.seconds > MOST_MEASURED * self._seconds:
            return
        # long enough that a call's own cost is small
        epochs = min(1 + math.ceil(0.3 / plan.seconds), MOST_MEASURED_EPOCHS)
        parts, times = self._parts[:1], []
        record = empty_record(Record, options, parts, plan, epochs=epochs)
        feed = Feed(record=record, folds=parts, row_space=options.row_space)
        with open_job(record, options, feed, epochs * len(prepared)) as job:
            rows = job.add([one.setting for one in prepared], prepared, plan)
            for until in (1, epochs):
                start = self._clock.seconds()
                train_up_to(job, job.lanes(rows), until, goes_on=until < epochs)
                times.append(self._clock.seconds() - start)
        each = times[1] / (epochs - 1)
        training, compiling = each / plan.seconds, (times[0] - each) / first.compile_seconds
        # a program that this process or JAX's cache has compiled says nothing of others
        is_new = compiling > LEAST_COMPILING
        self._pace = Pace(training, compiling if is_new else GUESSED.compiling)
        self._compiled = first.key


def _ladder(call: Call, num_examples: int) -> list[Counts]:
    """Returns numbers of settings and epochs, each about 1.5 times as much work as those before."""
    medium = min(max(round(32 * _STEPS / num_examples), _LEAST_EPOCHS), _MOST_EPOCHS)
    first = call.arguments["first"]
    least = max(4, call.arguments["rounds"], 0 if isinstance(first, Record) else len(first))
    found = list[Counts]()
    for power in range(-24, 17):
        scale = 2 ** (power / 4)
        num_settings = max(least, min(round(32 * scale), _MOST_SETTINGS))
        epochs = min(max(1, round(medium * scale)), 4 * medium)
        found.append(_counts(call, num_settings, epochs))
    return [*dict.fromkeys(found)]


def _epochs(most: int) -> list[int]:
    """Returns numbers of epochs around one, closer to each other."""
    return sorted({max(1, round(most * 1.1**power)) for power in range(-24, 12)})


def _counts(call: Call, num_settings: int, max_epochs: int) -> Counts:
    """Returns counts with those that the call has, and a first rung that fits them."""
    given = call.arguments
    num_settings = given["num_settings"] or num_settings
    max_epochs = given["max_epochs"] or max(max_epochs, given["min_epochs"] or 1)
    rungs = math.floor(math.log(max(num_settings, 1), given["factor"]))
    least = given["min_epochs"] or max(1, round(max_epochs / given["factor"] ** rungs))
    return Counts(num_settings, max_epochs, least)


def _filled(call: Call, counts: Counts) -> Call:
    """Returns a call with counts in place of those that it leaves open."""
    missing = {name: one for name, one in counts._asdict().items() if call.arguments[name] is None}
    return call.replaced(**missing)


def _counts_in(call: Call) -> Counts | None:
    """Returns the counts of a search that was begun in the directory of a call."""
    directory = call.arguments["directory"]
    if directory is None:
        return None
    try:
        (_, _, about), *_ = newest(directory)
        arguments = {name: decode(one) for name, one in about["identity"]["arguments"].items()}
        return Counts(*(int(arguments[name]) for name in Counts._fields))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # what is wrong with it is said where the search begins
        return None
