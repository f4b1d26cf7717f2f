"""`salver drift compare` against the installed Evidently, on random files.

Every statistic of every column must be Evidently's. Distances may differ by rounding only; where a
distance is the root of a small difference (Hellinger, Jensen-Shannon), its square is compared, since
the rounding of 1 - x is all that is left of it.
"""

import json
import math
import os
import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.calculations.stattests.tvd_stattest import _total_variation_distance
from evidently.legacy.core import ColumnType
from scipy import stats

SALVER = os.environ["SALVER_BIN"]
CASES = int(os.environ.get("DRIFT_CASES", "300"))

DISTANCE = 1e-12
ROOTS = {"hellinger", "jensenshannon"}
# Evidently computes 2(1 - F(z)), which has no digits left where the tail is small.
P_ABSOLUTE = {"ks": 1e-10, "chisquare": 1e-10, "z": 1e-10}
P_RELATIVE = {"ks": 1e-6, "chisquare": 1e-6}


def evidently(reference, current, kind):
    """Every statistic that Evidently has for the two columns."""
    reference = reference.replace([-np.inf, np.inf], np.nan).dropna()
    current = current.replace([-np.inf, np.inf], np.nan).dropna()
    distinct = pd.concat([reference, current]).nunique()
    names = ["psi", "jensenshannon", "kl_div", "hellinger"]
    if kind == ColumnType.Numerical:
        names += ["ks", "wasserstein"]
    else:
        names += ["chisquare"] + (["z"] if distinct <= 2 else [])
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            test = get_stattest(reference, current, kind, name)
            found[name] = test(reference.copy(), current.copy(), kind, 0.1).drift_score
        if kind == ColumnType.Numerical:
            found["ks_statistic"] = stats.ks_2samp(reference, current)[0]
        else:
            found["tvd_statistic"] = _total_variation_distance(reference, current)
            counts = [it.value_counts(normalize=True) for it in (reference, current)]
            found["linf"] = counts[0].subtract(counts[1], fill_value=0).abs().max()
        default = get_stattest(reference, current, kind, None)
        result = default(reference.copy(), current.copy(), kind, None)
    found["default"] = default.name
    found["drift"] = bool(result.drifted)
    if default.name in ("chisquare", "z"):
        found[default.name] = result.drift_score
    return found


def same(name, got, expect):
    if got is None or not math.isfinite(expect):
        return got is None and not math.isfinite(expect)
    off = abs(got - expect)
    if name in P_ABSOLUTE:
        relative = P_RELATIVE.get(name, math.inf)
        return off <= P_ABSOLUTE[name] and (expect <= 1e-12 or off <= relative * expect)
    if name in ROOTS and abs(got**2 - expect**2) <= 1e-14:
        return True
    return off <= DISTANCE * abs(expect) or off <= 1e-15


def numbers(random, n):
    """A numerical column: some law, some rounding, sometimes missing or infinite values."""
    law = random.integers(0, 7)
    shift, scale = random.choice([0, 0, 0.1, 0.5, 3]), random.choice([1, 1, 1.2, 2, 1e-3, 1e4])
    values = [
        lambda: random.normal(shift, 1, n),
        lambda: random.lognormal(shift, 1, n),
        lambda: random.uniform(shift, shift + 1, n),
        lambda: random.exponential(1 + shift, n),
        lambda: random.standard_t(2, n) + shift,
        lambda: random.integers(0, random.integers(2, 60), n).astype(float) + round(shift),
        lambda: np.full(n, 1.0 + round(shift)),
    ][law]() * scale
    if random.random() < 0.3:
        values = np.round(values, random.integers(0, 3))
    if random.random() < 0.2:
        values = values + 1e6
    for hole in (np.nan, np.inf, -np.inf):
        if random.random() < 0.2:
            values[random.random(n) < 0.1] = hole
    values[0] = 1.5
    return pd.Series(values)


def integers(random, n):
    """An integer column of more than ten values."""
    top = int(random.integers(12, 3000))
    drawn = np.minimum(random.integers(0, top, n), random.integers(0, top, n))
    return pd.Series(np.concatenate([np.arange(12), drawn]))


