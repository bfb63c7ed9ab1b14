"""Receipts (chapter 13). in {receipt: the document's text, or receipt_hex where it is no UTF-8;
append: {byte, times} where bytes follow it; model: a file or
null; recompute} out {} or a reject. With model null only RCPT-2 is checked, with a model RCPT-3
too, with recompute RCPT-4 too."""

import copy
from functools import lru_cache

from oracle import curve, protocol, receipt, session, tiny, trace, trees, vectors_forward, vectors_session
from oracle.case import outcome, refused
from oracle.encoding import hexa, unhex, utf8_lossy
from oracle.prng import Prng
from oracle.receipt import _decode, FORM
from oracle.tables import spec_hash

ZERO = hexa(bytes(32))


def _key(name):
    return int.from_bytes(Prng("key " + name).hash(), "big") % curve.ORDER


CLIENT, SESSION, OPERATOR = (_key(name) for name in ("client", "session", "operator"))


def sign(document, request=True, request_hash=True, claim=True, counter=True):
    """Signs again what is asked for, over whatever the document says."""

    def digests():
        plain = dict(document, evidence={"kind": ""})  # no part of what is signed
        return receipt.digests(_decode(FORM, plain, "receipt"))

    blank = hexa(bytes(65))
    for part in ("request", "claim", "countersignature"):
        document[part].setdefault("signature", blank)
    document["claim"].setdefault("request_hash", ZERO)
    if request:
        document["request"]["signature"] = hexa(curve.sign(CLIENT, digests()[0]))
    if request_hash:
        document["claim"]["request_hash"] = hexa(digests()[0])
    if claim:
        document["claim"]["signature"] = hexa(curve.sign(SESSION, digests()[1]))
    if counter:
        document["countersignature"]["signature"] = hexa(curve.sign(OPERATOR, digests()[2]))
    return document


def _trace(document, leaves):
    """Trace root and path for these leaves."""
    document["trace_path"] = [hexa(h) for h in trees.open_range(leaves, 0, 2)]
    document["claim"]["trace_root"] = hexa(trace.root(leaves))


@lru_cache(None)
def _built(name):
    model_name, prompt, sampling, stop, max_tokens, _ = vectors_forward.EXECUTIONS[name]
    e, model = vectors_forward.execution(name), tiny.model(model_name)
    client, counter = curve.address(CLIENT), list(vectors_forward.EXECUTIONS).index(name) + 2**63
    document = {
        "claim": {
            "checkpoint": "0",
            "checkpoint_hash": ZERO,
            "finish_reason": e.finish_reason,
            "out_count": len(e.output),
            "prompt_count": len(prompt),
            "session": ZERO,
            "signer": hexa(curve.address(SESSION)),
        },
        "countersignature": {"operator": hexa(curve.address(OPERATOR))},
        "evidence": {"kind": "software-key"},
        "format": "otr-receipt/1",
        "ledger": ZERO,
        "output_ids": e.output,
        "output_text": utf8_lossy(model.text(e.output)),
        "prompt_ids": prompt,
        "prompt_text": utf8_lossy(model.text(prompt)),
        "request": {
            "client": hexa(client),
            "counter": str(counter),
            "deadline": "1800000000",
            "logit_bias": sampling.logit_bias,
            "max_tokens": max_tokens,
            "mode": 0,
            "model_root": hexa(tiny.root(model_name)),
            "price": "1000000000000000000000",
            "prompt_root": hexa(protocol.prompt_root(prompt)),
            "sampling": {
                k: v
                for k, v in vectors_forward.show_sampling(sampling).items()
                if k != "logit_bias"
            },
            "stop": list(stop),
            "task_id": hexa(protocol.task_id(client, counter)),
        },
        "spec_hash": hexa(spec_hash()),
    }
    leaves = trace.leaves(e, tiny.root(model_name))
    _trace(document, leaves)
    return sign(document), leaves


def _document(name):
    return copy.deepcopy(_built(name)[0])


