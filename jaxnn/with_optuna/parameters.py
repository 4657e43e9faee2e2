"""Domains as parameters of Optuna's, and values of one as values of the other."""

from typing import Any

from jaxnn.settings.domains import Choice, Domain
from jaxnn.settings.sampling import Space
from jaxnn.with_optuna.storages import import_optuna


class Parameter:
    """A domain as a parameter of Optuna's.

    Optuna has no reverse logarithmic scale: momentum from 0.9 to 0.999 is its "1 - momentum", from
    0.001 to 0.1 on a logarithmic one. Units of hidden layers are text, such as "25-12".
    """

    def __init__(self, name: str, domain: Domain):
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
        """The hyperparameter's value."""
        if isinstance(self._domain, Choice):
            return self._domain.options[self._labels.index(value)]
        if self._domain.scale == "reverse log":
            # 1 - (1 - 0.9) is a little more than 0.9
            return min(max(1 - value, self._domain.low), self._domain.high)
        return value

    def to_optuna(self, value: Any) -> Any:
        if isinstance(self._domain, Choice):
            return self._labels[self._domain.options.index(value)]
        if self._domain.scale == "reverse log":
            low, high = self.distribution.low, self.distribution.high
            return min(max(1 - value, low), high)
        return value


def _label(option: Any) -> Any:
    if isinstance(option, tuple):
        return "-".join(map(str, option)) or "none"
    return option if option is None or isinstance(option, bool | int | float | str) else str(option)


def parameters(space: Space) -> dict[str, Parameter]:
    """Of each domain of a space, by the hyperparameter's name."""
    return {n: Parameter(n, domain) for n, domain in space.items() if isinstance(domain, Domain)}
