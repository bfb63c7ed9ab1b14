// A verifier of ACI (aci/1) of our own, which shares nothing with the C++: Node's crypto, a JCS of
// ten lines, and the protocol's text. Checks a running service the way a stranger would.
//
//   aci_verify.mjs [ORACLE] OTR-PROGRAM MODEL     starts `otr up` in a folder of its own
//   aci_verify.mjs --url http://host:port         a service that runs
//
// What it cannot check: the TEE's own signature (`otr attest verify` does), provenance, custody.
// Everything is asserted, also that spoiled documents are refused; a failure exits 1.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// --- The protocol --------------------------------------------------------------------------------

const hex = (bytes) => createHash('sha256').update(bytes).digest('hex');
const digest = (bytes) => `sha256:${hex(bytes)}`;

function jcs(value) {
  if (Array.isArray(value)) return `[${value.map(jcs).join(',')}]`;
  if (value === null || typeof value !== 'object') {
    assert.ok(typeof value !== 'number' || Number.isSafeInteger(value), 'only integers');
    return JSON.stringify(value);
  }
  return `{${Object.keys(value).sort().map((k) => `${JSON.stringify(k)}:${jcs(value[k])}`).join(',')}}`;
}

function ed25519(publicKey, message, signature) {
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey, 'hex').toString('base64url') },
    format: 'jwk' });
  return verify(null, Buffer.from(message), key, Buffer.from(signature, 'hex'));
}

// Throws unless the report binds its keyset and our nonce; gives the keyset and its digest.
function checkReport(report, nonce) {
  assert.equal(report.api_version, 'aci/1');
  const { attestation } = report;
  const keysetDigest = digest(jcs(attestation.workload_keyset));
  assert.equal(report.workload_keyset_digest, keysetDigest, 'keyset digest');
  const shown = nonce === null ? 'null' : `"${nonce}"`;
  const reportData = hex(
    `{"keyset_digest":"${keysetDigest}","nonce":${shown},"purpose":"aci.report_data.v1"}`);
  assert.equal(attestation.report_data, reportData, 'report data');
  const evidence = attestation.evidence.quote ?? attestation.evidence.report;
  assert.ok(evidence.includes(reportData + '0'.repeat(64)), 'the evidence holds the report data');
  assert.ok(Date.now() / 1000 < attestation.workload_keyset.not_after, 'expiry');
  return { keyset: attestation.workload_keyset, keysetDigest };
}

function checkReceipt(receipt, { keyset, keysetDigest }, requestBody, responseBody) {
  assert.equal(receipt.api_version, 'aci/1');
  const key = keyset.receipt_signing_keys.find((one) => one.key_id === receipt.key_id);
  assert.equal(key?.algo, 'ed25519', 'the key is in the keyset');
  const { signature, ...unsigned } = receipt;
  assert.ok(ed25519(key.public_key, jcs(unsigned), signature), 'signature');
  assert.equal(receipt.workload_keyset_digest, keysetDigest, 'keyset of the receipt');
  assert.equal(receipt.event_log[0].type, 'request.received');
  const event = (type) => receipt.event_log.find((one) => one.type === type);
  assert.equal(event('request.received').body_hash, digest(requestBody), 'request bytes');
  assert.equal(event('response.returned').body_hash, digest(responseBody), 'response bytes');
  return event;
}

function checkSession(record, id, servedAt) {
  assert.equal(hex(jcs(record)), id, 'the record hashes to its id');
  assert.equal(record.api_version, 'aci/1');
  assert.ok(record.established_at <= servedAt && servedAt <= record.expires_at, 'in its window');
  const [head, data] = record.evidence.data.split(',');
  assert.match(head, /^data:.*;base64$/);
  assert.equal(digest(Buffer.from(data, 'base64')), record.evidence.digest, 'evidence');
  return JSON.parse(Buffer.from(data, 'base64').toString());
}

