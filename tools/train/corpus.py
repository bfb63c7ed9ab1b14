#!/usr/bin/env python3
"""Writes the training text of the demo models: train.jsonl and heldout.jsonl.

    corpus.py OUT_FOLDER [--documents 36000] [--heldout 900] [--seed 1]

The text is generated from the tables beside this file; no text of others is used. One line is one
document: {"turns": [[question, answer], ...]} or {"text": plain text}. A held-out line has one turn
and "kind" and "must": words of which a good answer contains at least one ("all": it contains all).
Held-out questions use wordings, greetings and sums that training never shows: the last wordings of
each list of templates are held out, and so is about one sum in twelve. Standard library only; the
same seed gives the same bytes.
"""
import argparse
import json
import os
import random

import facts_otr as otr
import facts_world as world
import stories

PREFIXES = ["Please tell me: ", "Hi! ", "Hello, ", "I have a question. ", "Quick question: ", "Please, ",
            "Hey, ", "Excuse me, ", "Can you help me? ", "I wonder: ", "So, "]
SUFFIXES = [" Thanks.", " Please.", " Thank you!", " I want to know.", " I do not know it.", " Keep it short."]
HELD_PREFIXES = ["Say, ", "Good day! ", "One more thing: "]
HELD_SUFFIXES = [" I am curious.", " Many thanks!"]


class Item:
    """One question with its answer and the words a good answer contains."""

    def __init__(self, kind, question, answer, must, all_of=False):
        self.kind, self.question, self.answer = kind, question, answer
        self.must, self.all_of = must, all_of


