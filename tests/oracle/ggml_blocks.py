#!/usr/bin/env python3
"""Compares our floats with those of llama.cpp's own library, bit for bit, for random blocks.

Usage: ggml_blocks.py PROGRAM (of gguf_program.cc). Exit status 77 if the library cannot be had.
"""

import ctypes
import random
import struct
import subprocess
import sys

# ggml's number, name, elements and bytes of a block, and the function that widens a row.
TYPES = [
    (1, "F16", 1, 2, "ggml_fp16_to_fp32_row"),
    (30, "BF16", 1, 2, "ggml_bf16_to_fp32_row"),
    (2, "Q4_0", 32, 18, "dequantize_row_q4_0"),
    (3, "Q4_1", 32, 20, "dequantize_row_q4_1"),
    (6, "Q5_0", 32, 22, "dequantize_row_q5_0"),
    (7, "Q5_1", 32, 24, "dequantize_row_q5_1"),
    (8, "Q8_0", 32, 34, "dequantize_row_q8_0"),
    (10, "Q2_K", 256, 84, "dequantize_row_q2_K"),
    (11, "Q3_K", 256, 110, "dequantize_row_q3_K"),
    (12, "Q4_K", 256, 144, "dequantize_row_q4_K"),
    (13, "Q5_K", 256, 176, "dequantize_row_q5_K"),
    (14, "Q6_K", 256, 210, "dequantize_row_q6_K"),
]
BLOCKS = 4096


def library():
    done = subprocess.run(["bench/peer/install"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 3:
        print("SKIPPED: llama.cpp's library cannot be had here.")
        sys.exit(77)
    done.check_returncode()
    folder = done.stdout.strip().splitlines()[-1].rsplit("/", 1)[0]
    found = ctypes.CDLL(folder + "/libggml-base.so")
    found.ggml_blck_size.restype = ctypes.c_int64
    found.ggml_type_size.restype = ctypes.c_size_t
    found.ggml_type_name.restype = ctypes.c_char_p
    return found


def check(ggml, program, kind, rng):
    """All patterns of bits; a float that is not a number equals any other such."""
    number, name, elements, size, function = kind
    assert ggml.ggml_blck_size(number) == elements, name
    assert ggml.ggml_type_size(number) == size, name
    assert ggml.ggml_type_name(number).decode().upper() == name.upper(), name
    blocks = BLOCKS if elements > 1 else 65536
    raw = rng.randbytes(blocks * size)
    if elements == 1:  # every value there is
        raw = b"".join(struct.pack("<H", i) for i in range(65536))
    count = blocks * elements
    theirs = (ctypes.c_float * count)()
    getattr(ggml, function)(raw, theirs, ctypes.c_int64(count))
    ours = subprocess.run([program, "widen", str(number)], input=raw, stdout=subprocess.PIPE,
                          check=True).stdout
    assert len(ours) == 4 * count, name
    differences = 0
    for a, b in zip(struct.unpack(f"<{count}I", ours), struct.unpack(f"<{count}I", theirs)):
        if a != b and not (a & 0x7FFFFFFF > 0x7F800000 and b & 0x7FFFFFFF > 0x7F800000):
            differences += 1
    print(f"{name}: {count} floats, {differences} differ")
    return differences


def main():
    ggml = library()
    rng = random.Random(1)
    wrong = sum(check(ggml, sys.argv[1], kind, rng) for kind in TYPES)
    sys.exit(1 if wrong else 0)


main()
