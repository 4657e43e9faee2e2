"""Estimators for scikit-learn (extra "sklearn"): a classifier, and a search of its options."""

from jaxnn.estimators.classifier import JaxMLPClassifier
from jaxnn.estimators.search_cv import SweepSearchCV

__all__ = ["JaxMLPClassifier", "SweepSearchCV"]
