"""A ledger with its players for the vectors of chapters 24 to 31: it makes, signs and applies
transactions, and notes each with its outcome as a case."""

from functools import lru_cache

from oracle import artifact, curve, ledger_attention, ledger_call, ledger_claims, ledger_games
from oracle import ledger_money, protocol
from oracle import session as sess, settlement, settlement_state as entries
from oracle import settlement_words as words, tiny, trees
from oracle.encoding import H, Reject, hexa, integers
from oracle.sampling import Sampling
from oracle.ledger_call import NO_HASH
from oracle.tables import spec_hash

ISSUER, SEQUENCER, AUDITOR, GOVERNOR = 1, 2, 3, 4
CLIENT, OPERATOR, OTHER, FISHERMAN = 5, 6, 7, 8
CHECKERS, NOBODY, THIRD, FOURTH, POOR = (9, 10, 11), 12, 13, 14, 15
FIRST_SESSION_KEY = 20
START = 1_790_000_000_000
TRIAL = {
    "window": 4000,
    "post": 2000,
    "force": 4000,
    "draw": 2000,
    "report": 1000,
    "beaconInterval": 1000,
    "beaconDead": 60_000,
    "unbond": 205_001,
    "close": 265_001,
    "workerClock": 60_000,
    "challengerClock": 60_000,
    "maxDemands": 64,
    "drawPpm": 500_000,
    "burnPpm": 500_000,
    "reporterPpm": 300_000,
    "detectionPpm": 50_000,
    "stretch": 4,
    "maxCount": 64,
    "minStake": 1_000_000,
    "challengeBond": 10_001,
    "forceBond": 1_000,
    "modelBond": 100_001,
    "fee": 1,
}
assert ledger_call.longest(TRIAL) == TRIAL["unbond"] == TRIAL["close"] - TRIAL["beaconDead"]


@lru_cache(None)
def address(who):
    return curve.address(who)


def tensor_tiles(model, name):
    """(leaves, joined bytes of a tile by number) of a tensor of the model."""
    t = model.tensors[name]
    rows, cols = t.shape if len(t.shape) == 2 else (1, t.shape[0])
    return trees.tensor_leaves(artifact.DTYPES[t.dtype], rows, cols, t.values)


def list_leaves(model):
    """MODEL-6."""
    return artifact.documents(model) + [root for _, root in artifact.roots_of_tensors(model)]


def beacon_chain(count):
    """Values in the order of revealing, and the anchor before them."""
    chain = [H("OTR.beac", b"vectors")]
    for _ in range(count):
        chain.insert(0, H("OTR.beac", chain[0]))
    return chain[1:], chain[0]


class Batch:
    """A batch with its claims and requests."""

    def __init__(self, number, claims, requests, hashes):
        self.number, self.claims, self.requests, self.hashes = number, claims, requests, hashes

    def path(self, i):
        return trees.open_range(self.hashes, i, i + 1)

    def shown(self, i):
        return {"claim": self.claims[i], "path": self.path(i), "request": self.requests[i]}

    def at(self, i):
        return {"batch": self.number, "index": i}


