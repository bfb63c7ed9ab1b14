#!/bin/bash
# A part of tests/cli.sh, which sources it: ids of a text, and back, from an artifact and from the
# files it was made of.
test_tokenize() {
  local ids source text=$'caf\u00e9 <end> \t a'
  ids=$("$otr" tokenize --model M --ids --no-bos "$text") || fail "tokenize exits with $?"
  for source in "$HF" "$HF/tokenizer.json"; do
    [ "$("$otr" tokenize -m "$source" --ids --no-bos "$text")" = "$ids" ] ||
      fail "other ids by $source"
  done
  # shellcheck disable=SC2046 # one word for each id
  [ "$("$otr" detokenize --model M $(tr -d '[],' <<<"${ids//,/ }"))" = "$text" ] ||
    fail "$ids does not give back '$text'"
  expect 0 "^ +[0-9]+ -> 'a'$" "$otr" tokenize --model M a
  expect 0 "^ +257 -> '<end>'$" "$otr" tokenize --model M --special '<end>'
  [ "$("$otr" tokenize -m M --ids --no-bos "$text" | "$otr" detokenize -m M)" = "$text" ] ||
    fail "tokenize | detokenize does not give back '$text'"
  expect 2 'no list of ids at byte 2' "$otr" detokenize -m M < <(echo '1 x')
  printf '%s' "$text" >piece
  [ "$("$otr" tokenize --model M --ids --no-bos -f piece)" = "$ids" ] || fail "other ids of a file"
  [ "$("$otr" tokenize --model M --ids --no-bos <piece)" = "$ids" ] || fail "other ids of a pipe"
  expect_json 0 "$otr" tokenize --model M --json "$text"
  printf '"a"\n""\n"b\\n"\n' | "$otr" tokenize --model M --no-bos --json-lines >lines ||
    fail "json lines exit with $?"
  [ "$(wc -l <lines)" = 3 ] || fail "three lines give $(cat lines)"
  expect 2 'not UTF-8' "$otr" tokenize --model M $'\xff'
  expect 2 'excludes' "$otr" tokenize --model M -f piece a
  expect 2 'there is no nowhere' "$otr" tokenize --model nowhere a
  expect 2 '258' "$otr" detokenize --model M 258
  expect 2 'ids = x' "$otr" detokenize --model M x
}
