#!/bin/bash
# Plays the whole command line with the program $1 and a small random model made here: what each
# command prints and exits with, on good, wrong and hostile input, full disks and killed processes.
set -u
otr=$(realpath "${1:?usage: tests/cli.sh PATH-OF-OTR}")
proof_verifier=$(realpath "$(dirname "$0")/../spec/proof_verifier.py")
. "$(dirname "$0")/cli/attest.sh"
. "$(dirname "$0")/cli/sampling.sh"
. "$(dirname "$0")/cli/import.sh"
. "$(dirname "$0")/cli/tokenize.sh"
. "$(dirname "$0")/cli/ledger.sh"
. "$(dirname "$0")/cli/ledger_serve.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export OTR_HOME=$work/home HF=$work/hf LC_ALL=C.UTF-8
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
  [ "$got" = "$code" ] || fail "exit $got, not $code: $(head -c 200 <<<"$*") : $(head -c 300 said)"
  grep -qE -- "$pattern" said ||
    fail "no '$pattern' from: $(head -c 200 <<<"$*") : $(head -c 300 said)"
}

# expect_json CODE COMMAND... : standard output is one JSON value.
expect_json() {
  local code=$1 got
  shift
  "$@" >said 2>errors
  got=$?
  [ "$got" = "$code" ] || fail "exit $got, not $code: $* : $(head -c 300 errors)"
  python3 -m json.tool said >/dev/null || fail "no JSON from: $*"
}

# A killed or failed command leaves no temporary file behind (only SIGKILL may).
no_leftovers() {
  [ -z "$(find "$work" -name '.otr-*')" ] || fail "temporary files are left after: $*"
}

flip() { # FILE OFFSET BIT OUT
  python3 - "$@" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[2])] ^= 1 << int(sys.argv[3])
open(sys.argv[4], "wb").write(data)
PY
}

