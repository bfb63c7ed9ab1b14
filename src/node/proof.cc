#include "node/proof.h"

#include <algorithm>

#include "base/reject.h"
#include "engine/pool.h"
#include "machine/tables.h"
#include "merkle/tree.h"
#include "protocol/finish.h"
#include "prover/memory.h"
#include "prover/prove.h"
#include "trace/header.h"
#include "trace/noise.h"
#include "zk/argument.h"
#include "zk/verify.h"

namespace otr::node {
namespace {

using protocol::Check;
using protocol::Outcome;

constexpr std::string_view kMagic = "OTRPROOF";
constexpr std::uint32_t kVersion = 1;

struct ProofFile {
  std::string_view receipt;
  Hash beacon{};
  zk::ProofParts parts;
};

std::unexpected<Error> malformed(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "MALFORMED");
}

// SPEC PS-8.
Result<ProofFile> parse_file(ByteView bytes) {
  if (bytes.size() > kMaxProofBytes) {
    return fail(ErrorKind::kReject, "a proof has at most 1 GiB", "LIMIT_EXCEEDED");
  }
  if (!looks_like_proof(bytes)) return malformed("this is no proof: it does not begin OTRPROOF");
  bytes = bytes.subspan(kMagic.size());
  const auto take = [&](std::size_t count) -> Result<ByteView> {
    if (bytes.size() < count) return malformed("the proof ends too early");
    const ByteView part = bytes.first(count);
    bytes = bytes.subspan(count);
    return part;
  };
  const auto take_part = [&]() -> Result<ByteView> {
    OTR_TRY_ASSIGN(const ByteView length, take(4));
    return take(load_le<std::uint32_t>(length.data()));
  };
  OTR_TRY_ASSIGN(const ByteView version, take(4));
  if (load_le<std::uint32_t>(version.data()) != kVersion) {
    return malformed("the proof is of another version; this program knows version 1");
  }
  ProofFile file;
  OTR_TRY_ASSIGN(const ByteView receipt, take_part());
  file.receipt = as_text(receipt);
  OTR_TRY_ASSIGN(const ByteView beacon, take(32));
  std::ranges::copy(beacon, file.beacon.begin());
  OTR_TRY_ASSIGN(file.parts.rows, take_part());
  OTR_TRY_ASSIGN(file.parts.scalars, take_part());
  OTR_TRY_ASSIGN(file.parts.argument, take_part());
  if (!bytes.empty()) return malformed("bytes follow the end of the proof");
  return file;
}

void append_part(Bytes& to, ByteView part) {
  append_le(to, static_cast<std::uint32_t>(part.size()));
  append(to, part);
}

zk::Statement statement_of(const protocol::Receipt& receipt, const model::Artifact& artifact,
                           const Hash& beacon) {
  return {.spec_hash = receipt.spec_hash,
          .model_root = artifact.root(),
          .request_digest = receipt.claim.request_hash,
          .claim_digest = protocol::digest_of(receipt.claim, receipt.ledger),
          .trace_root = receipt.claim.trace_root,
          .signer = receipt.signer,
          .beacon = beacon,
          .n_prompt = receipt.claim.prompt_count,
          .n_out = receipt.claim.out_count};
}

zk::Job job_of(const protocol::Receipt& receipt, const machine::Model& model) {
  return {model, receipt.request.request.sampling, trace::noise_block, receipt.prompt_ids,
          receipt.output_ids};
}

// The trace root that rows in clear give (SPEC PS-2, TRACE-5).
Hash trace_root_of(const protocol::Receipt& receipt, const zk::TraceRows& rows,
                   const machine::Shape& shape) {
  std::vector<std::uint32_t> ids = receipt.prompt_ids;
  ids.insert(ids.end(), receipt.output_ids.begin(), receipt.output_ids.end());
  std::vector<Hash> roots = {
      trace::hash_of(protocol::trace_header(receipt.request.request, receipt.spec_hash,
                                            receipt.claim.out_count)),
      trace::token_root(ids)};
  const std::uint64_t cols = shape.head_dim + 1;
  for (std::uint32_t l = 0; l < shape.layers; ++l) {
    const std::size_t first = std::size_t{l} * shape.kv_heads;
    for (std::size_t g = first; g < first + shape.kv_heads; ++g) {
      roots.push_back(merkle::tensor_root(merkle::Kind::kKey, merkle::Type::kI16, cols,
                                          as_bytes(std::span(rows.k[g]))));
      roots.push_back(merkle::tensor_root(merkle::Kind::kValue, merkle::Type::kI8, cols,
                                          as_bytes(std::span(rows.v[g]))));
    }
    roots.push_back(merkle::tensor_root(merkle::Kind::kResidual, merkle::Type::kI32, shape.hidden,
                                        as_bytes(std::span(rows.x[l]))));
  }
  return merkle::list_root(merkle::Kind::kTrace, roots);
}

Check check_of(std::string_view name, const Status& status) {
  Check check{.name = name, .outcome = Outcome::kPass, .detail = {}, .reject = {}};
  if (status) return check;
  check.outcome = Outcome::kFail;
  check.detail = status.error().message;
  check.reject = reject_named(status.error().code).value_or(Reject::kProofInvalid);
  return check;
}

Status check_rows(const protocol::Receipt& receipt, const zk::ProofParts& parts,
                  const machine::Shape& shape) {
  OTR_TRY_ASSIGN(
      const zk::TraceRows rows,
      zk::decode_rows(parts.rows, shape, receipt.claim.prompt_count, receipt.claim.out_count));
  if (trace_root_of(receipt, rows, shape) == receipt.claim.trace_root) return {};
  return fail(ErrorKind::kReject, "the rows in the proof give another trace root than the claim's",
              std::string(name_of(Reject::kTraceRootMismatch)));
}

// The circuit as far as it is known before the pass is computed: one limb for each remainder, and
// no column that only some passes need. The real one is larger.
zk::Circuit least_circuit(const zk::Job& job) {
  zk::CircuitOptions options;
  options.sampled = !job.sampling.greedy();
  return zk::build_circuit(job.model.shape, static_cast<std::uint32_t>(job.prompt.size()),
                           static_cast<std::uint32_t>(job.output.size()), job.sampling.inv_t,
                           options);
}

Status check_memory(const zk::Circuit& circuit, const model::Artifact& artifact,
                    const ProveOptions& options, std::string_view bound) {
  const std::uint64_t need = prover::peak_bytes(circuit) + artifact.file().size();
  if (!options.memory_bytes || need <= *options.memory_bytes) return {};
  const auto gigabytes = [](std::uint64_t bytes) {
    const std::uint64_t hundredths = bytes / 10'000'000 + (bytes % 10'000'000 != 0 ? 1 : 0);
    const std::uint64_t cents = hundredths % 100;
    return std::to_string(hundredths / 100) + (cents < 10 ? ".0" : ".") + std::to_string(cents);
  };
  return fail(ErrorKind::kUsage, "this proof needs " + std::string(bound) + " " + gigabytes(need) +
                                     " GB of memory, and " + gigabytes(*options.memory_bytes) +
                                     " GB are allowed: allow more, or prove a shorter answer");
}

}  // namespace

