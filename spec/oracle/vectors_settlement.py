"""Ledgers (chapters 27 to 30), each a sequence of cases. in {genesis} begins one, out {id, digest};
in {time, transaction} is the next transaction with the clock at which it comes, out {events, tip,
digest}, or a reject, which changes nothing; append: {byte, times} where bytes follow it. events are
the names of what happened. Games with proofs are in dispute.json."""

from oracle import artifact, curve, game as play, settlement, settlement_state as entries
from oracle import settlement_words as words, tiny, vectors_honest_pay, vectors_limits
from oracle.encoding import LEDGER_CODES, Reject, integer
from oracle.ledger_world import (
    AUDITOR,
    CHECKERS,
    CLIENT,
    FISHERMAN,
    FOURTH,
    GOVERNOR,
    ISSUER,
    NOBODY,
    OPERATOR,
    OTHER,
    POOR,
    SEQUENCER,
    THIRD,
    TRIAL,
    Ledger,
    address,
    void_model,
    voiding,
)
from oracle.ledger_call import NO_HASH
from oracle.ledger_money import registration_digest

ZERO = bytes(20)
SOME = bytes([1]) * 32


def _codes(w, rule, who, kind, table):
    """Refusals of one kind: {code: members}, or pairs where a code comes twice."""
    for code, members in table:
        w.send(rule, who, kind, members, code)


def _money(w):
    w.fund(CLIENT, OPERATOR, OTHER, FISHERMAN, THIRD, FOURTH)
    to = address(OTHER)
    w.send("SET-11", CLIENT, "Mint", {"to": to, "amount": 1}, "NOT_ALLOWED")
    above = 2**62 - w.state["minted"] + 1
    _codes(w, "SET-11", ISSUER, "Mint", [
        ("BAD_AMOUNT", {"to": to, "amount": 0}),
        ("BAD_AMOUNT", {"to": to, "amount": above}),
        ("BAD_AMOUNT", {"to": ZERO, "amount": 1}),
    ])
    w.send("SET-11", CLIENT, "Transfer", {"to": address(POOR), "amount": 2})
    balance = w.state["accounts"][address(CLIENT)]["balance"]
    _codes(w, ["SET-7", "SET-11"], CLIENT, "Transfer", [
        ("BAD_AMOUNT", {"to": to, "amount": 0}),
        ("BAD_AMOUNT", {"to": ZERO, "amount": 1}),
        ("INSUFFICIENT", {"to": to, "amount": balance}),
    ])
    w.send("SET-11", CLIENT, "Withdraw", {"amount": 1000})
    w.send("SET-11", CLIENT, "Withdraw", {"amount": 0}, "BAD_AMOUNT")
    w.send("SET-11", CLIENT, "Withdraw", {"amount": balance}, "INSUFFICIENT")
    w.send("SET-7", POOR, "Withdraw", {"amount": 2}, "INSUFFICIENT", "with the fee")
    w.send("SET-7", POOR, "Withdraw", {"amount": 1}, say="of all but the fee")
    w.send("SET-7", POOR, "Release", {}, "INSUFFICIENT", "without the fee")
    w.send("SET-12", OPERATOR, "Unstake", {"amount": 1}, "UNKNOWN")
    w.send("SET-12", OPERATOR, "Release", {}, "UNKNOWN")
    w.send("SET-13", CLIENT, "Deposit", {"operator": to, "amount": 5}, "UNKNOWN")
    for who in (OPERATOR, OTHER, THIRD, FOURTH):
        w.send("SET-12", who, "Stake", {"amount": 10_000_000})
    w.send("SET-12", OPERATOR, "Stake", {"amount": 0}, "BAD_AMOUNT")
    w.send("SET-12", OPERATOR, "Stake", {"amount": 2**60}, "INSUFFICIENT")
    w.send("SET-12", OPERATOR, "Unstake", {"amount": 10_000_001}, "INSUFFICIENT")
    w.send("SET-12", OPERATOR, "Release", {}, "BAD_STATE")
    w.send("SET-12", OPERATOR, "Unstake", {"amount": 1_000_000})
    w.send("SET-12", OPERATOR, "Release", {}, "TOO_EARLY")
    for who in (OPERATOR, OTHER, THIRD, FOURTH):
        w.send("SET-13", CLIENT, "Deposit", {"operator": address(who), "amount": 1_000_000})
    closing = {"operator": to}
    w.send("SET-13", FISHERMAN, "Close", closing, "UNKNOWN")
    w.send("SET-13", FISHERMAN, "Refund", closing, "UNKNOWN")
    w.send("SET-13", FISHERMAN, "Deposit", {"operator": to, "amount": 777})
    w.send("SET-13", FISHERMAN, "Refund", closing, "TOO_EARLY", "before Close")
    w.send("SET-13", FISHERMAN, "Close", closing)
    w.send("SET-13", FISHERMAN, "Close", closing, "BAD_STATE")
    w.send("SET-13", FISHERMAN, "Deposit", {"operator": to, "amount": 1}, "BAD_STATE")
    w.send("SET-13", FISHERMAN, "Refund", closing, "TOO_EARLY")


def _form(w):
    """SET-2, SET-3, SET-7: bytes, signatures, nonces."""
    plain = {"to": address(OTHER), "amount": 1}
    good = w.make(CLIENT, "Transfer", plain)
    unsigned = good[:-1] + bytes([26])
    high = int.from_bytes(good[-33:-1], "big")
    flipped = good[:-33] + (curve.ORDER - high).to_bytes(32, "big") + bytes([55 - good[-1]])
    for name, data, code in (
        ("an empty transaction", b"", "MALFORMED"),
        ("kind 0", b"\x00" + good[1:], "MALFORMED"),
        ("kind 35", b"\x23" + good[1:], "MALFORMED"),
        ("a byte too few", good[:-1], "MALFORMED"),
        ("a byte too many", good + b"\x00", "MALFORMED"),
        ("v of 26", unsigned, "TX_SIGNATURE"),
        ("the other s", flipped, "TX_SIGNATURE"),
        ("r of 0", good[:-65] + bytes(32) + good[-33:], "TX_SIGNATURE"),
        ("another amount", good.replace(integer("u64", 1) + good[-65:], integer("u64", 2)
                                        + good[-65:]), "NO_ACCOUNT"),
    ):
        w.raw(["SET-2", "SET-3", "SET-7"], name, data, code)
    w.raw("SET-7", "a stranger", w.make(NOBODY, "Transfer", plain), "NO_ACCOUNT")
    nonce = w.nonce(CLIENT)
    for other in (nonce - 1, nonce + 1):
        w.raw("SET-7", f"nonce {other}", w.make(CLIENT, "Transfer", plain, other), "NONCE")
    w.raw(["SET-2", "SET-3"], "the next nonce", good)
    w.raw("SET-7", "the same again", good, "NONCE")
    head = integer("u8", words.NUMBER["Move"]) + integer("u64", 0) + integer("u64", 1)
    w.raw("SET-2", "a byte string beyond the end", head + integer("u32", 2**20), "MALFORMED")
    large = {"byte": 0, "times": words.MAX_BYTES + 1 - len(good)}
    w.raw("SET-2", "too long", good, "LIMIT_EXCEEDED", large)
    w.raw("SET-2", "the longest, of another form", good, "MALFORMED",
          dict(large, times=large["times"] - 1))
    paths = words.encode_transaction(
        "ForceAnswer",
        0,
        {"claimHash": SOME, "batch": 1, "index": 0, "path": [SOME] * 65},
        bytes(65),
    )
    w.raw("SET-2", "65 hashes", paths, "MALFORMED")
    many = dict(_draw_of_nothing(), signatures=[bytes(65)] * 17)
    w.raw("SET-2", "17 signatures", words.encode_transaction("CheckDraw", 0, many, bytes(65)),
          "MALFORMED")


