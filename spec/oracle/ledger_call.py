"""SPEC chapters 27 and 28: parameters, and what the rules of a ledger share."""

from oracle import game as play, protocol, settlement_state as entries, trees
from oracle.curve import recover
from oracle.encoding import H, integer, require
from oracle.protocol import digest
from oracle.settlement_state import empty

MILLION, MAX_SUPPLY, MAX_VALUE, MAX_TARIFF, MAX_BATCH = 10**6, 2**62, 2**40, 2**30, 4096
SECOND, DAY = 1000, 86_400_000
MINUTE, MONTH, NO_HASH, NOBODY = 60 * SECOND, 30 * DAY, bytes(32), bytes(20)
OPEN, FINAL, VOID = 1, 2, 3
DEMANDED, PLAYING, ENDED = 1, 2, 3
F_OPEN, F_ANSWERED, F_MISSED, F_REFUNDED = 1, 2, 3, 4
C_OPEN, C_REVEALED, C_MISSED = 1, 2, 3
KEPT_CHECKPOINTS = 1024


def longest_game(p):
    """GAME-10, and the millisecond at which it may be closed."""
    return p["workerClock"] + p["challengerClock"] + 1


def longest(p):
    head = p["post"] + p["force"] + p["stretch"] * p["window"] + p["draw"] + p["report"]
    return head + p["workerClock"] + longest_game(p)


