"""Writes `../data/special.json`: tails of distributions, as SciPy computes them."""

import json
from pathlib import Path

import numpy as np
import scipy
from scipy import special, stats

FREEDOM = [1, 2, 3, 4, 5, 9, 10, 30, 49, 100, 999, 10_000]
SIZES = [1, 2, 3, 5, 10, 20, 50, 100, 139, 140, 141, 200, 829, 1000, 5000, 20_000, 100_000, 300_000]
PAIRS = [(1, 1), (2, 3), (5, 5), (7, 20), (40, 60), (64, 64), (100, 150), (300, 500), (997, 1000)]


def kept(rows):
    """Without what is below the smallest normal numbers."""
    return [row for row in rows if 1e-290 < row[-1] <= 1]


def chi_square():
    at = [0.01, 0.1, 0.5, 0.9, 1.0, 1.1, 1.5, 2.0, 5.0, 20.0, 100.0]
    rows = [(float(df * it), df) for df in FREEDOM for it in at]
    return kept([(x, df, float(special.gammaincc(df / 2, x / 2))) for x, df in rows])


def normal():
    return kept([(z, float(2 * stats.norm.sf(z))) for z in np.arange(0, 37, 0.75).tolist()])


def kolmogorov():
    scaled = [0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.48, 1.49, 1.7, 2.0, 2.5, 4.0, 8.0]
    rows = [(n, float(it / np.sqrt(n))) for n in SIZES for it in scaled if it / np.sqrt(n) < 1]
    return kept([(n, d, float(stats.kstwo.sf(d, n))) for n, d in rows])


def smirnov():
    """Exact p-values: samples of n and m equal numbers apart at one place make any distance."""
    rows = []
    for n, m in PAIRS:
        for share in (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0):
            low = round(share * n)
            left, right = np.r_[np.zeros(low), np.ones(n - low)], np.ones(m)
            result = stats.ks_2samp(left, right, method="exact")
            rows.append((n, m, float(result.statistic), float(result.pvalue)))
    return kept(rows)


if __name__ == "__main__":
    tables = {
        "scipy": scipy.__version__,
        "chi_square": chi_square(),
        "normal": normal(),
        "kolmogorov": kolmogorov(),
        "smirnov": smirnov(),
    }
    lines = [f' "{name}": {json.dumps(rows)}' for name, rows in tables.items()]
    path = Path(__file__).parent.parent / "data" / "special.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
