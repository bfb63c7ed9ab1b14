#include "protocol/request.h"

#include <algorithm>

#include "base/hex.h"
#include "crypto/sha256.h"
#include "protocol/claim.h"
#include "protocol/eip712.h"
#include "protocol/fields.h"

namespace otr::protocol {
namespace {

constexpr std::string_view kSamplingType =
    "Sampling(uint32 invT,uint32 topK,uint32 topP,uint32 minP,int32 presence,int32 frequency,"
    "bytes32 seed)";
constexpr std::string_view kLogitBiasType = "LogitBias(uint32 id,int32 value)";
constexpr std::string_view kRequestType =
    "Request(bytes32 taskId,bytes32 modelRoot,bytes32 promptRoot,uint32 promptCount,"
    "uint32 maxTokens,Sampling sampling,LogitBias[] logitBias,string[] stop,uint256 price,"
    "uint8 mode,uint64 deadline)";

constexpr std::uint32_t kOne = 65536;  // 1.0 of top_p and min_p

std::unexpected<Error> invalid(std::string message) {
  return fail(ErrorKind::kReject, "request." + std::move(message), "REQUEST_INVALID");
}

Hash hash_of(const machine::Sampling& sampling) {
  return StructHasher(kSamplingType)
      .number(sampling.inv_t)
      .number(sampling.top_k)
      .number(sampling.top_p)
      .number(sampling.min_p)
      .number(sampling.presence)
      .number(sampling.frequency)
      .word(sampling.seed)
      .finish();
}

std::vector<Hash> hashes_of(std::span<const machine::LogitBias> biases) {
  std::vector<Hash> hashes;
  for (const machine::LogitBias& bias : biases) {
    hashes.push_back(StructHasher(kLogitBiasType).number(bias.id).number(bias.value).finish());
  }
  return hashes;
}

Status check_logit_bias(std::span<const machine::LogitBias> biases) {
  if (biases.size() > machine::kMaxLogitBiases) {
    return invalid("logit_bias has more than 300 pairs.");
  }
  for (const auto& [id, value] : biases) {
    if (value == 0 || value < -machine::kMaxLogitBias || value > machine::kMaxLogitBias) {
      return invalid("logit_bias of id " + std::to_string(id) +
                     " must be from -100·2^16 to 100·2^16 and not 0.");
    }
  }
  if (std::ranges::adjacent_find(biases, std::greater_equal(), &machine::LogitBias::id) !=
      biases.end()) {
    return invalid("logit_bias must have ascending ids without repetition.");
  }
  return {};
}

// SPEC chapter 7, the ranges before SAMP-1.
Status check_sampling(const machine::Sampling& sampling) {
  const auto penalty = [](std::int32_t value) {
    return value >= -machine::kMaxPenalty && value <= machine::kMaxPenalty;
  };
  if (sampling.inv_t > machine::kMaxInvT) return invalid("sampling.inv_t must be at most 2^24.");
  if (sampling.top_p < 1 || sampling.top_p > kOne) {
    return invalid("sampling.top_p must be from 1 to 65536.");
  }
  if (sampling.min_p > kOne) return invalid("sampling.min_p must be at most 65536.");
  if (!penalty(sampling.presence)) {
    return invalid("sampling.presence must be from -2^20 to 2^20.");
  }
  if (!penalty(sampling.frequency)) {
    return invalid("sampling.frequency must be from -2^20 to 2^20.");
  }
  return check_logit_bias(sampling.logit_bias);
}

machine::Sampling decode_sampling(const Fields& fields, const Fields& request) {
  std::vector<machine::LogitBias> logit_bias;
  for (const auto& [id, value] : request.pairs("logit_bias")) logit_bias.push_back({id, value});
  return {.inv_t = fields.number<std::uint32_t>("inv_t"),
          .top_k = fields.number<std::uint32_t>("top_k"),
          .top_p = fields.number<std::uint32_t>("top_p"),
          .min_p = fields.number<std::uint32_t>("min_p"),
          .presence = fields.number<std::int32_t>("presence"),
          .frequency = fields.number<std::int32_t>("frequency"),
          .seed = fields.bytes<32>("seed"),
          .logit_bias = logit_bias};
}

Json encode_logit_bias(std::span<const machine::LogitBias> biases) {
  Json list = Json::array();
  for (const auto& [id, value] : biases) list.push_back(Json::array({id, value}));
  return list;
}

}  // namespace

Hash task_id(const crypto::Address& client, std::uint64_t counter) {
  std::array<std::uint8_t, 8> bytes;
  store_le(bytes.data(), counter);
  return crypto::sha256({as_bytes("OTR.task"), client, bytes});
}

Hash seed_of_answer(const Hash& seed, std::uint32_t i) {
  if (i == 0) return seed;
  std::array<std::uint8_t, 4> bytes;
  store_le(bytes.data(), i);
  return crypto::sha256({as_bytes("OTR.seed"), seed, bytes});
}

Hash struct_hash(const Request& request) {
  // EIP-712: the types a struct refers to follow it in the order of their names.
  return StructHasher(std::string(kRequestType) + std::string(kLogitBiasType) +
                      std::string(kSamplingType))
      .word(request.task_id)
      .word(request.model_root)
      .word(request.prompt_root)
      .number(request.prompt_count)
      .number(request.max_tokens)
      .word(hash_of(request.sampling))
      .structs(hashes_of(request.sampling.logit_bias))
      .strings(request.stop)
      .word(request.price)
      .number(request.mode)
      .number(request.deadline)
      .finish();
}

Hash digest_of(const Request& request, const Hash& ledger) {
  return signing_digest(ledger, struct_hash(request));
}

trace::TraceHeader trace_header(const Request& request, const Hash& spec_hash,
                                std::uint32_t out_count) {
  return {.spec_hash = spec_hash,
          .model_root = request.model_root,
          .prompt_count = request.prompt_count,
          .out_count = out_count,
          .mode = static_cast<trace::Privacy>(request.mode),
          .sampling = request.sampling};
}

Status check_ranges(const Request& request) {
  if (request.prompt_count < 1) return invalid("prompt must have at least one id.");
  if (request.max_tokens < 1) return invalid("max_tokens must be at least 1.");
  OTR_TRY(check_sampling(request.sampling));
  if (request.mode > 1) return invalid("mode must be 0 (public) or 1 (sealed).");
  if (request.stop.size() > kMaxStopStrings) return invalid("stop has more than 4 strings.");
  for (const std::string& stop : request.stop) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      return invalid("stop must hold strings of 1 to 64 bytes.");
    }
  }
  // std::string compares its characters as unsigned bytes.
  if (std::ranges::adjacent_find(request.stop, std::greater_equal()) != request.stop.end()) {
    return invalid("stop must be ascending and without repetition.");
  }
  return {};
}

