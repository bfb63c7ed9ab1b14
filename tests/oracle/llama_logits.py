#!/usr/bin/env python3
"""Compares our float model of GGUF files with what llama.cpp itself computes from them.

Usage: llama_logits.py PROGRAM FOLDER (PROGRAM of gguf_program.cc; it writes into FOLDER).
Exit status 77 if llama.cpp's libraries cannot be had.

llama.cpp keeps keys and values in half precision, so the logits agree to about a thousandth; a
wrong order of rows or a wrong rotation makes them different altogether.
"""

import ctypes
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

TOLERANCE = 4e-3
WINDOW = 4  # of the model 'window'
# llama.cpp passes its parameters by value. It reads what it knows of a block that is larger.
Parameters = ctypes.c_byte * 4096


class Blob(ctypes.Structure):
    _fields_ = [("bytes", Parameters)]


class Batch(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32), ("pointers", ctypes.c_void_p * 6)]


LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
messages = []


@LOG
def remember(_level, text, _data):
    messages.append(text.decode(errors="replace"))


def libraries():
    done = subprocess.run(["bench/peer/install"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 3:
        print("SKIPPED: llama.cpp's libraries cannot be had here.")
        sys.exit(77)
    done.check_returncode()
    folder = pathlib.Path(done.stdout.strip().splitlines()[-1]).parent
    loaded = []
    for name in ("libggml-base.so", "libggml.v*.so", "libllama.v*.so"):
        path = next(folder.glob(name))
        loaded.append(ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL))
    _, ggml, llama = loaded
    ggml.ggml_backend_load_all_from_path(os.fsencode(folder))
    llama.llama_log_set(remember, None)
    llama.llama_backend_init()
    for name in ("llama_model_default_params", "llama_context_default_params"):
        getattr(llama, name).restype = Blob
    llama.llama_model_load_from_file.restype = ctypes.c_void_p
    llama.llama_model_load_from_file.argtypes = [ctypes.c_char_p, Blob]
    llama.llama_init_from_model.restype = ctypes.c_void_p
    llama.llama_init_from_model.argtypes = [ctypes.c_void_p, Blob]
    llama.llama_batch_get_one.restype = Batch
    llama.llama_decode.argtypes = [ctypes.c_void_p, Batch]
    llama.llama_get_logits.restype = ctypes.POINTER(ctypes.c_float)
    for name in ("llama_get_logits", "llama_free", "llama_model_free"):
        getattr(llama, name).argtypes = [ctypes.c_void_p]
    return llama


def their_logits(llama, path, ids, vocabulary):
    model = llama.llama_model_load_from_file(os.fsencode(path), llama.llama_model_default_params())
    if not model:
        sys.exit("".join(messages[-12:]) + f"llama.cpp does not load {path}")
    context = llama.llama_init_from_model(model, llama.llama_context_default_params())
    tokens = (ctypes.c_int32 * len(ids))(*ids)
    if llama.llama_decode(context, llama.llama_batch_get_one(tokens, len(ids))) != 0:
        sys.exit("".join(messages[-12:]) + f"llama.cpp does not run {path}")
    logits = llama.llama_get_logits(context)[:vocabulary]
    llama.llama_free(context)
    llama.llama_model_free(model)
    return logits


def distance(a, b):
    """sqrt(sum (a - b)^2 / sum a^2), both without their mean."""
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    apart = sum((x - mean_a - y + mean_b) ** 2 for x, y in zip(a, b))
    return math.sqrt(apart / sum((x - mean_a) ** 2 for x in a))


def main():
    llama = libraries()
    program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run([program, "models", str(folder)], check=True)
    wrong = False
    for path in sorted(folder.glob("*.gguf")):
        ours = json.loads(path.with_suffix(".json").read_text())
        for case in ours["cases"]:
            ids = ours["ids"][: case["count"]]
            theirs = their_logits(llama, path, ids, len(case["logits"]))
            apart = distance(theirs, case["logits"])
            bad = not apart < TOLERANCE
            # llama.cpp ignores the window of these architectures, as our import's warning says:
            # should that change, so must the warning.
            if path.stem == "window" and len(ids) > WINDOW:
                bad = not bad
            wrong |= bad
            print(f"{path.stem} after {len(ids)} tokens: {apart:.2e}{' WRONG' if bad else ''}")
    sys.exit(1 if wrong else 0)


main()