def _case(name, code, data, model=None, recompute=False, rule="RCPT-2", append=None):
    try:
        inputs = {"receipt": data.decode("utf-8")}
    except UnicodeDecodeError:
        inputs = {"receipt_hex": hexa(data)}
    if append:
        inputs["append"] = {"byte": append[0], "times": append[1]}
        data += bytes([append[0]]) * append[1]
    inputs.update(model=model + ".safetensors" if model else None, recompute=recompute)

    def check():
        receipt.verify(data, tiny.model(model) if model else None, recompute)
        return {}

    if code:
        return refused(rule, name, inputs, code, check)
    case = outcome(rule, name, inputs, check)
    assert "out" in case, (name, case["reject"])
    return case


BASE, MODEL = "norm sampled", "tiny_norm"


def _accepted():
    out = []
    for name in (
        "gqa sampled",
        "gqa all parameters",
        "gqa greedy with logit bias",
        "gqa with logit bias",
        "bias sampled",
        "norm greedy",
        "norm sampled",
        "one token",
        "wide sampled",
        "long",
        "stop string in a token",
        "stop string across tokens",
        "stop token",
    ):
        model = vectors_forward.EXECUTIONS[name][0]
        out.append(
            _case(
                name,
                None,
                receipt.write(_document(name)),
                model,
                True,
                ["RCPT-1", "RCPT-2", "RCPT-3", "RCPT-4"],
            )
        )
    out.append(_case("without the model", None, receipt.write(_document(BASE))))
    document = _document(BASE)
    document["request"].update(price=str(2**256 - 1), deadline=str(2**64 - 1))
    out.append(_case("greatest numbers", None, receipt.write(sign(document)), MODEL, True))
    document["ledger"] = hexa(Prng("ledger").hash())
    out.append(
        _case(
            "a software key for a ledger",
            "EVIDENCE_MISMATCH",
            receipt.write(sign(document)),
        )
    )
    return out


