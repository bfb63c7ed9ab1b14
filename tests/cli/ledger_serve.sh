#!/bin/bash
# A part of tests/cli.sh, which sources it: a ledger of one's own, served, followed and killed.

# start_ledger PORT: serves L, and sets $ledger_pid and $url.
start_ledger() {
  : >served # what an earlier one said is not to be taken for this one's
  "$otr" ledger serve L --home roles --auditor-home roles --listen "127.0.0.1:$1" >served 2>&1 &
  ledger_pid=$!
  for _ in {1..600}; do
    url=$(sed -n 's/^served at *//p' served)
    [ -z "$url" ] || return 0
    sleep 0.05
  done
  fail "the ledger does not begin: $(cat served)"
}

# wait_for PATTERN FILE
wait_for() {
  for _ in {1..600}; do
    grep -qE -- "$1" "$2" && return 0
    sleep 0.05
  done
  fail "no '$1' in $2: $(tail -n 3 "$2")"
}

# get URL: the body, whatever the status.
get() {
  python3 - "$1" <<'PY'
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
except urllib.error.HTTPError as answer:
    print(answer.read().decode())
PY
}

# Of the ledger that test_ledger_serve runs: what its keys have is its owner's to move.
money_of_an_operator() {
  local own send
  send=("$otr" ledger send --ledger "$url" --ledger-id "$id" --home operator)
  expect 0 '0x' "$otr" ledger account operator --home operator
  own=$(cat said)
  expect 0 "$own  balance 0" "${send[@]}" nothing
  expect 1 'account' "${send[@]}" stake --amount 5
  expect 0 "$own has 1000" "$otr" ledger mint --ledger "$url" --ledger-id "$id" --home roles \
    --to "$own" --amount 1000
  expect 0 'balance [0-9]*, stake 500 .0 reserved' "${send[@]}" stake --amount 500
  expect 0 'stake 300 .*unbonding 200 until' "${send[@]}" unstake --amount 200
  expect 1 'fee|spend' "${send[@]}" withdraw --amount 100000
  expect 1 'unbonding ends' "${send[@]}" release
  expect 1 'stake' "${send[@]}" unstake --amount 301
  expect 0 'balance' "${send[@]}" transfer --amount 7 --to "$to"
  expect 2 'needs --amount' "${send[@]}" stake
  expect 2 'takes no --amount' "${send[@]}" release --amount 1
  expect 2 'needs --to' "${send[@]}" deposit --amount 1
  expect 2 'to' "${send[@]}" transfer --amount 1 --to 0x12
  expect 2 'session' "${send[@]}" revoke-session
  expect 2 'KIND' "${send[@]}" everything
}

test_ledger_serve() {
  local fisher got id metrics to=0x00000000000000000000000000000000000000aa
  expect 0 'TRIAL' "$otr" ledger init L --home roles --trial
  id=$(sed -n 's/^ledger *//p' said)
  expect 2 'already' "$otr" ledger init L --home roles
  expect 0 'transactions  0' "$otr" ledger verify L
  expect 2 'give the --home' "$otr" ledger serve L --home elsewhere --listen 127.0.0.1:0
  expect 2 'not those of this ledger' "$otr" ledger serve L --home roles --auditor-home elsewhere \
    --listen 127.0.0.1:0
  expect 2 'no ledger' "$otr" ledger serve nowhere --home roles

  checkers_of_a_ledger
  start_ledger 0
  expect 2 'held by another process' "$otr" ledger serve L --home roles --listen 127.0.0.1:0
  local mint=("$otr" ledger mint --ledger "$url" --amount 5 --to "$to")
  expect 0 "$to has 5" "${mint[@]}" --ledger-id "$id" --home roles
  expect 0 "$to has 10" "${mint[@]}" --ledger-id "$id" --home roles
  expect 1 'account' "${mint[@]}" --ledger-id "$id" --home elsewhere
  expect 1 'not the one asked for' "${mint[@]}" --ledger-id "0x${id:4}00" --home roles
  expect 2 '--ledger takes' "$otr" ledger mint --ledger "$url/x" --ledger-id "$id" --to "$to" \
    --amount 1
  expect 2 '--to' "$otr" ledger mint --ledger "$url" --ledger-id "$id" --to 0x12 --amount 1

  local fish=("$otr" fisherman --model M --ledger "$url" --ledger-id "$id" --home fish --threads 1)
  expect 0 '"height":2' "${fish[@]}" --once
  expect 2 'two servers' "${fish[@]}" --once --data "$url" --data "$url"
  expect 2 '--data' "${fish[@]}" --once --data 0x12=http://127.0.0.1:1
  expect 1 'not the one asked for' "$otr" fisherman --model M --ledger "$url" \
    --ledger-id "0x${id:4}00" --home fish --once
  expect 2 '--metrics takes' "${fish[@]}" --once --metrics 127.0.0.1
  expect 2 'cannot listen' "${fish[@]}" --once --metrics "${url#http://}"

  local operate=("$otr" operator --model M --ledger "$url" --ledger-id "$id" --home operator)
  expect 2 '--listen takes' "${operate[@]}" --listen x
  expect 2 '--receipts-listen takes' "${operate[@]}" --receipts-listen 127.0.0.1
  expect 2 '--metrics takes' "${operate[@]}" --metrics x
  expect 2 'cannot listen' "${operate[@]}" --listen "${url#http://}"
  expect 2 'there is no model' "${operate[@]}" --model nowhere --listen 127.0.0.1:0 \
    --receipts-listen 127.0.0.1:0
  expect 2 '--value' "${operate[@]}" --value 0
  expect 2 '--proof-memory' "${operate[@]}" --proof-memory 5
  expect 2 '--operator takes' "$otr" gateway --model M --home operator --policy genuine \
    --worker http://127.0.0.1:1 --operator "$url/x"
  expect 2 "no operator's process" "$otr" gateway --model M --home operator --policy genuine \
    --worker http://127.0.0.1:1 --operator "$url"
  expect 2 '--ledger-id' "$otr" worker --model M --home operator --ledger-id 0x12

  # The ledger dies under a fisherman, and comes back with all that it had acknowledged.
  "${fish[@]}" --every 20 --metrics 127.0.0.1:0 >fished 2>&1 &
  fisher=$!
  wait_for '"height":2' fished
  metrics=$(sed -n 's/.*"metrics":"\([^"]*\)".*/\1/p' fished)
  expect 0 '^otr_ledger_height 2$' get "$metrics/metrics"
  expect 0 '^otr_fisherman_bonds_at_risk 0$' get "$metrics/metrics"
  expect 0 '"ok"' get "$metrics/health"
  kill -KILL "$ledger_pid"
  wait "$ledger_pid" 2>/dev/null
  wait_for '"error":"' fished
  expect 0 '^otr_step_failed 1$' get "$metrics/metrics"
  expect 0 'connect|refused' get "$metrics/health"
  expect 4 'connect|refused' "${mint[@]}" --ledger-id "$id" --home roles
  expect 4 'connect|refused' "${fish[@]}" --once
  start_ledger "${url##*:}"
  expect 0 "$to has 15" "${mint[@]}" --ledger-id "$id" --home roles
  wait_for '"height":3' fished
  money_of_an_operator
  kill -INT "$fisher" "$ledger_pid"
  wait "$fisher"
  got=$?
  [ "$got" = 0 ] || fail "Ctrl-C at a fisherman: exit $got: $(tail -n 2 fished)"
  wait "$ledger_pid"
  got=$?
  [ "$got" = 0 ] || fail "Ctrl-C at a ledger: exit $got: $(cat served)"
  # Its last word is a checkpoint.
  expect 0 'transactions  8' "$otr" ledger verify L
  expect 0 '"Checkpoint"' "$otr" ledger tail L -n 1
  ledger_on_a_full_disk "$to"
}

