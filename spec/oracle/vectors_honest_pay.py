"""Ledgers on which somebody tries to take an honest operator's pay, or to leave a lie behind (SET-10
to SET-33); part of settlement.json."""

from oracle import tiny
from oracle.ledger_world import (
    AUDITOR,
    CLIENT,
    FISHERMAN,
    FOURTH,
    GOVERNOR,
    OPERATOR,
    OTHER,
    THIRD,
    TRIAL,
    Ledger,
    address,
    void_model,
    voiding,
)


def _ledger(name, **changes):
    w = Ledger(name, parameters=dict(TRIAL, **changes))
    w.fund(CLIENT, OPERATOR, OTHER, THIRD, FOURTH, FISHERMAN)
    for who in (OPERATOR, OTHER, THIRD, FOURTH):
        w.send("SET-12", who, "Stake", {"amount": 10_000_000})
        w.send("SET-13", CLIENT, "Deposit", {"operator": address(who), "amount": 1_000})
    good = w.registration(tiny.model("tiny_gqa"))
    w.send("SET-16", FOURTH, "RegisterModel", good)
    return w, good["root"]


def _finalise(w, batch, say=""):
    w.reveal_round_of(batch)
    for i in w.drawn(batch)[0]:
        if not w.state["claims"].get((batch.number, i), {"lane": 0})["lane"]:
            w.send("SET-30", w.owner(batch), "AnswerDraw", w.answering(batch, i))
    w.wait(4000)
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number}, say=say)


