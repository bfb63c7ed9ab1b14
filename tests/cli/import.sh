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
  # Without -o the source's name, in this folder, and nothing is replaced.
  cd elsewhere || return
  expect 0 'written +hf.safetensors' "${import[@]}"
  cmp -s ../M hf.safetensors || fail "an import without -o differs"
  expect 2 'hf.safetensors is already there' "${import[@]}"
  cd .. || return
  echo note >kept
  expect 2 'no artifact: name another file' "${import[@]}" -o kept
  [ "$(cat kept)" = note ] || fail "an import replaced a file that is no artifact"
  expect 2 'is empty: nothing to predict' "${import[@]}" -o M4 --text empty
  expect 2 'not UTF-8 at byte' "${import[@]}" -o M4 --text <(printf 'a\xff')
  [ ! -e M4 ] || fail "a text that cannot be measured on was found too late"
  expect 2 'is what is read' "$otr" ask --model M3 --receipt M3 x
  expect 2 'it is otr model import' "$otr" import "$HF"
  test_other_folders
  expect 2 'no artifact: name another file' "${import[@]}" -o "$HF/model.safetensors"
  printf 'GGUFxxxx' >x.gguf
  expect 2 'is a GGUF file; import it first: otr model import x.gguf -o x.safetensors' \
    "$otr" ask --model x.gguf x
  expect 2 'x.gguf' "$otr" model show x.gguf
  # A disk that fills up: the old artifact stays, nothing is left behind.
  (ulimit -f 20; exec "${import[@]}" -o M3 >limited 2>&1)
  [ $? = 2 ] || fail "ulimit -f: $(cat limited)"
  grep -q 'M3: File too large' limited || fail "ulimit -f: $(cat limited)"
  cmp -s M M3 || fail "a failed import changed the artifact"
  no_leftovers "failed imports"
}

# Folders that look like models and would silently become others.
test_other_folders() {
  local import=("$otr" model import other_hf -o M4)
  cp -r "$HF" other_hf
  sed -i '0,/{/s//{"rms_norm_eps": 1e-6, /' other_hf/config.json
  expect 2 "config.json has the key 'rms_norm_eps' twice" "${import[@]}"
  sed 's/[}] *$/, "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2}}}/' \
    "$HF/config.json" >other_hf/config.json
  expect 2 "'full_attention' alone" "${import[@]}"
  cp "$HF/config.json" other_hf/config.json
  printf '{%% include "x" %%}' >other_hf/chat_template.jinja
  expect 0 '^warning +the chat template is not supported.*include' "${import[@]}"
  rm other_hf/config.json
  mkfifo other_hf/config.json
  expect 2 'config.json is not a regular file' "${import[@]}"
  rm -r other_hf
}
