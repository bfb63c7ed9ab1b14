"""Ledgers on which somebody tries to take an honest operator's pay, or to leave a lie behind (SET-10
to SET-33); part of settlement.json."""

from oracle import tiny
from oracle.ledger_world import (
    AUDITOR,
    CHECKERS,
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


LEAF = (3, (3, 0, 0), 0)


def _ledger(name, roles=None, **changes):
    w = Ledger(name, parameters=dict(TRIAL, **changes), **(roles or {}))
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
    w.send("SET-19", OPERATOR, "RevokeSession", {"session": session}, say="of a revoked runtime")
    session, _ = w.open_session(OPERATOR, model, runtime=53)
    mine = w.post_some(OPERATOR, session, 1, 10)
    _finalise(w, mine)
    w.send("SET-19", AUDITOR, "RevokeSession", {"session": session})
    w.send(["SET-15", "SET-19"], OPERATOR, "Settle", w.settling(mine, 0), "SESSION_REVOKED",
           "of what became final in that millisecond")
    _deadlines(w, model, other)


def _deadlines(w, model, session):
    """SET-15: posted at the last moment, a millisecond later, and where there is no deadline."""
    grace = TRIAL["post"] + TRIAL["force"]
    for counter, late, deadline in (
        (20, 0, None),
        (21, 1, None),
        (22, 0, 0),
        (23, 0, 2**40),
        (24, 0, 2**64 - 1),
    ):
        w.now = (w.now // 1000 + 1) * 1000 + late
        deadline = (w.now - late - grace) // 1000 if deadline is None else deadline
        request = w.request(counter, model, deadline=deadline)
        batch = w.post(OTHER, session, w.batch([w.claim(request, session)], [request]))
        _finalise(w, batch)
        code, key = ("TOO_LATE", OTHER) if late else (None, CLIENT)
        w.send("SET-15", OTHER, "Settle", w.settling(batch, 0, key), code, f"deadline {deadline}")


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
    longer = dict(shorter, close=300_000)
    w.send("SET-10", GOVERNOR, "ScheduleParameters", {"parameters": longer})
    for who, ms in ((OTHER, TRIAL["close"]), (FOURTH, longer["close"])):
        w.send("SET-13", CLIENT, "Close", {"operator": address(who)},
               say="beside a longer set" if who == OTHER else "under a longer set")
        assert w.state["channels"][address(CLIENT), address(who)]["closes_at"] == w.now + ms
        w.wait(shorter["unbond"])


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
    shown = dict(batch.at(0), claimHash=batch.hashes[0], path=[])
    w.send("SET-27", OPERATOR, "ForceAnswer", shown, say="posted in that millisecond")
    _finalise(w, batch, "in the plain window")
    assert w.now == ended + TRIAL["post"] + TRIAL["force"]
    w.post(OPERATOR, session, w.make_batch(session, 1, 120), rule=("SET-19", "SET-20"))
    w.wait(1)
    tail = w.posting(OPERATOR, session, w.batch(late.claims[1:2], late.requests[1:2]))
    w.send(["SET-19", "SET-20"], OPERATOR, "PostBatch", tail, "SESSION_EXPIRED")
    w.send("SET-19", AUDITOR, "RevokeSession", {"session": session}, say="that had ended")
    for who in (OPERATOR, AUDITOR):
        w.send("SET-19", who, "RevokeSession", {"session": session}, "BAD_STATE", "twice")
    w.send(["SET-19", "SET-20"], OPERATOR, "PostBatch", tail, "SESSION_REVOKED")
    w.send(["SET-15", "SET-19"], OPERATOR, "Settle", w.settling(batch, 0),
           say="of an ended session")
    w.send("SET-27", CLIENT, "ForceMissed", {"claimHash": late.hashes[1]},
           say="of a session that the auditor revoked, REFUNDED")
    session, key = w.open_session(OPERATOR, model, runtime=52)
    late = w.make_batch(session, 3, 110)
    w.send("SET-19", OPERATOR, "RevokeSession", {"session": session})
    w.send("SET-27", CLIENT, "Force", w.forced(late, 0, OPERATOR, key))
    w.wait(TRIAL["post"])
    w.send("SET-27", CLIENT, "Force", w.forced(late, 1, OPERATOR, key), say="at the last moment")
    w.wait(1)
    w.send("SET-27", CLIENT, "Force", w.forced(late, 2, OPERATOR, key), "SESSION_EXPIRED")
    w.wait(TRIAL["force"] - TRIAL["post"])
    w.send(["SET-19", "SET-27"], CLIENT, "ForceMissed", {"claimHash": late.hashes[0]},
           say="of a session that its operator had ended")
    assert w.state["operators"][address(OPERATOR)]["epoch"] == 1


def _own_auditor():
    """SET-19: who is auditor and operator revokes."""
    w, model = _ledger("own auditor", {"auditor": address(OPERATOR)}, drawPpm=0)
    session, _ = w.open_session(OPERATOR, model)
    w.send("SET-19", OPERATOR, "RevokeSession", {"session": session}, say="by its auditor")
    tail = w.posting(OPERATOR, session, w.make_batch(session, 1, 0))
    w.send(["SET-19", "SET-20"], OPERATOR, "PostBatch", tail, "SESSION_REVOKED")
    return w.cases


def _equivocating(w, claim, who):
    lie = dict(claim, trace_root=bytes([1]) * 32)
    return {
        "claimA": claim,
        "countersignatureA": w.countersign(claim, who),
        "claimB": lie,
        "countersignatureB": w.countersign(lie, who),
    }


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
    _gentle_canaries(w, session)
    burned = w.state["burned"]
    w.send(["SET-28", "SET-33"], OTHER, "Equivocate", _equivocating(w, batch.claims[1], FOURTH),
           say="under a set that burns less")
    assert w.state["burned"] - burned == 5_000_000 + 1
    shown = dict(batch.shown(0), game=game)
    w.send("SET-32", FOURTH, "RevealClaim", shown, "BAD_STATE", "of a claim that has fallen")
    w.wait(TRIAL["workerClock"])
    w.send("SET-32", FOURTH, "RevealClaim", shown, "BAD_STATE", "of a fallen claim, and late")
    w.send("SET-32", OTHER, "CloseGame", {"game": game}, say="MOOT")
    _free_of_the_old_share(w, model)


def _gentle_canaries(w, session):
    """SET-33, SET-37: posted under a set that burns less, while more is reserved under another."""
    cheap, enough = (w.make_batch(session, 1, 210 + i) for i in range(2))
    sequence = w.state["operators"][address(FOURTH)]["next_sequence"]
    for i, (batch, bond) in enumerate(((cheap, 4_999_999), (enough, 5_000_000))):
        commitment = w.commitment(batch, sequence + i, LEAF)
        members = {"commitment": commitment, "reward": 20_000, "bond": bond}
        w.send("SET-36", CLIENT, "CommitCanary", members)
    for batch in (cheap, enough):
        w.post(FOURTH, session, batch, rule=("SET-20", "SET-33"))
    assert w.state["operators"][address(FOURTH)]["burn_ppm"] == TRIAL["burnPpm"]
    w.send("SET-32", FISHERMAN, "DemandClaim", enough.at(0))
    game = len(w.state["games"])
    w.send(["SET-33", "SET-37"], CLIENT, "RevealCanary", w.canary(cheap, LEAF), "STAKE_TOO_LOW")
    w.send(["SET-33", "SET-37"], CLIENT, "RevealCanary", w.canary(enough, LEAF))
    w.send(["SET-32", "SET-37"], FOURTH, "RevealClaim", dict(enough.shown(0), game=game),
           "BAD_STATE", "of a canary")
    w.send("SET-32", OTHER, "CloseGame", {"game": game}, say="MOOT")


def _free_of_the_old_share(w, model):
    """SET-33: where nothing is reserved any more, the set of the next batch counts."""
    session, _ = w.open_session(OTHER, model)
    assert w.state["operators"][address(OTHER)]["burn_ppm"] == TRIAL["burnPpm"]
    batch = w.post_some(OTHER, session, 1, 220)
    burned = w.state["burned"]
    w.send(["SET-28", "SET-33"], FISHERMAN, "Equivocate",
           _equivocating(w, batch.claims[0], OTHER), say="when nothing else was reserved")
    assert w.state["burned"] - burned == 2_000_000 + 1


def _behind_a_void_model(w):
    """SET-17: until its time has come a batch is like any other."""
    bad, name = void_model()
    w.send("SET-16", FISHERMAN, "RegisterModel", w.registration(bad))
    voided = voiding(bad, name)
    session, key = w.open_session(FOURTH, voided["root"])
    tail, _ = w.open_session(OTHER, voided["root"])
    owing, its_key = w.open_session(THIRD, voided["root"])
    canary = w.make_batch(session, 1, 320)
    members = {"commitment": w.commitment(canary, 0, LEAF), "reward": 20_000, "bond": 5_000_000}
    w.send("SET-36", CLIENT, "CommitCanary", members)
    w.post(FOURTH, session, canary)
    batch = w.post_some(FOURTH, session, 2, 300)
    late, owed = w.make_batch(session, 1, 310), w.make_batch(owing, 3, 330)
    w.send("SET-27", CLIENT, "Force", w.forced(late, 0, FOURTH, key))
    w.send("SET-27", CLIENT, "Force", w.forced(owed, 0, THIRD, its_key))
    w.send("SET-17", OTHER, "VoidModel", voided)
    ended, rule = w.now, "SET-17"
    w.send([rule, "SET-20"], FOURTH, "PostBatch", w.posting(FOURTH, session, late))
    w.send([rule, "SET-32"], OTHER, "DemandClaim", batch.at(0), say="behind a void model")
    game = len(w.state["games"])
    w.send("SET-32", FOURTH, "RevealClaim", dict(batch.shown(0), game=game))
    w.send([rule, "SET-32"], FISHERMAN, "Challenge", dict(batch.at(1), **batch.shown(1)),
           say="behind a void model")
    w.send([rule, "SET-39"], FISHERMAN, "Attend", dict(batch.at(1), digest=bytes([1]) * 32))
    w.send([rule, "SET-30"], FOURTH, "AnswerDraw", w.answering(batch, 1))
    w.send([rule, "SET-30"], OTHER, "CheckDraw", w.checking(batch, 1, CHECKERS[:2]))
    w.send([rule, "SET-37"], CLIENT, "RevealCanary", w.canary(canary, LEAF))
    w.send([rule, "SET-24"], OTHER, "Finalise", {"batch": canary.number}, "TOO_EARLY")
    w.reveal_round_of(batch)
    assert w.now == ended + TRIAL["post"]
    w.send([rule, "SET-27"], CLIENT, "Force", w.forced(owed, 1, THIRD, its_key))
    w.wait(1)
    w.send([rule, "SET-27"], CLIENT, "Force", w.forced(owed, 2, THIRD, its_key),
           "SESSION_EXPIRED")
    w.wait(2000)
    w.send([rule, "SET-31"], OTHER, "MissDraw", batch.at(0), say="behind a void model")
    assert w.state["operators"][address(FOURTH)]["epoch"] == 1
    w.now = ended + TRIAL["post"] + TRIAL["force"]
    last = w.post(OTHER, tail, w.make_batch(tail, 1, 340), rule=(rule, "SET-20"))
    w.wait(1)
    more = w.posting(OTHER, tail, w.make_batch(tail, 1, 341))
    w.send([rule, "SET-20"], OTHER, "PostBatch", more, "SESSION_EXPIRED")
    for i, say in ((0, "behind a void model"), (1, "after the slash, REFUNDED")):
        w.send([rule, "SET-27"], CLIENT, "ForceMissed", {"claimHash": owed.hashes[i]}, say=say)
    assert w.state["operators"][address(THIRD)]["epoch"] == 1
    w.wait(TRIAL["beaconDead"] - 2)
    w.send([rule, "SET-24"], OTHER, "Finalise", {"batch": last.number}, "TOO_EARLY")
    w.wait(1)
    w.send([rule, "SET-25"], OTHER, "Finalise", {"batch": last.number},
           say="to VOID without its round")


def _late_beacon(w, model):
    """SET-24: what became final without its round is drawn by no later reveal."""
    session, _ = w.open_session(OPERATOR, model)
    batch = w.post_some(OPERATOR, session, 1, 400)
    w.send("SET-30", OPERATOR, "AnswerDraw", w.answering(batch, 0))
    w.send("SET-30", CLIENT, "CheckDraw", w.checking(batch, 0, CHECKERS[:1]))
    said = w.checking(batch, 0, CHECKERS[1:2])
    bare = w.post_some(OPERATOR, session, 1, 401)
    w.wait(TRIAL["beaconDead"])
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number}, say="not drawn")
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": bare.number}, say="not drawn")
    w.reveal()
    w.reveal()
    w.send(["SET-15", "SET-24", "SET-29"], OPERATOR, "Settle", w.settling(bare, 0),
           say="after a late reveal")
    w.send(["SET-24", "SET-31"], CLIENT, "MissDraw", bare.at(0), "BAD_STATE",
           "after a late reveal")
    w.send(["SET-24", "SET-30"], CLIENT, "CheckDraw", said, "QUORUM_MISSING",
           "in the name of a round that it has no more")
    w.send(["SET-24", "SET-30"], CLIENT, "CheckDraw", w.checking(batch, 0, CHECKERS[1:2]),
           say="of round 0")


