#!/bin/bash
# A part of tests/cli.sh, which sources it: evidence on the command line. Verdicts on real evidence
# need the samples beside the repository and are left out, loudly, without them.
test_attest() {
  local samples verify=("$otr" attest verify) name
  samples=$(dirname "$proof_verifier")/../../shared/attestation-samples
  expect 0 'verify' "$otr" attest --help
  for name in verify show; do expect 0 '[Uu]sage' "$otr" attest "$name" --help; done
  printf 'no evidence' >plain
  expect 2 'plain is no evidence' "${verify[@]}" plain --policy genuine
  expect 2 'no evidence' "$otr" attest show plain
  expect 2 'nowhere' "${verify[@]}" nowhere --policy genuine
  expect 2 'genuine, strict-example, simulated-example' "${verify[@]}" plain --policy genuin
  printf '[tdx]\nmrdt = "any"\n' >policy.toml
  expect 2 "policy.toml.*line 2.*'mrtd'" "${verify[@]}" plain --policy policy.toml
  expect 2 'policy' "${verify[@]}" plain
  expect 2 'is no time' "${verify[@]}" plain --policy genuine --at yesterday
  expect 2 'hexadecimal' "${verify[@]}" plain --policy genuine --nonce xyz
  expect 2 '64 bytes' "${verify[@]}" plain --policy genuine --report-data 00ff
  mkdir -p no_files
  expect 2 'folder without files' "${verify[@]}" no_files --policy genuine
  # A report of zeros is evidence, and bad.
  python3 -c 'import sys; sys.stdout.buffer.write(bytes([3]) + bytes(1183))' >zeros.snp
  expect 1 'REFUSED' "${verify[@]}" zeros.snp --policy genuine
  expect 1 'what to do' "${verify[@]}" zeros.snp --policy genuine --explain
  expect_json 1 "${verify[@]}" zeros.snp --policy genuine --json
  expect 0 'AMD SEV-SNP' "$otr" attest show zeros.snp
  expect_json 0 "$otr" attest show zeros.snp --json
  # A simulated report, cut short: nobody can overlook what it is.
  printf 'OTRSIM-1 and no more' >simulated
  expect 1 'SIMULATED' "${verify[@]}" simulated --policy genuine
  if [ ! -d "$samples" ]; then
    echo "NOT TESTED: otr attest on real evidence; $samples is absent" >&2
    return
  fi
  local tdx=("$samples/tdx/v4-b0c06f-uptodate")
  expect 0 '^ACCEPTED' "${verify[@]}" "${tdx[@]}" --policy genuine --at 2025-06-20
  expect 0 'NOT proven: which software' "${verify[@]}" "${tdx[@]}" --policy genuine --at 2025-06-20
  expect 0 'PASS +verify' "${verify[@]}" "${tdx[@]}" --policy genuine --at 2025-06-20 --explain
  expect_json 0 "${verify[@]}" "${tdx[@]}" --policy genuine --at 2025-06-20 --json
  expect 1 'TIME_INVALID' "${verify[@]}" "${tdx[@]}" --policy genuine --at 2025-09-01
  expect 1 'POLICY_REFUSED' "${verify[@]}" "${tdx[@]}" --policy strict-example --at 2025-06-20
  expect 1 'POLICY_REFUSED' "${verify[@]}" "${tdx[@]}" --policy simulated-example --at 2025-06-20
  expect 0 'fmspc' "$otr" attest show "$samples/tdx/v4-b0c06f-uptodate/quote.bin"
  expect 0 '^ACCEPTED' "${verify[@]}" "$samples/composite/tinfoil-v3-tdx-h200" --policy genuine \
    --at 2026-06-29T02:13:30Z
  expect 1 'NONCE_MISMATCH' "${verify[@]}" "$samples/composite/tinfoil-v3-tdx-h200" \
    --policy genuine --at 2026-06-29T02:13:30Z --nonce "$(printf '%064d' 7)"
}