class Maker:
    """Draws items; with held set, only from held-out wordings."""

    def __init__(self, seed, held):
        self.r = random.Random(seed)
        self.held = held

    def pick(self, templates, held_count=2):
        return self.r.choice(templates[-held_count:] if self.held else templates[:-held_count])

    def dress(self, question):
        """Varies case, punctuation and politeness, and now and then swaps two letters."""
        r = self.r
        if r.random() < 0.25:
            question = question.lower()
        if r.random() < 0.2:
            question = question.rstrip("?.!")
        if r.random() < 0.15:
            prefix = r.choice(HELD_PREFIXES if self.held else PREFIXES)
            lower_first = question[0].lower() + question[1:] if not question.startswith(("OTR", "I ")) else question
            question = prefix + (lower_first if prefix.endswith(", ") else question)
        if r.random() < 0.08:
            question += ("" if question[-1] in "?.!" else ".") + r.choice(HELD_SUFFIXES if self.held else SUFFIXES)
        if r.random() < 0.03 and len(question) > 12:
            i = r.randrange(3, len(question) - 2)
            if question[i].isalpha() and question[i + 1].isalpha():
                question = question[:i] + question[i + 1] + question[i] + question[i + 2:]
        return question

    # OTR -------------------------------------------------------------------------------------

    def otr_topic(self):
        r = self.r
        t = r.choice(otr.TOPICS)
        x = r.choice(t["names"])
        aspect = r.choices(["what", "why", "more", "bare"], [50, 28, 16, 6])[0]
        if aspect == "why":
            question = self.pick(WHY).format(x=x)
            answer = r.choice(t["why"])
            return Item("otr why", question, answer, content_words(t["why"] + t["what"] + t["detail"]))
        if aspect == "more":
            question = self.pick(MORE).format(x=x)
            answer = " ".join([r.choice(t["what"]), r.choice(t["detail"]), r.choice(t["why"])])
        else:
            question = x[0].upper() + x[1:] + r.choice(["?", "", "."]) if aspect == "bare" else self.pick(WHAT, 4).format(x=x)
            answer = r.choice(t["what"])
            if r.random() < 0.6:
                answer += " " + r.choice(t["detail"])
        return Item("otr what", question, answer, t["must"])

    def otr_question(self):
        q = self.r.choice(otr.QUESTIONS)
        return Item("otr question", self.pick(q["wordings"], 1), self.r.choice(q["answers"]), q["must"])

    # Everyday knowledge ----------------------------------------------------------------------

    def animal(self):
        r = self.r
        aspect = r.choice(["sound", "home", "food", "legs", "cover", "young", "about", "who"])
        quiet = aspect in ("home", "food", "legs", "cover") and r.random() < 0.25
        name = r.choice(list(world.QUIET if quiet else world.YOUNG if aspect == "young" else world.ANIMALS))
        a = stories.article(name)
        big = a[0].upper() + a[1:]
        if aspect == "young":
            young = world.YOUNG[name]
            return Item("animal", self.pick(YOUNG).format(a=a, n=name),
                        f"A young {name} is called {stories.article(young)}.", [young])
        sound, word, home, food, legs, cover = (None, None, *world.QUIET[name]) if quiet else world.ANIMALS[name]
        leg_text = "no legs" if legs == 0 else f"{world.NUMBERS[legs]} legs"
        if aspect == "sound":
            return Item("animal", self.pick(SOUND).format(a=a, n=name),
                        r.choice([f"{big} {sound}. It goes {word}.", f"{big} {sound}."]), [sound.split()[0]])
        if aspect == "home":
            return Item("animal", self.pick(HOME).format(a=a, n=name), f"{big} lives {home}.", [home])
        if aspect == "food":
            return Item("animal", self.pick(FOOD).format(a=a, n=name), f"{big} eats {food}.", [food])
        if aspect == "legs":
            return Item("animal", self.pick(LEGS).format(a=a, n=name), f"{big} has {leg_text}.", [leg_text])
        if aspect == "cover":
            return Item("animal", self.pick(COVER).format(a=a, n=name), f"{big} has {cover}.", [cover])
        if aspect == "who":
            same = [n for n, v in world.ANIMALS.items() if v[0] == sound]
            listed = " and ".join(stories.article(n) for n in same)
            return Item("animal", self.pick(WHO_SOUNDS).format(s=sound),
                        f"{listed[0].upper() + listed[1:]} {sound if len(same) == 1 else plural(sound)}.", same)
        return Item("animal", self.pick(ABOUT).format(a=a, n=name),
                    r.choice([f"{big} lives {home}. It has {leg_text} and {cover}, and it eats {food}.",
                              f"{big} is an animal that lives {home}. It eats {food} and {sound}."]), [home, food])

    def colour(self):
        r = self.r
        kind = r.random()
        word = r.choice(["color", "colour"])
        if kind < 0.65:
            thing, colour = r.choice(list(world.COLOURS.items()))
            return Item("colour", self.pick(COLOUR).format(x=thing, w=word),
                        f"{thing[0].upper() + thing[1:]} is {colour}.", [colour])
        if kind < 0.8:
            (a, b), c = r.choice(list(world.MIXES.items()))
            if r.random() < 0.5:
                a, b = b, a
            return Item("colour", self.pick(MIX).format(a=a, b=b, w=word),
                        f"{a[0].upper() + a[1:]} and {b} make {c}.", [c])
        colour = r.choice(["red", "blue", "green", "yellow", "white", "black", "brown", "orange", "pink", "gray"])
        things = [t for t, c in world.COLOURS.items() if c == colour]
        two = r.sample(things, min(2, len(things)))
        text = " and ".join(two)
        return Item("colour", self.pick(SOMETHING).format(c=colour),
                    f"{text[0].upper() + text[1:]} {'is' if len(two) == 1 else 'are'} {colour}.", things)

    def opposite(self):
        table = {}
        for a, b in world.OPPOSITES:
            table.setdefault(a, []).append(b)
            table.setdefault(b, []).append(a)
        word = self.r.choice(list(table))
        return Item("opposite", self.pick(OPPOSITE).format(x=word),
                    f"The opposite of {word} is {' or '.join(table[word])}.", table[word])

    def country(self):
        r = self.r
        name, (capital, continent, language) = r.choice(list(world.COUNTRIES.items()))
        big = name[0].upper() + name[1:]
        aspect = r.choices(["capital", "of", "continent", "language", "about"], [50, 12, 14, 14, 10])[0]
        if aspect == "capital":
            return Item("country", self.pick(CAPITAL).format(x=name),
                        r.choice([f"The capital of {name} is {capital}.", f"{capital} is the capital of {name}."]), [capital])
        if aspect == "of":
            return Item("country", self.pick(CAPITAL_OF).format(x=capital), f"{capital} is the capital of {name}.", [name])
        if aspect == "continent":
            return Item("country", self.pick(CONTINENT).format(x=name), f"{big} is in {continent}.", [continent])
        if aspect == "language":
            return Item("country", self.pick(LANGUAGE).format(x=name), f"In {name} people speak {language}.", [language])
        return Item("country", self.pick(ABOUT_COUNTRY).format(x=name),
                    f"{big} is a country in {continent}. Its capital is {capital}, and people there speak {language}.", [capital])

    def calendar(self):
        r = self.r
        kind = r.random()
        names, what = (world.DAYS, "day") if kind < 0.45 else (world.MONTHS, "month")
        i = r.randrange(len(names))
        after, before = names[(i + 1) % len(names)], names[i - 1]
        if kind < 0.35 or 0.45 <= kind < 0.7:
            if r.random() < 0.6:
                return Item("calendar", self.pick(AFTER).format(x=names[i], w=what), f"{after} comes after {names[i]}.", [after])
            return Item("calendar", self.pick(BEFORE).format(x=names[i], w=what), f"{before} comes before {names[i]}.", [before])
        if kind < 0.45:
            question, answer, must = self.r.choice([
                (DAYS_IN_WEEK, "A week has seven days.", ["seven"]),
                (NAME_DAYS, f"The days of the week are {', '.join(world.DAYS[:-1])} and Sunday.", ["Wednesday"]),
                (MONTHS_IN_YEAR, "A year has twelve months.", ["twelve"]),
                (NAME_MONTHS, f"The months are {', '.join(world.MONTHS[:-1])} and December.", ["August"])])
            return Item("calendar", self.pick(question), answer, must)
        if kind < 0.85:
            days = world.MONTH_DAYS[i]
            extra = ", or 29 in a leap year" if i == 1 else ""
            return Item("calendar", self.pick(MONTH_LENGTH).format(x=names[i]), f"{names[i]} has {days} days{extra}.", [str(days)])
        season, text = r.choice(list(world.SEASONS.items()))
        return Item("calendar", self.pick(SEASON).format(x=season), f"In {season} {text}.", [text])

    def sum_operands(self, limit):
        while True:
            a, b = self.r.randint(0, limit), self.r.randint(0, limit)
            if ((a * 7 + b * 31) % 12 == 0) == self.held:
                return a, b

    def addition(self):
        r = self.r
        if r.random() < 0.15:
            a, b = self.sum_operands(10)
            n = world.NUMBERS
            return Item("addition", self.pick(PLUS_WORDS).format(a=n[a], b=n[b]),
                        f"{n[a][0].upper() + n[a][1:]} plus {n[b]} is {n[a + b]}.", [n[a + b]])
        if r.random() < 0.2:
            a, b = self.sum_operands(20)
            a, b = max(a, b), min(a, b)
            return Item("subtraction", self.pick(MINUS).format(a=a, b=b), f"{a} - {b} = {a - b}.", [f"= {a - b}."])
        a, b = self.sum_operands(r.choice([9, 20, 99, 99]))
        return Item("addition", self.pick(PLUS).format(a=a, b=b), f"{a} + {b} = {a + b}.", [f"= {a + b}."])

    def counting(self):
        r = self.r
        kind = r.random()
        if kind < 0.4:
            a = r.choice([1, 1, r.randint(0, 40)])
            b = a + r.randint(3, 12)
            text = ", ".join(map(str, range(a, b + 1))) + "."
            templates = COUNT_TO if a == 1 and r.random() < 0.6 else COUNT_FROM
            return Item("counting", self.pick(templates).format(a=a, b=b), text, [text])
        if kind < 0.55:
            a = r.randint(3, 15)
            text = ", ".join(map(str, range(a, -1, -1))) + "."
            return Item("counting", self.pick(COUNT_DOWN).format(a=a), text, [text])
        if kind < 0.75:
            a, b = r.sample(range(100), 2)
            return Item("counting", self.pick(BIGGER).format(a=a, b=b), f"{max(a, b)} is bigger than {min(a, b)}.", [f"{max(a, b)} is"])
        if kind < 0.85:
            shape, sides = r.choice(list(world.SHAPES.items()))
            return Item("counting", self.pick(SIDES).format(x=shape),
                        f"{stories.article(shape).capitalize()} has {world.NUMBERS[sides]} sides.", [world.NUMBERS[sides]])
        i = r.randrange(25)
        letter, after = chr(65 + i), chr(66 + i)
        return Item("counting", self.pick(LETTER).format(x=letter), f"{after} comes after {letter}.", [f"{after} comes"])

    def thing(self):
        x, (what, use) = self.r.choice(list(world.THINGS.items()))
        big = x[0].upper() + x[1:]
        if use and self.r.random() < 0.4:
            return Item("thing", self.pick(USE).format(x=x), f"You use {x} {use}.", [use])
        return Item("thing", self.pick(WHAT, 4).format(x=x), f"{big} is {what}.", [what])

    def small_talk(self):
        wordings, must, answers = self.r.choice(world.SMALL_TALK)
        return Item("small talk", self.pick(wordings, 1), self.r.choice(answers), must)

    def unknown(self):
        question = self.pick(world.UNKNOWN, 4).format(self.r.choice(world.UNKNOWN_NAMES))
        return Item("unknown", question, self.r.choice(world.UNKNOWN_ANSWERS), ["do not know"])

    def story(self):
        r = self.r
        c, o, text = stories.story(r, thing=self.invented() if r.random() < 0.06 else None,
                                   character=self.invented() if r.random() < 0.06 else None)
        kind = r.random()
        if kind < 0.65:
            return Item("story", self.pick(STORY_TWO).format(c=stories.article(c), o=stories.article(o)), text, [c, o], True)
        if kind < 0.85:
            return Item("story", self.pick(STORY_ONE).format(c=stories.article(c)), text, [c], True)
        if kind < 0.93:
            return Item("story", self.pick(STORY_ONE).format(c=stories.article(o)), text, [o], True)
        return Item("story", self.pick(STORY_ANY), text, ["."])

    def invented(self):
        """A made-up noun, so that the model learns to copy words it has never seen."""
        return "".join(self.r.choice("bdfgklmnprstvz") + self.r.choice("aeiou") for _ in range(self.r.randint(2, 3)))

    def item(self):
        kinds = [(self.otr_topic, 33), (self.otr_question, 12), (self.animal, 9), (self.colour, 4), (self.opposite, 5),
                 (self.country, 7), (self.calendar, 4), (self.addition, 15), (self.counting, 5), (self.thing, 3),
                 (self.small_talk, 4), (self.unknown, 2), (self.story, 11)]
        make = self.r.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        return make()


