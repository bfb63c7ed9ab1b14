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

const refused = (action, what) => assert.throws(action, assert.AssertionError, what);

// --- A service -----------------------------------------------------------------------------------

const home = mkdtempSync(join(tmpdir(), 'otr-aci-'));

function start(otr, model) {
  const child = spawn(otr, ['up', '--model', model, '--name', 'demo', '--home', home,
    '--gateway-port', '0', '--proxy-port', '0', '--threads', '1', '--kv-memory', '64'],
  { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    let text = '';
    child.on('exit', (code) => reject(new Error(`otr up ended with ${code}: ${text}`)));
    child.stdout.on('data', (part) => {
      text += part;
      if (!text.includes('Ctrl-C ends it')) return;
      child.removeAllListeners('exit');
      resolve({ child, url: text.match(/^gateway\s+(\S+)\/v1$/m)[1] });
    });
  });
}

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

async function post(base, path, body) {
  const text = JSON.stringify(body);
  const response = await fetch(base + path,
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: text });
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
  await getJson(`${base}/v1/aci/receipts/unknown`, 404);
  const bad = await post(base, '/v1/chat/completions', { model: 'demo' });
  assert.equal(bad.response.headers.get('x-aci-version'), 'aci/1');
  assert.equal(bad.response.headers.get('x-receipt-id'), null);
  return { established, one };
}

const args = process.argv.slice(2);
let failed = false, service = null;
try {
  if (args[0] === '--url') {
    await everything(args[1].replace(/\/+$/, ''));
  } else {
    const [otr, model] = args.slice(-2);
    service = await start(otr, model);
    const { established, one } = await everything(service.url);
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
