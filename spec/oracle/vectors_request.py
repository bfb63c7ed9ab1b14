"""Chapters 11 and 12. REQ-1: in {bytes} out {keccak256}; in {ledger} out {domain_separator}; in
{ledger, struct_hash} out {digest}. REQ-2, CLAIM-1, CLAIM-3:
in {ledger, request | claim | claim_hash} out {struct_hash, digest}; prices and u64 are decimal
strings, as in a receipt. REQ-3: in {client, counter} out
{task_id}. REQ-7: in {seed, count} out {seeds}. REQ-4: in {ids} out {root}. REQ-5: in {request, prompt_ids, context, vocabulary} out {}
or a reject. REQ-6: in {private_key, digest} out {address,
signature} (RFC 6979); in {digest, signature} out {address} or a reject."""

from dataclasses import replace

from oracle import curve, protocol
from oracle.case import accept, outcome, refused, wrong
from oracle.encoding import hexa
from oracle.prng import Prng
from oracle.sampling import Sampling, seeds
from oracle.vectors_sampling import show_sampling

ZERO = bytes(32)


def base_request(label="base", **changes):
    random = Prng("request " + label)
    client = random.hash()[:20]
    ids = random.list(5, 0, 299)
    return dict(
        {
            "task_id": protocol.task_id(client, 7),
            "model_root": random.hash(),
            "prompt_root": protocol.prompt_root(ids),
            "prompt_count": len(ids),
            "max_tokens": 16,
            "sampling": Sampling(94548, 40, 60000, 100, 5000, -300, random.hash()),
            "stop": ["\n\n", "END"],
            "price": 10**18 + 1,
            "mode": 0,
            "deadline": 1800000000,
        },
        **changes,
    )


def show(value):
    """Bytes as hexadecimal, prices and u64 as decimal strings."""
    if isinstance(value, dict):
        out = {
            k: str(v) if k in ("price", "deadline", "checkpoint") else show(v)
            for k, v in value.items()
        }
        if "sampling" in out:  # a request: RCPT-1 has the bias beside the sampling
            out["logit_bias"] = out["sampling"].pop("logit_bias")
        return out
    if isinstance(value, Sampling):
        return show_sampling(value)
    return hexa(value) if isinstance(value, bytes) else value


def _struct(rule, name, ledger, member, value, struct_hash):
    right = {"struct_hash": hexa(struct_hash), "digest": hexa(protocol.digest(ledger, struct_hash))}
    return accept(rule, name, {"ledger": hexa(ledger), member: show(value)}, right)


