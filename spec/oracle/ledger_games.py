"""SPEC chapter 30: the ledger's side of games (SET-32)."""

from oracle import game as play, referee, settlement_state as entries
from oracle.encoding import H, integer, require
from oracle.ledger_call import DEMANDED, ENDED, FINAL, OPEN, PLAYING
from oracle.ledger_money import facts_of
from oracle.settlement_state import empty


def check_shown(call, batch, m, claim, request):
    call.leaf(batch, m, call.claim_hash(claim))
    require(call.request_hash(request) == claim["request_hash"], "REQUEST_HASH_MISMATCH")
    call.belongs(claim, request, batch["session"])


def check_begin(call, m, batch):
    require(batch["status"] == OPEN and not call.is_void(batch), "BAD_STATE")
    require(not call.claim_entry(m)["canary"], "BAD_STATE", "canary")
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
    entry["disputed"] = True
    call.operator_of(batch)["open_games"] += 1
    game = empty(entries.GAME_ENTRY)
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
    bond = check_begin(call, m, batch)
    check_shown(call, batch, m, m["claim"], m["request"])
    sealed = m["request"]["mode"] != 0 and call.signer != m["request"]["client"]
    require(not sealed, "NOT_ALLOWED")
    show(call, begin(call, m, batch, bond), batch, m["claim"], m["request"])
    call.emit("Challenged")


def demand_claim(call, m):
    batch = call.batch_of(m)
    begin(call, m, batch, check_begin(call, m, batch))
    call.emit("Demanded")


def open_entry(call, m):
    entry = call.known("games", m["game"])
    require(entry["stage"] != ENDED, "BAD_STATE")
    batch, index = entry["claim_key"]
    return entry, call.s["batches"][batch], {"batch": batch, "index": index}


def reveal_claim(call, m):
    entry, batch, at = open_entry(call, m)
    require(entry["stage"] == DEMANDED, "BAD_STATE")
    require(not has_fallen(call, entry, batch), "BAD_STATE", "fallen")
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
        batch["canaries"] += claim["canary"]
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
    burned = min(call.of_batch(batch)["forceBond"], bond) if withdrawn else bond - bond // 2
    call.burn(burned)
    call.credit(entry["challenger"] if withdrawn else batch["operator"], bond - burned)
    call.emit("Upheld")
    let_go(call, entry, batch, True)


def statement_of(call, entry, batch):
    root = call.session_of(batch)["session"]["model_root"]
    facts = facts_of(root, call.s["models"][root])
    return referee.Statement(facts, entry["request"], entry["claim"])


def leaf_hash(leaf):
    """SET-36; a leaf is (t, (tree, a, b), tile) as in GAME-8."""
    t, (tree, a, b), tile = leaf
    numbers = integer("u8", tree) + integer("u32", a) + integer("u32", b)
    return H("OTR.leaf", integer("u64", t) + numbers + integer("u64", tile))


def leaf_key(entry, leaf):
    """SET-6: the tree of a leaf by its kind, layer and head."""
    t, (place, a, b), tile = leaf
    kind = {referee.TOKENS: 4, referee.K: 5, referee.V: 6, referee.RESIDUAL: 7}[place]
    return entry["claim_key"], t, tile, kind, a, b


def has_fallen(call, entry, batch):
    """SET-32."""
    moved_on = call.operator_of(batch)["epoch"] != batch["epoch"]
    return moved_on or call.s["claims"][entry["claim_key"]]["refuted"]


def play_move(call, entry, batch, move):
    refuted = has_fallen(call, entry, batch)
    require(not refuted or move["action"] == play.CLOSE, "BAD_STATE", "fallen")
    leaf = move["data"] if move["action"] == play.CHALLENGE else entry["game"]["leaf"]
    bound = call.s["bound_leaves"].get(leaf_key(entry, leaf)) if leaf else None
    st = statement_of(call, entry, batch)
    after = play.apply(entry["game"], move, call.now, st, bound, refuted)
    if move["action"] == play.CHALLENGE:
        game = next(n for n, one in call.s["games"].items() if one is entry)
        call.s["first_challenges"].setdefault((entry["claim_key"], leaf_hash(leaf)), game)
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
    if has_fallen(call, entry, batch):
        end_moot(call, entry, batch)
        return
    deadline = entry["opened_at"] + call.of_batch(batch)["workerClock"]
    require(call.now > deadline, "TOO_EARLY")
    end_refuted(call, entry, batch)


RULES = {
    "Challenge": challenge,
    "DemandClaim": demand_claim,
    "RevealClaim": reveal_claim,
    "Move": move_game,
    "CloseGame": close_game,
}
