"""SPEC chapter 27: transactions, genesis and state as bytes, and what is signed.

A struct is a list of (name, type). Types are u8, u32, u64, bool, address, hash, signature, bytes,
hashes, addresses, signatures, claim, session, request, another struct, and in the state
("map", key, value), ("set", key), ("option", value) and tuples of types.
"""

from oracle import protocol, session as sess
from oracle.curve import keccak256
from oracle.encoding import H, integer, require
from oracle.sampling import Sampling

MAX_BYTES = 2**20 + 2**16
MAX_HASHES, MAX_SIGNATURES, MAX_BIASES, MAX_STOPS, MAX_STOP_BYTES = 64, 16, 300, 4, 64

PARAMETERS = [
    *((name, "u64") for name in (
        "window post force draw report beaconInterval beaconDead unbond close workerClock "
        "challengerClock"
    ).split()),
    *((name, "u32") for name in (
        "maxDemands drawPpm burnPpm reporterPpm detectionPpm stretch maxCount"
    ).split()),
    *((name, "u64") for name in "minStake challengeBond forceBond modelBond fee".split()),
]
GENESIS = [
    ("sequencer", "address"),
    ("issuer", "address"),
    ("auditor", "address"),
    ("governor", "address"),
    ("checkers", "addresses"),
    ("quorum", "u8"),
    ("beaconAnchor", "hash"),
    ("trial", "u8"),
    ("zeroDomain", "u8"),
    ("time", "u64"),
    ("parameters", PARAMETERS),
]
_CLAIM_OF_BATCH = [("batch", "u64"), ("index", "u32")]
_SHOWN = [("claim", "claim"), ("path", "hashes"), ("request", "request")]
_ANSWER = [("claimHash", "hash"), ("path", "hashes"), ("lane", "u8"), ("digest", "hash")]

# Kind i + 1 is entry i.
KINDS = [
    ("Mint", [("to", "address"), ("amount", "u64")]),
    ("Withdraw", [("amount", "u64")]),
    ("Transfer", [("to", "address"), ("amount", "u64")]),
    ("Stake", [("amount", "u64")]),
    ("Unstake", [("amount", "u64")]),
    ("Release", []),
    ("Deposit", [("operator", "address"), ("amount", "u64")]),
    ("Close", [("operator", "address")]),
    ("Refund", [("operator", "address")]),
    (
        "Redeem",
        [
            ("client", "address"),
            ("through", "u64"),
            ("cumulative", "u64"),
            ("signature", "signature"),
        ],
    ),
    (
        "Settle",
        [
            *_CLAIM_OF_BATCH,
            *_SHOWN,
            ("requestSignature", "signature"),
            ("claimSignature", "signature"),
        ],
    ),
    (
        "RegisterModel",
        [
            ("root", "hash"),
            ("config", "bytes"),
            ("tokenBytes", "u64"),
            ("configPath", "hashes"),
            ("tokenTile", "bytes"),
            ("tokenPath", "hashes"),
            ("listPath", "hashes"),
            ("maxPromptTariff", "u64"),
            ("maxOutputTariff", "u64"),
            ("weightsPublished", "u8"),
        ],
    ),
    (
        "VoidModel",
        [
            ("root", "hash"),
            ("tensor", "u32"),
            ("tile", "u64"),
            ("bytes", "bytes"),
            ("path", "hashes"),
            ("listPath", "hashes"),
        ],
    ),
    (
        "RegisterSession",
        [
            ("session", "session"),
            ("evidence", "hash"),
            ("signature", "signature"),
            ("promptTariff", "u64"),
            ("outputTariff", "u64"),
        ],
    ),
    ("RevokeSession", [("session", "hash")]),
    ("RevokeRuntime", [("runtime", "hash")]),
    (
        "PostBatch",
        [
            ("session", "hash"),
            ("sequence", "u64"),
            ("root", "hash"),
            ("count", "u32"),
            ("value", "u64"),
        ],
    ),
    ("Finalise", [("batch", "u64")]),
    (
        "Force",
        [
            ("claim", "claim"),
            ("claimSignature", "signature"),
            ("countersignature", "signature"),
            ("request", "request"),
            ("requestSignature", "signature"),
        ],
    ),
    ("ForceAnswer", [("claimHash", "hash"), *_CLAIM_OF_BATCH, ("path", "hashes")]),
    ("ForceMissed", [("claimHash", "hash")]),
    (
        "Equivocate",
        [
            ("claimA", "claim"),
            ("countersignatureA", "signature"),
            ("claimB", "claim"),
            ("countersignatureB", "signature"),
        ],
    ),
    ("Reveal", [("round", "u64"), ("value", "hash"), ("checkpoint", "u64"), ("tip", "hash")]),
    ("ReplaceBeacon", [("anchor", "hash")]),
    ("AnswerDraw", [*_CLAIM_OF_BATCH, *_ANSWER]),
    ("CheckDraw", [*_CLAIM_OF_BATCH, *_ANSWER, ("signatures", "signatures")]),
    ("MissDraw", _CLAIM_OF_BATCH),
    ("Challenge", [*_CLAIM_OF_BATCH, *_SHOWN]),
    ("DemandClaim", _CLAIM_OF_BATCH),
    ("RevealClaim", [("game", "u64"), *_SHOWN]),
    ("Move", [("game", "u64"), ("move", "bytes")]),
    ("CloseGame", [("game", "u64")]),
    ("ScheduleParameters", [("parameters", PARAMETERS)]),
    ("Checkpoint", [("height", "u64"), ("tip", "hash"), ("digest", "hash")]),
    ("CommitCanary", [("commitment", "hash"), ("reward", "u64"), ("bond", "u64")]),
    (
        "RevealCanary",
        [
            ("salt", "hash"),
            ("leaf", "hash"),
            ("batch", "u64"),
            ("claim", "claim"),
            ("request", "request"),
            ("consent", "signature"),
            ("operatorConsent", "signature"),
        ],
    ),
    ("MissCanary", [("funder", "address"), ("commitment", "hash")]),
    ("Attend", [*_CLAIM_OF_BATCH, ("digest", "hash")]),
]
FIELDS = dict(KINDS)
NUMBER = {name: i + 1 for i, (name, _) in enumerate(KINDS)}

