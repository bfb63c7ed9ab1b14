// Sends real fraud proofs of one matmul step to anvil and prints their transaction gas (calldata and EIP-7623 floor
// included). The trees are built here a second time, with node's SHA-256: usage: node measure.mjs <build folder>.
import {createHash, randomBytes} from 'node:crypto';
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';

const work = process.argv[2];
const sha = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest();
const leaf = tile => sha('OTR.leaf', tile);
const node = (a, b) => sha('OTR.node', a, b);
const root = (kind, type, rows, cols, top) => {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(kind, 0); head.writeUInt32LE(type, 4);
  head.writeBigUInt64LE(BigInt(rows), 8); head.writeBigUInt64LE(BigInt(cols), 16);
  return sha('OTR.root', head, top);
};
const absent = Buffer.alloc(32);

// TREE-3, TREE-6 on a whole list of leaf hashes, level by level.
function openRange(hashes, a, b) {
  let level = hashes.slice(), size = 1, path = [];
  while (size < hashes.length) size *= 2;
  while (level.length < size) level.push(absent);
  for (; level.length > 1;) {
    if (a % 2) path.push(level[a - 1]);
    if (b % 2) path.push(level[b]);
    level = Array.from({length: level.length / 2}, (_, i) => node(level[2 * i], level[2 * i + 1]));
    a = Math.floor(a / 2); b = Math.floor((b + 1) / 2);
  }
  return {top: level[0], path: Buffer.concat(path)};
}
const randomLeaves = n => Array.from({length: n}, () => randomBytes(32));
const put = (v, width) => {
  const b = Buffer.alloc(8); b.writeBigInt64LE(BigInt(v)); return b.subarray(0, width);
};
const gauss = s => Math.round(s * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(6.283185307 * Math.random()));
const clamp = (v, m) => Math.max(-m, Math.min(m, v));