Status check_ranges_of_model(const Request& request, std::span<const std::uint32_t> prompt_ids,
                             const machine::Shape& shape) {
  if (request.prompt_count >= shape.context) {
    return invalid("prompt must be shorter than the model's context of " +
                   std::to_string(shape.context) + ".");
  }
  if (request.max_tokens > shape.context) {
    return invalid("max_tokens must be at most the model's context of " +
                   std::to_string(shape.context) + ".");
  }
  if (request.sampling.top_k > shape.vocabulary) {
    return invalid("sampling.top_k must be at most the model's vocabulary of " +
                   std::to_string(shape.vocabulary) + ".");
  }
  // Ascending, so the last is the greatest.
  if (const auto& biases = request.sampling.logit_bias;
      !biases.empty() && biases.back().id >= shape.vocabulary) {
    return invalid("logit_bias has the id " + std::to_string(biases.back().id) +
                   ", which is not in the model's vocabulary of " +
                   std::to_string(shape.vocabulary) + ".");
  }
  const auto known = [&](std::uint32_t id) { return id < shape.vocabulary; };
  if (!std::ranges::all_of(prompt_ids, known)) {
    return invalid("prompt has an id that is not in the model's vocabulary.");
  }
  return {};
}

Json encode_request(const SignedRequest& signed_request) {
  const Request& request = signed_request.request;
  const machine::Sampling& sampling = request.sampling;
  return {{"client", to_hex(request.client)},
          {"counter", std::to_string(request.counter)},
          {"deadline", std::to_string(request.deadline)},
          {"logit_bias", encode_logit_bias(sampling.logit_bias)},
          {"max_tokens", request.max_tokens},
          {"mode", request.mode},
          {"model_root", to_hex(request.model_root)},
          {"price", to_decimal(request.price)},
          {"prompt_root", to_hex(request.prompt_root)},
          {"sampling",
           {{"frequency", sampling.frequency},
            {"inv_t", sampling.inv_t},
            {"min_p", sampling.min_p},
            {"presence", sampling.presence},
            {"seed", to_hex(sampling.seed)},
            {"top_k", sampling.top_k},
            {"top_p", sampling.top_p}}},
          {"signature", to_hex(signed_request.signature)},
          {"stop", request.stop},
          {"task_id", to_hex(request.task_id)}};
}

