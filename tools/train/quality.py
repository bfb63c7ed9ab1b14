#!/usr/bin/env python3
"""Judges a trained demo model on held-out questions, or asks it one question.

    quality.py TRAINER MODEL_FOLDER CORPUS_FOLDER [--count 300] [--temperature 0] [--show 0]
               [--minimum 0]
    quality.py TRAINER MODEL_FOLDER --ask "What is a rollup?"

TRAINER is the otr_train program, which runs the model in floating point. An answer counts as good
if the model ended it by itself and it contains one of the words or sentences that corpus.py names;
for stories, all of them. Prints the share per kind of question and exits with 1 if the share over
all is below --minimum percent.
"""
import argparse
import collections
import json
import os
import random
import subprocess
import sys

import vocabulary

MAX_NEW = 200


def answers(args, tokenizer, questions):
    """The model's answers in order, with whether each ended by itself."""
    prompts = "".join(" ".join(map(str, [0] + tokenizer.encode(f"Q: {q}\nA:\n"))) + "\n"
                      for q in questions)
    done = subprocess.run(
        [args.trainer, "--model", args.model, "--generate", "--max-new", str(MAX_NEW),
         "--temperature", str(args.temperature)],
        input=prompts, stdout=subprocess.PIPE, text=True, check=True)
    ids = [[int(i) for i in line.split()] for line in done.stdout.splitlines()]
    return [(tokenizer.decode(i), len(i) < MAX_NEW) for i in ids]


def is_good(line, text, ended):
    found = [word.lower() in text.lower() for word in line["must"]]
    return ended and (all(found) if line["all"] else any(found))


def judge(args, tokenizer):
    with open(os.path.join(args.corpus, "heldout.jsonl"), encoding="ascii") as f:
        lines = [json.loads(line) for line in f]
    lines = random.Random(1).sample(lines, min(args.count, len(lines)))
    made = answers(args, tokenizer, [line["turns"][0][0] for line in lines])
    good, total = collections.Counter(), collections.Counter()
    for number, (line, (text, ended)) in enumerate(zip(lines, made)):
        ok = is_good(line, text, ended)
        good[line["kind"]] += ok
        total[line["kind"]] += 1
        if number < args.show or not ok:
            print(f"{'ok ' if ok else 'BAD'} Q: {line['turns'][0][0]}\n    A: {text}")
    for kind in sorted(total):
        print(f"{kind:14} {good[kind]:4} of {total[kind]:4}")
    share = 100 * good.total() / total.total()
    print(f"{'all':14} {good.total():4} of {total.total():4} ({share:.1f} %)")
    return 0 if share >= args.minimum else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("trainer")
    parser.add_argument("model")
    parser.add_argument("corpus", nargs="?")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--minimum", type=float, default=0)
    parser.add_argument("--ask")
    args = parser.parse_args()
    tokenizer = vocabulary.Tokenizer.load(args.model)
    if args.ask is not None:
        print(answers(args, tokenizer, [args.ask])[0][0])
        return 0
    if args.corpus is None:
        parser.error("give the corpus folder, or --ask")
    return judge(args, tokenizer)


if __name__ == "__main__":
    sys.exit(main())
