"""Whatever comes, drawn at random: it is taken, or refused by name; files are never misread."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jaxnn
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, complete

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.integers(-1, 9), st.integers(-1, 9)),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.sampled_from([np.float32(0.1), np.int64(3), np.nan, np.zeros(2), object(), len, {}]),
)
NAMES = st.one_of(st.sampled_from(sorted(HYPERPARAMETERS)), st.text(max_size=5), st.integers())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, ANYTHING, max_size=4))
def test_any_setting_is_completed_or_refused_by_name(setting):
    full, refusal = answered(complete, setting)
    if full is None:
        assert any(str(name) in refusal or repr(name) in refusal for name in setting)
    else:
        assert set(full) == set(HYPERPARAMETERS)
        assert complete(full) == full


def answered(function, *arguments):
    """What a function returns, or None and the message of its ValueError; nothing else passes."""
    try:
        return function(*arguments), ""
    except ValueError as error:
        return None, str(error)


def drawn_from(drawn):
    space = {
        name: domain[0](*domain[1:])
        if isinstance(domain, tuple) and domain and callable(domain[0])
        else domain
        for name, domain in drawn.items()
    }
    return jaxnn.sample(space, 3)


DOMAINS = st.one_of(
    ANYTHING,
    st.builds(
        lambda make, low, high: (make, low, high),
        st.sampled_from([jaxnn.uniform, jaxnn.loguniform, jaxnn.reverseloguniform, jaxnn.randint]),
        st.one_of(st.integers(-5, 5), st.floats()),
        st.one_of(st.integers(-5, 5), st.floats()),
    ),
    st.lists(ANYTHING, min_size=1, max_size=3).map(lambda options: (jaxnn.choice, options)),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(HYPERPARAMETERS)), DOMAINS, max_size=3))
def test_any_space_is_sampled_or_refused(drawn):
    found, refusal = answered(drawn_from, drawn)
    if found is None:
        assert re.search("got|bound|expected", refusal)
        return
    assert len(found) == 3
    for setting in found:
        full, refusal = answered(complete, setting)
        # two names that do not go together
        assert full or "decay_rate got" in refusal


@pytest.mark.slow
def test_damaged_files_never_load_hang_or_crash():
    """300 of them; `benchmarks/reliability.py fuzz` does 2,000."""
    script = Path(__file__).parents[1] / "benchmarks" / "reliability.py"
    command = [sys.executable, str(script), "fuzz", "--times", "300"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = {
        line.strip().split(maxsplit=1)[1]: int(line.split()[0]) for line in done.stdout.splitlines()
    }
    for name in ("commit-000001.h5", "network.h5", "study.h5"):
        assert found.pop(f"{name}: refused, and named") == 75
    # a data set has no SHA-256 that would tell
    assert found.pop("data.h5: loads") + found.pop("data.h5: refused, and named") == 75
    assert not found
