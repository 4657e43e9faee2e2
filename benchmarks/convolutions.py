"""How fast are convolutional networks in a sweep: XLA's convolutions, or matrix products?

    python benchmarks/convolutions.py              ten minutes, with nothing else on the machine
    python benchmarks/convolutions.py --quick

A Flax network of three blocks (convolution 3x3, batch norm, relu, pooling; 16, 32 and 64 filters)
on 864 pictures of 32x32, mini-batches of 32, Adam:

- the gradient of a mini-batch, called by itself and as the body of a `lax.scan`, by XLA's
  convolutions and by `jaxnn.convolution`; several lanes are vmapped;
- an epoch of a lane in a sweep of eight, in chunks of one lane and of four.

The rates of convolutions in `jaxnn.costs` come from the last part.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from measuring import best_of

import jaxnn
from jaxnn.compiled.networks import Foreign

SETTING = {"learning_rate": 1e-3, "batch_size": 32}
WAYS = {"XLA's convolutions": None, "jaxnn.convolution": jaxnn.convolution}


class ConvNet(nn.Module):
    filters: tuple[int, ...]
    by: Any

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        for filters in self.filters:
            x = nn.Conv(filters, (3, 3), use_bias=False, conv_general_dilated=self.by)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        return nn.Dense(6)(x.reshape(len(x), -1))


def gradients(model: jaxnn.Model, batch: jaxnn.Dataset, num_lanes: int, steps: int) -> list[float]:
    """Seconds of a lane's gradient: called by itself, and in a loop of `steps`."""
    params, state = jax.vmap(model.init)(jax.random.split(jax.random.key(0), num_lanes))

    @jax.vmap
    def gradient(params: Any, state: Any) -> Any:
        def cost(params: Any) -> Any:
            logits, _ = model.apply(params, state, batch.x, is_training=True)
            return jaxnn.softmax_cross_entropy(logits, batch.y).mean()

        return jax.grad(cost)(params)

    def step(params: Any, _: None) -> tuple[Any, None]:
        changed = jax.tree.map(lambda w, g: w - 1e-3 * g, params, gradient(params, state))
        return changed, None

    alone = jax.jit(gradient)
    looped = jax.jit(lambda params: jax.lax.scan(step, params, None, length=steps)[0])
    return [
        best_of(5, lambda: alone(params, state)) / num_lanes,
        best_of(2, lambda: looped(params)) / num_lanes / steps,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="96 pictures, one block")
    quick = parser.parse_args().quick
    count, filters, more = (96, (8,), 1) if quick else (864, (16, 32, 64), 2)
    rng = np.random.default_rng(0)
    data = jaxnn.Dataset(rng.random((count, 32, 32, 3), np.float32), np.arange(count) % 6)
    batch = jaxnn.Dataset(jnp.asarray(data.x[:32]), jnp.asarray(data.y[:32]), 6)
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}; {count} pictures, {filters}")
    for name, by in WAYS.items():
        model = jaxnn.from_flax(ConvNet(filters, by), data.x[:1])
        for lanes in (1, 4):
            alone, looped = gradients(model, batch, lanes, 4)
            print(
                f"{name}, {lanes} lanes: a gradient takes {alone * 1e3:.1f} ms a lane by itself, "
                f"{looped * 1e3:.1f} ms in a loop",
                flush=True,
            )
        operations = Foreign(model).step(32, 1, data.x.shape[1:]).products
        for chunk in (1, 4):
            run = lambda epochs, model=model, chunk=chunk: jaxnn.sweep(
                [SETTING] * 8, data, data[:32], epochs=epochs, model=model, chunk=chunk,
                progress=False,
            ).seconds  # fmt: skip
            # the first call compiles
            run(1)
            spent = (run(1 + more) - run(1)) / more / 8
            rate = operations * count / 32 / spent
            print(
                f"{name}, chunks of {chunk}: {spent:.2f} s an epoch and lane in a sweep, "
                f"{rate / 1e9:.1f}e9 operations a second",
                flush=True,
            )


if __name__ == "__main__":
    main()