def _draw_of_nothing():
    return {"batch": 1, "index": 0, "claimHash": SOME, "path": [], "lane": 1, "digest": SOME}


def _models(w):
    """Two models: (root, void model, its broken tensor)."""
    model = tiny.model("tiny_gqa")
    good = w.registration(model)
    rule = ["SET-16", "REF-7"]
    _codes(w, rule, OTHER, "RegisterModel", [
        ("BAD_AMOUNT", dict(good, maxPromptTariff=2**30 + 1)),
        ("BAD_AMOUNT", dict(good, weightsPublished=2)),
        ("MALFORMED", dict(good, config=b"{}")),
        ("MODEL_INVALID", dict(good, config=good["config"].replace(b'"heads":4', b'"heads":3'))),
        ("LIMIT_EXCEEDED", dict(good, tokenBytes=0)),
        ("LIMIT_EXCEEDED", dict(good, tokenBytes=2**26 + 1)),
        ("PATH_INVALID", dict(good, configPath=good["configPath"][1:])),
        ("PATH_INVALID", dict(good, tokenBytes=good["tokenBytes"] - 1)),
        ("PATH_INVALID", dict(good, tokenTile=good["tokenTile"][:-1])),
        ("PATH_INVALID", dict(good, root=SOME)),
    ])
    w.send(rule, POOR, "RegisterModel", good, "INSUFFICIENT")
    w.send(rule, OTHER, "RegisterModel", good)
    w.send("SET-16", OTHER, "RegisterModel", good, "EXISTS")
    bad, name = void_model()
    w.send(rule, FOURTH, "RegisterModel", w.registration(bad), say="with a scale of 0")
    return good["root"], bad, name


def _sessions(w, model):
    good, key = w.session(OPERATOR, model)
    s = good["session"]

    def other(tariffs=None, **changes):
        return w.signed_session(dict(s, **changes), key, **(tariffs or {}))

    w.send("SET-18", OTHER, "RegisterSession", good, "NOT_ALLOWED")
    _codes(w, "SET-18", OPERATOR, "RegisterSession", [
        ("SPEC_MISMATCH", other(spec_hash=SOME)),
        ("SESSION_INVALID", other(key=address(OPERATOR))),
        ("SESSION_INVALID", other(beacon=NO_HASH)),
        ("SESSION_INVALID", other(expiry=s["not_before"])),
        ("SESSION_INVALID", other(expiry=s["not_before"] + 30 * 86400 + 1)),
        ("SESSION_INVALID", other(not_before=2**40, expiry=2**40 + 1)),
        ("UNKNOWN", other(model_root=SOME)),
        ("BAD_AMOUNT", other({"promptTariff": 11})),
        ("BAD_AMOUNT", other({"outputTariff": 101})),
        ("SESSION_SIGNATURE", dict(good, evidence=SOME)),
    ])
    poor, _ = w.session(FISHERMAN, model)
    w.send("SET-18", FISHERMAN, "RegisterSession", poor, "STAKE_TOO_LOW")
    w.send(["SET-18", "SET-5"], OPERATOR, "RegisterSession", good)
    w.send("SET-18", OPERATOR, "RegisterSession", good, "EXISTS")
    w.send("SET-18", OPERATOR, "RegisterSession", other(runtime=SOME), "EXISTS", "a key twice")
    return w.session_id(good), key


def _batches(w, session):
    """Wrong batches, then two that become final, paid by voucher and by request."""
    one = w.make_batch(session, 3, 0)

    def posting(**changes):
        return w.posting(OPERATOR, session, one, **changes)

    w.send("SET-20", FISHERMAN, "PostBatch", posting(), "STAKE_TOO_LOW", "of a stranger")
    w.send("SET-20", OTHER, "PostBatch", posting(), "NOT_ALLOWED")
    _codes(w, ["SET-20", "SET-21"], OPERATOR, "PostBatch", [
        ("UNKNOWN", dict(posting(), session=SOME)),
        ("NONCE", posting(sequence=1)),
        ("BAD_AMOUNT", posting(count=0)),
        ("BAD_AMOUNT", posting(count=65)),
        ("BAD_AMOUNT", dict(posting(), value=0)),
        ("BAD_AMOUNT", dict(posting(), value=2**40 + 1)),
        ("STAKE_TOO_LOW", dict(posting(), value=75_001)),
    ])
    w.post(OPERATOR, session, one, 75_000)  # V_max of the whole stake
    two = w.make_batch(session, 1, 100)
    w.send("SET-21", OPERATOR, "PostBatch", w.posting(OPERATOR, session, two, 1), "STAKE_TOO_LOW")
    w.send("SET-21", OPERATOR, "Unstake", {"amount": 1}, "INSUFFICIENT", "of what is reserved")
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": 1}, "TOO_EARLY", "in the window")
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": 9}, "UNKNOWN")
    w.send("SET-31", FISHERMAN, "MissDraw", one.at(0), "NOT_DRAWN", "before the round")
    w.send("SET-14", OPERATOR, "Redeem", w.voucher(OPERATOR, 1, 500), "TOO_EARLY")
    w.send("SET-15", OPERATOR, "Settle", w.settling(one, 0), "TOO_EARLY")
    _reveals(w)
    w.reveal_round_of(one)
    w.wait(4000)
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": 1})
    w.send("SET-25", FISHERMAN, "Finalise", {"batch": 1}, "BAD_STATE", "again")
    w.send("SET-32", FISHERMAN, "Challenge", dict(one.at(0), **one.shown(0)), "BAD_STATE")
    return one


