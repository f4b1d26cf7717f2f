"""Wines and their growers, as many as are wanted: drawn by class as the wine data set is distributed.

After the shift comes another vintage: riper and darker, with more proline. What tells the growers apart has not gone,
but lies elsewhere, so a model of the old vintage takes one grower for another and a model of both does not.
"""

import numpy as np
from sklearn.datasets import load_wine

NAMES = [
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280_od315", "proline",
]  # fmt: skip
# By how many standard deviations the new vintage differs.
SHIFT = {"alcohol": 1.3, "proline": 1.3, "color_intensity": 1.2, "flavanoids": -0.8}


class World:
    """Draws wines; the same seed, the same wines."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        rows, growers = load_wine(return_X_y=True)
        self.scale, self.low = rows.std(axis=0), rows.min(axis=0) / 2
        self.groups = []
        for grower in range(3):
            group = rows[growers == grower]
            self.groups.append((group.mean(axis=0), np.linalg.cholesky(np.cov(group.T) + 1e-9 * np.eye(13))))

    def draw(self, count, is_shifted=False):
        """Measurements and growers."""
        growers = self.random.integers(3, size=count)
        noise = self.random.standard_normal((count, 13))
        rows = np.array([mean + root @ it for it, (mean, root) in zip(noise, (self.groups[g] for g in growers))])
        if is_shifted:
            for name, by in SHIFT.items():
                place = NAMES.index(name)
                rows[:, place] += by * self.scale[place]
        return np.maximum(rows, self.low).astype(np.float32), growers
