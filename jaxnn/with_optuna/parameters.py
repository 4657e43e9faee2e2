"""Domains as parameters of Optuna, conversion of their values, and checks of a study's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxnn.settings.alternatives import axes_in, split_by
from jaxnn.settings.domains import Axis, Choice
from jaxnn.settings.sampling import Space, checked_space, drawn_setting
from jaxnn.system.functions import name_of
from jaxnn.with_optuna.ledgers import WORKER
from jaxnn.with_optuna.storages import import_optuna


class Parameter:
    """An axis of a domain as a parameter of Optuna.

    Optuna has no reverse logarithmic scale: momentum from 0.9 to 0.999 becomes the parameter "1 -
    momentum", from 0.001 to 0.1 on a logarithmic scale. Units of hidden layers become text, such as
    "25-12".
    """

    def __init__(self, name: str, domain: Axis):
        distributions = import_optuna().distributions
        self._domain, self.name = domain, name
        self.distribution: Any
        if isinstance(domain, Choice):
            self._labels = [_label(option) for option in domain.options]
            if len({*map(repr, self._labels)}) < len(self._labels):
                self._labels = [f"{i}: {label}" for i, label in enumerate(self._labels)]
            self.distribution = distributions.CategoricalDistribution(self._labels)
        elif domain.scale == "reverse log":
            self.name = f"1 - {name}"
            self.distribution = distributions.FloatDistribution(
                1 - domain.high, 1 - domain.low, log=True
            )
        else:
            kind = "IntDistribution" if domain.is_whole else "FloatDistribution"
            self.distribution = getattr(distributions, kind)(
                domain.low, domain.high, log=domain.scale == "log"
            )

    def suggested(self, trial: Any) -> Any:
        """Returns the value of Optuna that the sampler suggests to a trial."""
        found = self.distribution
        if isinstance(self._domain, Choice):
            return trial.suggest_categorical(self.name, found.choices)
        suggest = trial.suggest_int if self._domain.is_whole else trial.suggest_float
        return suggest(self.name, found.low, found.high, log=found.log)

    def from_optuna(self, value: Any) -> Any:
        """Returns the hyperparameter's value for a value of Optuna."""
        if isinstance(self._domain, Choice):
            return self._domain.options[self._labels.index(value)]
        if self._domain.scale == "reverse log":
            # 1 - (1 - 0.9) is a little more than 0.9
            return min(max(1 - value, self._domain.low), self._domain.high)
        return value

    def to_optuna(self, value: Any) -> Any:
        """Returns Optuna's value for a value of the hyperparameter."""
        if isinstance(self._domain, Choice):
            return self._labels[self._domain.options.index(value)]
        if self._domain.scale == "reverse log":
            low, high = self.distribution.low, self.distribution.high
            return min(max(1 - value, low), high)
        return value


def _label(option: Any) -> Any:
    if isinstance(option, tuple):
        return "-".join(map(str, option)) or "none"
    if callable(option):
        return name_of(option)
    return option if option is None or isinstance(option, bool | int | float | str) else str(option)


class Parameters:
    """The axes of a space as parameters of Optuna.

    A trial has those that its setting uses: of a list of spaces, those of one.
    """

    def __init__(self, space: Space):
        self._space = checked_space(space)
        axes = axes_in(self._space)
        self._of_axis = {name: Parameter(name, axis) for name, axis in axes.items()}

    @property
    def distributions(self) -> dict[str, Any]:
        """Parameter -> distribution, for all that there are."""
        return {one.name: one.distribution for one in self._of_axis.values()}

    def suggest(self, trial: Any) -> None:
        """Lets the sampler suggest a setting to a trial."""
        self._walk(lambda one: one.suggested(trial))

    def setting(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the setting of a trial's parameters; raises KeyError if one is missing."""
        return self._walk(lambda one: params[one.name])

    def used(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Returns parameter -> distribution, for those that a trial's setting uses.

        Raises:
          KeyError: one is missing.
        """
        found = list[Parameter]()

        def value(one: Parameter) -> Any:
            found.append(one)
            return params[one.name]

        self._walk(value)
        return {one.name: one.distribution for one in found}

    def missing(self, params: Mapping[str, Any]) -> list[str]:
        """Returns the first parameter that a trial's setting lacks; [] if it lacks none."""
        try:
            self.setting(params)
        except KeyError as error:
            return [*error.args]
        return []

    def of(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Returns parameter -> value, for a setting that the space has."""
        return {
            self._of_axis[axis].name: self._of_axis[axis].to_optuna(value)
            for axis, value in split_by(self._space, setting).items()
        }

    def _walk(self, value: Callable[[Parameter], Any]) -> dict[str, Any]:
        """Returns the setting of which each parameter has a value of Optuna."""

        def draw(axis: str, _: Axis) -> Any:
            one = self._of_axis[axis]
            return one.from_optuna(value(one))

        return drawn_setting(self._space, draw)


def check_parameters(trials: Sequence[Any], ours: Parameters, name: str) -> None:
    """Raises ValueError if a study's trials have other parameters than the space.

    Parameters may differ in kind or options, or be more or fewer. Trials that a user added by hand
    only inform the sampler, and need not have all parameters.
    """
    optuna, distributions = import_optuna(), ours.distributions
    for trial in trials:
        for parameter in trial.distributions.keys() & distributions.keys():
            before, now = trial.distributions[parameter], distributions[parameter]
            try:
                optuna.distributions.check_distribution_compatibility(before, now)
            except ValueError as error:
                raise ValueError(
                    f"name got {name!r}, a study whose parameter {parameter!r} is {before}, and "
                    f"now it is {now}; expected the space that it was begun with, or another name"
                ) from error
        more = trial.params.keys() - distributions.keys()
        # a trial that is being taken or was never trained gets the others later
        fewer = ours.missing(trial.params) if trial.values and not more else []
        if WORKER in trial.user_attrs and (more or fewer):
            raise ValueError(
                f"name got {name!r}, a study whose settings "
                + (f"have {sorted(more)}, too" if more else f"lack {fewer}")
                + f": trial {trial.number} has {sorted(trial.params)}; expected the space that it "
                "was begun with, or another name"
            )