CLAIM_NAMES = (
    "request_hash trace_root prompt_count out_count finish_reason session checkpoint "
    "checkpoint_hash"
).split()
_WIDE = {"bytes32": "hash", "address": "address"}
CLAIM = [
    (name, _WIDE.get(kind) or kind.replace("uint", "u"))
    for name, (kind, _) in zip(CLAIM_NAMES, protocol.CLAIM)
]
SESSION = [
    (name, _WIDE.get(kind) or kind.replace("uint", "u"))
    for name, (kind, _) in zip(sess.NAMES, sess.SESSION)
]
SIZES = {"address": 20, "hash": 32, "signature": 65}
LISTS = {
    "hashes": ("hash", MAX_HASHES),
    "addresses": ("address", MAX_SIGNATURES),
    "signatures": ("signature", MAX_SIGNATURES),
}
_SAMPLER = [
    ("inv_t", "u32"),
    ("top_k", "u32"),
    ("top_p", "u32"),
    ("min_p", "u32"),
    ("presence", "i32"),
    ("frequency", "i32"),
]
REQUEST_HEAD = [
    ("client", "address"),
    ("counter", "u64"),
    ("model_root", "hash"),
    ("prompt_root", "hash"),
    ("prompt_count", "u32"),
    ("max_tokens", "u32"),
]


class Text(bytes):
    """A stop string as it came; chapter 11 hashes its bytes."""

    def encode(self, _encoding):
        return bytes(self)


def sized(data):
    return integer("u32", len(data)) + data


def encode_request(r):
    """SET-2."""
    s = r["sampling"]
    return b"".join(
        [
            encode_struct(REQUEST_HEAD, r),
            *(integer(kind, getattr(s, name)) for name, kind in _SAMPLER),
            s.seed,
            integer("u32", len(s.logit_bias)),
            *(integer("u32", j) + integer("i32", v) for j, v in s.logit_bias),
            integer("u32", len(r["stop"])),
            *(sized(text.encode("utf-8")) for text in r["stop"]),
            r["price"].to_bytes(32, "big"),
            integer("u8", r["mode"]),
            integer("u64", r["deadline"]),
        ]
    )


def encode_value(kind, value):
    """SET-2 and SET-6."""
    if isinstance(kind, list):
        return encode_struct(kind, value)
    if isinstance(kind, tuple) and kind[0] == "map":
        pairs = (encode_value(kind[1], k) + encode_value(kind[2], v) for k, v in sorted_map(value))
        return integer("u64", len(value)) + b"".join(pairs)
    if isinstance(kind, tuple) and kind[0] == "set":
        return integer("u64", len(value)) + b"".join(
            encode_value(kind[1], k) for k in sorted(value)
        )
    if isinstance(kind, tuple) and kind[0] == "option":
        return b"\x00" if value is None else b"\x01" + encode_value(kind[1], value)
    if isinstance(kind, tuple):
        return b"".join(encode_value(k, v) for k, v in zip(kind, value))
    if kind == "bool":
        return bytes([bool(value)])
    if kind in SIZES:
        assert len(value) == SIZES[kind]
        return bytes(value)
    if kind == "bytes":
        return sized(value)
    if kind in LISTS:
        return integer("u32", len(value)) + b"".join(value)
    if kind in ("claim", "session"):
        return encode_struct(CLAIM if kind == "claim" else SESSION, value)
    if kind == "request":
        return encode_request(value)
    return integer(kind, value)


