"""scikit-learn's own tests of its networks, with ours in their place.

The tests are those of the installed version. They are run as they are, but for the two classes.
"""

import importlib
import inspect
import itertools

import pytest

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor

# scikit-learn's own runs let warnings pass
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

OURS = {"MLPClassifier": JaxMLPClassifier, "MLPRegressor": JaxMLPRegressor}
LBFGS = "not applicable: lbfgs"
PRIVATE = "not applicable: private attributes"
DIFFERENT = {
    "test_fit": "not applicable: sets coefs_ of a network that was never fitted",
    "test_gradient": LBFGS,
    "test_lbfgs_classification": LBFGS,
    "test_lbfgs_regression": LBFGS,
    "test_lbfgs_classification_maxfun": LBFGS,
    "test_lbfgs_regression_maxfun": LBFGS,
    "test_mlp_vs_poisson_glm_equivalent": LBFGS,
    "test_mlp_warm_start_no_convergence[lbfgs-JaxMLPClassifier]": LBFGS,
    "test_mlp_warm_start_no_convergence[lbfgs-JaxMLPRegressor]": LBFGS,
    "test_multilabel_classification": LBFGS,
    "test_multioutput_regression": LBFGS,
    "test_predict_proba_multilabel": LBFGS,
    "test_sparse_matrices": LBFGS,
    "test_warm_start": LBFGS,
    "test_adaptive_learning_rate": PRIVATE,
    "test_learning_rate_warmstart": PRIVATE,
    "test_n_iter_no_change": PRIVATE,
    "test_n_iter_no_change_inf": PRIVATE,
    "test_early_stopping_stratified": "the rare class is named as it was given, not as True",
    "test_mlp_param_dtypes[JaxMLPClassifier-float64]": "weights are float32 by default",
    "test_mlp_param_dtypes[JaxMLPRegressor-float64]": "weights are float32 by default",
    "test_nonfinite_params": "inputs that float32 cannot hold are refused in other words",
    "test_preserve_feature_names[JaxMLPClassifier]": "one class is refused",
}
"""Test, or one of its cases -> why it does not apply or cannot be the same."""


def module():
    """The module of tests, or None where scikit-learn came without it."""
    try:
        return importlib.import_module("sklearn.neural_network.tests.test_mlp")
    except ImportError:
        return None


def cases():
    """Every test of the module, with each combination of its parameters."""
    tests = vars(module()) if module() else {}
    for name in [one for one in tests if one.startswith("test_")]:
        marks = getattr(tests[name], "pytestmark", [])
        rows = [choices(*one.args) for one in marks if one.name == "parametrize"]
        for chosen in itertools.product(*rows):
            arguments = {key: value for one in chosen for key, value in one.items()}
            label = "-".join(map(word, arguments.values()))
            yield pytest.param(tests[name], arguments, id=f"{name}[{label}]" if label else name)


def choices(names, values):
    """What `pytest.mark.parametrize` says, as dicts of arguments, with our classes."""
    names = [one.strip() for one in names.split(",")]
    rows = [[value] if len(names) == 1 else value for value in values]
    return [{name: OURS.get(word(v), v) for name, v in zip(names, row, strict=True)}
            for row in rows]  # fmt: skip


def word(value):
    return value if isinstance(value, str) else getattr(value, "__name__", "data")


@pytest.mark.parametrize(("test", "arguments"), [*cases()])
def test_their_networks_are_ours(test, arguments, request, monkeypatch):
    case = request.node.callspec.id
    if reason := DIFFERENT.get(case) or DIFFERENT.get(test.__name__):
        pytest.skip(reason)
    for name, ours in OURS.items():
        monkeypatch.setattr(module(), name, ours)
    fixtures = [name for name in inspect.signature(test).parameters if name not in arguments]
    test(**arguments, **{name: request.getfixturevalue(name) for name in fixtures})


def test_the_table_names_tests_that_there_are():
    if module() is None:
        pytest.skip("scikit-learn came without its tests")
    known = {one.id for one in cases()}
    assert set(DIFFERENT) <= known | {one.split("[")[0] for one in known}