Result<SignedRequest> decode_request(const Json& object, std::string path,
                                     std::uint32_t prompt_count) {
  Status status;
  const Fields fields(
      object, std::move(path),
      {"client", "counter", "deadline", "logit_bias", "max_tokens", "mode", "model_root", "price",
       "prompt_root", "sampling", "signature", "stop", "task_id"},
      status);
  const Fields sampling = fields.object(
      "sampling", {"frequency", "inv_t", "min_p", "presence", "seed", "top_k", "top_p"});
  SignedRequest decoded = {.request = {.client = fields.bytes<20>("client"),
                                       .counter = fields.decimal64("counter"),
                                       .task_id = fields.bytes<32>("task_id"),
                                       .model_root = fields.bytes<32>("model_root"),
                                       .prompt_root = fields.bytes<32>("prompt_root"),
                                       .prompt_count = prompt_count,
                                       .max_tokens = fields.number<std::uint32_t>("max_tokens"),
                                       .sampling = decode_sampling(sampling, fields),
                                       .stop = fields.texts("stop"),
                                       .price = fields.decimal256("price"),
                                       .mode = fields.number<std::uint8_t>("mode"),
                                       .deadline = fields.decimal64("deadline")},
                           .signature = fields.bytes<65>("signature")};
  OTR_TRY(status);
  return decoded;
}

Status check_task_id(const Request& request) {
  if (request.task_id == task_id(request.client, request.counter)) return {};
  return fail(ErrorKind::kReject, "request.task_id is not that of its client and counter.",
              "TASK_ID_MISMATCH");
}

Status check_prompt_root(const Request& request, std::span<const std::uint32_t> prompt_ids) {
  if (request.prompt_root == trace::token_root(prompt_ids)) return {};
  return fail(ErrorKind::kReject, "request.prompt_root is not that of the prompt's ids.",
              "PROMPT_ROOT_MISMATCH");
}

Status check_signature(const SignedRequest& request, const Hash& ledger) {
  return check_signer(digest_of(request.request, ledger), request.signature, request.request.client,
                      "REQUEST_SIGNATURE");
}

Status check_request(const SignedRequest& request, const Hash& ledger,
                     std::span<const std::uint32_t> prompt_ids, const machine::Shape& shape,
                     const Hash& model_root) {
  OTR_TRY(check_ranges(request.request));
  if (request.request.prompt_count != prompt_ids.size()) {
    return invalid("prompt has another number of ids than was signed.");
  }
  OTR_TRY(check_task_id(request.request));
  OTR_TRY(check_prompt_root(request.request, prompt_ids));
  OTR_TRY(check_signature(request, ledger));
  if (request.request.model_root != model_root) {
    return fail(ErrorKind::kReject, "request.model_root names another model.",
                "MODEL_ROOT_MISMATCH");
  }
  return check_ranges_of_model(request.request, prompt_ids, shape);
}

}  // namespace otr::protocol
