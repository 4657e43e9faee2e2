"""The cost model of a plan: seconds of lanes and compilations on a kind of device."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

import jax

from jaxnn.compiled.programs import Program
from jaxnn.system.checks import brief


class Rates(NamedTuple):
    """Speed of a kind of device, with all its cores, and the time it takes to compile.

    Attributes:
      products: operations a second of matrix products with mini-batches (a multiplication and an
        addition are two).
      bandwidth: bytes a second of weights, gradients and moments.
      activations: activations a second, forward and backward, with all elementwise work of a layer.
      draws: random numbers a second, for dropout.
      convolutions: operations a second of XLA's convolutions, lanes one after another.
      grouped_convolutions: operations a second of vmapped convolutions, which XLA groups.
      step: least seconds of a step, however few lanes it has.
      lane: further seconds of a lane's step.
      compile: seconds to compile a mixed program; a program of one structure takes half.
      compile_layer: further seconds of compiling for each layer.
    """

    products: float
    bandwidth: float
    activations: float
    draws: float
    convolutions: float
    grouped_convolutions: float
    step: float
    lane: float
    compile: float
    compile_layer: float


RATES = {
    # two cores of an AMD EPYC with AVX-512, JAX 0.10: fitted by `benchmarks/rates.py`; the
    # convolutions from sweeps as in `benchmarks/convolutions.py`, on one with AVX2
    "cpu": Rates(
        products=190e9,
        bandwidth=80e9,
        activations=2.1e9,
        draws=0.77e9,
        convolutions=2.8e9,
        grouped_convolutions=2.0e9,
        step=13e-6,
        lane=0.0,
        compile=0.9,
        compile_layer=0.45,
    ),
    # an H200 with JAX 0.11.2, fitted to 24 programs by `benchmarks/gpu.py`; of convolutions
    # nothing was measured
    "gpu": Rates(
        products=198e12,
        bandwidth=5.2e12,
        activations=165e9,
        draws=32e9,
        convolutions=10e12,
        grouped_convolutions=10e12,
        step=53e-6,
        lane=32e-9,
        compile=3.0,
        compile_layer=1.0,
    ),
    # not measured: a fifth of the published peak rates of a TPU v4
    "tpu": Rates(
        products=10e12,
        bandwidth=0.25e12,
        activations=20e9,
        draws=20e9,
        convolutions=10e12,
        grouped_convolutions=10e12,
        step=100e-6,
        lane=0.0,
        compile=4.0,
        compile_layer=1.5,
    ),
}
"""Kind of device -> rates. Shipped with the package, so that a call always gives the same plan."""


Sizes = Mapping[int, int]
"""Mini-batch size -> the number of settings that have it."""


class Work(NamedTuple):
    """The cost model: seconds to train a program's lanes over all epochs, and to compile it.

    Attributes:
      rates: the speed of the device.
      seeds: repetitions of each setting.
      folds: data sets that each setting is trained on.
      rungs: (share of the settings that are trained, epochs) of each stretch of training.
      num_examples: N of the training set.
      input_shape: the shape of an example.
      device: the device.
      fixed_chunk: the chunk size that the user gave, or None.
    """

    rates: Rates
    seeds: int
    folds: int
    rungs: tuple[tuple[float, int], ...]
    num_examples: int
    input_shape: tuple[int, ...]
    device: jax.Device
    fixed_chunk: int | None

    def chunk(self, program: Program, sizes: Sizes) -> int:
        """Returns the chunk size of a program with some settings.

        It is the device's chunk size; for a program of several structures a half or quarter of it,
        if fewer lanes are then wasted on filling up the last chunk. In a halving the chunk may be
        smaller still, since few settings are left at the end. A program of one structure whose
        lanes all train to the end always uses the device's size: a lane's bits must not depend on
        the number of lanes.
        """
        if self.fixed_chunk:
            return self.fixed_chunk
        chunk = self.full_chunk(program)
        is_one = not program.is_mixed and program.least_batch_size is None
        if len(self.rungs) == 1 and is_one:
            return chunk
        most_halvings = 3 if len(self.rungs) == 1 else 20
        halves = [chunk // 2**n for n in range(most_halvings) if chunk >= 2**n]
        return min(halves, key=lambda chunk: self.seconds(program, sizes, chunk))

    def full_chunk(self, program: Program) -> int:
        """Returns the device's chunk size, or 1 where convolutions run faster lane by lane."""
        if self.is_one_by_one(program):
            return 1
        return default_chunk(program, self.device, self.input_shape)

    def is_one_by_one(self, program: Program) -> bool:
        is_slower = self.rates.grouped_convolutions < self.rates.convolutions
        return is_slower and self._has_convolutions(program)

    def _has_convolutions(self, program: Program) -> bool:
        # asked very often
        if program.networks.is_mlp:
            return False
        step = program.networks.step(program.batch_size, 1, self.input_shape)
        return step.has_convolutions

    def step_seconds(self, program: Program, chunk: int) -> float:
        """Returns the seconds of a step of one lane in a full chunk."""
        counts = program.step_counts(chunk, self.input_shape)
        rates, products = self.rates, self.rates.products
        if self._has_convolutions(program):
            products = rates.convolutions if chunk == 1 else rates.grouped_convolutions
        per_second = (products, rates.bandwidth, rates.activations, rates.draws)
        per_step = sum(n / rate for n, rate in zip(counts[:4], per_second, strict=True))
        return per_step + counts[4] * rates.step + counts[5] * rates.lane

    def num_steps(self, batch_size: int) -> int:
        """Returns the steps of an epoch of a lane with some mini-batch size."""
        return math.ceil(self.num_examples / batch_size)

    def real_seconds(self, program: Program) -> float:
        """Returns the seconds of one setting's lanes, alone in full chunks of the device's size."""
        epochs = sum(share * epochs for share, epochs in self.rungs)
        steps = epochs * self.num_steps(program.batch_size)
        per_step = self.step_seconds(program, self.full_chunk(program))
        return self.seeds * self.folds * steps * per_step

    def seconds(self, program: Program, sizes: Sizes, chunk: int | None = None) -> float:
        """Returns the seconds of all chunks; the last chunk of a rung is filled up."""
        chunk = chunk or self.chunk(program, sizes)
        steps = sum(
            self._num_chunks(share * count * self.seeds, chunk) * epochs * self.num_steps(size)
            for size, count in sizes.items()
            for share, epochs in self.rungs
        )
        return self.folds * steps * chunk * self.step_seconds(program, chunk)

    def num_chunks(self, sizes: Sizes, chunk: int) -> int:
        """Returns the number of chunks of a stretch of all lanes; sizes and folds do not share."""
        return self.folds * sum(
            self._num_chunks(count * self.seeds, chunk) for count in sizes.values()
        )

    def _num_chunks(self, lanes: float, chunk: int) -> int:
        # a share times a number of lanes may be a rounding error too large
        return max(1, math.ceil(lanes / chunk - 1e-9))

    def compile_seconds(self, program: Program) -> float:
        mixed = self.rates.compile + program.networks.num_layers * self.rates.compile_layer
        return mixed if program.is_mixed else mixed / 2

    def total(self, program: Program, sizes: Sizes) -> float:
        """Returns the objective that joining programs minimises: seconds to train and compile.

        Compiling counts as for a mixed program. With the true seconds, two programs of one
        structure would cost as much to compile as their union, and joining would never begin.
        """
        halves = 1 if program.is_mixed else 2
        return halves * self.compile_seconds(program) + self.seconds(program, sizes)


