"""Functional neural networks on JAX: train one, or a whole hyperparameter search at once.

A network is a pair of pure functions, `mlp` or any `Model`. `fit` trains one network, `sweep` many
at once, `search` looks for the best setting, and `Run` is one network that you correct by hand.
`jaxnn.settings` describes every hyperparameter; `jaxnn.spaces` (in the reference
`jaxnn.settings.spaces`) has spaces that were published.

Words that have one meaning here:

| word | meaning |
| --- | --- |
| setting | one choice of every hyperparameter: a plain dict, name -> value |
| traced | a number that is data to the program (`l2`, ...): a new value never compiles anything |
| structure | what shapes a program (`hidden`, `batch_size`, ...) |
| lane | one network in training: setting x repetition x fold |
| program | one compiled training function, which runs many lanes at once |
| chunk | the lanes of a program that a device trains at a time |
| plan | which lanes run in which program, with padding, sizes of chunks and devices |
| study | what a sweep or search returns: settings, curves, values and networks |
| rung | a stretch of a halving; only the best of its settings continue |
"""

from jaxnn.compiled.measures import evaluate
from jaxnn.data.confusion import confusion_matrix
from jaxnn.data.datasets import Dataset
from jaxnn.data.loading import load_hdf5, load_signs
from jaxnn.data.signs import generated_signs
from jaxnn.data.splits import hold_out, stratified_folds
from jaxnn.functional.course import from_course, to_course
from jaxnn.functional.layers import dense, dropout, init_dense
from jaxnn.functional.losses import (
    absolute_error,
    huber_loss,
    l2_penalty,
    poisson_loss,
    quantile_loss,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
    weighted_mean,
)
from jaxnn.functional.metrics import accuracy
from jaxnn.functional.models import mlp
from jaxnn.functional.normalization import batch_norm, init_batch_norm, population_statistics
from jaxnn.functional.optimizers import decayed_learning_rate, optimizer
from jaxnn.functional.types import Model
from jaxnn.methods.zooming import zoom
from jaxnn.planning.costs import Rates
from jaxnn.planning.joining import plan
from jaxnn.planning.plans import Plan
from jaxnn.reporting.lineages import plot_population
from jaxnn.reporting.pareto import plot_pareto
from jaxnn.reporting.plots import plot_learning_curves, plot_rungs, plot_slice
from jaxnn.results.uncertainty import Comparison
from jaxnn.searching.loading import load
from jaxnn.searching.resuming import resume
from jaxnn.searching.searches import search
from jaxnn.searching.studies import Study
from jaxnn.searching.sweeps import sweep
from jaxnn.settings import spaces
from jaxnn.settings.distributions import (
    choice,
    lograndint,
    loguniform,
    randint,
    reverseloguniform,
    uniform,
)
from jaxnn.settings.layers import layers
from jaxnn.settings.sampling import sample
from jaxnn.settings.spaces import course_space, default_setting, default_space
from jaxnn.system.processes import connect
from jaxnn.system.signals import TrainingInterrupted
from jaxnn.training.ensembles import Ensemble
from jaxnn.training.fitted import Fitted
from jaxnn.training.fitting import fit
from jaxnn.training.hooks import EpochInfo
from jaxnn.version import __version__ as __version__
from jaxnn.watching.runs import Run
from jaxnn.with_flax.convolutions import convolution
from jaxnn.with_flax.models import from_flax
from jaxnn.with_optuna.exporting import to_optuna

__all__ = [
    "Comparison",
    "Dataset",
    "Ensemble",
    "EpochInfo",
    "Fitted",
    "Model",
    "Plan",
    "Rates",
    "Run",
    "Study",
    "TrainingInterrupted",
    "absolute_error",
    "accuracy",
    "batch_norm",
    "choice",
    "confusion_matrix",
    "connect",
    "convolution",
    "course_space",
    "decayed_learning_rate",
    "default_setting",
    "default_space",
    "dense",
    "dropout",
    "evaluate",
    "fit",
    "from_course",
    "from_flax",
    "generated_signs",
    "hold_out",
    "huber_loss",
    "init_batch_norm",
    "init_dense",
    "l2_penalty",
    "layers",
    "load",
    "load_hdf5",
    "load_signs",
    "lograndint",
    "loguniform",
    "mlp",
    "optimizer",
    "plan",
    "plot_learning_curves",
    "plot_pareto",
    "plot_population",
    "plot_rungs",
    "plot_slice",
    "poisson_loss",
    "population_statistics",
    "quantile_loss",
    "randint",
    "resume",
    "reverseloguniform",
    "sample",
    "search",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "spaces",
    "squared_error",
    "stratified_folds",
    "sweep",
    "to_course",
    "to_optuna",
    "uniform",
    "weighted_mean",
    "zoom",
]
