#include "ledger/transaction.h"

#include <array>
#include <utility>

#include "base/hex.h"
#include "crypto/keccak256.h"
#include "crypto/sha256.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

template <std::size_t... kIndex>
Body body_of(std::size_t index, std::index_sequence<kIndex...>) {
  using Make = Body (*)();
  static constexpr std::array<Make, sizeof...(kIndex)> kMakers = {
      +[]() -> Body { return std::variant_alternative_t<kIndex, Body>(); }...};
  return kMakers[index]();
}

TypedHasher typed(const Transaction& transaction) {
  TypedHasher hasher(name_of(transaction.body), transaction.nonce);
  std::visit([&](auto body) { body.each(hasher); }, transaction.body);
  return hasher;
}

class JsonVisitor {
 public:
  explicit JsonVisitor(Json& object) : object_(object) {}

  void operator()(std::string_view name, std::uint8_t value) { set(name, value); }
  void operator()(std::string_view name, std::uint32_t value) { set(name, value); }
  void operator()(std::string_view name, std::uint64_t value) { set(name, value); }
  template <std::size_t kSize>
  void operator()(std::string_view name, const std::array<std::uint8_t, kSize>& value) {
    set(name, to_hex(value));
  }
  void operator()(std::string_view name, const Bytes& value) {
    set(name, {{"bytes", value.size()}, {"sha256", to_hex(crypto::sha256(value))}});
  }
  template <class T>
  void operator()(std::string_view name, const std::vector<T>& values) {
    Json list = Json::array();
    for (const T& value : values) list.push_back(to_hex(value));
    set(name, std::move(list));
  }
  void operator()(std::string_view name, const protocol::Request& request) {
    set(name, {{"client", to_hex(request.client)},
               {"counter", std::to_string(request.counter)},
               {"struct_hash", to_hex(protocol::struct_hash(request))}});
  }
  void operator()(std::string_view name, protocol::Claim claim) { nested(name, claim); }
  void operator()(std::string_view name, protocol::Session session) { nested(name, session); }
  void operator()(std::string_view, Parameters parameters) { parameters.each(*this); }

 private:
  void set(std::string_view name, Json value) { object_[std::string(name)] = std::move(value); }
  template <class T>
  void nested(std::string_view name, T& value) {
    Json inner = Json::object();
    JsonVisitor visitor(inner);
    each_of(value, visitor);
    set(name, std::move(inner));
  }

  Json& object_;
};

}  // namespace

std::string_view name_of(const Body& body) {
  return std::visit([](const auto& one) { return one.kName; }, body);
}

std::string type_of(const Transaction& transaction) { return typed(transaction).type(); }

Hash digest_in_domain(const Transaction& transaction, const Hash& separator) {
  Bytes message = {0x19, 0x01};
  append(message, separator);
  append(message, typed(transaction).finish());
  return crypto::keccak256(message);
}

Hash digest_of(const Transaction& transaction, const Hash& ledger) {
  return digest_in_domain(transaction, protocol::domain_separator(ledger));
}

void sign(Transaction& transaction, const Hash& ledger, const crypto::PrivateKey& key) {
  transaction.signature = key.sign(digest_of(transaction, ledger));
}

Bytes encode(const Transaction& transaction) {
  Encoder encoder;
  encoder.put(transaction.kind());
  encoder.put(transaction.nonce);
  std::visit([&](auto body) { body.each(encoder); }, transaction.body);
  encoder.put(transaction.signature);
  return encoder.take();
}

Result<Transaction> decode_transaction(ByteView bytes) {
  if (bytes.size() > kMaxTransactionBytes) {
    return fail(ErrorKind::kBadInput,
                "The transaction has " + std::to_string(bytes.size()) + " bytes, at most " +
                    std::to_string(kMaxTransactionBytes) + " are taken.",
                "LIMIT_EXCEEDED");
  }
  Decoder decoder(bytes);
  Transaction transaction;
  std::uint8_t kind = 0;
  decoder("kind", kind);
  decoder("nonce", transaction.nonce);
  OTR_TRY(decoder.ok() ? Status() : decoder.finish());
  if (kind == 0 || kind > std::variant_size_v<Body>) {
    return fail(ErrorKind::kBadInput, "No transaction has the kind " + std::to_string(kind) + ".",
                "MALFORMED");
  }
  transaction.body = body_of(kind - 1u, std::make_index_sequence<std::variant_size_v<Body>>());
  std::visit([&](auto& body) { body.each(decoder); }, transaction.body);
  decoder("signature", transaction.signature);
  OTR_TRY(decoder.finish());
  return transaction;
}

Json to_json(const Transaction& transaction) {
  Json members = Json::object();
  JsonVisitor visitor(members);
  std::visit([&](auto body) { body.each(visitor); }, transaction.body);
  return {{"kind", name_of(transaction.body)},
          {"members", std::move(members)},
          {"nonce", transaction.nonce}};
}

}  // namespace otr::ledger
