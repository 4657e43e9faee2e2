"""Spaces by name, as plain dicts to change at will: the default, the course's, and published ones.

Each is a function that returns name -> domain, or a plain value that is fixed. What a publication
searches and settings cannot say is in its docstring, and so is how to convert numbers. A mini-batch
has at most all training examples: with few, `lcbench() | {"batch_size": lograndint(16, 128)}`.
"""

from typing import Any

from jaxnn.data.datasets import Dataset
from jaxnn.settings.distributions import (
    choice,
    lograndint,
    loguniform,
    randint,
    reverseloguniform,
    uniform,
)
from jaxnn.settings.layers import layers
from jaxnn.system.checks import whole_number

MOST_DROPOUT = 0.99
"""The end of a range of dropout that a publication ends at 1, where nothing would be left."""


def default_space(train: Dataset) -> dict[str, Any]:
    """Returns the space that `search(None, ...)` searches, as a plain dict to change at will.

    It draws the learning rate and dropout of one structure, an MLP 128-128 with Adam and a cosine
    schedule. `benchmarks/default_space.py` compares it with others, on tables of 350 to 7,400
    examples.

    Args:
      train: the part that trains, by whose size mini-batches are chosen.

    >>> import numpy as np
    >>> space = default_space(Dataset(np.zeros((100, 3)), np.arange(100) % 2))
    >>> space["learning_rate"], space["batch_size"]
    (jaxnn.loguniform(0.0005, 0.05), 12)
    """
    return default_setting(train) | {
        "learning_rate": loguniform(5e-4, 5e-2),
        "dropout": uniform(0.0, 0.2 if train.is_real else 0.4),
    }


