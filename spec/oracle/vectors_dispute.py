"""Games with proofs (chapters 24 to 26), as sequences of the form of settlement.json: every move,
opening, answer, demand, reveal and proof stands in a transaction Move, and the digest of the game
in that of the state. The claims are executions of tiny_gqa."""

from functools import lru_cache

from oracle import game as play, machine, referee, tiny, trees
from oracle.book import Book, rows_of, trace_leaves
from oracle.encoding import MOVE_CODES, NUMBERS
from oracle.ledger_world import (
    CLIENT,
    FISHERMAN,
    FOURTH,
    OPERATOR,
    OTHER,
    THIRD,
    TRIAL,
    Ledger,
)
from oracle.prng import Prng
from oracle.protocol import prompt_root
from oracle.referee import K, LIST, MICRO, MODEL, PROMPT, RESIDUAL, TOKENS, V
from oracle.sampling import Sampling

MODEL_NAME, PROMPT_IDS, MAX_TOKENS = "tiny_gqa", list(b"Caught and slashed."), 3
C, W = play.CHALLENGER, play.WORKER
SOME = bytes([1]) * 32
LAST = len(PROMPT_IDS) + MAX_TOKENS - 2  # the last position that has rows
LAYER = (LAST, (RESIDUAL, 1, 0), 0)
BELOW = (LAST, (RESIDUAL, 0, 0), 0)
HEAD = (LAST + 1, (TOKENS, 0, 0), 0)
GREEDY = Sampling(presence=30_000, frequency=500)
ALL = Sampling(
    60_000, 50, 60_000, 300, 20_000, 9_000, Prng("seed 2").hash(), [[84, 2**19], [250, -(2**18)]]
)


@lru_cache(None)
def execution(greedy):
    wanted = [(LAST, layer) for layer in (0, 1, "head")]
    sampling = GREEDY if greedy else ALL
    e = machine.run(
        tiny.model(MODEL_NAME), PROMPT_IDS, sampling, max_tokens=MAX_TOKENS, wanted=wanted
    )
    assert e.finish_reason == 3 and len(e.tokens) == LAST + 2
    return e


class Table:
    """The ledger, one operator after the other, and claims on executions."""

    def __init__(self):
        self.w = Ledger("dispute")
        self.counter = 0
        self.w.fund(CLIENT, OPERATOR, OTHER, FISHERMAN, THIRD, FOURTH)
        good = self.w.registration(tiny.model(MODEL_NAME))
        self.w.send("SET-16", OTHER, "RegisterModel", good)
        self.root = good["root"]
        self.facts = referee.ModelFacts(
            self.root, tiny.model(MODEL_NAME).config, good["tokenBytes"]
        )

    def claim(self, who=OPERATOR, greedy=False, rows=None, tokens=None, leaves=None, claim=None,
              request=None):
        """Posts a batch of one claim on a new request; what is given replaces what an honest worker
        would commit. (batch, statement, book without a position)."""
        e, w = execution(greedy), self.w
        self.counter += 1
        w.send("SET-12", who, "Stake", {"amount": 3_000_000})
        session, _ = w.open_session(who, self.root)
        changes = {
            "prompt_root": prompt_root(PROMPT_IDS),
            "prompt_count": len(PROMPT_IDS),
            "max_tokens": MAX_TOKENS,
            "sampling": e.sampling,
        }
        made = w.request(self.counter, self.root, **{**changes, **(request or {})})
        said = w.claim(made, session, out_count=len(e.output), finish_reason=e.finish_reason)
        said.update(claim or {})
        st = referee.Statement(self.facts, made, said)
        tokens = list(tokens or e.tokens)
        all_rows = {**rows_of(e), **(rows or {})}
        hashes = trace_leaves(st, tokens, all_rows)
        for i, value in (leaves or {}).items():
            hashes[i] = value
        said["trace_root"] = trees.list_root(trees.KIND["trace"], hashes)
        batch = w.post(who, session, w.batch([said], [made]), rule=("SET-20",))
        book = Book(tiny.model(MODEL_NAME), st, PROMPT_IDS, tokens, all_rows, hashes)
        return batch, book

    def challenge(self, batch, by=FISHERMAN):
        members = dict(batch.at(0), **batch.shown(0))
        self.w.send(["SET-32", "GAME-1"], by, "Challenge", members)
        return len(self.w.state["games"])

    def at(self, book, position, changes=None):
        """The book with the micro-trace of a position, changed by {(tensor, index): value}."""
        e = execution(book.st.request["sampling"] is GREEDY)
        micro = machine.MicroTrace()
        for number, (rows, cols, values) in e.micro[position].items():
            dict.__setitem__(micro, number, (rows, cols, list(values)))
        for (number, index), value in (changes or {}).items():
            micro[number][2][index] = value
        return Book(book.model, book.st, PROMPT_IDS, book.integers_of((TOKENS, 0, 0)),
                    {t: v for t, v in book.values.items() if t[0] > TOKENS}, book.leaves,
                    position, micro)

    def move(self, rule, game, who, side, action, data=None, code=None, say=""):
        state = self.w.state["games"][game]["game_digest"]
        members = {"game": game, "move": play.encode_move(side, state, action, data)}
        return self.w.send(rule, who, "Move", members, code, say)

    def mine(self, rule, game, action, data=None, code=None, say="", by=FISHERMAN):
        return self.move(rule, game, by, C, action, data, code, say)

    def worker(self, rule, game, action, data=None, code=None, say="", by=OPERATOR):
        return self.move(rule, game, by, W, action, data, code, say)