// The vectors that the protocol publishes: this verifier reads it as its authors do.
function vectors() {
  const nonce = Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('hex');
  const keyset = {
    subject: 'dstack-app://example-app', not_after: 1800000000,
    receipt_signing_keys: [{ key_id: 'receipt-1', algo: 'ed25519',
      public_key: '8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394' }],
    e2ee_public_keys: [{ key_id: 'e2ee-1', algo: 'x25519-aes-256-gcm-hkdf-sha256',
      public_key: '5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22' }],
    tls_public_keys: [{ spki_sha256: 'c0'.repeat(32), domain: 'api.example.com' }] };
  const keysetDigest = 'sha256:53a5cd44b30dcc51999754c719f2628a041f174ecbf9662a6f8e898a10cd9371';
  const reportData = 'df2174d28130852b413646a3786927b93e94c11d770268b65def8bdba45cb49e';
  checkReport({ api_version: 'aci/1', workload_keyset_digest: keysetDigest,
    attestation: { workload_keyset: keyset, report_data: reportData,
      evidence: { quote: reportData + '0'.repeat(64) } } }, nonce);
  const asked = '{"messages":[{"content":"hi","role":"user"}],"model":"demo-model"}';
  const given = '{"choices":[],"id":"chatcmpl-123"}';
  checkReceipt({
    api_version: 'aci/1', receipt_id: 'rcpt-0001', chat_id: 'chatcmpl-123', model: 'demo-model',
    workload_keyset_digest: keysetDigest, endpoint: '/v1/chat/completions', method: 'POST',
    served_at: 1750000000, key_id: 'receipt-1', event_log: [
      { type: 'request.received', body_hash: digest(asked) },
      { type: 'request.forwarded', body_hash: digest(asked) },
      { type: 'upstream.verified', result: 'verified', required: true, model_id: 'demo-model',
        session_id: '95ad1cb4dd25445808c2e9d116caf420b05703730b506395e8fc1ca6faeae28f' },
      { type: 'response.returned', body_hash: digest(given) }],
    signature: 'd5b005e093bde3b577faf270b7184b09e169cacb0ecb206b103bd2581f997db03da616175454b063' +
      '323a23ac1dc68f1ce506c2a6eba8aa0561d5e724f0b80c03' }, { keyset, keysetDigest }, asked, given);
}

const refused = (action, what) => assert.throws(action, assert.AssertionError, what);

// --- A service -----------------------------------------------------------------------------------

const home = mkdtempSync(join(tmpdir(), 'otr-aci-'));