def default_setting(train: Dataset) -> dict[str, Any]:
    """Returns the setting of `default_space` that `search(None, ...)` trains among the first.

    Args:
      train: the part that trains.

    >>> import numpy as np
    >>> setting = default_setting(Dataset(np.zeros((400, 3)), np.linspace(0, 1, 400)))
    >>> setting["hidden"], setting["batch_size"], setting["dropout"]
    ((128, 128), 32, 0.05)
    """
    num_examples = len(train)
    return {
        "inputs": "standardised",
        "hidden": (128, 128),
        "activation": "relu",
        "batch_size": 64 if num_examples >= 3000 else max(1, min(32, num_examples // 8)),
        "optimizer": "adam",
        "learning_rate": 3e-3,
        "dropout": 0.05 if train.is_real else 0.2,
        "decay_schedule": "cosine",
    }


def course_space(tier: int = 1) -> dict[str, Any]:
    """Returns the space that the course tunes first (tier 1), second or third, as a plain dict.

    | tier | adds |
    | --- | --- |
    | 1 | the learning rate, 10^r |
    | 2 | momentum, 1 - 10^r; hidden units; mini-batch size |
    | 3 | number of layers; learning-rate decay |

    From tier 2 on the optimizer is momentum or adam. The numbers of adam are not tuned: they stay
    at 0.9, 0.999 and 1e-8, and adam does not use `momentum`.

    >>> sorted(course_space(2))
    ['batch_size', 'hidden', 'learning_rate', 'momentum', 'optimizer']
    """
    if whole_number("tier", tier, 1) > 3:
        raise ValueError(f"tier got {tier}; expected 1, 2 or 3")
    space: dict[str, Any] = {
        "optimizer": "adam",
        "learning_rate": loguniform(1e-4, 1e0),
        "hidden": (25, 12),
    }
    if tier >= 2:
        space |= {
            "optimizer": choice(["momentum", "adam"]),
            "momentum": reverseloguniform(0.9, 0.999),
            "hidden": choice([(25, 12), (50, 25), (64, 32), (128, 64)]),
            "batch_size": choice([16, 32, 64, 128]),
        }
    if tier == 3:
        space |= {
            "hidden": choice([(25,), (128,), (25, 12), (64, 32), (128, 64), (64, 32, 16)]),
            "decay_schedule": choice(["none", "inverse", "exponential"]),
        }
    return space


def lcbench(outputs: int = 1) -> dict[str, Any]:
    """Returns the space of LCBench: funnels, trained by SGD with momentum and cosine annealing.

    | LCBench | range | here |
    | --- | --- | --- |
    | num_layers | 1 to 5, the output layer included | depth of `hidden`: 0 to 4 hidden layers |
    | max_units | 64 to 1024, log | units of `hidden`, of the first layer |
    | batch_size | 16 to 512, log | `batch_size` |
    | learning_rate | 1e-4 to 1e-1, log | `learning_rate`, to be converted |
    | momentum | 0.1 to 0.99 | `momentum` |
    | weight_decay | 1e-5 to 1e-1 | `l2`, on kernels alone |
    | max_dropout | 0 to 1 | `dropout`, 0 to 0.99 |

    Fixed are relu, standardised inputs and the schedule "cosine". LCBench trains for 50 epochs.

    What differs:

    - PyTorch's SGD sums gradients, v <- beta v + dW; ours averages them, v <- beta v + (1 - beta)
      dW. A learning rate of LCBench is ours divided by 1 - beta, see the example. Without this, a
      setting of momentum 0.99 learns at a hundredth of its rate.
    - PyTorch's `weight_decay` in SGD is l2 with the same number, but decays biases as well.
    - Dropout of LCBench falls in equal steps from max_dropout, after the first layer, to 0 at the
      output; here it is the same after all hidden layers. It is below 1.
    - The first layer of LCBench has as many units as there are inputs, if these are more.
    - The learning rate of LCBench changes by the epoch and ends at 1e-8; here by the step, at 0.
    - The cost of LCBench weights classes, as a `Dataset` with weights does; first weights are
      PyTorch's.

    Args:
      outputs: the number of classes, towards which the funnel narrows.

    Source: Zimmer, Lindauer and Hutter, Auto-PyTorch: Multi-Fidelity MetaLearning for Efficient and
    Robust AutoDL, IEEE TPAMI 43(9), 2021, arXiv 2006.13799; ranges as in github.com/automl/LCBench,
    layers as `ShapedMlpNet` of its time builds them.

    >>> from jaxnn import sample
    >>> settings = sample(lcbench(outputs=10), 4)
    >>> [setting["hidden"] for setting in settings]
    [(402, 304, 206, 108), (106,), (697, 354), ()]

    The same settings in the convention of PyTorch:

    >>> summed = [s | {"learning_rate": s["learning_rate"] / (1 - s["momentum"])} for s in settings]
    """
    return {
        "optimizer": "momentum",
        "learning_rate": loguniform(1e-4, 1e-1),
        "momentum": uniform(0.1, 0.99),
        "hidden": layers(randint(0, 4), lograndint(64, 1024), shape="funnel", outputs=outputs),
        "batch_size": lograndint(16, 512),
        "l2": uniform(1e-5, 1e-1),
        "dropout": uniform(0.0, MOST_DROPOUT),
        "decay_schedule": "cosine",
        "inputs": "standardised",
    }


def hpobench_mlp() -> dict[str, Any]:
    """Returns the space of HPOBench's `NNBenchmark`: scikit-learn's MLPClassifier with Adam.

    | HPOBench | range | here |
    | --- | --- | --- |
    | depth | 1 to 3 | depth of `hidden` |
    | width | 16 to 1024, log | units of `hidden`, in all layers alike |
    | batch_size | 4 to 256, log | `batch_size` |
    | alpha | 1e-8 to 1, log | `l2`, to be converted |
    | learning_rate_init | 1e-5 to 1, log | `learning_rate` |

    Fixed are Adam, relu and standardised inputs. HPOBench trains for 3 to 243 epochs.

    What differs:

    - scikit-learn divides the penalty by the size of the mini-batch, see the example.
    - It stops when the cost of training has hardly fallen for ten epochs; here nothing stops a
      setting but a search method, or `patience`.
    - It draws biases, and adds epsilon of Adam before it corrects the squares. HPOBench leaves
      columns of categories, one-hot, as they are.

    Source: Eggensperger et al., HPOBench: A Collection of Reproducible Multi-Fidelity Benchmark
    Problems for HPO, NeurIPS Datasets and Benchmarks 2021, arXiv 2109.06716; ranges as in
    github.com/automl/HPOBench.

    >>> from jaxnn import sample
    >>> settings = sample(hpobench_mlp(), 4)
    >>> [setting["hidden"] for setting in settings]
    [(564, 564, 564), (22,), (322, 322, 322), (108,)]

    The same settings with the penalty of scikit-learn:

    >>> divided = [s | {"l2": s["l2"] / s["batch_size"]} for s in settings]
    """
    return {
        "optimizer": "adam",
        "learning_rate": loguniform(1e-5, 1e0),
        "hidden": layers(randint(1, 3), lograndint(16, 1024), shape="brick"),
        "batch_size": lograndint(4, 256),
        "l2": loguniform(1e-8, 1e0),
        "inputs": "standardised",
    }


def fcnet() -> dict[str, Any]:
    """Returns the space of the tabular benchmarks FC-Net: two layers for real targets, with Adam.

    | FC-Net | values | here |
    | --- | --- | --- |
    | n_units_1, n_units_2 | 16, 32, 64, 128, 256, 512 | units_1 and units_2 of `hidden` |
    | dropout_1, dropout_2 | 0, 0.3, 0.6 | `dropout`, one for both layers |
    | activation_fn_1, activation_fn_2 | tanh, relu | `activation`, one for both layers |
    | init_lr | 5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1 | `learning_rate` |
    | lr_schedule | cosine, const | `decay_schedule`, "cosine" or "none" |
    | batch_size | 8, 16, 32, 64 | `batch_size` |

    An activation and a dropout of each layer cannot be said here: of the 62,208 settings of FC-Net
    these are the 10,368 whose two layers are alike. Fixed are Adam and standardised inputs.
    FC-Net trains for 100 epochs; its cosine changes by the epoch, here by the step. The epsilon of
    Keras is 1e-7.

    Source: Klein and Hutter, Tabular Benchmarks for Joint Architecture and Hyperparameter
    Optimization, 2019, arXiv 1905.04970; values as in github.com/automl/nas_benchmarks.

    >>> from jaxnn import sample
    >>> [setting["hidden"] for setting in sample(fcnet(), 3, seed=1)]
    [(16, 128), (128, 32), (32, 512)]
    """
    return {
        "optimizer": "adam",
        "learning_rate": choice([5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1]),
        "hidden": layers(2, choice([16, 32, 64, 128, 256, 512])),
        "batch_size": choice([8, 16, 32, 64]),
        "activation": choice(["tanh", "relu"]),
        "dropout": choice([0.0, 0.3, 0.6]),
        "decay_schedule": choice(["cosine", "none"]),
        "inputs": "standardised",
    }