make_model() {
  python3 - <<'PY'
import json, os, random, struct
random.seed(5)
folder = os.environ["HF"]
os.makedirs(folder)
d, heads, ffn, vocabulary, layers, context = 32, 2, 48, 258, 2, 2048
json.dump(dict(architectures=["LlamaForCausalLM"], hidden_size=d, num_attention_heads=heads,
               intermediate_size=ffn, num_hidden_layers=layers, vocab_size=vocabulary,
               max_position_embeddings=context, rms_norm_eps=1e-5, eos_token_id=257,
               bos_token_id=256), open(folder + "/config.json", "w"))
symbols, spare = {}, 0x100
for byte in range(256):
    if 0x21 <= byte <= 0x7E or (byte >= 0xA1 and byte != 0xAD):
        symbols[chr(byte)] = byte
    else:
        symbols[chr(spare)] = byte
        spare += 1
added = [dict(id=256 + i, content=name, special=True, single_word=False, lstrip=False,
              rstrip=False, normalized=False) for i, name in enumerate(["<s>", "<end>"])]
json.dump(dict(version="1.0", added_tokens=added, normalizer=None,
               pre_tokenizer=dict(type="ByteLevel", add_prefix_space=False),
               decoder=dict(type="ByteLevel"), model=dict(type="BPE", vocab=symbols, merges=[])),
          open(folder + "/tokenizer.json", "w"))
json.dump(dict(bos_token="<s>", eos_token="<end>",
               chat_template="{{ bos_token }}Q: {{ messages[0]['content'] }}\nA: "),
          open(folder + "/tokenizer_config.json", "w"))
shapes = {"model.embed_tokens.weight": (vocabulary, d), "lm_head.weight": (vocabulary, d),
          "model.norm.weight": (d,)}
for layer in range(layers):
    name = "model.layers.%d." % layer
    for norm in "input_layernorm", "post_attention_layernorm":
        shapes[name + norm + ".weight"] = (d,)
    for part in "qkvo":
        shapes[name + "self_attn.%s_proj.weight" % part] = (d, d)
    for part, shape in ("gate", (ffn, d)), ("up", (ffn, d)), ("down", (d, ffn)):
        shapes[name + "mlp.%s_proj.weight" % part] = shape
header, data = {}, b""
for name, shape in shapes.items():
    count = shape[0] * (shape[1] if len(shape) == 2 else 1)
    values = [1.0 if len(shape) == 1 else random.gauss(0, 0.3) for _ in range(count)]
    if name == "lm_head.weight":  # the answer never ends by itself
        values[257 * d:] = [0.0] * d
    raw = struct.pack("<%df" % count, *values)
    header[name] = dict(dtype="F32", shape=shape, data_offsets=[len(data), len(data) + len(raw)])
    data += raw
text = json.dumps(header).encode()
open(folder + "/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}

test_golden_path() {
  expect 0 '^model_root +0x[0-9a-f]{64}$' "$otr" model import "$HF" -o M
  expect 0 '^model_root +0x[0-9a-f]{64}$' "$otr" model show M
  expect_json 0 "$otr" model show M --json
  expect_json 0 "$otr" model import "$HF" -o M2 --json
  cmp -s M M2 || fail "two imports differ"
  printf 'Some text to measure the model on.\n' >text
  expect_json 0 "$otr" model import "$HF" -o A --act8 auto --text "$HF/config.json" --json
  cmp -s M A && fail "--act8 auto chose nothing"
  expect 0 'Receipt: A.json' "$otr" ask --model A --max-tokens 4 --receipt A.json "a prompt"
  expect 0 '^VERIFIED' "$otr" verify A.json --model A --recompute
  expect 0 'float32' "$otr" model eval M --text text
  expect_json 0 "$otr" model eval M --text text --reference "$HF" --json
  expect 0 'Receipt: R.json' "$otr" ask --model M --max-tokens 8 --receipt R.json "a prompt"
  expect 0 '^VERIFIED' "$otr" verify R.json --model M --recompute
  expect 0 'PASS +form is canonical' "$otr" verify R.json --model M --recompute --explain
  expect 3 '^INCONCLUSIVE.*--recompute' "$otr" verify R.json --model M
  expect_json 0 "$otr" verify R.json --model M --recompute --json
  expect_json 3 "$otr" verify R.json --model M --json
  expect_json 0 "$otr" ask --model M --max-tokens 4 --json "a prompt"
  OTR_MODEL=M expect 0 '^VERIFIED' "$otr" verify R.json --recompute --threads 3
  "$otr" ask --model M --max-tokens 8 --temperature 1 --seed 7 hi >one 2>&1
  "$otr" ask --model M --max-tokens 8 --temperature 1 --seed 7 hi >two 2>&1
  [ "$(head -1 one)" = "$(head -1 two)" ] || fail "the same seed gave another answer"
}

test_help() {
  expect 0 'Exit codes' "$otr" --help
  expect 0 'spec 0x' "$otr" --version
  local command
  for command in ask prove verify model "model import" "model show" "model eval"; do
    # shellcheck disable=SC2086
    expect 0 '[Uu]sage|USAGE' "$otr" $command --help
  done
  expect 2 'subcommand|help' "$otr"
  expect 2 'help' "$otr" model
  expect 2 'help' "$otr" nonsense
}

test_flags() {
  local ask=("$otr" ask --model M --max-tokens 2)
  expect 2 'unknown' "${ask[@]}" --unknown x
  expect 2 'model' "$otr" ask x
  expect 2 'prompt' "${ask[@]}"
  expect 2 'receipt' "$otr" verify --model M
  expect 2 'max-tokens' "$otr" ask --model M x --max-tokens
  local value
  for value in abc 1.5 0 -3 99999999999; do
    expect 2 'max-tokens' "$otr" ask --model M "--max-tokens=$value" x
  done
  for value in nan -1 1e9 inf hot; do
    expect 2 'temperature' "${ask[@]}" "--temperature=$value" x
  done
  for value in junk -1 0x12 18446744073709551616; do
    expect 2 'seed' "${ask[@]}" "--seed=$value" x
  done
  for value in 0 -1 100000 many; do expect 2 'threads' "${ask[@]}" "--threads=$value" x; done
  for value in nan 1.5 -0.1; do expect 2 'top-p' "${ask[@]}" "--top-p=$value" x; done
  expect 2 'presence' "${ask[@]}" --presence-penalty=17 x
  expect 2 'top_k|top-k' "${ask[@]}" --top-k 100000 x
  expect 0 'PASS' "${ask[@]}" --stop a --stop a x
  expect 2 'stop' "${ask[@]}" --stop a --stop b --stop c --stop d --stop e x
  expect 2 'stop' "${ask[@]}" --stop "$(printf 'x%.0s' {1..65})" x
}

test_prompts() {
  local ask=("$otr" ask --model M --max-tokens 2)
  expect 2 'empty' "${ask[@]}" --raw ""
  expect 2 'UTF-8' "${ask[@]}" $'ab\xffcd'
  expect 2 'shorten' "${ask[@]}" "$(printf 'x%.0s' {1..2100})"
  # What is typed is text: six ids of <end>, not the one of the control token.
  expect_json 0 "${ask[@]}" --receipt typed.json --json 'now <end> it'
  python3 - typed.json <<'PY' || fail "a typed control token became one"
import json, sys
assert 257 not in json.load(open(sys.argv[1]))["prompt_ids"]
PY
  expect 0 'PASS' "${ask[@]}" --raw 'now <end> it'
  expect 0 'PASS' "${ask[@]}" '{{ bos_token }}{% x %}'
}

test_files() {
  local ask=("$otr" ask --model) verify=("$otr" verify --recompute)
  expect 2 'no model missing' "${ask[@]}" missing x
  expect 2 'is a folder.*model import' "${ask[@]}" "$HF" x
  head -c 5000 M >truncated
  : >empty
  head -c 5000 /dev/urandom >garbage
  local file
  for file in truncated empty garbage "$HF/model.safetensors"; do
    expect 2 "$file" "$otr" model show "$file"
    expect 2 "$file" "${ask[@]}" "$file" x
    expect 1 "$file" "${verify[@]}" R.json --model "$file"
  done
  expect 2 'missing' "${verify[@]}" missing --model M
  expect 2 'directory' "${verify[@]}" "$HF" --model M
  expect 2 'missing' "$otr" model import missing -o X
  expect 2 'config.json' "$otr" model import home -o X
  expect 2 'missing' "$otr" model eval M --text missing
  [ ! -e X ] || fail "a failed import wrote a model"

  for file in empty garbage M; do
    expect 1 'FAILED.*(MALFORMED|NOT_CANONICAL)' "${verify[@]}" "$file" --model M
  done
  head -c 17825792 /dev/zero >huge
  expect 1 'LIMIT_EXCEEDED' "${verify[@]}" huge --model M
  cp -r "$HF" hf2
  sed -i 's/A: /B: /' hf2/tokenizer_config.json
  expect 0 'model_root' "$otr" model import hf2 -o other
  expect 1 'MODEL_ROOT_MISMATCH' "${verify[@]}" R.json --model other
  expect_json 1 "${verify[@]}" R.json --model other --json
}

test_output() {
  local ask=("$otr" ask --model M --max-tokens 2)
  cp R.json before.json
  expect 2 'no folder nowhere' "${ask[@]}" --receipt nowhere/R.json x
  expect 2 'is a folder' "${ask[@]}" --receipt home x
  expect 2 '/dev/full' "${ask[@]}" --receipt /dev/full x
  expect 2 '/proc' "${ask[@]}" --receipt /proc/R.json x
  expect 2 'nowhere' "$otr" model import "$HF" -o nowhere/M
  if [ "$(id -u)" != 0 ]; then
    mkdir closed && chmod 500 closed
    expect 2 'closed' "${ask[@]}" --receipt closed/R.json x
  fi
  "${ask[@]}" x >/dev/full 2>said
  [ $? = 2 ] || fail "/dev/full as standard output must exit 2"
  grep -q 'standard output.*space' said || fail "a full standard output is not named: $(cat said)"
  # A reader that goes away must not cost the receipt.
  "${ask[@]}" --receipt piped.json x 2>/dev/null | true
  expect 0 '^VERIFIED' "$otr" verify piped.json --model M --recompute
  # A file that may not grow: the old receipt stays, nothing is left behind.
  (ulimit -f 1; exec "${ask[@]}" --receipt R.json x >limited 2>&1)
  [ $? = 2 ] || fail "ulimit -f: $(cat limited)"
  cmp -s R.json before.json || fail "a failed write changed the receipt"
  no_leftovers "failed writes"
}

test_home() {
  local ask=("$otr" ask --model M --max-tokens 2 x)
  OTR_HOME='' HOME='' XDG_DATA_HOME='' expect 2 'set HOME or OTR_HOME' "${ask[@]}"
  OTR_HOME=$work/M expect 2 'is not a folder' "${ask[@]}"
  OTR_HOME=/proc/none expect 2 '/proc/none' "${ask[@]}"
  printf x >home/client.counter.bad
  cp -r home home2
  printf x >home2/client.key
  OTR_HOME=$work/home2 expect 2 'client.key is not a key of 32 bytes' "${ask[@]}"
  [ "$(stat -c %a home) $(stat -c %a home/client.key)" = "700 600" ] || fail "keys can be read"
  # Many at once, and no counter twice.
  local i
  for i in 1 2 3 4; do "${ask[@]}" --receipt "many$i.json" >/dev/null 2>&1 & done
  wait
  [ "$(cat many?.json | grep -oE '"counter":"[0-9]+"' | sort -u | wc -l)" = 4 ] ||
    fail "concurrent asks share a counter"
}

# Stops a long answer with a signal once its first words are out.
test_interrupt() {
  "$otr" ask --model M --max-tokens 2000 --receipt long.json x >stream 2>errors &
  local pid=$! i
  for i in {1..200}; do
    [ -s stream ] && break
    sleep 0.05
  done
  kill -INT "$pid"
  wait "$pid"
  local got=$?
  [ "$got" = 3 ] || fail "Ctrl-C: exit $got, not 3: $(cat errors)"
  grep -q 'stopped' errors || fail "Ctrl-C: $(cat errors)"
  [ ! -e long.json ] || fail "Ctrl-C: a receipt was written"
  no_leftovers "Ctrl-C"
}

test_kill() {
  local i pid
  for i in {1..10}; do
    "$otr" ask --model M --max-tokens 20 --receipt killed.json x >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf %03d $((RANDOM % 120)))"
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    if [ -e killed.json ]; then
      expect 3 'INCONCLUSIVE' "$otr" verify killed.json --model M
      rm killed.json
    fi
    "$otr" model import "$HF" -o killed.model >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf %03d $((RANDOM % 120)))"
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    if [ -e killed.model ]; then
      cmp -s killed.model M || fail "kill -9 left half a model"
      rm killed.model
    fi
  done 2>/dev/null
  find "$work" -name '.otr-*' -delete
  expect 0 'PASS' "$otr" ask --model M --max-tokens 2 x
}