/// One case: builds everything and returns the call's arguments and blob.
function build(o) {
  const {rows, cols, terms, tile, activationBytes, outputBytes, dense, part} = o;
  const element = 5000, weightLeaf = 137, modelLeaves = 523, microLeaves = 70, numbers = 523, F = part ? 255 : 14, e = 22, f = 12, m = 3111;
  const W = Array.from({length: terms}, () => clamp(gauss(32), 127));
  const A = Array.from({length: terms}, () => dense ? clamp(gauss(12000), 32639) : clamp(gauss(1500), 32639));
  const acc = W.reduce((s, w, k) => s + BigInt(w) * BigInt(A[k]), 0n);
  const s = BigInt(e + f - F);
  const y = part ? acc : (acc * BigInt(m) + (1n << (s - 1n))) >> s;
  const parts = [];
  // The claim in its batch.
  const claim = randomBytes(192), batch = randomLeaves(4096), claimIndex = 1234;
  batch[claimIndex] = leaf(claim);
  const c = openRange(batch, claimIndex, claimIndex + 1);
  parts.push(claim, c.path);
  // Weights and scale, both roots in the model, the exponent.
  const perRow = cols / 512, wl = randomLeaves(rows * perRow), wb = Buffer.from(Int8Array.from(W).buffer);
  for (let i = 0; i < terms / 512; ++i) wl[element * perRow + i] = leaf(wb.subarray(512 * i, 512 * (i + 1)));
  const wo = openRange(wl, element * perRow, element * perRow + terms / 512);
  const st = Math.floor(element / 512), sb = Buffer.alloc(2 * Math.min(512, rows - 512 * st));
  for (let i = 0; i < sb.length / 2; ++i) sb.writeUInt16LE(2048 + Math.floor(2047 * Math.random()), 2 * i);
  sb.writeUInt16LE(m, 2 * (element % 512));
  const sl = randomLeaves(Math.ceil(rows / 512));
  sl[st] = leaf(sb);
  const so = openRange(sl, st, st + 1);
  const nl = randomLeaves(numbers);
  nl[weightLeaf] = leaf(put(e, 4));
  const no = openRange(nl, weightLeaf, weightLeaf + 1);
  const ml = randomLeaves(modelLeaves);
  ml[0] = root(2, 5, numbers, 1, no.top);
  ml[weightLeaf] = root(2, 1, rows, cols, wo.top);
  ml[weightLeaf + 1] = root(2, 4, 1, rows, so.top);
  const mw = openRange(ml, weightLeaf, weightLeaf + (part ? 1 : 2)), mn = openRange(ml, 0, 1);
  const modelRoot = root(3, 0, modelLeaves, 1, mw.top);
  parts.push(wb, wo.path, ...(part ? [mw.path] : [sb, so.path, mw.path, put(e, 4), no.path, mn.path]));
  // Micro-trace: exponent, row, output.
  const typeA = activationBytes === 8 ? 7 : 3, typeO = outputBytes === 8 ? 7 : 5;
  const fb = put(f, activationBytes);
  const ab = Buffer.concat(A.map(v => put(v, activationBytes)));
  const al = randomLeaves(Math.ceil(cols / tile)), size = tile * activationBytes;
  for (let i = 0; i < ab.length / size; ++i) al[i] = leaf(ab.subarray(size * i, size * (i + 1)));
  const ao = openRange(al, 0, Math.ceil(ab.length / size));
  const ot = Math.floor(element / tile);
  const ob = Buffer.concat(Array.from({length: tile}, (_, i) => put(i === element % tile ? y + (o.honest ? 0n : 1n) : gauss(40000), outputBytes)));
  const ol = randomLeaves(Math.ceil(rows / tile));
  ol[ot] = leaf(ob);
  const oo = openRange(ol, ot, ot + 1);
  const ul = randomLeaves(microLeaves);
  ul[8] = root(9, typeA, 1, 1, leaf(fb));
  ul[9] = root(9, typeA, 1, cols, ao.top);
  ul[11] = root(9, typeO, 1, rows, oo.top);
  const ua = openRange(ul, part ? 9 : 8, 10), uo = openRange(ul, 11, 12);
  const microRoot = root(10, 0, microLeaves, 1, ua.top);
  parts.push(part ? Buffer.alloc(0) : fb, ab, ao.path, ua.path, ob, oo.path, uo.path);
  const place = [element, rows, cols, terms, weightLeaf, modelLeaves, 9, 11, microLeaves, activationBytes, outputBytes, tile, numbers, claimIndex, F];
  return {place, blob: Buffer.concat(parts), game: [c.top, modelRoot, microRoot], y};
}

const word = v => BigInt(v).toString(16).padStart(64, '0');
const encode = (selector, id, c) => selector + word(id) + c.place.map(word).join('') + word(17 * 32) + word(c.blob.length) +
    c.blob.toString('hex') + '00'.repeat((32 - c.blob.length % 32) % 32);