# Who may check answers to draws is said when it begins.
checkers_of_a_ledger() {
  local account id
  expect 2 'ROLE' "$otr" ledger account governor --home check
  expect 0 '^0x[0-9a-f]{40}$' "$otr" ledger account checker --home check
  account=$(cat said)
  expect 2 '--checker' "$otr" ledger init C --home roles --checker 0x12
  expect 2 'quorum is of them' "$otr" ledger init C --home roles --quorum 1
  expect 2 'quorum is of them' "$otr" ledger init C --home roles --checker "$account" --quorum 2
  expect 1 'differ' "$otr" ledger init C --home roles --checker "$account" --checker "$account"
  expect 0 'TRIAL' "$otr" ledger init C --home roles --trial --checker "$account"
  id=$(sed -n 's/^ledger *//p' said)
  "$otr" ledger serve C --home roles --listen 127.0.0.1:0 >checked 2>&1 &
  ledger_pid=$!
  wait_for '^served at' checked
  local check=("$otr" checker --model M --ledger "$(sed -n 's/^served at *//p' checked)"
    --ledger-id "$id" --threads 1 --every 20)
  expect 2 '--data' "${check[@]}" --home check
  expect 2 'names other checkers' "${check[@]}" --home fish --data http://127.0.0.1:1
  "${check[@]}" --home check --data http://127.0.0.1:1 >signed 2>&1 &
  local checker=$!
  wait_for '"signed":0' signed
  kill -INT "$checker" "$ledger_pid"
  wait "$checker" "$ledger_pid"
  rm -f C C-*
}

# It stops where its disk does, and keeps what it has answered for.
ledger_on_a_full_disk() {
  local id taken=0 got
  rm -f L L-*
  expect 0 'TRIAL' "$otr" ledger init L --home roles --trial
  id=$(sed -n 's/^ledger *//p' said)
  : >served
  # A limit on the size of files stands in for it; the log of SQLite comes to it first.
  (ulimit -f 60 && exec "$otr" ledger serve L --home roles --listen 127.0.0.1:0 >served 2>&1) &
  ledger_pid=$!
  wait_for '^served at' served
  url=$(sed -n 's/^served at *//p' served)
  while "$otr" ledger mint --ledger "$url" --ledger-id "$id" --home roles --to "$1" --amount 1 \
    >minted 2>&1; do
    taken=$((taken + 1))
    [ $taken -lt 100 ] || break
  done
  grep -q 'cannot be written' minted || fail "no word of a full disk after $taken: $(cat minted)"
  wait "$ledger_pid"
  got=$?
  [ "$got" = 2 ] || fail "a ledger on a full disk: exit $got: $(cat served)"
  expect 0 "transactions  $taken," "$otr" ledger verify L
}