def _settlements(w, model):
    """SET-15: each operator once, in time, and whatever comes after finality."""
    session, _ = w.open_session(OPERATOR, model, runtime=50)
    other, _ = w.open_session(OTHER, model)
    mine = w.post_some(OPERATOR, session, 2, 0)
    copied = w.post_some(OTHER, other, 2, 0)
    for batch in (copied, mine):
        _finalise(w, batch)
    w.send("SET-15", OTHER, "Settle", w.settling(copied, 0), say="of a request that two answered")
    wrong = dict(w.settling(mine, 0), claimSignature=w.settling(copied, 0)["claimSignature"])
    w.send("SET-15", FISHERMAN, "Settle", wrong, "CLAIM_SIGNATURE", "of another session's key")
    w.send("SET-15", OPERATOR, "Settle", w.settling(mine, 0), say="of the same request")
    w.send("SET-15", OPERATOR, "Settle", w.settling(mine, 0), "EXISTS")
    w.wait(1)
    w.send("SET-19", AUDITOR, "RevokeRuntime", {"runtime": bytes([50]) * 32})
    w.send(["SET-15", "SET-19"], OPERATOR, "Settle", w.settling(mine, 1),
           say="of what was final before its session was revoked")
    # The batch is posted 6 s after a deadline, 7 s, and where there is none.
    for counter, age, code in ((20, 6, None), (21, 7, "TOO_LATE"), (22, None, None)):
        w.now = (w.now // 1000 + 1) * 1000
        deadline = 0 if age is None else w.now // 1000 - age
        request = w.request(counter, model, deadline=deadline)
        batch = w.post(OTHER, other, w.batch([w.claim(request, other)], [request]))
        _finalise(w, batch)
        w.send("SET-15", OTHER, "Settle", w.settling(batch, 0), code, f"deadline {deadline}")


def _channels(w, model):
    """SET-13: not before what the channel owes for can be final."""
    w.send("SET-12", THIRD, "Unstake", {"amount": 10_000_000})
    to = {"operator": address(THIRD)}
    w.send("SET-13", CLIENT, "Refund", to, "TOO_EARLY", "because nothing is at stake")
    shorter = dict(TRIAL, drawPpm=0, window=1000, unbond=193_001, close=253_001)
    w.send("SET-10", GOVERNOR, "ScheduleParameters", {"parameters": shorter})
    w.wait(TRIAL["unbond"])
    w.send("SET-13", CLIENT, "Close", to, say="under a shorter set")
    assert w.state["channels"][address(CLIENT), address(THIRD)]["closes_at"] == (
        w.now + TRIAL["close"]
    )
    w.wait(TRIAL["close"] - 1)
    w.send("SET-13", CLIENT, "Refund", to, "TOO_EARLY")
    w.wait(1)
    w.send("SET-13", CLIENT, "Refund", to)


def _ends(w, model):
    """SET-19, SET-27: who ends a session has still to post what was countersigned under it."""
    session, key = w.open_session(OPERATOR, model, runtime=51)
    late = w.make_batch(session, 3, 100)
    w.send("SET-19", OPERATOR, "RevokeSession", {"session": session}, say="by its operator")
    w.send("SET-19", OPERATOR, "RevokeSession", {"session": session}, "BAD_STATE")
    ended = w.now
    batch = w.post(OPERATOR, session, w.batch(late.claims[:1], late.requests[:1]))
    for i in (1, 2):
        w.send(["SET-19", "SET-27"], CLIENT, "Force", w.forced(late, i, OPERATOR, key),
               say="behind the end of a session")
    w.send("SET-27", CLIENT, "Force", w.forced(batch, 0, OPERATOR, key))
    w.now = ended + TRIAL["post"] + TRIAL["force"] + 1
    tail = w.posting(OPERATOR, session, w.batch(late.claims[1:2], late.requests[1:2]))
    w.send(["SET-19", "SET-20"], OPERATOR, "PostBatch", tail, "SESSION_EXPIRED")
    w.send("SET-19", AUDITOR, "RevokeSession", {"session": session}, say="that had ended")
    w.send("SET-27", CLIENT, "ForceMissed", {"claimHash": late.hashes[1]},
           say="of a session that the auditor revoked, REFUNDED")
    session, key = w.open_session(OPERATOR, model, runtime=52)
    late = w.make_batch(session, 2, 110)
    w.send("SET-19", OPERATOR, "RevokeSession", {"session": session})
    w.send("SET-27", CLIENT, "Force", w.forced(late, 0, OPERATOR, key))
    w.wait(TRIAL["post"] + 1)
    w.send("SET-27", CLIENT, "Force", w.forced(late, 1, OPERATOR, key), "SESSION_EXPIRED")
    w.wait(TRIAL["force"] - TRIAL["post"])
    w.send(["SET-19", "SET-27"], CLIENT, "ForceMissed", {"claimHash": late.hashes[0]},
           say="of a session that its operator had ended")
    assert w.state["operators"][address(OPERATOR)]["epoch"] == 1


def _fallen(w, model):
    """SET-32, SET-33: a claim that fell is not revealed; a gentler set saves nothing."""
    session, _ = w.open_session(FOURTH, model)
    gentle = dict(TRIAL, drawPpm=0, burnPpm=200_000, reporterPpm=800_000)
    w.send("SET-10", GOVERNOR, "ScheduleParameters", {"parameters": gentle})
    w.wait(TRIAL["unbond"] - 1)
    batch = w.post_some(FOURTH, session, 2, 200)
    w.send("SET-32", FISHERMAN, "DemandClaim", batch.at(0))
    game = len(w.state["games"])
    w.wait(1)
    claim = batch.claims[1]
    lie = dict(claim, trace_root=bytes([1]) * 32)
    burned = w.state["burned"]
    w.send(["SET-28", "SET-33"], OTHER, "Equivocate", {
        "claimA": claim,
        "countersignatureA": w.countersign(claim, FOURTH),
        "claimB": lie,
        "countersignatureB": w.countersign(lie, FOURTH),
    }, say="under a set that burns less")
    assert w.state["burned"] - burned >= 5_000_000
    w.send("SET-32", FOURTH, "RevealClaim", dict(batch.shown(0), game=game), "BAD_STATE",
           "of a claim that has fallen")
    w.send("SET-32", OTHER, "CloseGame", {"game": game}, say="MOOT")


def _behind_a_void_model(w):
    """SET-17: until its time has come a batch is like any other."""
    bad, name = void_model()
    w.send("SET-16", FISHERMAN, "RegisterModel", w.registration(bad))
    voided = voiding(bad, name)
    session, key = w.open_session(FOURTH, voided["root"])
    batch = w.post_some(FOURTH, session, 1, 300)
    late = w.make_batch(session, 1, 310)
    w.send("SET-27", CLIENT, "Force", w.forced(late, 0, FOURTH, key))
    w.send("SET-17", OTHER, "VoidModel", voided)
    rule = "SET-17"
    w.send([rule, "SET-20"], FOURTH, "PostBatch", w.posting(FOURTH, session, late))
    w.send([rule, "SET-32"], OTHER, "DemandClaim", batch.at(0), say="behind a void model")
    game = len(w.state["games"])
    w.send("SET-32", FOURTH, "RevealClaim", dict(batch.shown(0), game=game))
    w.send([rule, "SET-24"], OTHER, "Finalise", {"batch": batch.number}, "TOO_EARLY")
    w.reveal_round_of(batch)
    w.wait(2001)
    w.send([rule, "SET-31"], OTHER, "MissDraw", batch.at(0), say="behind a void model")
    assert w.state["operators"][address(FOURTH)]["epoch"] == 1


def _late_beacon(w, model):
    """SET-24: what became final without its round is drawn by no later reveal."""
    session, _ = w.open_session(OPERATOR, model)
    batch = w.post_some(OPERATOR, session, 1, 400)
    w.wait(TRIAL["beaconDead"])
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number}, say="not drawn")
    w.reveal()
    w.reveal()
    w.send(["SET-15", "SET-24", "SET-29"], OPERATOR, "Settle", w.settling(batch, 0),
           say="after a late reveal")


def cases():
    w, model = _ledger("honest pay", drawPpm=0)
    _settlements(w, model)
    _ends(w, model)
    _fallen(w, model)
    made = list(w.cases)
    w, model = _ledger("channels", drawPpm=0)
    _channels(w, model)
    made += w.cases
    w, model = _ledger("all drawn", drawPpm=1_000_000)
    _late_beacon(w, model)
    _behind_a_void_model(w)
    return made + w.cases