test_memory() {
  # The address space of a sanitizer is larger than any limit.
  if grep -qa __asan_init "$otr"; then return; fi
  local kib=4000 got
  # From where the system can load the program at all.
  until (ulimit -v "$kib"; exec "$otr" --version) >/dev/null 2>&1; do
    kib=$((kib * 5 / 4))
  done 2>/dev/null
  while [ "$kib" -lt 200000 ]; do
    (ulimit -v "$kib"; exec "$otr" ask --model M --max-tokens 2 --threads 2 x >limited 2>&1)
    got=$?
    case $got in
      0) return ;;
      2) grep -qiE 'memory|thread' limited ||
        fail "ulimit -v $kib: $(head -c 300 limited)" ;;
      *) fail "ulimit -v $kib: exit $got: $(head -c 300 limited)" ;;
    esac
    kib=$((kib * 5 / 4))
  done
}

test_flips() {
  local i size
  size=$(stat -c %s R.json)
  for i in {1..20}; do
    flip R.json $(((RANDOM * 32768 + RANDOM) % size)) $((RANDOM % 8)) flipped
    expect 1 'FAILED' "$otr" verify flipped --model M --recompute
  done
  size=$(stat -c %s M)
  for i in {1..20}; do
    # The header is a tenth of this file; every second flip hits it.
    flip M $(((RANDOM * 32768 + RANDOM) % (i % 2 ? size : 8192))) $((RANDOM % 8)) flipped
    expect 1 'MISMATCH|MALFORMED|CANONICAL|INVALID|LIMIT' \
      "$otr" verify R.json --model flipped --recompute
  done
}