WHAT = ["What is {x}?", "What's {x}?", "Explain {x}.", "Can you explain {x}?", "Tell me about {x}.", "Define {x}.",
        "What does {x} mean?", "Describe {x}.", "Please explain what {x} is.", "What is {x} in simple words?",
        "Do you know what {x} is?", "Give me a short explanation of {x}.", "What do you mean by {x}?",
        "I do not understand {x}.", "Explain {x} to a child.", "Tell me what {x} is.", "What exactly is {x}?",
        "Explain {x} in one sentence.", "Could you tell me what {x} is?", "Give a definition of {x}.",
        "I have never heard of {x}. What is it?", "How would you explain {x}?", "What are we talking about when we say {x}?",
        "What kind of thing is {x}?", "Can you tell me about {x}?", "Help me understand {x}."]
WHY = ["Why does OTR need {x}?", "Why is {x} useful?", "What is {x} good for?", "What is {x} for?",
       "What is the point of {x}?", "Why do we need {x}?", "Why does {x} matter?", "Why is {x} important?",
       "Why is there {x}?", "What does {x} help with?", "Why should I care about {x}?", "What do we need {x} for?",
       "Why do people use {x}?", "What is the use of {x}?", "Why have {x} at all?",
       "What is the purpose of {x}?", "For what reason do we have {x}?"]