def check_parameters(p, trial):
    """SET-9."""
    least = SECOND if trial else 10 * MINUTE
    reveal = 500 if trial else 10 * SECOND
    bounds = {
        "window": (least, MONTH),
        "post": (least, MONTH),
        "force": (p["post"], MONTH),
        "draw": (least, MONTH),
        "report": (least, MONTH),
        "beaconInterval": (SECOND, DAY),
        "beaconDead": (max(MINUTE, 3 * p["beaconInterval"] + p["draw"]), MONTH),
        "maxDemands": (64, min(4096, p["workerClock"] // reveal)),
        "drawPpm": (0, MILLION),
        "burnPpm": (MILLION // 5, MILLION),
        "reporterPpm": (0, MILLION - p["burnPpm"]),
        "detectionPpm": (1, MILLION),
        "stretch": (1, 16),
        "maxCount": (1, MAX_BATCH),
        "minStake": (1, MAX_SUPPLY),
        "challengeBond": (1, 2**40),
        "forceBond": (1, p["challengeBond"]),
        "modelBond": (0, 2**40),
        "fee": (0, 2**40),
    }
    for name, (low, high) in bounds.items():
        require(low <= p[name] <= high, "BAD_PARAMETERS", name)
    play.check_parameters(p["workerClock"], p["challengerClock"], p["maxDemands"])
    for name, late in (("unbond", 0), ("close", p["beaconDead"])):
        require(longest(p) + late <= p[name] <= 100 * MONTH, "BAD_PARAMETERS", name)


def reserve_of(p, value):
    """SET-21."""
    return -(-value * MILLION**2 // (p["burnPpm"] * p["detectionPpm"]))


def split_of(p, amount):
    """SET-33: burned, reporter, client."""
    burned = -(-amount * p["burnPpm"] // MILLION)
    reporter = min(amount * p["reporterPpm"] // MILLION, amount - burned)
    return burned, reporter, amount - burned - reporter


def split_of_slash(o, p):
    """SET-33: never less burned than the batches that it stood for were promised."""
    p = dict(p, burnPpm=max(p["burnPpm"], o["burn_ppm"]))
    return split_of(p, o["stake"] + o["unbonding"])


class Call:
    """One transaction on a state, and what rules share."""

    def __init__(self, state, signer, now):
        self.s, self.signer, self.now, self.events = state, signer, now, []
        g = state["genesis"]
        roles = (g["sequencer"], g["issuer"], g["auditor"], g["governor"])
        self.ledger = NO_HASH if g["zeroDomain"] else state["id"]  # SET-5
        self.fee = 0 if signer in roles else self.parameters["fee"]

    def emit(self, name):
        self.events.append(name)

    @property
    def account(self):
        return self.s["accounts"][self.signer]

    @property
    def parameters(self):
        """Those in force."""
        pending = self.s["pending"]
        if pending and pending["effective_at"] <= self.now:
            return pending["parameters"]
        return self.s["parameters"][self.s["current_parameters"]]

    def promote(self):
        """SET-10."""
        pending = self.s["pending"]
        if pending and pending["effective_at"] <= self.now:
            self.s["current_parameters"] += 1
            self.s["parameters"][self.s["current_parameters"]] = pending["parameters"]
            self.s["pending"] = None

    def of_batch(self, batch):
        return self.s["parameters"][batch["snapshot"]]

    def role(self, who):
        require(self.signer == who, "NOT_ALLOWED")

    def spend(self, amount):
        require(amount > 0, "BAD_AMOUNT", "0")
        require(amount <= self.account["balance"] - self.fee, "INSUFFICIENT")

    def credit(self, to, amount):
        if amount:
            account = self.s["accounts"].setdefault(to, {"balance": 0, "nonce": 0})
            account["balance"] += amount

    def burn(self, amount):
        if amount:
            self.s["burned"] += amount
            self.emit("Burned")

    def known(self, table, key):
        require(key in self.s[table], "UNKNOWN", table)
        return self.s[table][key]

    def batch_of(self, m):
        batch = self.known("batches", m["batch"])
        require(m["index"] < batch["count"], "UNKNOWN", "index")
        return batch

    def operator_of(self, batch):
        return self.s["operators"][batch["operator"]]

    def session_of(self, batch):
        return self.s["sessions"][batch["session"]]

    def revoked_at(self, entry):
        """SET-19."""
        runtime = self.s["revoked_runtimes"].get(entry["session"]["runtime"], 0)
        times = [t for t in (runtime, entry["revoked_at"]) if t]
        return min(times) if times else 0

    def end_of(self, entry):
        """SET-20: the last millisecond of a session."""
        times = (entry["ended_at"], self.model_of(entry)["voided_at"])
        return min([entry["session"]["expiry"] * 1000] + [t for t in times if t])

    def needs_checks(self, batch):
        """SET-15, SET-19."""
        revoked = self.revoked_at(self.session_of(batch))
        return revoked != 0 and (batch["status"] != FINAL or revoked <= batch["final_at"])

    def model_of(self, entry):
        return self.s["models"][entry["session"]["model_root"]]

    def is_void(self, batch):
        """SET-25."""
        if batch["status"] != OPEN:
            return batch["status"] == VOID
        return self.operator_of(batch)["epoch"] != batch["epoch"]

    def is_fallen(self, batch):
        return self.is_void(batch) or self.operator_of(batch)["epoch"] != batch["epoch"]

    def window_end(self, batch):
        """SET-23."""
        p = self.of_batch(batch)
        emergency = self.revoked_at(self.session_of(batch)) != 0
        return batch["posted_at"] + p["window"] * (p["stretch"] if emergency else 1)

    def is_drawn(self, batch, index):
        """SET-29."""
        beacon = self.s["beacon"].get(batch["round"])
        if beacon is None:
            return False
        x = H("OTR.draw", beacon["value"], batch["root"], integer("u64", index))
        ppm = self.of_batch(batch)["drawPpm"]
        return int.from_bytes(x, "big") * MILLION < ppm * 2**256

    def is_final(self, m):
        """SET-26."""
        if self.s["batches"][m["batch"]]["status"] != FINAL:
            return False
        entry = self.s["claims"].get((m["batch"], m["index"]))
        return entry is None or (entry["open_games"] == 0 and not entry["refuted"])

    def claim_entry(self, m):
        key = (m["batch"], m["index"])
        return self.s["claims"].get(key) or empty(entries.CLAIM_ENTRY)

    def leaf(self, batch, m, claim_hash):
        """SET-20."""
        i = m["index"]
        top = trees.top_of_range(batch["count"], i, i + 1, [claim_hash], m["path"])
        require(batch_root_of(batch["count"], top) == batch["root"], "PATH_INVALID", "batch")

    def claim_hash(self, claim):
        return digest(self.ledger, protocol.claim_struct_hash(claim))

    def request_hash(self, request):
        return digest(self.ledger, protocol.request_struct_hash(request))

    def belongs(self, claim, request, session_id):
        session = self.s["sessions"][session_id]["session"]
        good = claim["session"] == session_id and request["model_root"] == session["model_root"]
        require(good, "SESSION_MISMATCH")

    def checkpoint(self, claim, session_id):
        """SET-34, of a claim."""
        if claim["checkpoint"] == 0 and claim["checkpoint_hash"] == NO_HASH:
            return
        known = self.s["checkpoints"].get(claim["checkpoint"])
        session = self.s["sessions"][session_id]["session"]
        good = known is not None and known["tip"] == claim["checkpoint_hash"]
        first, last = session["not_before"] * 1000, session["expiry"] * 1000
        require(good and first <= known["time"] <= last, "CHECKPOINT_MISMATCH")

    def attribution(self, batch):
        """SET-35."""
        model = self.session_of(batch)["session"]["model_root"]
        key = (batch["operator"], model, batch["posted_at"] // DAY)
        return self.s["attributions"].setdefault(key, empty(entries.ATTRIBUTION))

    def slash(self, operator, p, reporter, client):
        """SET-33."""
        o = self.s["operators"][operator]
        burned, to_reporter, to_client = split_of_slash(o, p)
        o.update(stake=0, reserved=0, unbonding=0, burn_ppm=0)
        o["epoch"] += 1
        o["finalised"] = o["next_sequence"]
        self.credit(reporter, to_reporter)
        self.emit("Slashed")
        if client in (None, NOBODY):
            burned += to_client
        else:
            self.credit(client, to_client)
        self.burn(burned)


def batch_root_of(count, top):
    return H("OTR.btch", integer("u64", count), top)


def batch_root(hashes):
    """SET-20."""
    return batch_root_of(len(hashes), trees.top(hashes))


def signed(signed_digest, signature, by, code):
    require(recover(signed_digest, signature, code) == by, code)
