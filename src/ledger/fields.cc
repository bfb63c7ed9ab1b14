#include "ledger/fields.h"

#include <algorithm>

#include "crypto/keccak256.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

constexpr std::uint32_t kMaxBiases = 300;  // SPEC chapter 7

}  // namespace

void Encoder::put(const protocol::Request& request) {
  put(request.client);
  put(request.counter);
  put(request.model_root);
  put(request.prompt_root);
  put(request.prompt_count);
  put(request.max_tokens);
  const auto& sampling = request.sampling;
  put(sampling.inv_t);
  put(sampling.top_k);
  put(sampling.top_p);
  put(sampling.min_p);
  put(sampling.presence);
  put(sampling.frequency);
  put(sampling.seed);
  put(static_cast<std::uint32_t>(sampling.logit_bias.size()));
  for (const auto& bias : sampling.logit_bias) {
    put(bias.id);
    put(bias.value);
  }
  put(request.stop);
  put(request.price);
  put(request.mode);
  put(request.deadline);
}

void Decoder::refuse_field(std::string_view name, std::string_view why) {
  if (!failed_.empty()) return;
  failed_ = "The transaction's " + std::string(name) + " at byte " +
            std::to_string(size_ - rest_.size()) + " " + std::string(why) + ".";
}

ByteView Decoder::take(std::string_view name, std::size_t size) {
  if (!failed_.empty()) return {};
  if (size > rest_.size()) {
    refuse_field(name, "is cut off");
    return {};
  }
  const ByteView bytes = rest_.first(size);
  rest_ = rest_.subspan(size);
  return bytes;
}

std::uint32_t Decoder::take_count(std::string_view name, std::uint32_t limit,
                                  std::size_t each_bytes) {
  std::uint32_t count = 0;
  get(name, count);
  if (count > limit || count * each_bytes > rest_.size()) {
    refuse_field(name, "is longer than it may be or than the transaction");
    return 0;
  }
  return count;
}

void Decoder::get(std::string_view name, Bytes& value) {
  const ByteView bytes = take(name, take_count(name, kMaxFieldBytes, 1));
  value.assign(bytes.begin(), bytes.end());
}

void Decoder::get(std::string_view name, std::vector<Hash>& values) {
  values.resize(take_count(name, kMaxPathHashes, sizeof(Hash)));
  for (Hash& value : values) get(name, value);
}

void Decoder::get(std::string_view name, std::vector<Address>& values) {
  values.resize(take_count(name, kMaxSignatures, sizeof(Address)));
  for (Address& value : values) get(name, value);
}

void Decoder::get(std::string_view name, std::vector<Signature>& values) {
  values.resize(take_count(name, kMaxSignatures, sizeof(Signature)));
  for (Signature& value : values) get(name, value);
}

void Decoder::get(std::string_view name, protocol::Request& request) {
  get(name, request.client);
  get(name, request.counter);
  get(name, request.model_root);
  get(name, request.prompt_root);
  get(name, request.prompt_count);
  get(name, request.max_tokens);
  auto& sampling = request.sampling;
  get(name, sampling.inv_t);
  get(name, sampling.top_k);
  get(name, sampling.top_p);
  get(name, sampling.min_p);
  get(name, sampling.presence);
  get(name, sampling.frequency);
  get(name, sampling.seed);
  sampling.logit_bias.resize(take_count(name, kMaxBiases, 8));
  for (auto& bias : sampling.logit_bias) {
    get(name, bias.id);
    get(name, bias.value);
  }
  request.stop.resize(take_count(name, protocol::kMaxStopStrings, 4));
  for (std::string& stop : request.stop) {
    const ByteView bytes = take(name, take_count(name, protocol::kMaxStopBytes, 1));
    stop = as_text(bytes);
  }
  get(name, request.price);
  get(name, request.mode);
  get(name, request.deadline);
  request.task_id = protocol::task_id(request.client, request.counter);
}

Status Decoder::finish() const {
  if (!failed_.empty()) return fail(ErrorKind::kBadInput, failed_, "MALFORMED");
  if (rest_.empty()) return {};
  return fail(ErrorKind::kBadInput,
              "The transaction has " + std::to_string(rest_.size()) +
                  " bytes after its last member, at byte " + std::to_string(size_ - rest_.size()) +
                  ".",
              "MALFORMED");
}

void TypedHasher::member(std::string_view type, std::string_view name, const Hash& word) {
  if (!words_.empty()) type_ += ',';
  type_.append(type).append(" ").append(name);
  append(words_, word);
}

void TypedHasher::operator()(std::string_view name, const Address& value) {
  Hash word{};
  std::ranges::copy(value, word.begin() + 12);
  member("address", name, word);
}

void TypedHasher::operator()(std::string_view name, const Signature& value) {
  member("bytes", name, crypto::keccak256(value));
}

void TypedHasher::operator()(std::string_view name, const Bytes& value) {
  member("bytes", name, crypto::keccak256(value));
}

void TypedHasher::operator()(std::string_view name, const std::vector<Hash>& values) {
  Bytes joined;
  for (const Hash& value : values) append(joined, value);
  member("bytes32[]", name, crypto::keccak256(joined));
}

void TypedHasher::operator()(std::string_view name, const std::vector<Signature>& values) {
  Bytes joined;
  for (const Signature& value : values) append(joined, value);
  member("bytes", name, crypto::keccak256(joined));
}

Hash TypedHasher::finish() const {
  Bytes message;
  append(message, crypto::keccak256(as_bytes(type())));
  append(message, words_);
  return crypto::keccak256(message);
}

}  // namespace otr::ledger
