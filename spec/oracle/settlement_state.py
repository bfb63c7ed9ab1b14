"""SPEC SET-6: the members of the state, in the order of src/ledger/state.h."""

from oracle.encoding import H
from oracle.sampling import Sampling
from oracle.settlement_words import (
    CLAIM,
    GENESIS,
    PARAMETERS,
    REQUEST_HEAD,
    SESSION,
    SIZES,
    encode_struct,
)

ACCOUNT = [("balance", "u64"), ("nonce", "u64")]
OPERATOR = [
    (name, "u64")
    for name in (
        "stake reserved unbonding release_at epoch next_sequence finalised open_games burn_ppm"
    ).split()
]
CHANNEL = [(name, "u64") for name in "deposit paid epoch covered closes_at".split()]
MODEL = [
    ("registrant", "address"),
    ("bond", "u64"),
    ("config", "bytes"),
    ("token_bytes", "u64"),
    ("max_prompt_tariff", "u64"),
    ("max_output_tariff", "u64"),
    ("weights_published", "u8"),
    ("voided_at", "u64"),
]
SESSION_ENTRY = [
    ("session", "session"),
    ("evidence", "hash"),
    ("epoch", "u64"),
    ("prompt_tariff", "u64"),
    ("output_tariff", "u64"),
    ("ended_at", "u64"),
    ("revoked_at", "u64"),
]
CANARY = [
    ("reward", "u64"),
    ("bond", "u64"),
    ("batches", "u64"),
    ("deadline", "u64"),
    ("status", "u8"),
]
BATCH = [
    ("operator", "address"),
    ("session", "hash"),
    ("root", "hash"),
    ("sequence", "u64"),
    ("count", "u32"),
    ("value", "u64"),
    ("reserve", "u64"),
    ("posted_at", "u64"),
    ("final_at", "u64"),
    ("epoch", "u64"),
    ("round", "u64"),
    ("snapshot", "u32"),
    ("held", "u32"),
    ("canaries", "u32"),
    ("status", "u8"),
]
CLAIM_KEY = ("u64", "u32")
CLAIM_ENTRY = [
    ("open_games", "u32"),
    ("disputed", "bool"),
    ("refuted", "bool"),
    ("canary", "bool"),
    ("checked", "bool"),
    ("checkers", "u16"),
    ("lane", "u8"),
    ("digest", "hash"),
]
LEAF_KEY = (CLAIM_KEY, "u64", "u64", "u32", "u32", "u32")  # claim, t, tile, kind, layer, head
GAME_ENTRY = [
    ("claim_key", CLAIM_KEY),
    ("challenger", "address"),
    ("bond", "u64"),
    ("opened_at", "u64"),
    ("stage", "u8"),
    ("claim", "claim"),
    ("request", "request"),
    ("game_digest", "hash"),
]
FORCE_ENTRY = [
    ("operator", "address"),
    ("forcer", "address"),
    ("client", "address"),
    ("session", "hash"),
    ("bond", "u64"),
    ("forced_at", "u64"),
    ("deadline", "u64"),
    ("epoch", "u64"),
    ("status", "u8"),
]
ATTRIBUTION = [
    (name, "u64")
    for name in (
        "batches final_claims settled_claims prompt_tokens output_tokens amount"
    ).split()
]
STATE = [
    ("id", "hash"),
    ("genesis", GENESIS),
    ("tip", "hash"),
    ("height", "u64"),
    ("time", "u64"),
    ("minted", "u64"),
    ("withdrawn", "u64"),
    ("burned", "u64"),
    ("parameters", ("map", "u32", PARAMETERS)),
    ("current_parameters", "u32"),
    ("pending", ("option", [("parameters", PARAMETERS), ("effective_at", "u64")])),
    ("accounts", ("map", "address", ACCOUNT)),
    ("operators", ("map", "address", OPERATOR)),
    ("channels", ("map", ("address", "address"), CHANNEL)),
    ("models", ("map", "hash", MODEL)),
    ("sessions", ("map", "hash", SESSION_ENTRY)),
    ("session_keys", ("set", "address")),
    ("revoked_runtimes", ("map", "hash", "u64")),
    ("batches", ("map", "u64", BATCH)),
    ("claims", ("map", CLAIM_KEY, CLAIM_ENTRY)),
    ("bound_leaves", ("map", LEAF_KEY, "hash")),
    ("first_challenges", ("map", (CLAIM_KEY, "hash"), "u64")),
    ("games", ("map", "u64", GAME_ENTRY)),
    ("forces", ("map", "hash", FORCE_ENTRY)),
    ("settled_requests", ("set", ("hash", "address"))),
    ("equivocations", ("set", ("hash", "address"))),
    ("canaries", ("map", ("address", "hash"), CANARY)),
    ("attentions", ("map", (CLAIM_KEY, "address"), "hash")),
    ("beacon_anchor", "hash"),
    ("revealed_round", "u64"),
    ("last_reveal_height", "u64"),
    ("last_reveal_at", "u64"),
    ("beacon", ("map", "u64", [("value", "hash"), ("revealed_at", "u64")])),
    ("checkpoint_count", "u64"),
    ("checkpoints", ("map", "u64", [("height", "u64"), ("time", "u64"), ("tip", "hash")])),
    ("attributions", ("map", ("address", "hash", "u64"), ATTRIBUTION)),
]


def empty(fields):
    """A struct of zeros; a request of zeros has the top_p that is off."""
    zeros = {"claim": CLAIM, "session": SESSION}
    out = {}
    for name, kind in fields:
        if kind in SIZES:
            out[name] = bytes(SIZES[kind])
        elif kind == "request":
            head = {n: bytes(SIZES[k]) if k in SIZES else 0 for n, k in REQUEST_HEAD}
            out[name] = dict(head, sampling=Sampling(), stop=[], price=0, mode=0, deadline=0)
        elif isinstance(kind, str) and kind in zeros:
            out[name] = empty(zeros[kind])
        elif kind == CLAIM_KEY:
            out[name] = (0, 0)
        else:
            out[name] = 0
    return out


def state_digest(state):
    """SET-6."""
    return H("OTR.stat", encode_struct(STATE, state))
