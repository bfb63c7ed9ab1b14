#!/usr/bin/env python3
"""Verifies a proof of spec/PROOF.md, written from the text alone.

  proof_verifier.py PROOF --model M [--json]   exit 0: accepted; 1: refused, with code and reason
  proof_verifier.py --selftest                 checks the verifier's own parts

Any other use: exit 2.
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the tree free of __pycache__

from oracle import artifact  # noqa: E402
from oracle.encoding import Reject  # noqa: E402
from proof import selftest  # noqa: E402
from proof.statement import MAX_BYTES, verify  # noqa: E402


def _arguments(words):
    parser = argparse.ArgumentParser(description="Verifies a proof of spec/PROOF.md.")
    parser.add_argument("proof", nargs="?", type=Path, help="the proof's file")
    parser.add_argument("--model", type=Path, help="the model artifact")
    parser.add_argument("--json", action="store_true", help="the verdict as one JSON object")
    parser.add_argument("--selftest", action="store_true", help="checks the verifier itself")
    arguments = parser.parse_args(words)
    if not arguments.selftest and (arguments.proof is None or arguments.model is None):
        parser.error("a proof and --model are needed")
    return arguments


def _judge(arguments):
    """The verdict as a dictionary."""
    start = time.perf_counter()
    try:
        with arguments.proof.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        verdict = verify(data, artifact.read(arguments.model.read_bytes()))
        verdict = {"accepted": True, **verdict}
    except Reject as reject:
        verdict = {"accepted": False, "code": reject.code, "reason": str(reject)}
    return {**verdict, "seconds": round(time.perf_counter() - start, 1)}


def main(words):
    arguments = _arguments(words)
    if arguments.selftest:
        return selftest.main()
    try:
        verdict = _judge(arguments)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(verdict, sort_keys=True))
    elif verdict["accepted"]:
        print(f"accepted: {verdict['positions']} positions, {verdict['seconds']} s")
    else:
        print(f"refused: {verdict['reason']}")
    return 0 if verdict["accepted"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
