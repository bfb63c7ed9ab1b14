"""SPEC chapters 29 and 30: batches, forced posting, equivocation, beacon and draws (SET-20 to
SET-31)."""

from oracle import protocol
from oracle.curve import recover
from oracle.encoding import H, Reject, require
from oracle.ledger_call import (
    F_ANSWERED,
    F_MISSED,
    F_OPEN,
    F_REFUNDED,
    FINAL,
    MAX_SUPPLY,
    MAX_VALUE,
    OPEN,
    VOID,
    reserve_of,
    signed,
)
from oracle.protocol import digest, encode_type, hash_struct

CHECK = (("bytes32", "claimHash"), ("uint8", "lane"), ("bytes32", "digest"), ("uint64", "round"))


# --- Batches (SET-20 to SET-28)

def post_batch(call, m):
    o = call.s["operators"].get(call.signer)
    require(o is not None, "STAKE_TOO_LOW")
    p = call.parameters
    entry = call.known("sessions", m["session"])
    session = entry["session"]
    call.role(session["operator"])
    require(entry["epoch"] == o["epoch"], "STALE_EPOCH")
    require(not call.revoked_at(entry), "SESSION_REVOKED")
    last = call.end_of(entry) + p["post"] + p["force"]
    require(session["not_before"] * 1000 <= call.now <= last, "SESSION_EXPIRED")
    require(m["sequence"] == o["next_sequence"], "NONCE")
    good = 1 <= m["count"] <= p["maxCount"] and 1 <= m["value"] <= MAX_VALUE
    require(good, "BAD_AMOUNT")
    reserve = reserve_of(p, m["value"])
    require(reserve <= MAX_SUPPLY, "BAD_AMOUNT")
    fits = reserve * m["count"] <= o["stake"] - o["reserved"]
    require(o["stake"] >= p["minStake"] and fits, "STAKE_TOO_LOW")
    call.promote()
    at_stake = o["reserved"] or o["open_games"]
    o["burn_ppm"] = max(p["burnPpm"], o["burn_ppm"] if at_stake else 0)
    o["reserved"] += reserve * m["count"]
    o["next_sequence"] += 1
    call.s["batches"][len(call.s["batches"]) + 1] = {
        "operator": call.signer,
        "session": m["session"],
        "root": m["root"],
        "sequence": m["sequence"],
        "count": m["count"],
        "value": m["value"],
        "reserve": reserve,
        "posted_at": call.now,
        "final_at": 0,
        "epoch": o["epoch"],
        "round": call.s["revealed_round"] + 2,
        "snapshot": call.s["current_parameters"],
        "held": 0,
        "canaries": 0,
        "status": OPEN,
    }
    call.emit("BatchPosted")


def finalise(call, m):
    batch = call.known("batches", m["batch"])
    require(batch["status"] == OPEN, "BAD_STATE")
    o = call.operator_of(batch)
    require(o["epoch"] == batch["epoch"], "STALE_EPOCH")
    require(batch["sequence"] == o["finalised"], "BAD_STATE", "order")
    p, beacon = call.of_batch(batch), call.s["beacon"].get(batch["round"])
    if beacon:
        rest = beacon["revealed_at"] + p["draw"] + p["report"]
    else:
        rest = batch["posted_at"] + p["beaconDead"]
    require(call.now >= max(rest, call.window_end(batch)), "TOO_EARLY")
    o["finalised"] += 1
    if call.model_of(call.session_of(batch))["voided_at"]:
        batch["status"] = VOID
        o["reserved"] -= batch["reserve"] * batch["count"]
        call.emit("BatchVoid")
        return
    batch.update(status=FINAL, final_at=call.now)
    if not beacon:
        batch["round"] = 0
    o["reserved"] -= batch["reserve"] * (batch["count"] - batch["held"])
    call.emit("BatchFinal" if beacon else "BatchFinalNotDrawn")
    record = call.attribution(batch)
    record["batches"] += 1
    record["final_claims"] += batch["count"] - batch["held"] - batch["canaries"]