MORE = ["Tell me more about {x}.", "Tell me everything about {x}.", "Explain {x} in detail.", "What should I know about {x}?",
        "I want to learn about {x}.", "Give me a long explanation of {x}.", "Explain what {x} is and why we need it.",
        "Teach me about {x}.", "What is {x} and why is it useful?", "Write a paragraph about {x}.",
        "What do you know about {x}?", "Tell me what {x} is and what it is for."]
SOUND = ["What sound does {a} make?", "What does {a} say?", "What noise does {a} make?", "How does {a} sound?",
         "Which sound does the {n} make?", "What does the {n} say?", "Tell me the sound of {a}.",
         "What is the sound of {a}?", "How does the {n} go?"]
WHO_SOUNDS = ["Which animal {s}?", "What animal {s}?", "Who {s}?", "Tell me an animal that {s}.", "Name an animal that {s}.", "Do you know an animal that {s}?"]
HOME = ["Where does {a} live?", "Where do you find {a}?", "Where is the home of {a}?", "In what place does the {n} live?",
        "Where does the {n} live?", "What is the home of {a}?", "Where can I find {a}?", "Tell me where {a} lives."]
FOOD = ["What does {a} eat?", "What is the food of {a}?", "What does the {n} eat?", "What does {a} like to eat?",
        "What do you feed {a}?", "Which food does {a} eat?", "What should I give {a} to eat?", "Tell me what {a} eats."]
