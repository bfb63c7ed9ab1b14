"""A grammar of very short stories about a character and a thing."""

CHARACTERS = """fox wolf bear mouse cat dog hen owl crow frog rabbit squirrel hedgehog duck goose pig horse
donkey goat sheep cow lion tiger elephant monkey snail turtle bee ant spider butterfly penguin whale seal
parrot mole beaver deer camel giraffe zebra kangaroo king queen prince princess boy girl baker farmer sailor
miller fisherman knight wizard witch giant dwarf dragon robot ghost pirate painter shepherd gardener teacher
child tailor""".split()
OBJECTS = """lamp key bell boat book clock coin drum candle ladder mirror map kite hat shoe spoon basket lantern
ring apple pear cake rope bridge well wheel box bottle button feather flute garden door window umbrella blanket
bucket broom chair cup crown hammer stone star leaf seed letter mountain river cloud tree rose nut honey jar
treasure violin whistle pillow scarf ball telescope compass ship sword train""".split()
PLACES = ["in a dark forest", "by the sea", "on a green hill", "near an old mill", "at the edge of a village",
          "in a quiet valley", "beside a wide river", "in a small house", "under a tall oak", "on a far island"]
ADJECTIVES = ["little", "clever", "shy", "brave", "old", "young", "hungry", "kind", "proud", "lonely", "curious"]
LOOKS = ["small", "golden", "broken", "shining", "old", "red", "blue", "silver", "strange", "wonderful"]
HELPERS = ["owl", "mouse", "crow", "old woman", "hedgehog", "frog", "old sailor", "snail", "bee"]
MORALS = {
    "lost": ["So it is good to ask for help.", "Who keeps looking will find."],
    "found": ["So it is good to be honest.", "Honest words are worth more than gold."],
    "night": ["So it is good to be kind.", "A kind deed comes back."],
    "wish": ["So it is good to be patient.", "Who works and waits can win."],
    "riddle": ["So it is good to check twice.", "It is better to look than to guess."],
}


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def opening(r, c, adjective):
    return r.choice([
        f"Once upon a time there was {article(adjective)} {c} who lived {r.choice(PLACES)}.",
        f"Once there lived {article(adjective)} {c} {r.choice(PLACES)}.",
        f"Long ago {article(adjective)} {c} lived {r.choice(PLACES)}.",
    ])


def lost(r, c, o, h, look):
    return [r.choice([f"The {c} had {article(look)} {o} and loved it very much.",
                      f"The {c} owned {article(look)} {o} and was proud of it."]),
            r.choice([f"One day the {o} was gone.", f"One morning the {o} could not be found."]),
            r.choice([f"The {c} looked everywhere and asked everyone.", f"The {c} searched all day and grew sad."]),
            r.choice([f"Then {article(h)} said, \"I saw your {o} under the old tree.\"",
                      f"At last {article(h)} said, \"Look behind the door, there is your {o}.\""]),
            r.choice([f"The {c} found the {o} and thanked the {h}.",
                      f"And there it was! The {c} thanked the {h} and took the {o} home."])]


def found(r, c, o, h, look):
    return [r.choice([f"One day the {c} found {article(look)} {o} on the path.",
                      f"One evening the {c} saw {article(look)} {o} in the grass."]),
            r.choice([f"\"Whose {o} is this?\" asked the {c}.", f"The {c} wanted to keep it but asked first whose {o} it was."]),
            r.choice([f"{article(h).capitalize()} came by and cried, \"That is my {o}!\"",
                      f"\"It is mine,\" said {article(h)}, \"I lost my {o} in the storm.\""]),
            r.choice([f"The {c} gave the {o} back at once.", f"So the {c} gave it back with a smile."]),
            r.choice([f"From that day on the {c} and the {h} were friends.",
                      f"The {h} was so glad that they shared a warm supper."])]


def night(r, c, o, h, look):
    return [r.choice([f"One night a storm came and the {c} could not sleep.", f"One cold night the {c} heard a knock at the door."]),
            r.choice([f"Outside stood {article(h)}, wet and cold.", f"It was {article(h)} who had lost the way."]),
            r.choice([f"\"Come in,\" said the {c}, \"and warm yourself.\"", f"The {c} opened the door and made some tea."]),
            r.choice([f"In the morning the {h} left {article(look)} {o} as a gift.",
                      f"To say thank you, the {h} gave the {c} {article(look)} {o}."]),
            r.choice([f"The {c} kept the {o} for many years.", f"Whenever the {c} saw the {o}, it thought of its friend."])]


def wish(r, c, o, h, look):
    return [r.choice([f"More than anything the {c} wished for {article(o)}.", f"The {c} dreamed of {article(look)} {o}."]),
            r.choice([f"\"You must work for it,\" said {article(h)}.", f"{article(h).capitalize()} said, \"Work every day, and you shall have it.\""]),
            r.choice([f"So the {c} worked all summer and all autumn.", f"The {c} worked hard and did not give up."]),
            r.choice([f"When winter came, the {h} brought {article(look)} {o}.", f"At the end of the year the {c} got the {o}."]),
            r.choice([f"The {c} danced with joy.", f"Never was {article(c)} so happy."])]


def riddle(r, c, o, h, look):
    return [r.choice([f"One day {article(h)} said, \"I know what is in your box. It is {article(o)}.\"",
                      f"One day {article(h)} told everyone that the {c} had stolen {article(o)}."]),
            r.choice([f"\"Do not believe it,\" said the {c}, \"check it yourself.\"", f"\"Come and look,\" said the {c}, \"then you will know.\""]),
            r.choice([f"They looked together and found only {article(look)} {o} that the {c} had bought.",
                      f"They opened the box, and there lay {article(look)} {o} with a receipt."]),
            r.choice([f"The {h} was ashamed and said sorry.", f"\"I was wrong,\" said the {h}."]),
            r.choice([f"After that everyone trusted the {c}.", f"And the {c} kept the {o} and the receipt."])]


PLOTS = [lost, found, night, wish, riddle]


def story(r, character=None, thing=None):
    """A story of six or seven sentences. Returns (character, thing, text)."""
    c = character or r.choice(CHARACTERS)
    o = thing or r.choice(OBJECTS)
    h = r.choice([x for x in HELPERS if x != c])
    plot = r.choice(PLOTS)
    sentences = [opening(r, c, r.choice(ADJECTIVES)), *plot(r, c, o, h, r.choice(LOOKS))]
    if r.random() < 0.5:
        sentences.append(r.choice(MORALS[plot.__name__]))
    return c, o, " ".join(sentences)