def proof(kind, witness=(), t=0, tensor=0, index=0):
    return {"kind": kind, "t": t, "tensor": tensor, "index": index, "witness": list(witness)}


def changed(opening, **members):
    return dict(opening, **members)


def flipped(data):
    return bytes([data[0] ^ 1]) + data[1:]


def _searching(t, batch, book):
    """MTRC-1, MTRC-6, GAME-4 before a leaf is challenged."""
    game, rule = t.challenge(batch), "MTRC-1"
    for leaf in (
        (0, (TOKENS, 0, 0), 0),
        (LAST + 2, (TOKENS, 0, 0), 0),
        (LAST + 1, (K, 0, 0), 0),
        (LAST, (K, 2, 0), 0),
        (LAST, (V, 0, 2), 0),
        (LAST, (RESIDUAL, 1, 0), 1),
        (2**63, (RESIDUAL, 1, 0), 0),
    ):
        t.mine(rule, game, play.CHALLENGE, leaf, "STEP_UNKNOWN")
    rule = "MTRC-6"
    for demand in (
        ((MODEL, 0, 0), 0, 0, 1),
        ((MICRO, 9, 0), 0, 0, 1),
        ((K, 2, 0), 0, 0, 1),
        ((PROMPT, 1, 0), 0, 0, 1),
        ((TOKENS, 0, 0), 0, 1, 1),
        ((TOKENS, 0, 0), 0, 0, LAST + 3),
        ((TOKENS, 0, 0), 1, 0, 2),
        ((TOKENS, 0, 0), 1, 11, 12),
        ((TOKENS, 0, 0), 6, 0, 1),
    ):
        t.mine(rule, game, play.DEMAND, demand, "DEMAND_INVALID")
    for demand in (
        ((LIST, 0, 0), 4, 0, 1),
        ((LIST, 0, 0), 0, 0, 12),
        ((PROMPT, 0, 0), 0, 0, 3),
        ((TOKENS, 0, 0), 5, 0, 1),
        ((TOKENS, 0, 0), 3, 2, 3),
        ((TOKENS, 0, 0), 1, 10, 11),
        ((RESIDUAL, 1, 0), 0, LAST - 1, LAST + 1),
        ((K, 1, 1), 2, 5, 6),
    ):
        t.mine([rule, "GAME-4", "GAME-8"], game, play.DEMAND, demand)
        good = book.reveal(demand)
        for wrong in (
            changed(good, tiles=flipped(good["tiles"])),
            changed(good, tiles=good["tiles"][:-1]),
            changed(good, begin=good["begin"] + 1, end=good["end"] + 1),
            changed(good, path=[*good["path"], SOME]),
            changed(good, list_path=good["list_path"][1:] or [SOME]),
        ):
            t.worker([rule, "MTRC-3"], game, play.REVEAL, wrong, "PATH_INVALID")
        if demand[1] == 5:
            hidden = changed(good, tiles=good["tiles"][:-32] + SOME)
            t.worker(rule, game, play.REVEAL, hidden, "PATH_INVALID", "behind the end of the tree")
        t.worker([rule, "MTRC-2", "MTRC-3", "GAME-4"], game, play.REVEAL, good)
    return game


