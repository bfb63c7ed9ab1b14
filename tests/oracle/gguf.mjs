#!/usr/bin/env node
// Compares our GGUF reader with npm's @huggingface/gguf.
//
// Usage: gguf.mjs PROGRAM FOLDER (PROGRAM of gguf_program.cc; files are made in FOLDER).
// Exit status 77 if the package cannot be had.
//
// Well-formed files, and the real ones of ../shared/models: both read the same. Mutated files: whatever ours accepts, theirs reads the
// same. Ours refuses much that theirs does not, such as keys that are there twice.
import {execFileSync, spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';

const [program, folder] = process.argv.slice(2);
const REAL_FILES = '../shared/models';
const MUTATIONS_OF_A_FILE = 120;

function load_package() {
  const install = spawnSync('tests/oracle/install', {encoding: 'utf8'});
  if (install.status === 3) {
    console.log('SKIPPED: @huggingface/gguf cannot be had here.');
    process.exit(77);
  }
  if (install.status !== 0) throw new Error(install.stderr);
  return createRequire(install.stdout.trim() + '/x.js')('@huggingface/gguf');
}

const {gguf} = load_package();
const STRING = 8, ARRAY = 9, F32 = 6, F64 = 12, BOOL = 7;
// Both decode text in the same way, but TextDecoder drops a byte order mark at its start.
const without_mark = (text) => text.startsWith('\ufeff') ? text.slice(1) : text;

// The spelling of gguf_program.cc.
function canonical(type, value, subtype) {
  if (type === STRING) return without_mark(value);
  if (type === BOOL) return value;
  if (type === F32 || type === F64) {
    if (Number.isNaN(value)) return 'nan';
    const view = new DataView(new ArrayBuffer(8));
    if (type === F32) view.setFloat32(0, value, true);
    else view.setFloat64(0, value, true);
    const bits = type === F32 ? view.getUint32(0, true) : view.getBigUint64(0, true);
    return '0x' + bits.toString(16);
  }
  if (type === ARRAY) return value.map((element) => canonical(subtype, element));
  return value.toString();
}

// Elements of nested arrays come without their types: compared as far as they can be.
function loosely(ours, theirs) {
  if (Array.isArray(theirs)) {
    return Array.isArray(ours) && ours.length === theirs.length &&
        ours.every((one, i) => loosely(one, theirs[i]));
  }
  if (typeof theirs === 'number') {
    return [F32, F64].some((type) => canonical(type, theirs) === ours) || String(theirs) === ours;
  }
  if (typeof theirs === 'string') return without_mark(ours) === without_mark(theirs);
  return String(theirs) === String(ours);
}

function differences(ours, theirs) {
  const found = [];
  if (ours.version !== theirs.metadata.version) found.push('version');
  const keys = Object.keys(theirs.typedMetadata).filter(
      (key) => !['version', 'tensor_count', 'kv_count'].includes(key));
  if (keys.length !== Object.keys(ours.metadata).length) found.push('number of keys');
  for (const key of keys) {
    const {type, value, subType} = theirs.typedMetadata[key];
    const own = ours.metadata[key];
    if (!own || own[0] !== type || (type === ARRAY && own[2] !== subType)) {
      found.push(`type of ${key}`);
    } else if (type === ARRAY && subType === ARRAY) {
      if (!loosely(own[1], value)) found.push(key);
    } else {
      const strip = (v) => Array.isArray(v) ? v.map(strip) : typeof v === 'string' ? without_mark(v) : v;
      if (JSON.stringify(strip(own[1])) !== JSON.stringify(canonical(type, value, subType))) {
        found.push(key);
      }
    }
  }
  if (theirs.tensorInfos.length !== Object.keys(ours.tensors).length) {
    found.push('number of tensors');
  }
  for (const {name, shape, dtype, offset} of theirs.tensorInfos) {
    const spelled = [shape.map(String), dtype, (theirs.tensorDataOffset + offset).toString()];
    if (JSON.stringify(ours.tensors[name]) !== JSON.stringify(spelled)) found.push(`tensor ${name}`);
  }
  return found;
}

function dump(paths) {
  const lines = [];
  for (let at = 0; at < paths.length; at += 500) {
    const text = execFileSync(program, ['dump', ...paths.slice(at, at + 500)],
                              {maxBuffer: 1 << 30, encoding: 'utf8'});
    lines.push(...text.trimEnd().split('\n').map((line) => JSON.parse(line)));
  }
  return lines;
}

// A generator of numbers that is the same everywhere.
function random_source(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function mutated(bytes, random) {
  const out = Buffer.from(bytes);
  const header = Math.min(out.length, 2000);
  for (let n = 1 + random(3); n > 0; n--) {
    const at = random(header);
    out[at] = [0, 1, 255, out[at] ^ (1 << random(8)), random(256)][random(5)];
  }
  return random(8) === 0 ? out.subarray(0, random(out.length)) : out;
}

// {accepted, refused, wrong}
async function compare(paths, must_accept) {
  const counts = {accepted: 0, refused: 0, wrong: 0};
  const all = dump(paths);
  for (const [i, ours] of all.entries()) {
    const complain = (why) => {
      counts.wrong++;
      console.log(`${paths[i]}: ${why}`);
    };
    if (ours.error) {
      counts.refused++;
      if (must_accept) complain(ours.error);
      continue;
    }
    counts.accepted++;
    try {
      const theirs = await gguf(paths[i], {allowLocalFile: true, typedMetadata: true});
      const found = differences(ours, theirs);
      if (found.length > 0) complain(`differs in ${found.join(', ')}`);
    } catch (error) {
      complain(`theirs refuses: ${error.message}`);
    }
  }
  return counts;
}

rmSync(folder, {recursive: true, force: true});
mkdirSync(join(folder, 'mutated'), {recursive: true});
execFileSync(program, ['files', folder]);
const made = readdirSync(folder).filter((name) => name.endsWith('.gguf')).sort().map(
    (name) => join(folder, name));
const real = !existsSync(REAL_FILES) ? [] : readdirSync(REAL_FILES).filter(
    (name) => name.endsWith('.gguf')).map((name) => join(REAL_FILES, name));
if (real.length === 0) console.log(`NOT COMPARED: no real files in ${REAL_FILES}`);
const good = await compare([...made, ...real], true);
console.log(`well-formed: ${good.accepted} files read alike, ${good.wrong} wrong`);

const random = random_source(7);
const paths = [];
for (const path of made.slice(0, 60)) {
  const bytes = readFileSync(path);
  for (let n = 0; n < MUTATIONS_OF_A_FILE; n++) {
    const target = join(folder, 'mutated', `${paths.length}.gguf`);
    writeFileSync(target, mutated(bytes, random));
    paths.push(target);
  }
}
const odd = await compare(paths, false);
console.log(`mutated: ${odd.accepted} accepted and read alike, ${odd.refused} refused, ` +
            `${odd.wrong} wrong`);
rmSync(folder, {recursive: true, force: true});
process.exit(good.wrong + odd.wrong > 0 || good.accepted < 300 || odd.accepted < 100 ? 1 : 0);
