#!/usr/bin/env python3
"""The rollup as separate processes: ledger, operator, worker, gateway and fisherman; what a gateway
answered is posted, recomputed and final, also when the operator is killed in the middle.

    tests/rollup_apart.py PATH-OF-OTR MODEL
"""

import json
import signal
import threading

from rollup_world import (PATIENCE, Role, World, gauges, port_of, posted_claims, wait_for)
from service_world import HOME, MODEL, call, otr, play, wait_until

def refused(port, body, status, code):
    got, _, answer = call(port, "POST", "/v1/receipts", body)
    assert (got, json.loads(answer)["error"]["code"]) == (status, code), (got, answer)


def check_intake(port, gateway_port, gateway_url, receipt_id):
    _, _, receipt = call(gateway_port, "GET", "/v1/otr/receipts/" + receipt_id)
    before = posted_claims()
    status, _, answer = call(port, "POST", "/v1/receipts", receipt)
    assert status == 200, answer  # the same again
    document = json.loads(receipt)

    def changed(change):
        change(document)
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        document.update(json.loads(receipt))
        return (text + "\n").encode()

    def other_signature(one):
        old = one["claim"]["signature"]
        one["claim"]["signature"] = old[:4] + ("0" if old[4] != "0" else "1") + old[5:]

    refused(port, changed(other_signature), 422, "CLAIM_SIGNATURE")
    for garbage in (b"", b"{", b"[" * 100000, b"\xff" * 1000, receipt[:-1], receipt + receipt):
        got, _, answer = call(port, "POST", "/v1/receipts", garbage)
        assert got == 400 and json.loads(answer)["error"]["code"], (garbage[:20], got, answer)
    try:
        assert call(port, "POST", "/v1/receipts", b"x" * (17 << 20))[0] == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # answered before it was sent
    assert call(port, "GET", "/v1/receipts")[0] == 405
    assert call(port, "GET", "/v1/claims/0x" + "00" * 32)[0] == 404
    # Sealed to the enclave: nobody could show it on demand.
    sealed = HOME / "sealed.json"
    otr("ask", "--model", MODEL, "--url", gateway_url, "--home", str(HOME / "client"), "--policy",
        str(HOME / "policy.toml"), "--receipt", str(sealed), "--max-tokens", "4", "Who are you?")
    refused(port, sealed.read_bytes(), 422, "SEALED")
    # With a software key: another operator's, and this one's, but of no ledger.
    for home, code in (("client", "OTHER_OPERATOR"), ("op", "OTHER_LEDGER")):
        apart = HOME / (code + ".json")
        otr("ask", "--model", MODEL, "--home", str(HOME / home), "--receipt", str(apart),
            "--max-tokens", "4", "Who are you?")
        refused(port, apart.read_bytes(), 422, code)
    assert posted_claims() == before
    assert "MALFORMED" not in otr("ledger", "verify", str(HOME / "L"))


def check_usage(world):
    otr("operator", *map(str, world.follows), "--home", str(HOME / "op"), expect=2)  # one journal
    serving = world.serving
    otr(*serving, world.receipts, "--home", str(HOME / "roles"), expect=2)  # another's key
    otr(*serving, world.data, "--home", str(HOME / "op"), expect=2)  # takes no receipts
    otr(*serving, world.receipts + "/x", "--home", str(HOME / "op"), expect=2)


def check_life(world):
    """Answered, posted, recomputed, final."""
    receipt_id = world.must_ask()
    wait_for(world.operator.url("metrics"), "otr_operator_batches_final", 1)
    while gauges(world.watched)["otr_fisherman_agreed_total"] == 0:  # a window may be over first
        world.must_ask()
        world.wait_until_all_posted()
    return receipt_id


def check_demand(world):
    """A fisherman that is shown nothing demands it on the ledger, where the operator answers."""
    blind = Role("blind", "fisherman", *world.follows, "--home", HOME / "blind")
    world.mint(blind.said(r'"account":"(0x\w+)"'), 1_000_000)
    watched, metrics = blind.url("metrics"), world.operator.url("metrics")
    world.must_ask()
    wait_for(watched, "otr_fisherman_withheld_total", 1)
    wait_for(watched, "otr_fisherman_games_lost_total", 1)
    wait_until(lambda: gauges(metrics)["otr_operator_games_open"] == 0, PATIENCE)
    blind.child.send_signal(signal.SIGTERM)
    assert blind.child.wait(timeout=60) == 0
    state = gauges(metrics)
    assert state["otr_operator_stake"] == 10_000_000, state
    assert state["otr_operator_batches_void"] == 0, state


def check_kill(world):
    """Killed right after it has acknowledged; the next answer waits until it is there again."""
    # Its claims wait for others, so that it has not posted this one: a draw that it left unanswered
    # meanwhile would cost its stake.
    world.must_ask()
    world.operator.kill()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(world.ask()))
    asking.start()
    world.start_operator(world.data[7:], world.receipts[7:], 50)
    asking.join(PATIENCE)
    # Where this machine was too slow for the gateway's patience it was an error, and not posted.
    status, answer = answers[0]
    assert status == 200 or answer["error"]["code"] == "receipt_not_stored", answer
    world.wait_until_all_posted()
    state = gauges(world.watched)
    assert state["otr_fisherman_false_claims_total"] == 0, state
    assert state["otr_fisherman_games_open"] == 0 and state["otr_ledger_height"] > 0, state


def check_without(world):
    """Without it nothing is given out that is not on its disk, and what is on disk stays so."""
    metrics = world.operator.url("metrics")
    wait_until(lambda: gauges(metrics).get("otr_operator_batches_open") == 0, PATIENCE)
    world.operator.kill()
    status, answer = world.ask()
    assert status == 500 and answer["error"]["code"] == "receipt_not_stored", answer
    status, answer = world.ask()  # known by now, and refused before it is computed; or tried again
    assert status in (500, 503), answer
    world.operator.begin()
    wait_until(lambda: world.ask()[0] == 200, PATIENCE)
    world.wait_until_all_posted()


def main():
    world = World()
    check_usage(world)
    receipt_id = check_life(world)
    check_intake(port_of(world.receipts), world.port, world.gateway_url, receipt_id)
    check_demand(world)
    check_kill(world)
    check_without(world)
    for role in (world.fisherman, world.gateway, world.worker, world.operator, world.ledger):
        role.child.send_signal(signal.SIGTERM)
        assert role.child.wait(timeout=60) == 0, (role.arguments, role.log.read_text())
    assert "PASS  chain" in otr("ledger", "verify", str(HOME / "L"))
    print("rollup_apart: all checks passed")


play(main)
