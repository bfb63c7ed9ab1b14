#!/bin/bash
# A part of tests/cli.sh, which sources it: what is no ledger is refused, and said so.
test_ledger() {
  expect 2 'neither a ledger nor an export' "$otr" ledger verify M
  expect 2 'nowhere' "$otr" ledger verify nowhere
  expect 2 '.' "$otr" ledger tail nowhere
  expect 2 '.' "$otr" ledger export nowhere out
  [ ! -e out ] || fail 'an export of nothing left a file'
  printf 'OTRLEDG1\x01\x00\x00\x00x' >cut
  expect 2 'cut|needs|ends' "$otr" ledger verify cut
  expect 2 'cut|needs|ends' "$otr" ledger import cut new.db
  [ ! -e new.db ] || fail 'a bad export left a ledger'
}