# Waits until the process $1 has threads of its own: then it is proving.
wait_for_threads() {
  local i
  for i in {1..400}; do
    [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ] && return
    sleep 0.01
  done
  fail "no thread was started"
}

splice() { # PROOF RECEIPT OUT: another receipt in the place of the proof's own
  python3 - "$@" <<'PY'
import struct, sys
proof, receipt = (open(name, "rb").read() for name in sys.argv[1:3])
size = struct.unpack_from("<I", proof, 12)[0]
open(sys.argv[3], "wb").write(
    proof[:12] + struct.pack("<I", len(receipt)) + receipt + proof[16 + size:])
PY
}

test_proofs() {
  local prove=("$otr" prove --model M) verify=("$otr" verify --model M)
  expect 0 '^Proof: P, [0-9]+ bytes.*otr verify P' "${prove[@]}" R.json -o P
  expect 0 '^PROVEN' "${verify[@]}" P
  expect 0 'NOT YET  recomputed by me .not needed' "${verify[@]}" P
  expect 0 'PASS +drawn and proven' "${verify[@]}" P
  expect 0 'PASS +trace root of the rows' "${verify[@]}" P --explain
  expect 0 'PASS +proof of every position, layer and choice' "${verify[@]}" P --explain
  expect_json 0 "${verify[@]}" P --json
  expect 2 'no --recompute' "${verify[@]}" P --recompute
  expect 0 'otr prove' "$otr" verify --help
  expect 0 'memory-gb' "$otr" prove --help

  local beacon=0x00000000000000000000000000000000000000000000000000000000000000 value
  expect 0 '^PROVEN' "${verify[@]}" P --beacon ${beacon}00
  expect 1 'FAIL +drawn and proven.*bound to 0x0' "${verify[@]}" P --beacon ${beacon}01
  expect_json 0 "${prove[@]}" R.json -o PB --beacon ${beacon}01 --json
  expect 0 '^PROVEN' "${verify[@]}" PB --beacon ${beacon}01
  expect 1 'PROOF_INVALID.*bound to' "${verify[@]}" PB --beacon ${beacon}00
  for value in zz 0x12 "$beacon" "${beacon}0g" "${beacon}000"; do
    expect 2 'beacon must be' "${verify[@]}" P --beacon "$value"
    expect 2 'beacon must be' "${prove[@]}" R.json -o X --beacon "$value"
  done
  expect 2 'about a proof' "${verify[@]}" R.json --beacon ${beacon}00

  local sampled=("$otr" ask --model M --max-tokens 3 --temperature 0.9 --seed 5)
  "${sampled[@]}" --min-p 0.01 --presence-penalty 0.5 --receipt RS.json x >/dev/null
  expect 0 '^Proof' "${prove[@]}" RS.json -o PS --threads 1
  expect 0 '^PROVEN' "${verify[@]}" PS
  "${sampled[@]}" --top-k 5 --receipt RK.json x >/dev/null
  "${sampled[@]}" --top-p 0.5 --receipt RP.json x >/dev/null
  expect 2 'top_k or top_p' "${prove[@]}" RK.json -o X
  expect 2 'top_k or top_p' "${prove[@]}" RP.json -o X

  for value in 0.001 0.2; do
    expect 2 'needs at least [0-9.]+ GB of memory' "${prove[@]}" R.json -o X --memory-gb "$value"
  done
  for value in nan -1 1e9 much; do
    expect 2 'memory-gb' "${prove[@]}" R.json -o X "--memory-gb=$value"
  done
  [ ! -e X ] || fail "a refused proof was written"
}

