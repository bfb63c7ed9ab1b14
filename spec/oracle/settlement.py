"""SPEC chapters 27 to 30: the ledger as one function.

The state is a dictionary in the form of settlement_words.STATE. `apply(state, data, now)` gives the
names of the events, or raises Reject and has changed nothing.
"""

from oracle import game as play, protocol, referee, session as sess, settlement_words as words, trees
from oracle.curve import recover
from oracle.encoding import H, Reject, integer, require
from oracle.protocol import digest, encode_type, hash_struct
from oracle.settlement_words import empty
from oracle.tables import spec_hash

MILLION, MAX_SUPPLY, MAX_VALUE, MAX_TARIFF, MAX_BATCH = 10**6, 2**62, 2**40, 2**30, 4096
SECOND, DAY = 1000, 86_400_000
MINUTE, MONTH, NO_HASH, NOBODY = 60 * SECOND, 30 * DAY, bytes(32), bytes(20)
OPEN, FINAL, VOID = 1, 2, 3
DEMANDED, PLAYING, ENDED = 1, 2, 3
F_OPEN, F_ANSWERED, F_MISSED, F_REFUNDED = 1, 2, 3, 4
KEPT_CHECKPOINTS = 1024

VOUCHER = (
    ("address", "operator"),
    ("uint64", "epoch"),
    ("uint64", "through"),
    ("uint64", "cumulative"),
)
CHECK = (("bytes32", "claimHash"), ("uint8", "lane"), ("bytes32", "digest"), ("uint64", "round"))


# --- Parameters (SET-9)

def longest_game(p):
    """GAME-10, and the millisecond at which it may be closed."""
    return p["workerClock"] + p["challengerClock"] + 1


def longest(p):
    head = p["post"] + p["force"] + p["stretch"] * p["window"] + p["draw"] + p["report"]
    return head + p["workerClock"] + longest_game(p)