def _held_by_a_void_model(w, model):
    """SET-33: nothing is reserved for a void batch, but its games are not over."""
    bad, name = void_model()
    w.send("SET-16", FISHERMAN, "RegisterModel", w.registration(bad))
    voided = voiding(bad, name)
    session, _ = w.open_session(FOURTH, voided["root"])
    gentle = dict(TRIAL, drawPpm=0, burnPpm=200_000, reporterPpm=800_000)
    w.send("SET-10", GOVERNOR, "ScheduleParameters", {"parameters": gentle})
    w.wait(TRIAL["unbond"] - 10_000)
    batch = w.post_some(FOURTH, session, 1, 500)
    w.send("SET-32", FISHERMAN, "DemandClaim", batch.at(0))
    game = len(w.state["games"])
    w.send("SET-17", OTHER, "VoidModel", voided)
    _finalise(w, batch, "to VOID with a game open")
    w.wait(10_000)
    assert w.state["operators"][address(FOURTH)]["reserved"] == 0
    session, _ = w.open_session(FOURTH, model)
    later = w.post_some(FOURTH, session, 1, 510)
    burned = w.state["burned"]
    w.send(["SET-28", "SET-33"], OTHER, "Equivocate", _equivocating(w, later.claims[0], FOURTH),
           say="with a game open from a harder set")
    assert w.state["burned"] - burned == 5_000_000 + 1
    w.send("SET-32", OTHER, "CloseGame", {"game": game}, say="MOOT")


