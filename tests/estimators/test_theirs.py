"""scikit-learn's own tests of its networks, with ours in their place.

The tests are those of the installed version. They are run as they are, but for the two classes.
"""

import pytest
from helpers.theirs import Theirs

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
THEIRS = Theirs("sklearn.neural_network.tests.test_mlp", OURS, DIFFERENT)


@pytest.mark.parametrize(("test", "arguments"), THEIRS.cases)
def test_their_networks_are_ours(test, arguments, request, monkeypatch):
    THEIRS.run(test, arguments, request, monkeypatch)


def test_the_table_names_tests_that_there_are():
    THEIRS.check_table()