test_proof_files() {
  local prove=("$otr" prove --model M) verify=("$otr" verify --model M) i size
  sed 's/"output_text":"/&x/' R.json >tampered
  expect 1 'receipt is wrong.*TEXT_MISMATCH' "${prove[@]}" tampered -o X
  expect 1 'MODEL_ROOT_MISMATCH' "$otr" prove --model other R.json -o X
  expect 1 'MODEL_ROOT_MISMATCH' "$otr" verify --model other P
  expect 2 'is a proof already' "${prove[@]}" P -o X
  expect 2 'missing' "${prove[@]}" missing -o X
  expect 2 'no model' "$otr" prove --model missing R.json -o X
  expect 2 'output' "${prove[@]}" R.json
  expect 2 'no folder nowhere' "${prove[@]}" R.json -o nowhere/P
  expect 2 'is a folder' "${prove[@]}" R.json -o home
  expect 2 '/dev/full is a device' "${prove[@]}" R.json -o /dev/full
  cp P before
  (ulimit -f 1; exec "${prove[@]}" R.json -o P >limited 2>&1)
  [ $? = 2 ] || fail "ulimit -f: $(cat limited)"
  cmp -s P before || fail "a failed write changed the proof"
  [ ! -e X ] || fail "a refused proof was written"
  no_leftovers "failed proofs"

  splice P RS.json spliced
  expect 1 'FAIL +drawn and proven' "${verify[@]}" spliced
  splice P tampered spliced
  expect 1 'TEXT_MISMATCH' "${verify[@]}" spliced
  size=$(stat -c %s P)
  for i in 0 9 12 100 5000 $((size / 2)) $((size - 1)); do
    head -c "$i" P >cut
    expect 1 'FAILED: MALFORMED' "${verify[@]}" cut
  done
  { cat P && printf x; } >longer
  expect 1 'bytes follow' "${verify[@]}" longer
  for i in {1..20}; do
    flip P $(((RANDOM * 32768 + RANDOM) % size)) $((RANDOM % 8)) flipped
    expect 1 'FAILED' "${verify[@]}" flipped
  done
  flip P $((size - 1)) 0 flipped
  expect 1 'FAIL +drawn and proven.*PROOF_INVALID' "${verify[@]}" flipped
  expect_json 1 "${verify[@]}" flipped --json
}

