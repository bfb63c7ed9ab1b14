#!/usr/bin/env python3
"""Writes the training text of the demo models: train.jsonl and heldout.jsonl.

    corpus.py OUT_FOLDER [--documents 36000] [--heldout 900] [--seed 1]

The text is generated from the tables beside this file (*.txt), all written for this purpose; no
text of others is used. One line is one document: {"turns": [[question, answer], ...]} or
{"text": plain text}. A held-out line has one turn, "kind", and "must": words of which a good answer
contains at least one (with "all": every one). Held-out questions use wordings and greetings that
training never shows. Standard library only; the same seed gives the same bytes.
"""

import argparse
import json
import os
import random
from typing import NamedTuple

import stories
import tables
from stories import article, capital

OTR = tables.groups("facts_otr.txt")
TOPICS = [g for g in OTR if "topic" in g]
QUESTIONS = [g for g in OTR if g.get("questions") == ["otr"]]
SMALL_TALK = [g for g in OTR if g.get("questions") == ["small talk"]]
WORLD = tables.sections("facts_world.txt")
ANIMALS = {row[0]: row[1:] for row in WORLD["animals"]}
LOUD = [name for name, row in ANIMALS.items() if len(row) > 4]
COLOURS = dict(WORLD["colours"])
WORDINGS = tables.wordings("wordings.txt")
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = [row[0] for row in WORLD["months"]]
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty""".split()


class Item(NamedTuple):
    """One question with its answer and what a good answer contains."""

    kind: str
    question: str
    answer: str
    must: list
    all_of: bool = False


class Maker:
    """Draws items; with held set, only in held-out wordings. One method for each kind."""

    def __init__(self, seed, held):
        self.r = random.Random(seed)
        self.held = held

    def ask(self, name, **slots):
        return self.r.choice(WORDINGS[name][self.held]).format(**slots)

    def dress(self, question):
        """Varies case, punctuation and politeness, and now and then swaps two letters."""
        r = self.r
        if r.random() < 0.15:
            question = question.lower()
        if r.random() < 0.2:
            question = question.rstrip("?.!")
        if r.random() < 0.1:
            prefix = self.ask("prefix")
            if prefix.endswith(",") and not question.startswith(("OTR", "I ")):
                question = question[0].lower() + question[1:]
            question = prefix + " " + question
        if r.random() < 0.05:
            question += ("" if question[-1] in "?.!" else ".") + " " + self.ask("suffix")
        if r.random() < 0.02 and len(question) > 12:
            i = r.randrange(3, len(question) - 2)
            if question[i].isalpha() and question[i + 1].isalpha():
                question = question[:i] + question[i + 1] + question[i] + question[i + 2:]
        return question

    # OTR

    def otr_topic(self):
        r = self.r
        t = r.choice(TOPICS)
        x = r.choice(t["topic"])
        must = t["what"] + t["detail"] + t["why"]
        aspect = r.choices(["what", "why", "more", "bare"], [50, 28, 16, 6])[0]
        if aspect == "why":
            return Item("otr why", self.ask("why", x=x), r.choice(t["why"]), must)
        answer = r.choice(t["what"])
        if aspect == "more":
            answer += f" {r.choice(t['detail'])} {r.choice(t['why'])}"
        elif r.random() < 0.6:
            answer += " " + r.choice(t["detail"])
        question = capital(x) + "?" if aspect == "bare" else self.ask(aspect, x=x)
        return Item("otr what", question, answer, must)

    def group(self, groups):
        g = self.r.choice(groups)
        question = g["q"][-1] if self.held else self.r.choice(g["q"][:-1])
        return Item(g["questions"][0], question, self.r.choice(g["a"]), g["a"])

    def otr_question(self):
        return self.group(QUESTIONS)

    def small_talk(self):
        return self.group(SMALL_TALK)

    # Everyday knowledge

    def animal(self):
        r = self.r
        aspect = r.choice(["sound", "home", "food", "legs", "cover", "young", "about", "who"])
        if aspect == "young":
            name, young = r.choice(WORLD["young"])
            return Item("animal", self.ask(aspect, a=article(name), n=name),
                        f"A young {name} is called {article(young)}.", [young])
        name = r.choice(LOUD if aspect in ("sound", "who", "about") else list(ANIMALS))
        home, food, legs, cover, *sound = ANIMALS[name]
        legs = "no legs" if legs == "0" else NUMBERS[int(legs)] + " legs"
        big = capital(article(name))
        if aspect == "who":
            verb = sound[0]
            same = [n for n in LOUD if ANIMALS[n][4] == verb]
            who = capital(" and ".join(map(article, same)))
            answer = f"{who} {verb if len(same) == 1 else plural(verb)}."
            return Item("animal", self.ask(aspect, s=verb), answer, same)
        answers, must = {
            "sound": lambda: ([f"{big} {sound[0]}. It goes {sound[1]}.", f"{big} {sound[0]}."],
                              [sound[0].split()[0]]),
            "home": lambda: ([f"{big} lives {home}."], [home]),
            "food": lambda: ([f"{big} eats {food}."], [food]),
            "legs": lambda: ([f"{big} has {legs}."], [legs]),
            "cover": lambda: ([f"{big} has {cover}."], [cover]),
            "about": lambda: ([f"{big} lives {home}. It has {legs} and {cover}, and eats {food}.",
                               f"{big} is an animal that lives {home}. It eats {food}."],
                              [home, food]),
        }[aspect]()
        return Item("animal", self.ask(aspect, a=article(name), n=name), r.choice(answers), must)

    def colour(self):
        r = self.r
        kind = r.random()
        word = r.choice(["color", "colour"])
        if kind < 0.65:
            thing, colour = r.choice(WORLD["colours"])
            return Item("colour", self.ask("colour", x=thing, w=word),
                        f"{capital(thing)} is {colour}.", [colour])
        if kind < 0.8:
            a, b, c = r.choice(WORLD["mixes"])
            if r.random() < 0.5:
                a, b = b, a
            return Item("colour", self.ask("mix", a=a, b=b, w=word),
                        f"{capital(a)} and {b} make {c}.", [c])
        colour = r.choice(sorted(set(COLOURS.values())))
        things = [t for t, c in COLOURS.items() if c == colour]
        some = r.sample(things, min(2, len(things)))
        verb = "is" if len(some) == 1 else "are"
        return Item("colour", self.ask("something", c=colour),
                    f"{capital(' and '.join(some))} {verb} {colour}.", things)

    def opposite(self):
        table = {}
        for a, b in WORLD["opposites"]:
            table.setdefault(a, []).append(b)
            table.setdefault(b, []).append(a)
        word = self.r.choice(list(table))
        return Item("opposite", self.ask("opposite", x=word),
                    f"The opposite of {word} is {' or '.join(table[word])}.", table[word])

    def country(self):
        r = self.r
        name, city, continent, language = r.choice(WORLD["countries"])
        aspect = r.choices(["capital", "capital_of", "continent", "language", "about_country"],
                           [50, 12, 14, 14, 10])[0]
        answers, must = {
            "capital": ([f"The capital of {name} is {city}.", f"{city} is the capital of {name}."],
                        city),
            "capital_of": ([f"{city} is the capital of {name}."], name),
            "continent": ([f"{capital(name)} is in {continent}."], continent),
            "language": ([f"In {name} people speak {language}."], language),
            "about_country": ([f"{capital(name)} is a country in {continent}. Its capital is "
                               f"{city}, and people there speak {language}."], city),
        }[aspect]
        x = city if aspect == "capital_of" else name
        return Item("country", self.ask(aspect, x=x), r.choice(answers), [must])

    def calendar(self):
        r = self.r
        aspect = r.choices(["after", "before", "lists", "month_length", "season"],
                           [36, 24, 10, 15, 15])[0]
        names, what = r.choice([(DAYS, "day"), (MONTHS, "month")])
        i = r.randrange(len(names))
        if aspect in ("after", "before"):
            other = names[(i + 1) % len(names)] if aspect == "after" else names[i - 1]
            return Item("calendar", self.ask(aspect, x=names[i], w=what),
                        f"{other} comes {aspect} {names[i]}.", [other])
        if aspect == "lists":
            name, answer, must = r.choice([
                ("days_in_week", "A week has seven days.", "seven"),
                ("name_days", f"The days of the week are {listed(DAYS)}.", "Wednesday"),
                ("months_in_year", "A year has twelve months.", "twelve"),
                ("name_months", f"The months are {listed(MONTHS)}.", "August")])
            return Item("calendar", self.ask(name), answer, [must])
        if aspect == "month_length":
            month, days = r.choice(WORLD["months"])
            extra = ", or 29 in a leap year" if month == "February" else ""
            return Item("calendar", self.ask(aspect, x=month),
                        f"{month} has {days} days{extra}.", [days])
        season, text = r.choice(WORLD["seasons"])
        return Item("calendar", self.ask(aspect, x=season), f"In {season} {text}.", [text])

    def addition(self):
        kind = self.r.random()
        if kind < 0.15:
            a, b = self.r.randint(0, 10), self.r.randint(0, 10)
            return Item("addition", self.ask("plus_words", a=NUMBERS[a], b=NUMBERS[b]),
                        f"{capital(NUMBERS[a])} plus {NUMBERS[b]} is {NUMBERS[a + b]}.",
                        [f"is {NUMBERS[a + b]}."])
        if kind < 0.3:
            b, a = sorted(self.r.randint(0, 20) for _ in range(2))
            return Item("subtraction", self.ask("minus", a=a, b=b), f"{a} - {b} = {a - b}.",
                        [f"= {a - b}."])
        a, b = self.r.randint(0, 20), self.r.randint(0, 20)
        return Item("addition", self.ask("plus", a=a, b=b), f"{a} + {b} = {a + b}.",
                    [f"= {a + b}."])

    def counting(self):
        r = self.r
        aspect = r.choices(["count_to", "count_from", "count_down", "bigger", "sides", "letter"],
                           [18, 22, 15, 20, 10, 15])[0]
        if aspect in ("count_to", "count_from"):
            a = 1 if aspect == "count_to" else r.randint(0, 20)
            b = a + r.randint(3, 12)
            text = ", ".join(map(str, range(a, b + 1))) + "."
            return Item("counting", self.ask(aspect, a=a, b=b), text, [text])
        if aspect == "count_down":
            a = r.randint(3, 15)
            text = ", ".join(map(str, range(a, -1, -1))) + "."
            return Item("counting", self.ask(aspect, a=a), text, [text])
        if aspect == "bigger":
            a, b = r.sample(range(100), 2)
            return Item("counting", self.ask(aspect, a=a, b=b),
                        f"{max(a, b)} is bigger than {min(a, b)}.", [f"{max(a, b)} is"])
        if aspect == "sides":
            shape, sides = r.choice(WORLD["shapes"])
            return Item("counting", self.ask(aspect, x=article(shape)),
                        f"{capital(article(shape))} has {NUMBERS[int(sides)]} sides.",
                        [NUMBERS[int(sides)]])
        i = r.randrange(25)
        return Item("counting", self.ask(aspect, x=chr(65 + i)),
                    f"{chr(66 + i)} comes after {chr(65 + i)}.", [f"{chr(66 + i)} comes"])

    def thing(self):
        x, what, *use = self.r.choice(WORLD["things"])
        if use and self.r.random() < 0.4:
            return Item("thing", self.ask("use", x=x), f"You use {x} {use[0]}.", use)
        return Item("thing", self.ask("what", x=x), f"{capital(x)} is {what}.", [what])

    def unknown(self):
        """A question the model cannot know the answer to; it learns to say so."""
        question = self.ask("unknown", x=self.r.choice(WORLD["unknown names"])[0])
        return Item("unknown", question, self.r.choice(WORLD["unknown answers"])[0],
                    ["do not know"])

    def story(self):
        r = self.r
        c, o, text = stories.story(r, character=self.invented() if r.random() < 0.04 else None,
                                   thing=self.invented() if r.random() < 0.04 else None)
        aspect = r.choices(["story_two", "story_one", "story_any"], [65, 28, 7])[0]
        if aspect == "story_two":
            return Item("story", self.ask(aspect, c=article(c), o=article(o)), text, [c, o], True)
        if aspect == "story_one":
            noun = r.choice([c, c, o])
            return Item("story", self.ask(aspect, c=article(noun)), text, [noun])
        return Item("story", self.ask(aspect), text, ["."])

    def invented(self):
        """A made-up noun, so that the model learns to copy words it has never seen."""
        return "".join(self.r.choice("bdfgklmnprstvz") + self.r.choice("aeiou")
                       for _ in range(self.r.randint(2, 3)))

    def item(self):
        kinds = {self.otr_topic: 33, self.otr_question: 14, self.animal: 10, self.colour: 4,
                 self.opposite: 6, self.country: 9, self.calendar: 5, self.addition: 12,
                 self.counting: 5, self.thing: 3, self.small_talk: 4, self.unknown: 2,
                 self.story: 8}
        return self.r.choices(list(kinds), list(kinds.values()))[0]()


def plural(verb):
    """barks -> bark, hisses -> hiss."""
    first, *rest = verb.split(" ")
    first = first[:-2] if first.endswith(("sses", "zzes")) else first[:-1]
    return " ".join([first, *rest])


def listed(words):
    return ", ".join(words[:-1]) + " and " + words[-1]


def documents(seed, count):
    maker = Maker(seed, held=False)
    r = maker.r
    for _ in range(count):
        kind = r.random()
        if kind < 0.03:
            yield {"text": stories.story(r)[2]}
        elif kind < 0.05:
            t = r.choice(TOPICS)
            yield {"text": " ".join(r.choice(t[part]) for part in ("what", "detail", "why"))}
        else:
            # Few documents hold a conversation; they also teach positions far from the start.
            items = [maker.item() for _ in range(r.randint(2, 6) if kind < 0.14 else 1)]
            yield {"turns": [[maker.dress(i.question), i.answer] for i in items]}


def heldout(seed, count):
    maker = Maker(seed, held=True)
    for _ in range(count):
        i = maker.item()
        yield {"turns": [[maker.dress(i.question), i.answer]], "kind": i.kind, "must": i.must,
               "all": i.all_of}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--documents", type=int, default=36000)
    parser.add_argument("--heldout", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for name, lines in (("train", documents(args.seed, args.documents)),
                        ("heldout", heldout(args.seed + 1, args.heldout))):
        with open(os.path.join(args.out, name + ".jsonl"), "w", encoding="ascii") as f:
            for line in lines:
                f.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
