// Curve and hash are libsodium's, of which no call below needs sodium_init(): none asks for entropy
// or picks an instruction set. The numbered steps are those of RFC 9381, section 5.
#include "crypto/ecvrf.h"

#include <sodium.h>

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "base/check.h"

namespace otr::crypto {
namespace {

using Point = std::array<std::uint8_t, 32>;
using Scalar = std::array<std::uint8_t, 32>;  // little-endian
using Digest = std::array<std::uint8_t, 64>;

constexpr std::uint8_t kSuite = 0x03;
constexpr std::uint8_t kEncodeToCurve = 0x01;
constexpr std::uint8_t kChallenge = 0x02;
constexpr std::uint8_t kProofToHash = 0x03;
constexpr std::uint8_t kBack = 0x00;  // ends the input of all three
constexpr std::size_t kChallengeBytes = 16;

// The order of the prime subgroup, 2^252 + 27742317777372353535851937790883648493.
constexpr Scalar kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                           0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                           0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
constexpr Point kIdentity = {1};

ByteView byte(const std::uint8_t& value) { return {&value, 1}; }

Digest sha512(std::initializer_list<ByteView> parts) {
  crypto_hash_sha512_state state;
  crypto_hash_sha512_init(&state);
  for (const ByteView part : parts) crypto_hash_sha512_update(&state, part.data(), part.size());
  Digest digest;
  crypto_hash_sha512_final(&state, digest.data());
  return digest;
}

bool is_below_order(const Scalar& scalar) {
  return std::lexicographical_compare(scalar.rbegin(), scalar.rend(), kOrder.rbegin(),
                                      kOrder.rend());
}

// y below p = 2^255 - 19, and no sign where x is zero: RFC 8032, section 5.1.3, which libsodium's
// decoding of points outside the prime subgroup does not check.
bool is_canonical(Point point) {
  const bool is_negative = (point.back() & 0x80) != 0;
  point.back() &= 0x7f;
  const bool is_high = point.back() == 0x7f && std::all_of(point.begin() + 1, point.end() - 1,
                                                           [](auto b) { return b == 0xff; });
  if (is_high && point[0] >= 0xed) return false;
  const bool has_no_x = point == kIdentity || (is_high && point[0] == 0xec);  // y is 1 or -1
  return !(has_no_x && is_negative);
}

// Nothing where the bytes are no point.
std::optional<Point> clear_cofactor(Point point) {
  if (!is_canonical(point)) return std::nullopt;
  for (int i = 0; i < 3; ++i) {
    if (crypto_core_ed25519_add(point.data(), point.data(), point.data()) != 0) return std::nullopt;
  }
  return point;
}

// Section 5.4.1.1: each hash is a point in one of two cases. Nobody finds an alpha of which 256 are
// not.
std::optional<Point> encode_to_curve(ByteView public_key, ByteView alpha) {
  for (unsigned counter = 0; counter < 256; ++counter) {
    const auto counter_byte = static_cast<std::uint8_t>(counter);
    const Digest hash = sha512(
        {byte(kSuite), byte(kEncodeToCurve), public_key, alpha, byte(counter_byte), byte(kBack)});
    Point candidate;
    std::copy_n(hash.begin(), candidate.size(), candidate.begin());
    const std::optional<Point> point = clear_cofactor(candidate);
    if (point && *point != kIdentity) return point;
  }
  return std::nullopt;
}

// Section 5.4.3: a number of 16 bytes, as a scalar.
Scalar challenge(std::initializer_list<ByteView> points) {
  Bytes joined;
  for (const ByteView point : points) append(joined, point);
  const Digest hash = sha512({byte(kSuite), byte(kChallenge), joined, byte(kBack)});
  Scalar c{};
  std::copy_n(hash.begin(), kChallengeBytes, c.begin());
  return c;
}

// Section 5.2, steps 5 and 6.
VrfHash hash_of(const Point& gamma) {
  const std::optional<Point> cleared = clear_cofactor(gamma);
  OTR_CHECK(cleared.has_value());  // the caller has decoded it
  return sha512({byte(kSuite), byte(kProofToHash), *cleared, byte(kBack)});
}

// RFC 8032, section 5.1.5: the scalar, and behind it what nonces are made of.
Secret<64> expand(ByteView seed) {
  Secret<64> expanded;
  crypto_hash_sha512(expanded.writable().data(), seed.data(), seed.size());
  expanded.writable()[0] &= 0xf8;
  expanded.writable()[31] &= 0x7f;
  expanded.writable()[31] |= 0x40;
  return expanded;
}

VrfPublic public_of(const Secret<64>& expanded) {
  VrfPublic made;
  OTR_CHECK(crypto_scalarmult_ed25519_base_noclamp(made.data(), expanded.bytes().data()) == 0);
  return made;
}

struct Parts {
  Point gamma;
  Scalar c{}, s;
};

Parts split(ByteView proof) {
  Parts parts;
  std::copy_n(proof.begin(), 32, parts.gamma.begin());
  std::copy_n(proof.begin() + 32, kChallengeBytes, parts.c.begin());
  std::copy_n(proof.begin() + 48, 32, parts.s.begin());
  return parts;
}

// s * point - c * other, or nothing where a product is the identity, which no honest proof needs.
std::optional<Point> combine(const Scalar& s, const std::optional<Point>& point, const Scalar& c,
                             const Point& other) {
  Point left, right;
  const int failed = point ? crypto_scalarmult_ed25519_noclamp(left.data(), s.data(), point->data())
                           : crypto_scalarmult_ed25519_base_noclamp(left.data(), s.data());
  if (failed != 0) return std::nullopt;
  if (crypto_scalarmult_ed25519_noclamp(right.data(), c.data(), other.data()) != 0 ||
      crypto_core_ed25519_sub(left.data(), left.data(), right.data()) != 0) {
    return std::nullopt;
  }
  return left;
}

}  // namespace

VrfPublic VrfKey::public_key() const { return public_of(expand(seed_.bytes())); }

// Section 5.1.
VrfProof VrfKey::prove(ByteView alpha) const {
  const Secret<64> expanded = expand(seed_.bytes());
  const ByteView x = expanded.bytes().first(32);
  const VrfPublic own = public_of(expanded);
  const std::optional<Point> h = encode_to_curve(own, alpha);
  OTR_CHECK(h.has_value());
  Point gamma;
  OTR_CHECK(crypto_scalarmult_ed25519_noclamp(gamma.data(), x.data(), h->data()) == 0);

  // Section 5.4.2.2: the nonce. Whoever learns it has the key.
  Secret<64> long_nonce;
  crypto_hash_sha512_state state;
  crypto_hash_sha512_init(&state);
  crypto_hash_sha512_update(&state, expanded.bytes().data() + 32, 32);
  crypto_hash_sha512_update(&state, h->data(), h->size());
  crypto_hash_sha512_final(&state, long_nonce.writable().data());
  sodium_memzero(&state, sizeof state);
  Secret<32> k;
  crypto_core_ed25519_scalar_reduce(k.writable().data(), long_nonce.bytes().data());

  Point u, v;
  OTR_CHECK(crypto_scalarmult_ed25519_base_noclamp(u.data(), k.bytes().data()) == 0);
  OTR_CHECK(crypto_scalarmult_ed25519_noclamp(v.data(), k.bytes().data(), h->data()) == 0);
  const Scalar c = challenge({own, *h, gamma, u, v});
  Secret<32> product;
  crypto_core_ed25519_scalar_mul(product.writable().data(), c.data(), x.data());
  Scalar s;
  crypto_core_ed25519_scalar_add(s.data(), k.bytes().data(), product.bytes().data());

  VrfProof proof;
  std::copy(gamma.begin(), gamma.end(), proof.begin());
  std::copy_n(c.begin(), kChallengeBytes, proof.begin() + 32);
  std::copy(s.begin(), s.end(), proof.begin() + 48);
  return proof;
}

VrfHash VrfKey::hash(const VrfProof& proof) const { return hash_of(split(proof).gamma); }

// Section 5.3.
Result<VrfHash> vrf_verify(ByteView public_key, ByteView alpha, ByteView proof) {
  if (public_key.size() != 32 || proof.size() != 80) {
    return fail(ErrorKind::kReject, "VRF: a public key has 32 bytes and a proof 80, these have " +
                                        std::to_string(public_key.size()) + " and " +
                                        std::to_string(proof.size()) + ".");
  }
  Point y;
  std::copy(public_key.begin(), public_key.end(), y.begin());
  if (!is_canonical(y) || crypto_core_ed25519_is_valid_point(y.data()) != 1) {
    return fail(ErrorKind::kReject, "VRF: the public key is no point of the prime order.");
  }
  const Parts parts = split(proof);
  if (!is_canonical(parts.gamma) || crypto_core_ed25519_is_valid_point(parts.gamma.data()) != 1) {
    return fail(ErrorKind::kReject, "VRF: gamma of the proof is no point of the prime order.");
  }
  if (!is_below_order(parts.s)) {
    return fail(ErrorKind::kReject, "VRF: s of the proof is not below the order.");
  }
  const std::optional<Point> h = encode_to_curve(public_key, alpha);
  if (h) {
    const auto u = combine(parts.s, std::nullopt, parts.c, y);
    const auto v = combine(parts.s, h, parts.c, parts.gamma);
    if (u && v && challenge({public_key, *h, parts.gamma, *u, *v}) == parts.c) {
      return hash_of(parts.gamma);
    }
  }
  return fail(ErrorKind::kReject, "VRF: the proof does not belong to this key and input.");
}

}  // namespace otr::crypto
