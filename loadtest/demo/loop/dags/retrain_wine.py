"""What Airflow runs when the monitor has raised an alarm: real training, and a version for the registry."""

import os
from datetime import timedelta

from airflow.sdk import dag, task


@dag(schedule=None, catchup=False, max_active_runs=1, is_paused_upon_creation=False)
def retrain_wine():
    @task.bash(retries=1, retry_delay=timedelta(seconds=5), env=dict(os.environ), append_env=True)
    def train():
        return (
            "{python} {code}/training.py again --mlflow {mlflow} --log {log} "
            "--conf '{{{{ dag_run.conf | tojson }}}}'"
        ).format(
            python=os.environ["DEMO_PYTHON"],
            code=os.environ["DEMO_CODE"],
            mlflow=os.environ["DEMO_MLFLOW"],
            log=os.environ["DEMO_LOG"],
        )

    train()


retrain_wine()