def countersigner(call, claim, signature):
    words_ = digest(
        call.ledger, protocol.countersignature_struct_hash(call.claim_hash(claim))
    )
    signer = recover(words_, signature, "COUNTERSIGNATURE")
    require(signer in call.s["operators"], "COUNTERSIGNATURE", "no operator")
    return signer


def force(call, m):
    claim, request = m["claim"], m["request"]
    operator = countersigner(call, claim, m["countersignature"])
    entry = call.s["sessions"].get(claim["session"])
    known = entry is not None and entry["session"]["operator"] == operator
    require(known, "UNKNOWN", "session")
    epoch = call.s["operators"][operator]["epoch"]
    require(entry["epoch"] == epoch, "STALE_EPOCH")
    require(not call.revoked_at(entry), "SESSION_REVOKED")
    session, p = entry["session"], call.parameters
    last = call.end_of(entry) + p["post"]
    require(session["not_before"] * 1000 <= call.now <= last, "SESSION_EXPIRED")
    request_hash = call.request_hash(request)
    require(request_hash == claim["request_hash"], "REQUEST_HASH_MISMATCH")
    call.belongs(claim, request, claim["session"])
    call.checkpoint(claim, claim["session"])
    signed(request_hash, m["requestSignature"], request["client"], "REQUEST_SIGNATURE")
    claim_hash = call.claim_hash(claim)
    signed(claim_hash, m["claimSignature"], session["key"], "CLAIM_SIGNATURE")
    require(claim_hash not in call.s["forces"], "EXISTS")
    call.spend(p["forceBond"])
    call.account["balance"] -= p["forceBond"]
    call.s["forces"][claim_hash] = {
        "operator": operator,
        "forcer": call.signer,
        "client": request["client"],
        "session": claim["session"],
        "bond": p["forceBond"],
        "forced_at": call.now,
        "deadline": call.now + p["force"],
        "epoch": epoch,
        "status": F_OPEN,
    }
    call.emit("Forced")


def open_force(call, claim_hash):
    entry = call.known("forces", claim_hash)
    require(entry["status"] == F_OPEN, "BAD_STATE")
    return entry


def force_answer(call, m):
    entry = open_force(call, m["claimHash"])
    batch = call.batch_of(m)
    same = (batch["operator"], batch["session"]) == (entry["operator"], entry["session"])
    require(same, "SESSION_MISMATCH")
    call.leaf(batch, m, m["claimHash"])
    if batch["posted_at"] < entry["forced_at"]:
        call.burn(entry["bond"])
    else:
        call.credit(entry["forcer"], entry["bond"])
    entry.update(bond=0, status=F_ANSWERED)
    call.emit("ForceAnswered")


def force_missed(call, m):
    entry = open_force(call, m["claimHash"])
    require(call.now > entry["deadline"], "TOO_EARLY")
    session = call.s["sessions"][entry["session"]]
    excused = call.revoked_at(session) != 0
    excused = excused or call.s["operators"][entry["operator"]]["epoch"] != entry["epoch"]
    call.credit(entry["forcer"], entry["bond"])
    entry.update(bond=0, status=F_REFUNDED if excused else F_MISSED)
    call.emit("ForceRefunded" if excused else "ForceMissed")
    if not excused:
        call.slash(entry["operator"], call.parameters, entry["forcer"], entry["client"])


def equivocate(call, m):
    a, b = m["claimA"], m["claimB"]
    operator = countersigner(call, a, m["countersignatureA"])
    other = countersigner(call, b, m["countersignatureB"])
    differ = any(a[name] != b[name] for name in ("trace_root", "finish_reason"))
    good = operator == other and a["request_hash"] == b["request_hash"] and differ
    require(good, "NOT_EQUIVOCATION")
    key = (a["request_hash"], operator)
    require(key not in call.s["equivocations"], "EXISTS")
    call.s["equivocations"].add(key)
    call.emit("Equivocated")
    call.slash(operator, call.parameters, call.signer, None)


# --- Beacon and draws (SET-29 to SET-31)

