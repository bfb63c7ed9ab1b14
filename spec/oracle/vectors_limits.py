"""Ledgers on which something stands exactly on a limit, and one beyond (SET-14 to SET-38); part of
settlement.json. Each case is one that a wrong comparison would decide otherwise."""

from oracle import artifact, tiny
from oracle.ledger_call import longest
from oracle.ledger_world import (
    AUDITOR,
    CLIENT,
    FISHERMAN,
    FOURTH,
    GOVERNOR,
    OPERATOR,
    OTHER,
    TRIAL,
    Ledger,
    address,
    voiding,
)


LEAF = (3, (3, 0, 0), 0)
MONTH = 30 * 86_400


def _ledger(name, **waits):
    w = Ledger(name, parameters=dict(TRIAL, drawPpm=0, **waits))
    w.fund(CLIENT, OPERATOR, OTHER, FOURTH, FISHERMAN)
    for who in (OPERATOR, OTHER, FOURTH):
        w.send("SET-12", who, "Stake", {"amount": 10_000_000})
        w.send("SET-13", CLIENT, "Deposit", {"operator": address(who), "amount": 1_000})
    good = w.registration(tiny.model("tiny_gqa"))
    w.send("SET-16", FOURTH, "RegisterModel", good)
    return w, good["root"]


def _finalise(w, batch):
    w.reveal_round_of(batch)
    w.wait(4000)
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number})


def _models(w):
    """SET-17: the scales at both ends of what is allowed, and the first beyond."""
    good, name = tiny.model("tiny_norm"), "layers.1.wo.scale"
    for scale, code in ((1, "STEP_MISMATCH"), (4095, "STEP_MISMATCH"), (4096, None)):
        tensors = dict(good.tensors)
        values = list(tensors[name].values)
        values[3] = scale
        tensors[name] = artifact.Tensor(tensors[name].dtype, tensors[name].shape, values)
        model = artifact.Model(good.config, good.metadata, tensors)
        w.send("SET-16", OTHER, "RegisterModel", w.registration(model))
        w.send("SET-17", FISHERMAN, "VoidModel", voiding(model, name), code, f"scale {scale}")


def _sessions(w, model):
    """SET-18: the longest session."""
    start = w.now // 1000
    members, _ = w.session(OPERATOR, model, not_before=start, expiry=start + MONTH)
    w.send("SET-18", OPERATOR, "RegisterSession", members, say="for thirty days")
    return w.session_id(members)


def _payments(w, session):
    """SET-14, SET-15: as few tokens as a claim has, as many as it may; in the last millisecond."""
    model = w.state["sessions"][session]["session"]["model_root"]
    w.wait(-w.now % 1000)
    last = (w.now - TRIAL["post"] - TRIAL["force"]) // 1000
    requests = [w.request(i, model, price=100, deadline=when)
                for i, when in enumerate((0, last, last - 1, 2**40))]
    counts = (1, 5, 2, 3)
    claims = [w.claim(r, session, out_count=n) for r, n in zip(requests, counts)]
    batch = w.post(OPERATOR, session, w.batch(claims, requests))
    _finalise(w, batch)
    for i, (code, say) in enumerate(((None, "of one token without a deadline"),
                                     (None, "of all tokens, posted in the last millisecond"),
                                     ("TOO_LATE", "one second later"),
                                     (None, "whose deadline is beyond all times"))):
        w.send("SET-15", OPERATOR, "Settle", w.settling(batch, i), code, say)
    whole = w.state["channels"][address(CLIENT), address(OPERATOR)]
    cumulative = whole["paid"] + whole["deposit"]
    above = w.voucher(OPERATOR, batch.number, cumulative + 1)
    w.send("SET-14", OPERATOR, "Redeem", above, "INSUFFICIENT")
    w.send("SET-14", OPERATOR, "Redeem", w.voucher(OPERATOR, batch.number, cumulative),
           say="of all that is there")


def _forces(w, session, model):
    """SET-27: an answer by the same operator's other session."""
    second, key = w.open_session(OPERATOR, model, runtime=60)
    mine = w.make_batch(second, 1, 100)
    w.send("SET-27", CLIENT, "Force", w.forced(mine, 0, OPERATOR, key))
    w.wait(1)
    other = w.post(OPERATOR, session, w.batch(mine.claims, mine.requests))
    shown = {"claimHash": mine.hashes[0], "path": []}
    w.send("SET-27", OPERATOR, "ForceAnswer", dict(other.at(0), **shown), "SESSION_MISMATCH")
    posted = w.post(OPERATOR, second, mine)
    w.send("SET-27", OPERATOR, "ForceAnswer", dict(posted.at(0), **shown))


