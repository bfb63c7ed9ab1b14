// Writes a GGUF file (version 3, architecture "llama") of a shape in shapes.json with random
// weights, for llama-bench. The same arguments give the same bytes on every machine. It has no
// vocabulary, only its size: llama.cpp evaluates token ids with it but turns no text into ids.
//
// Usage: node gguf_random.mjs --shape NAME -o FILE [--type q8_0|f16]
import {createCipheriv} from 'node:crypto';
import {closeSync, openSync, readFileSync, renameSync, rmSync, writeSync} from 'node:fs';
import {parseArgs} from 'node:util';

const SHAPES = JSON.parse(readFileSync(new URL('shapes.json', import.meta.url)));
const ALIGNMENT = 32;
const BLOCK = 32; // weights that share one scale in Q8_0
const CHUNK = 1 << 15; // blocks written at once

// Numbers of the GGUF format: types of metadata, types of tensors, and kinds of files.
const U32 = 4, F32_VALUE = 6, BOOL = 7, STRING = 8;
const TENSOR_TYPES = {
  f32: {id: 0, size: (n) => n * 4},
  f16: {id: 1, size: (n) => n * 2, file_type: 1},
  q8_0: {id: 8, size: (n) => (n / BLOCK) * 34, file_type: 7},
};

const RMS_EPSILON = 1e-5;
const ROPE_BASE = 10000;

// --- Numbers -------------------------------------------------------------------------------------

const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const f32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};
const string = (text) => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);

// The 16 bits of the half float nearest to `value`, which must be below 65504 in size.
function half_bits(value) {
  const size = Math.abs(value);
  const sign = value < 0 ? 0x8000 : 0;
  if (size === 0) return sign;
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  // A mantissa rounded up to 2048 carries into the exponent, as it should; one below 1024 only
  // comes with the least exponent and makes a subnormal.
  return sign + (exponent + 14) * 1024 + Math.round(size * 2 ** (10 - exponent));
}

// A stream of bytes that look random and depend on nothing but the seed: AES-128 in counter mode.
function random_bytes(seed) {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK * BLOCK);
  return (count) => cipher.update(zeros.subarray(0, count));
}

// --- The model -----------------------------------------------------------------------------------

// Every tensor in the file's order: name, dimensions (the fastest running first), type.
function tensors_of(shape, type) {
  const {hidden, ffn, vocab} = shape;
  const query = shape.heads * shape.head_dim;
  const key = shape.kv_heads * shape.head_dim;
  const matrix = (name, columns, rows) => ({name, dims: [columns, rows], type});
  const norm = (name) => ({name, dims: [hidden], type: 'f32'});
  const tensors = [matrix('token_embd.weight', hidden, vocab)];
  for (let layer = 0; layer < shape.layers; layer++) {
    const of = (name) => `blk.${layer}.${name}.weight`;
    tensors.push(
        norm(of('attn_norm')), matrix(of('attn_q'), hidden, query),
        matrix(of('attn_k'), hidden, key), matrix(of('attn_v'), hidden, key),
        matrix(of('attn_output'), query, hidden), norm(of('ffn_norm')),
        matrix(of('ffn_gate'), hidden, ffn), matrix(of('ffn_up'), hidden, ffn),
        matrix(of('ffn_down'), ffn, hidden));
  }
  tensors.push(norm('output_norm.weight'));
  if (!shape.tied) tensors.push(matrix('output.weight', hidden, vocab));
  return tensors;
}

function metadata_of(name, shape, type) {
  const kv = (key, id, value) => Buffer.concat([string(key), u32(id), value]);
  return [
    kv('general.architecture', STRING, string('llama')),
    kv('general.name', STRING, string(`random ${name}`)),
    kv('general.file_type', U32, u32(TENSOR_TYPES[type].file_type)),
    kv('llama.context_length', U32, u32(shape.context)),
    kv('llama.embedding_length', U32, u32(shape.hidden)),
    kv('llama.block_count', U32, u32(shape.layers)),
    kv('llama.feed_forward_length', U32, u32(shape.ffn)),
    kv('llama.attention.head_count', U32, u32(shape.heads)),
    kv('llama.attention.head_count_kv', U32, u32(shape.kv_heads)),
    kv('llama.attention.layer_norm_rms_epsilon', F32_VALUE, f32(RMS_EPSILON)),
    kv('llama.rope.dimension_count', U32, u32(shape.head_dim)),
    kv('llama.rope.freq_base', F32_VALUE, f32(ROPE_BASE)),
    kv('llama.vocab_size', U32, u32(shape.vocab)),
    kv('tokenizer.ggml.model', STRING, string('no_vocab')),
    kv('tokenizer.ggml.add_bos_token', BOOL, Buffer.from([0])),
  ];
}

