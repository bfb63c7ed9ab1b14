"""SPEC chapter 28: money and registries (SET-10 to SET-19, SET-34)."""

from oracle import referee, session as sess, settlement_state as entries
from oracle.encoding import require
from oracle.ledger_call import (
    FINAL,
    KEPT_CHECKPOINTS,
    MAX_SUPPLY,
    MAX_TARIFF,
    NO_HASH,
    NOBODY,
    check_parameters,
    signed,
    split_of,
)
from oracle.protocol import digest, encode_type, hash_struct
from oracle.settlement_state import empty
from oracle.tables import spec_hash

VOUCHER = (
    ("address", "operator"),
    ("uint64", "epoch"),
    ("uint64", "through"),
    ("uint64", "cumulative"),
)
NO_DEADLINE = 2**40  # seconds


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
    o = call.s["operators"].setdefault(call.signer, empty(entries.OPERATOR))
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
    channel = call.s["channels"].get(key) or empty(entries.CHANNEL)
    require(channel["closes_at"] == 0, "BAD_STATE")
    call.account["balance"] -= m["amount"]
    channel["deposit"] += m["amount"]
    channel["epoch"] = o["epoch"]
    call.s["channels"][key] = channel
    call.emit("Deposited")


def close(call, m):
    channel = call.known("channels", (call.signer, m["operator"]))
    require(channel["closes_at"] == 0, "BAD_STATE")
    sets = [call.parameters, *call.s["parameters"].values()]
    channel["closes_at"] = call.now + max(p["close"] for p in sets)
    call.emit("Closing")


def refund(call, m):
    channel = call.known("channels", (call.signer, m["operator"]))
    o = call.s["operators"][m["operator"]]
    forfeit = channel["epoch"] != o["epoch"]
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


def in_time(call, batch, request):
    p, deadline = call.of_batch(batch), request["deadline"]
    last = deadline * 1000 + p["post"] + p["force"]
    none = deadline == 0 or deadline >= NO_DEADLINE
    require(none or batch["posted_at"] <= last, "TOO_LATE", "deadline")


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
    settled = (request_hash, batch["operator"])
    require(settled not in call.s["settled_requests"], "EXISTS")
    entry, session = call.claim_entry(m), call.session_of(batch)
    require(entry["checked"] or not call.needs_checks(batch), "SESSION_REVOKED")
    require(entry["lane"] or not call.is_drawn(batch, m["index"]), "BAD_STATE")
    in_time(call, batch, request)
    signed(request_hash, m["requestSignature"], request["client"], "REQUEST_SIGNATURE")
    key = session["session"]["key"]
    signed(call.claim_hash(claim), m["claimSignature"], key, "CLAIM_SIGNATURE")
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
    call.s["settled_requests"].add(settled)
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
        "voided_at": 0,
    }
    call.emit("ModelRegistered")


def facts_of(root, model):
    config = referee.artifact.read_config(model["config"].decode("utf-8"))
    return referee.ModelFacts(root, config, model["token_bytes"])


def void_model(call, m):
    model = call.known("models", m["root"])
    require(model["voided_at"] == 0, "BAD_STATE")
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
    model["voided_at"] = call.now
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
    require(model["voided_at"] == 0, "BAD_STATE")
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
        "ended_at": 0,
        "revoked_at": 0,
    }
    call.emit("SessionRegistered")


def registration_digest(ledger, identity, evidence):
    """SESS-2."""
    text = encode_type("Registration", sess.REGISTRATION)
    return digest(ledger, hash_struct(text, sess.REGISTRATION, [identity, evidence]))


def revoke_session(call, m):
    entry = call.known("sessions", m["session"])
    by_auditor = call.signer == call.s["genesis"]["auditor"]
    require(by_auditor or call.signer == entry["session"]["operator"], "NOT_ALLOWED")
    require(entry["revoked_at"] == 0, "BAD_STATE")
    require(by_auditor or entry["ended_at"] == 0, "BAD_STATE", "ended")
    entry["revoked_at" if by_auditor else "ended_at"] = call.now
    call.emit("Revoked")


def revoke_runtime(call, m):
    call.role(call.s["genesis"]["auditor"])
    require(m["runtime"] not in call.s["revoked_runtimes"], "BAD_STATE")
    call.s["revoked_runtimes"][m["runtime"]] = call.now
    call.emit("Revoked")


def schedule(call, m):
    call.role(call.s["genesis"]["governor"])
    check_parameters(m["parameters"], call.s["genesis"]["trial"])
    doubled = max(1, 2 * call.parameters["fee"])
    require(m["parameters"]["fee"] <= doubled, "BAD_PARAMETERS", "fee")
    call.promote()
    call.s["pending"] = {
        "parameters": m["parameters"],
        "effective_at": call.now + call.parameters["unbond"],
    }
    call.emit("ParametersScheduled")


def checkpoint(call, m):
    call.role(call.s["genesis"]["sequencer"])
    same = m["height"] == call.s["height"] and m["tip"] == call.s["tip"]
    same = same and m["digest"] == entries.state_digest(call.s)
    require(same, "CHECKPOINT_MISMATCH")
    call.s["checkpoint_count"] += 1
    number = call.s["checkpoint_count"]
    call.s["checkpoints"][number] = {"height": m["height"], "time": call.now, "tip": m["tip"]}
    call.s["checkpoints"].pop(number - KEPT_CHECKPOINTS, None)
    call.emit("Checkpoint")


RULES = {
    "Mint": mint,
    "Withdraw": withdraw,
    "Transfer": transfer,
    "Stake": stake,
    "Unstake": unstake,
    "Release": release,
    "Deposit": deposit,
    "Close": close,
    "Refund": refund,
    "Redeem": redeem,
    "Settle": settle,
    "RegisterModel": register_model,
    "VoidModel": void_model,
    "RegisterSession": register_session,
    "RevokeSession": revoke_session,
    "RevokeRuntime": revoke_runtime,
    "ScheduleParameters": schedule,
    "Checkpoint": checkpoint,
}