def _turns(t, game):
    rule = "GAME-4"
    t.worker(rule, game, play.ANSWER, {"roots": [], "witness": []}, "MOVE_OUT_OF_TURN")
    t.worker(rule, game, play.CONCEDE, None, "MOVE_OUT_OF_TURN")
    t.mine("REF-2", game, play.PROVE, proof(5), "STEP_UNKNOWN", "before an answer")
    state = t.w.state["games"][game]["game_digest"]
    good = play.encode_move(C, state, play.CONCEDE)
    for name, move, code in (
        ("of another state", play.encode_move(C, SOME, play.CONCEDE), "STATE_MISMATCH"),
        ("of side 3", b"\x03" + good[1:], "MALFORMED"),
        ("of action 8", good[:-1] + b"\x08", "MALFORMED"),
        ("with a byte more", good + b"\x00", "MALFORMED"),
        ("that is cut off", good[:-1], "MALFORMED"),
        ("to the leaf of a list", play.encode_move(C, state, play.CHALLENGE, (0, (LIST, 0, 0), 0)),
         "MALFORMED"),
        ("to a tree of tokens with a number",
         play.encode_move(C, state, play.CHALLENGE, (4, (TOKENS, 1, 0), 0)), "NOT_CANONICAL"),
        ("to a row with a head",
         play.encode_move(C, state, play.CHALLENGE, (4, (RESIDUAL, 1, 1), 0)), "NOT_CANONICAL"),
    ):
        members = {"game": game, "move": move}
        t.w.send("GAME-8", FISHERMAN, "Move", members, code, name)
    t.w.send("GAME-7", OTHER, "CloseGame", {"game": game}, "CLOCK_RUNNING")
    state_close = play.encode_move(C, state, play.CLOSE)
    t.w.send("GAME-7", OTHER, "Move", {"game": game, "move": state_close}, "CLOCK_RUNNING")