def _reveals(w):
    w.wait(1000)
    w.send("SET-29", AUDITOR, "Reveal", w.reveal_members(), "CHECKPOINT_MISMATCH", "without one")
    w.send("SET-34", CLIENT, "Checkpoint", {"height": 0, "tip": SOME, "digest": SOME},
           "NOT_ALLOWED")
    s = w.state
    good = {"height": s["height"], "tip": s["tip"], "digest": entries.state_digest(s)}
    for name, wrong in (("height", 0), ("tip", SOME), ("digest", SOME)):
        w.send("SET-34", SEQUENCER, "Checkpoint", dict(good, **{name: wrong}),
               "CHECKPOINT_MISMATCH", f"of another {name}")
    w.checkpoint()
    good = w.reveal_members()
    w.send("SET-29", CLIENT, "Reveal", good, "NOT_ALLOWED")
    for changes, code in (
        ({"round": 2}, "BEACON_MISMATCH"),
        ({"value": SOME}, "BEACON_MISMATCH"),
        ({"checkpoint": 2}, "CHECKPOINT_MISMATCH"),
        ({"tip": SOME}, "CHECKPOINT_MISMATCH"),
    ):
        w.send("SET-29", AUDITOR, "Reveal", dict(good, **changes), code)
    w.send("SET-29", AUDITOR, "Reveal", good)
    w.send("SET-29", AUDITOR, "Reveal", w.reveal_members(), "TOO_EARLY")
    w.wait(1000)
    w.send("SET-29", AUDITOR, "Reveal", w.reveal_members(), "CHECKPOINT_MISMATCH",
           "of before the last reveal")


def _payment(w, session, one):
    """SET-14, SET-15 on a final batch of three claims."""
    drawn, spared = w.drawn(one)
    rule = "SET-15"
    i = spared[0]
    good = w.settling(one, i)
    claim = dict(one.claims[i], out_count=6)
    request = w.request(50, one.requests[0]["model_root"])
    _codes(w, rule, OTHER, "Settle", [
        ("UNKNOWN", dict(good, batch=9)),
        ("UNKNOWN", dict(good, index=3)),
        ("PATH_INVALID", dict(good, claim=claim)),
        ("REQUEST_HASH_MISMATCH", dict(good, request=request)),
        ("REQUEST_SIGNATURE", w.settling(one, i, OTHER)),
        ("REQUEST_SIGNATURE", dict(w.settling(one, i, OTHER), claimSignature=bytes(65))),
        ("CLAIM_SIGNATURE", dict(good, claimSignature=good["requestSignature"])),
        ("CLAIM_SIGNATURE", dict(good, claimSignature=bytes(65))),
    ])
    for j in drawn[:1]:
        w.send(rule, OTHER, "Settle", w.settling(one, j), "BAD_STATE", "drawn, not answered")
    w.send([rule, "SET-35"], OTHER, "Settle", good)
    w.send(rule, OTHER, "Settle", good, "EXISTS")
    _odd_claims(w, session)
    rule = "SET-14"
    w.send(rule, THIRD, "Redeem", w.voucher(OPERATOR, 1, 500), "TOO_EARLY", "of another")
    w.send(rule, FISHERMAN, "Redeem", w.voucher(FISHERMAN, 1, 500), "UNKNOWN")
    _codes(w, rule, OPERATOR, "Redeem", [
        ("UNKNOWN", w.voucher(OPERATOR, 99, 500)),
        ("VOUCHER_SIGNATURE", w.voucher(OPERATOR, 1, 500, epoch=1)),
        ("VOUCHER_SIGNATURE", w.voucher(OPERATOR, 1, 500, key=OTHER)),
        ("BAD_AMOUNT", w.voucher(OPERATOR, 1, 46)),
        ("INSUFFICIENT", w.voucher(OPERATOR, 1, 2_000_000)),
    ])
    w.send([rule, "SET-35"], OPERATOR, "Redeem", w.voucher(OPERATOR, 1, 546))
    w.send(rule, OPERATOR, "Redeem", w.voucher(OPERATOR, 1, 546), "BAD_AMOUNT", "again")
    if len(spared) > 1:
        w.send("SET-15", OTHER, "Settle", w.settling(one, spared[1]), "BAD_STATE",
               "covered by a voucher")


def _odd_claims(w, session):
    """A batch of claims that no honest worker makes, final, none of them paid."""
    root = w.state["sessions"][session]["session"]["model_root"]
    requests = [w.request(60 + i, root) for i in range(5)]
    requests[4] = w.request(64, SOME)
    claims = [
        w.claim(requests[0], session, out_count=0),
        w.claim(requests[1], session, out_count=6),
        w.claim(requests[2], session, prompt_count=4),
        w.claim(requests[3], session, checkpoint=1, checkpoint_hash=SOME),
        w.claim(requests[4], session),
    ]
    codes = ["COUNT_MISMATCH"] * 3 + ["CHECKPOINT_MISMATCH", "SESSION_MISMATCH"]
    odd = w.post(OPERATOR, session, w.batch(claims, requests))
    w.reveal_round_of(odd)
    w.wait(4000)
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": odd.number})
    for i, code in enumerate(codes):
        rule = ["SET-15", "SET-34"] if i == 3 else "SET-15"
        w.send(rule, OTHER, "Settle", w.settling(odd, i), code)


def _draws(w, session):
    batch = w.post_some(OPERATOR, session, 8, 200)
    follower = w.post_some(OPERATOR, session, 1, 210)
    w.send("SET-30", OPERATOR, "AnswerDraw", w.answering(batch, 0, 1), "TOO_EARLY",
           "by a proof before the beacon")
    w.reveal_round_of(batch)
    drawn, spared = w.drawn(batch)
    i = drawn[0]
    rule = "SET-30"
    w.send(rule, FISHERMAN, "AnswerDraw", w.answering(batch, i), "NOT_ALLOWED")
    w.send(rule, FISHERMAN, "CheckDraw", w.checking(batch, i, CHECKERS[:2]), "UNKNOWN")
    _codes(w, rule, OPERATOR, "AnswerDraw", [
        ("UNKNOWN", dict(w.answering(batch, i), index=8)),
        ("BAD_AMOUNT", w.answering(batch, i, 3)),
        ("PATH_INVALID", dict(w.answering(batch, i), claimHash=SOME)),
    ])
    w.send(rule, OPERATOR, "AnswerDraw", w.answering(batch, i))
    w.send(rule, OPERATOR, "AnswerDraw", w.answering(batch, i), "EXISTS")
    first, second, third = CHECKERS
    _codes(w, rule, FISHERMAN, "CheckDraw", [
        ("QUORUM_MISSING", w.checking(batch, i, [FISHERMAN])),
        ("UNKNOWN", w.checking(batch, i, [first, second], lane=1)),
        ("UNKNOWN", w.checking(batch, i, [first, second], named=SOME)),
    ])
    w.send(rule, FISHERMAN, "CheckDraw", w.checking(batch, i, [first]), say="by one of two")
    w.send(rule, FISHERMAN, "CheckDraw", w.checking(batch, i, [first]), "QUORUM_MISSING", "again")
    w.send(rule, FISHERMAN, "CheckDraw", w.checking(batch, i, [first, FISHERMAN, third]))
    w.send(rule, FISHERMAN, "CheckDraw", w.checking(batch, i, [first, third]), "BAD_STATE")
    for j in drawn[1:]:
        w.send(rule, OPERATOR, "AnswerDraw", w.answering(batch, j, 1), say="by a proof")
    rule = "SET-31"
    w.send(rule, FISHERMAN, "MissDraw", batch.at(i), "BAD_STATE", "answered")
    w.send(rule, FISHERMAN, "MissDraw", batch.at(spared[0]), "NOT_DRAWN")
    w.wait(5000)
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": follower.number}, "BAD_STATE", "too soon")
    w.send("SET-24", FISHERMAN, "Finalise", {"batch": batch.number})
    w.send(["SET-15", "SET-35"], OTHER, "Settle", w.settling(batch, i), say="of a drawn claim")
    w.send("SET-15", OTHER, "Settle", w.settling(batch, spared[0]), say="of one not drawn")
    w.reveal_round_of(follower)
    w.wait(5000)
    for j in w.drawn(follower)[0]:
        w.send("SET-31", FISHERMAN, "MissDraw", follower.at(j), None)
    if w.state["batches"][follower.number]["status"] == 1 and not w.drawn(follower)[0]:
        w.send("SET-24", FISHERMAN, "Finalise", {"batch": follower.number})


