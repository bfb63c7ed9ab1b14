"""What one side of a dispute holds, and how it opens any part of it (SPEC MTRC-3, MTRC-6): for the
vectors. Whatever is put into a book is opened; nothing is checked here."""

from oracle import referee, steps, trace, trees
from oracle.encoding import integers
from oracle.ledger_world import list_leaves
from oracle.referee import K, LIST, MICRO, MODEL, PROMPT, RESIDUAL, TOKENS, V
from oracle.trees import KIND


class Book:
    """`rows` are the trees of a trace by name, as lists of integers; `micro` is that of one
    position; `leaves` are those of TRACE-5."""

    def __init__(self, model, st, prompt, tokens, rows, leaves, position=None, micro=None):
        self.model, self.st, self.leaves = model, st, leaves
        self.position, self.micro = position, micro
        self.values = {(PROMPT, 0, 0): prompt, (TOKENS, 0, 0): tokens, **rows}
        self.known = {}

    @property
    def bound(self):
        """(position, micro-trace root)."""
        return self.micro and (self.position, self.micro.root())

    def facts(self, tree):
        return referee.tree_facts(self.st, self.bound, tree)

    def integers_of(self, tree):
        if tree[0] == MODEL:
            return list(self.model.tensors.values())[tree[1]].values
        return self.micro[tree[1]][2] if tree[0] == MICRO else self.values[tree]

    def data(self, tree):
        """(joined tiles, leaf hashes)."""
        if tree not in self.known:
            facts = self.facts(tree)
            if tree[0] == LIST:
                joined, leaves = b"".join(self.leaves), self.leaves
            else:
                joined = integers(facts.type, self.integers_of(tree))
                leaves = [trees.leaf(t) for t in referee.split(facts, 0, facts.leaves, joined)]
            self.known[tree] = joined, leaves
        return self.known[tree]

    def list_path(self, tree):
        facts = self.facts(tree)
        if facts.within is None:
            return []
        kind, _, index = facts.within
        above = {"trace": lambda: self.leaves, "model": lambda: list_leaves(self.model)}
        hashes = self.micro.roots() if kind == "micro-trace" else above[kind]()
        return trees.open_range(hashes, index, index + 1)

    def open(self, tree, begin, end):
        facts, (joined, leaves) = self.facts(tree), self.data(tree)
        return {
            "tree": tree,
            "begin": begin,
            "end": end,
            "tiles": joined[facts.offset(begin) : facts.offset(end)],
            "path": trees.open_range(leaves, begin, end),
            "list_path": self.list_path(tree),
        }

    def reveal(self, demand):
        """MTRC-6."""
        tree, level, begin, end = demand
        if level == 0:
            return self.open(tree, begin, end)
        levels = trees.levels(self.data(tree)[1])
        below = min(level, 4)
        hashes = levels[level - below][begin << below : end << below]
        path, at = [], begin
        for row in levels[level:-1]:
            path.append(row[at ^ 1])
            at //= 2
        return {
            "tree": tree,
            "begin": begin,
            "end": end,
            "tiles": b"".join(hashes),
            "path": path,
            "list_path": self.list_path(tree),
        }

    def witness(self, reads):
        """The openings of the leaves {(tree, leaf)}, joined where they touch."""
        runs = []
        for tree, leaf in sorted(reads):
            if runs and runs[-1][0] == tree and runs[-1][2] == leaf:
                runs[-1][2] = leaf + 1
            else:
                runs.append([tree, leaf, leaf + 1])
        return [self.open(*run) for run in runs]

    def elements(self, places):
        """The witness that opens the elements {(tree, index)}."""
        return self.witness({(tree, self.facts(tree).cell(index)[0]) for tree, index in places})

    def step(self, number, index):
        """The proof of a step: its witness is what the step reads, and the element."""
        places = {((MICRO, number, 0), index)}

        def fetch(tree, at):
            places.add((tree, at))
            return self.integers_of(tree)[at]

        steps.step(steps.Reads(self.st, self.position, fetch), number, index)
        witness = self.elements(places)
        return {"kind": 5, "t": 0, "tensor": number, "index": index, "witness": witness}

    def answer(self, leaf):
        """MTRC-5."""
        t, tree, tile = leaf
        cols, places = self.facts(tree).cols, set()
        for j in range(tile * trees.TILE, min(cols, (tile + 1) * trees.TILE)):
            number, index = referee.micro_element(self.st.model.config, tree, j)
            places |= {(tree, t * cols + j), ((MICRO, number, 0), index)}
        return {"roots": self.micro.roots(), "witness": self.elements(places)}


def rows_of(execution):
    """TRACE-2, TRACE-3: {tree: elements}."""
    out = {}
    for layer in execution.machine.layers:
        for g, rows in enumerate(layer.k_rows):
            out[K, layer.number, g] = [x for row, f in rows for x in [*row, f]]
        for g, rows in enumerate(layer.v_rows):
            out[V, layer.number, g] = [x for row, f in rows for x in [*row, f]]
        out[RESIDUAL, layer.number, 0] = [x for row in layer.residual_rows for x in row]
    return out


def trace_leaves(st, tokens, rows):
    """TRACE-5 of these rows."""
    r, order = st.request, {K: 0, V: 1}
    out = [
        trace.header(st.model.root, st.n_prompt, st.claim["out_count"], r["mode"], r["sampling"]),
        trace.token_root(tokens),
    ]
    for tree in sorted(rows, key=lambda t: (t[1], t[0] == RESIDUAL, t[2], order.get(t[0], 0))):
        facts = referee.tree_facts(st, None, tree)
        out.append(
            trees.tensor_root(KIND[facts.kind], facts.type, facts.rows, facts.cols, rows[tree])
        )
    return out
