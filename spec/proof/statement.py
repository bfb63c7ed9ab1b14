"""PS-1, PS-2, PS-7, PS-8: the file of a proof, and the whole verification."""

from dataclasses import dataclass

from oracle import receipt
from oracle.encoding import integer, require
from oracle.tables import spec_hash
from proof import gkr, soundness
from proof.choice import Choice, check_request
from proof.circuit import Circuit, Options
from proof.layout import Layout
from proof.mle import count
from proof.opening import HASH, commitment, opening_elements, places_bytes, verify_opening
from proof.protocol import Verifier, blocks, contraction_elements, row_elements
from proof.public import public_columns
from proof.rows import Rows
from proof.scalars import check_ranges, read_scalars, read_trace, trace_root
from proof.shape import Column, Shape
from proof.transcript import Channel, Reader, Transcript

MAGIC, VERSION = b"OTRPROOF", 1
MAX_BYTES = 1 << 30
PROTOCOL = b"OTR.proof/1"
GRINDING = 16
WIDE_SHIFT = 30  # PT, domain x
MAX_COLUMN = 1 << 24  # what this slow verifier can hold in a list; no rule of PROOF.md
BOXES = ("ihtl", "jgtl", "uTthl", "uTt", "juThl", "jhtl", "dtl", "ftl", "vo", "do")


@dataclass
class Proof:
    receipt: bytes
    beacon: bytes
    trace: bytes
    scalars: bytes
    argument: bytes


def read_proof(data):
    """PS-8: the parts, not yet what is in them."""
    require(len(data) <= MAX_BYTES, "LIMIT_EXCEEDED", "the proof has more than 1 GiB")
    reader = Reader(data, "the file's bytes")
    require(reader.take(len(MAGIC)) == MAGIC, "MALFORMED", "this is no proof")
    require(reader.number(4) == VERSION, "MALFORMED", "the version of the proof")
    document = reader.take(reader.number(4))
    beacon = reader.take(HASH)
    parts = [reader.take(reader.number(4)) for _ in range(3)]
    reader.end()
    return Proof(document, beacon, *parts)


def _statement(r, beacon):
    """PS-1."""
    request_digest, claim_digest, _ = receipt.digests(r)
    claim = r["claim"]
    return b"".join(
        [
            spec_hash(),
            r["request"]["model_root"],
            request_digest,
            claim_digest,
            claim["trace_root"],
            claim["signer"],
            beacon,
            integer("u32", claim["prompt_count"]),
            integer("u32", claim["out_count"]),
        ]
    )


def _options(rows, choice):
    wide = {name: max(rows.shifts[name].values) > WIDE_SHIFT for name in ("x.r", "x.e")}
    sampling = choice.sampling
    return Options(
        rows.limbs,
        rows.scalars.gap,
        wide["x.r"],
        wide["x.e"],
        sampling.inv_t,
        sampling.min_p,
        rows.c["qk_norm"],
    )


def _scalar_columns(rows):
    """PE-1: the lists of scalars that contractions give."""
    positions = [p for layer in rows.scalars.positions for p in layer]
    return {
        "hsum": Column("htl", [S for p in positions for S in p.S]),
        "ssq": Column("tl", [p.squares for p in positions]),
        "qsq": Column("htl", [S for p in positions for S in p.q_squares]),
        "ksq": Column("gtl", [S for p in positions for S in p.k_squares]),
    }


def _argument_length(circuit, layout):
    """PS-8: all sizes follow from the receipt, the model and the scalars."""
    _, nu = gkr.places(blocks(circuit))
    elements = gkr.fraction_elements(nu) + row_elements(circuit)
    elements += contraction_elements(circuit) + opening_elements(layout)
    return 2 * HASH + 8 + 16 * elements + 8 + places_bytes(layout)


@dataclass
class Prepared:
    """Everything that stands before the argument."""

    circuit: Circuit
    layout: Layout
    public: dict
    cells: list  # (address, value)
    transcript: Transcript


def _prepare(proof, model):
    """The receipt, PS-1 to PS-6."""
    r = receipt.read(proof.receipt)
    receipt.check_alone(r)
    receipt.check_with_model(r, model)
    request, claim = receipt.request_of(r), r["claim"]
    check_request(request)
    counts = claim["prompt_count"], claim["out_count"]
    shape, ids = Shape(model.config, *counts), r["prompt_ids"] + r["output_ids"]
    small = all(count(shape.sizes(dims)) <= MAX_COLUMN for dims in BOXES)
    require(small, "LIMIT_EXCEEDED", "too large for this verifier")
    trace = read_trace(proof.trace, shape)
    same = trace_root(trace, request, ids, *counts) == claim["trace_root"]
    require(same, "TRACE_ROOT_MISMATCH", "the rows are not the claim's")
    check_ranges(trace)
    rows = Rows(model, shape, trace, read_scalars(proof.scalars, shape), ids)
    rows.check()
    choice = Choice(rows, request)
    choice.check()
    cells = rows.cell_claims()
    circuit = Circuit(shape, _options(rows, choice))
    layout = Layout(circuit.sizes)
    public = {**public_columns(rows, choice), **_scalar_columns(rows)}
    transcript = Transcript(PROTOCOL)
    transcript.absorb(4, _statement(r, proof.beacon))
    transcript.absorb(4, proof.trace)
    transcript.absorb(5, proof.scalars)
    addresses = [(layout.address(circuit.number[name], at), value) for name, at, value in cells]
    return Prepared(circuit, layout, public, addresses, transcript)


def verify(data, model):
    """PS-7: accepts by returning what was proved in a few words, refuses by Reject."""
    proof = read_proof(data)
    p = _prepare(proof, model)
    soundness.check(p.circuit, p.layout, len(p.cells))
    expected = _argument_length(p.circuit, p.layout)
    require(
        len(proof.argument) == expected,
        "MALFORMED",
        f"the argument has {len(proof.argument)} bytes, not {expected}",
    )
    reader = Reader(proof.argument, "the argument")
    roots = reader.take(HASH), reader.take(HASH)
    p.transcript.absorb(6, commitment(*roots))
    p.transcript.grind(reader.number(8), GRINDING)
    channel = Channel(p.transcript, reader)
    verifier = Verifier(channel, p.circuit, p.public)
    for domain, found in zip(p.circuit.domains, verifier.lookups()):
        verifier.domain(domain, *found)
    for contraction in p.circuit.contractions:
        verifier.contraction(contraction)
    verify_opening(channel, p.layout, roots, verifier.claims, p.cells)
    return {
        "positions": p.circuit.shape.size["t"],
        "cells": p.layout.cells,
        "claims": len(verifier.claims) + len(p.cells),
        "beacon": proof.beacon.hex(),
    }