def _words(t, game, book):
    """REF-4 to REF-6 against a true claim, and the form of witnesses."""
    t.mine("REF-4", game, play.PROVE, proof(1), "NOT_REFUTED", "of the request")
    header = book.witness({((LIST, 0, 0), 0)})
    t.mine("REF-4", game, play.PROVE, proof(2, header), "NOT_REFUTED", "of the header")
    t.mine(["REF-1", "REF-4"], game, play.PROVE, proof(2), "WITNESS_INCOMPLETE", "of the header")
    t.mine("REF-4", game, play.PROVE, proof(2, header, t=1), "NOT_CANONICAL", "of the header")
    both = book.witness({((LIST, 0, 0), 0), ((LIST, 0, 0), 1)})
    t.mine("REF-4", game, play.PROVE, proof(2, both), "WITNESS_SURPLUS", "of the header")
    prompt = book.elements({((PROMPT, 0, 0), 4), ((TOKENS, 0, 0), 4)})
    t.mine("REF-5", game, play.PROVE, proof(3, prompt, t=4), "NOT_REFUTED")
    t.mine("REF-5", game, play.PROVE, proof(3, prompt, t=5), "WITNESS_INCOMPLETE")
    t.mine("REF-5", game, play.PROVE, proof(3, prompt, t=len(PROMPT_IDS)), "STEP_UNKNOWN")
    t.mine("MTRC-4", game, play.PROVE, proof(3, prompt[::-1], t=4), "NOT_CANONICAL")
    touching = [book.open((TOKENS, 0, 0), 4, 5), book.open((TOKENS, 0, 0), 5, 6)]
    t.mine("MTRC-4", game, play.PROVE, proof(3, touching, t=4), "NOT_CANONICAL")
    t.mine("MTRC-4", game, play.PROVE, proof(3, prompt[:1] * 65, t=4), "LIMIT_EXCEEDED")
    good = prompt[1]
    for wrong in (
        changed(good, tree=(K, 9, 0)),
        changed(good, tree=(PROMPT, 0, 1)),
        changed(good, begin=5),
        changed(good, end=40),
        changed(good, tiles=flipped(good["tiles"])),
        changed(good, path=good["path"][:-1]),
        changed(good, list_path=good["list_path"][:-1]),
        changed(good, list_path=[SOME] * len(good["list_path"])),
    ):
        t.mine("MTRC-3", game, play.PROVE, proof(3, [wrong], t=4), "PATH_INVALID")
    unlisted = changed(prompt[0], list_path=[SOME])
    t.mine("MTRC-2", game, play.PROVE, proof(3, [unlisted], t=4), "PATH_INVALID")
    for begin, u in ((0, LAST + 1), (0, LAST), (1, LAST + 1)):
        t.mine("REF-6", game, play.PROVE, finish(book, begin, u), "NOT_REFUTED")
    t.mine("REF-6", game, play.PROVE, finish(book, 0, LAST), "NOT_REFUTED")
    t.mine("REF-6", game, play.PROVE, proof(4, t=LAST), "WITNESS_INCOMPLETE")
    t.mine("REF-6", game, play.PROVE, proof(4, t=0), "STEP_UNKNOWN")
    t.mine("REF-6", game, play.PROVE, proof(4, finish(book, 0, LAST + 1)["witness"][:1],
                                            t=LAST + 1), "WITNESS_INCOMPLETE")


def finish(book, skip, u):
    """REF-6: the run of output tokens to position u, but the first `skip`."""
    places, number = set(), book.st.model.number
    offsets, data = (MODEL, number["tokens.offsets"], 0), (MODEL, number["tokens.bytes"], 0)
    tokens, limit = book.integers_of((TOKENS, 0, 0)), book.st.model.config["vocabulary"]
    for position in range(len(PROMPT_IDS) + skip, u + 1):
        token = tokens[position]
        places.add(((TOKENS, 0, 0), position))
        if token < limit:
            places |= {(offsets, token), (offsets, token + 1)}
            at = book.integers_of(offsets)
            places |= {(data, i) for i in range(at[token], at[token + 1])}
    return proof(4, book.elements(places), t=u)


def _answers(t, game, book, leaf):
    """MTRC-5 and GAME-5: a leaf of (LAST, 1), its wrong answers and the right one."""
    mine = t.at(book, referee.position_of(book.st, leaf))
    t.mine(["MTRC-1", "GAME-3", "GAME-4"], game, play.CHALLENGE, leaf)
    t.mine(["GAME-3", "GAME-4"], game, play.CONCEDE, None, "MOVE_OUT_OF_TURN")
    good, rule = mine.answer(leaf), "MTRC-5"
    number, index = referee.micro_element(book.st.model.config, leaf[1], 0)
    value = mine.integers_of((MICRO, number, 0))[index]
    odd = t.at(book, mine.position, {(number, index): value - 1 if value > 0 else value + 1})
    surplus = good["witness"] + [mine.open((MICRO, 98 if mine.position[1] == "head" else 72, 0),
                                           0, 1)]
    if leaf[1][0] != RESIDUAL and mine.position[1] != "head":
        t.worker(rule, game, play.ANSWER, dict(good, witness=surplus), "WITNESS_SURPLUS")
    for wrong, code in (
        (dict(good, roots=good["roots"][1:]), "ANSWER_MISMATCH"),
        (odd.answer(leaf), "ANSWER_MISMATCH"),
        (dict(good, roots=[SOME, *good["roots"][1:]]), "PATH_INVALID"),
        (dict(good, witness=good["witness"][1:]), "WITNESS_INCOMPLETE"),
        (dict(good, witness=good["witness"][::-1]), "NOT_CANONICAL"),
        ({"roots": [], "witness": []}, "ANSWER_MISMATCH"),
    ):
        t.worker(rule, game, play.ANSWER, wrong, code)
    t.worker([rule, "GAME-5"], game, play.ANSWER, good)
    return mine