def _clocks(w, session):
    """SET-32: a claim shown in the last millisecond of the worker's clock, and after it."""
    batch = w.post_some(OPERATOR, session, 2, 200)
    games = []
    for i in (0, 1):
        w.send("SET-32", FISHERMAN, "DemandClaim", batch.at(i))
        games.append(dict(batch.shown(i), game=len(w.state["games"])))
    w.wait(TRIAL["workerClock"])
    w.send("SET-32", OPERATOR, "RevealClaim", games[0], say="at the last moment")
    w.send("SET-32", OTHER, "CloseGame", {"game": games[1]["game"]}, "TOO_EARLY",
           "at the last moment")
    w.wait(1)
    w.send("SET-32", OPERATOR, "RevealClaim", games[1], "TOO_LATE")
    w.send("SET-32", OTHER, "CloseGame", {"game": games[1]["game"]}, say="of a silent operator")


def _beginnings(w, model):
    """SET-20, SET-27: the first millisecond of a session."""
    start = -(-w.now // 1000) + 1
    members, key = w.session(FOURTH, model, not_before=start)
    w.send("SET-18", FOURTH, "RegisterSession", members, say="to come")
    session = w.session_id(members)
    batch = w.make_batch(session, 1, 600)
    w.now = start * 1000 - 1
    w.send("SET-20", FOURTH, "PostBatch", w.posting(FOURTH, session, batch), "SESSION_EXPIRED")
    w.send("SET-27", CLIENT, "Force", w.forced(batch, 0, FOURTH, key), "SESSION_EXPIRED")
    w.wait(1)
    w.send("SET-27", CLIENT, "Force", w.forced(batch, 0, FOURTH, key))
    w.post(FOURTH, session, batch)
    shown = dict(batch.at(0), claimHash=batch.hashes[0], path=[])
    w.send("SET-27", FOURTH, "ForceAnswer", shown, say="in the same millisecond")


def _strange_claims(w, session):
    """SET-32: nobody plays on a claim whose words do not belong together."""
    model = w.state["sessions"][session]["session"]["model_root"]
    of_model, of_session = w.request(610, bytes([1]) * 32), w.request(611, model)
    claims = [w.claim(of_model, session), w.claim(of_session, bytes([1]) * 32)]
    batch = w.post(OPERATOR, session, w.batch(claims, [of_model, of_session]))
    for i, what in ((0, "model"), (1, "session")):
        w.send("SET-32", FISHERMAN, "Challenge", dict(batch.at(i), **batch.shown(i)),
               "SESSION_MISMATCH", f"of another {what}")


def _dead_beacon():
    """SET-24: a dead beacon shortens no window."""
    waits = {"window": 30_000, "unbond": 335_001, "close": 395_001}
    w, model = _ledger("slow windows", **waits)
    session, _ = w.open_session(OTHER, model, runtime=62)
    batch = w.post_some(OTHER, session, 1, 0)
    w.send("SET-19", AUDITOR, "RevokeSession", {"session": session})
    w.wait(TRIAL["beaconDead"])
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number}, "TOO_EARLY",
           "without a beacon in the stretched window")
    w.wait(60_000 - 1)
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number}, "TOO_EARLY")
    w.wait(1)
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number})
    return w.cases


