"""SPEC chapters 11 (REQ) and 12 (CLAIM): the signed words.

A request is a dictionary with the names of REQ-2 in the receipt's spelling: task_id, model_root,
prompt_root (bytes), prompt_count, max_tokens,
sampling (a Sampling, with the logit bias), stop (list of str), price, mode, deadline. A claim
likewise with those of CLAIM-1.
"""

from oracle.curve import keccak256
from oracle.encoding import H, integer, require
from oracle.trace import token_root

SAMPLING = (
    ("uint32", "invT"),
    ("uint32", "topK"),
    ("uint32", "topP"),
    ("uint32", "minP"),
    ("int32", "presence"),
    ("int32", "frequency"),
    ("bytes32", "seed"),
)
LOGIT_BIAS = (("uint32", "id"), ("int32", "value"))
REQUEST = (
    ("bytes32", "taskId"),
    ("bytes32", "modelRoot"),
    ("bytes32", "promptRoot"),
    ("uint32", "promptCount"),
    ("uint32", "maxTokens"),
    ("Sampling", "sampling"),
    ("LogitBias[]", "logitBias"),
    ("string[]", "stop"),
    ("uint256", "price"),
    ("uint8", "mode"),
    ("uint64", "deadline"),
)
CLAIM = (
    ("bytes32", "requestHash"),
    ("bytes32", "traceRoot"),
    ("uint32", "promptCount"),
    ("uint32", "outCount"),
    ("uint8", "finishReason"),
    ("bytes32", "session"),
    ("uint64", "checkpoint"),
    ("bytes32", "checkpointHash"),
)
COUNTERSIGNATURE = (("bytes32", "claimHash"),)
DOMAIN = (("string", "name"), ("string", "version"), ("bytes32", "salt"))


def encode_type(name, members):
    return f"{name}({','.join(t + ' ' + m for t, m in members)})"


SAMPLING_TYPE = encode_type("Sampling", SAMPLING)
LOGIT_BIAS_TYPE = encode_type("LogitBias", LOGIT_BIAS)
# EIP-712: referenced types follow, in the order of their names
REQUEST_TYPE = encode_type("Request", REQUEST) + LOGIT_BIAS_TYPE + SAMPLING_TYPE
CLAIM_TYPE = encode_type("Claim", CLAIM)
COUNTERSIGNATURE_TYPE = encode_type("Countersignature", COUNTERSIGNATURE)
DOMAIN_TYPE = encode_type("EIP712Domain", DOMAIN)


def _word(type_name, value):
    """EIP-712 encodeData of one member; a struct comes as its hash, an array of structs as a list
    of hashes."""
    if type_name == "string":
        return keccak256(value.encode("utf-8"))
    if type_name == "string[]":
        return keccak256(b"".join(keccak256(v.encode("utf-8")) for v in value))
    if type_name == "LogitBias[]":
        return keccak256(b"".join(value))
    if type_name == "address":
        assert len(value) == 20
        return bytes(12) + value
    if isinstance(value, bytes):
        assert len(value) == 32
        return value
    bits = int(type_name.lstrip("uint") or 256)
    signed = type_name.startswith("int")
    assert (-(2 ** (bits - 1)) <= value < 2 ** (bits - 1)) if signed else 0 <= value < 2**bits
    return value.to_bytes(32, "big", signed=signed)


def hash_struct(type_text, members, values):
    assert len(members) == len(values)
    return keccak256(
        keccak256(type_text.encode("ascii"))
        + b"".join(_word(t, v) for (t, _), v in zip(members, values))
    )


def domain_separator(ledger):
    """REQ-1."""
    return hash_struct(DOMAIN_TYPE, DOMAIN, ["OTR", "1", ledger])


def digest(ledger, struct_hash):
    """REQ-1."""
    return keccak256(b"\x19\x01" + domain_separator(ledger) + struct_hash)


def sampling_hash(s):
    return hash_struct(
        SAMPLING_TYPE,
        SAMPLING,
        [s.inv_t, s.top_k, s.top_p, s.min_p, s.presence, s.frequency, s.seed],
    )


def request_struct_hash(r):
    """REQ-2."""
    return hash_struct(
        REQUEST_TYPE,
        REQUEST,
        [
            r["task_id"],
            r["model_root"],
            r["prompt_root"],
            r["prompt_count"],
            r["max_tokens"],
            sampling_hash(r["sampling"]),
            [hash_struct(LOGIT_BIAS_TYPE, LOGIT_BIAS, list(b)) for b in r["sampling"].logit_bias],
            r["stop"],
            r["price"],
            r["mode"],
            r["deadline"],
        ],
    )


def claim_struct_hash(c):
    """CLAIM-1."""
    return hash_struct(
        CLAIM_TYPE,
        CLAIM,
        [
            c[name]
            for name in (
                "request_hash",
                "trace_root",
                "prompt_count",
                "out_count",
                "finish_reason",
                "session",
                "checkpoint",
                "checkpoint_hash",
            )
        ],
    )


def countersignature_struct_hash(claim_digest):
    """CLAIM-3."""
    return hash_struct(COUNTERSIGNATURE_TYPE, COUNTERSIGNATURE, [claim_digest])


def task_id(client, counter):
    """REQ-3."""
    assert len(client) == 20
    return H("OTR.task", client, integer("u64", counter))


prompt_root = token_root  # REQ-4


def check_request(r):
    """REQ-5, the ranges that need no model."""
    s = r["sampling"]
    good = (
        1 <= r["prompt_count"]
        and 1 <= r["max_tokens"]
        and r["mode"] in (0, 1)
        and 0 <= s.inv_t <= 2**24
        and 1 <= s.top_p <= 65536
        and 0 <= s.min_p <= 65536
        and abs(s.presence) <= 2**20
        and abs(s.frequency) <= 2**20
    )
    require(good, "REQUEST_INVALID", "a number")
    bias = s.logit_bias
    good = len(bias) <= 300 and all(v != 0 and abs(v) <= 100 * 2**16 for _, v in bias)
    require(good, "REQUEST_INVALID", "logit bias")
    ascend = all(a[0] < b[0] for a, b in zip(bias, bias[1:]))
    require(ascend, "REQUEST_INVALID", "logit bias ascends")
    stop = [text.encode("utf-8") for text in r["stop"]]
    require(
        len(stop) <= 4 and all(1 <= len(text) <= 64 for text in stop),
        "REQUEST_INVALID",
        "stop strings",
    )
    require(all(a < b for a, b in zip(stop, stop[1:])), "REQUEST_INVALID", "stop strings ascend")


def check_request_for_model(r, prompt_ids, context, vocabulary):
    """REQ-5, the ranges that need the model."""
    good = (
        r["prompt_count"] < context
        and r["max_tokens"] <= context
        and r["sampling"].top_k <= vocabulary
        and all(j < vocabulary for j, _ in r["sampling"].logit_bias)
    )
    require(good and all(j < vocabulary for j in prompt_ids), "REQUEST_INVALID", "with the model")
