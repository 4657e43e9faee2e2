"""Estimators for scikit-learn (extra "sklearn"): a classifier, and a search of its options.

What belongs here speaks scikit-learn's language; training and searching belong to other folders.

Files, in reading order: `classifier` (`JaxMLPClassifier`), `search_cv` (`SweepSearchCV`).
"""

from jaxnn.estimators.classifier import JaxMLPClassifier
from jaxnn.estimators.search_cv import SweepSearchCV

__all__ = ["JaxMLPClassifier", "SweepSearchCV"]