const port = 18545;
let calls = 0;
async function rpc(method, params) {
  const r = await fetch(`http://127.0.0.1:${port}`, {method: 'POST', headers: {'content-type': 'application/json'},
    body: JSON.stringify({jsonrpc: '2.0', id: ++calls, method, params})});
  const j = await r.json();
  if (j.error) throw new Error(JSON.stringify(j.error));
  return j.result;
}
const artifact = JSON.parse(readFileSync(`${work}/out/Step.sol/Step.json`));
const selector = name => '0x' + Object.entries(artifact.methodIdentifiers).find(([k]) => k.startsWith(name))[1];
const anvil = spawn(`${work}/node_modules/.bin/anvil`, ['--port', String(port), '--hardfork', 'osaka', '--silent']);
try {
  for (let i = 0; ; ++i) {
    try { await rpc('eth_chainId', []); break; } catch (e) { if (i > 100) throw e; await new Promise(r => setTimeout(r, 100)); }
  }
  const [from] = await rpc('eth_accounts', []);
  const send = async (to, data) => {
    const hash = await rpc('eth_sendTransaction', [{from, to, data, gas: '0xf42400'}]);
    for (;;) {
      const receipt = await rpc('eth_getTransactionReceipt', [hash]);
      if (receipt) return receipt;
      await new Promise(r => setTimeout(r, 20));
    }
  };
  const deploy = await send(undefined, artifact.bytecode.object);
  console.log(`deployed: ${BigInt(deploy.gasUsed)} gas, ${artifact.deployedBytecode.object.length / 2 - 1} bytes`);
  const shape = {rows: 14336, cols: 4096, terms: 4096, tile: 512, activationBytes: 8, outputBytes: 8, dense: true};
  const cases = [
    ['SPEC as written: i64 tiles of 512', shape],
    ['the same, small activations (|a| ~ 1500)', {...shape, dense: false}],
    ['i16 rows, i32 outputs, tiles of 512', {...shape, activationBytes: 2, outputBytes: 4}],
    ['i16 rows, i32 outputs, tiles of 64', {...shape, activationBytes: 2, outputBytes: 4, tile: 64}],
    ['i16 rows, i64 outputs, tiles of 64', {...shape, activationBytes: 2, outputBytes: 8, tile: 64}],
    ...[2048, 1024, 512].map(terms => [`i16, i32, tiles of 64, ${terms} terms`, {...shape, activationBytes: 2, outputBytes: 4, tile: 64, terms}]),
    ...[4096, 2048, 1024].map(terms => [`the same, a partial sum (i64) of ${terms} terms, no scale`, {...shape, activationBytes: 2, tile: 64, terms, part: true}]),
  ];
  let id = 0, bad = 0;
  for (const [name, o] of cases) {
    const c = build(o);
    ++id;
    await send(deploy.contractAddress, selector('open') + word(id) + c.game.map(h => h.toString('hex')).join('') + word(0));
    const data = encode(selector('prove'), id, c);
    const bytes = Buffer.from(data.slice(2), 'hex'), nonzero = bytes.filter(b => b).length;
    const tokens = 4 * nonzero + (bytes.length - nonzero);
    const receipt = await send(deploy.contractAddress, data);
    const used = Number(BigInt(receipt.gasUsed)), floor = 21000 + 10 * tokens;
    const call = {from, to: deploy.contractAddress, data};
    const returned = BigInt(await rpc('eth_call', [call, 'latest']));
    const ok = receipt.status === '0x1' && BigInt.asIntN(256, returned) === c.y && used >= floor;
    const execution = await runGas(call);
    console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}: gas ${used} (floor ${floor}, execution ${execution}, ${bytes.length} bytes, ${nonzero} not zero)`);
    bad += !ok;
    // The honest output and a corrupted opening must both be refused.
    const honest = build({...o, honest: true});
    await send(deploy.contractAddress, selector('open') + word(1000 + id) + honest.game.map(h => h.toString('hex')).join('') + word(0));
    const refused = await send(deploy.contractAddress, encode(selector('prove'), 1000 + id, honest));
    if (refused.status !== '0x0') { ++bad; console.log('FAIL an honest step was refuted: ' + name); }
    for (let k = 0; k < 12; ++k) {
      const broken = {...c, blob: Buffer.from(c.blob)};
      broken.blob[Math.floor(Math.random() * c.blob.length)] ^= 1 << Math.floor(8 * Math.random());
      const r = await send(deploy.contractAddress, encode(selector('prove'), id, broken));
      if (r.status !== '0x0') { ++bad; console.log('FAIL a flipped bit was accepted: ' + name); }
    }
  }
  // Execution gas alone, from the trace of the same call on the opened game.
  async function runGas(call) {
    const t = await rpc('debug_traceCall', [{...call, gas: '0xf42400'}, 'latest', {disableStorage: true, disableMemory: true, disableStack: true}]).catch(() => null);
    if (!t || !t.structLogs.length) return 'unknown';
    const logs = t.structLogs, last = logs[logs.length - 1];
    return logs[0].gas - last.gas + last.gasCost;
  }
  console.log(bad ? `FAILED: ${bad}` : 'all passed');
  process.exitCode = bad ? 1 : 0;
} finally {
  anvil.kill();
}
