"""Two replicas behind a balancer, each with both versions: a caller has the same one from both."""

from collections import Counter

from balancers import Envoy
from callers import WAYS

SETTINGS = """
version_policy = "all"
[traffic]
weights = { 1 = 90, 2 = 10 }
sticky = "x-user"
"""
USERS = 400
# The tails of the binomial distribution (400 callers, a tenth) outside are 8.6e-9 together.
CANARY = range(40 - 33, 40 + 38)
# Replicas are chosen by chance where both are idle: one in 5e8 callers meets only one of them in so many calls.
CALLS_MAX = 30


def test_a_caller_stays_with_its_version(start, repository, balance):
    folder = repository(1, 2, settings=SETTINGS)
    replicas = [start(folder), start(folder)]
    front = balance(Envoy, "envoy-replicas.yaml", replicas)
    both = {it.http for it in replicas}
    callers, counts = [way(front.address) for way in WAYS], Counter()
    for user in range(USERS):
        headers, versions, asked = [("x-user", f"user {user}")], set(), set()
        for call in range(CALLS_MAX):
            told = callers[call % 2].ask(headers)
            assert told.header == told.version
            versions.add(told.version)
            asked.add(told.server)
            if asked == both and call >= 1:
                break
        assert asked == both
        assert len(versions) == 1, (user, versions)
        counts.update(versions)
    for it in callers:
        it.close()
    assert counts["2"] in CANARY, counts
    print(f"of {USERS} callers: {counts}")
