"""One of three growers, from 13 measurements of a wine: two versions of one signature.

Version 1 sees two of the measurements and is clearly worse than version 2, which sees all, so
that a swap or a canary has something to compare.
"""

from collections.abc import Iterator

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from .common import Built, first_rows, rounded, split
from .convert import classifier

ALCOHOL, COLOUR_INTENSITY = 0, 9

DOCS = {
    1: "Three wine growers from alcohol and colour intensity alone: logistic regression.",
    2: "Three wine growers from 13 measurements: logistic regression.",
}


def build() -> Iterator[Built]:
    train, test, train_labels, test_labels = split(*load_wine(return_X_y=True))
    requests = [{"features": rows} for rows in first_rows(test, (1, 3, 32))]
    for version in DOCS:
        trained = pipeline(version).fit(train, train_labels)
        coarsen(trained["classes"])
        yield Built(
            name="wine",
            version=version,
            model=classifier("wine", version, trained, DOCS[version]),
            requests=requests,
            accuracy=float(np.mean(trained.predict(test) == test_labels)),
        )


def pipeline(version: int) -> Pipeline:
    steps = [("scale", StandardScaler()), ("classes", LogisticRegression())]
    if version == 1:
        columns = ("columns", "passthrough", [ALCOHOL, COLOUR_INTENSITY])
        steps.insert(0, ("columns", ColumnTransformer([columns])))
    return Pipeline(steps)


def coarsen(regression: LogisticRegression) -> None:
    regression.coef_ = rounded(regression.coef_)
    regression.intercept_ = rounded(regression.intercept_)
