#!/usr/bin/env python3
"""A cheat of one's own against the processes (docs/ledger.md): a worker that serves cheaper
weights.

    tests/cheating_worker.py PATH-OF-OTR MODEL PATH-OF-CHEATING-WORKER
"""

import re
import signal
import sys

from rollup_world import Role, World, gauges, wait_for
from service_world import HOME, MODEL, OTR, otr, play, wait_until

CHEAT = sys.argv[3]


def cheat(ledger_id, *more):
    return Role("worker", "--model", MODEL, "--home", HOME / "op", "--ledger-id", ledger_id, *more,
                program=CHEAT)


def check_tier_1(world):
    """Its enclave says what it runs, which is not what the policy accepts: nobody is served."""
    status, answer = world.ask()
    assert status == 503, answer
    world.gateway.said("measurement is allowed: .* is not on the policy")
    for role in (world.gateway, world.worker):
        role.child.send_signal(signal.SIGTERM)
        assert role.child.wait(timeout=60) == 0, role.log.read_text()


def check_tier_2(world):
    """Its enclave is broken and says what it should: served, posted, caught, slashed."""
    world.worker = cheat(world.ledger_id, "--pretend", OTR)
    world.start_gateway()
    world.mint(world.fisherman.said(r'"account":"(0x\w+)"'), 1_000_000)
    status, answer = world.ask()
    assert status == 200 and answer["otr"]["verified_by"] == "gateway", answer
    wait_for(world.watched, "otr_fisherman_false_claims_total", 1)
    wait_for(world.watched, "otr_fisherman_games_won_total", 1)
    metrics = world.operator.url("metrics")
    wait_until(lambda: gauges(metrics)["otr_operator_stake"] == 0, 60)
    world.operator.said(r'"slashed":1')


def main():
    world = World(cheat)
    check_tier_1(world)
    check_tier_2(world)
    said = otr("ledger", "verify", str(HOME / "L"))
    assert "PASS  chain" in said and re.search(r"games 1 \(0 open\)", said), said
    print("cheating_worker: all checks passed")


play(main)
