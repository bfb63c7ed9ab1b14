#!/usr/bin/env python3
"""Model check of the dispute game's states and clocks (DISPUTE.md, chapter 26).

Usage: game.py [--deep]. Explores every interleaving of one worker and two challengers (A, B) in
discrete time, with small clocks, and checks:

  no deadlock   every state in which a game is open has a next move, and no state comes twice
  bounded       each game ends within the sum of its clocks, closing included (GAME-10)
  false claim   A is honest, B and the worker do what they like, withholding included: the claim
                falls in every run, and A's game is never lost
  true claim    the worker is honest, A and B do what they like: the claim falls in no run

Honest sides act within LATENCY ticks of their turn; somebody closes a game within one tick of its
expiry. A claim's falsehood is abstract: an honest challenger needs NEED reveals before it knows the
leaf, as many after the answer, and can prove then; a liar's proof of a true claim is NOT_REFUTED,
which is no move. Both challenge one leaf, the worst case for binding (GAME-5).

Canaries are rules that broke elsewhere; the checker must find a violation in each. Exit code 1 if
anything is not as it should be.
"""

import sys
from typing import Iterator, NamedTuple

SEARCHING, REVEALING, ANSWERING, PROVING, REFUTED, UPHELD, MOOT = range(1, 8)
OPEN = {SEARCHING, REVEALING, ANSWERING, PROVING}
WORKERS_TURN = {REVEALING, ANSWERING}
LATENCY = 1


class Setting(NamedTuple):
    is_false: bool       # the claim
    need: int = 1        # reveals before the leaf is known, and again before the step is
    worker: int = 4      # clocks, in ticks
    challenger: int = 5
    demands: int = 2
    canary: str = ""


class Game(NamedTuple):
    phase: int
    worker: int          # ticks left
    challenger: int
    idle: int = 0        # ticks since the last move
    demands: int = 0
    has_leaf: bool = False
    is_answered: bool = False
    age: int = 0


class State(NamedTuple):
    games: tuple[Game, ...]
    bound: bool = False      # some game on the leaf was answered
    refuted: bool = False    # the claim has fallen
    # What A knows, the same in any game: the ledger shows reveals to everybody.
    learned: tuple[int, int] = (0, 0)


def left(game: Game, setting: Setting, state: State) -> int:
    if game.phase not in WORKERS_TURN:
        return game.challenger
    if setting.canary == "shared worker clock":
        return min(one.worker for one in state.games)
    return game.worker


def has_expired(game: Game, setting: Setting, state: State) -> bool:
    return game.phase in OPEN and game.idle > left(game, setting, state)


def moved(game: Game, phase: int, **changes) -> Game:
    """GAME-6: the time since the last move is taken from the side that moved."""
    if game.phase in WORKERS_TURN:
        changes["worker"] = game.worker - game.idle
    else:
        changes["challenger"] = game.challenger - game.idle
    return game._replace(phase=phase, idle=0, **changes)


def with_game(state: State, i: int, game: Game, **changes) -> State:
    games = state.games[:i] + (game,) + state.games[i + 1:]
    if game.phase == REFUTED:
        changes["refuted"] = True
    return state._replace(games=games, **changes)


def challenger_moves(state: State, i: int, setting: Setting) -> Iterator[tuple[str, State]]:
    """GAME-4, everything that is taken."""
    game = state.games[i]
    knows = state.learned[1 if game.has_leaf else 0] >= setting.need
    if game.demands < setting.demands:
        yield "demand", with_game(state, i, moved(game, REVEALING, demands=game.demands + 1))
    if game.phase == SEARCHING:
        binds = state.bound and setting.canary != "answers do not bind"
        yield "challenge", with_game(
            state, i,
            moved(game, PROVING if binds else ANSWERING, has_leaf=True, is_answered=binds))
    elif setting.is_false and knows:
        yield "prove", with_game(state, i, moved(game, REFUTED))
    yield "concede", with_game(state, i, moved(game, UPHELD))


def worker_moves(state: State, i: int, setting: Setting) -> Iterator[tuple[str, State]]:
    game = state.games[i]
    if game.phase == REVEALING:
        at = 1 if game.has_leaf else 0
        learned = list(state.learned)
        learned[at] = min(setting.need, learned[at] + 1)
        phase = PROVING if game.has_leaf else SEARCHING
        yield "reveal", with_game(state, i, moved(game, phase), learned=tuple(learned))
    else:
        # Another answer than the first is another micro-trace: what was learned of it is void.
        learned = state.learned
        if state.bound and setting.canary == "answers do not bind":
            learned = (learned[0], 0)
        yield "answer", with_game(state, i, moved(game, PROVING, is_answered=True), bound=True,
                                  learned=learned)
    yield "concede", with_game(state, i, moved(game, REFUTED))


def honest_challenger(state: State, i: int, setting: Setting) -> str:
    game = state.games[i]
    if state.learned[1 if game.has_leaf else 0] < setting.need:
        return "demand"
    return "prove" if game.has_leaf else "challenge"


def is_honest(i: int, game: Game, setting: Setting) -> bool:
    """Whether the side to move in game i is the honest one."""
    if game.phase in WORKERS_TURN:
        return not setting.is_false
    return setting.is_false and i == 0


