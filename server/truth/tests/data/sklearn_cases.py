"""Writes sklearn.json: random answers, labels, and what scikit-learn says of them.

    .venv/models/bin/python server/truth/tests/data/sklearn_cases.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn import metrics

random = np.random.default_rng(7)
cases = []


def calibration_error(p, y):
    """Ten bins of equal width by the likeliest class's probability, as netcal and torchmetrics have it."""
    sure, right = p.max(1), p.argmax(1) == y
    places = np.minimum((sure * 10).astype(int), 9)
    return float(sum(abs(right[places == it].sum() - sure[places == it].sum()) for it in range(10)) / len(y))


for classes, rows in ((2, 40), (3, 60), (5, 80)):
    z, y = random.normal(size=(rows, classes)), random.integers(0, classes, rows)
    z[np.arange(rows), y] += 1.0
    p = np.exp(z)
    p = (p / p.sum(1, keepdims=True)).astype(np.float32).astype(np.float64)
    q = p / p.sum(1, keepdims=True)
    two = classes == 2
    expected = {
        "accuracy": metrics.accuracy_score(y, p.argmax(1)),
        "log_loss": metrics.log_loss(y, q, labels=range(classes)),
        "auc": metrics.roc_auc_score(y, p[:, 1]) if two else metrics.roc_auc_score(y, q, multi_class="ovr"),
        "brier": metrics.brier_score_loss(y, p[:, 1]) if two else metrics.brier_score_loss(y, q, labels=range(classes)),
        "ece": calibration_error(p, y),
    }
    cases.append({"task": "classification", "classes": classes, "answers": p.tolist(), "labels": y.tolist(), "expected": expected})

y = random.normal(size=50) * 10
p = y + random.normal(size=50) * 2 + 0.5
expected = {
    "mae": metrics.mean_absolute_error(y, p),
    "rmse": metrics.root_mean_squared_error(y, p),
    "bias": float(np.mean(p - y)),
}
cases.append({"task": "regression", "classes": 0, "answers": [[it] for it in p], "labels": y.tolist(), "expected": expected})
Path(__file__).with_name("sklearn.json").write_text(json.dumps(cases))
