"""Sessions (chapter 19). SESS-1: in {ledger, session} out {struct_hash, id}. SESS-2: in {document}
out {digest}. SESS-3: in {ledger, session, nonce, gpu} out {report_data, gpu_nonce}. SESS-5 and
SESS-6: in {document: its text} out {} or a reject."""

import base64
import copy

from oracle import curve, receipt, session
from oracle.case import accept, outcome, refused
from oracle.encoding import hexa
from oracle.prng import Prng
from oracle.tables import spec_hash


def _key(name):
    return int.from_bytes(Prng("key " + name).hash(), "big") % curve.ORDER


ENCLAVE, OPERATOR = _key("session"), _key("operator")


def statement(model_root):
    random = Prng("session")
    return {
        "key": hexa(curve.address(ENCLAVE)),
        "seal_key": hexa(random.hash()),
        "receipt_key": hexa(random.hash()),
        "operator": hexa(curve.address(OPERATOR)),
        "model_root": hexa(model_root),
        "spec_hash": hexa(spec_hash()),
        "policy": hexa(bytes(32)),
        "runtime": hexa(random.hash()),
        "gpu_evidence": hexa(bytes(32)),
        "beacon": hexa(random.hash()),
        "epoch": "18446744073709551615",
        "not_before": "1790000000",
        "expiry": "1790086400",
    }


def decoded(document):
    return receipt._decode(session.FORM, document, "session")


def sign(document, key=ENCLAVE):
    document["signature"] = hexa(bytes(65))
    signature = curve.sign(key, session.registration_digest(decoded(document)))
    document["signature"] = hexa(signature)
    return document


def document(model_root=bytes(range(32))):
    items = [("quote.bin", b"evidence of nothing"), ("", bytes(range(256)))]
    return sign(
        {
            "evidence": [
                {"data": base64.b64encode(data).decode(), "name": name} for name, data in items
            ],
            "format": session.FORMAT,
            "ledger": hexa(bytes(32)),
            "nonce": hexa(Prng("nonce").hash()),
            "session": statement(model_root),
        }
    )


def _digests():
    out = []
    for ledger in (bytes(32), Prng("ledger").hash()):
        for zero in (False, True):
            shown = document()
            if zero:
                shown["session"].update(
                    {name: hexa(bytes(32)) for name in ("runtime", "beacon", "seal_key")}
                )
            shown["ledger"] = hexa(ledger)
            d = decoded(shown)
            s = d["session"]
            inputs = {"ledger": hexa(ledger), "session": shown["session"]}
            words = {
                "struct_hash": hexa(session.struct_hash(s)),
                "id": hexa(session.session_id(s, ledger)),
            }
            name = "with zeros" if zero else "all members"
            out.append(accept("SESS-1", name, inputs, words))
            digest = {"digest": hexa(session.registration_digest(d))}
            out.append(accept("SESS-2", name, {"document": shown}, digest))
            for gpu in (0, 15):
                data = session.report_data(session.session_id(s, ledger), d["nonce"])
                bound = {
                    "report_data": hexa(data),
                    "gpu_nonce": hexa(session.gpu_nonce(s, ledger, gpu)),
                }
                more = dict(inputs, nonce=shown["nonce"], gpu=gpu)
                out.append(accept("SESS-3", f"{name}, GPU {gpu}", more, bound))
    return out


def _documents():
    out = []

    def add(rule, name, code, data):
        text = data if isinstance(data, bytes) else session.write(data)

        def check():
            session.check_alone(session.read(text, receipt._decode))
            return {}

        inputs = {"document": text.decode("utf-8")}
        if code:
            out.append(refused(rule, name, inputs, code, check))
            return
        out.append(outcome(rule, name, inputs, check))
        assert "out" in out[-1], out[-1]

    def edited(*path_and_value, again=True):
        *path, value = path_and_value
        one = copy.deepcopy(document())
        place = one
        for part in path[:-1]:
            place = place[part]
        if value is None:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        return sign(one) if again else one

    zero, bad = hexa(bytes(32)), "SESSION_INVALID"
    add(["SESS-5", "SESS-6"], "a document", None, document())
    add("SESS-6", "thirty days", None, edited("session", "expiry", str(1790000000 + 30 * 86400)))
    late = str(1790000000 + 30 * 86400 + 1)
    add("SESS-6", "a second more", bad, edited("session", "expiry", late))
    add("SESS-6", "no time", bad, edited("session", "expiry", "1790000000"))
    add("SESS-6", "backwards", bad, edited("session", "expiry", "1"))
    add("SESS-6", "a ledger", None, edited("ledger", hexa(Prng("ledger").hash())))
    add("SESS-6", "a policy", bad, edited("session", "policy", hexa(Prng("policy").hash())))
    for name in ("seal_key", "receipt_key", "beacon"):
        add("SESS-6", f"zero {name}", bad, edited("session", name, zero))
    operator = statement(bytes(32))["key"]
    add("SESS-6", "operator is the session", bad, edited("session", "operator", operator))
    other = edited("session", "spec_hash", zero)
    add("SESS-6", "another SPEC", "SPEC_MISMATCH", other)
    wrong = "SESSION_SIGNATURE"
    add("SESS-6", "signed by the operator", wrong, sign(document(), OPERATOR))
    for name in ("model_root", "runtime", "gpu_evidence", "beacon", "receipt_key"):
        value = hexa(Prng("other " + name).hash())
        add("SESS-6", f"another {name}", wrong, edited("session", name, value, again=False))
    for name in ("epoch", "not_before"):
        add("SESS-6", f"another {name}", wrong, edited("session", name, "1789999999", again=False))
    add("SESS-6", "another nonce", wrong, edited("nonce", zero, again=False))
    add("SESS-6", "another name", wrong, edited("evidence", 0, "name", "x", again=False))
    add("SESS-6", "another item", wrong, edited("evidence", 0, "data", "AAAA", again=False))
    items = document()["evidence"]
    add("SESS-6", "items swapped", wrong, edited("evidence", items[::-1], again=False))
    add("SESS-6", "an item less", wrong, edited("evidence", items[:1], again=False))
    form = "MALFORMED"
    for name in ("evidence", "format", "ledger", "nonce", "session", "signature"):
        add("SESS-5", f"no {name}", form, edited(name, None, again=False))
    for name in session.NAMES:
        add("SESS-5", f"no {name}", form, edited("session", name, None, again=False))
    add("SESS-5", "no evidence in it", form, edited("evidence", [], again=False))
    add("SESS-5", "65 items", form, edited("evidence", items[:1] * 65, again=False))
    add("SESS-5", "64 items", None, edited("evidence", items[:1] * 64))
    for name, data in (("empty", ""), ("unpadded", "AAA"), ("no base64", "A?=="), ("bits", "AB==")):
        add("SESS-5", f"data: {name}", form, edited("evidence", 0, "data", data, again=False))
    add("SESS-5", "name of 101 bytes", form, edited("evidence", 0, "name", "n" * 101, again=False))
    add("SESS-5", "name of 100 bytes", None, edited("evidence", 0, "name", "n" * 100))
    add("SESS-5", "another format", form, edited("format", "otr-session/2", again=False))
    add("SESS-5", "epoch as number", form, edited("session", "epoch", 1, again=False))
    add("SESS-5", "no line feed", "NOT_CANONICAL", session.write(document())[:-1])
    add("SESS-5", "white space", "NOT_CANONICAL", b" " + session.write(document()))
    return out


def cases():
    return _digests() + _documents()
