"""The statement of a proof: a signed receipt with honest rows and scalars, and hostile ones."""

import random

from oracle import vectors_forward, vectors_receipt
from oracle.encoding import Reject, integer
from oracle.receipt import write
from proof.statement import _prepare, read_proof, verify
from proof.witness import Run

EXECUTION = "gqa greedy with penalties"
RANDOM = random.Random("proof statement")


def file_of(*parts):
    """PS-8: receipt, trace rows, scalars, argument."""
    pieces = [integer("u32", len(part)) + part for part in parts]
    beacon = bytes(range(32))
    return b"OTRPROOF" + integer("u32", 1) + pieces[0] + beacon + b"".join(pieces[1:])


def code_of(action, *arguments):
    """The code of the refusal, "" where there is none; any other exception is our bug."""
    try:
        action(*arguments)
    except Reject as reject:
        return reject.code
    return ""


def _spoiled(data):
    """One byte changed to anything, or the last bytes cut off, or some added."""
    kind = RANDOM.randrange(10)
    if kind == 0:
        return data[: RANDOM.randrange(len(data))]
    if kind == 1:
        return data + bytes(RANDOM.randrange(1, 9))
    at = RANDOM.randrange(len(data))
    return data[:at] + bytes([data[at] ^ RANDOM.randrange(1, 256)]) + data[at + 1 :]


def _of_scalars(parts, model):
    """Spoiled scalars are refused by their own, or ask for another argument than this one."""
    document, trace, scalars = parts
    accepted = 0
    for _ in range(25):
        proof = read_proof(file_of(document, trace, _spoiled(scalars), b""))
        code = code_of(_prepare, proof, model)
        assert code in ("", "PROOF_INVALID", "MALFORMED"), code
        accepted += code == ""
    assert accepted < 25


def test_statement():
    arguments = vectors_forward.arguments(EXECUTION)
    model = arguments["model"]
    run = Run(model, arguments["prompt"], arguments["sampling"], arguments["max_tokens"])
    document = write(vectors_receipt._document(EXECUTION))
    parts = document, run.trace(), run.scalars()
    honest = file_of(*parts, b"")
    assert code_of(_prepare, read_proof(honest), model) == ""
    assert code_of(verify, honest, model) == "MALFORMED"  # there is no argument
    for _ in range(8):
        bad = file_of(document, _spoiled(parts[1]), parts[2], b"")
        code = code_of(verify, bad, model)
        assert code in ("MALFORMED", "PROOF_INVALID", "TRACE_ROOT_MISMATCH"), code
    for _ in range(8):
        assert code_of(verify, file_of(_spoiled(document), *parts[1:], b""), model)
        assert code_of(verify, _spoiled(honest), model)
    _of_scalars(parts, model)
