"""Drift in the prediction log, hour by hour, by Spark: the PSI of each numerical feature against the
profile that `salver profile` wrote, over the Parquet files of as many replicas as there are.

    spark-submit loadtest/demo/spark/drift.py --profile models/repository/wine/2/profile.json \\
        --model wine --version 2 s3a://bucket/prefix

Prints a line of JSON for each window of time and feature. Rows that were delivered twice count once, and
only those count that `salver monitor` counts: answered, and in the log by the sample's own choice.
"""

import argparse
import functools
import json
import math
import struct
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import FloatType

# Bins of the profile that make one bin of the PSI, unless each of so few values has one of its own, and the
# share that an empty one gets: as the monitors do it.
FINE_PER_COARSE = 8
VALUES_MAX = 20
EMPTY = 1e-4


def numbers(profile):
    """The numerical features, by their column of the log."""
    sides = {"input": "in", "output": "out"}
    return {f"{sides[it['role']]}.{it['name']}": it for it in profile["features"] if it["type"] == "num"}


def is_alone(edges, at):
    """Has the bin before that edge room for one value only?"""
    return 0 < at < len(edges) and edges[at] == math.nextafter(edges[at - 1], math.inf)


def coarse(feature, edges=None):
    """Where the PSI's bins end, and what the reference has in each."""
    counts, own = feature["counts"], feature["edges"]
    full = [at for at, count in enumerate(counts) if count > 0]
    few = len(full) <= VALUES_MAX and all(is_alone(own, at) for at in full)
    step = 1 if few else FINE_PER_COARSE
    starts = range(0, len(counts), step)
    return (edges or own)[step - 1 :: step], [sum(counts[at : at + step]) for at in starts]


def single(number):
    """As a column of single precision would hold it."""
    return struct.unpack("f", struct.pack("f", number))[0]


def singles(edges):
    """The same of edges; the end of a bin of one value goes where that value goes."""
    after = lambda at: math.nextafter(single(edges[at - 1]), math.inf)  # noqa: E731
    return [after(at) if is_alone(edges, at) else single(edge) for at, edge in enumerate(edges)]


def shares(counts):
    """Of the whole; none is zero."""
    found = [it / sum(counts) for it in counts]
    least = min(it for it in found if it > 0)
    return [it or (EMPTY if least > EMPTY else least / 1e6) for it in found]


def psi(reference, current):
    """Of counts of the same bins; one that is empty on both sides is none."""
    full = [it for it in zip(reference, current, strict=True) if any(it)]
    reference, current = zip(*full, strict=True)
    return sum((p - q) * math.log(p / q) for p, q in zip(shares(reference), shares(current), strict=True))


def rows(spark, logs, model, version):
    """The rows of a version that count, each once."""
    read = spark.read.option("mergeSchema", True)
    # Each log is a root of its own: model, version, date and hour are folders below it.
    logged = [read.option("basePath", it).parquet(f"{it}/model={model}/version={version}") for it in logs]
    frame = functools.reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), logged)
    counts = (f.col("status") == "OK") & (f.col("sample_reason") == "uniform")
    return frame.where(counts).dropDuplicates(["event_id", "row_index"])


def binned(frame, column, feature, window):
    """Values of a column in each bin, by window of time."""
    is_single = isinstance(frame.schema[column].dataType, FloatType)
    edges, _ = coarse(feature, singles(feature["edges"]) if is_single else None)
    value = f.col(f"`{column}`").cast("double")
    usable = value.isNotNull() & ~f.isnan(value) & (f.abs(value) != math.inf)
    # A bin is [from, to): its number is that of the edges that are not above the value.
    place = functools.reduce(lambda sum, edge: sum + (value >= f.lit(edge)).cast("int"), edges, f.lit(0))
    frame = frame.where(usable).withColumn("bin", place)
    return frame.groupBy(f.window("event_time", window).start.alias("from"), "bin").count().collect()


def drift(spark, logs, whose, profile, window="1 hour"):
    """A line for each window and feature. `whose`: model and version."""
    frame = rows(spark, logs, *whose).cache()
    found = []
    for column, feature in numbers(profile).items():
        if column not in frame.columns:
            continue
        _, reference = coarse(feature)
        windows = {}
        for it in binned(frame, column, feature, window):
            counts = windows.setdefault(it["from"], [0] * len(reference))
            counts[it["bin"]] = it["count"]
        for begin, counts in sorted(windows.items()):
            line = {"from": begin.isoformat(), "feature": column, "rows": sum(counts)}
            found.append(line | {"psi": psi(reference, counts)})
    return found


def main():
    parser = argparse.ArgumentParser(description="Drift in the prediction log, by Spark.")
    parser.add_argument("log", nargs="+", help="a folder or address that holds model=…")
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", required=True, type=int)
    parser.add_argument("--profile", required=True, type=Path)
    parser.add_argument("--window", default="1 hour")
    args = parser.parse_args()
    spark = SparkSession.builder.appName("salver-drift").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    profile = json.loads(args.profile.read_text())
    for line in drift(spark, args.log, (args.model, args.version), profile, args.window):
        print(json.dumps(line))
    spark.stop()


if __name__ == "__main__":
    main()
