"""SPEC chapter 13 (RCPT): the receipt and the checks of it, in the SPEC's order."""

from oracle import machine, protocol, session, trace
from oracle.artifact import model_root
from oracle.curve import recover
from oracle.encoding import canonical_json, read_canonical, require, unhex, utf8_lossy
from oracle.sampling import Sampling, finish
from oracle.tables import spec_hash
from oracle.trees import KIND, TYPE, depth, root, top_of_range

MAX_BYTES = 16 << 20
FORMAT = "otr-receipt/1"
SOFTWARE_KEY, WITH_SESSION = "software-key", "session"

# RCPT-1: member -> its form. "u32" ... are JSON integers of that type, "decimal 64" ... decimal
# strings, "bytes 20" ... hexadecimal strings.
HASH, SIGNATURE, ADDRESS = "bytes 32", "bytes 65", "bytes 20"
SAMPLING = {
    "frequency": "i32",
    "inv_t": "u32",
    "min_p": "u32",
    "presence": "i32",
    "seed": HASH,
    "top_k": "u32",
    "top_p": "u32",
}
FORM = {
    "claim": {
        "checkpoint": "decimal 64",
        "checkpoint_hash": HASH,
        "finish_reason": "u8",
        "out_count": "u32",
        "prompt_count": "u32",
        "request_hash": HASH,
        "session": HASH,
        "signature": SIGNATURE,
        "signer": ADDRESS,
        "trace_root": HASH,
    },
    "countersignature": {"operator": ADDRESS, "signature": SIGNATURE},
    "evidence": {"kind": "string"},
    "format": "string",
    "ledger": HASH,
    "output_ids": ["u32"],
    "output_text": "string",
    "prompt_ids": ["u32"],
    "prompt_text": "string",
    "request": {
        "client": ADDRESS,
        "counter": "decimal 64",
        "deadline": "decimal 64",
        "logit_bias": [("u32", "i32")],
        "max_tokens": "u32",
        "mode": "u8",
        "model_root": HASH,
        "price": "decimal 256",
        "prompt_root": HASH,
        "sampling": SAMPLING,
        "signature": SIGNATURE,
        "stop": ["string"],
        "task_id": HASH,
    },
    "spec_hash": HASH,
    "trace_path": [HASH],
}
MAX_PATH = 20


def _decode(form, value, at):
    """The value of a member: bytes, int, str, list or dictionary."""

    def malformed(condition):
        require(condition, "MALFORMED", at)

    if isinstance(form, dict):
        malformed(isinstance(value, dict) and sorted(value) == sorted(form))
        return {name: _decode(form[name], value[name], f"{at}.{name}") for name in form}
    if isinstance(form, tuple):
        malformed(isinstance(value, list) and len(value) == len(form))
        return [_decode(f, v, f"{at}[]") for f, v in zip(form, value)]
    if isinstance(form, list):
        malformed(isinstance(value, list))
        return [_decode(form[0], v, f"{at}[]") for v in value]
    kind, _, size = form.partition(" ")
    if kind == "bytes":
        return unhex(value, int(size))
    if kind == "decimal":
        malformed(
            isinstance(value, str)
            and 1 <= len(value) <= 78
            and all(c in "0123456789" for c in value)
        )
        malformed((value == "0" or value[0] != "0") and int(value) < 2 ** int(size))
        return int(value)
    if kind == "string":
        malformed(isinstance(value, str))
        return value
    bits, signed = int(kind[1:]), kind[0] == "i"
    malformed(isinstance(value, int) and not isinstance(value, bool))
    malformed(-(2 ** (bits - 1)) <= value < 2 ** (bits - 1) if signed else 0 <= value < 2**bits)
    return value


def write(document):
    """RCPT-1."""
    return canonical_json(document) + b"\n"


def read(data):
    """RCPT-1: the decoded document."""
    require(len(data) <= MAX_BYTES, "LIMIT_EXCEEDED", "size")
    document = read_canonical(data[:-1] if data.endswith(b"\n") else data)
    require(data.endswith(b"\n"), "NOT_CANONICAL", "no line feed at the end")
    require(isinstance(document, dict) and document.get("format") == FORMAT, "MALFORMED", "format")
    require(
        isinstance(document.get("trace_path"), list) and len(document["trace_path"]) <= MAX_PATH,
        "MALFORMED",
        "trace_path",
    )
    return decode(document)


def decode(document):
    """The members; evidence.session, where it is, by SESS-5."""
    evidence, form = document.get("evidence"), FORM
    has_session = isinstance(evidence, dict) and "session" in evidence
    if has_session:
        form = dict(FORM, evidence={"kind": "string", "session": session.FORM})
    r = _decode(form, document, "receipt")
    same = has_session == (r["evidence"]["kind"] == WITH_SESSION)
    require(same, "MALFORMED", "session and its kind")
    if has_session:
        session.check_form(r["evidence"]["session"])
    return r


def request_of(r):
    """The request's words; promptCount is the number of prompt_ids."""
    request = dict(r["request"], prompt_count=len(r["prompt_ids"]))
    request["sampling"] = Sampling(**request["sampling"], logit_bias=request.pop("logit_bias"))
    return request


def digests(r):
    """The digests of request, claim and countersignature, as the receipt's own words give them."""
    claim = protocol.digest(r["ledger"], protocol.claim_struct_hash(r["claim"]))
    return (
        protocol.digest(r["ledger"], protocol.request_struct_hash(request_of(r))),
        claim,
        protocol.digest(r["ledger"], protocol.countersignature_struct_hash(claim)),
    )