def _emergency(w, model):
    """A session of OTHER that is revoked: stretched window, only checked claims are paid."""
    session, _ = w.open_session(OTHER, model, runtime=40)
    batch = w.post_some(OTHER, session, 2, 300)
    w.send("SET-19", CLIENT, "RevokeSession", {"session": session}, "NOT_ALLOWED")
    w.send("SET-19", OTHER, "RevokeSession", {"session": SOME}, "UNKNOWN")
    w.send("SET-19", AUDITOR, "RevokeSession", {"session": session})
    w.send("SET-19", AUDITOR, "RevokeSession", {"session": session}, "BAD_STATE")
    late = w.make_batch(session, 1, 310)
    w.send(["SET-19", "SET-20"], OTHER, "PostBatch", w.posting(OTHER, session, late),
           "SESSION_REVOKED")
    w.reveal_round_of(batch)
    for i in (0, 1):
        w.send("SET-30", OTHER, "AnswerDraw", w.answering(batch, i))
    w.send("SET-30", CLIENT, "CheckDraw", w.checking(batch, 1, CHECKERS[:2]))
    w.wait(2 * 4000)
    w.send(["SET-19", "SET-24"], CLIENT, "Finalise", {"batch": batch.number}, "TOO_EARLY",
           "in the stretched window")
    w.send(["SET-19", "SET-23", "SET-32"], FISHERMAN, "DemandClaim", batch.at(0),
           say="after the plain window")
    shown = dict(batch.shown(0), game=len(w.state["games"]))
    w.send("SET-32", OTHER, "RevealClaim", shown)
    _withdraw(w, len(w.state["games"]), FISHERMAN)
    w.wait(4 * 4000)
    w.send("SET-23", FISHERMAN, "DemandClaim", batch.at(0), "TOO_LATE")
    w.send(["SET-19", "SET-24"], CLIENT, "Finalise", {"batch": batch.number})
    w.send("SET-19", OTHER, "Settle", w.settling(batch, 0), "SESSION_REVOKED", "not checked")
    w.send(["SET-19", "SET-15"], OTHER, "Settle", w.settling(batch, 1), say="checked")
    runtime = {"runtime": bytes([41]) * 32}
    w.send("SET-19", CLIENT, "RevokeRuntime", runtime, "NOT_ALLOWED")
    w.send("SET-19", AUDITOR, "RevokeRuntime", runtime)
    w.send("SET-19", AUDITOR, "RevokeRuntime", runtime, "BAD_STATE")


def _move(w, game, who, side, action, data=None, code=None, rule="SET-32", say=""):
    state = w.state["games"][game]["game_digest"]
    members = {"game": game, "move": play.encode_move(side, state, action, data)}
    w.send(rule, who, "Move", members, code, say)


def _withdraw(w, game, who):
    _move(w, game, who, play.CHALLENGER, play.CONCEDE, rule=["SET-32", "GAME-9"],
          say="that withdraws")


def _forces(w, model):
    session, key = w.open_session(OTHER, model)
    late = w.make_batch(session, 3, 400)
    good = w.forced(late, 0, OTHER, key)
    rule = "SET-27"
    wrong = dict(late.claims[0], checkpoint=1)
    odd = w.batch([wrong], [late.requests[0]])
    foreign = w.batch([w.claim(late.requests[0], SOME)], [late.requests[0]])
    alien = w.request(409, SOME)
    strange = w.batch([w.claim(alien, session)], [alien])
    _codes(w, rule, CLIENT, "Force", [
        ("COUNTERSIGNATURE", dict(good, countersignature=good["claimSignature"])),
        ("COUNTERSIGNATURE", dict(good, countersignature=bytes(65))),
        ("UNKNOWN", w.forced(foreign, 0, OTHER, key)),
        ("UNKNOWN", w.forced(late, 0, THIRD, key)),
        ("REQUEST_HASH_MISMATCH", dict(good, request=late.requests[1])),
        ("SESSION_MISMATCH", w.forced(strange, 0, OTHER, key)),
        ("CHECKPOINT_MISMATCH", w.forced(odd, 0, OTHER, key)),
        ("REQUEST_SIGNATURE", dict(good, requestSignature=good["claimSignature"])),
        ("CLAIM_SIGNATURE", dict(good, claimSignature=good["requestSignature"])),
    ])
    w.send(rule, POOR, "Force", good, "INSUFFICIENT")
    w.send(rule, CLIENT, "Force", good)
    w.send(rule, CLIENT, "Force", good, "EXISTS")
    w.send(rule, CLIENT, "Force", w.forced(late, 1, OTHER, key))
    missing = {"claimHash": late.hashes[1]}
    w.send(rule, CLIENT, "ForceMissed", missing, "TOO_EARLY")
    w.send(rule, CLIENT, "ForceMissed", {"claimHash": SOME}, "UNKNOWN")
    w.wait(1)
    batch = w.post_some(OTHER, session, 1, 400)
    answer = dict(batch.at(0), claimHash=late.hashes[0], path=[])
    elsewhere = dict(answer, batch=1, path=[SOME, SOME])
    _codes(w, rule, OTHER, "ForceAnswer", [
        ("UNKNOWN", dict(answer, claimHash=SOME)),
        ("UNKNOWN", dict(answer, batch=99)),
        ("UNKNOWN", dict(answer, index=1)),
        ("SESSION_MISMATCH", elsewhere),
        ("PATH_INVALID", dict(answer, claimHash=late.hashes[1])),
    ])
    w.send(rule, OTHER, "ForceAnswer", answer, say="posted after the force")
    w.send(rule, OTHER, "ForceAnswer", answer, "BAD_STATE")
    w.wait(1)
    posted = w.post_some(OTHER, session, 1, 420)
    w.wait(1)
    w.send(rule, FISHERMAN, "Force", w.forced(posted, 0, OTHER, key), say="of a posted claim")
    shown = dict(posted.at(0), claimHash=posted.hashes[0], path=[])
    w.send(rule, CLIENT, "ForceAnswer", shown, say="posted before the force")
    w.wait(3999)
    w.send([rule, "SET-33"], FISHERMAN, "ForceMissed", missing)
    w.send(rule, FISHERMAN, "ForceMissed", missing, "BAD_STATE")
    w.send("SET-25", FISHERMAN, "Finalise", {"batch": posted.number}, "STALE_EPOCH")
    w.send(rule, CLIENT, "Force", w.forced(late, 2, OTHER, key), "STALE_EPOCH")
    w.send("SET-13", CLIENT, "Refund", {"operator": address(OTHER)}, say="of a forfeit channel")
    w.send("SET-33", OTHER, "Stake", {"amount": 5_000_000}, say="after a slash")
    stale = w.posting(OTHER, session, w.make_batch(session, 1, 430))
    w.send("SET-20", OTHER, "PostBatch", stale, "STALE_EPOCH")
    return posted


