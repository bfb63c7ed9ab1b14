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

test_ledger_serve() {
  local fisher got id to=0x00000000000000000000000000000000000000aa
  expect 0 'TRIAL' "$otr" ledger init L --home roles --trial
  id=$(sed -n 's/^ledger *//p' said)
  expect 2 'already' "$otr" ledger init L --home roles
  expect 0 'transactions  0' "$otr" ledger verify L
  expect 2 'give the --home' "$otr" ledger serve L --home elsewhere --listen 127.0.0.1:0
  expect 2 'not those of this ledger' "$otr" ledger serve L --home roles --auditor-home elsewhere \
    --listen 127.0.0.1:0
  expect 2 'no ledger' "$otr" ledger serve nowhere --home roles

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

  # The ledger dies under a fisherman, and comes back with all that it had acknowledged.
  "${fish[@]}" --every 20 >fished 2>&1 &
  fisher=$!
  wait_for '"height":2' fished
  kill -KILL "$ledger_pid"
  wait "$ledger_pid" 2>/dev/null
  wait_for '"error":"' fished
  expect 4 'connect|refused' "${mint[@]}" --ledger-id "$id" --home roles
  expect 4 'connect|refused' "${fish[@]}" --once
  start_ledger "${url##*:}"
  expect 0 "$to has 15" "${mint[@]}" --ledger-id "$id" --home roles
  wait_for '"height":3' fished
  kill -INT "$fisher" "$ledger_pid"
  wait "$fisher"
  got=$?
  [ "$got" = 0 ] || fail "Ctrl-C at a fisherman: exit $got: $(tail -n 2 fished)"
  wait "$ledger_pid"
  got=$?
  [ "$got" = 0 ] || fail "Ctrl-C at a ledger: exit $got: $(cat served)"
  # Its last word is a checkpoint.
  expect 0 'transactions  4' "$otr" ledger verify L
  expect 0 '"Checkpoint"' "$otr" ledger tail L -n 1
  ledger_on_a_full_disk "$to"
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