def moves(state: State, setting: Setting) -> Iterator[tuple[str, State]]:
    must_act = False
    for i, game in enumerate(state.games):
        if game.phase not in OPEN:
            continue
        name = "AB"[i]
        if state.refuted:
            yield f"{name}: close", with_game(state, i, game._replace(phase=MOOT))
            must_act = True
            continue
        if has_expired(game, setting, state):
            loser = REFUTED if game.phase in WORKERS_TURN else UPHELD
            if setting.canary == "time is the claim's age" and game.age > setting.worker:
                loser = UPHELD
            yield f"{name}: close", with_game(state, i, game._replace(phase=loser))
            must_act = True
            continue
        on_worker = game.phase in WORKERS_TURN
        options = (worker_moves if on_worker else challenger_moves)(state, i, setting)
        if is_honest(i, game, setting):
            wanted = (("reveal", "answer") if on_worker
                      else (honest_challenger(state, i, setting),))
            options = [option for option in options if option[0] in wanted]
            must_act |= game.idle >= LATENCY
        for what, after in options:
            yield f"{name}: {what}", after
    if not must_act and any(game.phase in OPEN for game in state.games):
        yield "tick", tick(state, setting)


def tick(state: State, setting: Setting) -> State:
    games = []
    for game in state.games:
        if game.phase in OPEN:
            game = game._replace(idle=game.idle + 1, age=game.age + 1)
            if setting.canary == "shared worker clock" and game.phase in WORKERS_TURN:
                game = game._replace(worker=game.worker - 1, idle=0)
        games.append(game)
    if setting.canary == "shared worker clock":
        least = min(game.worker for game in games)
        games = [game._replace(worker=least) for game in games]
    return state._replace(games=tuple(games))


def start(setting: Setting) -> State:
    game = Game(SEARCHING, setting.worker, setting.challenger)
    return State((game, game))


def violation(state: State, options: list, setting: Setting) -> str:
    """What a state breaks; empty if nothing."""
    is_open = [game.phase in OPEN for game in state.games]
    if any(is_open) and not options:
        return "deadlock"
    longest = setting.worker + setting.challenger + 1
    if any(game.age > longest for game in state.games):
        return "a game outlives its clocks"
    if any(game.worker < 0 or game.challenger < 0 for game in state.games) and \
            setting.canary != "shared worker clock":
        return "a clock below zero"
    if setting.is_false and state.games[0].phase == UPHELD:
        return "the honest challenger lost"
    if setting.is_false and not any(is_open) and not state.refuted:
        return "a false claim stands"
    if not setting.is_false and state.refuted:
        return "a true claim fell"
    return ""


def explore(setting: Setting) -> tuple[int, str, list[str]]:
    """Number of states, and the first violation with the moves that lead to it. Depth first; a
    state on the path again would be a run without end."""
    first = start(setting)
    done, on_path = set(), {first}
    stack = [(first, "", iter(list(moves(first, setting))))]
    while stack:
        state, _, options = stack[-1]
        step = next(options, None)
        if step is None:
            on_path.discard(state)
            done.add(state)
            stack.pop()
            continue
        name, after = step
        trail = [entry[1] for entry in stack[1:]] + [name]
        if after in on_path:
            return len(done), "a run without end", trail
        if after in done:
            continue
        further = list(moves(after, setting))
        broken = violation(after, further, setting)
        if broken:
            return len(done), broken, trail
        on_path.add(after)
        stack.append((after, name, iter(further)))
    return len(done), "", []


def settings(deep: bool) -> Iterator[tuple[str, Setting, bool]]:
    """Name, setting, and whether a violation is to be found."""
    for need in (0, 1, 2) if deep else (0, 1):
        # The least clocks: one LATENCY for each move that an honest side makes, in a game.
        demands = 2 * need
        yield f"false claim, {need} reveals", Setting(
            True, need, 3, LATENCY * (demands + 2), max(1, demands)), False
        yield f"true claim, {need} reveals", Setting(
            False, need, LATENCY * (demands + 2), 4, max(1, demands)), False
    yield "a challenger's clock that is too short", Setting(True, 1, 3, 2, 2), True
    yield "a worker's clock that is too short", Setting(False, 1, 1, 4, 2), True
    yield "too few demands", Setting(True, 2, 3, 6, 2), True
    yield "canary: answers do not bind", Setting(
        True, 1, 3, 4, 2, "answers do not bind"), True
    yield "canary: one clock for all games of a worker", Setting(
        False, 1, 4, 4, 2, "shared worker clock"), True
    yield "canary: the claim's age decides", Setting(
        True, 1, 3, 4, 2, "time is the claim's age"), True


def main() -> int:
    failed = 0
    for name, setting, is_broken in settings("--deep" in sys.argv[1:]):
        count, found, trail = explore(setting)
        is_right = bool(found) == is_broken
        failed += not is_right
        print(f"{'ok ' if is_right else 'BAD'} {name}: {count} states, "
              f"{found or 'nothing broken'}")
        if not is_right:
            print("    " + ", ".join(trail))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