def _steps(t, game, book):
    """REF-2, REF-3: the step of every tensor that is covered, rightly claimed."""
    position = book.position
    shapes = referee.micro_shapes(book.st, position)
    for number, (rows, cols) in sorted(shapes.items()):
        count = rows * cols
        for index in sorted({count // 3, count - 1} if number in (5, 55, 77, 4) else {count // 3}):
            t.mine(["REF-2", "REF-3"], game, play.PROVE, book.step(number, index), "NOT_REFUTED",
                   f"of tensor {number}, {index}, at {position[1]}")
    first = min(shapes)
    t.mine("REF-2", game, play.PROVE, proof(5, tensor=first, index=10**6), "STEP_UNKNOWN")
    other = 83 if position[1] != "head" else 72
    t.mine("REF-2", game, play.PROVE, proof(5, tensor=other), "STEP_UNKNOWN", "of another place")
    good = book.step(83 if position[1] == "head" else 72, 1)
    rule = "REF-2"
    for i in range(len(good["witness"])):
        less = good["witness"][:i] + good["witness"][i + 1 :]
        t.mine(rule, game, play.PROVE, dict(good, witness=less), "WITNESS_INCOMPLETE",
               f"without opening {i}")
        one = good["witness"][i]
        odd = changed(one, tiles=flipped(one["tiles"]))
        wrong = good["witness"][:i] + [odd] + good["witness"][i + 1 :]
        t.mine(rule, game, play.PROVE, dict(good, witness=wrong), "PATH_INVALID",
               f"with another opening {i}")
    more = sorted(good["witness"] + [book.open((LIST, 0, 0), 0, 1)], key=lambda o: o["tree"])
    t.mine(rule, game, play.PROVE, dict(good, witness=more), "WITNESS_SURPLUS")
    demand = ((MICRO, max(shapes), 0), 0, 0, 1)
    t.mine(["MTRC-6", "GAME-4"], game, play.DEMAND, demand, say="of a micro-tensor")
    t.worker("MTRC-6", game, play.REVEAL, book.reveal(demand))
    absent = ((MICRO, 0 if position[1] != 0 else 83, 0), 0, 0, 1)
    t.mine("MTRC-6", game, play.DEMAND, absent, "DEMAND_INVALID", "of a tensor of another place")


def _true_claims(t):
    """An honest worker: nothing refutes it, and the challenger loses its bonds."""
    batch, book = t.claim()
    game = _searching(t, batch, book)
    _turns(t, game)
    _words(t, game, book)
    mine = _answers(t, game, book, LAYER)
    _steps(t, game, mine)
    again = t.challenge(batch, CLIENT)
    t.mine("GAME-5", again, play.CHALLENGE, LAYER, by=CLIENT, say="of a bound leaf, to PROVING")
    t.mine("GAME-9", again, play.CONCEDE, by=CLIENT, say="UPHELD")
    second, third = t.challenge(batch, CLIENT), t.challenge(batch)
    for one, by in ((second, CLIENT), (third, FISHERMAN)):
        t.mine("GAME-4", one, play.CHALLENGE, HEAD, by=by)
    head = t.at(book, (LAST, "head"))
    other = t.at(book, (LAST, "head"), {(86, 0): 5})
    t.worker("GAME-5", second, play.ANSWER, head.answer(HEAD))
    t.worker("GAME-5", third, play.ANSWER, other.answer(HEAD), "ANSWER_BOUND")
    t.worker("GAME-5", third, play.ANSWER, {"roots": [], "witness": []}, say="by the bound one")
    _steps(t, third, head)
    t.mine("GAME-9", second, play.CONCEDE, by=CLIENT, say="UPHELD")
    t.mine("GAME-9", game, play.CONCEDE, say="UPHELD")
    for leaf in (BELOW, (LAST, (K, 0, 1), 0), (LAST, (V, 1, 0), 0)):
        one = t.challenge(batch)
        mine = _answers(t, one, book, leaf)
        if leaf is BELOW:
            _steps(t, one, mine)
        t.mine("GAME-9", one, play.CONCEDE, say="UPHELD")
    t.w.wait(60_000)
    t.mine("GAME-6", third, play.CONCEDE, say="at the last moment")


def _clocks(t):
    batch, book = t.claim(greedy=True)
    game, slow = t.challenge(batch), t.challenge(batch, CLIENT)
    t.mine("GAME-4", game, play.CHALLENGE, HEAD)
    head = t.at(book, (LAST, "head"))
    t.worker("GAME-5", game, play.ANSWER, head.answer(HEAD))
    _steps(t, game, head)
    t.w.wait(30_000)
    demand = ((TOKENS, 0, 0), 0, 0, 2)
    t.mine("GAME-6", game, play.DEMAND, demand)
    t.w.wait(30_001)
    t.worker("GAME-6", game, play.REVEAL, book.reveal(demand))
    t.w.wait(30_001)
    t.mine("GAME-6", game, play.DEMAND, demand, "CLOCK_EXPIRED")
    t.mine("GAME-6", slow, play.CONCEDE, None, "CLOCK_EXPIRED", by=CLIENT)
    t.w.send(["GAME-7", "GAME-9", "GAME-10"], OTHER, "CloseGame", {"game": game}, say="UPHELD")
    t.w.send(["GAME-7", "GAME-9"], OTHER, "CloseGame", {"game": slow}, say="UPHELD")
    batch, book = t.claim(greedy=True)
    game = t.challenge(batch)
    for i in range(TRIAL["maxDemands"]):
        t.mine("GAME-4", game, play.DEMAND, demand, say=str(i + 1))
        t.worker("GAME-4", game, play.REVEAL, book.reveal(demand))
    t.mine("GAME-4", game, play.DEMAND, demand, "DEMAND_LIMIT")
    t.mine("GAME-9", game, play.CONCEDE, say="that withdraws")
    game = t.challenge(batch)
    t.mine("GAME-4", game, play.DEMAND, demand)
    t.w.wait(60_001)
    t.worker("GAME-6", game, play.REVEAL, book.reveal(demand), "CLOCK_EXPIRED")
    t.w.send(["GAME-7", "GAME-9", "SET-33"], OTHER, "CloseGame", {"game": game},
             say="REFUTED by time")


def _false_claims(t):
    """A claim for each code that refutes; each costs its operator the stake."""
    e, config = execution(False), tiny.model(MODEL_NAME).config
    rows = rows_of(e)
    lie = list(rows[RESIDUAL, 1, 0])
    lie[LAST * config["hidden"] + 3] += 1
    _false_step(t, "STEP_MISMATCH", 72, 3, {(72, 3): lie[LAST * config["hidden"] + 3]},
                rows={(RESIDUAL, 1, 0): lie})
    _false_step(t, "STEP_MISMATCH", 61, 5, {(61, 5): 12345})
    _false_step(t, "STEP_MISMATCH", 3, 0, {(3, 0): 1})
    _false_step(t, "OUT_OF_RANGE", 72, 3, {(69, 0): 31})
    _false_step(t, "OUT_OF_RANGE", 70, 3, {(69, 0): 30, (66, 3): 2**62})
    head = e.micro[LAST, "head"]
    cut = head[88][2][0]
    _false_step(t, "STEP_MISMATCH", 88, 0, {(88, 0): cut + 1}, leaf=HEAD)
    _false_step(t, "STEP_MISMATCH", 92, 0, {(94, 0): 0}, leaf=HEAD)
    _false_step(t, "OUT_OF_RANGE", 87, 0, {(86, 0): head[84][2][0] - 1}, leaf=HEAD)
    _false_words(t, e)


def _false_step(t, code, number, index, changes, rows=None, leaf=LAYER):
    batch, book = t.claim(rows=rows)
    game = t.challenge(batch)
    mine = t.at(book, referee.position_of(book.st, leaf), changes)
    t.mine("GAME-4", game, play.CHALLENGE, leaf)
    t.worker("MTRC-5", game, play.ANSWER, mine.answer(leaf), say="of a false micro-trace")
    rules = ["MTRC-4", "REF-1", "REF-2", "REF-3", "GAME-9", "SET-33"]
    t.mine(rules, game, play.PROVE, mine.step(number, index),
           say=f"of tensor {number}: {code}")
    verdict(t, game, code)


def verdict(t, game, code):
    assert t.w.state["games"][game]["game"]["verdict"] == NUMBERS[code], code


def _proven(t, rule, code, made, claimed):
    batch, book = claimed
    game = t.challenge(batch)
    t.mine([rule, "GAME-9"], game, play.PROVE, made(book), say=code)
    verdict(t, game, code)


def _false_words(t, e):
    n = len(PROMPT_IDS)
    tokens = list(e.tokens)
    _proven(t, "REF-4", "TRACE_ROOT_MISMATCH",
            lambda book: proof(2, book.witness({((LIST, 0, 0), 0)})), t.claim(leaves={0: SOME}))
    odd = [tokens[0] + 1, *tokens[1:]]
    _proven(t, "REF-5", "PROMPT_ROOT_MISMATCH",
            lambda book: proof(3, book.elements({((PROMPT, 0, 0), 0), ((TOKENS, 0, 0), 0)})),
            t.claim(tokens=odd))
    eos = [*tokens[:n], 7, *tokens[n + 1 :]]
    _proven(t, "REF-6", "FINISH_MISMATCH", lambda book: finish(book, 0, n), t.claim(tokens=eos))
    _proven(t, "REF-6", "FINISH_MISMATCH", lambda book: finish(book, 0, LAST + 1),
            t.claim(claim={"finish_reason": 2}))
    stopped = t.claim(request={"stop": ["AB", "zebra"]}, tokens=[*tokens[:n], 65, 66, 67])
    _proven(t, "REF-6", "FINISH_MISMATCH", lambda book: finish(book, 0, n + 1), stopped)
    beyond = [*tokens[:-1], 300]
    _proven(t, "REF-6", "OUT_OF_RANGE", lambda book: finish(book, 0, LAST + 1),
            t.claim(tokens=beyond))
    for code, changes in (
        ("REQUEST_INVALID", {"request": {"mode": 2}}),
        ("REQUEST_INVALID", {"request": {"stop": ["b", "a"]}}),
        ("COUNT_MISMATCH", {"claim": {"prompt_count": n + 1, "out_count": 2}}),
        ("COUNT_MISMATCH", {"request": {"max_tokens": 2}}),
        ("FINISH_MISMATCH", {"claim": {"finish_reason": 4}}),
    ):
        batch, book = t.claim(**changes)
        sealed = changes.get("request", {}).get("mode", 0) != 0
        by = CLIENT if sealed else FISHERMAN
        game = t.challenge(batch, by)
        surplus = proof(1, [book.open((LIST, 0, 0), 0, 1)])
        t.mine("REF-4", game, play.PROVE, surplus, "WITNESS_SURPLUS", by=by)
        t.mine("REF-4", game, play.PROVE, proof(2), code, "of the header", by=by)
        t.mine("REF-4", game, play.CHALLENGE, HEAD, code, by=by)
        t.mine("REF-4", game, play.DEMAND, ((LIST, 0, 0), 0, 0, 1), code, by=by)
        t.mine(["REF-4", "GAME-9"], game, play.PROVE, proof(1), say=code, by=by)
        verdict(t, game, code)


def cases():
    t = Table()
    _true_claims(t)
    _clocks(t)
    _false_claims(t)
    met = {case.get("reject") for case in t.w.cases}
    missing = set(MOVE_CODES) - met - {"GAME_OVER", "PARAMETERS_INVALID"}
    assert not missing, missing
    return t.w.cases
