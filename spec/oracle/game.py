"""SPEC chapter 26: the game. A game is a dictionary; a move is {side, state, action, data}."""

from oracle import referee, referee_words as bytes_of
from oracle.encoding import H, NUMBERS, integer, require
from oracle.referee import RESIDUAL, TOKENS
from oracle.referee_words import Decoder, encode_demand, encode_tree

SEARCHING, REVEALING, ANSWERING, PROVING, REFUTED, UPHELD, MOOT = range(1, 8)
CHALLENGER, WORKER = 1, 2
CHALLENGE, DEMAND, PROVE, ANSWER, REVEAL, CONCEDE, CLOSE = range(1, 8)
PROVEN, TIME, CONCEDED, WITHDRAWN, MOOTED = range(1, 6)
NO_TREE, NO_HASH = (1, 0, 0), bytes(32)


def check_parameters(worker, challenger, demands):
    """GAME-2."""
    clocks = all(60_000 <= clock <= 604_800_000 for clock in (worker, challenger))
    require(clocks and 64 <= demands <= 4096, "PARAMETERS_INVALID")


def open_game(worker, challenger, demands, now):
    check_parameters(worker, challenger, demands)
    return {
        "worker_clock": worker,
        "challenger_clock": challenger,
        "max_demands": demands,
        "phase": SEARCHING,
        "ending": 0,
        "verdict": 0,
        "demands": 0,
        "moves": 0,
        "moved_at": now,
        "challenger_left": challenger,
        "worker_left": worker,
        "leaf": None,
        "micro_root": None,
        "demand": None,
    }


def encode_leaf(leaf):
    return integer("u64", leaf[0]) + encode_tree(leaf[1]) + integer("u64", leaf[2])


def digest(game):
    """GAME-8."""
    g = game
    return H(
        "OTR.game",
        *(integer("u64", g[name]) for name in ("worker_clock", "challenger_clock")),
        integer("u32", g["max_demands"]),
        *(integer("u8", g[name]) for name in ("phase", "ending", "verdict")),
        *(integer("u32", g[name]) for name in ("demands", "moves")),
        *(integer("u64", g[name]) for name in ("moved_at", "challenger_left", "worker_left")),
        integer("u8", g["leaf"] is not None),
        encode_leaf(g["leaf"] or (0, (TOKENS, 0, 0), 0)),
        integer("u8", g["micro_root"] is not None),
        g["micro_root"] or NO_HASH,
        integer("u8", g["demand"] is not None),
        encode_demand(g["demand"] or (NO_TREE, 0, 0, 0)),
    )


def to_move(game):
    """GAME-3."""
    sides = {SEARCHING: CHALLENGER, PROVING: CHALLENGER, REVEALING: WORKER, ANSWERING: WORKER}
    return sides.get(game["phase"])


def left(side):
    return "worker_left" if side == WORKER else "challenger_left"


def elapsed(game, now):
    return max(0, now - game["moved_at"])


def has_expired(game, now):
    """GAME-6."""
    side = to_move(game)
    return side is not None and elapsed(game, now) > game[left(side)]


def apply(game, move, now, st, bound, refuted):
    """The next game. `bound`: the micro-trace root of the first answer to the leaf, or None;
    `refuted`: the claim has fallen otherwise."""
    require(game["phase"] < REFUTED, "GAME_OVER")
    require(move["state"] == digest(game), "STATE_MISMATCH")
    is_close, expired = move["action"] == CLOSE, has_expired(game, now)
    require(is_close or not refuted, "GAME_OVER")
    require(not is_close or refuted or expired, "CLOCK_RUNNING")
    require(is_close or not expired, "CLOCK_EXPIRED")
    after = dict(game)
    if is_close:
        if refuted:
            end(after, MOOT, MOOTED)
        else:
            end(after, REFUTED if to_move(game) == WORKER else UPHELD, TIME)
    else:
        play(game, after, move, st, bound)
        after[left(to_move(game))] -= elapsed(game, now)
    after["moves"] += 1
    after["moved_at"] = max(game["moved_at"], now)
    return after


