"""What `salver drift compare` says of files that cannot be compared."""

import os
import subprocess

import pandas as pd
import pytest

SALVER = os.environ["SALVER_BIN"]

GOOD = pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "a"]})


def complaint(folder, reference, current, *arguments):
    paths = []
    for side, table in (("reference", reference), ("current", current)):
        paths.append(folder / f"{side}.{'csv' if isinstance(table, str) else 'parquet'}")
        if isinstance(table, str):
            paths[-1].write_text(table)
        else:
            table.to_parquet(paths[-1])
    command = [SALVER, "drift", "compare", "--reference", paths[0], "--current", paths[1]]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and not done.stdout, done
    return done.stderr


@pytest.mark.parametrize(
    ("reference", "current", "arguments", "words"),
    [
        (GOOD, GOOD[["x"]], [], ['column "c"', "current.parquet", "lacks it", "it has x"]),
        (GOOD, GOOD, ["--columns", "y"], ['column "y"', "reference.parquet", "it has x, c"]),
        (GOOD, GOOD.assign(x="a"), [], ['column "x"', "holds numbers", "text"]),
        (GOOD, GOOD.assign(x=float("nan")), [], ['column "x"', "no usable value among 2 rows"]),
        (GOOD, GOOD[:0], [], ["current.parquet", "no rows"]),
        (GOOD, "x,c\n1,a\n2\n", [], ["current.csv", "line: 3"]),
        (GOOD, "x,x\n1,2\n", [], ["two columns named", '"x"']),
        (GOOD, GOOD, ["--numerical", "c"], ['column "c"', "holds text", "Numerical"]),
        (GOOD, GOOD, ["--numerical", "x", "--categorical", "x"], ['column "x"', "both"]),
    ],
)
def test_faults_are_named(tmp_path, reference, current, arguments, words):
    said = complaint(tmp_path, reference, current, *arguments)
    for word in words:
        assert word in said, said


def test_a_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    for name, word in (("x.json", "neither"), ("absent.csv", "cannot be read")):
        path = tmp_path / name
        command = [SALVER, "drift", "compare", "--reference", path, "--current", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and word in done.stderr and name in done.stderr, done
