// OpenAI's own client (npm openai, major 6) against a running gateway and proxy: what people do with
// it works unchanged, and what they may rely on holds.
//
//   openai_client.mjs ORACLE OTR-PROGRAM MODEL
//
// Starts `otr up` in a folder of its own and ends it. Everything is asserted; a failure exits 1.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [oracle, otr, model] = process.argv.slice(2);
const { OpenAI } = createRequire(join(oracle, 'x.js'))('openai');
const home = mkdtempSync(join(tmpdir(), 'otr-openai-'));
const question = [{ role: 'user', content: 'What is a rollup?' }];

// --- The service under test ----------------------------------------------------------------------

function start() {
  const child = spawn(otr, ['up', '--model', model, '--name', 'demo', '--home', home,
    '--gateway-port', '0', '--proxy-port', '0', '--threads', '1', '--kv-memory', '64'],
  { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    let text = '';
    child.on('exit', (code) => reject(new Error(`otr up ended with ${code}: ${text}`)));
    child.stdout.on('data', (part) => {
      text += part;
      if (!text.includes('Ctrl-C ends it')) return;
      const url = (name) => text.match(new RegExp(`^${name}\\s+(\\S+)`, 'm'))[1];
      child.removeAllListeners('exit');
      resolve({ child, text, gateway: url('gateway'), proxy: url('proxy') });
    });
  });
}

const client = (baseURL, options = {}) =>
  new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0, ...options });

// --- What people do ------------------------------------------------------------------------------

async function whole(openai) {
  const { data, response } = await openai.chat.completions
    .create({ model: 'demo', messages: question, temperature: 0, max_tokens: 24 }).withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.match(data.id, /^chatcmpl-/);
  assert.equal(data.choices.length, 1);
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.ok(data.choices[0].message.content.length > 0);
  assert.ok(['stop', 'length'].includes(data.choices[0].finish_reason));
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.ok(response.headers.get('x-receipt-id'));
  return data.choices[0].message.content;
}

async function streamed(openai, expected) {
  const stream = await openai.chat.completions.create({
    model: 'demo', messages: question, temperature: 0, max_tokens: 24, stream: true,
    stream_options: { include_usage: true } });
  let text = '', finish = null, usage = null;
  const ids = new Set();
  for await (const chunk of stream) {
    ids.add(chunk.id);
    text += chunk.choices[0]?.delta?.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, expected, 'streamed or whole, the answer is the same');
  assert.equal(ids.size, 1);
  assert.ok(['stop', 'length'].includes(finish));
  assert.ok(usage.completion_tokens > 0);

  const helper = openai.chat.completions.stream({
    model: 'demo', messages: question, temperature: 0, max_tokens: 24 });
  assert.equal(await helper.finalContent(), expected);
}

async function options(openai) {
  const many = await openai.chat.completions.create({
    model: 'demo', messages: question, n: 3, seed: 7, temperature: 0.9, max_tokens: 8 });
  assert.deepEqual(many.choices.map((choice) => choice.index), [0, 1, 2]);
  const again = await openai.chat.completions.create({
    model: 'demo', messages: question, n: 3, seed: 7, temperature: 0.9, max_tokens: 8 });
  const texts = (answer) => answer.choices.map((choice) => choice.message.content);
  assert.deepEqual(texts(again), texts(many), 'a seed gives the same answers');

  const probable = await openai.chat.completions.create({
    model: 'demo', messages: question, logprobs: true, top_logprobs: 3, max_tokens: 4,
    temperature: 0 });
  const content = probable.choices[0].logprobs.content;
  assert.equal(content.length, probable.usage.completion_tokens);
  assert.equal(content[0].top_logprobs.length, 3);
  assert.ok(content[0].logprob <= 0);

  const first = await openai.chat.completions.create({
    model: 'demo', messages: question, temperature: 0, max_tokens: 24 });
  const word = first.choices[0].message.content.trim().split(' ')[1];
  const stopped = await openai.chat.completions.create({
    model: 'demo', messages: question, temperature: 0, max_tokens: 24, stop: [word] });
  assert.ok(!stopped.choices[0].message.content.includes(word));
  assert.equal(stopped.choices[0].finish_reason, 'stop');

  const text = await openai.completions.create({
    model: 'demo', prompt: 'A rollup is', max_tokens: 8, temperature: 0 });
  assert.equal(text.object, 'text_completion');
  assert.ok(text.choices[0].text.length > 0);

  const models = await openai.models.list();
  assert.equal(models.data[0].id, 'demo');
  assert.equal((await openai.models.retrieve('demo')).id, 'demo');
}

