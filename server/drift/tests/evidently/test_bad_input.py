"""What `salver drift compare` says of files that cannot be compared."""

import json
import math
import os
import subprocess

import pandas as pd
import pytest

SALVER = os.environ["SALVER_BIN"]

GOOD = pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "a"]})


def compare(folder, reference, current, *arguments):
    paths = []
    for side, table in (("reference", reference), ("current", current)):
        paths.append(folder / f"{side}.{'csv' if isinstance(table, str) else 'parquet'}")
        if isinstance(table, str):
            paths[-1].write_text(table)
        else:
            table.to_parquet(paths[-1])
    command = [SALVER, "drift", "compare", "--reference", paths[0], "--current", paths[1]]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("reference", "current", "arguments", "words"),
    [
        (GOOD, GOOD, ["--columns", "y"], ['column "y"', "reference.parquet", "it has x, c"]),
        (GOOD, GOOD[:0], [], ["current.parquet", "no rows"]),
        (GOOD, "x,c\n1,a\n2\n", [], ["current.csv", "line: 3"]),
        (GOOD, "x,x\n1,2\n", [], ["two columns named", '"x"']),
        (GOOD, GOOD, ["--numerical", "x", "--categorical", "x"], ['column "x"', "both"]),
    ],
)
def test_faults_are_named(tmp_path, reference, current, arguments, words):
    done = compare(tmp_path, reference, current, *arguments)
    assert done.returncode == 65 and not done.stdout, "1 is for drift"
    for word in words:
        assert word in done.stderr, done


WORDS = GOOD.assign(x="a")
EMPTY = GOOD.assign(x=float("nan"))
CASES = {
    "missing": (GOOD, GOOD[["c"]], [], ["current.parquet", "lacks it", "it has c"]),
    "text against numbers": (GOOD, WORDS, [], ["holds numbers", "text"]),
    "numbers against text": (WORDS, GOOD, [], ["holds text", "numbers"]),
    "nothing but NaN": (GOOD, EMPTY, [], ["no usable value among 2 rows"]),
    "nothing but NaN before": (EMPTY, GOOD, [], ["reference has no usable"]),
    "text as numbers": (WORDS, WORDS, ["--numerical", "x"], ["holds text", "Numerical"]),
}
STATISTICS = ["psi", "jensenshannon", "ks", "ks_statistic", "wasserstein", "chisquare", "z"]
STATISTICS += ["kl_div", "hellinger", "tvd_statistic", "linf", "default", "threshold"]


@pytest.mark.parametrize(("reference", "current", "arguments", "words"), CASES.values(), ids=CASES)
def test_a_bad_column_is_one_of_many(tmp_path, reference, current, arguments, words):
    done = compare(tmp_path, reference, current, "--output", "json", *arguments)
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    bad, good = said["columns"]["x"], said["columns"]["c"]
    assert {bad[it] for it in STATISTICS} == {None} and bad["drift"] is False
    assert good["default"] == "z" and good["drift"] is False and "error" not in good
    assert said["dataset"]["columns"] == 1, "it is judged by the others"
    for word in words:
        assert word in bad["error"] and word in done.stderr, done
    shown = compare(tmp_path, reference, current, *arguments)
    assert shown.returncode == 0 and "ERROR" in shown.stdout, shown


def test_drift_and_faults_are_told_apart(tmp_path):
    many = pd.DataFrame({"x": [float(it) for it in range(200)], "c": ["a"] * 200})
    bad = many.assign(c=1)

    def code(current):
        return compare(tmp_path, many, current, "--fail-on-drift").returncode

    assert code(many) == 0
    assert code(many.assign(x=many.x + 500)) == 1
    assert code(bad) == 65, "who asks whether it drifted does not hear no"
    assert code(bad.assign(x=many.x + 500)) == 1
    assert code(many[["c"]]) == 65
    assert code(many[:0]) == 65


def test_true_and_false_are_one_and_zero_beside_numbers(tmp_path):
    numbers = pd.DataFrame({"x": [0, 1, 1, 1] * 50})
    flags = pd.DataFrame({"x": [True, False, False, False] * 50})
    turned = numbers.assign(x=1 - numbers.x)
    for reference, current in [(numbers, flags), (flags, numbers), (numbers, turned)]:
        done = compare(tmp_path, reference, current, "--output", "json")
        column = json.loads(done.stdout)["columns"]["x"]
        assert column["default"] == "z" and column["drift"] is True, column
        # Shares of 3/4 and 1/4 among 200 rows each are ten standard deviations apart.
        assert column["z"] == pytest.approx(math.erfc(10 / math.sqrt(2)), rel=1e-9), column


def test_a_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    for name, word in (("x.json", "neither"), ("absent.csv", "cannot be read")):
        path = tmp_path / name
        command = [SALVER, "drift", "compare", "--reference", path, "--current", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 65 and word in done.stderr and name in done.stderr, done


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_integers_beyond_2_to_the_53_are_told_apart(tmp_path, form):
    """As floats the first fifty are one number, and the two hundred a handful."""

    def column(reference, current):
        sides = [pd.DataFrame({"x": reference}), pd.DataFrame({"x": current})]
        if form == "csv":
            sides = [it.to_csv(index=False) for it in sides]
        done = compare(tmp_path, *sides, "--output", "json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)["columns"]["x"]

    def plain(it):
        return {key: value for key, value in it.items() if key != "note"}

    small = [[it // 4 for it in range(200)], [(it // 4) % 30 for it in range(200)]]
    for base in (2**60, -(2**62)):
        got = column(*[[base + it for it in side] for side in small])
        assert plain(got) == column(*small), "as those that are as far apart"
        assert got["type"] == "num" and got["drift"] is True
        assert "beyond 2^53" in got["note"] and "exactly" in got["note"]
    ids = [7 * 10**18 + it for it in range(200)]
    got = column(ids, ids[::-1])
    assert (got["type"], got["default"], got["drift"]) == ("num", "ks", False)
    few = [[2**60 + it % 3 for it in range(100)], [2**60 + it % 2 for it in range(100)]]
    got = column(*few)
    assert (got["type"], got["default"], got["drift"]) == ("cat", "chisquare", True)
    assert plain(got) == column(*[[it - 2**60 for it in side] for side in few])
    far = column([-(2**62), *range(100)], [2**62, *range(100)])
    assert "53 bits" in far["note"] and far["type"] == "num"
    mixed = column(ids, [it + 0.5 for it in range(200)])
    assert mixed["drift"] is True and "rounded" in mixed["note"]
