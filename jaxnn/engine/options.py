"""Calls of `sweep`, `search` and `Run` as values, and the options in their arguments."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import check_row_space
from jaxnn.data.splits import checked_data, stratified_folds
from jaxnn.functional.metrics import COST, METRICS
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.planning.joining import plan_recipes
from jaxnn.planning.plans import Plan
from jaxnn.system.checks import check_fits, device_memory, either, whole_number
from jaxnn.system.functions import short_name
from jaxnn.system.terminal import call_text
from jaxnn.training.hooks import OnEpoch, check_on_epoch
from jaxnn.training.recipes import Recipe

MOST_LANES = 2**20
"""The most lanes of a chunk, which the host lists one by one."""

Folds = list[tuple[Dataset, Dataset | None]]
"""Training and validation set of each fold; one pair without cross-validation."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Arguments that say how networks are trained and ranked, see `sweep` and `search`.

    Raises:
      ValueError: bad input.
    """

    model: Model | ModelFn | None = None
    seeds: int = 1
    folds: int = 1
    seed: int = 0
    order_seed: int = 0
    keep: str = "last"
    metric: str | None = None
    select: str = "mean"
    row_space: bool = False
    chunk: int | None = None
    progress: bool | None = None
    on_epoch: OnEpoch | None = None

    def __post_init__(self) -> None:
        if self.model is not None:
            object.__setattr__(self, "model", as_model(self.model))
        for name, least in (("seeds", 1), ("folds", 1), ("seed", 0), ("order_seed", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        whole_number("seed + seeds", self.seed + self.seeds)
        if self.chunk is not None:
            object.__setattr__(self, "chunk", whole_number("chunk", self.chunk, 1))
            if self.chunk > MOST_LANES:
                raise ValueError(f"chunk got {self.chunk:,}; expected at most {MOST_LANES:,} lanes")
        either("keep", self.keep, "last", "best")
        if self.metric is not None:
            either("metric", self.metric, *METRICS)
        either("select", self.select, "mean", "lower_bound")
        if self.select == "lower_bound" and self.seeds * self.folds < 2:
            raise ValueError(
                "select='lower_bound' came with one repetition; expected seeds or folds of two at "
                "least, from whose spread the bound is computed"
            )
        check_row_space(self.row_space, self.model)
        check_on_epoch(self.on_epoch)

    @classmethod
    def among(cls, arguments: Mapping[str, Any]) -> "Options":
        """Returns the options from a function's arguments, which have the same names."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in arguments.items() if name in names})

    def ranked(self, prepared: Sequence[Recipe]) -> "Options":
        """Returns the options with a metric: the one given, or the first of the objective.

        Raises:
          ValueError: an objective does not have it.
        """
        first = prepared[0].program.objective.metrics[0]
        made = self if self.metric else dataclasses.replace(self, metric=first)
        made.check_metric(prepared)
        return made

    def check_metric(self, prepared: Sequence[Recipe]) -> None:
        """Raises ValueError if settings cannot be ranked by the metric."""
        programs = {one.program.loss: one.program for one in prepared}
        for program in programs.values():
            either("metric", self.metric, *program.objective.measures)
        if self.metric == COST.name and len(programs) > 1:
            raise ValueError(
                f"metric got 'cost' for settings with the losses "
                f"{', '.join(map(short_name, programs))}, whose costs cannot be compared; expected "
                "another metric, or one loss"
            )

    def parts(self, train: Dataset, valid: Dataset | float | None) -> Folds:
        """Returns the training and validation set of each fold."""
        if self.folds == 1:
            if valid is None:
                raise ValueError(
                    "valid got None; expected a Dataset, or a fraction of train such as 0.2"
                )
            return [checked_data(train, valid, self.order_seed)]
        if valid is not None:
            raise ValueError(
                f"valid came with folds={self.folds}; expected None: each fold holds out a part of "
                "train"
            )
        train, _ = checked_data(train, None, self.order_seed)
        return [*stratified_folds(train, self.folds, self.order_seed)]

    def plan(self, prepared: Sequence[Recipe], train: Dataset, epochs: int, **more: Any) -> Plan:
        """Makes the plan; raises ValueError if a chunk of the given size does not fit in memory."""
        made = plan_recipes(
            prepared,
            train,
            epochs,
            self.seeds,
            folds=self.folds,
            row_space=self.row_space,
            chunk=self.chunk,
            **more,
        )
        if self.chunk is not None:
            check_fits(made.memory, f"chunk got {self.chunk:,}: so many lanes", device_memory())
        return made

    def plan_again(
        self, before: Plan, prepared: Sequence[Recipe], train: Dataset, epochs: int
    ) -> Plan:
        """Plans settings anew: with the programs of an earlier plan, or with new ones.

        Those of the plan are taken if they need less time than new ones need with compiling.
        Whether this process has compiled them does not matter: the same call must give the same
        bits after a study was loaded. Without more examples than the earlier plan was made for, in
        the row space, with folds or on another device they would compile again.
        """
        anew = self.plan(prepared, train, epochs)
        is_like_it = (before.device, before.folds, before.row_space) == (anew.device, 1, False)
        if not is_like_it or len(train) <= before.num_examples:
            return anew
        known = {one.key for one in before.programs}

        def seconds(plan: Plan) -> float:
            return plan.seconds + sum(
                one.compile_seconds for one in plan.programs if one.key not in known
            )

        again = self.plan(prepared, train, epochs, known=before.programs)
        return min(again, anew, key=seconds)


def hold_out_note(valid: Dataset | float | None, parts: Folds) -> str:
    """Returns a note on what was held out if `valid` is a fraction, else ""."""
    train, held_out = parts[0]
    if isinstance(valid, Dataset) or valid is None or held_out is None:
        return ""
    share = f"{len(held_out)} of {len(held_out) + len(train)}"
    how = "at random" if train.is_real else "stratified"
    return f"Validation: {share} examples of the training set, {how}."


@dataclasses.dataclass(frozen=True)
class Call:
    """A function and the arguments of a call.

    Attributes:
      function: the function as the user knows it.
      arguments: name -> value of all arguments, including defaults.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "Call":
        """Returns the call function(*args, **kwargs); raises TypeError if they do not bind."""
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        return cls(function, dict(bound.arguments))

    @property
    def options(self) -> Options:
        """The options in the arguments; raises ValueError if one is bad."""
        return Options.among(self.arguments)

    def replaced(self, **arguments: Any) -> "Call":
        """Returns the call with other values of some arguments."""
        return Call(self.function, {**self.arguments, **arguments})

    def text(self, **shown: Any) -> str:
        """Returns the call as text; `shown` replaces the values of some arguments."""
        return call_text(self.function, {**self.arguments, **shown})


def entry(
    function: Callable[Concatenate[Call, Arguments], Result],
) -> Callable[Arguments, Result]:
    """Decorates a function so that its own call is its first argument, which users do not see.

    >>> @entry
    ... def double(call, number, times=2):
    ...     return call.text(), number * times
    >>> double(3, times=4)
    ('jaxnn.double(number=3, times=4)', 12)
    """

    @functools.wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return function(Call.of(called, *args, **kwargs), *args, **kwargs)

    signature = inspect.signature(function)
    _, *parameters = signature.parameters.values()
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called