def _opens(r, n):
    """Whether trace_path opens leaves [0, 2) = header, token root of the n leaves under
    trace_root."""
    request, claim, path = request_of(r), r["claim"], r["trace_path"]
    if len(path) != depth(n) - 1:
        return False
    header = trace.header(
        request["model_root"],
        claim["prompt_count"],
        claim["out_count"],
        request["mode"],
        request["sampling"],
    )
    top = top_of_range(n, 0, 2, [header, trace.token_root(r["prompt_ids"] + r["output_ids"])], path)
    return root(KIND["trace"], TYPE["hash"], n, 1, top) == claim["trace_root"]


def check_alone(r):
    """RCPT-2 after shape and canonical form."""
    require(r["spec_hash"] == spec_hash(), "SPEC_MISMATCH")
    request, claim = request_of(r), r["claim"]
    protocol.check_request(request)
    require(
        request["task_id"] == protocol.task_id(request["client"], request["counter"]),
        "TASK_ID_MISMATCH",
    )
    require(request["prompt_root"] == protocol.prompt_root(r["prompt_ids"]), "PROMPT_ROOT_MISMATCH")
    request_digest, claim_digest, counter_digest = digests(r)
    require(
        recover(request_digest, request["signature"], "REQUEST_SIGNATURE") == request["client"],
        "REQUEST_SIGNATURE",
    )
    require(claim["request_hash"] == request_digest, "REQUEST_HASH_MISMATCH")
    counts = (claim["prompt_count"], claim["out_count"]) == (
        len(r["prompt_ids"]),
        len(r["output_ids"]),
    )
    require(counts and 1 <= claim["out_count"] <= request["max_tokens"], "COUNT_MISMATCH")
    require(
        recover(claim_digest, claim["signature"], "CLAIM_SIGNATURE") == claim["signer"],
        "CLAIM_SIGNATURE",
    )
    operator = r["countersignature"]["operator"]
    require(
        recover(counter_digest, r["countersignature"]["signature"], "COUNTERSIGNATURE") == operator,
        "COUNTERSIGNATURE",
    )
    require(operator != claim["signer"], "COUNTERSIGNATURE", "one key for both")
    kind, none = r["evidence"]["kind"], bytes(32)
    require(kind in (SOFTWARE_KEY, WITH_SESSION), "EVIDENCE_MISMATCH")
    require(claim["checkpoint"] == 0 or r["ledger"] != none, "EVIDENCE_MISMATCH")  # CLAIM-2
    require(
        claim["checkpoint"] != 0 or claim["checkpoint_hash"] == none, "EVIDENCE_MISMATCH", "hash"
    )
    if kind == SOFTWARE_KEY:
        require(r["ledger"] == none and claim["session"] == none, "EVIDENCE_MISMATCH")
        return
    document = r["evidence"]["session"]  # RCPT-6
    session.check_alone(document)
    statement = document["session"]
    same = (
        document["ledger"] == r["ledger"]
        and claim["session"] == session.session_id(statement, document["ledger"])
        and claim["signer"] == statement["key"]
        and operator == statement["operator"]
        and request["model_root"] == statement["model_root"]
    )
    require(same, "SESSION_MISMATCH")


def check_with_model(r, model):
    """RCPT-3."""
    request, c = request_of(r), model.config
    require(request["model_root"] == model_root(model), "MODEL_ROOT_MISMATCH")
    protocol.check_request_for_model(request, r["prompt_ids"], c["context"], c["vocabulary"])
    require(_opens(r, trace.leaf_count(c["layers"], c["kv_heads"])), "TOKEN_PATH_MISMATCH")
    for name in ("prompt", "output"):
        require(
            all(j < c["vocabulary"] for j in r[name + "_ids"]),
            "TEXT_MISMATCH",
            "an id without text",
        )
        require(
            r[name + "_text"] == utf8_lossy(model.text(r[name + "_ids"])), "TEXT_MISMATCH", name
        )
    stop, pieces, output = (
        [s.encode("utf-8") for s in request["stop"]],
        model.token_bytes(),
        r["output_ids"],
    )
    finishes = [
        finish(
            output[: i + 1],
            pieces,
            len(r["prompt_ids"]),
            c["eos_ids"],
            stop,
            request["max_tokens"],
            c["context"],
        )
        for i in range(len(output))
    ]
    require(
        not any(finishes[:-1]) and 0 != finishes[-1] == r["claim"]["finish_reason"],
        "FINISH_MISMATCH",
    )


def recompute(r, model):
    """RCPT-4, on the prompt and the claimed output; the first position that fails gives the code,
    the trace root comes last."""
    request = request_of(r)
    e = machine.run(
        model,
        r["prompt_ids"],
        request["sampling"],
        forced=r["output_ids"],
        on_token=lambda chosen, claimed: require(chosen == claimed, "TOKEN_MISMATCH"),
    )
    require(
        trace.root(trace.leaves(e, request["model_root"])) == r["claim"]["trace_root"],
        "TRACE_ROOT_MISMATCH",
    )


def verify(data, model=None, run=False):
    """All checks that the arguments allow."""
    r = read(data)
    check_alone(r)
    if model is not None:
        check_with_model(r, model)
    if run:
        recompute(r, model)
