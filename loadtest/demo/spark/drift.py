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

# Bins of the profile that make one bin of the PSI, and the share that an empty one gets: as the monitors do it.
FINE_PER_COARSE = 8
EMPTY = 1e-4


def numbers(profile):
    """The numerical features, by their column of the log."""
    sides = {"input": "in", "output": "out"}
    return {f"{sides[it['role']]}.{it['name']}": it for it in profile["features"] if it["type"] == "num"}


def coarse(feature):
    """Where the PSI's bins end, and what the reference has in each."""
    counts, edges = feature["counts"], feature["edges"]
    starts = range(0, len(counts), FINE_PER_COARSE)
    return edges[FINE_PER_COARSE - 1 :: FINE_PER_COARSE], [sum(counts[at : at + FINE_PER_COARSE]) for at in starts]


def single(number):
    """As a column of single precision would hold it."""
    return struct.unpack("f", struct.pack("f", number))[0]


def shares(counts):
    """Of the whole; none is zero."""
    found = [it / sum(counts) for it in counts]
    least = min(it for it in found if it > 0)
    return [it or (EMPTY if least > EMPTY else least / 1e6) for it in found]


def psi(reference, current):
    """Of counts of the same bins."""
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
    edges, _ = coarse(feature)
    if isinstance(frame.schema[column].dataType, FloatType):
        edges = [single(it) for it in edges]
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
