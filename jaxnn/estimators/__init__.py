"""Estimators for scikit-learn (extra "sklearn"): a classifier, a regressor, and a search.

What belongs here speaks scikit-learn's language; training and searching belong to other folders.

Files, in reading order: `options` (scikit-learn's options as a setting), `learning` (training that
may go on), `attributes` (what a fitted estimator shows), `lanes` (networks trained together),
`networks` (what both estimators do), `classifier` (`JaxMLPClassifier`), `regressor`
(`JaxMLPRegressor`), `candidates` (those of a search), `search_cv` (`SweepSearchCV`).
"""

from jaxnn.estimators.classifier import JaxMLPClassifier
from jaxnn.estimators.regressor import JaxMLPRegressor
from jaxnn.estimators.search_cv import SweepSearchCV

__all__ = ["JaxMLPClassifier", "JaxMLPRegressor", "SweepSearchCV"]