bool looks_like_proof(ByteView bytes) { return as_text(bytes).starts_with(kMagic); }

Result<Bytes> prove_receipt(std::string_view receipt_text, const model::Artifact& artifact,
                            const ProveOptions& options) {
  const machine::Model& model = artifact.view();
  const Audit receipt_audit = audit(receipt_text, artifact, {});
  if (const Check* failure = receipt_audit.report.failure()) {
    return fail(ErrorKind::kReject, "the receipt is wrong: " + failure->detail,
                std::string(name_of(*failure->reject)));
  }
  const protocol::Receipt& receipt = *receipt_audit.receipt;
  if (auto provable = zk::check_provable(receipt.request.request.sampling); !provable) {
    return fail(ErrorKind::kUsage, provable.error().message);
  }
  const zk::Job job = job_of(receipt, model);
  OTR_TRY(check_memory(least_circuit(job), artifact, options, "at least"));
  engine::Pool pool(options.threads);
  if (options.on_stage) OTR_TRY(options.on_stage("computing", 0));
  OTR_TRY_ASSIGN(prover::Witness witness, prover::make_witness(model, job.sampling, job.noise,
                                                               job.prompt, job.output, pool));
  if (trace_root_of(receipt, witness.rows, model.shape) != receipt.claim.trace_root) {
    return fail(ErrorKind::kReject,
                "the claim is false, so it has no proof: recomputed, the answer has another trace",
                std::string(name_of(Reject::kTraceRootMismatch)));
  }
  OTR_TRY(check_memory(witness.circuit, artifact, options, "about"));
  OTR_TRY_ASSIGN(const prover::ProofBytes proof,
                 prover::prove_pass(statement_of(receipt, artifact, options.beacon), job,
                                    std::move(witness), pool, {.on_stage = options.on_stage}));
  Bytes file;
  append(file, as_bytes(kMagic));
  append_le(file, kVersion);
  append_part(file, as_bytes(receipt_text));
  append(file, options.beacon);
  append_part(file, proof.rows);
  append_part(file, proof.scalars);
  append_part(file, proof.argument);
  if (file.size() > kMaxProofBytes) {
    return fail(ErrorKind::kUsage, "the proof would be longer than 1 GiB: prove a shorter answer");
  }
  return file;
}