def _digests():
    random, out = Prng("REQ-1"), []
    for n in (0, 1, 55, 135, 136, 137, 272, 500):
        data = bytes(random.list(n, 0, 255))
        out.append(
            accept(
                "REQ-1",
                f"keccak of {n} bytes",
                {"bytes": hexa(data)},
                {"keccak256": hexa(curve.keccak256(data))},
            )
        )
    for ledger in (ZERO, random.hash()):
        out.append(
            accept(
                "REQ-1",
                "domain",
                {"ledger": hexa(ledger)},
                {"domain_separator": hexa(protocol.domain_separator(ledger))},
            )
        )
        struct = random.hash()
        out.append(
            accept(
                "REQ-1",
                "digest",
                {"ledger": hexa(ledger), "struct_hash": hexa(struct)},
                {"digest": hexa(protocol.digest(ledger, struct))},
            )
        )
    base = base_request()
    requests = [
        ("plain", base),
        ("no stop", dict(base, stop=[])),
        ("empty stop string", dict(base, stop=[""])),
        ("UTF-8", dict(base, stop=["é", "😀"])),
        (
            "greatest",
            dict(
                base,
                price=2**256 - 1,
                deadline=2**64 - 1,
                prompt_count=2**32 - 1,
                max_tokens=2**32 - 1,
                mode=255,
            ),
        ),
        ("zeros", dict(base, price=0, deadline=0)),
        ("greedy", dict(base, sampling=Sampling())),
        ("negative", dict(base, sampling=Sampling(0, 0, 1, 0, -(2**20), -1, ZERO))),
        (
            "extremes of i32",
            dict(base, sampling=Sampling(2**32 - 1, 0, 0, 0, -(2**31), 2**31 - 1, ZERO)),
        ),
    ]
    for name, bias in (
        ("one logit bias", [[7, -65536]]),
        ("two logit biases", [[0, 1], [2**32 - 1, 100 * 2**16]]),
        ("300 logit biases", [[3 * j, 5 * j - 700] for j in range(300)]),
        ("extremes of a logit bias, out of order", [[5, 2**31 - 1], [1, -(2**31)]]),
    ):
        sampling = replace(base["sampling"], logit_bias=bias)
        requests.append((name, dict(base, sampling=sampling)))
    for name, request in requests:
        out.append(
            _struct("REQ-2", name, ZERO, "request", request, protocol.request_struct_hash(request))
        )
    ledger = random.hash()
    out.append(
        _struct(
            "REQ-2", "with a ledger", ledger, "request", base, protocol.request_struct_hash(base)
        )
    )
    claim = {
        "request_hash": random.hash(),
        "trace_root": random.hash(),
        "prompt_count": 5,
        "out_count": 3,
        "finish_reason": 3,
        "session": ZERO,
        "checkpoint": 0,
        "checkpoint_hash": ZERO,
    }
    full = dict(claim, session=random.hash(), checkpoint=2**64 - 1, checkpoint_hash=random.hash())
    for name, value in (("plain", claim), ("with a session", full)):
        out.append(
            _struct(
                ["CLAIM-1", "CLAIM-2"] if value is claim else "CLAIM-1",
                name,
                ZERO,
                "claim",
                value,
                protocol.claim_struct_hash(value),
            )
        )
    claim_hash = protocol.digest(ZERO, protocol.claim_struct_hash(claim))
    out.append(
        _struct(
            "CLAIM-3",
            "countersignature",
            ZERO,
            "claim_hash",
            claim_hash,
            protocol.countersignature_struct_hash(claim_hash),
        )
    )
    for client, counter in (
        (bytes(20), 0),
        (random.hash()[:20], 1),
        (random.hash()[:20], 2**64 - 1),
    ):
        out.append(
            accept(
                "REQ-3",
                "task id",
                {"client": hexa(client), "counter": str(counter)},
                {"task_id": hexa(protocol.task_id(client, counter))},
            )
        )
    for count in (1, 2, 5):
        seed = random.hash()
        inputs = {"seed": hexa(seed), "count": count}
        right = {"seeds": [hexa(one) for one in seeds(seed, count)]}
        out.append(accept("REQ-7", f"seeds of {count} answers", inputs, right))
    for n in (1, 2, 5, 64):
        ids = random.list(n, 0, 262143)
        out.append(
            accept("REQ-4", f"{n} ids", {"ids": ids}, {"root": hexa(protocol.prompt_root(ids))})
        )
    out.append(
        wrong(
            "REQ-4",
            "ids swapped",
            {"ids": [1, 2]},
            {"root": hexa(protocol.prompt_root([2, 1]))},
            {"root": hexa(protocol.prompt_root([1, 2]))},
        )
    )
    return out


def _ranges():
    context, vocabulary, out = 300, 4200, []

    def case(name, code, ids=(1, 2, 3), sampling=None, **changes):
        request = base_request(
            prompt_count=len(ids),
            prompt_root=protocol.prompt_root(list(ids)) if ids else ZERO,
            **changes,
        )
        request["sampling"] = replace(Sampling(94548, seed=bytes([3] * 32)), **(sampling or {}))
        inputs = {
            "request": show(request),
            "prompt_ids": list(ids),
            "context": context,
            "vocabulary": vocabulary,
        }

        def check():
            protocol.check_request(request)
            protocol.check_request_for_model(request, list(ids), context, vocabulary)
            return {}

        out.append(
            refused("REQ-5", name, inputs, code, check)
            if code
            else outcome("REQ-5", name, inputs, check)
        )
        assert code or "out" in out[-1], name

    for name, low, high in (
        ("inv_t", 0, 2**24),
        ("top_k", 0, vocabulary),
        ("top_p", 1, 65536),
        ("min_p", 0, 65536),
        ("presence", -(2**20), 2**20),
        ("frequency", -(2**20), 2**20),
    ):
        case(f"least {name}", None, sampling={name: low})
        case(f"greatest {name}", None, sampling={name: high})
        case(f"{name} too great", "REQUEST_INVALID", sampling={name: high + 1})
        if low:
            case(f"{name} too small", "REQUEST_INVALID", sampling={name: low - 1})
    bad = "REQUEST_INVALID"
    case("top_p of 2^32 - 1", bad, sampling={"top_p": 2**32 - 1})
    case("max_tokens 1", None, max_tokens=1)
    case("max_tokens C", None, max_tokens=300)
    case("max_tokens 0", bad, max_tokens=0)
    case("max_tokens C + 1", bad, max_tokens=301)
    case("prompt of C - 1", None, ids=[1] * 299)
    case("prompt of C", bad, ids=[1] * 300)
    case("no prompt", bad, ids=[])
    case("greatest id", None, ids=[4199])
    case("id of V", bad, ids=[1, 4200])
    case("id of 2^32 - 1", bad, ids=[2**32 - 1])
    case("mode 1", None, mode=1)
    for mode in (2, 255):
        case(f"mode {mode}", bad, mode=mode)
    limit = 100 * 2**16
    for name, bias, code in (
        ("one", [[5, -1]], None),
        ("greatest", [[0, limit], [1, -limit], [4199, 1]], None),
        ("300", [[j, 1] for j in range(300)], None),
        ("301", [[j, 1] for j in range(301)], bad),
        ("value 0", [[5, 0]], bad),
        ("value too great", [[5, limit + 1]], bad),
        ("value too small", [[5, -limit - 1]], bad),
        ("least value of i32", [[5, -(2**31)]], bad),
        ("second value too great", [[5, 1], [6, limit + 1]], bad),
        ("descending", [[6, 1], [5, 1]], bad),
        ("twice", [[5, 1], [5, 2]], bad),
        ("id of V", [[4200, 1]], bad),
        ("id of 2^32 - 1", [[5, 1], [2**32 - 1, 1]], bad),
    ):
        case("logit bias: " + name, code, sampling={"logit_bias": bias})
    for name, stop, code in (
        ("none", [], None),
        ("four", ["a", "b", "c", "d"], None),
        ("five", ["a", "b", "c", "d", "e"], bad),
        ("64 bytes", ["é" * 32], None),
        ("65 bytes", ["é" * 32 + "a"], bad),
        ("empty", [""], bad),
        ("twice", ["a", "a"], bad),
        ("descending", ["b", "a"], bad),
        ("prefix first", ["a", "aa"], None),
        ("prefix last", ["aa", "a"], bad),
        ("by bytes, not UTF-16", ["\ue000", "\U00010000"], None),
        ("by UTF-16", ["\U00010000", "\ue000"], bad),
    ):
        case("stop: " + name, code, stop=stop)
    return out