# The second verifier, written from the text of the SPEC alone, in another process.
test_proof_elsewhere() {
  local ask=("$otr" ask --model M --max-tokens 3 --temperature 1 --seed 3)
  expect 0 'PASS' "${ask[@]}" --logit-bias 120=8 --presence-penalty 1 --receipt B.json "a prompt"
  expect 0 '' "$otr" prove --model M B.json -o PB
  expect 0 '^accepted: ' python3 "$proof_verifier" PB --model M
  expect 0 '^accepted: ' python3 "$proof_verifier" P --model M
  expect 1 '^refused: ' python3 "$proof_verifier" flipped --model M
  expect 1 '^refused: ' python3 "$proof_verifier" P --model other
}

test_proof_kill() {
  local prove=("$otr" prove --model M --threads 2 R.json -o killed.proof) signal pid got
  for signal in INT KILL KILL KILL; do
    "${prove[@]}" >killed.said 2>&1 &
    pid=$!
    wait_for_threads $pid
    sleep "0.0$((RANDOM % 10))"
    kill -$signal $pid
    wait $pid
    got=$?
    [ ! -e killed.proof ] || fail "kill -$signal left a proof"
    no_leftovers "kill -$signal while proving"
    [ $signal = KILL ] && continue
    [ $got = 3 ] || fail "Ctrl-C while proving: exit $got, not 3: $(cat killed.said)"
    grep -q 'stopped; no proof' killed.said || fail "Ctrl-C while proving: $(cat killed.said)"
  done 2>kill.said
  grep FAILED kill.said >&2
}

RANDOM=20
make_model || exit 1
for part in attest golden_path help flags prompts sampling files output home import tokenize \
  ledger ledger_serve interrupt kill memory flips proofs proof_files proof_elsewhere proof_kill; do
  begin=$SECONDS
  "test_$part"
  echo "$part: $((SECONDS - begin)) s"
done
[ "$failures" = 0 ] || { echo "$failures failures" >&2; exit 1; }
