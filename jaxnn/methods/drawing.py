"""The settings of a search: drawn from its space within a limit, and known ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxnn.data.datasets import Dataset
from jaxnn.functional.types import Model, ModelFn
from jaxnn.results.records import Record
from jaxnn.settings.alternatives import AnyOf, has
from jaxnn.settings.domains import Domain
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, Setting
from jaxnn.settings.sampling import Settings, Space, sample
from jaxnn.system.checks import brief, plain
from jaxnn.training.recipes import recipes
from jaxnn.training.sizes import SIZES

MOST_DRAWS = 256
"""Draws for each setting that a limit must allow."""

MOST_KNOWN = 0.25
"""The largest share of the settings that come from an earlier study."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Draws settings whose networks are within a limit.

    Attributes:
      limit: name of a size -> the most that is allowed.
      train: the training set.
      model: the model of the call.
      epochs: the epochs of a setting that is trained to the end.
    """

    limit: Mapping[str, float]
    train: Dataset
    model: Model | ModelFn | None
    epochs: int

    def draw(self, space: Space, count: int, seed: int, method: str = "sobol") -> Settings:
        """Returns the first settings, of all that are drawn, that the limit allows.

        A grid has those of its settings that are allowed.

        Raises:
          ValueError: too few are.
        """
        settings = sample(space, count, seed, method=method)
        while self.limit:
            found = [one for one, fits in zip(settings, self.allows(settings), strict=True) if fits]
            if len(found) >= count or (found and method == "grid"):
                return Settings(found[:count], settings.space)
            if len(settings) >= MOST_DRAWS * count or method == "grid":
                raise ValueError(
                    f"limit got {dict(self.limit)}, which {len(found)} of {len(settings)} settings "
                    f"drawn from the space keep to; expected {count}: a higher limit, or a space "
                    "of smaller networks"
                )
            settings = sample(space, 2 * len(settings), seed, method=method)
        return settings

    def allows(self, settings: Sequence[Setting]) -> list[bool]:
        """Returns whether each setting is within the limit."""
        if not self.limit:
            return [True] * len(settings)
        shape = self.train.x.shape[1:]
        return [
            all(
                SIZES[name].of(one.program.networks, one.setting, shape) <= most
                for name, most in self.limit.items()
            )
            for one in recipes(settings, self.train, self.model, self.epochs)
        ]

    def known(
        self, first: Sequence[Setting] | Record, space: Mapping[str, Any], count: int
    ) -> list[dict[str, Any]]:
        """Returns known settings with all names of the space.

        Args:
          first: settings; or a study, of which the best that lie in the space are taken, at most a
            quarter of `count`.
          count: the number of settings of the search.

        Raises:
          ValueError: a setting does not lie in the space or exceeds the limit, or there are more
            than `count`.
        """
        if isinstance(first, Record):
            fits = list[dict[str, Any]]()
            for row in first.ranked:
                found_again = self._again(space, first.settings[row])
                if found_again is not None and found_again not in fits:
                    fits.append(found_again)
            fits = [one for one, is_fine in zip(fits, self.allows(fits), strict=True) if is_fine]
            if not fits:
                raise ValueError(
                    "first got a study without a setting that has a value and lies in the space; "
                    "expected a study of such a space, or a list of settings"
                )
            return fits[: max(1, int(MOST_KNOWN * count))]
        if isinstance(first, str | Mapping) or not isinstance(first, Sequence):
            raise ValueError(f"first got {brief(first)}; expected a list of settings, or a study")
        if len(first) > count:
            raise ValueError(
                f"first got {len(first)} settings; expected at most {count}, as many "
                "as the search trains"
            )
        found = []
        for place, setting in enumerate(first):
            one = next(_within(space, setting), None) if isinstance(setting, Mapping) else None
            if one is None:
                raise ValueError(
                    f"first[{place}] got {brief(setting)}; expected a value that the space has for "
                    f"each name of {brief([*space])}, or a default that it has"
                )
            if not self.allows([one])[0]:
                raise ValueError(
                    f"first[{place}] got {brief(setting)}; expected a setting within the limit "
                    f"{dict(self.limit)}"
                )
            found.append(one)
        return found

    def _again(self, space: Mapping[str, Any], full: Setting) -> dict[str, Any] | None:
        """Returns a setting of the space that trains as a completed one does; None if none does."""
        aside = ("patience", "monitor")
        for own in _within(space, full, is_whole=True):
            (made,) = recipes([own], self.train, self.model, self.epochs)
            if all(made.setting.get(name) == full[name] for name in full if name not in aside):
                return own
        return None


def _within(
    space: Mapping[str, Any], setting: Setting, is_whole: bool = False
) -> Iterator[dict[str, Any]]:
    """Yields a setting with the names of a space, if it lies in it; of a list, of each space.

    Names that it lacks have the value that the space fixes, or their default.

    Args:
      is_whole: whether the setting has all names, of which the space may lack some.
    """
    if isinstance(space, AnyOf):
        for one in space.spaces:
            yield from _within(one, setting, is_whole)
        return
    known = {name: rule.default for name, rule in HYPERPARAMETERS.items()}
    fixed = {name: one for name, one in space.items() if not isinstance(one, Domain)}
    given = {**known, **fixed, **setting}
    if (is_whole or setting.keys() <= space.keys()) and space.keys() <= given.keys():
        own = {name: plain(name, given[name]) for name in space}
        if has(space, own):
            yield own