async function errors(openai) {
  const refused = async (promise, status, code) => {
    await assert.rejects(promise, (error) => {
      assert.equal(error.status, status, error.message);
      if (code) assert.equal(error.code, code, error.message);
      assert.ok(error.message.length > 0);
      return true;
    });
  };
  const chat = (more) => openai.chat.completions.create({ model: 'demo', messages: question, ...more });
  await refused(chat({ model: 'no-such-model' }), 404, 'model_not_found');
  await refused(chat({ temperature: -1 }), 400);
  await refused(chat({ messages: [] }), 400);
  await refused(chat({ max_tokens: 'many' }), 400);
  await refused(chat({ messages: [{ role: 'user', content: 'word '.repeat(5000) }] }), 400,
    'context_length_exceeded');
  await refused(openai.models.retrieve('other'), 404);
}

async function abort(openai) {
  const stream = await openai.chat.completions.create({
    model: 'demo', messages: question, stream: true, max_tokens: 200, temperature: 1 });
  let seen = 0;
  try {
    for await (const _ of stream) if (++seen === 2) stream.controller.abort();
  } catch (error) {
    assert.match(String(error), /abort/i);
  }
  assert.ok(seen >= 2);
}

// A line that is cut before any header of the answer: the client sends the POST again, and both
// attempts are one answer, hence one claim.
async function retries(base) {
  const target = new URL(base);
  let attempts = 0;
  const flaky = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      attempts += 1;
      const drop = attempts < 2;
      const upstream = http.request({ host: target.hostname, port: target.port, method: 'POST',
        path: request.url, headers: { ...request.headers, host: target.host } }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      upstream.on('error', () => request.socket.destroy());
      // The attempt reaches the service, and then the line is cut on both sides.
      upstream.end(Buffer.concat(chunks), () => { if (drop) setTimeout(() => upstream.destroy(), 2); });
    });
  });
  await new Promise((resolve) => flaky.listen(0, '127.0.0.1', resolve));
  const before = await receipts(base);
  const openai = client(`http://127.0.0.1:${flaky.address().port}/v1`, { maxRetries: 2 });
  const answer = await openai.chat.completions.create({
    model: 'demo', messages: [{ role: 'user', content: 'What is a receipt, and what is a proof?' }],
    max_tokens: 100, logit_bias: {}, temperature: 1.5 });
  assert.ok(answer.choices[0].message.content.length > 0);
  assert.equal(attempts, 2);
  flaky.close();
  flaky.closeAllConnections();
  assert.equal(await receipts(base) - before, 1, 'two attempts, one receipt');
}

async function receipts(base) {
  const response = await fetch(`${base}/otr/receipts?limit=1000`);
  const list = await response.json();
  return (list.receipts ?? list.data).length;
}

const service = await start();
let failed = false;
try {
  assert.match(service.text, /SIMULATED/);
  for (const [name, base] of [['gateway', service.gateway], ['proxy', service.proxy]]) {
    const openai = client(base);
    const text = await whole(openai);
    await streamed(openai, text);
    await options(openai);
    await errors(openai);
    await abort(openai);
    await retries(base);
    console.log(`${name}: chat, streaming, options, errors, abort and retries as OpenAI's client expects`);
  }
} catch (error) {
  failed = true;
  console.error(error);
} finally {
  service.child.kill('SIGTERM');
  await new Promise((resolve) => service.child.on('exit', resolve));
  rmSync(home, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