class Ledger:
    def __init__(self, name, **changes):
        self.cases, self.beacon, self.next_key = [], *self._chain(), FIRST_SESSION_KEY
        genesis = {
            "sequencer": address(SEQUENCER),
            "issuer": address(ISSUER),
            "auditor": address(AUDITOR),
            "governor": address(GOVERNOR),
            "checkers": [address(who) for who in CHECKERS],
            "quorum": 2,
            "beaconAnchor": self.anchor,
            "trial": 1,
            "zeroDomain": 0,
            "time": START,
            "parameters": dict(TRIAL),
        }
        genesis.update(changes)
        self.genesis = words.encode_struct(words.GENESIS, genesis)
        self.state = settlement.genesis_state(self.genesis)
        self.now, self.name = START, name
        self.cases.append(
            {
                "rule": ["SET-4", "SET-6", "SET-9", "GAME-2"],
                "name": f"{name}: genesis",
                "in": {"genesis": hexa(self.genesis)},
                "out": {
                    "id": hexa(self.state["id"]),
                    "digest": hexa(entries.state_digest(self.state)),
                },
            }
        )

    def _chain(self):
        values, self.anchor = beacon_chain(40)
        return (values,)

    def wait(self, ms):
        self.now += ms

    def nonce(self, who):
        return self.state["accounts"].get(address(who), {"nonce": 0})["nonce"]

    def make(self, who, name, members, nonce=None):
        nonce = self.nonce(who) if nonce is None else nonce
        signed = words.transaction_digest(self.state["id"], name, nonce, members)
        return words.encode_transaction(name, nonce, members, curve.sign(who, signed))

    def raw(self, rule, name, data, code=None, append=None):
        """Applies bytes, notes the case, and checks the outcome that is expected."""
        given = {"time": self.now, "transaction": hexa(data)}
        if append:
            given["append"] = append
            data += bytes([append["byte"]]) * append["times"]
        case = {"rule": rule, "name": f"{self.name}: {name}", "in": given}
        before = entries.state_digest(self.state)
        try:
            events = settlement.apply(self.state, data, self.now)
            assert code is None, (name, "was taken instead of", code)
            self.check_funds()
            case["out"] = {
                "events": events,
                "tip": hexa(self.state["tip"]),
                "digest": hexa(entries.state_digest(self.state)),
            }
        except Reject as reject:
            assert reject.code == code, (name, code, str(reject))
            assert entries.state_digest(self.state) == before, name
            case["reject"] = reject.code
        self.cases.append(case)
        return case.get("out", {}).get("events")

    def send(self, rule, who, kind, members=None, code=None, say=""):
        members = members or {}
        name = " ".join(filter(None, [kind, say, code and f"is {code}"]))
        return self.raw(rule, name, self.make(who, kind, members), code)

    def check_funds(self):
        """INV-1 and the half of INV-2 that needs no sums by operator."""
        s = self.state
        held = sum(a["balance"] for a in s["accounts"].values())
        held += sum(o["stake"] + o["unbonding"] for o in s["operators"].values())
        held += sum(c["deposit"] for c in s["channels"].values())
        for table in ("games", "forces", "models", "canaries"):
            held += sum(entry["bond"] for entry in s[table].values())
        held += sum(entry["reward"] for entry in s["canaries"].values())
        assert held == s["minted"] - s["withdrawn"] - s["burned"]
        assert all(o["reserved"] <= o["stake"] for o in s["operators"].values())

    # --- What the players make

    def fund(self, *who, amount=100_000_000):
        for one in who:
            self.send("SET-11", ISSUER, "Mint", {"to": address(one), "amount": amount})

    def registration(self, model):
        leaves = list_leaves(model)
        tokens = tensor_tiles(model, "tokens.bytes")
        data = bytes(model.tensors["tokens.bytes"].values)
        return {
            "root": artifact.model_root(model),
            "config": model.metadata["otr.config"].encode(),
            "tokenBytes": len(data),
            "configPath": trees.open_range(leaves, 0, 1),
            "tokenTile": data[: trees.TILE],
            "tokenPath": trees.open_range(tokens, 0, 1),
            "listPath": trees.open_range(leaves, len(leaves) - 1, len(leaves)),
            "maxPromptTariff": 10,
            "maxOutputTariff": 100,
            "weightsPublished": 1,
        }

    def session(self, who, model_root, runtime=None, **changes):
        """The members of RegisterSession and the session's key."""
        key, self.next_key = self.next_key, self.next_key + 1
        session = {
            "key": address(key),
            "seal_key": bytes([1]) * 32,
            "receipt_key": bytes([2]) * 32,
            "operator": address(who),
            "model_root": model_root,
            "spec_hash": spec_hash(),
            "policy": NO_HASH,
            "runtime": bytes([runtime or who]) * 32,
            "gpu_evidence": NO_HASH,
            "beacon": bytes([3]) * 32,
            "epoch": key,
            "not_before": self.now // 1000 - 1,
            "expiry": self.now // 1000 + 86_400,
        }
        session.update(changes)
        return self.signed_session(session, key), key

    def claims_ledger(self):
        return NO_HASH if self.state["genesis"]["zeroDomain"] else self.state["id"]

    def signed_session(self, session, key, evidence=bytes([9]) * 32, **tariffs):
        identity = sess.session_id(session, self.claims_ledger())
        words_ = ledger_money.registration_digest(self.claims_ledger(), identity, evidence)
        members = {"session": session, "evidence": evidence, "promptTariff": 2, "outputTariff": 10}
        members.update(tariffs, signature=curve.sign(key, words_))
        return members

    def session_id(self, members):
        return sess.session_id(members["session"], self.claims_ledger())

    def open_session(self, who, model_root, runtime=None):
        members, key = self.session(who, model_root, runtime)
        self.send("SET-18", who, "RegisterSession", members)
        return self.session_id(members), key

    def request(self, counter, model_root, **changes):
        client = address(CLIENT)
        made = {
            "client": client,
            "counter": counter,
            "task_id": protocol.task_id(client, counter),
            "model_root": model_root,
            "prompt_root": bytes([9]) * 32,
            "prompt_count": 3,
            "max_tokens": 5,
            "sampling": Sampling(),
            "stop": [],
            "price": 1000,
            "mode": 0,
            "deadline": 1_800_000_000,
        }
        made.update(changes)
        return made

    def request_hash(self, request):
        return protocol.digest(self.claims_ledger(), protocol.request_struct_hash(request))

    def claim_hash(self, claim):
        return protocol.digest(self.claims_ledger(), protocol.claim_struct_hash(claim))

    def claim(self, request, session, **changes):
        made = {
            "request_hash": self.request_hash(request),
            "trace_root": bytes([7]) * 32,
            "prompt_count": request["prompt_count"],
            "out_count": 4,
            "finish_reason": 1,
            "session": session,
            "checkpoint": 0,
            "checkpoint_hash": NO_HASH,
        }
        made.update(changes)
        return made

    def batch(self, claims, requests):
        return Batch(0, claims, requests, [self.claim_hash(c) for c in claims])

    def make_batch(self, session, count, counter, mode=0):
        root = self.state["sessions"][session]["session"]["model_root"]
        requests = [self.request(counter + i, root, mode=mode) for i in range(count)]
        return self.batch([self.claim(r, session) for r in requests], requests)

    def posting(self, who, session, batch, value=100, **changes):
        operator = self.state["operators"].get(address(who), {"next_sequence": 0})
        members = {
            "session": session,
            "sequence": operator["next_sequence"],
            "root": ledger_call.batch_root(batch.hashes),
            "count": len(batch.hashes),
            "value": value,
        }
        members.update(changes)
        return members

    def post(self, who, session, batch, value=100, rule=("SET-20", "SET-21", "SET-22")):
        self.send(list(rule), who, "PostBatch", self.posting(who, session, batch, value))
        batch.number = len(self.state["batches"])
        return batch

    def post_some(self, who, session, count, counter, value=100, mode=0):
        return self.post(who, session, self.make_batch(session, count, counter, mode), value)

    def checkpoint(self):
        s = self.state
        members = {"height": s["height"], "tip": s["tip"], "digest": entries.state_digest(s)}
        self.send("SET-34", SEQUENCER, "Checkpoint", members)

    def reveal_members(self):
        s = self.state
        number = s["checkpoint_count"]
        return {
            "round": s["revealed_round"] + 1,
            "value": self.beacon[s["revealed_round"]],
            "checkpoint": number,
            "tip": s["checkpoints"][number]["tip"] if number else NO_HASH,
        }

    def reveal(self):
        self.wait(1000)
        self.checkpoint()
        self.send("SET-29", AUDITOR, "Reveal", self.reveal_members())

    def reveal_round_of(self, batch):
        while self.state["revealed_round"] < self.state["batches"][batch.number]["round"]:
            self.reveal()

    def will_draw(self, batch, index):
        """Of a batch that is posted next."""
        value = self.beacon[self.state["revealed_round"] + 1]
        root = ledger_call.batch_root(batch.hashes)
        x = H("OTR.draw", value, root, index.to_bytes(8, "little"))
        return int.from_bytes(x, "big") * ledger_call.MILLION < TRIAL["drawPpm"] * 2**256

    def drawn(self, batch):
        """(indices that are drawn, those that are not)."""
        call = ledger_call.Call(self.state, address(AUDITOR), self.now)
        entry = self.state["batches"][batch.number]
        out = ([], [])
        for i in range(entry["count"]):
            out[not call.is_drawn(entry, i)].append(i)
        return out

    def countersign(self, claim, who):
        words_ = protocol.countersignature_struct_hash(self.claim_hash(claim))
        return curve.sign(who, protocol.digest(self.claims_ledger(), words_))

    def forced(self, batch, i, who, key):
        claim, request = batch.claims[i], batch.requests[i]
        return {
            "claim": claim,
            "claimSignature": curve.sign(key, self.claim_hash(claim)),
            "countersignature": self.countersign(claim, who),
            "request": request,
            "requestSignature": curve.sign(CLIENT, self.request_hash(request)),
        }

    def owner(self, batch):
        """Whose batch it is."""
        to = self.state["batches"][batch.number]["operator"]
        return next(who for who in (OPERATOR, OTHER, THIRD, FOURTH) if address(who) == to)

    def settling(self, batch, i, key=CLIENT):
        claim = batch.claims[i]
        sessions_key = self.state["sessions"][claim["session"]]["session"]["epoch"]
        return dict(
            batch.at(i),
            **batch.shown(i),
            requestSignature=curve.sign(key, self.request_hash(batch.requests[i])),
            claimSignature=curve.sign(sessions_key, self.claim_hash(claim)),
        )

    def voucher(self, who, through, cumulative, epoch=0, key=CLIENT):
        words_ = ledger_money.voucher_digest(
            self.state["id"], address(who), epoch, through, cumulative
        )
        return {
            "client": address(CLIENT),
            "through": through,
            "cumulative": cumulative,
            "signature": curve.sign(key, words_),
        }

    def commitment(self, batch, sequence, leaf, who=FOURTH, funder=CLIENT):
        """Of the first claim of a batch of `who`."""
        return ledger_attention.commitment_of(
            address(funder),
            address(who),
            sequence,
            bytes([6]) * 32,
            batch.hashes[0],
            ledger_games.leaf_hash(leaf),
        )

    def canary(self, batch, leaf, key=CLIENT, who=FOURTH):
        """The members of RevealCanary, of a posted batch."""
        sequence = self.state["batches"][batch.number]["sequence"]
        words_ = ledger_attention.consent_digest(
            self.state["id"], self.commitment(batch, sequence, leaf, who)
        )
        return {
            "salt": bytes([6]) * 32,
            "leaf": ledger_games.leaf_hash(leaf),
            "batch": batch.number,
            "claim": batch.claims[0],
            "request": batch.requests[0],
            "consent": curve.sign(key, words_),
            "operatorConsent": curve.sign(who, words_),
        }

    def answering(self, batch, i, lane=2, named=bytes([5]) * 32):
        shown = {"claimHash": batch.hashes[i], "path": batch.path(i), "lane": lane}
        return dict(batch.at(i), **shown, digest=named)

    def checking(self, batch, i, signers, lane=2, named=bytes([5]) * 32):
        round_ = self.state["batches"][batch.number]["round"]
        words_ = ledger_claims.check_digest(
            self.state["id"], batch.hashes[i], lane, named, round_
        )
        members = self.answering(batch, i, lane, named)
        return dict(members, signatures=[curve.sign(who, words_) for who in signers])


def void_model():
    """tiny_norm with one scale of 0, which MODEL-4 forbids: (model, tensor's name)."""
    good, name = tiny.model("tiny_norm"), "layers.1.wo.scale"
    tensors = dict(good.tensors)
    values = list(tensors[name].values)
    values[3] = 0
    tensors[name] = artifact.Tensor(tensors[name].dtype, tensors[name].shape, values)
    return artifact.Model(good.config, good.metadata, tensors), name


def voiding(model, name, tile=0):
    """The members of VoidModel for one tile of a tensor."""
    t = model.tensors[name]
    number = list(model.tensors).index(name)
    rows, cols = t.shape if len(t.shape) == 2 else (1, t.shape[0])
    assert rows == 1 or cols <= trees.TILE
    width = cols if rows > 1 else trees.TILE
    values = t.values[tile * width : (tile + 1) * width]
    leaves, above = tensor_tiles(model, name), list_leaves(model)
    return {
        "root": artifact.model_root(model),
        "tensor": number,
        "tile": tile,
        "bytes": integers(artifact.DTYPES[t.dtype], values),
        "path": trees.open_range(leaves, tile, tile + 1),
        "listPath": trees.open_range(above, 3 + number, 4 + number),
    }