const aligned = (size) => Math.ceil(size / ALIGNMENT) * ALIGNMENT;
const count_of = (tensor) => tensor.dims.reduce((a, b) => a * b);
const size_of = (tensor) => TENSOR_TYPES[tensor.type].size(count_of(tensor));

function header_of(metadata, tensors) {
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length)];
  parts.push(...metadata);
  let offset = 0;
  for (const tensor of tensors) {
    parts.push(string(tensor.name), u32(tensor.dims.length), ...tensor.dims.map(u64));
    parts.push(u32(TENSOR_TYPES[tensor.type].id), u64(offset));
    offset += aligned(size_of(tensor));
  }
  return padded(Buffer.concat(parts));
}

const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);

// --- Weights -------------------------------------------------------------------------------------

// Weights are uniform integers in [-127, 127] times one scale for the matrix, so chosen that a row
// keeps the size of its input: nothing overflows or becomes subnormal however deep the model is.
function scale_of(tensor) {
  const deviation = Math.sqrt((255 ** 2 - 1) / 12);
  return 1 / (deviation * Math.sqrt(tensor.dims[0]));
}

function encode_q8_0(random, scale) {
  const blocks = random.length / BLOCK;
  const out = Buffer.allocUnsafe(blocks * 34);
  for (let block = 0; block < blocks; block++) {
    out.writeUInt16LE(half_bits(scale), block * 34);
    for (let i = 0; i < BLOCK; i++) {
      const value = random[block * BLOCK + i];
      out[block * 34 + 2 + i] = value === 128 ? 0 : value; // -128 is no value of Q8_0
    }
  }
  return out;
}

function encode_f16(random, scale) {
  const table = new Uint16Array(256);
  for (let value = 0; value < 256; value++) {
    table[value] = value === 128 ? 0 : half_bits(scale * ((value << 24) >> 24));
  }
  const out = Buffer.allocUnsafe(random.length * 2);
  for (let i = 0; i < random.length; i++) out.writeUInt16LE(table[random[i]], i * 2);
  return out;
}

function write_all(file, bytes) {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
}

function write_tensor(file, tensor, random) {
  const count = count_of(tensor);
  if (tensor.type === 'f32') {
    write_all(file, padded(Buffer.concat(Array(count).fill(f32(1)))));
    return;
  }
  const encode = tensor.type === 'q8_0' ? encode_q8_0 : encode_f16;
  const scale = scale_of(tensor);
  for (let at = 0; at < count; at += CHUNK * BLOCK) {
    write_all(file, encode(random(Math.min(CHUNK * BLOCK, count - at)), scale));
  }
  write_all(file, Buffer.alloc(aligned(size_of(tensor)) - size_of(tensor)));
}

// --- Command line --------------------------------------------------------------------------------

function write_model(name, type, path) {
  const shape = SHAPES[name];
  const tensors = tensors_of(shape, type);
  const unfinished = `${path}.${process.pid}.tmp`;
  const file = openSync(unfinished, 'w');
  try {
    write_all(file, header_of(metadata_of(name, shape, type), tensors));
    const random = random_bytes(1);
    for (const tensor of tensors) write_tensor(file, tensor, random);
    closeSync(file);
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, {force: true});
    throw error;
  }
}

function main() {
  const {values} = parseArgs({
    options: {
      shape: {type: 'string'},
      output: {type: 'string', short: 'o'},
      type: {type: 'string', default: 'q8_0'},
    },
  });
  if (!Object.hasOwn(SHAPES, values.shape ?? '')) {
    throw new Error(`--shape must be one of: ${Object.keys(SHAPES).join(', ')}`);
  }
  if (!['q8_0', 'f16'].includes(values.type)) throw new Error('--type must be q8_0 or f16');
  if (!values.output) throw new Error('say where to write: -o FILE');
  write_model(values.shape, values.type, values.output);
}

try {
  main();
} catch (error) {
  console.error(`gguf_random: ${error.message}`);
  process.exit(2);
}
