"""SPEC chapters 27 to 30: the ledger as one function.

The state is a dictionary in the form of settlement_state.STATE. `apply(state, data, now)` gives the
names of the events, or raises Reject and has changed nothing. Its rules are in ledger_money,
ledger_claims, ledger_games and ledger_attention.
"""

from oracle import ledger_attention, ledger_claims, ledger_games, ledger_money
from oracle import settlement_words as words
from oracle.curve import recover
from oracle.encoding import require
from oracle.ledger_call import Call, check_parameters
from oracle.settlement_state import STATE

RULES = {
    **ledger_money.RULES,
    **ledger_claims.RULES,
    **ledger_games.RULES,
    **ledger_attention.RULES,
}
assert RULES.keys() == words.FIELDS.keys()


def genesis_state(data):
    """SET-4."""
    reader = words.Reader(data)
    g = reader.struct(words.GENESIS)
    reader.end()
    check_parameters(g["parameters"], g["trial"])
    count = len(g["checkers"])
    good = g["trial"] <= 1 and g["zeroDomain"] <= 1 and len(set(g["checkers"])) == count
    good = good and (1 <= g["quorum"] <= count if count else g["quorum"] == 0)
    require(good, "BAD_PARAMETERS", "genesis")
    state = {name: {} if isinstance(kind, tuple) and kind[0] == "map" else 0
             for name, kind in STATE}
    state.update(
        id=words.ledger_id(data),
        genesis=g,
        tip=words.ledger_id(data),
        time=g["time"],
        last_reveal_at=g["time"],
        parameters={0: g["parameters"]},
        pending=None,
        beacon_anchor=g["beaconAnchor"],
        session_keys=set(),
        settled_requests=set(),
        equivocations=set(),
    )
    for role in ("sequencer", "issuer", "auditor", "governor"):
        state["accounts"][g[role]] = {"balance": 0, "nonce": 0}
    return state


def apply(state, data, clock):
    """SET-7: the events."""
    name, nonce, members, signature = words.decode_transaction(data)
    signed_words = words.transaction_digest(state["id"], name, nonce, members)
    signer = recover(signed_words, signature, "TX_SIGNATURE")
    now = max(clock, state["time"])
    require(signer in state["accounts"], "NO_ACCOUNT")
    account = state["accounts"][signer]
    require(nonce == account["nonce"], "NONCE")
    call = Call(state, signer, now)
    require(account["balance"] >= call.fee, "INSUFFICIENT", "fee")
    RULES[name](call, members)
    account["balance"] -= call.fee
    account["nonce"] += 1
    state["burned"] += call.fee
    state["height"] += 1
    state["tip"] = words.next_tip(state["tip"], state["height"], now, data)
    state["time"] = now
    return call.events