LEGS = ["How many legs does {a} have?", "How many legs has {a}?", "How many legs does the {n} have?", "Count the legs of {a}.",
        "What number of legs does {a} have?", "On how many legs does {a} walk?", "Tell me how many legs {a} has."]
COVER = ["What covers the body of {a}?", "What kind of skin does {a} have?", "Does {a} have fur or feathers?", "What is the coat of {a}?",
         "What is on the skin of {a}?", "Has {a} got fur, feathers or scales?", "What does the skin of {a} look like?"]
YOUNG = ["What is a young {n} called?", "What do you call a baby {n}?", "What is the name for a baby {n}?", "How is a young {n} called?",
         "What is the baby of {a} called?", "What is the child of {a} called?", "Which word means a young {n}?", "Tell me the word for a baby {n}."]
ABOUT = ["Tell me about the {n}.", "Tell me about {a}.", "What is {a}?", "Describe {a}.", "What do you know about the {n}?", "Tell me something about {a}.",
         "Tell me a few things about the {n}.", "Can you describe {a}?"]
COLOUR = ["What {w} is {x}?", "What is the {w} of {x}?", "Which {w} does {x} have?", "Which {w} is {x}?", "What {w} has {x}?",
          "Tell me the {w} of {x}.", "Do you know the {w} of {x}?", "Of what {w} is {x}?", "Can you tell me the {w} of {x}?"]
MIX = ["What {w} do you get from {a} and {b}?", "What do {a} and {b} make?", "Mix {a} and {b}.", "Which {w} do you get when you mix {a} and {b}?",
       "What happens if I mix {a} with {b}?", "If I mix {a} and {b}, what {w} is it?", "What is the mix of {a} and {b}?"]
SOMETHING = ["Name something {c}.", "What is {c}?", "Tell me something that is {c}.", "What things are {c}?", "Give me an example of something {c}.",
             "Which things are {c}?", "Can you name something that is {c}?"]
OPPOSITE = ["What is the opposite of {x}?", "Opposite of {x}?", "Tell me the opposite of {x}.", "What's the opposite of {x}?",
            "Which word is the opposite of {x}?", "What word means the opposite of {x}?", "Give me the opposite of {x}.",
            "What is the contrary of {x}?", "Name the opposite of {x}.", "Do you know the opposite of {x}?", "The opposite of {x} is what?"]
CAPITAL = ["What is the capital of {x}?", "Capital of {x}?", "What's the capital of {x}?", "Tell me the capital of {x}.", "Which city is the capital of {x}?",
           "Name the capital of {x}.", "What is the capital city of {x}?", "Do you know the capital of {x}?", "Which city is the main city of {x}?", "What is {x}'s capital?"]
