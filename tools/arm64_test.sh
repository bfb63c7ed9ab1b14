#!/usr/bin/env bash
# Builds the kernels and their tests for arm64 and runs them in an emulator with every instruction
# that it knows, so that the NEON kernels are tested on machines of other kinds.
#
# usage: arm64_test.sh <folder for the build> <tables.bin> (run from the root of the sources)
set -euo pipefail

out=$1 tables=$2
mkdir -p "$out"

need() { # need <file> <package>
  if [[ ! -e $1 ]]; then
    printf 'arm64_test: %s is missing: install %s (tools/packages.txt)\n' "$1" "$2" >&2
    exit 1
  fi
}
need /usr/bin/qemu-aarch64-static qemu-user-static
need /usr/aarch64-linux-gnu/include/c++ libstdc++-12-dev-arm64-cross
need /usr/aarch64-linux-gnu/lib/libc.so libc6-dev-arm64-cross
need /usr/bin/aarch64-linux-gnu-ld binutils-aarch64-linux-gnu
need /usr/src/googletest/googletest/src/gtest-all.cc libgtest-dev

gtest=/usr/src/googletest/googletest
flags=(--target=aarch64-linux-gnu -std=c++23 -Isrc -Wall -Wextra -Werror)
compile() { # compile <source> <option>...
  ccache clang++-19 "${flags[@]}" "${@:2}" -c "$1" -o "$out/$(basename "${1%.*}").o"
}
for name in kernels kernels_avx2 kernels_avx512 kernels_neon kernels_portable; do
  compile "src/engine/$name.cc" -O3
done
compile src/engine/kernels_test.cc -O2
compile src/machine/tables.cc -O2
ccache clang-19 --target=aarch64-linux-gnu "-DOTR_TABLES_FILE=\"$tables\"" \
  -c src/machine/tables.S -o "$out/tables_bytes.o"
for name in gtest-all gtest_main; do
  compile "$gtest/src/$name.cc" -O1 -w -I"$gtest" -I"$gtest/include"
done
clang++-19 --target=aarch64-linux-gnu "$out"/*.o -o "$out/kernels_test"

# A kernel that the emulator cannot run would be skipped, and then nothing would have been tested.
log=$out/kernels_test.log
status=0
qemu-aarch64-static -L /usr/aarch64-linux-gnu -cpu max "$out/kernels_test" --gtest_color=no \
  >"$log" 2>&1 || status=$?
if ((status != 0)); then
  tail -n 60 "$log" >&2
  printf 'arm64_test: exit status %s (all of it: %s)\n' "$status" "$log" >&2
  exit 1
fi
for kernel in portable neon_dotprod neon_i8mm; do
  if ! grep -q "^\[       OK \].*/$kernel " "$log"; then
    printf 'arm64_test: no test of %s has run (%s)\n' "$kernel" "$log" >&2
    exit 1
  fi
done
if grep -q 'SKIPPED' "$log"; then
  grep -A2 'SKIPPED\|NOT TESTED' "$log" >&2
  printf 'arm64_test: tests were skipped (%s)\n' "$log" >&2
  exit 1
fi
grep 'PASSED' "$log"
