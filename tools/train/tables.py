"""Reads the text tables that the corpus is generated from (*.txt in this folder)."""

import os
import re

FOLDER = os.path.dirname(os.path.abspath(__file__))


def lines_of(name):
    """The lines of a table without comments."""
    with open(os.path.join(FOLDER, name), encoding="ascii") as f:
        return [line.rstrip("\n") for line in f if not line.startswith("#")]


def sections(name):
    """{title: rows}: a title ends in a colon; its rows are indented and split at |."""
    out = {}
    for line in filter(None, lines_of(name)):
        if line.startswith("  "):
            out[title].append(line.strip().split(" | "))
        else:
            title = line.rstrip(":")
            out[title] = []
    return out


def wordings(name):
    """{title: (wordings for training, held-out wordings)} of titles like "home, held out 2"."""
    out = {}
    for title, rows in sections(name).items():
        key, count = re.fullmatch(r"(\w+), held out (\d+)", title).groups()
        texts = [row[0] for row in rows]
        out[key] = (texts[:-int(count)], texts[-int(count):])
    return out


def groups(name):
    """The groups of a file of "key: value" lines, separated by empty lines: {key: values}."""
    out = [{}]
    for line in lines_of(name):
        if line:
            key, value = line.split(": ", 1)
            values = value.split(" | ") if key == "topic" else [value]
            out[-1].setdefault(key, []).extend(values)
        elif out[-1]:
            out.append({})
    return [group for group in out if group]