def default_chunk(program: Program, device: jax.Device, input_shape: tuple[int, ...] = ()) -> int:
    """Returns a device's chunk size: a function of structure and kind of device alone.

    It is a power of two. On a CPU at most 32 lanes with `lane_bytes` of at most 10 MB together,
    which stay in the cache beside those of another core; of wider networks 4, in 40 MB. (Two cores
    of an AMD EPYC with a cache of 32 MB: 40-256-256-256-10 takes 272 us a lane and step in chunks
    of 4, 364 in chunks of 8, 404 in chunks of 16; 256-128-64-10 43 in chunks of 8, 69 in chunks of
    32; 12288-25-12-6 361 in chunks of 4, 381 in chunks of 8, 427 one by one. With 64-32-16-10 more
    lanes than 32 are not faster, and a short sweep would waste more on filling up.) On other
    devices at most 8,192 lanes, in an eighth of the memory.
    """
    lane = max(program.lane_bytes(input_shape), 1)
    if device.platform == "cpu":
        lanes = min(32, max(10e6 / lane, min(4, 40e6 / lane)))
    else:
        memory = (device.memory_stats() or {}).get("bytes_limit", 8e9) / 8
        lanes = min(8192, memory / lane)
    return 2 ** max(0, int(math.log2(lanes)))


def check_rates(rates: Rates) -> None:
    if not isinstance(rates, Rates):
        raise ValueError(f"rates got {rates!r}; expected jaxnn.Rates(...)")
    for name, value in rates._asdict().items():
        may_be_zero = name in ("step", "lane", "compile", "compile_layer")
        is_zero = may_be_zero and isinstance(value, Real) and value == 0
        # within these bounds all times of a plan are finite
        if not is_zero and not (isinstance(value, Real) and 1e-30 <= value <= 1e30):  # type: ignore[operator]
            expected = ">= 0" if may_be_zero else "> 0"
            raise ValueError(f"rates got {name} {brief(value)}; expected a number {expected}")