def reveal(call, m):
    s = call.s
    call.role(s["genesis"]["auditor"])
    require(m["round"] == s["revealed_round"] + 1, "BEACON_MISMATCH", "round")
    require(H("OTR.beac", m["value"]) == s["beacon_anchor"], "BEACON_MISMATCH", "value")
    require(call.now >= s["last_reveal_at"] + call.parameters["beaconInterval"], "TOO_EARLY")
    last = s["checkpoints"].get(m["checkpoint"])
    good = last is not None and m["checkpoint"] == s["checkpoint_count"]
    good = good and last["tip"] == m["tip"] and last["height"] >= s["last_reveal_height"]
    require(good, "CHECKPOINT_MISMATCH")
    s.update(
        beacon_anchor=m["value"],
        revealed_round=m["round"],
        last_reveal_at=call.now,
        last_reveal_height=s["height"] + 1,
    )
    s["beacon"][m["round"]] = {"value": m["value"], "revealed_at": call.now}
    call.emit("BeaconRevealed")


def replace_beacon(call, m):
    call.role(call.s["genesis"]["governor"])
    dead = call.s["last_reveal_at"] + call.parameters["beaconDead"]
    require(call.now >= dead, "TOO_EARLY")
    call.s.update(beacon_anchor=m["anchor"], last_reveal_at=call.now)
    call.emit("BeaconReplaced")


def answer_draw(call, m):
    batch = call.batch_of(m)
    call.role(batch["operator"])
    require(batch["status"] == OPEN and not call.is_void(batch), "BAD_STATE")
    require(m["lane"] in (1, 2), "BAD_AMOUNT")
    known = m["lane"] == 2 or batch["round"] in call.s["beacon"]
    require(known, "TOO_EARLY", "a proof before the beacon")
    call.leaf(batch, m, m["claimHash"])
    entry = call.claim_entry(m)
    require(entry["lane"] == 0, "EXISTS")
    entry.update(lane=m["lane"], digest=m["digest"])
    call.s["claims"][m["batch"], m["index"]] = entry
    call.emit("DrawAnswered")


def check_digest(ledger, claim_hash, lane, named, round_):
    text = encode_type("Check", CHECK)
    return digest(ledger, hash_struct(text, CHECK, [claim_hash, lane, named, round_]))


def check_draw(call, m):
    batch = call.batch_of(m)
    require(m["lane"] in (1, 2), "BAD_AMOUNT")
    call.leaf(batch, m, m["claimHash"])
    entry = call.claim_entry(m)
    require((entry["lane"], entry["digest"]) == (m["lane"], m["digest"]), "UNKNOWN")
    fallen = entry["checked"] or entry["refuted"] or call.is_fallen(batch)
    require(not fallen, "BAD_STATE")
    words_ = check_digest(
        call.s["id"], m["claimHash"], m["lane"], m["digest"], batch["round"]
    )
    agreed, g = entry["checkers"], call.s["genesis"]
    for signature in m["signatures"]:
        try:
            signer = recover(words_, signature, "QUORUM_MISSING")
        except Reject:
            continue
        if signer in g["checkers"]:
            agreed |= 1 << g["checkers"].index(signer)
    require(agreed != entry["checkers"], "QUORUM_MISSING")
    entry.update(checkers=agreed, checked=agreed.bit_count() >= g["quorum"])
    call.emit("DrawChecked")


def miss_draw(call, m):
    batch = call.batch_of(m)
    require(batch["status"] == OPEN and not call.is_void(batch), "BAD_STATE")
    require(call.is_drawn(batch, m["index"]), "NOT_DRAWN")
    entry = call.claim_entry(m)
    require(entry["lane"] == 0 and not entry["canary"], "BAD_STATE")
    p = call.of_batch(batch)
    deadline = call.s["beacon"][batch["round"]]["revealed_at"] + p["draw"]
    require(call.now > deadline, "TOO_EARLY")
    call.emit("DrawMissed")
    call.slash(batch["operator"], p, call.signer, None)


RULES = {
    "PostBatch": post_batch,
    "Finalise": finalise,
    "Force": force,
    "ForceAnswer": force_answer,
    "ForceMissed": force_missed,
    "Equivocate": equivocate,
    "Reveal": reveal,
    "ReplaceBeacon": replace_beacon,
    "AnswerDraw": answer_draw,
    "CheckDraw": check_draw,
    "MissDraw": miss_draw,
}
