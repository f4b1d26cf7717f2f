"""Malignant or benign, from 30 measurements of cell nuclei: gradient-boosted trees.

The model of the repository that runs tree-ensemble operators.
"""

from collections.abc import Iterator

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier

from .common import SEED, Built, first_rows, rounded, split
from .convert import classifier

DOC = "Breast tumours, malignant (0) or benign (1), from 30 measurements: gradient-boosted trees."


def build() -> Iterator[Built]:
    train, test, train_labels, test_labels = split(*load_breast_cancer(return_X_y=True))
    # Starting from zero leaves no base score to be stored; the first trees learn it.
    trained = GradientBoostingClassifier(
        n_estimators=120, max_depth=2, subsample=0.7, init="zero", random_state=SEED
    ).fit(train, train_labels)
    for (tree,) in trained.estimators_:
        values = tree.tree_.value  # a view: writing changes the tree
        values[:] = rounded(values)
    yield Built(
        name="breast_cancer",
        version=1,
        model=classifier("breast_cancer", 1, trained, DOC),
        requests=[{"features": rows} for rows in first_rows(test, (1, 3, 32))],
        accuracy=float(np.mean(trained.predict(test) == test_labels)),
    )
