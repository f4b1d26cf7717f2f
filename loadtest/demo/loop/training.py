"""Trains the model of wines and registers it with MLflow; the registry's alias says that it is to serve.

    training.py first --mlflow URL                          from the vintage that is known
    training.py again --mlflow URL --log DIR --conf JSON    from what was asked, and what it turned out to be

The second is what Airflow runs when Salver has asked it to.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from world import NAMES, World

MODEL, ALIAS = "wine", "champion"
FIRST_ROWS, LATEST_ROWS, ROWS_MIN = 4_000, 20_000, 300


def fit(rows, growers):
    """A classifier, and how often it is right about rows it has not seen."""
    train, test, train_growers, test_growers = train_test_split(rows, growers, test_size=0.25, random_state=1)
    trained = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(train, train_growers)
    return trained, float(trained.score(test, test_growers))


def graph(trained):
    """As ONNX: scaled, one matrix, softmax. The batch axis is called `rows`."""
    scaler, regression = trained
    weights = (regression.coef_ / scaler.scale_).T.astype(np.float32)
    bias = (regression.intercept_ - (regression.coef_ / scaler.scale_) @ scaler.mean_).astype(np.float32)
    nodes = [
        helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            MODEL,
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", len(NAMES)])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
            [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def publish(mlflow, rows, growers, tags, latest=None):
    """Trains, registers a version, and has the alias name it. Later data is held against `latest`, else against what it
    was trained with."""
    trained, accuracy = fit(rows, growers)
    client = MlflowClient(mlflow)
    experiment = client.get_experiment_by_name(MODEL)
    experiment = experiment.experiment_id if experiment else client.create_experiment(MODEL)
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "accuracy", accuracy)
    client.log_param(run, "rows", len(rows))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "model.onnx").write_bytes(graph(trained))
        (folder / "MLmodel").write_text(f"flavors:\n  onnx:\n    data: model.onnx\nrun_id: {run}\n")
        (folder / "monitoring").mkdir()
        pq.write_table(reference(trained, rows if latest is None else latest), folder / "monitoring/reference.parquet")
        model = client.create_logged_model(experiment, name=MODEL, source_run_id=run)
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, "READY")
    client.set_terminated(run)
    try:
        client.create_registered_model(MODEL)
    except Exception as error:  # the client has one class for all that servers say
        if "RESOURCE_ALREADY_EXISTS" not in str(error):
            raise
    source = f"models:/{model.model_id}"
    version = client.create_model_version(MODEL, source, run, tags=tags, model_id=model.model_id).version
    client.set_registered_model_alias(MODEL, ALIAS, version)
    print(f"registered {MODEL} version {version}: right about {accuracy:.1%} of {len(rows)} rows")


def reference(trained, rows):
    """What later data is held against: the rows, and what the model says of them."""
    columns = {name: rows[:, place] for place, name in enumerate(NAMES)}
    answers = trained.predict_proba(rows).astype(np.float32)
    columns |= {f"probabilities.{place}": answers[:, place] for place in range(answers.shape[1])}
    return pa.table(columns)


def logged(log):
    """What was asked and became known, in the order of time: times, rows, growers."""
    # Of a file that is being written the name ends otherwise.
    files = sorted(Path(log, "parquet").rglob("*.parquet"))
    columns = ["request_id", "row_index", "event_time", "status", "route", *(f"in.{it}" for it in NAMES)]
    tables = [pq.ParquetFile(it).read(columns) for it in files if "model=wine" in str(it)]
    table = pa.concat_tables(tables).sort_by("event_time")
    labels = {}
    for file in sorted(Path(log, "labels/model=wine").rglob("labels.jsonl")):
        for line in filter(str.strip, file.read_text().splitlines()):
            label = json.loads(line)
            labels[label["inference_id"], label["row_index"]] = int(label["label"])
    ids, places, statuses, routes = (table[it].to_pylist() for it in ("request_id", "row_index", "status", "route"))
    # A copy for the shadow is the same wine once more.
    counts = [status == "OK" and route != "shadow" for status, route in zip(statuses, routes, strict=True)]
    growers = [labels.get((id_, place)) if it else None for id_, place, it in zip(ids, places, counts, strict=True)]
    known = np.array([it is not None for it in growers])
    rows = np.column_stack([table[f"in.{it}"].to_numpy() for it in NAMES]).astype(np.float32)
    times = table["event_time"].to_numpy()
    return times[known], rows[known], np.array([it for it in growers if it is not None])


def again(options):
    """From everything that is labelled; what is held against later is what came since the alarm's window began."""
    told = json.loads(options.conf)
    times, rows, growers = logged(options.log)
    times, rows, growers = times[-LATEST_ROWS:], rows[-LATEST_ROWS:], growers[-LATEST_ROWS:]
    if len(rows) < ROWS_MIN:
        raise SystemExit(f"only {len(rows)} labelled rows, at least {ROWS_MIN} are wanted")
    since = np.datetime64(told["window"]["from"].removesuffix("Z"))
    tags = {"trigger": told["rule"], "cause": told["cause"], "key": told["key"]}
    publish(options.mlflow, rows, growers, tags, rows[times >= since])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["first", "again"])
    parser.add_argument("--mlflow", required=True, help="address of the MLflow server")
    parser.add_argument("--log", help="folder of the prediction log")
    parser.add_argument("--conf", help="what the trigger said")
    options = parser.parse_args()
    if options.what == "first":
        publish(options.mlflow, *World(seed=1).draw(FIRST_ROWS), {"cause": "first"})
    else:
        again(options)


if __name__ == "__main__":
    main()
