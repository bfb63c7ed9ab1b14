#!/usr/bin/env python3
"""Trains the byte-level BPE vocabulary of the demo models and prepares their folders.

    vocabulary.py CORPUS_FOLDER MODEL_FOLDER...

Reads train.jsonl and heldout.jsonl (corpus.py), learns the merges, and writes
  - into each model folder tokenizer.json, tokenizer_config.json and config.json in Hugging Face's
    format (the folder's name picks the shape: see SHAPES);
  - into the corpus folder train.bin and heldout.bin: uint16 little-endian token ids, each document
    beginning with bos; bit 15 marks the tokens of a question, which weigh little in the loss.

Ids: 0 bos, 1 eos, 2..257 the bytes, then the merges in order. Text is cut into words by GPT-2's
pattern (on ASCII text, which is all that the corpus holds). Words with digits are never merged, so
every digit is a token of its own and sums can be learned digit by digit. Standard library only.
"""
import array
import collections
import json
import os
import re
import sys

VOCABULARY_SIZE = 3072
CONTEXT = 512
BOS, EOS = "<|bos|>", "<|eos|>"
PROMPT_BIT = 0x8000
SHAPES = {
    "demo-hf": dict(layers=4, hidden=192, heads=6, kv_heads=2, ffn=512),
    "demo-small-hf": dict(layers=3, hidden=128, heads=4, kv_heads=2, ffn=320),
}
# GPT-2's pattern with \p{L} and \p{N} written out for ASCII.
WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
# One question; the template language that `otr ask` understands (src/text/template.h). Jinja
# drops the last line feed, so there are two for one.
CHAT_TEMPLATE = "{{ bos_token }}Q: {{ messages[0]['content'] }}\nA:\n\n"


