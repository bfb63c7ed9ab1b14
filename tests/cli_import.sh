#!/bin/bash
# A part of tests/cli.sh, which sources it: what an import says before and after, what it never
# does, and what show says of an artifact and of a source.
test_import() {
  local import=("$otr" model import "$HF")
  mkdir elsewhere
  expect 0 'format +Hugging Face directory.*F32' "${import[@]}" --dry-run
  expect 0 'template +supported' "${import[@]}" --dry-run -o nowhere/M
  expect_json 0 "${import[@]}" --dry-run --json
  expect 0 'This is no artifact yet' "$otr" model show "$HF"
  expect_json 0 "$otr" model show "$HF" --json
  expect 0 '^layers.1.w_down.weight +\[32,48\] +0x[0-9a-f]{64}$' "$otr" model show M --tensors
  expect 0 'ends with +257 "<end>"' "$otr" model show M
  expect 0 '^activations +16 bits everywhere' "$otr" model show M
  expect 0 '^activations +.*8 bits in' "$otr" model show A
  expect 0 '^w_down +2 .*not measured +2 F32$' "${import[@]}" -o M3
  expect 0 'Try it: +otr ask --model M3' "${import[@]}" -o M3
  cmp -s M M3 || fail "two imports differ"
  expect 0 'perplexity, float' "${import[@]}" -o M3 --text text
  expect_json 0 "${import[@]}" -o M3 --text text --json
  grep -q float_perplexity said || fail "no fidelity in: $(head -c 300 said)"
  expect 2 'nothing to predict' "${import[@]}" -o M3 --text empty
  # Without -o the source's name, in this folder, and nothing is replaced.
  cd elsewhere || return
  expect 0 'written +hf.safetensors' "${import[@]}"
  cmp -s ../M hf.safetensors || fail "an import without -o differs"
  expect 2 'hf.safetensors is already there' "${import[@]}"
  cd .. || return
  expect 2 'is a file of the source' "${import[@]}" -o "$HF/model.safetensors"
  printf 'GGUFxxxx' >x.gguf
  expect 2 'is a GGUF file; import it first: otr model import x.gguf -o x.safetensors' \
    "$otr" ask --model x.gguf x
  expect 2 'x.gguf' "$otr" model show x.gguf
  # A disk that fills up: the old artifact stays, nothing is left behind.
  (trap '' XFSZ; ulimit -f 20; exec "${import[@]}" -o M3 >limited 2>&1)
  [ $? = 2 ] || fail "ulimit -f: $(cat limited)"
  grep -q 'M3: File too large' limited || fail "ulimit -f: $(cat limited)"
  cmp -s M M3 || fail "a failed import changed the artifact"
  no_leftovers "failed imports"
}