function run(otr, args, ready) {
  const child = spawn(otr, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  return new Promise((resolve, reject) => {
    let text = '';
    child.on('exit', (code) => reject(new Error(`otr ${args[0]} ended with ${code}: ${text}`)));
    child.stdout.on('data', (part) => {
      text += part;
      if (!text.includes(ready)) return;
      child.removeAllListeners('exit');
      resolve({ child, url: text.match(/^gateway\s+(\S+)\/v1$/m)[1],
        worker: text.match(/^worker\s+(\S+)$/m)?.[1] });
    });
  });
}

const start = (otr, model) => run(otr, ['up', '--model', model, '--name', 'demo', '--home', home,
  '--gateway-port', '0', '--proxy-port', '0', '--threads', '1', '--kv-memory', '64'],
'Ctrl-C ends it');

// A second gateway of the same operator, before the same worker.
const startGateway = (otr, model, worker, more) => run(otr, ['gateway', '--model', model, '--name',
  'demo', '--home', home, '--policy', join(home, 'policy.toml'), '--listen', '127.0.0.1:0',
  '--worker', worker, ...more], '/v1');

async function stop(service) {
  service.child.kill('SIGTERM');
  await new Promise((resolve) => service.child.on('exit', resolve));
}

async function getJson(url, status = 200) {
  const response = await fetch(url);
  const text = await response.text();
  assert.equal(response.status, status, `${url}: ${text}`);
  assert.equal(response.headers.get('x-aci-version'), 'aci/1');
  return JSON.parse(text);
}

async function post(base, path, body, headers = {}) {
  const text = JSON.stringify(body);
  const response = await fetch(base + path,
    { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: text });
  return { sent: text, response, got: Buffer.from(await response.arrayBuffer()) };
}

const messages = [{ role: 'user', content: 'What is a rollup? \u00fc\u{1f600}' }];

// --- What is checked -----------------------------------------------------------------------------

async function report(base) {
  const nonce = randomBytes(32).toString('hex');
  const served = await getJson(`${base}/v1/aci/attestation?nonce=${nonce}`);
  const established = checkReport(served, nonce);
  assert.equal(served.service_capabilities.serving, 'aggregator');
  assert.ok(!['tdx', 'sev_snp'].includes(served.attestation.tee_type) ||
    served.attestation.evidence.warning === undefined);
  checkReport(await getJson(`${base}/v1/aci/attestation`), null);
  for (const bad of ['ab', 'A'.repeat(64), '0'.repeat(65)]) {
    const error = await getJson(`${base}/v1/aci/attestation?nonce=${bad}`, 400);
    assert.equal(error.error.type, 'invalid_request_error');
  }
  refused(() => checkReport(served, randomBytes(32).toString('hex')), 'another nonce');
  const swapped = structuredClone(served);
  swapped.attestation.workload_keyset.receipt_signing_keys[0].public_key =
    randomBytes(32).toString('hex');
  refused(() => checkReport(swapped, nonce), 'another key');
  swapped.workload_keyset_digest = digest(jcs(swapped.attestation.workload_keyset));
  refused(() => checkReport(swapped, nonce), 'another key, and its digest');
  return { ...established, report: served, nonce };
}

async function answer(base, established, path, body) {
  const { sent, response, got } = await post(base, path, body);
  assert.equal(response.status, 200, got.toString());
  assert.equal(response.headers.get('x-aci-version'), 'aci/1');
  assert.equal(response.headers.get('x-aci-keyset-digest'), established.keysetDigest);
  const id = response.headers.get('x-receipt-id');
  const receipt = await getJson(`${base}/v1/aci/receipts/${id}`);  // at once, without a retry
  const event = checkReceipt(receipt, established, sent, got);
  assert.equal(receipt.receipt_id, id);
  assert.equal(receipt.endpoint, path);
  assert.equal(receipt.model, 'demo');
  assert.ok(event('request.forwarded').body_hash);
  const chatId = got.toString().match(/"id":"((?:chat)?cmpl-[^"]+)"/)[1];
  assert.equal(receipt.chat_id, chatId);
  assert.deepEqual(await getJson(`${base}/v1/aci/receipts/${chatId}`), receipt);

  const verified = event('upstream.verified');
  assert.equal(verified.result, 'verified');
  assert.equal(verified.required, true);
  const record = await getJson(`${base}/v1/aci/sessions/${verified.session_id}`);
  const session = checkSession(record, verified.session_id, receipt.served_at);
  assert.equal(record.claims.extra.otr_session, event('otr.claim').session);
  assert.equal(session.session.model_root, event('otr.claim').model_root);
  if (!record.claims.extra.otr_hardware) {
    assert.equal(record.claims.tee_attested.status, 'refuted');
    assert.ok(!jcs(record.claims).includes('hardware_proven'));
  }
  const otr = await getJson(`${base}/v1/otr/receipts/${id}`);
  assert.equal(event('otr.claim').request_hash, id);
  assert.equal(otr.claim.trace_root, event('otr.claim').trace_root, 'the same answer to OTR');

  refused(() => checkReceipt(receipt, established, sent + ' ', got), 'request changed');
  const other = Buffer.from(got);
  other[other.length >> 1] ^= 1;
  refused(() => checkReceipt(receipt, established, sent, other), 'response changed');
  refused(() => checkReceipt(receipt, established, sent, got.subarray(0, -1)), 'response cut');
  for (const field of ['receipt_id', 'model', 'endpoint', 'chat_id']) {
    refused(() => checkReceipt({ ...receipt, [field]: 'x' }, established, sent, got), field);
  }
  const events = structuredClone(receipt);
  events.event_log.at(-1).body_hash = digest(other);
  refused(() => checkReceipt(events, established, sent, other), 'receipt made to fit');
  refused(() => checkSession({ ...record, expires_at: record.expires_at + 1 },
    verified.session_id, receipt.served_at), 'session changed');
  return { id, receipt, sent, got };
}

async function sessions(base) {
  const { sessions: list } = await getJson(`${base}/v1/aci/sessions?model=demo`);
  assert.ok(list.length >= 1);
  assert.equal(list[0].evidence.data, undefined);
  const record = await getJson(`${base}/v1/aci/sessions/${list[0].session_id}`);
  checkSession(record, list[0].session_id, Math.floor(Date.now() / 1000));
  assert.equal((await getJson(`${base}/v1/aci/sessions?model=other`)).sessions.length, 0);
  await getJson(`${base}/v1/aci/sessions/${'0'.repeat(64)}`, 404);
  return list.map((one) => one.session_id);
}

async function constraints(base, established, ids) {
  const body = { model: 'demo', messages, max_tokens: 4 };
  await answer(base, established, '/v1/chat/completions',
    { ...body, provider: { aci_verified: true, aci_session_ids: ids } });
  const { sent, response, got } = await post(base, '/v1/chat/completions',
    { ...body, provider: { aci_session_ids: ['0'.repeat(64)] } });
  assert.equal(response.status, 412);
  assert.equal(JSON.parse(got).error.type, 'session_not_accepted');
  const receipt = await getJson(`${base}/v1/aci/receipts/${response.headers.get('x-receipt-id')}`);
  const event = checkReceipt(receipt, established, sent, got);
  assert.equal(event('upstream.verified').result, 'failed');
  assert.equal(event('request.forwarded'), undefined);
  const unknown = await post(base, '/v1/chat/completions', { ...body, provider: { aci_x: 1 } });
  assert.equal(unknown.response.status, 400);
}

