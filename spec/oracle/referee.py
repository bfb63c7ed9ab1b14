"""SPEC chapters 24 and 25: openings, answers, demands, reveals and the referee.

A claim with its request and model is a Statement. A tree is (place, a, b); an opening is a dict
{tree, begin, end, tiles, path, list_path}; a position is (t, layer) or (t, "head"). """

from dataclasses import dataclass

from oracle import artifact, machine, protocol, steps, trace, trees
from oracle.encoding import H, INTEGERS, Reject, require
from oracle.referee_words import MAX_OPENINGS
from oracle.trees import KIND, TYPE

PROMPT, LIST, TOKENS, K, V, RESIDUAL, MODEL, MICRO = range(1, 9)


@dataclass
class Facts:
    """MTRC-2: what a claim fixes about a tree. `within` is (kind, count, index) of the list."""

    kind: str
    type: str
    rows: int
    cols: int
    root: bytes
    within: tuple = None

    @property
    def tile(self):
        return trees.MICRO_TILE if self.kind == "micro-tensor" else trees.TILE

    @property
    def tiles_in_row(self):
        return -(-self.cols // self.tile)

    @property
    def leaves(self):
        return self.rows * self.tiles_in_row

    @property
    def width(self):
        return 32 if self.type == "hash" else INTEGERS[self.type][0]

    def offset(self, leaf):
        """Bytes of the tiles before `leaf`, all joined."""
        row, tile = divmod(leaf, self.tiles_in_row)
        return (row * self.cols + tile * self.tile) * self.width

    def cell(self, index):
        """(leaf, place in it) of an element."""
        row, col = divmod(index, self.cols)
        return row * self.tiles_in_row + col // self.tile, col % self.tile


class ModelFacts:
    """REF-1: the registered model."""

    def __init__(self, root, config, token_bytes):
        self.root, self.config = root, config
        self.tensors = artifact.tensor_list(config, token_bytes)
        self.number = {name: i for i, (name, _, _) in enumerate(self.tensors)}
        self.token_bytes = token_bytes


def register(root, config_text, token_bytes, config_path, token_tile, token_path, list_path):
    """REF-7."""
    try:
        text = config_text.decode("utf-8")
    except UnicodeDecodeError:
        raise Reject("MALFORMED", "otr.config") from None
    config = artifact.read_config(text)
    require(1 <= token_bytes <= artifact.MAX_TOKEN_BYTES, "LIMIT_EXCEEDED", "token_bytes")
    facts = ModelFacts(root, config, token_bytes)
    count = 3 + len(facts.tensors)

    def opens(index, leaf, path):
        top = trees.top_of_range(count, index, index + 1, [leaf], path)
        require(list_root(KIND["model"], count, top) == root, "PATH_INVALID", f"leaf {index}")

    opens(0, H("OTR.conf", config_text), config_path)
    tiles = -(-token_bytes // trees.TILE)
    top = trees.top_of_range(tiles, 0, 1, [trees.leaf(token_tile)], token_path)
    tensor = trees.root(KIND["model tensor"], TYPE["u8"], 1, token_bytes, top)
    opens(count - 1, tensor, list_path)
    return facts


def list_root(kind, count, top):
    return trees.root(kind, TYPE["hash"], count, 1, top)


@dataclass
class Statement:
    model: ModelFacts
    request: dict
    claim: dict

    @property
    def n_prompt(self):
        return self.claim["prompt_count"]

    @property
    def n(self):
        return self.n_prompt + self.claim["out_count"]

    @property
    def last(self):
        """The number of rows of K, V and residual trees."""
        return self.n - 1


def check_statement(st):
    """REF-4, kind 1."""
    r, c = st.request, st.claim
    protocol.check_request(r)
    protocol.check_request_for_model(
        r, [], st.model.config["context"], st.model.config["vocabulary"]
    )
    require(c["prompt_count"] == r["prompt_count"], "COUNT_MISMATCH", "prompt")
    require(1 <= c["out_count"] <= r["max_tokens"], "COUNT_MISMATCH", "output")
    require(st.n <= st.model.config["context"], "COUNT_MISMATCH", "context")
    require(c["finish_reason"] in (1, 2, 3), "FINISH_MISMATCH", "reason")


def micro_shapes(st, position):
    """PROG-2, PROG-3: {tensor number: (rows, cols)} of those present."""
    return steps.shapes(st.model.config, st.request["sampling"], *position)


def tree_facts(st, micro, tree):
    """MTRC-2; None where the claim has no such tree. `micro` is (position, root) or None."""
    place, a, b = tree
    c = st.model.config
    G, D, L, n_list = c["kv_heads"], c["head_dim"], c["layers"], trace.leaf_count(
        c["layers"], c["kv_heads"]
    )
    root = st.claim["trace_root"]
    if place in (PROMPT, LIST, TOKENS):
        if a or b:
            return None
        if place == PROMPT:
            return Facts("token ids", "u32", st.n_prompt, 1, st.request["prompt_root"])
        if place == LIST:
            return Facts("trace", "hash", n_list, 1, root)
        return Facts("token ids", "u32", st.n, 1, root, ("trace", n_list, 1))
    if place in (K, V):
        if a >= L or b >= G:
            return None
        at = 2 + a * (2 * G + 1) + 2 * b + (place == V)
        kind, type_name = ("K", "i16") if place == K else ("V", "i8")
        return Facts(kind, type_name, st.last, D + 1, root, ("trace", n_list, at))
    if b:
        return None
    if place == RESIDUAL:
        if a >= L:
            return None
        at = 2 + a * (2 * G + 1) + 2 * G
        return Facts("residual", "i32", st.last, c["hidden"], root, ("trace", n_list, at))
    if place == MODEL:
        return model_tree_facts(st.model, a)
    if micro is None:
        return None
    position, micro_root = micro
    shapes = micro_shapes(st, position)
    if a not in shapes:
        return None
    present = sorted(shapes)
    within = ("micro-trace", len(present), present.index(a))
    return Facts("micro-tensor", machine.type_of(a), *shapes[a], micro_root, within)


def model_tree_facts(model, number):
    if number >= len(model.tensors):
        return None
    _, dtype, shape = model.tensors[number]
    rows, cols = shape if len(shape) == 2 else (1, shape[0])
    within = ("model", 3 + len(model.tensors), 3 + number)
    return Facts("model tensor", artifact.DTYPES[dtype], rows, cols, model.root, within)


def check_top(facts, top, list_path):
    """MTRC-3: from the tree's top to the known root."""
    root = trees.root(KIND[facts.kind], TYPE[facts.type], facts.rows, facts.cols, top)
    if facts.within is None:
        require(not list_path and root == facts.root, "PATH_INVALID", "root")
        return
    kind, count, index = facts.within
    top = trees.top_of_range(count, index, index + 1, [root], list_path)
    require(list_root(KIND[kind], count, top) == facts.root, "PATH_INVALID", "list")


def split(facts, begin, end, data):
    """The tiles [begin, end) of joined bytes."""
    base = facts.offset(begin)
    return [data[facts.offset(i) - base : facts.offset(i + 1) - base] for i in range(begin, end)]


def check_facts(facts, opening):
    """MTRC-3."""
    require(facts is not None, "PATH_INVALID", "tree")
    begin, end = opening["begin"], opening["end"]
    require(begin < end <= facts.leaves, "PATH_INVALID", "leaves")
    size = facts.offset(end) - facts.offset(begin)
    require(len(opening["tiles"]) == size, "PATH_INVALID", "bytes")
    tiles = split(facts, begin, end, opening["tiles"])
    hashes = tiles if facts.type == "hash" else [trees.leaf(tile) for tile in tiles]
    top = trees.top_of_range(facts.leaves, begin, end, hashes, opening["path"])
    check_top(facts, top, opening["list_path"])
    return facts


def check_opening(st, micro, opening):
    return check_facts(tree_facts(st, micro, opening["tree"]), opening)


class Witness:
    """MTRC-4, and what is read of it (REF-2)."""

    def __init__(self, st, micro, openings):
        require(len(openings) <= MAX_OPENINGS, "LIMIT_EXCEEDED", "witness")
        self.runs, self.missed, before = [], False, None
        for o in openings:
            if before is not None:
                same = o["tree"] == before["tree"]
                after = o["begin"] > before["end"] if same else o["tree"] > before["tree"]
                require(after, "NOT_CANONICAL", "order of openings")
            self.runs.append((o, check_opening(st, micro, o), set()))
            before = o

    def tile(self, tree, leaf):
        for o, facts, read in self.runs:
            if o["tree"] == tree and o["begin"] <= leaf < o["end"]:
                read.add(leaf)
                return split(facts, leaf, leaf + 1, o["tiles"][facts.offset(leaf) - facts.offset(
                    o["begin"]) :])[0]
        self.missed = True
        return None

    def element(self, tree, index):
        """0 where it is not opened, which complete() tells."""
        for o, facts, _ in self.runs:
            if o["tree"] != tree:
                continue
            leaf, place = facts.cell(index)
            if o["begin"] <= leaf < o["end"]:
                width, signed = INTEGERS[facts.type]
                tile = self.tile(tree, leaf)
                return int.from_bytes(
                    tile[place * width : (place + 1) * width], "little", signed=signed
                )
        self.missed = True
        return 0

    def complete(self):
        require(not self.missed, "WITNESS_INCOMPLETE")
        for o, _, read in self.runs:
            require(len(read) == o["end"] - o["begin"], "WITNESS_SURPLUS")


def position_of(st, leaf):
    """MTRC-1: leaf is (t, tree, tile)."""
    t, tree, tile = leaf
    facts = tree_facts(st, None, tree) if TOKENS <= tree[0] <= RESIDUAL else None
    require(
        facts is not None and t < facts.rows and tile < facts.tiles_in_row, "STEP_UNKNOWN", "leaf"
    )
    if tree[0] != TOKENS:
        return t, tree[1]
    require(t >= st.n_prompt, "STEP_UNKNOWN", "a token of the prompt")
    return t - 1, "head"


def micro_element(config, tree, j):
    """MTRC-5: (micro-tensor, index) that makes element j of a row of the tree."""
    D, head = config["head_dim"], tree[2]
    if tree[0] == K:
        return (27, head) if j == D else (28, head * D + j)
    if tree[0] == V:
        return (31, head) if j == D else (32, head * D + j)
    return (72, j) if tree[0] == RESIDUAL else (98, 0)


def check_answer(st, leaf, answer):
    """MTRC-5: (position, root) of the micro-trace."""
    position = position_of(st, leaf)
    roots = answer["roots"]
    require(len(roots) == len(micro_shapes(st, position)), "ANSWER_MISMATCH", "count")
    micro = (position, trees.list_root(KIND["micro-trace"], roots))
    witness = Witness(st, micro, answer["witness"])
    t, tree, tile = leaf
    cols = tree_facts(st, None, tree).cols
    same = True
    for j in range(tile * trees.TILE, min(cols, (tile + 1) * trees.TILE)):
        number, index = micro_element(st.model.config, tree, j)
        committed = witness.element(tree, t * cols + j)
        same &= committed == witness.element((MICRO, number, 0), index)
    witness.complete()
    require(same, "ANSWER_MISMATCH", "another leaf")
    return micro


# --- MTRC-6

def check_demand(st, micro, demand):
    tree, level, begin, end = demand
    facts = tree_facts(st, micro, tree) if tree[0] != MODEL else None
    require(facts is not None and begin < end, "DEMAND_INVALID", "tree or range")
    if level == 0:
        good = end <= facts.leaves and end - begin <= 4096
        good = good and facts.offset(end) - facts.offset(begin) <= 65536
    else:
        good = level <= trees.depth(facts.leaves) and end == begin + 1
        good = good and begin << level < facts.leaves
    require(good, "DEMAND_INVALID", "range")


def check_reveal(st, micro, demand, opening):
    tree, level, begin, end = demand
    same = (opening["tree"], opening["begin"], opening["end"]) == (tree, begin, end)
    require(same, "PATH_INVALID", "not what was demanded")
    if level == 0:
        check_opening(st, micro, opening)
        return
    facts = tree_facts(st, micro, tree)
    below = min(level, 4)
    row = [opening["tiles"][i : i + 32] for i in range(0, len(opening["tiles"]), 32)]
    require(len(opening["tiles"]) == 32 << below, "PATH_INVALID", "hashes")
    absent, low = trees.ABSENT, level - below
    for _ in range(low):
        absent = trees.node(absent, absent)
    for i, value in enumerate(row):
        beyond = (begin << below) + i << low >= facts.leaves
        require(not beyond or value == absent, "PATH_INVALID", "absent leaves")
    while len(row) > 1:
        row = [trees.node(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    nodes = (facts.leaves - 1 >> level) + 1
    check_top(
        facts, trees.top_of_range(nodes, begin, end, row, opening["path"]), opening["list_path"]
    )


# --- REF-2 to REF-6. A proof is {kind, t, tensor, index, witness}.

def adjudicate(st, micro, proof):
    """The code that refutes the claim; a Reject where the proof does not."""
    if proof["kind"] == 1:
        try:
            check_statement(st)
        except Reject as reject:
            require(not proof["witness"], "WITNESS_SURPLUS")
            return reject.code
        raise Reject("NOT_REFUTED")
    check_statement(st)
    judge = {2: _header, 3: _prompt, 4: _finish}.get(proof["kind"])
    return judge(st, proof) if judge else _step(st, micro, proof)


def _header(st, proof):
    witness = Witness(st, None, proof["witness"])
    leaf = witness.tile((LIST, 0, 0), 0)
    witness.complete()
    r = st.request
    header = trace.header(
        st.model.root, st.n_prompt, st.claim["out_count"], r["mode"], r["sampling"]
    )
    require(leaf != header, "NOT_REFUTED")
    return "TRACE_ROOT_MISMATCH"


def _prompt(st, proof):
    t = proof["t"]
    require(t < st.n_prompt, "STEP_UNKNOWN", "prompt")
    witness = Witness(st, None, proof["witness"])
    asked = witness.element((PROMPT, 0, 0), t)
    used = witness.element((TOKENS, 0, 0), t)
    witness.complete()
    require(asked != used, "NOT_REFUTED")
    return "PROMPT_ROOT_MISMATCH"


def _tail(st, witness, begin, end):
    """REF-6: (token bytes of the run, last id) or None where a word of the model is broken."""
    number, pieces, broken = st.model.number, [], False
    for u in range(begin, end):
        token = witness.element((TOKENS, 0, 0), u)
        if token >= st.model.config["vocabulary"]:
            pieces.append(b"")
            broken = True
            continue
        a, b = (
            witness.element((MODEL, number["tokens.offsets"], 0), token + i) for i in (0, 1)
        )
        if a > b or b - a > artifact.MAX_TOKEN_SIZE or b > st.model.token_bytes:
            pieces.append(b"")
            broken = True
            continue
        pieces.append(
            bytes(witness.element((MODEL, number["tokens.bytes"], 0), i) for i in range(a, b))
        )
    return pieces, token, broken


def _finish(st, proof):
    t = proof["t"]
    require(st.n_prompt <= t < st.n, "STEP_UNKNOWN", "output position")
    witness = Witness(st, None, proof["witness"])
    runs = [o for o, _, _ in witness.runs if o["tree"] == (TOKENS, 0, 0) and o["end"] == t + 1]
    good = runs and runs[0]["begin"] >= st.n_prompt and t + 1 - runs[0]["begin"] <= 4096
    require(good, "WITNESS_INCOMPLETE", "no run")
    begin = runs[0]["begin"]
    pieces, token, broken = _tail(st, witness, begin, t + 1)
    witness.complete()
    if broken:
        return "OUT_OF_RANGE"
    stops = [text.encode("utf-8") for text in st.request["stop"]]
    text, last = b"".join(pieces), t + 1 == st.n
    if token in st.model.config["eos_ids"]:
        end = 1
    elif any(stop in text for stop in stops):
        end = 2
    else:
        full = st.n == st.model.config["context"]
        long = st.claim["out_count"] == st.request["max_tokens"]
        end = 3 if last and (full or long) else 0
    if not last:
        require(end in (1, 2), "NOT_REFUTED")
        return "FINISH_MISMATCH"
    longest = max([1] + [len(stop) for stop in stops])
    whole = begin == st.n_prompt or sum(map(len, pieces[:-1])) >= longest - 1
    require(end != st.claim["finish_reason"] and (end in (1, 2) or whole), "NOT_REFUTED")
    return "FINISH_MISMATCH"


def _step(st, micro, proof):
    require(micro is not None, "STEP_UNKNOWN", "no micro-trace")
    position, _ = micro
    shapes = micro_shapes(st, position)
    number, index = proof["tensor"], proof["index"]
    rows, cols = shapes.get(number, (0, 0))
    require(index < rows * cols, "STEP_UNKNOWN", "no step")
    witness = Witness(st, micro, proof["witness"])
    reads = steps.Reads(st, position, witness.element)
    outcome = steps.step(reads, number, index)
    claimed = witness.element((MICRO, number, 0), index)
    witness.complete()
    if isinstance(outcome, str):
        return outcome
    require(outcome != claimed, "NOT_REFUTED")
    return "STEP_MISMATCH"