CAPITAL_OF = ["{x} is the capital of which country?", "Of which country is {x} the capital?", "In which country is {x}?", "Where is {x}?",
              "Which country has the capital {x}?", "In what country do I find {x}?", "What country does {x} belong to?"]
CONTINENT = ["On which continent is {x}?", "Where is {x}?", "In which part of the world is {x}?", "Which continent is {x} on?", "Where do I find {x}?",
             "What continent is {x} in?", "In what part of the world does {x} lie?"]
LANGUAGE = ["What language do people speak in {x}?", "Which language is spoken in {x}?", "What do people speak in {x}?", "What is the language of {x}?",
            "Which language do they speak in {x}?", "What languages are spoken in {x}?", "In {x}, what language do people speak?"]
ABOUT_COUNTRY = ["Tell me about {x}.", "What do you know about {x}?", "Describe {x}.", "What is {x}?", "Tell me something about {x}.", "Can you tell me about {x}?"]
AFTER = ["Which {w} comes after {x}?", "What {w} comes after {x}?", "What comes after {x}?", "What is the {w} after {x}?", "Which {w} follows {x}?",
         "What {w} follows {x}?", "Tell me the {w} after {x}.", "After {x}, which {w} comes?"]
BEFORE = ["Which {w} comes before {x}?", "What {w} comes before {x}?", "What comes before {x}?", "What is the {w} before {x}?", "Which {w} is before {x}?",
          "Tell me the {w} before {x}.", "Before {x}, which {w} comes?"]
DAYS_IN_WEEK = ["How many days are in a week?", "How many days has a week?", "How many days does a week have?", "How long is a week?", "Tell me how many days a week has.", "What is the number of days in a week?"]
NAME_DAYS = ["Name the days of the week.", "What are the days of the week?", "List the days of the week.", "Which days does a week have?", "Tell me the days of the week.", "Can you list the days of the week?"]
MONTHS_IN_YEAR = ["How many months are in a year?", "How many months has a year?", "How many months does a year have?", "Tell me how many months a year has.", "What is the number of months in a year?"]
NAME_MONTHS = ["Name the months of the year.", "What are the months?", "List the months of the year.", "Which months does a year have?", "Tell me the months.", "Can you list the months?"]
MONTH_LENGTH = ["How many days does {x} have?", "How many days are in {x}?", "How long is {x}?", "How many days has {x}?", "Tell me how many days {x} has.", "What is the length of {x}?"]
SEASON = ["What happens in {x}?", "What is {x} like?", "Tell me about {x}.", "What do we see in {x}?", "Describe {x}.", "How is {x}?", "What is it like in {x}?"]
PLUS = ["What is {a} + {b}?", "What is {a} plus {b}?", "{a} + {b}", "{a}+{b}", "How much is {a} plus {b}?", "Add {a} and {b}.", "{a} + {b} = ?", "How much is {a} + {b}?",
        "What do {a} and {b} make?", "Compute {a} + {b}.", "What is the sum of {a} and {b}?", "{a} plus {b}", "What's {a} plus {b}?", "Can you add {a} and {b}?", "Calculate {a} + {b}."]
