"""Writes `../data/embeddings.json`: two samples of vectors held against each other, by definition."""

import json
from pathlib import Path

import numpy as np
from scipy import stats


def mmd_squared(x, y, sigma):
    """Equation 3 of Gretton and others, "A kernel two-sample test", pair by pair."""

    def kernel(a, b):
        return float(np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2)))

    m, n = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    between = sum(kernel(a, b) for a in x for b in y)
    return within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2 * between / (m * n)


def median_distance(x, y):
    both = np.concatenate([x, y])
    pairs = [(i, j) for i in range(len(both)) for j in range(i)]
    return float(np.median([np.linalg.norm(both[i] - both[j]) for i, j in pairs]))


def witness_p(x, y, sigma):
    def kernel(a, b):
        return np.exp(-np.sum((a[:, None] - b[None]) ** 2, axis=2) / (2 * sigma**2))

    def witness(z):
        return kernel(z, x[::2]).mean(axis=1) - kernel(z, y[::2]).mean(axis=1)

    return float(stats.ks_2samp(witness(x[1::2]), witness(y[1::2]), method="exact").pvalue)


def permutation_p(x, y, sigma, random, draws=4000):
    both = np.concatenate([x, y])
    square = np.sum((both[:, None] - both[None]) ** 2, axis=2)
    k = np.exp(-square / (2 * sigma**2))
    np.fill_diagonal(k, 0)
    m, n = len(x), len(y)

    def estimate(order):
        a, b = order[:m], order[m:]
        within = k[np.ix_(a, a)].sum() / (m * (m - 1)) + k[np.ix_(b, b)].sum() / (n * (n - 1))
        return within - 2 * k[np.ix_(a, b)].sum() / (m * n)

    seen = estimate(np.arange(m + n))
    extremes = sum(estimate(random.permutation(m + n)) >= seen - 1e-12 for _ in range(draws))
    return (extremes + 1) / (draws + 1)


def cosine(a, b):
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))


def case(random, sizes, length, shift, spread):
    x = random.normal(0.3, 1, (sizes[0], length)).astype(np.float32)
    y = random.normal(0.3 + shift, spread, (sizes[1], length)).astype(np.float32)
    wide, other = x.astype(np.float64), y.astype(np.float64)
    sigma = median_distance(wide, other)
    means = wide.mean(axis=0), other.mean(axis=0)
    return {
        "reference": [[float(it) for it in row] for row in x],
        "current": [[float(it) for it in row] for row in y],
        "bandwidth": sigma,
        "mmd_squared": mmd_squared(wide, other, sigma),
        "euclidean": float(np.linalg.norm(means[0] - means[1])),
        "cosine": cosine(*means),
        "permutation_p": permutation_p(wide, other, sigma, random),
        "witness_p": witness_p(wide, other, sigma),
    }


def cases():
    random = np.random.default_rng(20261122)
    kinds = [
        ((20, 20), 3, 0.0, 1.0),
        ((25, 14), 5, 0.0, 1.0),
        ((14, 25), 9, 0.2, 1.0),
        ((30, 30), 8, 0.5, 1.0),
        ((24, 17), 4, 0.0, 1.8),
        ((40, 40), 16, 1.0, 1.0),
    ]
    return [case(random, *kind) for kind in kinds]


if __name__ == "__main__":
    path = Path(__file__).parent.parent / "data" / "embeddings.json"
    path.write_text(json.dumps(cases()) + "\n")
