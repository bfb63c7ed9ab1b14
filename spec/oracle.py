#!/usr/bin/env python3
"""Makes spec/vectors/ from the reference of SPEC.md, DISPUTE.md and SETTLEMENT.md in spec/oracle/.

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


VALUES = {"GAME-1", "GAME-9", "GAME-10"}  # rules of DISPUTE.md that refuse nothing


def rules_of(text):
    return set(re.findall(r"\*\*([A-Z]+-\d+)\*\*", text))


def exempt_of(text):
    """The ids of the chapter "Rules without vectors"."""
    chapter = re.search(r"\n## [^\n]*Rules without vectors\n(.*?)\n## ", text, re.S)
    lines = chapter.group(1).splitlines() if chapter else []
    heads = " ".join(line.split(":")[0] for line in lines if line.startswith("- "))
    return set(re.findall(r"[A-Z]+-\d+", heads))


def named_by(cases):
    out = set()
    for case in cases:
        out.update([case["rule"]] if isinstance(case["rule"], str) else case["rule"])
    return out


def rules_without_vector(cases):
    """The rule ids that no case names, and of chapters 24 to 31 those that no case accepts or none
    refuses, where the chapter on rules without vectors does not say why."""
    texts = {
        name: (SPEC / f"{name}.md").read_text(encoding="utf-8")
        for name in ("SPEC", "DISPUTE", "SETTLEMENT")
    }
    rules = set().union(*map(rules_of, texts.values()))
    exempt = set().union(*map(exempt_of, texts.values()))
    named = named_by(cases)
    assert named <= rules, named - rules
    missing = rules - named
    accepted = named_by(case for case in cases if "reject" not in case)
    refused = named_by(case for case in cases if "reject" in case)
    for name in ("DISPUTE", "SETTLEMENT"):
        missing |= rules_of(texts[name]) - accepted
        missing |= rules_of(texts[name]) - refused - VALUES
    return sorted(missing - exempt)


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