// An answer that is given again has the receipt it had.
async function again(base, established) {
  const headers = { 'idempotency-key': randomBytes(8).toString('hex') };
  const body = { model: 'demo', messages, max_tokens: 6, stream: true, temperature: 1 };
  const all = await Promise.all([0, 1, 2].map(
    () => post(base, '/v1/chat/completions', body, headers)));
  all.push(await post(base, '/v1/chat/completions', body, headers));
  const ids = new Set(all.map((one) => one.response.headers.get('x-receipt-id')));
  assert.equal(ids.size, 1);
  const receipt = await getJson(`${base}/v1/aci/receipts/${[...ids][0]}`);
  for (const one of all) checkReceipt(receipt, established, one.sent, one.got);
}

// With sealing there is a channel to name; without a TEE there is no ACI.
async function otherGateways(otr, model, worker) {
  const sealing = await startGateway(otr, model, worker, ['--tee', 'simulated', '--seal']);
  try {
    const established = await report(sealing.url);
    await ready(sealing.url);
    const { receipt } = await answer(sealing.url, established, '/v1/chat/completions',
      { model: 'demo', messages, max_tokens: 4 });
    const id = receipt.event_log.find((one) => one.type === 'upstream.verified').session_id;
    const record = await getJson(`${sealing.url}/v1/aci/sessions/${id}`);
    assert.equal(record.channel_binding[0].type, 'e2ee_public_key_sha256');
    assert.equal(record.channel_binding[0].public_key_sha256,
      hex(Buffer.from(record.identity.seal_public_key, 'hex')));
  } finally {
    await stop(sealing);
  }
  const bare = await startGateway(otr, model, worker, []);
  try {
    const response = await fetch(`${bare.url}/v1/aci/attestation`);
    assert.equal(response.status, 503);
    assert.equal((await response.json()).error.code, 'no_tee');
    await ready(bare.url);
    const { response: plain } = await post(bare.url, '/v1/chat/completions',
      { model: 'demo', messages, max_tokens: 4 });
    assert.equal(plain.status, 200);
    assert.equal(plain.headers.get('x-aci-version'), null);
  } finally {
    await stop(bare);
  }
}

async function ready(base) {
  for (let i = 0; i < 100; ++i) {
    if ((await fetch(`${base}/readyz`)).ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail('no session is accepted');
}

async function everything(base) {
  const established = await report(base);
  const ids = await sessions(base);
  const chat = { model: 'demo', messages, max_tokens: 12, temperature: 0 };
  const one = await answer(base, established, '/v1/chat/completions', chat);
  await answer(base, established, '/v1/chat/completions', { ...chat, stream: true });
  await answer(base, established, '/v1/chat/completions',
    { ...chat, stream: true, n: 2, temperature: 1, stream_options: { include_usage: true } });
  await answer(base, established, '/v1/completions',
    { model: 'demo', prompt: 'A rollup', max_tokens: 8 });
  await constraints(base, established, ids);
  await again(base, established);
  await getJson(`${base}/v1/aci/receipts/unknown`, 404);
  const bad = await post(base, '/v1/chat/completions', { model: 'demo' });
  assert.equal(bad.response.headers.get('x-aci-version'), 'aci/1');
  assert.equal(bad.response.headers.get('x-receipt-id'), null);
  return { established, one };
}

const args = process.argv.slice(2);
let failed = false, service = null;
try {
  vectors();
  if (args[0] === '--url') {
    await everything(args[1].replace(/\/+$/, ''));
  } else {
    const [otr, model] = args.slice(-2);
    service = await start(otr, model);
    const { established, one } = await everything(service.url);
    await otherGateways(otr, model, service.worker);
    await stop(service);
    service = await start(otr, model);
    const kept = await getJson(`${service.url}/v1/aci/receipts/${one.id}`);
    assert.deepEqual(kept, one.receipt, 'a restart keeps receipts');
    checkReceipt(kept, established, one.sent, one.got);
    const now = await report(service.url);
    assert.notEqual(now.keysetDigest, established.keysetDigest, 'keys do not leave memory');
    refused(() => checkReceipt(kept, now, one.sent, one.got), 'the keyset of another life');
  }
  console.log('aci: report, receipts, sessions and constraints as a verifier of aci/1 expects');
} catch (error) {
  failed = true;
  console.error(error);
} finally {
  if (service) await stop(service);
  rmSync(home, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
