"""SPEC chapter 19 (SESS): the statement, its digests and the document. Evidence is opaque here."""

import base64
import binascii

from oracle.curve import recover
from oracle.encoding import H, canonical_json, integer, read_canonical, require
from oracle.protocol import digest, encode_type, hash_struct
from oracle.tables import spec_hash

SESSION = (
    ("address", "key"),
    ("bytes32", "sealKey"),
    ("bytes32", "receiptKey"),
    ("address", "operator"),
    ("bytes32", "modelRoot"),
    ("bytes32", "specHash"),
    ("bytes32", "policy"),
    ("bytes32", "runtime"),
    ("bytes32", "gpuEvidence"),
    ("bytes32", "beacon"),
    ("uint64", "epoch"),
    ("uint64", "notBefore"),
    ("uint64", "expiry"),
)
# The members of the document's statement, in the order of SESS-1.
NAMES = (
    "key seal_key receipt_key operator model_root spec_hash policy runtime gpu_evidence beacon "
    "epoch not_before expiry"
).split()
REGISTRATION = (("bytes32", "session"), ("bytes32", "evidence"))
FORMAT, MAX_BYTES, MAX_ITEMS, MAX_NAME = "otr-session/1", 4 << 20, 64, 100
MAX_SECONDS, NO_HASH = 30 * 86400, bytes(32)
_FORMS = {"address": "bytes 20", "bytes32": "bytes 32", "uint64": "decimal 64"}
FORM = {
    "evidence": [{"data": "string", "name": "string"}],
    "format": "string",
    "ledger": "bytes 32",
    "nonce": "bytes 32",
    "session": {name: _FORMS[kind] for name, (kind, _) in zip(NAMES, SESSION)},
    "signature": "bytes 65",
}


def struct_hash(s):
    return hash_struct(encode_type("Session", SESSION), SESSION, [s[name] for name in NAMES])


def session_id(s, ledger):
    """SESS-1."""
    return digest(ledger, struct_hash(s))


def item_data(item):
    """The bytes of an item; MALFORMED if its base64 is not canonical or says nothing."""
    try:
        data = base64.b64decode(item["data"], validate=True)
    except (binascii.Error, ValueError):
        data = b""
    good = data != b"" and base64.b64encode(data).decode() == item["data"]
    require(good and len(item["name"].encode("utf-8")) <= MAX_NAME, "MALFORMED", "evidence")
    return data


def registration_digest(document):
    """SESS-2."""
    items = b"".join(
        H(
            "OTR.item",
            integer("u32", len(item["name"].encode("utf-8"))),
            item["name"].encode("utf-8"),
            item_data(item),
        )
        for item in document["evidence"]
    )
    return digest(
        document["ledger"],
        hash_struct(
            encode_type("Registration", REGISTRATION),
            REGISTRATION,
            [
                session_id(document["session"], document["ledger"]),
                H("OTR.evid", document["nonce"], items),
            ],
        ),
    )


def report_data(identity, nonce):
    """SESS-3."""
    return identity + nonce


def gpu_nonce(s, ledger, i):
    """SESS-3."""
    return H("OTR.gpun", session_id(dict(s, gpu_evidence=NO_HASH), ledger), integer("u32", i))


def check_form(document):
    """SESS-5 after the shape."""
    require(document["format"] == FORMAT, "MALFORMED", "format")
    require(1 <= len(document["evidence"]) <= MAX_ITEMS, "MALFORMED", "evidence")
    for item in document["evidence"]:
        item_data(item)


def check_alone(document):
    """SESS-6 after the form."""
    s = document["session"]
    require(s["spec_hash"] == spec_hash(), "SPEC_MISMATCH")
    require(s["policy"] == NO_HASH and s["key"] != s["operator"], "SESSION_INVALID")
    given = NO_HASH not in (s["seal_key"], s["receipt_key"], s["beacon"])
    require(given, "SESSION_INVALID", "zero")
    lasts = s["not_before"] < s["expiry"] <= s["not_before"] + MAX_SECONDS
    require(lasts, "SESSION_INVALID", "time")
    signer = recover(registration_digest(document), document["signature"], "SESSION_SIGNATURE")
    require(signer == s["key"], "SESSION_SIGNATURE")


def write(document):
    return canonical_json(document) + b"\n"


def read(data, decode):
    """SESS-5; `decode` is the decoder of forms of chapter 13."""
    require(len(data) <= MAX_BYTES, "LIMIT_EXCEEDED", "size")
    document = read_canonical(data[:-1] if data.endswith(b"\n") else data)
    require(data.endswith(b"\n"), "NOT_CANONICAL", "no line feed at the end")
    decoded = decode(FORM, document, "session")
    check_form(decoded)
    return decoded