def sorted_map(value):
    return sorted(value.items(), key=lambda pair: pair[0])


def encode_struct(fields, value):
    return b"".join(encode_value(kind, value[name]) for name, kind in fields)


class Reader:
    """SET-2: only what encode makes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        require(self.at + size <= len(self.data), "MALFORMED", f"cut off at {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, kind):
        size = int(kind[1:]) // 8
        return int.from_bytes(self.take(size), "little", signed=kind[0] == "i")

    def count(self, limit):
        count = self.number("u32")
        require(count <= limit, "MALFORMED", f"count at {self.at}")
        return count

    def struct(self, fields):
        return {name: self.value(kind) for name, kind in fields}

    def request(self):
        r = self.struct(REQUEST_HEAD)
        s = Sampling(**{name: self.number(kind) for name, kind in _SAMPLER})
        s.seed = self.take(32)
        s.logit_bias = [
            [self.number("u32"), self.number("i32")] for _ in range(self.count(MAX_BIASES))
        ]
        r["sampling"] = s
        r["stop"] = [
            Text(self.take(self.count(MAX_STOP_BYTES))) for _ in range(self.count(MAX_STOPS))
        ]
        r["price"] = int.from_bytes(self.take(32), "big")
        r["mode"], r["deadline"] = self.number("u8"), self.number("u64")
        r["task_id"] = protocol.task_id(r["client"], r["counter"])
        return r

    def value(self, kind):
        if isinstance(kind, list):
            return self.struct(kind)
        if kind in SIZES:
            return self.take(SIZES[kind])
        if kind == "bytes":
            return self.take(self.count(MAX_BYTES))
        if kind in LISTS:
            one, limit = LISTS[kind]
            return [self.value(one) for _ in range(self.count(limit))]
        if kind == "request":
            return self.request()
        if kind in ("claim", "session"):
            return self.struct(CLAIM if kind == "claim" else SESSION)
        return self.number(kind)

    def end(self):
        require(self.at == len(self.data), "MALFORMED", f"bytes after {self.at}")


def decode_transaction(data):
    """(kind's name, nonce, members, signature)."""
    require(len(data) <= MAX_BYTES, "LIMIT_EXCEEDED", "transaction")
    reader = Reader(data)
    kind, nonce = reader.number("u8"), reader.number("u64")
    require(1 <= kind <= len(KINDS), "MALFORMED", "kind")
    name, fields = KINDS[kind - 1]
    members, signature = reader.struct(fields), reader.take(65)
    reader.end()
    return name, nonce, members, signature


def encode_transaction(name, nonce, members, signature):
    return (
        integer("u8", NUMBER[name])
        + integer("u64", nonce)
        + encode_struct(FIELDS[name], members)
        + signature
    )


def _typed(name, kind, value):
    """SET-3: the EIP-712 type, name and 32 bytes of a member; a nested struct of parameters gives
    those of its own members."""
    if isinstance(kind, list):
        return [one for n, k in kind for one in _typed(n, k, value[n])]
    if kind == "address":
        return [("address", name, bytes(12) + value)]
    if kind == "hash":
        return [("bytes32", name, value)]
    if kind in ("signature", "bytes"):
        return [("bytes", name, keccak256(bytes(value)))]
    if kind == "hashes":
        return [("bytes32[]", name, keccak256(b"".join(value)))]
    if kind == "signatures":
        return [("bytes", name, keccak256(b"".join(value)))]
    if kind == "claim":
        return [("bytes32", name, protocol.claim_struct_hash(value))]
    if kind == "session":
        return [("bytes32", name, sess.struct_hash(value))]
    if kind == "request":
        return [("bytes32", name, protocol.request_struct_hash(value))]
    return [("uint" + kind[1:], name, value.to_bytes(32, "big"))]


def type_and_hash(name, nonce, members):
    """SET-3."""
    parts = _typed("nonce", "u64", nonce) + _typed("", FIELDS[name], members)
    text = f"{name}({','.join(f'{t} {n}' for t, n, _ in parts)})"
    return text, keccak256(keccak256(text.encode("ascii")) + b"".join(w for _, _, w in parts))


def transaction_digest(ledger, name, nonce, members):
    return protocol.digest(ledger, type_and_hash(name, nonce, members)[1])


def ledger_id(genesis):
    """SET-4."""
    return H("OTR.ldgr", genesis)


def next_tip(tip, height, time, transaction):
    """SET-4."""
    return H("OTR.ltip", tip, integer("u64", height), integer("u64", time), transaction)
