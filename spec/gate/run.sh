#!/bin/sh
# Runs the exit gate: A (circuit witness, Python) and B (Solidity step; needs npm). From the repository root or anywhere.
set -eu
gate=$(cd "$(dirname "$0")" && pwd)
work=${GATE_BUILD:-$gate/../../build/gate}
echo "== A: circuit witnesses =="
(cd "$gate" && python3 -B forgeries.py)
echo "== B: the step in Solidity =="
mkdir -p "$work"
work=$(cd "$work" && pwd)
if [ ! -x "$work/node_modules/.bin/forge" ]; then
  printf '{"name":"gate","private":true,"version":"0.0.0"}\n' > "$work/package.json"
  if ! (cd "$work" && npm install --no-fund --no-audit @foundry-rs/forge@1.7.1 @foundry-rs/anvil@1.7.1 solc@0.8.37); then
    echo "GATE B NOT RUN: the npm packages of forge, anvil and solc could not be installed." >&2
    exit 3
  fi
fi
export GATE_MODULES="$work/node_modules"
cd "$gate/evm"
"$GATE_MODULES/.bin/forge" test --offline --use ./solc.sh --out "$work/out" --cache-path "$work/cache"
node measure.mjs "$work"