PLUS_WORDS = ["What is {a} plus {b}?", "How much is {a} plus {b}?", "Add {a} and {b}.", "{a} plus {b}", "What do {a} and {b} make?", "What is the sum of {a} and {b}?", "What's {a} plus {b}?", "Can you add {a} and {b}?"]
MINUS = ["What is {a} - {b}?", "What is {a} minus {b}?", "{a} - {b}", "{a}-{b}", "How much is {a} minus {b}?", "Take {b} from {a}.", "What is left of {a} without {b}?", "Compute {a} - {b}.", "What's {a} minus {b}?", "Calculate {a} - {b}."]
COUNT_TO = ["Count to {b}.", "Can you count to {b}?", "Please count to {b}.", "Count up to {b}.", "I want you to count to {b}.", "Let us count to {b}."]
COUNT_FROM = ["Count from {a} to {b}.", "Can you count from {a} to {b}?", "List the numbers from {a} to {b}.", "Say the numbers from {a} to {b}.", "Write the numbers from {a} to {b}.", "Which numbers go from {a} to {b}?", "Please count from {a} up to {b}."]
COUNT_DOWN = ["Count down from {a}.", "Count backwards from {a}.", "Count from {a} down to 0.", "Count back from {a} to zero.", "Can you count down from {a}?", "Make a countdown from {a}."]
BIGGER = ["Which is bigger, {a} or {b}?", "What is bigger, {a} or {b}?", "Is {a} bigger than {b}?", "Which number is larger, {a} or {b}?", "Compare {a} and {b}.", "Which one is more, {a} or {b}?", "Which number is bigger, {a} or {b}?"]
SIDES = ["How many sides does a {x} have?", "How many sides has a {x}?", "Count the sides of a {x}.", "What number of sides does a {x} have?", "Tell me how many sides a {x} has."]
LETTER = ["What letter comes after {x}?", "Which letter comes after {x}?", "What comes after {x} in the alphabet?", "Which letter follows {x}?", "What is the next letter after {x}?", "Tell me the letter after {x}.", "What letter follows {x}?"]
USE = ["What is {x} for?", "What do you do with {x}?", "What is the use of {x}?", "Why do people use {x}?", "What do we need {x} for?", "How do you use {x}?", "What can I do with {x}?", "What is the purpose of {x}?"]
STORY_TWO = ["Tell me a story about {c} and {o}.", "Tell a story about {c} and {o}.", "Write a story about {c} and {o}.", "I want a story about {c} and {o}.",
             "Make up a story with {c} and {o}.", "Story about {c} and {o}", "Can you tell me a story about {c} and {o}?", "Tell me a short story about {c} who has {o}.",
             "Write a little tale about {c} and {o}.", "A story with {c} and {o}, please.", "Tell me a tale of {c} and {o}.", "Please write a short story about {c} with {o}.",
             "Could you tell a story in which {c} and {o} appear?", "Do you have a story about {c} and {o}?"]
STORY_ONE = ["Tell me a story about {c}.", "Tell a story about {c}.", "Write a story about {c}.", "I want a story about {c}.", "Make up a story with {c}.",
             "Can you tell me a story about {c}?", "Write a little tale about {c}.", "Story about {c}", "Do you have a story about {c}?", "Tell me a tale of {c}."]
STORY_ANY = ["Tell me a story.", "Tell a story.", "Do you know a story?", "I want to hear a story.", "Write a short story.", "A story, please.", "Can you tell me a story?", "Make up a story."]


def plural(verb):
    """barks -> bark, hisses -> hiss."""
    word = verb.split()[0]
    return (word[:-2] if word.endswith(("sses", "zzes")) else word[:-1]) + verb[len(word):]


def content_words(sentences):
    """The longer words of the sentences, to judge whether an answer speaks of the matter."""
    words = {w.strip(".,:").lower() for s in sentences for w in s.split()}
    return sorted(w for w in words if len(w) > 5)


def documents(seed, count):
    maker = Maker(seed, held=False)
    r = maker.r
    for _ in range(count):
        kind = r.random()
        if kind < 0.03:
            yield {"text": stories.story(r)[2]}
            continue
        if kind < 0.05:
            t = r.choice(otr.TOPICS)
            yield {"text": " ".join([r.choice(t["what"]), r.choice(t["detail"]), r.choice(t["why"])])}
            continue
        # Few documents hold a whole conversation; they also teach positions far from the start.
        turns = r.randint(2, 6) if kind < 0.2 else 1
        items = [maker.item() for _ in range(turns)]
        yield {"turns": [[maker.dress(i.question), i.answer] for i in items]}


def heldout(seed, count):
    maker = Maker(seed, held=True)
    for _ in range(count):
        i = maker.item()
        yield {"turns": [[maker.dress(i.question), i.answer]], "kind": i.kind, "must": i.must, "all": i.all_of}


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
