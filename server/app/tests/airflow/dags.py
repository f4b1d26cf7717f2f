"""What Airflow is given to run: one DAG that waits to be asked, and one that is paused."""

from airflow.sdk import DAG, task


def dag(name, **settings):
    with DAG(name, schedule=None, **settings):

        @task
        def train(**context):
            print(context["dag_run"].conf)

        train()


dag("train", is_paused_upon_creation=False)
dag("rests", is_paused_upon_creation=True)