def categories(random, n, k, words):
    weights = random.dirichlet(np.full(k, random.choice([0.3, 1.0, 10.0])))
    drawn = pd.Series(random.choice(k, n, p=weights))
    if words:
        drawn = drawn.map(lambda it: f"k{it:02}")
        if random.random() < 0.3:
            drawn[random.random(n) < 0.1] = None
        drawn.iloc[0] = "k00"
    return drawn


def size(random):
    return int(random.choice([3, 20, 64, 100, 256, 300, 999, 1000, 1001, 1024, 2048, 5000]))


def tables(random):
    """A reference and a current table, and the kind of each column."""
    n, m = size(random), size(random)
    if random.random() < 0.05:
        n, m = 12_000, int(random.choice([50, 900, 10_500]))
    k, flags = int(random.integers(2, 30)), random.random(2)
    pair = lambda make: (make(n), make(m))  # noqa: E731
    columns = {
        "number": (*pair(lambda it: numbers(random, it)), ColumnType.Numerical),
        "other": (*pair(lambda it: numbers(random, it)), ColumnType.Numerical),
        "count": (*pair(lambda it: integers(random, it).iloc[:it]), ColumnType.Numerical),
        "code": (*pair(lambda it: categories(random, it, k, False)), ColumnType.Categorical),
        "word": (*pair(lambda it: categories(random, it, k, True)), ColumnType.Categorical),
        "side": (*pair(lambda it: categories(random, it, 2, True)), ColumnType.Categorical),
        "flag": (
            pd.Series(random.random(n) < flags[0]),
            pd.Series(random.random(m) < flags[1]),
            ColumnType.Categorical,
        ),
    }
    table = lambda at: pd.DataFrame({name: it[at] for name, it in columns.items()})  # noqa: E731
    return table(0), table(1), {name: it[2] for name, it in columns.items()}


def ask(*arguments):
    return subprocess.run(
        [SALVER, "drift", "compare", *arguments], capture_output=True, text=True, timeout=120
    )


def compare(folder, reference, current, kinds, ending):
    paths = [folder / f"{side}.{ending}" for side in ("reference", "current")]
    for path, table in zip(paths, (reference, current), strict=True):
        table.to_parquet(path) if ending == "parquet" else table.to_csv(path, index=False)
    asked = ["--reference", paths[0], "--current", paths[1], "--output", "json"]
    for name, kind in kinds.items():
        asked += ["--numerical" if kind == ColumnType.Numerical else "--categorical", name]
    done = ask(*asked)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["columns"]


@pytest.mark.parametrize("seed", range(CASES))
def test_every_statistic_is_evidently_s(tmp_path, seed):
    random = np.random.default_rng(seed)
    reference, current, kinds = tables(random)
    ending = "csv" if seed % 4 == 3 else "parquet"
    columns = compare(tmp_path, reference, current, kinds, ending)
    faults = []
    for name, kind in kinds.items():
        for statistic, expect in evidently(reference[name], current[name], kind).items():
            got = columns[name][statistic]
            good = got == expect if statistic in ("default", "drift") else same(statistic, got, expect)
            if not good:
                faults.append(f"{name}: {statistic} is {got!r}, Evidently says {expect!r}")
    assert not faults, "\n".join(faults)


def test_kinds_are_those_that_evidently_infers(tmp_path):
    from evidently import Dataset

    random = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "float": random.normal(size=100).round(),
            "few": random.integers(0, 10, 100),
            "many": np.arange(100),
            "holes": pd.Series(random.integers(0, 3, 100)).where(random.random(100) < 0.9),
            "flag": random.random(100) < 0.5,
            "word": random.choice(["a", "b"], 100),
            "text": [f"line {it}" for it in range(100)],
        }
    )
    data = Dataset.from_pandas(table)
    expect = {it: data.column(it).type.value for it in table.columns}
    for ending in ("parquet", "csv"):
        columns = compare(tmp_path, table, table, {}, ending)
        assert {name: it["type"] for name, it in columns.items()} == expect