def check_parameters(p, trial):
    """SET-9."""
    least = SECOND if trial else 10 * MINUTE
    bounds = {
        "window": (least, MONTH),
        "post": (least, MONTH),
        "force": (p["post"], MONTH),
        "draw": (least, MONTH),
        "report": (least, MONTH),
        "beaconInterval": (SECOND, DAY),
        "beaconDead": (MINUTE, MONTH),
        "maxDemands": (64, 4096),
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
    for name in ("unbond", "close"):
        require(longest(p) <= p[name] <= 100 * MONTH, "BAD_PARAMETERS", name)


def reserve_of(p, value):
    """SET-21."""
    return -(-value * MILLION**2 // (p["burnPpm"] * p["detectionPpm"]))


def split_of(p, amount):
    """SET-33: burned, reporter, client."""
    burned = -(-amount * p["burnPpm"] // MILLION)
    reporter = min(amount * p["reporterPpm"] // MILLION, amount - burned)
    return burned, reporter, amount - burned - reporter


# --- State

def genesis_state(data):
    """SET-4."""
    reader = words.Reader(data)
    g = reader.struct(words.GENESIS)
    reader.end()
    check_parameters(g["parameters"], g["trial"])
    count = len(g["checkers"])
    good = g["trial"] <= 1 and g["zeroDomain"] <= 1 and len(set(g["checkers"])) == count
    good = good and (1 <= g["quorum"] <= count if count else g["quorum"] == 0)
    require(good, "BAD_PARAMETERS", "genesis")
    state = {name: {} if isinstance(kind, tuple) and kind[0] == "map" else 0
             for name, kind in words.STATE}
    state.update(
        id=words.ledger_id(data),
        genesis=g,
        tip=words.ledger_id(data),
        time=g["time"],
        last_reveal_at=g["time"],
        parameters={0: g["parameters"]},
        pending=None,
        beacon_anchor=g["beaconAnchor"],
        session_keys=set(),
        settled_requests=set(),
        equivocations=set(),
    )
    for role in ("sequencer", "issuer", "auditor", "governor"):
        state["accounts"][g[role]] = {"balance": 0, "nonce": 0}
    return state


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

    def model_of(self, entry):
        return self.s["models"][entry["session"]["model_root"]]

    def is_void(self, batch):
        """SET-25."""
        if batch["status"] != OPEN:
            return batch["status"] == VOID
        stale = self.operator_of(batch)["epoch"] != batch["epoch"]
        return stale or self.model_of(self.session_of(batch))["is_void"]

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
        return self.s["claims"].get(key) or empty(words.CLAIM_ENTRY)

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
        return self.s["attributions"].setdefault(key, empty(words.ATTRIBUTION))

    def slash(self, operator, p, reporter, client):
        """SET-33."""
        o = self.s["operators"][operator]
        burned, to_reporter, to_client = split_of(p, o["stake"] + o["unbonding"])
        o.update(stake=0, reserved=0, unbonding=0)
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


def apply(state, data, clock):
    """SET-7: the events."""
    name, nonce, members, signature = words.decode_transaction(data)
    signed_words = words.transaction_digest(state["id"], name, nonce, members)
    signer = recover(signed_words, signature, "TX_SIGNATURE")
    now = max(clock, state["time"])
    require(signer in state["accounts"], "NO_ACCOUNT")
    account = state["accounts"][signer]
    require(nonce == account["nonce"], "NONCE")
    call = Call(state, signer, now)
    require(account["balance"] >= call.fee, "INSUFFICIENT", "fee")
    RULES[name](call, members)
    account["balance"] -= call.fee
    account["nonce"] += 1
    state["burned"] += call.fee
    state["height"] += 1
    state["tip"] = words.next_tip(state["tip"], state["height"], now, data)
    state["time"] = now
    return call.events


# --- Money (SET-10 to SET-15)

def mint(call, m):
    call.role(call.s["genesis"]["issuer"])
    good = 0 < m["amount"] <= MAX_SUPPLY - call.s["minted"] and m["to"] != NOBODY
    require(good, "BAD_AMOUNT")
    call.s["minted"] += m["amount"]
    call.credit(m["to"], m["amount"])
    call.emit("Minted")


def withdraw(call, m):
    call.spend(m["amount"])
    call.account["balance"] -= m["amount"]
    call.s["withdrawn"] += m["amount"]
    call.emit("Withdrawn")


def transfer(call, m):
    call.spend(m["amount"])
    require(m["to"] != NOBODY, "BAD_AMOUNT")
    call.account["balance"] -= m["amount"]
    call.credit(m["to"], m["amount"])
    call.emit("Transferred")


def stake(call, m):
    call.spend(m["amount"])
    call.account["balance"] -= m["amount"]
    o = call.s["operators"].setdefault(call.signer, empty(words.OPERATOR))
    o["stake"] += m["amount"]
    call.emit("Staked")


def unstake(call, m):
    o = call.known("operators", call.signer)
    require(0 < m["amount"] <= o["stake"] - o["reserved"], "INSUFFICIENT")
    o["stake"] -= m["amount"]
    o["unbonding"] += m["amount"]
    o["release_at"] = call.now + call.parameters["unbond"]
    call.emit("Unbonding")


def release(call, _):
    o = call.known("operators", call.signer)
    require(o["unbonding"] > 0, "BAD_STATE")
    require(call.now >= o["release_at"], "TOO_EARLY")
    call.account["balance"] += o["unbonding"]
    o["unbonding"] = 0
    call.emit("Released")


def deposit(call, m):
    call.spend(m["amount"])
    o = call.known("operators", m["operator"])
    key = (call.signer, m["operator"])
    channel = call.s["channels"].get(key) or empty(words.CHANNEL)
    require(channel["closes_at"] == 0, "BAD_STATE")
    call.account["balance"] -= m["amount"]
    channel["deposit"] += m["amount"]
    channel["epoch"] = o["epoch"]
    call.s["channels"][key] = channel
    call.emit("Deposited")


def close(call, m):
    channel = call.known("channels", (call.signer, m["operator"]))
    require(channel["closes_at"] == 0, "BAD_STATE")
    channel["closes_at"] = call.now + call.parameters["close"]
    call.emit("Closing")


def refund(call, m):
    channel = call.known("channels", (call.signer, m["operator"]))
    o = call.s["operators"][m["operator"]]
    forfeit = channel["epoch"] != o["epoch"] or o["stake"] == 0
    closed = 0 < channel["closes_at"] <= call.now
    require(forfeit or closed, "TOO_EARLY")
    call.account["balance"] += channel["deposit"]
    channel.update(deposit=0, closes_at=0)
    call.emit("Refunded")


def voucher_digest(ledger, operator, epoch, through, cumulative):
    text = encode_type("Voucher", VOUCHER)
    return digest(ledger, hash_struct(text, VOUCHER, [operator, epoch, through, cumulative]))


def redeem(call, m):
    channel = call.known("channels", (m["client"], call.signer))
    o = call.known("operators", call.signer)
    batch = call.known("batches", m["through"])
    require(channel["epoch"] == batch["epoch"] == o["epoch"], "STALE_EPOCH")
    own = batch["operator"] == call.signer and batch["status"] == FINAL
    require(own, "TOO_EARLY")
    words_ = voucher_digest(
        call.s["id"], call.signer, o["epoch"], m["through"], m["cumulative"]
    )
    signed(words_, m["signature"], m["client"], "VOUCHER_SIGNATURE")
    require(m["cumulative"] > channel["paid"], "BAD_AMOUNT")
    amount = m["cumulative"] - channel["paid"]
    require(amount <= channel["deposit"], "INSUFFICIENT")
    channel["deposit"] -= amount
    channel["paid"] = m["cumulative"]
    channel["covered"] = max(channel["covered"], batch["sequence"] + 1)
    call.account["balance"] += amount
    call.attribution(batch)["amount"] += amount
    call.emit("Redeemed")


def settle(call, m):
    batch = call.batch_of(m)
    claim, request = m["claim"], m["request"]
    call.leaf(batch, m, call.claim_hash(claim))
    request_hash = call.request_hash(request)
    require(request_hash == claim["request_hash"], "REQUEST_HASH_MISMATCH")
    call.belongs(claim, request, batch["session"])
    call.checkpoint(claim, batch["session"])
    counts = 1 <= claim["out_count"] <= request["max_tokens"]
    counts = counts and claim["prompt_count"] == request["prompt_count"]
    require(counts, "COUNT_MISMATCH")
    require(call.is_final(m), "TOO_EARLY")
    require(request_hash not in call.s["settled_requests"], "EXISTS")
    entry, session = call.claim_entry(m), call.session_of(batch)
    require(entry["checked"] or not call.revoked_at(session), "SESSION_REVOKED")
    require(entry["lane"] or not call.is_drawn(batch, m["index"]), "BAD_STATE")
    signed(request_hash, m["requestSignature"], request["client"], "REQUEST_SIGNATURE")
    channel = call.known("channels", (request["client"], batch["operator"]))
    epoch = call.operator_of(batch)["epoch"]
    require(channel["epoch"] == batch["epoch"] == epoch, "STALE_EPOCH")
    require(batch["sequence"] >= channel["covered"], "BAD_STATE", "a voucher covers it")
    metered = (
        claim["prompt_count"] * session["prompt_tariff"]
        + claim["out_count"] * session["output_tariff"]
    )
    amount = min(request["price"], metered, batch["value"])
    require(amount <= channel["deposit"], "INSUFFICIENT")
    channel["deposit"] -= amount
    channel["paid"] += amount
    call.credit(batch["operator"], amount)
    call.s["settled_requests"].add(request_hash)
    record = call.attribution(batch)
    record["settled_claims"] += 1
    record["prompt_tokens"] += claim["prompt_count"]
    record["output_tokens"] += claim["out_count"]
    record["amount"] += amount
    call.emit("Settled")


# --- Registries (SET-10, SET-16 to SET-19, SET-34)

def register_model(call, m):
    require(m["root"] not in call.s["models"], "EXISTS")
    tariffs = max(m["maxPromptTariff"], m["maxOutputTariff"])
    require(tariffs <= MAX_TARIFF and m["weightsPublished"] <= 1, "BAD_AMOUNT")
    bond = call.parameters["modelBond"]
    if bond:
        call.spend(bond)
    referee.register(
        m["root"],
        m["config"],
        m["tokenBytes"],
        m["configPath"],
        m["tokenTile"],
        m["tokenPath"],
        m["listPath"],
    )
    call.account["balance"] -= bond
    call.s["models"][m["root"]] = {
        "registrant": call.signer,
        "bond": bond,
        "config": m["config"],
        "token_bytes": m["tokenBytes"],
        "max_prompt_tariff": m["maxPromptTariff"],
        "max_output_tariff": m["maxOutputTariff"],
        "weights_published": m["weightsPublished"],
        "is_void": False,
    }
    call.emit("ModelRegistered")


def facts_of(root, model):
    config = referee.artifact.read_config(model["config"].decode("utf-8"))
    return referee.ModelFacts(root, config, model["token_bytes"])


def void_model(call, m):
    model = call.known("models", m["root"])
    require(not model["is_void"], "BAD_STATE")
    facts = referee.model_tree_facts(facts_of(m["root"], model), m["tensor"])
    opening = {
        "begin": m["tile"],
        "end": m["tile"] + 1,
        "tiles": m["bytes"],
        "path": m["path"],
        "list_path": m["listPath"],
    }
    referee.check_facts(facts, opening)
    width = {"i8": 1, "u16": 2}.get(facts.type)
    values = [
        int.from_bytes(m["bytes"][i : i + width], "little")
        for i in range(0, len(m["bytes"]) if width else 0, width or 1)
    ]
    bad = 128 in values if width == 1 else any(not 1 <= v <= 4095 for v in values)
    require(bad, "STEP_MISMATCH")
    model["is_void"] = True
    burned, reporter, client = split_of(call.parameters, model["bond"])
    model["bond"] = 0
    call.credit(call.signer, reporter)
    call.burn(burned + client)
    call.emit("ModelVoided")


def register_session(call, m):
    session = m["session"]
    call.role(session["operator"])
    require(session["spec_hash"] == spec_hash(), "SPEC_MISMATCH")
    zeros = NO_HASH in (session["seal_key"], session["receipt_key"], session["beacon"])
    good = session["key"] not in (session["operator"], NOBODY) and not zeros
    begin, end = session["not_before"], session["expiry"]
    require(good and begin < end <= min(2**40, begin + sess.MAX_SECONDS), "SESSION_INVALID")
    o = call.s["operators"].get(call.signer)
    least = call.parameters["minStake"]
    require(o is not None and o["stake"] >= least, "STAKE_TOO_LOW")
    model = call.known("models", session["model_root"])
    require(not model["is_void"], "BAD_STATE")
    tariffs = m["promptTariff"] <= model["max_prompt_tariff"]
    tariffs = tariffs and m["outputTariff"] <= model["max_output_tariff"]
    require(tariffs, "BAD_AMOUNT")
    identity = sess.session_id(session, call.ledger)
    new = identity not in call.s["sessions"] and session["key"] not in call.s["session_keys"]
    require(new, "EXISTS")
    signed(
        registration_digest(call.ledger, identity, m["evidence"]),
        m["signature"],
        session["key"],
        "SESSION_SIGNATURE",
    )
    call.s["session_keys"].add(session["key"])
    call.s["sessions"][identity] = {
        "session": session,
        "evidence": m["evidence"],
        "epoch": o["epoch"],
        "prompt_tariff": m["promptTariff"],
        "output_tariff": m["outputTariff"],
        "revoked_at": 0,
    }
    call.emit("SessionRegistered")


def registration_digest(ledger, identity, evidence):
    """SESS-2."""
    text = encode_type("Registration", sess.REGISTRATION)
    return digest(ledger, hash_struct(text, sess.REGISTRATION, [identity, evidence]))


def revoke_session(call, m):
    entry = call.known("sessions", m["session"])
    allowed = call.signer in (call.s["genesis"]["auditor"], entry["session"]["operator"])
    require(allowed, "NOT_ALLOWED")
    require(entry["revoked_at"] == 0, "BAD_STATE")
    entry["revoked_at"] = call.now
    call.emit("Revoked")


def revoke_runtime(call, m):
    call.role(call.s["genesis"]["auditor"])
    require(m["runtime"] not in call.s["revoked_runtimes"], "BAD_STATE")
    call.s["revoked_runtimes"][m["runtime"]] = call.now
    call.emit("Revoked")


def schedule(call, m):
    call.role(call.s["genesis"]["governor"])
    check_parameters(m["parameters"], call.s["genesis"]["trial"])
    call.promote()
    call.s["pending"] = {
        "parameters": m["parameters"],
        "effective_at": call.now + call.parameters["unbond"],
    }
    call.emit("ParametersScheduled")


def checkpoint(call, m):
    call.role(call.s["genesis"]["sequencer"])
    same = m["height"] == call.s["height"] and m["tip"] == call.s["tip"]
    same = same and m["digest"] == words.state_digest(call.s)
    require(same, "CHECKPOINT_MISMATCH")
    call.s["checkpoint_count"] += 1
    number = call.s["checkpoint_count"]
    call.s["checkpoints"][number] = {"height": m["height"], "time": call.now, "tip": m["tip"]}
    call.s["checkpoints"].pop(number - KEPT_CHECKPOINTS, None)
    call.emit("Checkpoint")


# --- Batches (SET-20 to SET-28)

def post_batch(call, m):
    o = call.s["operators"].get(call.signer)
    require(o is not None, "STAKE_TOO_LOW")
    p = call.parameters
    entry = call.known("sessions", m["session"])
    session = entry["session"]
    call.role(session["operator"])
    require(entry["epoch"] == o["epoch"], "STALE_EPOCH")
    require(not call.revoked_at(entry), "SESSION_REVOKED")
    require(not call.model_of(entry)["is_void"], "BAD_STATE")
    last = session["expiry"] * 1000 + p["post"] + p["force"]
    require(session["not_before"] * 1000 <= call.now <= last, "SESSION_EXPIRED")
    require(m["sequence"] == o["next_sequence"], "NONCE")
    good = 1 <= m["count"] <= p["maxCount"] and 1 <= m["value"] <= MAX_VALUE
    require(good, "BAD_AMOUNT")
    reserve = reserve_of(p, m["value"])
    require(reserve <= MAX_SUPPLY, "BAD_AMOUNT")
    fits = reserve * m["count"] <= o["stake"] - o["reserved"]
    require(o["stake"] >= p["minStake"] and fits, "STAKE_TOO_LOW")
    call.promote()
    o["reserved"] += reserve * m["count"]
    o["next_sequence"] += 1
    call.s["batches"][len(call.s["batches"]) + 1] = {
        "operator": call.signer,
        "session": m["session"],
        "root": m["root"],
        "sequence": m["sequence"],
        "count": m["count"],
        "value": m["value"],
        "reserve": reserve,
        "posted_at": call.now,
        "epoch": o["epoch"],
        "round": call.s["revealed_round"] + 2,
        "snapshot": call.s["current_parameters"],
        "held": 0,
        "status": OPEN,
    }
    call.emit("BatchPosted")


def finalise(call, m):
    batch = call.known("batches", m["batch"])
    require(batch["status"] == OPEN, "BAD_STATE")
    o = call.operator_of(batch)
    require(o["epoch"] == batch["epoch"], "STALE_EPOCH")
    require(batch["sequence"] == o["finalised"], "BAD_STATE", "order")
    if call.is_void(batch):
        batch["status"] = VOID
        o["reserved"] -= batch["reserve"] * batch["count"]
        o["finalised"] += 1
        call.emit("BatchVoid")
        return
    p, beacon = call.of_batch(batch), call.s["beacon"].get(batch["round"])
    if beacon:
        rest = beacon["revealed_at"] + p["draw"] + p["report"]
    else:
        rest = batch["posted_at"] + p["beaconDead"]
    require(call.now >= max(rest, call.window_end(batch)), "TOO_EARLY")
    batch["status"] = FINAL
    o["reserved"] -= batch["reserve"] * (batch["count"] - batch["held"])
    o["finalised"] += 1
    call.emit("BatchFinal" if beacon else "BatchFinalNotDrawn")
    record = call.attribution(batch)
    record["batches"] += 1
    record["final_claims"] += batch["count"] - batch["held"]


def countersigner(call, claim, signature):
    words_ = digest(
        call.ledger, protocol.countersignature_struct_hash(call.claim_hash(claim))
    )
    signer = recover(words_, signature, "COUNTERSIGNATURE")
    require(signer in call.s["operators"], "COUNTERSIGNATURE", "no operator")
    return signer


def force(call, m):
    claim, request = m["claim"], m["request"]
    operator = countersigner(call, claim, m["countersignature"])
    entry = call.s["sessions"].get(claim["session"])
    known = entry is not None and entry["session"]["operator"] == operator
    require(known, "UNKNOWN", "session")
    epoch = call.s["operators"][operator]["epoch"]
    require(entry["epoch"] == epoch, "STALE_EPOCH")
    require(not call.revoked_at(entry), "SESSION_REVOKED")
    session, p = entry["session"], call.parameters
    last = session["expiry"] * 1000 + p["post"]
    require(session["not_before"] * 1000 <= call.now <= last, "SESSION_EXPIRED")
    request_hash = call.request_hash(request)
    require(request_hash == claim["request_hash"], "REQUEST_HASH_MISMATCH")
    call.belongs(claim, request, claim["session"])
    call.checkpoint(claim, claim["session"])
    signed(request_hash, m["requestSignature"], request["client"], "REQUEST_SIGNATURE")
    claim_hash = call.claim_hash(claim)
    signed(claim_hash, m["claimSignature"], session["key"], "CLAIM_SIGNATURE")
    require(claim_hash not in call.s["forces"], "EXISTS")
    call.spend(p["forceBond"])
    call.account["balance"] -= p["forceBond"]
    call.s["forces"][claim_hash] = {
        "operator": operator,
        "forcer": call.signer,
        "client": request["client"],
        "session": claim["session"],
        "bond": p["forceBond"],
        "forced_at": call.now,
        "deadline": call.now + p["force"],
        "epoch": epoch,
        "status": F_OPEN,
    }
    call.emit("Forced")


def open_force(call, claim_hash):
    entry = call.known("forces", claim_hash)
    require(entry["status"] == F_OPEN, "BAD_STATE")
    return entry


def force_answer(call, m):
    entry = open_force(call, m["claimHash"])
    batch = call.batch_of(m)
    same = (batch["operator"], batch["session"]) == (entry["operator"], entry["session"])
    require(same, "SESSION_MISMATCH")
    call.leaf(batch, m, m["claimHash"])
    before = batch["posted_at"] < entry["forced_at"]
    call.credit(entry["operator"] if before else entry["forcer"], entry["bond"])
    entry.update(bond=0, status=F_ANSWERED)
    call.emit("ForceAnswered")


def force_missed(call, m):
    entry = open_force(call, m["claimHash"])
    require(call.now > entry["deadline"], "TOO_EARLY")
    session = call.s["sessions"][entry["session"]]
    excused = call.revoked_at(session) != 0 or call.model_of(session)["is_void"]
    excused = excused or call.s["operators"][entry["operator"]]["epoch"] != entry["epoch"]
    call.credit(entry["forcer"], entry["bond"])
    entry.update(bond=0, status=F_REFUNDED if excused else F_MISSED)
    call.emit("ForceRefunded" if excused else "ForceMissed")
    if not excused:
        call.slash(entry["operator"], call.parameters, entry["forcer"], entry["client"])


def equivocate(call, m):
    a, b = m["claimA"], m["claimB"]
    operator = countersigner(call, a, m["countersignatureA"])
    other = countersigner(call, b, m["countersignatureB"])
    differ = any(a[name] != b[name] for name in ("trace_root", "finish_reason"))
    good = operator == other and a["request_hash"] == b["request_hash"] and differ
    require(good, "NOT_EQUIVOCATION")
    key = (a["request_hash"], operator)
    require(key not in call.s["equivocations"], "EXISTS")
    call.s["equivocations"].add(key)
    call.emit("Equivocated")
    call.slash(operator, call.parameters, call.signer, None)


# --- Beacon and draws (SET-29 to SET-31)

def reveal(call, m):
    s = call.s
    call.role(s["genesis"]["auditor"])
    next_ = m["round"] == s["revealed_round"] + 1 and H("OTR.beac", m["value"]) == s["beacon_anchor"]
    require(next_, "BEACON_MISMATCH")
    require(call.now >= s["last_reveal_at"] + call.parameters["beaconInterval"], "TOO_EARLY")
    last = s["checkpoints"].get(m["checkpoint"])
    good = last is not None and m["checkpoint"] == s["checkpoint_count"]
    good = good and last["tip"] == m["tip"] and last["height"] >= s["last_reveal_height"]
    require(good, "CHECKPOINT_MISMATCH")
    s.update(
        beacon_anchor=m["value"],
        revealed_round=m["round"],
        last_reveal_at=call.now,
        last_reveal_height=s["height"] + 1,
    )
    s["beacon"][m["round"]] = {"value": m["value"], "revealed_at": call.now}
    call.emit("BeaconRevealed")


def replace_beacon(call, m):
    call.role(call.s["genesis"]["governor"])
    dead = call.s["last_reveal_at"] + call.parameters["beaconDead"]
    require(call.now >= dead, "TOO_EARLY")
    call.s.update(beacon_anchor=m["anchor"], last_reveal_at=call.now)
    call.emit("BeaconReplaced")


def answer_draw(call, m):
    batch = call.batch_of(m)
    call.role(batch["operator"])
    require(batch["status"] == OPEN and not call.is_void(batch), "BAD_STATE")
    require(m["lane"] in (1, 2), "BAD_AMOUNT")
    call.leaf(batch, m, m["claimHash"])
    entry = call.claim_entry(m)
    require(entry["lane"] == 0, "EXISTS")
    entry.update(lane=m["lane"], digest=m["digest"])
    call.s["claims"][m["batch"], m["index"]] = entry
    call.emit("DrawAnswered")


def check_digest(ledger, claim_hash, lane, named, round_):
    text = encode_type("Check", CHECK)
    return digest(ledger, hash_struct(text, CHECK, [claim_hash, lane, named, round_]))


def check_draw(call, m):
    batch = call.batch_of(m)
    require(m["lane"] in (1, 2), "BAD_AMOUNT")
    call.leaf(batch, m, m["claimHash"])
    entry = call.claim_entry(m)
    require((entry["lane"], entry["digest"]) == (m["lane"], m["digest"]), "UNKNOWN")
    fallen = entry["checked"] or entry["refuted"] or call.is_fallen(batch)
    require(not fallen, "BAD_STATE")
    words_ = check_digest(
        call.s["id"], m["claimHash"], m["lane"], m["digest"], batch["round"]
    )
    agreed, g = set(), call.s["genesis"]
    for signature in m["signatures"]:
        try:
            agreed.add(recover(words_, signature, "QUORUM_MISSING"))
        except Reject:
            pass
    enough = len(agreed & set(g["checkers"])) >= g["quorum"] > 0
    require(enough, "QUORUM_MISSING")
    entry["checked"] = True
    call.emit("DrawChecked")


def miss_draw(call, m):
    batch = call.batch_of(m)
    require(batch["status"] == OPEN and not call.is_void(batch), "BAD_STATE")
    require(call.is_drawn(batch, m["index"]), "NOT_DRAWN")
    require(call.claim_entry(m)["lane"] == 0, "BAD_STATE")
    p = call.of_batch(batch)
    deadline = call.s["beacon"][batch["round"]]["revealed_at"] + p["draw"]
    require(call.now > deadline, "TOO_EARLY")
    call.emit("DrawMissed")
    call.slash(batch["operator"], p, call.signer, None)


# --- Games (SET-32)

def check_shown(call, batch, m, claim, request):
    call.leaf(batch, m, call.claim_hash(claim))
    require(call.request_hash(request) == claim["request_hash"], "REQUEST_HASH_MISMATCH")
    call.belongs(claim, request, batch["session"])


def check_begin(call, batch):
    require(batch["status"] == OPEN and not call.is_void(batch), "BAD_STATE")
    require(call.now < call.window_end(batch), "TOO_LATE")
    one, n = call.of_batch(batch)["challengeBond"], call.operator_of(batch)["open_games"]
    bond = one + one * min(n, 2**16) // 4
    call.spend(bond)
    return bond


def begin(call, m, batch, bond):
    call.account["balance"] -= bond
    entry = call.claim_entry(m)
    call.s["claims"][m["batch"], m["index"]] = entry
    batch["held"] += entry["open_games"] == 0
    entry["open_games"] += 1
    call.operator_of(batch)["open_games"] += 1
    game = empty(words.GAME_ENTRY)
    game.update(
        claim_key=(m["batch"], m["index"]),
        challenger=call.signer,
        bond=bond,
        opened_at=call.now,
        stage=DEMANDED,
        game=None,
    )
    call.s["games"][len(call.s["games"]) + 1] = game
    return game


def show(call, entry, batch, claim, request):
    p = call.of_batch(batch)
    game = play.open_game(p["workerClock"], p["challengerClock"], p["maxDemands"], call.now)
    entry.update(claim=claim, request=request)
    set_game(entry, game)


def set_game(entry, game):
    entry.update(stage=PLAYING, game=game, game_digest=play.digest(game))


def challenge(call, m):
    batch = call.batch_of(m)
    bond = check_begin(call, batch)
    check_shown(call, batch, m, m["claim"], m["request"])
    sealed = m["request"]["mode"] != 0 and call.signer != m["request"]["client"]
    require(not sealed, "NOT_ALLOWED")
    show(call, begin(call, m, batch, bond), batch, m["claim"], m["request"])
    call.emit("Challenged")


def demand_claim(call, m):
    batch = call.batch_of(m)
    begin(call, m, batch, check_begin(call, batch))
    call.emit("Demanded")


def open_entry(call, m):
    entry = call.known("games", m["game"])
    require(entry["stage"] != ENDED, "BAD_STATE")
    batch, index = entry["claim_key"]
    return entry, call.s["batches"][batch], {"batch": batch, "index": index}


def reveal_claim(call, m):
    entry, batch, at = open_entry(call, m)
    require(entry["stage"] == DEMANDED, "BAD_STATE")
    require(call.now <= entry["opened_at"] + call.of_batch(batch)["workerClock"], "TOO_LATE")
    check_shown(call, batch, dict(at, path=m["path"]), m["claim"], m["request"])
    show(call, entry, batch, m["claim"], m["request"])
    call.emit("ClaimRevealed")
    if m["request"]["mode"] != 0 and entry["challenger"] != m["request"]["client"]:
        end_upheld(call, entry, batch, withdrawn=True)


def let_go(call, entry, batch, upheld):
    entry.update(stage=ENDED, bond=0)
    o, claim = call.operator_of(batch), call.s["claims"][entry["claim_key"]]
    o["open_games"] -= 1
    claim["open_games"] -= 1
    if not upheld and batch["status"] == FINAL:
        claim["refuted"] = True
    if claim["open_games"] == 0:
        batch["held"] -= 1
        if batch["status"] == FINAL and o["epoch"] == batch["epoch"]:
            o["reserved"] -= batch["reserve"]


def end_moot(call, entry, batch):
    call.credit(entry["challenger"], entry["bond"])
    call.emit("Moot")
    let_go(call, entry, batch, False)


def end_refuted(call, entry, batch):
    client = entry["request"]["client"] if entry["stage"] == PLAYING else None
    call.credit(entry["challenger"], entry["bond"])
    call.s["claims"][entry["claim_key"]]["refuted"] = True
    call.emit("Refuted")
    call.slash(batch["operator"], call.of_batch(batch), entry["challenger"], client)
    let_go(call, entry, batch, False)


def end_upheld(call, entry, batch, withdrawn):
    bond = entry["bond"]
    fee = min(call.of_batch(batch)["forceBond"], bond) if withdrawn else bond // 2
    call.credit(batch["operator"], fee)
    if withdrawn:
        call.credit(entry["challenger"], bond - fee)
    else:
        call.burn(bond - fee)
    call.emit("Upheld")
    let_go(call, entry, batch, True)


def statement_of(call, entry, batch):
    root = call.session_of(batch)["session"]["model_root"]
    facts = facts_of(root, call.s["models"][root])
    return referee.Statement(facts, entry["request"], entry["claim"])


def leaf_key(entry, leaf):
    """SET-6: the tree of a leaf by its kind, layer and head."""
    t, (place, a, b), tile = leaf
    kind = {referee.TOKENS: 4, referee.K: 5, referee.V: 6, referee.RESIDUAL: 7}[place]
    return entry["claim_key"], t, tile, kind, a, b


def play_move(call, entry, batch, move):
    refuted = call.is_fallen(batch) or call.s["claims"][entry["claim_key"]]["refuted"]
    require(not refuted or move["action"] == play.CLOSE, "BAD_STATE", "fallen")
    leaf = move["data"] if move["action"] == play.CHALLENGE else entry["game"]["leaf"]
    bound = call.s["bound_leaves"].get(leaf_key(entry, leaf)) if leaf else None
    st = statement_of(call, entry, batch)
    after = play.apply(entry["game"], move, call.now, st, bound, refuted)
    if leaf and after["micro_root"] is not None and bound is None:
        call.s["bound_leaves"][leaf_key(entry, leaf)] = after["micro_root"]
    set_game(entry, after)
    call.emit("Moved")
    if after["phase"] == play.REFUTED:
        end_refuted(call, entry, batch)
    elif after["phase"] == play.UPHELD:
        end_upheld(call, entry, batch, after["ending"] == play.WITHDRAWN)
    elif after["phase"] == play.MOOT:
        end_moot(call, entry, batch)


def move_game(call, m):
    entry, batch, _ = open_entry(call, m)
    require(entry["stage"] == PLAYING, "BAD_STATE")
    move = play.decode_move(m["move"])
    if move["action"] != play.CLOSE:
        challenger = move["side"] == play.CHALLENGER
        call.role(entry["challenger"] if challenger else batch["operator"])
    play_move(call, entry, batch, move)


def close_game(call, m):
    entry, batch, _ = open_entry(call, m)
    if entry["stage"] == PLAYING:
        move = {"side": 1, "state": entry["game_digest"], "action": play.CLOSE, "data": None}
        play_move(call, entry, batch, move)
        return
    if call.is_fallen(batch) or call.s["claims"][entry["claim_key"]]["refuted"]:
        end_moot(call, entry, batch)
        return
    deadline = entry["opened_at"] + call.of_batch(batch)["workerClock"]
    require(call.now > deadline, "TOO_EARLY")
    end_refuted(call, entry, batch)


RULES = dict(
    zip(
        words.FIELDS,
        (
            mint,
            withdraw,
            transfer,
            stake,
            unstake,
            release,
            deposit,
            close,
            refund,
            redeem,
            settle,
            register_model,
            void_model,
            register_session,
            revoke_session,
            revoke_runtime,
            post_batch,
            finalise,
            force,
            force_answer,
            force_missed,
            equivocate,
            reveal,
            replace_beacon,
            answer_draw,
            check_draw,
            miss_draw,
            challenge,
            demand_claim,
            reveal_claim,
            move_game,
            close_game,
            schedule,
            checkpoint,
        ),
    )
)
