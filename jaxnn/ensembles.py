"""Several trained networks that predict together."""

import dataclasses

import numpy as np

from jaxnn.datasets import Dataset
from jaxnn.fitted import Fitted, share_of_hits
from jaxnn.types import ArrayLike


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks whose probabilities are averaged: p(x) = 1 / M sum of softmax(logits_m(x)).

    Attributes:
      members: the M networks, as from `Study.ensemble`.

    >>> from jaxnn import fit
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> two = Ensemble([fit({"learning_rate": 0.1}, data, epochs=9, seed=k) for k in (0, 1)])
    >>> two.predict_proba(x).shape, two.score(data) > 0.9
    ((64, 2), True)
    """

    members: list[Fitted]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("Ensemble got no members; expected one trained network at least")
        shapes = {(one.input_shape, one.num_classes) for one in self.members}
        if len(shapes) > 1:
            raise ValueError(f"Ensemble got members for {shapes}; expected one shape of data")

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Mean probabilities (N, C) of inputs (N, ...)."""
        return np.mean([member.predict_proba(x) for member in self.members], axis=0)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """The class (N,) of the highest mean probability."""
        return self.predict_proba(x).argmax(axis=-1)

    def score(self, data: Dataset) -> float:
        """Accuracy on `data`, by its weights."""
        return share_of_hits(self.predict_proba(data.original), data)
