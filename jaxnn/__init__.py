"""Functional neural networks on JAX: train one, or a whole hyperparameter search at once."""

from jaxnn.archives import load
from jaxnn.babysitting import Run
from jaxnn.convolutions import convolution
from jaxnn.costs import Rates
from jaxnn.datasets import Dataset
from jaxnn.ensembles import Ensemble
from jaxnn.files import load_hdf5, load_signs
from jaxnn.fitted import Fitted
from jaxnn.fitting import fit
from jaxnn.flax_models import from_flax
from jaxnn.hooks import EpochInfo
from jaxnn.hosts import connect
from jaxnn.layers import dense, dropout, init_dense
from jaxnn.losses import l2_penalty, sigmoid_cross_entropy, softmax_cross_entropy, weighted_mean
from jaxnn.metrics import accuracy, confusion_matrix
from jaxnn.models import from_course, mlp, to_course
from jaxnn.normalization import batch_norm, init_batch_norm, population_statistics
from jaxnn.optimizers import decayed_learning_rate, optimizer
from jaxnn.planning import plan
from jaxnn.plans import Plan
from jaxnn.plots import plot_learning_curves, plot_rungs, plot_slice
from jaxnn.progress import TrainingInterrupted
from jaxnn.resuming import resume
from jaxnn.searching import search
from jaxnn.signs import generated_signs
from jaxnn.spaces import (
    choice,
    course_space,
    lograndint,
    loguniform,
    randint,
    reverseloguniform,
    sample,
    uniform,
)
from jaxnn.splits import hold_out, stratified_folds
from jaxnn.studies import Study
from jaxnn.sweeping import sweep
from jaxnn.training import evaluate
from jaxnn.types import Model
from jaxnn.uncertainty import Comparison
from jaxnn.with_optuna import to_optuna
from jaxnn.zooming import zoom

__version__ = "0.3.0.dev0"

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
    "accuracy",
    "batch_norm",
    "choice",
    "confusion_matrix",
    "connect",
    "convolution",
    "course_space",
    "decayed_learning_rate",
    "dense",
    "dropout",
    "evaluate",
    "fit",
    "from_course",
    "from_flax",
    "generated_signs",
    "hold_out",
    "init_batch_norm",
    "init_dense",
    "l2_penalty",
    "load",
    "load_hdf5",
    "load_signs",
    "lograndint",
    "loguniform",
    "mlp",
    "optimizer",
    "plan",
    "plot_learning_curves",
    "plot_rungs",
    "plot_slice",
    "population_statistics",
    "randint",
    "resume",
    "reverseloguniform",
    "sample",
    "search",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "stratified_folds",
    "sweep",
    "to_course",
    "to_optuna",
    "uniform",
    "weighted_mean",
    "zoom",
]
