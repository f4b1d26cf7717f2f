"""Shows a canary behind a balancer: two servers with one version each, Envoy in front, a thousand calls either way.

    make demo-rollout

Envoy has the configuration of `helm/balancer/envoy-canary.yaml`: nine tenths to the stable server, a tenth to the
canary. Ends with a table of who answered; exit code 1 if a share is not what it should be. A call that fails ends it.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CALLS = 1_000
# Fewer than one thousand in a hundred million has a number outside, by chance.
CANARY = range(100 - 57, 100 + 58)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release/salver")
    # What the tests run servers and balancers with.
    os.environ["SALVER_BIN"] = str(parser.parse_args().bin)
    sys.path[:0] = [str(ROOT / "server/app/tests" / it) for it in ("balancer", "clients")]
    from balancers import Envoy
    from callers import WAYS
    from server import Repository, Server

    rows, wrong = [], 0
    with ExitStack() as ends, tempfile.TemporaryDirectory(prefix="salver-demo-") as folder:
        folder, servers = Path(folder), []
        for version, name in ((1, "stable"), (2, "canary")):
            repository = Repository(folder / name)
            repository.settings("wine", f"[labels]\n{name} = {version}\n")
            repository.sample("wine", version)
            servers.append(Server(repository.path))
            ends.callback(servers[-1].stop)
            servers[-1].settled()
        front = Envoy(folder, Envoy.CANARY, servers)
        ends.callback(front.stop)
        for way in WAYS:
            caller = way(front.address)
            answered = Counter(caller.ask().server for _ in range(CALLS))
            caller.close()
            stable, canary = (answered[it.http] for it in servers)
            wrong += stable + canary != CALLS or canary not in CANARY
            rows.append((way.__name__, f"{CALLS:,}", str(stable), str(canary), f"{100 * canary / CALLS:.1f} %"))
    print("\n| through Envoy, 90 to 10, over | calls | the stable one answered | the canary | its share |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
