"""A small convolutional network of Flax's, searched on pictures of hands.

    python examples/convnet.py                              drawn pictures, one split, two minutes
    python examples/convnet.py --data FOLDER --rounds 5     the course's, five splits

For each round all pictures are split anew, stratified: a ninth is held out, and a fifth of the rest
validates. A halving trains the settings as lanes of one program for each structure; the best one by
validation alone is trained anew on all but the held-out pictures, which are looked at once.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

import jaxnn

SPACE = {
    "hidden": jaxnn.choice([(16, 32, 32), (16, 32, 64)]),
    "learning_rate": jaxnn.loguniform(1e-3, 2e-2),
    "l2": jaxnn.loguniform(1e-5, 1e-2),
    "decay_schedule": "exponential",
    "decay_rate": jaxnn.uniform(0.88, 0.96),
    "batch_size": 32,
    "inputs": "centred",
}


class ConvNet(nn.Module):
    """Blocks of convolution, batch norm, relu and pooling, and one layer of logits.

    In training it sees each picture shifted by chance, anew in every step.
    """

    filters: tuple[int, ...]
    num_classes: int

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        if train:
            x = shifted(self.make_rng("dropout"), x)
        for filters in self.filters:
            # as matrix products: many times faster than XLA's own in a training loop on a CPU
            x = nn.Conv(filters, (3, 3), use_bias=False, conv_general_dilated=jaxnn.convolution)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        x = nn.Dropout(0.3, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(self.num_classes)(x)


def shifted(key: Any, x: Any, by: int = 2) -> Any:
    """Pictures (B, H, W, C), each moved by up to so many pixels along both axes."""
    wide = jnp.pad(x, ((0, 0), (by, by), (by, by), (0, 0)), mode="edge")
    corners = jax.random.randint(key, (len(x), 2), 0, 2 * by + 1)
    cut = lambda one, corner: jax.lax.dynamic_slice(one, (*corner, 0), x.shape[1:])
    return jax.vmap(cut)(wide, corners)


def smaller(data: jaxnn.Dataset) -> jaxnn.Dataset:
    """Pictures (N, H, W, 3) as averages over 2x2 pixels: a quarter of the work."""
    x = np.asarray(data.x)
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
    return jaxnn.Dataset(x, data.y, data.num_classes)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the course's HDF5 files")
    parser.add_argument("--rounds", type=int, default=1, help="splits of the pictures")
    parser.add_argument("--settings", type=int, default=8, help="that the search tries")
    parser.add_argument("--epochs", type=int, default=24, help="of a setting trained to the end")
    parser.add_argument("--examples", type=int, help="take the first so many pictures only")
    options = parser.parse_args(arguments)
    train, test, _ = jaxnn.load_signs(options.data) if options.data else jaxnn.generated_signs()
    pictures = smaller(train + test)[: options.examples]

    def network(structure: Any) -> jaxnn.Model:
        net = ConvNet(structure["hidden"], pictures.num_classes)
        return jaxnn.from_flax(net, pictures.x[:1])

    scores = []
    for seed in range(options.rounds):
        start = time.monotonic()
        rest, held_out = jaxnn.hold_out(pictures, 1 / 9, seed)
        study = jaxnn.search(
            SPACE,
            rest,
            0.2,
            model=network,
            num_settings=options.settings,
            min_epochs=max(1, options.epochs // 4),
            max_epochs=options.epochs,
            factor=2,
            seed=seed,
            order_seed=seed,
        )
        if seed == 0:
            print(study.plan)
            study.summary()
        scores.append(study.refit(rest, seed=seed).score(held_out))
        print(
            f"round {seed}: validation {study.best_value:.3f}, held out {scores[-1]:.3f} of "
            f"{len(held_out)} pictures; filters {study.best_params['hidden']}, learning rate "
            f"{study.best_params['learning_rate']:.2g}; {time.monotonic() - start:.0f} s",
            flush=True,
        )
    if len(scores) > 1:
        print(f"held out, mean {np.mean(scores):.3f}, deviation {np.std(scores, ddof=1):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
