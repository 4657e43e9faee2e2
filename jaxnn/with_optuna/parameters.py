"""Domains as parameters of Optuna, conversion of their values, and checks of a study's."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxnn.settings.domains import Axis, Choice
from jaxnn.settings.sampling import Space, axes_of, joined
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


def parameters(space: Space) -> dict[str, Parameter]:
    """Returns axis -> parameter, for each axis of a space."""
    return {name: Parameter(name, axis) for name, axis in axes_of(space).items()}


def setting_of(
    space: Space, ours: Mapping[str, Parameter], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the setting of a trial, given the space, its parameters and their values."""
    return joined(space, {axis: one.from_optuna(params[one.name]) for axis, one in ours.items()})


def check_parameters(trials: Sequence[Any], distributions: Mapping[str, Any], name: str) -> None:
    """Raises ValueError if a study's trials have other parameters than the space.

    Parameters may differ in kind or options, or be more or fewer. Trials that a user added by hand
    only inform the sampler, and need not have all parameters.
    """
    optuna = import_optuna()
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
        fewer = distributions.keys() - trial.params.keys() if trial.values else set()
        if WORKER in trial.user_attrs and (more or fewer):
            raise ValueError(
                f"name got {name!r}, a study whose settings "
                + (f"have {sorted(more)}, too" if more else f"lack {sorted(fewer)}")
                + f": trial {trial.number} has {sorted(trial.params)}; expected the space that it "
                "was begun with, or another name"
            )
