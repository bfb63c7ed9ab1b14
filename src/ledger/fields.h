// One listing of a struct's members gives its bytes, its EIP-712 type and its digest (SPEC SET-2,
// SET-3, SET-6).
//
// A struct lists its members once, in order:
//   template <class V> void each(V& visit) { visit("to", to); visit("amount", amount); }
// and Encoder, Decoder and TypedHasher visit them. Integers are little-endian; byte strings and
// lists have a u32 length first. A decoder never allocates more than it was given.
#ifndef OTR_LEDGER_FIELDS_H_
#define OTR_LEDGER_FIELDS_H_

#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secp256k1.h"
#include "protocol/claim.h"
#include "protocol/request.h"
#include "protocol/session.h"

namespace otr::ledger {

using crypto::Address;
using crypto::Signature;

inline constexpr std::uint32_t kMaxPathHashes = 64;
inline constexpr std::uint32_t kMaxSignatures = 16;
inline constexpr std::uint32_t kMaxFieldBytes = (1u << 20) + (1u << 16);

// Members of the signed words of protocol, in the order of their types (SPEC SET-2).
template <class V>
void each_of(protocol::Claim& claim, V& visit) {
  visit("requestHash", claim.request_hash);
  visit("traceRoot", claim.trace_root);
  visit("promptCount", claim.prompt_count);
  visit("outCount", claim.out_count);
  visit("finishReason", claim.finish_reason);
  visit("session", claim.session);
  visit("checkpoint", claim.checkpoint);
  visit("checkpointHash", claim.checkpoint_hash);
}
template <class V>
void each_of(protocol::Session& session, V& visit) {
  visit("key", session.key);
  visit("sealKey", session.seal_key);
  visit("receiptKey", session.receipt_key);
  visit("operator", session.operator_address);
  visit("modelRoot", session.model_root);
  visit("specHash", session.spec_hash);
  visit("policy", session.policy);
  visit("runtime", session.runtime);
  visit("gpuEvidence", session.gpu_evidence);
  visit("beacon", session.beacon);
  visit("epoch", session.epoch);
  visit("notBefore", session.not_before);
  visit("expiry", session.expiry);
}

// Appends the bytes of what it visits.
class Encoder {
 public:
  template <class T>
  void operator()(std::string_view, const T& value) {
    put(value);
  }
  Bytes take() { return std::move(bytes_); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

  template <class T>
    requires std::integral<T> || std::is_enum_v<T>
  void put(T value) {
    if constexpr (std::is_enum_v<T>) {
      append_le(bytes_, static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_same_v<T, bool>) {
      bytes_.push_back(value ? 1 : 0);
    } else {
      append_le(bytes_, value);
    }
  }
  template <std::size_t kSize>
  void put(const std::array<std::uint8_t, kSize>& value) {
    append(bytes_, value);
  }
  void put(const Bytes& value) {
    put(static_cast<std::uint32_t>(value.size()));
    append(bytes_, value);
  }
  void put(const std::string& value) {
    put(static_cast<std::uint32_t>(value.size()));
    append(bytes_, as_bytes(value));
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) put(value);
  }
  template <class T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  template <class K, class T>
  void put(const std::map<K, T>& values) {
    put(static_cast<std::uint64_t>(values.size()));
    for (const auto& [key, value] : values) {
      put(key);
      put(value);
    }
  }
  template <class K>
  void put(const std::set<K>& values) {
    put(static_cast<std::uint64_t>(values.size()));
    for (const K& value : values) put(value);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& value) {
    put(value.first);
    put(value.second);
  }
  void put(const protocol::Request& request);
  void put(const protocol::Claim& claim) { each_of(const_cast<protocol::Claim&>(claim), *this); }
  void put(const protocol::Session& session) {
    each_of(const_cast<protocol::Session&>(session), *this);
  }
  // Any other struct lists its members.
  template <class T>
    requires std::is_class_v<T>
  void put(const T& value) {
    const_cast<T&>(value).each(*this);  // Encoder reads alone
  }

 private:
  Bytes bytes_;
};

// Reads the bytes of what it visits; after the first thing that does not fit it reads nothing.
class Decoder {
 public:
  explicit Decoder(ByteView bytes) : rest_(bytes), size_(bytes.size()) {}

