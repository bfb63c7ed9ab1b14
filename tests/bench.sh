#!/bin/bash
# Plays `otr model random` and `otr bench` with the program $1: what they print and exit with, on
# good and hostile flags, peers and signals. How fast anything is, this does not judge.
set -u
otr=$(realpath "${1:?usage: tests/bench.sh PATH-OF-OTR}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export LC_ALL=C.UTF-8
unset OTR_MODEL
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# expect CODE PATTERN COMMAND... : the exit code, and a pattern of what it printed (both streams).
expect() {
  local code=$1 pattern=$2 got
  shift 2
  "$@" >said 2>&1
  got=$?
  [ "$got" = "$code" ] || fail "exit $got, not $code: $* : $(head -c 300 said)"
  grep -qE -- "$pattern" said || fail "no '$pattern' from: $* : $(head -c 300 said)"
}

# figures NAMES COMMAND... : one JSON object with exactly these figures, and every number in it is
# one that a measurement can have.
figures() {
  local names=$1
  shift
  "$@" --json >said 2>errors || fail "exit $?: $* : $(head -c 300 errors)"
  python3 - "$names" said <<'PY' || fail "figures of: $* : $(head -c 300 said)"
import json, sys
report = json.load(open(sys.argv[2]))
assert report["machine"]["kernel"] and report["machine"]["threads"] >= 1, report["machine"]
assert report["version"] and report["model"]["root"].startswith("0x"), report
assert [f["name"] for f in report["figures"]] == sys.argv[1].split(","), report["figures"]
for figure in report["figures"]:
    cost = figure["unit"] == "% of time"
    spreads = [(figure["value"], cost)]
    for rival in figure["against"]:
        spreads += [(rival["value"], False), (rival["ratio"], False)]
    for spread, may_be_negative in spreads:
        assert spread["low"] <= spread["median"] <= spread["high"], figure
        assert may_be_negative or spread["low"] > 0, figure
    assert cost or figure["memory"]["peak_bytes"] > 0, figure
PY
}

test_random_model() {
  expect 0 'model_root' "$otr" model random --shape tiny -o M
  expect 0 'model_root' "$otr" model random --shape tiny -o M2
  cmp -s M M2 || fail "the same seed gave other bytes"
  expect 0 'model_root' "$otr" model random --shape tiny --seed 2 -o M2 --json
  cmp -s M M2 && fail "another seed gave the same bytes"
  expect 0 'model_root' "$otr" model random --shape tiny --act8 --context 64 -o M8
  expect 0 'context +64 tokens' "$otr" model show M8
  expect 2 'no tokeniser' "$otr" ask --model M --home home x
  expect 2 'shape' "$otr" model random --shape huge -o X
  expect 2 'shape' "$otr" model random -o X
  expect 2 'context' "$otr" model random --shape tiny --context 0 -o X
  expect 2 'context' "$otr" model random --shape tiny --context 200000 -o X
  expect 2 'no folder nowhere' "$otr" model random --shape tiny -o nowhere/X
  [ ! -e X ] || fail "a refused model was written"
}

test_figures() {
  local few=(--threads 1 --repetitions 1)
  figures decode "$otr" bench decode --model M --tokens 4 "${few[@]}"
  figures prefill "$otr" bench prefill --model M8 --tokens 40 "${few[@]}"
  figures 'batch of 1,batch of 8,batch of 32' "$otr" bench batch --model M --tokens 1 "${few[@]}"
  figures 'trace of prefill,trace of decode' "$otr" bench trace --model M "${few[@]}"
  figures recompute "$otr" bench recompute --model M --tokens 150 "${few[@]}"
  figures recompute "$otr" bench recompute --model M --tokens 1 "${few[@]}"
  figures decode,decode "$otr" bench decode --model M --tokens 1 --threads 1,2 --repetitions 2
  expect 0 '^decode +1 thread .* tokens/s; .* of reading memory, .* GB/s' \
    "$otr" bench decode --model M --tokens 4 "${few[@]}"
}

test_flags() {
  local decode=("$otr" bench decode --model M) value
  expect 0 'decode.*prefill|OPTIONS|Usage' "$otr" bench --help
  expect 2 'subcommand' "$otr" bench
  expect 2 'model' "$otr" bench decode
  expect 2 'no model missing' "$otr" bench decode --model missing
  expect 2 'said' "$otr" bench decode --model said
  for value in 0 -1 many 100000 1,0 ''; do
    expect 2 'threads' "${decode[@]}" "--threads=$value"
  done
  for value in 0 -1 1.5 many 200000; do
    expect 2 'tokens' "${decode[@]}" "--tokens=$value"
    expect 2 'repetitions' "${decode[@]}" "--repetitions=$value"
  done
  expect 2 'positions.*64.*--tokens' "$otr" bench decode --model M8 --tokens 64
  expect 2 'positions.*64' "$otr" bench prefill --model M8 --tokens 65
  expect 2 'positions.*64' "$otr" bench trace --model M8
  expect 2 'peer' "$otr" bench batch --model M --peer M --peer-model M
}

test_peer() {
  local decode=("$otr" bench decode --model M --tokens 2 --threads 1 --repetitions 1)
  make_peer() { printf '#!/bin/sh\n%s\n' "$2" >"$1" && chmod +x "$1"; }
  make_peer good 'echo "$@" >asked; echo "[{\"n_gen\": 2, \"avg_ts\": 12.5}]"'
  figures decode "${decode[@]}" --peer ./good --peer-model M
  [ "$(cat asked)" = '-m M -p 0 -n 2 -t 1 -r 1 -o json' ] || fail "the peer got: $(cat asked)"
  expect 0 ' of the peer, 12.5 tokens/s' "${decode[@]}" --peer ./good --peer-model M
  expect 2 'peer-model' "${decode[@]}" --peer ./good
  expect 2 'peer' "${decode[@]}" --peer-model M
  expect 2 'peer' "${decode[@]}" --peer ./missing --peer-model M
  expect 2 'Permission' "${decode[@]}" --peer ./M --peer-model M
  make_peer failing 'exit 5'
  expect 2 'exit status 5.*failing -m M' "${decode[@]}" --peer ./failing --peer-model M
  make_peer killed 'kill -9 $$'
  expect 2 'signal 9' "${decode[@]}" --peer ./killed --peer-model M
  local said
  for said in '' '[' '[]' '{}' '[1]' '[{}]' '[{"avg_ts":"fast"}]' '[{"avg_ts":0}]' \
    '[{"avg_ts":-1}]' '[{"avg_ts":1},{"avg_ts":1}]'; do
    make_peer odd "echo '$said'"
    expect 2 'avg_ts' "${decode[@]}" --peer ./odd --peer-model M
  done
  make_peer endless 'exec yes'
  expect 2 'the peer ended' "${decode[@]}" --peer ./endless --peer-model M
}

# Ctrl-C ends a measurement, and a peer that goes on for ever.
test_interrupt() {
  local pid got
  "$otr" bench decode --model M --tokens 1000 --threads 1 --repetitions 1000 >stream 2>errors &
  pid=$!
  sleep 0.5
  kill -INT "$pid"
  wait "$pid"
  got=$?
  [ "$got" = 3 ] || fail "Ctrl-C: exit $got, not 3: $(cat errors)"
  printf '#!/bin/sh\necho $$ >started\nexec sleep 600\n' >slow
  chmod +x slow
  "$otr" bench decode --model M --tokens 1 --threads 1 --repetitions 1 --peer ./slow \
    --peer-model M >stream 2>errors &
  pid=$!
  until [ -s started ]; do sleep 0.05; done
  kill -INT "$pid"
  wait "$pid"
  got=$?
  [ "$got" = 3 ] || fail "Ctrl-C with a peer: exit $got, not 3: $(cat errors)"
  kill -0 "$(cat started)" 2>/dev/null && fail "Ctrl-C: the peer lives on"
}

test_random_model
test_figures
test_flags
test_peer
test_interrupt
[ "$failures" = 0 ] || exit 1
echo "bench: all as expected"
