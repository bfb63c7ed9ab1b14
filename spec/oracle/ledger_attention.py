"""SPEC chapter 30: canaries and attention (SET-36 to SET-39)."""

from oracle.encoding import H, integer, require
from oracle.ledger_call import (
    C_MISSED,
    C_OPEN,
    C_REVEALED,
    MAX_SUPPLY,
    OPEN,
    signed,
    split_of,
    split_of_slash,
)
from oracle.ledger_games import check_shown
from oracle.protocol import digest, encode_type, hash_struct

CONSENT = (("bytes32", "commitment"),)


def commitment_of(funder, operator, sequence, salt, claim_hash, leaf):
    return H("OTR.cnry", funder, operator, integer("u64", sequence), salt, claim_hash, leaf)


def consent_digest(ledger, commitment):
    return digest(ledger, hash_struct(encode_type("Canary", CONSENT), CONSENT, [commitment]))


def attention_digest(account, claim_hash, micro_root):
    return H("OTR.attn", account, claim_hash, micro_root)


def commit_canary(call, m):
    p = call.parameters
    good = p["challengeBond"] <= m["reward"] <= MAX_SUPPLY and m["bond"] <= MAX_SUPPLY
    require(good, "BAD_AMOUNT")
    key = (call.signer, m["commitment"])
    require(key not in call.s["canaries"], "EXISTS")
    call.spend(m["reward"] + m["bond"])
    call.account["balance"] -= m["reward"] + m["bond"]
    call.s["canaries"][key] = {
        "reward": m["reward"],
        "bond": m["bond"],
        "batches": len(call.s["batches"]),
        "deadline": call.now + p["unbond"],
        "status": C_OPEN,
    }
    call.emit("CanaryCommitted")


def open_canary(call, funder, commitment):
    canary = call.known("canaries", (funder, commitment))
    require(canary["status"] == C_OPEN, "BAD_STATE")
    return canary


def reveal_canary(call, m):
    at = {"batch": m["batch"], "index": 0, "path": []}
    batch = call.batch_of(at)
    commitment = commitment_of(
        call.signer,
        batch["operator"],
        batch["sequence"],
        m["salt"],
        call.claim_hash(m["claim"]),
        m["leaf"],
    )
    canary = open_canary(call, call.signer, commitment)
    require(call.now <= canary["deadline"], "TOO_LATE")
    alone = m["batch"] > canary["batches"] and batch["count"] == 1
    require(alone, "CANARY_MISMATCH")
    check_shown(call, batch, at, m["claim"], m["request"])
    said = consent_digest(call.s["id"], commitment)
    signed(said, m["consent"], m["request"]["client"], "REQUEST_SIGNATURE")
    signed(said, m["operatorConsent"], batch["operator"], "COUNTERSIGNATURE")
    require(not call.is_final(at), "BAD_STATE", "final")
    entry = call.claim_entry(at)
    fallen = call.is_fallen(batch) or entry["refuted"]
    o, p = call.operator_of(batch), call.of_batch(batch)
    enough = canary["bond"] >= split_of_slash(o, p)[0]
    require(fallen or enough, "STAKE_TOO_LOW")
    if not fallen:
        entry.update(refuted=True, canary=True)
        call.s["claims"][m["batch"], 0] = entry
        batch["canaries"] += entry["open_games"] == 0
    bond, reward = canary["bond"], canary["reward"]
    canary.update(status=C_REVEALED, bond=0, reward=0)
    call.credit(call.signer, bond)
    call.emit("CanaryRevealed")
    first = call.s["first_challenges"].get(((m["batch"], 0), m["leaf"]))
    to = call.signer if first is None else call.s["games"][first]["challenger"]
    burned = reward if first is None else split_of(p, reward)[0]
    burned = burned if entry["disputed"] else 0
    call.credit(to, reward - burned)
    call.burn(burned)


def miss_canary(call, m):
    canary = open_canary(call, m["funder"], m["commitment"])
    require(call.now > canary["deadline"], "TOO_EARLY")
    call.emit("CanaryMissed")
    call.burn(canary["bond"] + canary["reward"])
    canary.update(status=C_MISSED, bond=0, reward=0)


def attend(call, m):
    batch = call.batch_of(m)
    require(batch["status"] == OPEN and not call.is_void(batch), "BAD_STATE")
    require(call.claim_entry(m)["lane"] != 1, "BAD_STATE", "a proof is public")
    key = ((m["batch"], m["index"]), call.signer)
    require(key not in call.s["attentions"], "EXISTS")
    call.s["attentions"][key] = m["digest"]
    call.emit("Attended")


RULES = {
    "CommitCanary": commit_canary,
    "RevealCanary": reveal_canary,
    "MissCanary": miss_canary,
    "Attend": attend,
}