def _spellings():
    data, out = receipt.write(_document(BASE)), []
    text = data.decode("utf-8")
    token = str(_document(BASE)["output_ids"][0])
    for name, code, new in (
        ("no line feed at the end", "NOT_CANONICAL", text[:-1]),
        ("two line feeds", "NOT_CANONICAL", text + "\n"),
        ("carriage return", "NOT_CANONICAL", text[:-1] + "\r\n"),
        ("space", "NOT_CANONICAL", text.replace(":", ": ", 1)),
        ("line feed inside", "NOT_CANONICAL", text.replace(",", ",\n", 1)),
        ("space at the start", "NOT_CANONICAL", " " + text),
        ("byte order mark", "NOT_CANONICAL", "\ufeff" + text),
        ("member twice", "NOT_CANONICAL", text.replace('"mode":0', '"mode":0,"mode":0')),
        (
            "member twice with another value",
            "NOT_CANONICAL",
            text.replace('"mode":0', '"mode":0,"mode":1'),
        ),
        (
            "order of members",
            "NOT_CANONICAL",
            text.replace('"max_tokens":16,"mode":0', '"mode":0,"max_tokens":16'),
        ),
        ("float", "NOT_CANONICAL", text.replace('"mode":0', '"mode":0.0')),
        ("exponent", "NOT_CANONICAL", text.replace('"max_tokens":16', '"max_tokens":16e0')),
        ("leading zero", "NOT_CANONICAL", text.replace('"max_tokens":16', '"max_tokens":016')),
        ("minus zero", "NOT_CANONICAL", text.replace('"mode":0', '"mode":-0')),
        ("plus", "NOT_CANONICAL", text.replace('"max_tokens":16', '"max_tokens":+16')),
        (
            "above 2^64 - 1",
            "NOT_CANONICAL",
            text.replace(f'"output_ids":[{token}', '"output_ids":[18446744073709551616'),
        ),
        ("escaped letter", "NOT_CANONICAL", text.replace("software-key", "software\\u002dkey")),
        ("escaped slash", "NOT_CANONICAL", text.replace("otr-receipt/1", "otr-receipt\\/1")),
        ("deep", "NOT_CANONICAL", "[" * 70 + "]" * 70 + "\n"),
        ("deep and unclosed", "NOT_CANONICAL", "[" * 1000 + "\n"),
        ("empty", "MALFORMED", ""),
        ("only a line feed", "MALFORMED", "\n"),
        ("cut in half", "MALFORMED", text[: len(text) // 2]),
        ("array", "MALFORMED", "[]\n"),
        ("number", "MALFORMED", "1\n"),
        ("null", "MALFORMED", "null\n"),
        (
            "trailing comma",
            "MALFORMED",
            text.replace(f'"output_ids":[{token}', f'"output_ids":[,{token}'),
        ),
        ("byte after the end", "MALFORMED", text[:-1] + "x\n"),
        ("zero byte after the end", "MALFORMED", text[:-1] + "\0\n"),
    ):
        assert new != text, name
        out.append(_case(name, code, new.encode("utf-8"), rule=["RCPT-1", "RCPT-2", "ENC-4"]))
    out.append(
        _case(
            "ill-formed UTF-8",
            "MALFORMED",
            data.replace(b"software-key", b"software\xffkey"),
            rule=["RCPT-1", "RCPT-2"],
        )
    )
    out.append(
        _case(
            "more than 16 MiB",
            "LIMIT_EXCEEDED",
            data[:-1],
            append=(0x20, 16 << 20),
            rule=["RCPT-1", "RCPT-2"],
        )
    )
    return out


def _forms():
    """Members that are missing, unknown or not of their form: MALFORMED."""
    out = []

    def add(name, edit):
        document = _document(BASE)
        edit(document)
        out.append(_case(name, "MALFORMED", receipt.write(document), rule=["RCPT-1", "RCPT-2"]))

    for path in (
        ("claim",),
        ("trace_path",),
        ("ledger",),
        ("claim", "session"),
        ("countersignature", "operator"),
        ("evidence", "kind"),
        ("request", "sampling"),
        ("request", "sampling", "seed"),
        ("request", "logit_bias"),
        ("output_text",),
    ):

        def missing(document, path=path):
            for member in path[:-1]:
                document = document[member]
            del document[path[-1]]

        add("missing " + ".".join(path), missing)
    for path in (
        (),
        ("claim",),
        ("countersignature",),
        ("evidence",),
        ("request",),
        ("request", "sampling"),
    ):

        def additional(document, path=path):
            for member in path:
                document = document[member]
            document["extra"] = 0

        add("additional member of " + (".".join(path) or "the receipt"), additional)

    def put(*path_and_value):
        def edit(document):
            *path, last, value = path_and_value
            for member in path:
                document = document[member]
            document[last] = value

        return edit

    document = _document(BASE)
    root = document["claim"]["trace_root"]
    for name, edit in (
        ("another format", put("format", "otr-receipt/2")),
        ("upper-case hexadecimal", put("claim", "trace_root", "0x" + root[2:].upper())),
        ("hexadecimal without 0x", put("claim", "trace_root", root[2:])),
        ("0X", put("claim", "trace_root", "0X" + root[2:])),
        ("31 bytes", put("claim", "trace_root", root[:-2])),
        ("33 bytes", put("claim", "trace_root", root + "00")),
        ("odd digits", put("claim", "trace_root", root[:-1])),
        ("no hexadecimal digit", put("claim", "trace_root", root[:-1] + "g")),
        ("signature of 64 bytes", put("claim", "signature", document["claim"]["signature"][:-2])),
        ("address of 32 bytes", put("request", "client", root)),
        ("hash as null", put("ledger", None)),
        ("count as string", put("claim", "out_count", "16")),
        ("count as boolean", put("request", "mode", False)),
        ("negative count", put("claim", "out_count", -1)),
        ("count of 2^32", put("claim", "out_count", 2**32)),
        ("id of 2^32", put("prompt_ids", [2**32])),
        ("negative id", put("output_ids", [-1])),
        ("ids as string", put("prompt_ids", "Hello")),
        ("id as string", put("prompt_ids", ["1"])),
        ("mode of 256", put("request", "mode", 256)),
        ("finish_reason of 256", put("claim", "finish_reason", 256)),
        ("presence of 2^31", put("request", "sampling", "presence", 2**31)),
        ("inv_t of -1", put("request", "sampling", "inv_t", -1)),
        ("price as number", put("request", "price", 5)),
        ("empty price", put("request", "price", "")),
        ("price with leading zero", put("request", "price", "01")),
        ("price of 00", put("request", "price", "00")),
        ("negative price", put("request", "price", "-1")),
        ("price with plus", put("request", "price", "+1")),
        ("price with space", put("request", "price", " 1")),
        ("price in hexadecimal", put("request", "price", "0x1")),
        ("price of 2^256", put("request", "price", str(2**256))),
        ("price of other digits", put("request", "price", "\u0661")),
        ("counter of 2^64", put("request", "counter", str(2**64))),
        ("deadline as number", put("request", "deadline", 0)),
        ("checkpoint of 2^64", put("claim", "checkpoint", str(2**64))),
        ("logit_bias as object", put("request", "logit_bias", {"5": 1})),
        ("logit_bias as null", put("request", "logit_bias", None)),
        ("logit_bias of numbers", put("request", "logit_bias", [5, 1])),
        ("logit_bias of objects", put("request", "logit_bias", [{"id": 5, "value": 1}])),
        ("logit_bias without a value", put("request", "logit_bias", [[5]])),
        ("logit_bias of three numbers", put("request", "logit_bias", [[5, 1, 1]])),
        ("logit_bias of nothing", put("request", "logit_bias", [[]])),
        ("logit_bias of a string", put("request", "logit_bias", [["5", 1]])),
        ("logit_bias of a boolean", put("request", "logit_bias", [[5, True]])),
        ("logit_bias with id of -1", put("request", "logit_bias", [[-1, 1]])),
        ("logit_bias with id of 2^32", put("request", "logit_bias", [[2**32, 1]])),
        ("logit_bias with value of 2^31", put("request", "logit_bias", [[5, 2**31]])),
        ("logit_bias in sampling", put("request", "sampling", "logit_bias", [])),
        ("stop as string", put("request", "stop", "END")),
        ("stop of numbers", put("request", "stop", [1])),
        ("text as null", put("output_text", None)),
        ("trace_path as object", put("trace_path", {})),
        ("trace_path of numbers", put("trace_path", [1])),
        ("trace_path of 21 hashes", put("trace_path", [ZERO] * 21)),
        ("claim as array", put("claim", [])),
        ("evidence as string", put("evidence", "software-key")),
    ):
        add(name, edit)
    return out


def _alone():
    """RCPT-2: each check, with everything before it in order."""
    out = []

    def add(name, code, edit, **signing):
        document = _document(BASE)
        edit(document)
        if signing.pop("again", True):
            sign(document, **signing)
        out.append(_case(name, code, receipt.write(document)))

    def put(*path_and_value):
        def edit(document):
            *path, last, value = path_and_value
            for member in path:
                document = document[member]
            document[last] = value

        return edit

    other = hexa(Prng("other").hash())
    claim, request, counter = (
        (part, "signature") for part in ("claim", "request", "countersignature")
    )
    add("another spec hash", "SPEC_MISMATCH", put("spec_hash", other))
    for name, value in (("mode", 2), ("max_tokens", 0)):
        add(f"{name} {value}", "REQUEST_INVALID", put("request", name, value))
    for name, value in (
        ("top_p", 0),
        ("top_p", 65537),
        ("min_p", 65537),
        ("inv_t", 2**24 + 1),
        ("presence", 2**20 + 1),
        ("frequency", -(2**20) - 1),
    ):
        add(f"{name} {value}", "REQUEST_INVALID", put("request", "sampling", name, value))
    for name, bias in (
        ("unsorted", [[6, 1], [5, 1]]),
        ("twice", [[5, 1], [5, 1]]),
        ("zero", [[5, 0]]),
        ("out of range", [[5, 100 * 2**16 + 1]]),
        ("below the range", [[5, -(2**31)]]),
        ("301", [[j, 1] for j in range(301)]),
    ):
        add(f"logit bias: {name}", "REQUEST_INVALID", put("request", "logit_bias", bias))
    for name, stop in (
        ("empty", [""]),
        ("five", list("abcde")),
        ("descending", ["b", "a"]),
        ("twice", ["a", "a"]),
        ("65 bytes", ["a" * 65]),
    ):
        add(f"stop strings: {name}", "REQUEST_INVALID", put("request", "stop", stop))
    no_prompt = _document(BASE)
    no_prompt.update(prompt_ids=[], prompt_text="")
    no_prompt["claim"]["prompt_count"] = 0
    out.append(_case("no prompt", "REQUEST_INVALID", receipt.write(no_prompt)))
    add("another task id", "TASK_ID_MISMATCH", put("request", "task_id", other))
    add("another counter", "TASK_ID_MISMATCH", put("request", "counter", "8"))
    add("another client", "TASK_ID_MISMATCH", put("request", "client", other[:42]))
    add("another prompt root", "PROMPT_ROOT_MISMATCH", put("request", "prompt_root", other))
    add("another prompt id", "PROMPT_ROOT_MISMATCH", lambda d: d["prompt_ids"].__setitem__(3, 5))
    add("a prompt id more", "PROMPT_ROOT_MISMATCH", lambda d: d["prompt_ids"].append(5))
    for path, code, names in (
        (request, "REQUEST_SIGNATURE", ("request",)),
        (claim, "CLAIM_SIGNATURE", ("claim",)),
        (counter, "COUNTERSIGNATURE", ("countersignature",)),
    ):
        raw = unhex(_document(BASE)[path[0]]["signature"], 65)
        r, s, v = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64]
        for name, parts in (
            ("high s", (r, curve.ORDER - s, 55 - v)),
            ("v of 29", (r, s, 29)),
            ("v of 0", (r, s, v - 27)),
            ("other v", (r, s, 55 - v)),
            ("r of 0", (0, s, v)),
            ("s of 0", (r, 0, v)),
            ("r of n", (curve.ORDER, s, v)),
            ("another s", (r, s ^ 1, v)),
        ):
            add(f"{names[0]}: {name}", code, put(*path, hexa(curve.join(*parts))), again=False)
    add(
        "another deadline, not signed",
        "REQUEST_SIGNATURE",
        put("request", "deadline", "5"),
        request=False,
    )
    add(
        "another max_tokens, not signed",
        "REQUEST_SIGNATURE",
        put("request", "max_tokens", 17),
        request=False,
    )
    add(
        "another logit bias, not signed",
        "REQUEST_SIGNATURE",
        put("request", "logit_bias", [[5, 1]]),
        request=False,
    )
    add("another ledger, not signed", "REQUEST_SIGNATURE", put("ledger", other), again=False)
    add(
        "another request hash",
        "REQUEST_HASH_MISMATCH",
        put("claim", "request_hash", other),
        request_hash=False,
    )
    add(
        "another request signed by the client",
        "REQUEST_HASH_MISMATCH",
        put("request", "deadline", "5"),
        request_hash=False,
    )
    for name, value in (
        ("out_count", 15),
        ("out_count", 0),
        ("prompt_count", 11),
        ("prompt_count", 13),
        ("out_count", 2**32 - 1),
    ):
        add(f"{name} {value}", "COUNT_MISMATCH", put("claim", name, value))
    add("an output id more", "COUNT_MISMATCH", lambda d: d["output_ids"].append(5))
    add(
        "no output",
        "COUNT_MISMATCH",
        lambda d: (d.update(output_ids=[], output_text=""), d["claim"].update(out_count=0)),
    )
    add("more than max_tokens", "COUNT_MISMATCH", put("request", "max_tokens", 15))
    add("another signer", "CLAIM_SIGNATURE", put("claim", "signer", other[:42]))
    add(
        "another trace root, not signed",
        "CLAIM_SIGNATURE",
        put("claim", "trace_root", other),
        claim=False,
    )
    add(
        "another finish reason, not signed",
        "CLAIM_SIGNATURE",
        put("claim", "finish_reason", 1),
        claim=False,
    )
    add("another operator", "COUNTERSIGNATURE", put("countersignature", "operator", other[:42]))
    add(
        "another claim, not countersigned",
        "COUNTERSIGNATURE",
        put("claim", "finish_reason", 1),
        counter=False,
    )
    document = _document(BASE)
    document["countersignature"] = {"operator": document["claim"]["signer"]}
    digest = receipt.digests(_decode(FORM, sign(document, False, False, False, False), "receipt"))[
        2
    ]
    document["countersignature"]["signature"] = hexa(curve.sign(SESSION, digest))
    out.append(_case("operator is the signer", "COUNTERSIGNATURE", receipt.write(document)))
    add("another evidence", "EVIDENCE_MISMATCH", put("evidence", "kind", "sim-tee"))
    add("evidence in capitals", "EVIDENCE_MISMATCH", put("evidence", "kind", "Software-Key"))
    for name, value in (("session", other), ("checkpoint", "1"), ("checkpoint_hash", other)):
        add(f"{name} is not zero", "EVIDENCE_MISMATCH", put("claim", name, value))
    return out


def _token_paths():
    """RCPT-3: signed documents whose trace_path does not open header and token root."""
    out, other = [], hexa(Prng("other").hash())
    for name, edit in (
        ("another trace root", lambda d: d["claim"].update(trace_root=other)),
        ("another output id", lambda d: d["output_ids"].__setitem__(2, 5)),
        ("path too short", lambda d: d["trace_path"].pop()),
        ("path too long", lambda d: d["trace_path"].append(ZERO)),
        ("empty path", lambda d: d["trace_path"].clear()),
        ("path of 20 hashes", lambda d: d.update(trace_path=[ZERO] * 20)),
        ("path swapped", lambda d: d["trace_path"].reverse()),
        ("another seed in the request", lambda d: d["request"]["sampling"].update(seed=other)),
        ("a logit bias in the request", lambda d: d["request"].update(logit_bias=[[5, 1]])),
    ):
        document = _document(BASE)
        edit(document)
        data = receipt.write(sign(document))
        receipt.verify(data)  # nothing is wrong without the model
        out.append(_case(name, "TOKEN_PATH_MISMATCH", data, MODEL, rule="RCPT-3"))
    return out


def _retrace(document, name):
    """Header, token root, path and trace root for the document's words, over the layers' roots of
    the execution."""
    r = _decode(FORM, document, "receipt")
    request = receipt.request_of(r)
    leaves = list(_built(name)[1])
    leaves[0] = trace.header(
        request["model_root"],
        len(r["prompt_ids"]),
        len(r["output_ids"]),
        request["mode"],
        request["sampling"],
    )
    leaves[1] = trace.token_root(r["prompt_ids"] + r["output_ids"])
    return leaves


def _lie(
    name, code, edit, execution=BASE, rule="RCPT-3", leaves=None, recompute=False, also_alone=True
):
    """A document that is signed and rooted again after the edit, so that only checks with the model
    can refuse it."""
    model = vectors_forward.EXECUTIONS[execution][0]
    document = _document(execution)
    edit(document, tiny.model(model))
    document["claim"].update(
        prompt_count=len(document["prompt_ids"]), out_count=len(document["output_ids"])
    )
    document["request"]["prompt_root"] = hexa(protocol.prompt_root(document["prompt_ids"]))
    _trace(document, (leaves or (lambda x: x))(_retrace(document, execution)))
    data = receipt.write(sign(document))
    out = [_case(name, code, data, model, recompute, rule)]
    if also_alone:
        receipt.verify(data)  # nothing is wrong without the model
    if recompute:
        receipt.verify(data, tiny.model(model))
    return out


def _set_output(ids):
    def edit(document, model):
        document.update(output_ids=ids, output_text=utf8_lossy(model.text(ids)))

    return edit


def _with_model():
    out, base = [], _document(BASE)
    other = Prng("other").hash()
    out.append(
        _case(
            "the receipt of another model",
            "MODEL_ROOT_MISMATCH",
            receipt.write(_document("gqa sampled")),
            MODEL,
            rule="RCPT-3",
        )
    )
    out += _lie(
        "a model root that is not this model's",
        "MODEL_ROOT_MISMATCH",
        lambda d, m: d["request"].update(model_root=hexa(other)),
    )
    for name, value in (("max_tokens", 65),):
        out += _lie(
            f"{name} above C",
            "REQUEST_INVALID",
            lambda d, m, name=name, value=value: d["request"].update({name: value}),
        )
    out += _lie(
        "top_k above V", "REQUEST_INVALID", lambda d, m: d["request"]["sampling"].update(top_k=271)
    )
    out += _lie(
        "logit bias of id V",
        "REQUEST_INVALID",
        lambda d, m: d["request"].update(logit_bias=[[5, 1], [270, 1]]),
    )
    out += _lie(
        "prompt id of V",
        "REQUEST_INVALID",
        lambda d, m: d.update(prompt_ids=[270] + d["prompt_ids"][1:]),
    )
    out += _lie("prompt of C", "REQUEST_INVALID", lambda d, m: d.update(prompt_ids=[65] * 64))
    for name, leaves in (
        ("a leaf too many", lambda x: x + [other]),
        ("a leaf too few", lambda x: x[:-1]),
        ("twice the leaves", lambda x: x * 2),
    ):
        out += _lie(
            f"trace of another shape: {name}",
            "TOKEN_PATH_MISMATCH",
            lambda d, m: None,
            leaves=leaves,
        )
    out += _lie(
        "another output text",
        "TEXT_MISMATCH",
        lambda d, m: d.update(output_text=d["output_text"] + " "),
    )
    out += _lie(
        "another prompt text", "TEXT_MISMATCH", lambda d, m: d.update(prompt_text="hello, world")
    )
    out += _lie(
        "no replacement characters",
        "TEXT_MISMATCH",
        lambda d, m: d.update(output_text=d["output_text"].replace("\ufffd", "?")),
    )
    out += _lie(
        "output id of V",
        "TEXT_MISMATCH",
        lambda d, m: d.update(output_ids=[270] + d["output_ids"][1:]),
    )
    for reason in (0, 1, 2, 4, 255):
        out += _lie(
            f"finish reason {reason}",
            "FINISH_MISMATCH",
            lambda d, m, reason=reason: d["claim"].update(finish_reason=reason),
        )
    out += _lie("answer cut short", "FINISH_MISMATCH", _set_output(base["output_ids"][:-1]))
    stopped = _document("stop token")["output_ids"]
    out += _lie(
        "answer past the stop token", "FINISH_MISMATCH", _set_output(stopped + [65]), "stop token"
    )
    out += _lie(
        "stop token called length",
        "FINISH_MISMATCH",
        lambda d, m: d["claim"].update(finish_reason=3),
        "stop token",
    )
    out += _lie(
        "stop token in the middle",
        "FINISH_MISMATCH",
        _set_output(base["output_ids"][:4] + [3] + base["output_ids"][5:]),
    )
    text = _document("stop string across tokens")
    out += _lie(
        "answer past the stop string",
        "FINISH_MISMATCH",
        _set_output(text["output_ids"] + [65]),
        "stop string across tokens",
    )
    out += _lie(
        "stop string called stop token",
        "FINISH_MISMATCH",
        lambda d, m: d["claim"].update(finish_reason=1),
        "stop string across tokens",
    )
    return out


def _recomputed():
    """RCPT-4: lies that only the computation shows."""
    out = []
    for number, name in ((2, "a K root"), (-1, "the last residual root")):

        def leaves(x, number=number):
            return [
                h if i != number % len(x) else bytes([h[0] ^ 1]) + h[1:] for i, h in enumerate(x)
            ]

        out += _lie(
            f"{name} differs",
            "TRACE_ROOT_MISMATCH",
            lambda d, m: None,
            rule="RCPT-4",
            leaves=leaves,
            recompute=True,
        )
    for at in (0, 7, -1):
        ids = list(_document(BASE)["output_ids"])
        ids[at] = 66 if ids[at] != 66 else 67
        model = tiny.model(MODEL)
        arguments = dict(vectors_forward.arguments(BASE), wanted=(), forced=ids)

        def leaves(x, arguments=arguments):
            return trace.leaves(vectors_forward.machine.run(**arguments), tiny.root(MODEL))

        assert model
        out += _lie(
            f"another token at {at}, with its own trace",
            "TOKEN_MISMATCH",
            _set_output(ids),
            rule="RCPT-4",
            leaves=leaves,
            recompute=True,
        )
    out += _lie(
        "greedy answer for a sampled request",
        "TOKEN_MISMATCH",
        _set_output([226] * 16),
        rule="RCPT-4",
        recompute=True,
    )
    out += _lie(
        "another seed",
        "TOKEN_MISMATCH",
        lambda d, m: d["request"]["sampling"].update(seed=hexa(bytes([8] * 32))),
        rule="RCPT-4",
        recompute=True,
    )
    first = _document(BASE)["output_ids"][0]
    out += _lie(
        "a logit bias against the first token",
        "TOKEN_MISMATCH",
        lambda d, m: d["request"].update(logit_bias=[[first, -100 * 2**16]]),
        rule="RCPT-4",
        recompute=True,
    )
    out += _lie(
        "no logit bias where there was one",
        "TOKEN_MISMATCH",
        lambda d, m: d["request"].update(logit_bias=[]),
        "gqa greedy with logit bias",
        rule="RCPT-4",
        recompute=True,
    )
    return out + _overflow()


def _overflow():
    """A claim on an execution whose outcome is OUT_OF_RANGE: its tokens are right as far as there
    are any."""
    name = "overflow"
    prompt, seed = [9] * 4, vectors_forward._seed(22)
    model = tiny.model("tiny_overflow")
    start = ("tiny_overflow", prompt, vectors_forward.Sampling(94548, seed=seed), (), 5, ())
    vectors_forward.EXECUTIONS[name] = start
    right = vectors_forward.execution(name)
    out = []
    for title, ids, code in (
        ("the overflow comes after the right tokens", right.output + [17, 18, 19], None),
        (
            "a wrong token before the overflow",
            [17] + right.output[1:] + [18, 19, 20],
            "TOKEN_MISMATCH",
        ),
    ):

        def edit(document, m, ids=ids):
            _set_output(ids)(document, m)
            document["request"]["max_tokens"] = 8

        if code is None:
            more = vectors_forward.machine.run(model, prompt, start[2], max_tokens=6).output
            ids[5] = more[5]
        out += _lie(title, code or "OUT_OF_RANGE", edit, name, "RCPT-4", recompute=True)
    del vectors_forward.EXECUTIONS[name]
    return out


def _sessions():
    """RCPT-6: receipts whose signer is the key of the session beside the claim."""
    out = []

    def make(change=lambda d, s: None, claimed=None):
        document = _document(BASE)
        beside = vectors_session.document(unhex(document["request"]["model_root"], 32))
        document["evidence"] = {"kind": "session", "session": beside}
        change(document, beside)
        s = vectors_session.decoded(beside)
        identity = session.session_id(s["session"], s["ledger"])
        document["claim"]["session"] = hexa(claimed or identity)
        return receipt.write(sign(document))

    def add(name, code, data, model=None, recompute=False):
        out.append(_case(name, code, data, model, recompute, "RCPT-6"))

    add("a session", None, make(), MODEL, True)

    def of(**changes):
        def change(document, beside):
            beside["session"].update(changes)
            vectors_session.sign(beside)

        return change

    other, mismatch = Prng("other session").hash(), "SESSION_MISMATCH"
    add("claim of another session", mismatch, make(claimed=other))
    add("claim of no session", mismatch, make(claimed=bytes(32)))
    add("session of another model", mismatch, make(of(model_root=hexa(other))))
    client = hexa(curve.address(CLIENT))
    add("session of another operator", mismatch, make(of(operator=client)))

    def stranger(document, beside):
        beside["session"]["key"] = client
        vectors_session.sign(beside, CLIENT)

    add("session of another key", mismatch, make(stranger))

    def unsigned(document, beside):
        beside["session"]["runtime"] = hexa(other)

    add("statement changed", "SESSION_SIGNATURE", make(unsigned))
    add("session without beacon", "SESSION_INVALID", make(of(beacon=ZERO)))

    def kind(document, beside):
        document["evidence"]["kind"] = "software-key"

    add("session beside a software key", "MALFORMED", make(kind))

    def missing(document, beside):
        del document["evidence"]["session"]

    add("kind session without one", "MALFORMED", make(missing))

    def checkpoint(document, beside):
        document["claim"]["checkpoint"] = "1"

    add("session with a checkpoint and no ledger", "EVIDENCE_MISMATCH", make(checkpoint))

    def on_ledger(number, checkpoint_hash):
        def change(document, beside):
            document["ledger"] = beside["ledger"] = hexa(Prng("ledger").hash())
            vectors_session.sign(beside)
            document["claim"].update(checkpoint=number, checkpoint_hash=hexa(checkpoint_hash))

        return change

    def other_ledger(document, beside):
        document["ledger"] = hexa(Prng("ledger").hash())

    add("a session of a ledger", None, make(on_ledger("0", bytes(32))), MODEL, True)
    add("a session of a ledger, with a checkpoint", None, make(on_ledger("7", other)), MODEL, True)
    hash_alone = make(on_ledger("0", other))
    add("a checkpoint's hash without one", "EVIDENCE_MISMATCH", hash_alone)
    add("session of another ledger", mismatch, make(other_ledger))
    return out


def cases():
    vectors_forward.cases_ready()
    return (
        _accepted()
        + _spellings()
        + _forms()
        + _alone()
        + _token_paths()
        + _with_model()
        + _recomputed()
        + _sessions()
    )