Result<std::uint64_t> work_of_proof(const protocol::Receipt& receipt,
                                    const model::Artifact& artifact, const ProveOptions& options) {
  const machine::Shape& shape = artifact.view().shape;
  const std::uint64_t tokens = std::uint64_t{receipt.prompt_ids.size()} + receipt.output_ids.size();
  if (receipt.prompt_ids.empty() || receipt.output_ids.empty() || tokens > shape.context) {
    return fail(ErrorKind::kUsage,
                "an answer without tokens, or longer than the model's context, "
                "has no proof");
  }
  OTR_TRY(zk::check_provable(receipt.request.request.sampling));
  const zk::Circuit circuit = least_circuit(job_of(receipt, artifact.view()));
  OTR_TRY(zk::check_size(circuit, std::nullopt));
  OTR_TRY(check_memory(circuit, artifact, options, "at least"));
  std::uint64_t work = tokens * artifact.file().size() / 4096;
  for (const zk::Domain& domain : circuit.domains) {
    work += domain.lookups.size() * circuit.cells(domain.dims);
  }
  for (const zk::TableTag tag : circuit.tables) work += zk::table_rows(tag);
  return work;
}

ProofAudit audit_proof(ByteView proof, const model::Artifact& artifact) {
  ProofAudit result;
  const auto push = [&](std::string_view name, const Status& status) {
    result.audit.report.checks.push_back(check_of(name, status));
    result.audit.proof_failed = !status.has_value();
    return status.has_value();
  };
  const Result<ProofFile> file = parse_file(proof);
  if (!file) {
    push("the file is a proof", std::unexpected(file.error()));
    return result;
  }
  result.audit = audit(file->receipt, artifact, {});
  result.beacon = file->beacon;
  if (result.audit.failed()) return result;
  const protocol::Receipt& receipt = *result.audit.receipt;
  const machine::Model& model = artifact.view();
  if (!push("trace root of the rows in the proof", check_rows(receipt, file->parts, model.shape))) {
    return result;
  }
  const zk::Statement statement = statement_of(receipt, artifact, file->beacon);
  result.audit.proven = push("proof of every position, layer and choice",
                             zk::verify_pass(statement, job_of(receipt, model), file->parts));
  return result;
}

}  // namespace otr::node