def _signatures():
    random, out = Prng("REQ-6"), []
    keys = [1, 2, curve.ORDER - 1] + [
        int.from_bytes(random.hash(), "big") % curve.ORDER for _ in range(5)
    ]
    digests = [random.hash() for _ in keys]
    digests[3], digests[4] = b"\xff" * 32, ZERO
    for key, digest in zip(keys, digests):
        signature = curve.sign(key, digest)
        right = {"address": hexa(curve.address(key)), "signature": hexa(signature)}
        assert curve.recover(digest, signature, "REQUEST_SIGNATURE") == curve.address(key)
        out.append(
            accept(
                "REQ-6",
                "sign",
                {"private_key": hexa(key.to_bytes(32, "big")), "digest": hexa(digest)},
                right,
            )
        )

    def case(name, digest, signature, code="REQUEST_SIGNATURE"):
        inputs = {"digest": hexa(digest), "signature": hexa(signature)}

        def function():
            return {"address": hexa(curve.recover(digest, signature, "REQUEST_SIGNATURE"))}

        out.append(
            refused("REQ-6", name, inputs, code, function)
            if code
            else outcome("REQ-6", name, inputs, function)
        )
        assert code or "out" in out[-1]

    digest, signature = digests[5], curve.sign(keys[5], digests[5])
    r, s, v = (
        int.from_bytes(signature[:32], "big"),
        int.from_bytes(signature[32:64], "big"),
        signature[64],
    )
    case("recover", digest, signature, None)
    case("other v recovers another address", digest, curve.join(r, s, 55 - v), None)
    case("other digest recovers another address", digests[6], signature, None)
    case("s = n/2", digest, curve.join(r, curve.ORDER // 2, 27), None)
    case("high s", digest, curve.join(r, curve.ORDER - s, 55 - v))
    case("s just above n/2", digest, curve.join(r, curve.ORDER // 2 + 1, 27))
    for name, parts in (
        ("r = 0", (0, s, v)),
        ("s = 0", (r, 0, v)),
        ("r = n", (curve.ORDER, s, v)),
        ("s = n", (r, curve.ORDER, v)),
        ("r + n", (r + curve.ORDER if r + curve.ORDER < 2**256 else 2**256 - 1, s, v)),
        ("v = 0", (r, s, 0)),
        ("v = 1", (r, s, 1)),
        ("v = 26", (r, s, 26)),
        ("v = 29", (r, s, 29)),
        ("v = 255", (r, s, 255)),
    ):
        case(name, digest, curve.join(*parts))
    no_point = next(
        x
        for x in range(1, 100)
        if pow(pow(x, 3, curve.FIELD) + 7, (curve.FIELD - 1) // 2, curve.FIELD) != 1
    )
    case("r is no x of the curve", digest, curve.join(no_point, s, v))
    point = curve.GENERATOR  # with R = G and z = s the recovered key is the point at infinity
    case(
        "point at infinity",
        (12345).to_bytes(32, "big"),
        curve.join(point[0], 12345, 27 + point[1] % 2),
    )
    return out


def cases():
    return _digests() + _ranges() + _signatures()