def _expired(w, model):
    """A session that ends, its last post, and a force that is too late."""
    members, key = w.session(OTHER, model, expiry=w.now // 1000 + 2)
    w.send("SET-18", OTHER, "RegisterSession", members)
    session = w.session_id(members)
    late = w.make_batch(session, 2, 440)
    end = members["session"]["expiry"] * 1000
    w.now = end + TRIAL["post"]
    w.send("SET-27", CLIENT, "Force", w.forced(late, 0, OTHER, key), say="at the last moment")
    w.now += 1
    w.send("SET-27", CLIENT, "Force", w.forced(late, 1, OTHER, key), "SESSION_EXPIRED")
    w.now = end + TRIAL["post"] + TRIAL["force"]
    batch = w.post(OTHER, session, w.batch(late.claims[:1], late.requests[:1]))
    answer = dict(batch.at(0), claimHash=late.hashes[0], path=[])
    w.send("SET-27", OTHER, "ForceAnswer", answer)
    w.now += 1
    w.send("SET-20", OTHER, "PostBatch", w.posting(OTHER, session, late), "SESSION_EXPIRED")
    w.send("SET-1", OTHER, "Transfer", {"to": address(CLIENT), "amount": 1})
    w.now -= 5000
    w.send("SET-1", OTHER, "Transfer", {"to": address(CLIENT), "amount": 2},
           say="while the clock goes back")
    w.now += 5000


def _equivocation(w, model):
    session, key = w.open_session(THIRD, model)
    batch = w.post_some(THIRD, session, 2, 500)
    a = batch.claims[0]

    def pair(b, who=THIRD, first=a):
        return {
            "claimA": first,
            "countersignatureA": w.countersign(first, THIRD),
            "claimB": b,
            "countersignatureB": w.countersign(b, who),
        }

    rule = "SET-28"
    b = dict(a, trace_root=SOME)
    _codes(w, rule, FISHERMAN, "Equivocate", [
        ("NOT_EQUIVOCATION", pair(a)),
        ("NOT_EQUIVOCATION", pair(dict(a, session=SOME, checkpoint=5, out_count=1))),
        ("NOT_EQUIVOCATION", pair(dict(b, request_hash=SOME))),
        ("NOT_EQUIVOCATION", pair(b, OPERATOR)),
        ("COUNTERSIGNATURE", pair(b, key)),
    ])
    w.send("SET-12", THIRD, "Unstake", {"amount": 500_001})
    w.send([rule, "SET-33", "SET-12"], FISHERMAN, "Equivocate", pair(dict(a, finish_reason=3)))
    w.send(rule, FISHERMAN, "Equivocate", pair(b), "EXISTS")
    w.send("SET-12", THIRD, "Release", {}, "BAD_STATE", "of what was slashed")
    w.send("SET-32", FISHERMAN, "DemandClaim", batch.at(0), "BAD_STATE", "of a void batch")
    w.send("SET-14", THIRD, "Redeem", w.voucher(THIRD, batch.number, 9), "STALE_EPOCH")
    w.send("SET-31", FISHERMAN, "MissDraw", batch.at(0), "BAD_STATE", "of a void batch")
    w.send("SET-30", THIRD, "AnswerDraw", w.answering(batch, 0), "BAD_STATE", "of a void batch")


def _missed_draw(w, model):
    w.send("SET-12", THIRD, "Stake", {"amount": 3_000_001})
    session, _ = w.open_session(THIRD, model)
    batch = w.post_some(THIRD, session, 6, 600)
    w.reveal_round_of(batch)
    i = w.drawn(batch)[0][0]
    w.send("SET-31", FISHERMAN, "MissDraw", batch.at(i), "TOO_EARLY")
    w.wait(2001)
    w.send(["SET-31", "SET-33"], FISHERMAN, "MissDraw", batch.at(i))


def _void_model(w, bad, name):
    """SET-17, and who is not slashed for it (SET-25, SET-27)."""
    good = voiding(bad, name)
    root = good["root"]
    session, key = w.open_session(FOURTH, root)
    batch = w.post_some(FOURTH, session, 2, 700)
    late = w.make_batch(session, 1, 710)
    w.send("SET-27", CLIENT, "Force", w.forced(late, 0, FOURTH, key))
    w.send("SET-32", FISHERMAN, "DemandClaim", batch.at(0))
    game = len(w.state["games"])
    rule = "SET-17"
    _codes(w, rule, FISHERMAN, "VoidModel", [
        ("UNKNOWN", dict(good, root=SOME)),
        ("STEP_MISMATCH", voiding(bad, "layers.1.w_up.scale")),
        ("STEP_MISMATCH", voiding(bad, "layers.1.w_up.weight", 5)),
        ("STEP_MISMATCH", voiding(bad, "tokens.bytes")),
        ("PATH_INVALID", dict(good, tensor=good["tensor"] + 1)),
        ("PATH_INVALID", dict(good, tensor=9999)),
        ("PATH_INVALID", dict(good, tile=1)),
        ("PATH_INVALID", dict(good, tile=2**64 - 1)),
        ("PATH_INVALID", dict(good, bytes=good["bytes"][:-2])),
        ("PATH_INVALID", dict(good, path=[SOME])),
    ])
    w.send([rule, "SET-33"], FISHERMAN, "VoidModel", good)
    w.send(rule, FISHERMAN, "VoidModel", good, "BAD_STATE")
    posted = w.post(FOURTH, session, late)
    shown = dict(posted.at(0), claimHash=late.hashes[0], path=[])
    w.send("SET-27", FOURTH, "ForceAnswer", shown, say="behind a void model")
    again, _ = w.session(FOURTH, root)
    w.send("SET-18", FOURTH, "RegisterSession", again, "BAD_STATE", "of a void model")
    w.send("SET-32", FISHERMAN, "CloseGame", {"game": game}, "TOO_EARLY", "of a void batch")
    w.send("SET-32", FOURTH, "RevealClaim", dict(batch.shown(0), game=game),
           say="of a void batch")
    _withdraw(w, game, FISHERMAN)
    w.send("SET-32", FISHERMAN, "CloseGame", {"game": game}, "BAD_STATE")
    w.wait(TRIAL["post"] + TRIAL["force"] + 1)
    tail = w.posting(FOURTH, session, w.make_batch(session, 1, 711))
    w.send(["SET-17", "SET-20"], FOURTH, "PostBatch", tail, "SESSION_EXPIRED", "of a void model")
    for one in (batch, posted):
        w.reveal_round_of(one)
        for i in w.drawn(one)[0]:
            w.send("SET-30", FOURTH, "AnswerDraw", w.answering(one, i))
    w.send(["SET-24", "SET-17"], FISHERMAN, "Finalise", {"batch": batch.number}, "TOO_EARLY",
           "of a void model")
    w.wait(3000)
    for one in (batch, posted):
        w.send(["SET-25", "SET-17"], FISHERMAN, "Finalise", {"batch": one.number}, say="to VOID")
    assert w.state["operators"][address(FOURTH)]["epoch"] == 0
    session, key = w.open_session(FOURTH, artifact.model_root(tiny.model("tiny_gqa")), runtime=42)
    late = w.make_batch(session, 2, 720)
    w.send("SET-27", CLIENT, "Force", w.forced(late, 0, FOURTH, key))
    w.send("SET-19", AUDITOR, "RevokeRuntime", {"runtime": bytes([42]) * 32})
    w.send("SET-27", CLIENT, "Force", w.forced(late, 1, FOURTH, key), "SESSION_REVOKED")
    w.wait(4001)
    w.send("SET-27", CLIENT, "ForceMissed", {"claimHash": late.hashes[0]},
           say="of a revoked runtime, REFUNDED")
    assert w.state["operators"][address(FOURTH)]["epoch"] == 0


def _games(w, model):
    """Games that need no trace (SET-32); those with proofs are in dispute.json."""
    session, _ = w.open_session(FOURTH, model)
    batch = w.post_some(FOURTH, session, 4, 800)
    rule = "SET-32"

    def challenge(i, **changes):
        return dict(batch.at(i), **dict(batch.shown(i), **changes))

    other = w.request(899, model)
    _codes(w, rule, FISHERMAN, "Challenge", [
        ("UNKNOWN", dict(challenge(0), index=4)),
        ("PATH_INVALID", dict(challenge(0), index=1)),
        ("REQUEST_HASH_MISMATCH", challenge(0, request=other)),
    ])
    w.send(rule, POOR, "Challenge", challenge(0), "INSUFFICIENT")
    w.send(rule, FISHERMAN, "Challenge", challenge(0))
    first = len(w.state["games"])
    w.send(rule, CLIENT, "Challenge", challenge(0), say="in parallel")
    w.send(rule, FISHERMAN, "Challenge", challenge(1))
    for i in (2, 3):
        w.send(rule, FISHERMAN, "DemandClaim", batch.at(i))
    shown = dict(batch.shown(2), game=first + 3)
    _codes(w, rule, FOURTH, "RevealClaim", [
        ("UNKNOWN", dict(shown, game=99)),
        ("PATH_INVALID", dict(shown, path=batch.path(3))),
        ("REQUEST_HASH_MISMATCH", dict(shown, request=other)),
        ("BAD_STATE", dict(shown, game=first)),
    ])
    _move(w, first + 3, FISHERMAN, 1, play.CONCEDE, None, "BAD_STATE", say="before the claim")
    w.send(rule, FOURTH, "RevealClaim", shown)
    leaf = (3, (3, 0, 0), 0)
    _move(w, first, FOURTH, 1, play.CONCEDE, None, "NOT_ALLOWED")
    _move(w, first, FISHERMAN, 2, play.CONCEDE, None, "NOT_ALLOWED")
    w.send(rule, FISHERMAN, "Move", {"game": first, "move": b"\x01"}, "MALFORMED")
    w.send(rule, FISHERMAN, "Move", {"game": 99, "move": b""}, "UNKNOWN")
    w.send([rule, "GAME-7"], OTHER, "CloseGame", {"game": first}, "CLOCK_RUNNING")
    w.send(rule, FISHERMAN, "CloseGame", {"game": first + 4}, "TOO_EARLY")
    w.reveal_round_of(batch)
    for i in w.drawn(batch)[0]:
        w.send("SET-30", FOURTH, "AnswerDraw", w.answering(batch, i))
    w.wait(5000)
    w.send(["SET-24", "SET-26"], CLIENT, "Finalise", {"batch": batch.number},
           say="with held claims")
    w.send("SET-26", CLIENT, "Settle", w.settling(batch, 1), "TOO_EARLY", "of a held claim")
    _withdraw(w, first + 2, FISHERMAN)
    w.send("SET-26", CLIENT, "Settle", w.settling(batch, 1), say="of a claim no longer held")
    _move(w, first + 3, FISHERMAN, 1, play.CHALLENGE, leaf, rule=[rule, "GAME-4"])
    _move(w, first, FISHERMAN, 1, play.CHALLENGE, leaf, rule=[rule, "GAME-4"])
    w.send([rule, "GAME-8"], FOURTH, "Move", {
        "game": first, "move": play.encode_move(2, SOME, play.CONCEDE)}, "STATE_MISMATCH")
    w.wait(60_000)
    w.send(rule, FOURTH, "RevealClaim", dict(batch.shown(3), game=first + 4), "TOO_LATE")
    w.send([rule, "GAME-7", "GAME-9"], OTHER, "CloseGame", {"game": first + 1},
           say="UPHELD by time")
    w.send([rule, "SET-33"], FISHERMAN, "CloseGame", {"game": first + 4},
           say="of a claim that was not revealed")
    for game in (first, first + 3):
        _move(w, game, FOURTH, 2, play.CONCEDE, None, "BAD_STATE", say="when the claim has fallen")
        w.send([rule, "GAME-7"], OTHER, "CloseGame", {"game": game}, say="MOOT")
    _conceded(w, model)


def _conceded(w, model):
    """A worker that concedes, and sealed requests."""
    w.send("SET-12", FOURTH, "Stake", {"amount": 4_000_000})
    session, _ = w.open_session(FOURTH, model)
    sealed = w.post_some(FOURTH, session, 1, 900, mode=1)
    shown = dict(sealed.at(0), **sealed.shown(0))
    rule = "SET-32"
    w.send(rule, FISHERMAN, "Challenge", shown, "NOT_ALLOWED", "of a sealed request")
    w.send(rule, CLIENT, "Challenge", shown, say="of a sealed request by its client")
    w.send(rule, FISHERMAN, "DemandClaim", sealed.at(0))
    w.send(rule, FOURTH, "RevealClaim", dict(sealed.shown(0), game=len(w.state["games"])),
           say="of a sealed claim to a stranger")
    game = len(w.state["games"]) - 1
    _move(w, game, CLIENT, 1, play.CHALLENGE, (4, (6, 1, 0), 0))
    _move(w, game, FOURTH, 2, play.CONCEDE, rule=[rule, "SET-33", "GAME-4"],
          say="of a worker")


def _canaries(w, model):
    """SET-36 to SET-39: batches of a canary each, and what is none."""
    w.fund(CLIENT, FOURTH, FISHERMAN)
    w.send("SET-12", FOURTH, "Stake", {"amount": 4_000_000})
    session, _ = w.open_session(FOURTH, model)
    leaf = (3, (3, 0, 0), 0)
    made = (w.make_batch(session, 1, counter) for counter in range(950, 960))
    found = next(b for b in made if w.will_draw(b, 0))
    others = [w.make_batch(session, 1, 960 + i) for i in range(5)]
    cheap, missed, unfound, odd, late = others
    pair = w.make_batch(session, 2, 970)
    s = w.state["operators"][address(FOURTH)]["next_sequence"]

    def committing(batch, i, bond=2_000_000):
        return {"commitment": w.commitment(batch, s + i, leaf), "reward": 20_001, "bond": bond}

    rule, good = "SET-36", committing(found, 0)
    w.send(rule, CLIENT, "CommitCanary", dict(good, reward=10_000), "BAD_AMOUNT")
    w.send(rule, CLIENT, "CommitCanary", dict(good, bond=2**62 + 1), "BAD_AMOUNT")
    w.send(rule, POOR, "CommitCanary", good, "INSUFFICIENT")
    w.send(rule, CLIENT, "CommitCanary", good)
    w.send(rule, CLIENT, "CommitCanary", good, "EXISTS")
    w.send(rule, OTHER, "CommitCanary", good, say="of somebody else's words")
    w.send(rule, CLIENT, "CommitCanary", committing(cheap, 1, 1_999_999))
    for i, batch in ((2, missed), (3, unfound), (4, odd), (6, pair)):
        w.send(rule, CLIENT, "CommitCanary", committing(batch, i))
    posted = [found, cheap, missed, unfound, odd, late, pair]
    for batch in posted:
        w.post(FOURTH, session, batch)
    w.send(rule, CLIENT, "CommitCanary", committing(late, 5), say="after the batch")
    twice = w.post(FOURTH, session, w.batch(found.claims, found.requests))
    first = len(w.state["games"]) + 1
    for batch, who in ((found, OTHER), (found, FISHERMAN), (odd, FISHERMAN)):
        w.send("SET-32", who, "Challenge", dict(batch.at(0), **batch.shown(0)))
    for game, who in ((first + 1, FISHERMAN), (first, OTHER)):
        _move(w, game, who, 1, play.CHALLENGE, leaf, rule=["SET-32", "SET-37"])
    w.reveal_round_of(found)
    _reveal_canaries(w, found, leaf, (cheap, unfound, odd, late, pair, twice))
    for game in (first, first + 1, first + 2):
        w.send(["SET-37", "SET-32"], OTHER, "CloseGame", {"game": game}, say="MOOT")
    _attend(w, pair)
    _miss_canaries(w, leaf, posted + [twice], missed, cheap)


def _reveal_canaries(w, found, leaf, others):
    cheap, unfound, odd, late, pair, twice = others
    rule, good = "SET-37", w.canary(found, leaf)
    other = w.request(999, found.requests[0]["model_root"])
    _codes(w, rule, CLIENT, "RevealCanary", [
        ("UNKNOWN", dict(good, salt=SOME)),
        ("UNKNOWN", dict(good, leaf=SOME)),
        ("UNKNOWN", dict(good, batch=99)),
        ("UNKNOWN", dict(good, batch=twice.number)),
        ("REQUEST_HASH_MISMATCH", dict(good, request=other)),
        ("REQUEST_SIGNATURE", w.canary(found, leaf, OTHER)),
        ("REQUEST_SIGNATURE", dict(w.canary(found, leaf, OTHER), operatorConsent=bytes(65))),
        ("COUNTERSIGNATURE", dict(good, operatorConsent=good["consent"])),
        ("COUNTERSIGNATURE", dict(good, operatorConsent=bytes(65))),
        ("STAKE_TOO_LOW", w.canary(cheap, leaf)),
        ("CANARY_MISMATCH", w.canary(late, leaf)),
        ("CANARY_MISMATCH", w.canary(pair, leaf)),
    ])
    w.send(rule, OTHER, "RevealCanary", good, "UNKNOWN", "of another's")
    w.send(rule, CLIENT, "RevealCanary", good, say="that somebody found")
    w.send(rule, CLIENT, "RevealCanary", good, "BAD_STATE", "again")
    w.send(rule, CLIENT, "RevealCanary", w.canary(unfound, leaf), say="that nobody found")
    w.send(rule, CLIENT, "RevealCanary", w.canary(odd, leaf),
           say="that somebody challenged, but not there")
    rule = ["SET-37", "SET-32"]
    w.send(rule, OTHER, "Challenge", dict(found.at(0), **found.shown(0)), "BAD_STATE")
    w.send(rule, OTHER, "DemandClaim", unfound.at(0), "BAD_STATE")
    _move(w, len(w.state["games"]), FOURTH, 2, play.CONCEDE, None, "BAD_STATE", say="on a canary")
    assert w.drawn(found)[0] == [0]
    w.send(["SET-31", "SET-37"], OTHER, "MissDraw", found.at(0), "BAD_STATE", "of a canary")


def _attend(w, batch):
    rule, said = "SET-39", dict(batch.at(1), digest=SOME)
    w.send(rule, FISHERMAN, "Attend", said)
    w.send(rule, FISHERMAN, "Attend", said, "EXISTS")
    w.send(rule, OTHER, "Attend", said, say="of another")
    w.send(rule, FISHERMAN, "Attend", dict(said, index=5), "UNKNOWN")
    w.send("SET-30", FOURTH, "AnswerDraw", w.answering(batch, 1, 1), say="by a proof")
    w.send(rule, CLIENT, "Attend", said, "BAD_STATE", "beside a proof")


def _miss_canaries(w, leaf, posted, missed, cheap):
    for batch in posted:
        for i in w.drawn(batch)[0]:
            entry = w.state["claims"].get((batch.number, i))
            if entry is None or not (entry["lane"] or entry["canary"]):
                w.send("SET-30", FOURTH, "AnswerDraw", w.answering(batch, i))
    w.wait(5000)
    for batch in posted:
        w.send(["SET-24", "SET-35"], CLIENT, "Finalise", {"batch": batch.number})
    w.send("SET-37", CLIENT, "RevealCanary", w.canary(missed, leaf), "BAD_STATE", "when final")
    w.send("SET-39", OTHER, "Attend", dict(missed.at(0), digest=SOME), "BAD_STATE", "when final")
    w.send(["SET-26", "SET-37"], CLIENT, "Settle", w.settling(posted[0], 0), "TOO_EARLY",
           "of a canary")
    rule = "SET-38"
    sequence = w.state["batches"][missed.number]["sequence"]
    missing = {"funder": address(CLIENT), "commitment": w.commitment(missed, sequence, leaf)}
    w.send(rule, OTHER, "MissCanary", missing, "TOO_EARLY")
    w.send(rule, OTHER, "MissCanary", dict(missing, funder=address(OTHER)), "UNKNOWN")
    w.wait(w.state["parameters"][w.state["current_parameters"]]["unbond"])
    w.send("SET-37", CLIENT, "RevealCanary", w.canary(cheap, leaf), "TOO_LATE")
    w.send(rule, OTHER, "MissCanary", missing)
    w.send(rule, OTHER, "MissCanary", missing, "BAD_STATE")


def _parameters(w, model):
    good = dict(TRIAL, drawPpm=0, window=5000, unbond=209_001, close=269_001, fee=2)
    rule = ["SET-9", "SET-10"]
    w.send(rule, CLIENT, "ScheduleParameters", {"parameters": good}, "NOT_ALLOWED")
    for name, value in (
        ("window", 999),
        ("post", 999),
        ("force", 1999),
        ("draw", 999),
        ("report", 30 * 86_400_000 + 1),
        ("beaconInterval", 999),
        ("beaconDead", 59_999),
        ("beaconInterval", 20_000),
        ("maxDemands", 63),
        ("drawPpm", 1_000_001),
        ("burnPpm", 199_999),
        ("reporterPpm", 500_001),
        ("detectionPpm", 0),
        ("stretch", 17),
        ("maxCount", 4097),
        ("minStake", 0),
        ("challengeBond", 2**40 + 1),
        ("forceBond", 10_002),
        ("modelBond", 2**40 + 1),
        ("fee", 2**40 + 1),
        ("fee", 3),
        ("unbond", 209_000),
        ("close", 269_000),
    ):
        w.send("SET-9", GOVERNOR, "ScheduleParameters", {"parameters": dict(good, **{name: value})},
               "BAD_PARAMETERS", name)
    w.send(["SET-9", "GAME-2"], GOVERNOR, "ScheduleParameters",
           {"parameters": dict(good, workerClock=59_999)}, "PARAMETERS_INVALID")
    w.send(rule, GOVERNOR, "ScheduleParameters", {"parameters": dict(good, fee=0)})
    w.send(rule, GOVERNOR, "ScheduleParameters", {"parameters": good}, say="instead")
    w.wait(TRIAL["unbond"] - 1)
    session, _ = w.open_session(OPERATOR, model)
    before = w.post_some(OPERATOR, session, 1, 1000)
    w.wait(1)
    w.send("SET-10", OTHER, "Transfer", {"to": address(CLIENT), "amount": 1},
           say="at the new fee")
    after = w.post(OPERATOR, session, w.make_batch(session, 1, 1001), rule=("SET-10", "SET-22"))
    w.wait(3999)
    w.send(["SET-10", "SET-23"], FISHERMAN, "DemandClaim", before.at(0), "TOO_LATE",
           "under the old window")
    w.send(["SET-10", "SET-23"], FISHERMAN, "DemandClaim", after.at(0),
           say="under the new window")
    shown = dict(after.shown(0), game=len(w.state["games"]))
    w.send("SET-32", OPERATOR, "RevealClaim", shown)
    _withdraw(w, shown["game"], FISHERMAN)
    w.wait(60_000)
    w.send("SET-24", CLIENT, "Finalise", {"batch": before.number}, say="not drawn")
    w.send("SET-29", CLIENT, "ReplaceBeacon", {"anchor": SOME}, "NOT_ALLOWED")
    w.send("SET-29", GOVERNOR, "ReplaceBeacon", {"anchor": w.anchor}, say="when it is dead")
    w.send("SET-29", GOVERNOR, "ReplaceBeacon", {"anchor": SOME}, "TOO_EARLY")
    w.wait(60_000)
    w.send("SET-24", CLIENT, "Finalise", {"batch": after.number}, say="not drawn")
    w.send("SET-12", OPERATOR, "Release", {})
    w.send("SET-13", FISHERMAN, "Refund", {"operator": address(OTHER)}, say="of a closed channel")


def _genesis_cases():
    """Wrong genesis blocks."""
    w = Ledger("wrong genesis")
    good, out = w.genesis, []
    fields = words.Reader(good).struct(words.GENESIS)

    def refuse(name, code, data):
        out.append({"rule": ["SET-4", "SET-9"], "name": f"genesis: {name}",
                    "in": {"genesis": "0x" + data.hex()}, "reject": code})

    def other(**changes):
        return words.encode_struct(words.GENESIS, dict(fields, **changes))

    refuse("cut off", "MALFORMED", good[:-1])
    refuse("a byte too many", "MALFORMED", good + b"\x00")
    refuse("flag of 2", "BAD_PARAMETERS", other(trial=2))
    refuse("quorum above the checkers", "BAD_PARAMETERS", other(quorum=4))
    refuse("no quorum", "BAD_PARAMETERS", other(quorum=0))
    refuse("a checker twice", "BAD_PARAMETERS", other(checkers=[address(1)] * 2))
    refuse("short windows without the flag", "BAD_PARAMETERS", other(trial=0))
    for case in out:
        try:
            settlement.genesis_state(bytes.fromhex(case["in"]["genesis"][2:]))
            raise AssertionError(case["name"])
        except Reject as reject:
            assert reject.code == case["reject"], (case["name"], reject)
    return out


def _zero_domain():
    """A ledger whose claims name none (SET-5), without checkers."""
    w = Ledger("zero domain", zeroDomain=1, checkers=[], quorum=0)
    w.fund(CLIENT, OPERATOR)
    w.send("SET-12", OPERATOR, "Stake", {"amount": 5_000_000})
    good = w.registration(tiny.model("tiny_gqa"))
    w.send("SET-16", OPERATOR, "RegisterModel", good)
    members, key = w.session(OPERATOR, good["root"])
    named = registration_digest(w.state["id"], w.session_id(members), members["evidence"])
    wrong = dict(members, signature=curve.sign(key, named))
    w.send("SET-5", OPERATOR, "RegisterSession", wrong, "SESSION_SIGNATURE", "in the ledger's name")
    w.send("SET-5", OPERATOR, "RegisterSession", members)
    session = w.session_id(members)
    late = w.make_batch(session, 1, 0)
    w.send("SET-5", CLIENT, "Force", w.forced(late, 0, OPERATOR, key))
    batch = w.post(OPERATOR, session, late)
    w.send("SET-30", OPERATOR, "AnswerDraw", w.answering(batch, 0))
    w.send("SET-30", CLIENT, "CheckDraw", w.checking(batch, 0, []), "QUORUM_MISSING",
           "where there are no checkers")
    return w.cases


def cases():
    w = Ledger("ledger")
    _money(w)
    _form(w)
    model, bad, name = _models(w)
    session, _ = _sessions(w, model)
    one = _batches(w, session)
    _payment(w, session, one)
    _draws(w, session)
    _emergency(w, model)
    _forces(w, model)
    _expired(w, model)
    _equivocation(w, model)
    _missed_draw(w, model)
    _void_model(w, bad, name)
    _games(w, model)
    _canaries(w, model)
    _parameters(w, model)
    _coverage(w)
    more = vectors_honest_pay.cases() + vectors_limits.cases()
    return _genesis_cases() + _zero_domain() + w.cases + more


def _coverage(w):
    """Every kind taken, every code 50 to 71 met."""
    taken = {c["name"].split()[1] for c in w.cases if "out" in c}
    assert set(words.FIELDS) <= taken, set(words.FIELDS) - taken
    missing = set(LEDGER_CODES) - {c.get("reject") for c in w.cases}
    assert not missing, missing
