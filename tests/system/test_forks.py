"""A fork of a process that has used JAX is told so before it hangs."""

import json

import pytest

pytestmark = pytest.mark.slow

CODE = """
import json, os, signal, sys, tempfile, warnings
import numpy as np
import jaxnn

def data():
    return jaxnn.Dataset(np.eye(64), np.arange(64) % 2)

def told_in_a_fork(call):
    # JAX warns of any fork
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reading, writing = os.pipe()
        child = os.fork()
    if not child:
        # it ends by the alarm where it hangs
        signal.alarm(60)
        try:
            call()
            told = "nothing"
        except RuntimeError as error:
            told = str(error)
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    status = os.waitpid(child, 0)[1]
    return os.fdopen(reading).read() if status == 0 else f"status {status}"

options = {"epochs": 1, "progress": False}
"""

FRESH = """
print(told_in_a_fork(lambda: jaxnn.fit({}, data(), **options)))
"""

USED = """
there = data()
run = jaxnn.Run({}, there)
fitted = run.fitted()
path = tempfile.mkdtemp() + "/network.h5"
fitted.save(path)
calls = {
    "Dataset": data,
    "fit": lambda: jaxnn.fit({}, there, **options),
    "Run": lambda: jaxnn.Run({}, there),
    "train": lambda: run.train(1),
    "sweep": lambda: jaxnn.sweep([{}], there, 0.25, **options),
    "search": lambda: jaxnn.search({}, there, 0.25, max_epochs=1, num_settings=1),
    "a fitted network": lambda: fitted.predict(np.eye(64)),
    "load": lambda: jaxnn.load(path),
}
print(json.dumps([os.getpid(), {name: told_in_a_fork(call) for name, call in calls.items()}]))
"""


def test_a_fork_of_a_process_that_has_not_used_jax_works(run_python):
    assert run_python(CODE + FRESH).stdout == "nothing\n"


def test_a_fork_of_a_process_that_has_is_told_at_every_entrance(run_python):
    process, told = json.loads(run_python(CODE + USED).stdout)
    assert len(told) == 8
    for name, text in told.items():
        assert text.startswith(f"{name} was called in process "), (name, text)
        assert f"forked from {process}, which had used JAX" in text
        assert 'get_context("spawn") or "forkserver"' in text