def byte_alphabet():
    """GPT-2's printable stand-in for each byte, in byte order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(b) if b in shown else chr(next(spare)) for b in range(256)]


def turns_of(document):
    """The pieces of a document as (text, is a question)."""
    if "text" in document:
        return [(document["text"], False)]
    return [piece for q, a in document["turns"] for piece in ((f"Q: {q}\nA:\n", True), (a, False))]


def learn_merges(words, count):
    """words: {word as a tuple of symbols: how often}. Returns the merges, best first."""
    words = [[list(w), n] for w, n in words.items()]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, (symbols, n) in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += n
            where[pair].add(i)
    merges = []
    while len(merges) < count and pairs:
        best = max(pairs, key=lambda p: (pairs[p], p))
        if pairs[best] < 2:
            break
        merges.append(best)
        for i in where.pop(best):
            symbols, n = words[i]
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] -= n
            merge(symbols, best)
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += n
                where[pair].add(i)
        del pairs[best]
    return merges


def merge(symbols, pair):
    """Joins each occurrence of the pair, from left to right, in place."""
    i = 0
    while i + 1 < len(symbols):
        if (symbols[i], symbols[i + 1]) == pair:
            symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
        i += 1


class Tokenizer:
    def __init__(self, merges):
        self.alphabet = byte_alphabet()
        self.merges = merges
        self.rank = {pair: i for i, pair in enumerate(merges)}
        names = [BOS, EOS, *self.alphabet, *(a + b for a, b in merges)]
        self.ids = {name: i for i, name in enumerate(names)}
        self.names = names
        self.known = {}

    @classmethod
    def load(cls, folder):
        with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
            merges = json.load(f)["model"]["merges"]
        return cls([tuple(m.split(" ")) for m in merges])

    def encode_word(self, word):
        symbols = [self.alphabet[b] for b in word.encode()]
        while len(symbols) > 1:
            best = min(zip(symbols, symbols[1:]), key=lambda p: self.rank.get(p, len(self.rank)))
            if best not in self.rank:
                break
            merge(symbols, best)
        return [self.ids[s] for s in symbols]

    def encode(self, text):
        out = []
        for word in WORDS.findall(text):
            if word not in self.known:
                self.known[word] = self.encode_word(word)
            out += self.known[word]
        return out

    def decode(self, ids):
        byte_of = {c: b for b, c in enumerate(self.alphabet)}
        raw = bytes(byte_of[c] for i in ids if i > 1 for c in self.names[i])
        return raw.decode(errors="replace")

    def json(self):
        special = [dict(id=i, content=name, single_word=False, lstrip=False, rstrip=False,
                        normalized=False, special=True) for i, name in enumerate((BOS, EOS))]
        level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
        bos = dict(SpecialToken=dict(id=BOS, type_id=0))
        first, second = (dict(Sequence=dict(id=name, type_id=0)) for name in "AB")
        template = dict(type="TemplateProcessing", single=[bos, first], pair=[bos, first, second],
                        special_tokens={BOS: dict(id=BOS, ids=[0], tokens=[BOS])})
        model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
                     end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                     ignore_merges=False, vocab=self.ids,
                     merges=[" ".join(m) for m in self.merges])
        return dict(version="1.0", truncation=None, padding=None, added_tokens=special,
                    normalizer=None, pre_tokenizer=level, post_processor=template, decoder=level,
                    model=model)


def write_json(folder, name, value):
    path = os.path.join(folder, name)
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write("\n")
    os.replace(path + ".tmp", path)


def write_model_folder(folder, tokenizer):
    shape = SHAPES[os.path.basename(os.path.normpath(folder))]
    os.makedirs(folder, exist_ok=True)
    write_json(folder, "tokenizer.json", tokenizer.json())
    write_json(folder, "tokenizer_config.json", dict(
        tokenizer_class="PreTrainedTokenizerFast", bos_token=BOS, eos_token=EOS, add_bos_token=True,
        add_eos_token=False, clean_up_tokenization_spaces=False, model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE))
    write_json(folder, "config.json", dict(
        architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu",
        hidden_size=shape["hidden"], intermediate_size=shape["ffn"],
        num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"], head_dim=shape["hidden"] // shape["heads"],
        vocab_size=len(tokenizer.names), max_position_embeddings=CONTEXT, rms_norm_eps=1e-5,
        rope_theta=10000.0, rope_scaling=None, tie_word_embeddings=True, attention_bias=False,
        mlp_bias=False, attention_dropout=0.0, initializer_range=0.02, pretraining_tp=1,
        bos_token_id=0, eos_token_id=1, use_cache=True, torch_dtype="float32"))


def encode_document(tokenizer, document):
    ids = [0]
    for text, is_question in turns_of(document):
        piece = tokenizer.encode(text)
        ids += [i | PROMPT_BIT for i in piece] if is_question else piece + [1]
    return ids


def main():
    corpus, folders = sys.argv[1], sys.argv[2:]
    documents = {}
    for name in ("train", "heldout"):
        with open(os.path.join(corpus, name + ".jsonl"), encoding="ascii") as f:
            documents[name] = [json.loads(line) for line in f]
    counts = collections.Counter()
    for document in documents["train"]:
        for text, _ in turns_of(document):
            counts.update(WORDS.findall(text))
    alphabet = byte_alphabet()
    words = {tuple(alphabet[b] for b in w.encode()): n for w, n in counts.items()
             if not any(c.isdigit() for c in w)}
    tokenizer = Tokenizer(learn_merges(words, VOCABULARY_SIZE - 258))
    for folder in folders:
        write_model_folder(folder, tokenizer)
    for name, lines in documents.items():
        ids = array.array("H")
        longest = 0
        for document in lines:
            one = encode_document(tokenizer, document)
            longest = max(longest, len(one))
            if len(one) <= CONTEXT:
                ids.extend(one)
        if sys.byteorder == "big":
            ids.byteswap()
        with open(os.path.join(corpus, name + ".bin"), "wb") as f:
            ids.tofile(f)
        print(f"{name}: {len(lines)} documents, {len(ids)} tokens, longest {longest}")


if __name__ == "__main__":
    main()