def _bounds():
    """SET-9, SET-10: how long a beacon may be silent, and how fast a fee rises."""
    w, _ = _ledger("bounds", fee=0)
    rule = ["SET-9", "SET-10"]

    def schedule(code=None, say="", **changes):
        members = {"parameters": dict(TRIAL, **{"fee": 0, **changes})}
        w.send(rule, GOVERNOR, "ScheduleParameters", members, code, say)

    slow = {"beaconInterval": 20_000, "beaconDead": 62_000, "close": 267_001}
    schedule("BAD_PARAMETERS", "beaconDead", **dict(slow, beaconDead=61_999))
    schedule("BAD_PARAMETERS", "close", **dict(slow, close=267_000))
    schedule(say="of a slow beacon", **slow)
    schedule("BAD_PARAMETERS", "fee 2 after 0", fee=2)
    schedule(say="fee 1 after 0", fee=1)
    schedule("BAD_PARAMETERS", "fee 2 while 1 waits", fee=2)
    w.wait(TRIAL["unbond"])
    schedule("BAD_PARAMETERS", "fee 3 after 1", fee=3)
    schedule(say="fee 2 after 1", fee=2)
    return w.cases


def cases():
    w, model = _ledger("honest pay", drawPpm=0)
    _settlements(w, model)
    _ends(w, model)
    _fallen(w, model)
    made = list(w.cases)
    w, model = _ledger("void and held", drawPpm=0)
    _held_by_a_void_model(w, model)
    made += w.cases
    w, model = _ledger("channels", drawPpm=0)
    _channels(w, model)
    made += w.cases
    w, model = _ledger("all drawn", drawPpm=1_000_000)
    _late_beacon(w, model)
    _behind_a_void_model(w)
    return made + w.cases + _own_auditor() + _bounds()