  template <class T>
  void operator()(std::string_view name, T& value) {
    if (failed_.empty()) get(name, value);
  }
  // MALFORMED with the member and offset; also where bytes are left.
  [[nodiscard]] Status finish() const;
  [[nodiscard]] bool ok() const { return failed_.empty(); }

 private:
  ByteView take(std::string_view name, std::size_t size);
  std::uint32_t take_count(std::string_view name, std::uint32_t limit, std::size_t each_bytes);
  void refuse_field(std::string_view name, std::string_view why);

  template <std::integral T>
  void get(std::string_view name, T& value) {
    if (const ByteView bytes = take(name, sizeof value); !bytes.empty()) {
      value = load_le<T>(bytes.data());
    }
  }
  template <std::size_t kSize>
  void get(std::string_view name, std::array<std::uint8_t, kSize>& value) {
    const ByteView bytes = take(name, kSize);
    std::copy(bytes.begin(), bytes.end(), value.begin());
  }
  void get(std::string_view name, Bytes& value);
  void get(std::string_view name, std::vector<Hash>& values);
  void get(std::string_view name, std::vector<Address>& values);
  void get(std::string_view name, std::vector<Signature>& values);
  void get(std::string_view name, protocol::Request& request);
  void get(std::string_view, protocol::Claim& claim) { each_of(claim, *this); }
  void get(std::string_view, protocol::Session& session) { each_of(session, *this); }
  template <class T>
    requires std::is_class_v<T>
  void get(std::string_view, T& value) {
    value.each(*this);
  }

  ByteView rest_;
  std::size_t size_;
  std::string failed_;
};

// The EIP-712 hashStruct of what it visits, `nonce` first (SPEC SET-3).
class TypedHasher {
 public:
  TypedHasher(std::string_view name, std::uint64_t nonce) : type_(std::string(name) + "(") {
    (*this)("nonce", nonce);
  }

  template <std::unsigned_integral T>
  void operator()(std::string_view name, const T& value) {
    Hash word{};
    for (std::size_t i = 0; i < sizeof value; ++i) {
      word[31 - i] = static_cast<std::uint8_t>(value >> 8 * i);
    }
    member("uint" + std::to_string(8 * sizeof value), name, word);
  }
  void operator()(std::string_view name, const Address& value);
  void operator()(std::string_view name, const Hash& value) { member("bytes32", name, value); }
  void operator()(std::string_view name, const Signature& value);
  void operator()(std::string_view name, const Bytes& value);
  void operator()(std::string_view name, const std::vector<Hash>& values);
  void operator()(std::string_view name, const std::vector<Signature>& values);
  void operator()(std::string_view name, const protocol::Claim& value) {
    member("bytes32", name, protocol::struct_hash(value));
  }
  void operator()(std::string_view name, const protocol::Session& value) {
    member("bytes32", name, protocol::struct_hash(value));
  }
  void operator()(std::string_view name, const protocol::Request& value) {
    member("bytes32", name, protocol::struct_hash(value));
  }
  template <class T>
    requires requires(T& value, TypedHasher& visit) { value.each(visit); }
  void operator()(std::string_view, const T& value) {
    const_cast<T&>(value).each(*this);
  }

  [[nodiscard]] std::string type() const { return type_ + ")"; }
  [[nodiscard]] Hash finish() const;

 private:
  void member(std::string_view type, std::string_view name, const Hash& word);

  std::string type_;
  Bytes words_;
};

}  // namespace otr::ledger

#endif  // OTR_LEDGER_FIELDS_H_
