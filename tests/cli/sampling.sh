#!/bin/bash
# A part of tests/cli.sh, which sources it: what a request can say of sampling beyond the usual,
# that is bias, several answers, log-probabilities and stop strings. Ids of the model are bytes, so
# a bias of 100 makes an answer of one letter.
test_sampling() {
  local ask=("$otr" ask --model M --max-tokens 4) value i
  expect 0 '^xxxx$' "${ask[@]}" --logit-bias 120=100 --receipt B.json hi
  grep -q '"logit_bias":\[\[120,6553600\]\]' B.json || fail "the receipt has no bias"
  expect 0 '^VERIFIED' "$otr" verify B.json --model M --recompute
  sed 's/6553600/6553599/' B.json >B2.json
  expect 1 'REQUEST_SIGNATURE' "$otr" verify B2.json --model M --recompute
  expect 0 '^xxxx$' "${ask[@]}" --temp 1 --logit-bias 121=-100 --logit-bias 120=+99.5 hi
  for value in 120 120= =1 x=1 120=101 120=nan 120=1x 120:1; do
    expect 2 'logit-bias must be ID=VALUE' "${ask[@]}" --logit-bias "$value" hi
  done
  expect 2 '120 twice' "${ask[@]}" --logit-bias 120=1 --logit-bias 120=2 hi
  expect 2 "logit_bias.*vocabulary of 258" "${ask[@]}" --logit-bias 258=1 hi

  local many=(--n 3 --temperature 1 --seed 7)
  expect 0 'Receipt: N-3.json' "${ask[@]}" "${many[@]}" --receipt N.json hi
  for i in 1 2 3; do expect 0 '^VERIFIED' "$otr" verify N-$i.json --model M --recompute; done
  [ ! -e N.json ] || fail "--n 3 wrote N.json"
  expect_json 0 "${ask[@]}" "${many[@]}" --json hi
  "${ask[@]}" --temperature 1 --seed 7 --json hi >one
  python3 - <<'PY' || fail "several answers are not what single ones are"
import json
several, one = json.load(open("said"))["answers"], json.load(open("one"))
assert len(several) == 3 and len({a["seed"] for a in several}) == 3
assert several[0]["trace_root"] == one["trace_root"] and several[0]["seed"] == one["seed"]
assert len({a["trace_root"] for a in several}) == 3
PY
  expect 2 'temperature above 0|--temperature' "${ask[@]}" --n 3 hi
  for value in 0 -1 129 many; do expect 2 '--n' "${ask[@]}" "--n=$value" hi; done
  expect 2 'no folder nowhere' "${ask[@]}" "${many[@]}" --receipt nowhere/N.json hi

  expect 0 'NOT COVERED BY THE CLAIM' "${ask[@]}" --logprobs 3 --receipt L.json hi
  if grep -qi logprob L.json; then fail "the receipt speaks of log-probabilities"; fi
  expect 0 '^VERIFIED' "$otr" verify L.json --model M --recompute
  "${ask[@]}" --logprobs 2 --logit-bias 120=100 --json hi >said
  python3 - <<'PY' || fail "log-probabilities are not those of the raw logits"
import json
tokens = json.load(open("said"))["logprobs_not_covered"]["tokens"]
assert len(tokens) == 4
for token in tokens:
    assert token["id"] == 120 and token["token"] == "x" and token["bytes"] == [120]
    top = [t["logprob"] for t in token["top_logprobs"]]
    assert len(top) == 2 and top[0] >= top[1] and token["logprob"] <= top[0] < 0
    assert token["logprob"] < -0.001  # with the bias it would be 0
PY
  for value in -1 21 x; do expect 2 'logprobs' "${ask[@]}" "--logprobs=$value" hi; done

  "${ask[@]}" --logit-bias 120=100 --stop xx --json hi >said
  python3 - <<'PY' || fail "the text is not cut at the stop string: $(head -c 200 said)"
import json
said = json.load(open("said"))
assert (said["text"], said["output_text"], said["finish_reason"]) == ("", "xx", 2)
PY
  "${ask[@]}" --logit-bias 120=100 --stop xxxxx hi >said
  [ "$(head -1 said)" = xxxx ] || fail "what no stop string became is not printed: $(head -1 said)"
}
