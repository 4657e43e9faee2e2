"""`python -m jaxnn`: prints versions and devices, and measures the speed of this machine."""

import math
import time

import jax
import numpy as np

import jaxnn
from jaxnn.planning.costs import RATES
from jaxnn.reporting.reports import environment, version_of

EXTRAS = ("matplotlib", "pandas", "optuna", "scikit-learn")
EPOCHS = 20


def main() -> None:
    print(*environment(), sep="\n")
    print("extras:", ", ".join(f"{name} {version_of(name)}" for name in EXTRAS))
    kind = jax.local_devices()[0].platform
    if kind not in RATES:
        print(f"the plan has no rates for {kind!r}, and takes those of a GPU")
    check_rate()


def check_rate() -> None:
    """Trains 64 settings of 64-32-16-10 for two seconds and prints their time beside the plan's."""
    rng = np.random.default_rng(0)
    train = jaxnn.Dataset(rng.normal(size=(1024, 64)), np.arange(1024) % 10)
    settings = [{"hidden": (32, 16), "learning_rate": 1e-3}] * 64
    steps = len(settings) * len(train) // 32 * EPOCHS

    def seconds() -> float:
        start = time.perf_counter()
        jaxnn.sweep(settings, train, train[:64], epochs=EPOCHS, progress=False)
        return time.perf_counter() - start

    first = seconds()
    best, until = math.inf, time.perf_counter() + 2
    while time.perf_counter() < until:
        best = min(best, seconds())
    # the plan assumes one device; on a CPU chunks run on every core
    expected = jaxnn.plan(settings, train, epochs=EPOCHS).seconds
    print(
        f"64 settings of 64-32-16-10: compiled in {first - best:.1f} s; "
        f"{best / steps * 1e6:.1f} us a setting-step, the plan's rates say "
        f"{expected / steps * 1e6:.1f} for one device or core"
    )


if __name__ == "__main__":
    main()
