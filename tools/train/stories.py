"""A grammar of very short stories about a character and a thing; the words are in stories.txt."""

import tables

SECTIONS = tables.sections("stories.txt")
PLOTS = {k.removeprefix("plot: "): v for k, v in SECTIONS.items() if k.startswith("plot: ")}
OPENING = PLOTS.pop("opening")


def words(title):
    return [word for row in SECTIONS[title] for word in row]


CHARACTERS, OBJECTS, HELPERS = words("characters"), words("objects"), words("helpers")
ADJECTIVES, LOOKS, PLACES = words("adjectives"), words("looks"), words("places")


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def capital(text):
    return text[0].upper() + text[1:]


def story(r, character=None, thing=None):
    """A story of six or seven sentences. Returns (character, thing, text)."""
    names = dict(c=character or r.choice(CHARACTERS), o=thing or r.choice(OBJECTS),
                 adjective=r.choice(ADJECTIVES), look=r.choice(LOOKS))
    names["h"] = r.choice([h for h in HELPERS if h != names["c"]])
    slots = dict(names, place=r.choice(PLACES))
    for key, noun in names.items():
        slots["a_" + key] = article(noun)
        slots["A_" + key] = capital(article(noun))
    *plot, moral = PLOTS[r.choice(sorted(PLOTS))]
    if r.random() < 0.5:
        plot.append(moral)
    text = " ".join(r.choice(wordings).format(**slots) for wordings in OPENING + plot)
    return names["c"], names["o"], text
