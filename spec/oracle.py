#!/usr/bin/env python3
"""Makes spec/vectors/ from the reference of spec/SPEC.md in spec/oracle/.

  oracle.py              writes all vectors
  oracle.py --check      compares them with the committed files; exit 1 names what differs
  oracle.py arith model  only these chapters (with or without --check)
"""

import re
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # keeps the tree free of __pycache__

from oracle.vectors import CHAPTERS  # noqa: E402

SPEC = Path(__file__).resolve().parent


def rules_without_vector(cases):
    """The rule ids of SPEC.md that no case names and that chapter 16 does not exempt."""
    text = (SPEC / "SPEC.md").read_text(encoding="utf-8")
    rules = set(re.findall(r"\*\*([A-Z]+-\d+)\*\*", text))
    exempt = set(re.findall(r"[A-Z]+-\d+", text.split("\n## 16.")[1].split("\n## 17.")[0]))
    named = set()
    for case in cases:
        named.update([case["rule"]] if isinstance(case["rule"], str) else case["rule"])
    assert named <= rules, named - rules
    return sorted(rules - exempt - named)


def main(arguments):
    check = "--check" in arguments
    chosen = [a for a in arguments if a != "--check"]
    if not set(chosen) <= set(CHAPTERS):
        print(__doc__.strip(), f"\nChapters: {' '.join(CHAPTERS)}", file=sys.stderr)
        return 2
    failed, cases = False, []
    (SPEC / "vectors").mkdir(exist_ok=True)
    for chapter in chosen or CHAPTERS:
        start = time.perf_counter()
        files, made = CHAPTERS[chapter]()
        cases.extend(made)
        for name, data in files.items():
            path = SPEC / "vectors" / name
            same = path.is_file() and path.read_bytes() == data
            if check and not same:
                print(f"DIFFERS: {path}")
                failed = True
            elif not same:
                path.write_bytes(data)
        print(f"{chapter}: {len(made)} cases, {time.perf_counter() - start:.1f} s")
    missing = [] if chosen else rules_without_vector(cases)
    if missing:
        print("rules without a vector:", " ".join(missing))
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