def end(game, phase, ending, verdict=0):
    game.update(phase=phase, ending=ending, verdict=verdict, demand=None)


TURNS = {
    CHALLENGE: (CHALLENGER, (SEARCHING,)),
    DEMAND: (CHALLENGER, (SEARCHING, PROVING)),
    PROVE: (CHALLENGER, (SEARCHING, PROVING)),
    ANSWER: (WORKER, (ANSWERING,)),
    REVEAL: (WORKER, (REVEALING,)),
}


def play(game, after, move, st, bound):
    """GAME-4 and GAME-5, the moves but close."""
    action, data, side = move["action"], move["data"], move["side"]
    if action == CONCEDE:
        require(side == to_move(game), "MOVE_OUT_OF_TURN")
        if side == WORKER:
            end(after, REFUTED, CONCEDED)
        else:
            end(after, UPHELD, CONCEDED if game["leaf"] else WITHDRAWN)
        return
    mover, phases = TURNS[action]
    require(side == mover and game["phase"] in phases, "MOVE_OUT_OF_TURN")
    micro = None
    if game["micro_root"] is not None:
        micro = (referee.position_of(st, game["leaf"]), game["micro_root"])
    if action == CHALLENGE:
        referee.check_statement(st)
        referee.position_of(st, data)
        after.update(leaf=data, micro_root=bound, phase=PROVING if bound else ANSWERING)
    elif action == DEMAND:
        require(game["demands"] < game["max_demands"], "DEMAND_LIMIT")
        referee.check_statement(st)
        referee.check_demand(st, micro, data)
        after.update(demand=data, demands=game["demands"] + 1, phase=REVEALING)
    elif action == PROVE:
        code = referee.adjudicate(st, micro, data)
        end(after, REFUTED, PROVEN, NUMBERS[code])
    elif action == ANSWER:
        if bound is not None and not data["roots"] and not data["witness"]:
            root = bound
        else:
            _, root = referee.check_answer(st, game["leaf"], data)
            require(bound in (None, root), "ANSWER_BOUND")
        after.update(micro_root=root, phase=PROVING)
    else:
        referee.check_reveal(st, micro, game["demand"], data)
        after.update(demand=None, phase=PROVING if game["leaf"] else SEARCHING)


ENCODERS = {
    CHALLENGE: encode_leaf,
    DEMAND: encode_demand,
    PROVE: bytes_of.encode_proof,
    ANSWER: bytes_of.encode_answer,
    REVEAL: bytes_of.encode_opening,
    CONCEDE: lambda _: b"",
    CLOSE: lambda _: b"",
}


def encode_move(side, state, action, data=None):
    """GAME-8."""
    return integer("u8", side) + state + integer("u8", action) + ENCODERS[action](data)


def decode_move(data):
    require(len(data) <= bytes_of.MAX_MOVE, "LIMIT_EXCEEDED", "move")
    reader = Decoder(data)
    side = reader.number("u8")
    require(side in (1, 2), "MALFORMED", "side")
    state, action = reader.take(32), reader.number("u8")
    require(1 <= action <= 7, "MALFORMED", "action")
    if action == CHALLENGE:
        t, tree, tile = reader.number("u64"), reader.tree(), reader.number("u64")
        require(TOKENS <= tree[0] <= RESIDUAL, "MALFORMED", "tree of a leaf")
        zero = tree[1:] if tree[0] == TOKENS else tree[2:] if tree[0] == RESIDUAL else ()
        require(not any(zero), "NOT_CANONICAL", "numbers that the tree does not have")
        body = (t, tree, tile)
    else:
        decoders = {
            DEMAND: reader.demand,
            PROVE: reader.proof,
            ANSWER: reader.answer,
            REVEAL: reader.opening,
        }
        body = decoders[action]() if action in decoders else None
    reader.end()
    return {"side": side, "state": state, "action": action, "data": body}