def _canaries(w, model):
    """SET-36 to SET-38: the least reward, the last moment, and one whose operator fell otherwise."""
    session, _ = w.open_session(OTHER, model)
    batches = [w.make_batch(session, 1, 300 + i) for i in range(3)]

    def commit(i, code=None, say="", **changes):
        members = {"commitment": w.commitment(batches[i], i, LEAF, who=OTHER),
                   "reward": TRIAL["challengeBond"], "bond": 5_000_000}
        w.send("SET-36", CLIENT, "CommitCanary", dict(members, **changes), code, say)

    commit(0, "BAD_AMOUNT", reward=TRIAL["challengeBond"] - 1)
    commit(0, "INSUFFICIENT", reward=2**62)
    commit(0, "INSUFFICIENT", bond=2**62)
    commit(0, "BAD_AMOUNT", reward=2**62 + 1)
    for i in range(3):
        commit(i, say="for the least reward")
    deadline = w.now + TRIAL["unbond"]
    for batch in batches[:2]:
        w.post(OTHER, session, batch)
    fallen, missed = batches[:2]
    lie = dict(fallen.claims[0], trace_root=bytes([1]) * 32)
    w.send(["SET-28", "SET-33"], FISHERMAN, "Equivocate", {
        "claimA": fallen.claims[0], "countersignatureA": w.countersign(fallen.claims[0], OTHER),
        "claimB": lie, "countersignatureB": w.countersign(lie, OTHER),
    })
    w.send("SET-12", OTHER, "Stake", {"amount": 20_000_000})
    w.now = deadline
    never = {"funder": address(CLIENT),
             "commitment": w.commitment(batches[2], 2, LEAF, who=OTHER)}
    w.send("SET-38", FISHERMAN, "MissCanary", never, "TOO_EARLY", "at the last moment")
    w.send("SET-37", CLIENT, "RevealCanary", w.canary(fallen, LEAF, who=OTHER),
           say="at the last moment, of an operator that fell, below what it stakes now")
    w.wait(1)
    w.send("SET-37", CLIENT, "RevealCanary", w.canary(missed, LEAF, who=OTHER), "TOO_LATE")
    w.send("SET-38", FISHERMAN, "MissCanary", never)


def _checkpoints(w, model):
    """SET-15, SET-34: of the first and the last millisecond of a session, and those beside."""
    start = -(-w.now // 1000) + 1
    members, _ = w.session(FOURTH, model, not_before=start, expiry=start + 3)
    w.send("SET-18", FOURTH, "RegisterSession", members, say="of three seconds to come")
    named = []
    for at in (start * 1000 - 1, start * 1000, start * 1000 + 3000, start * 1000 + 3001):
        w.now = at
        w.checkpoint()
        number = w.state["checkpoint_count"]
        named.append((number, w.state["checkpoints"][number]["tip"]))
    named.append((10_000, named[1][1]))
    session = w.session_id(members)
    requests = [w.request(500 + i, model, price=100) for i in range(5)]
    claims = [w.claim(r, session, checkpoint=number, checkpoint_hash=tip)
              for r, (number, tip) in zip(requests, named)]
    batch = w.post(FOURTH, session, w.batch(claims, requests))
    _finalise(w, batch)
    for i, say in enumerate(("too early", "of the first moment", "of the last", "too late",
                             "that is none")):
        code = None if i in (1, 2) else "CHECKPOINT_MISMATCH"
        w.send(["SET-15", "SET-34"], FOURTH, "Settle", w.settling(batch, i), code,
               f"naming a checkpoint {say}")


def _epochs(w, model):
    """SET-15: a channel of before the slash pays nothing of after it."""
    session, _ = w.open_session(OTHER, model)
    batch = w.post_some(OTHER, session, 1, 400)
    _finalise(w, batch)
    w.send("SET-15", OTHER, "Settle", w.settling(batch, 0), "STALE_EPOCH", "by an old channel")


def _demands():
    """SET-9: an honest worker's clock bears every demand."""
    slow = dict(TRIAL, window=600_000, post=600_000, force=600_000, draw=600_000, report=600_000,
                beaconDead=700_000, workerClock=649_999)
    cases = []
    for trial, parameters, most in ((1, TRIAL, 120), (0, slow, 64)):
        least = longest(parameters)
        waits = {"unbond": least, "close": least + parameters["beaconDead"]}
        w = Ledger(f"demands, trial {trial}", trial=trial, parameters=dict(parameters, **waits))
        for demands, code in ((most + 1, "BAD_PARAMETERS"), (most, None)):
            members = {"parameters": dict(parameters, **waits, maxDemands=demands)}
            w.send("SET-9", GOVERNOR, "ScheduleParameters", members, code, f"{demands} demands")
        cases += w.cases
    return cases


def cases():
    w, model = _ledger("limits")
    _models(w)
    session = _sessions(w, model)
    _payments(w, session)
    _forces(w, session, model)
    _checkpoints(w, model)
    _beginnings(w, model)
    _strange_claims(w, session)
    _canaries(w, model)
    _epochs(w, model)
    _clocks(w, session)
    return w.cases + _dead_beacon() + _demands()
