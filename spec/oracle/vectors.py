"""The vector files: one maker for each chapter; a maker returns {file name: bytes} and the list of
its cases."""

import json

from oracle import (
    vectors_arith,
    vectors_dispute,
    vectors_encoding,
    vectors_forward,
    vectors_merkle,
    vectors_model,
    vectors_ops,
    vectors_receipt,
    vectors_request,
    vectors_sampling,
    vectors_session,
    vectors_settlement,
    vectors_tables,
)


def _document(name, module):
    def make():
        cases = module.cases()
        head = {"chapter": name.upper(), "about": " ".join(module.__doc__.split())}
        lines = ",\n".join("  " + json.dumps(c, separators=(",", ":")) for c in cases)
        text = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + lines + "\n ]\n}\n"
        files = {f"{name}.json": text.encode("ascii")}
        files.update(module.files() if hasattr(module, "files") else {})
        return files, cases

    return make


CHAPTERS = {
    name: _document(name, module)
    for name, module in (
        ("arith", vectors_arith),
        ("merkle", vectors_merkle),
        ("tables", vectors_tables),
        ("encoding", vectors_encoding),
        ("ops", vectors_ops),
        ("sampling", vectors_sampling),
        ("model", vectors_model),
        ("forward", vectors_forward),
        ("request", vectors_request),
        ("receipt", vectors_receipt),
        ("session", vectors_session),
        ("settlement", vectors_settlement),
        ("dispute", vectors_dispute),
    )
}
