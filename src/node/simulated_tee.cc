#include "node/simulated_tee.h"

#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <strings.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "attest/encoding.h"
#include "attest/simulated.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/random.h"
#include "node/keys.h"

namespace otr::node {
namespace {

constexpr std::int64_t kSkewSeconds = 3600, kLifeSeconds = 10LL * 365 * 86400;
constexpr std::size_t kMaxIdentityBytes = 16 << 10, kScalarBytes = 48;

using Key = std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* key) { EVP_PKEY_free(key); })>;
using X509Pointer = std::unique_ptr<X509, decltype([](X509* one) { X509_free(one); })>;

std::unexpected<Error> openssl_error(const char* what) {
  return fail(ErrorKind::kIo, std::string("simulated TEE: OpenSSL cannot ") + what);
}

// What i2d_… of OpenSSL writes; empty if it fails.
template <class Write, class Object>
Bytes der_of(Write write, Object* object) {
  const int size = write(object, nullptr);
  if (size <= 0) return {};
  Bytes der(static_cast<std::size_t>(size));
  unsigned char* to = der.data();
  return write(object, &to) == size ? der : Bytes();
}

bool set_name(X509* certificate, const std::string& name, X509_NAME* (*field)(const X509*)) {
  return X509_NAME_add_entry_by_txt(field(certificate), "CN", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

bool add_extension(X509* certificate, int kind, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
  const bool added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

struct Names {
  std::string subject, issuer;
};

// A certificate for `key`, signed by `issuer_key`; the root is issued by itself.
Result<Bytes> make_certificate(const Names& names, EVP_PKEY* key, EVP_PKEY* issuer_key) {
  const bool root = key == issuer_key;
  OTR_TRY_ASSIGN(Hash serial, env::random_32_bytes());
  serial[0] = static_cast<std::uint8_t>((serial[0] & 0x3f) |
                                        0x40);  // positive, and of the same length always
  const X509Pointer certificate(X509_new());
  BIGNUM* number = BN_bin2bn(serial.data(), 16, nullptr);
  const std::int64_t now = env::unix_seconds();
  const bool made =
      certificate != nullptr && number != nullptr &&
      X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
      BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get())) != nullptr &&
      set_name(certificate.get(), names.subject, X509_get_subject_name) &&
      set_name(certificate.get(), names.issuer, X509_get_issuer_name) &&
      ASN1_TIME_set(X509_getm_notBefore(certificate.get()), now - kSkewSeconds) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), now + kLifeSeconds) != nullptr &&
      X509_set_pubkey(certificate.get(), key) == 1 &&
      add_extension(certificate.get(), NID_basic_constraints,
                    root ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") &&
      add_extension(certificate.get(), NID_key_usage,
                    root ? "critical,keyCertSign" : "critical,digitalSignature") &&
      X509_sign(certificate.get(), issuer_key, EVP_sha384()) > 0;
  BN_free(number);
  Bytes der = made ? der_of(i2d_X509, certificate.get()) : Bytes();
  if (der.empty()) return openssl_error("make a certificate");
  return der;
}

void append_part(Bytes& to, ByteView part) {
  append_le(to, static_cast<std::uint32_t>(part.size()));
  append(to, part);
}

// Key of the leaf, leaf and root, each with its length before it.
Result<Bytes> make_identity() {
  const Key root_key(EVP_EC_gen("P-384")), leaf_key(EVP_EC_gen("P-384"));
  if (root_key == nullptr || leaf_key == nullptr) return openssl_error("make a key");
  OTR_TRY_ASSIGN(const Hash tag, env::random_32_bytes());
  const std::string name(attest::kSimulatedName);
  // Installations differ in name, so that a person can tell their roots apart.
  const std::string root_name = name + " root " + attest::to_plain_hex(ByteView(tag).first(4));
  OTR_TRY_ASSIGN(const Bytes root, make_certificate({.subject = root_name, .issuer = root_name},
                                                    root_key.get(), root_key.get()));
  OTR_TRY_ASSIGN(const Bytes leaf,
                 make_certificate({.subject = name + " leaf", .issuer = root_name}, leaf_key.get(),
                                  root_key.get()));
  Bytes key = der_of(i2d_PrivateKey, leaf_key.get());
  if (key.empty()) return openssl_error("write a key");
  Bytes identity;
  append_part(identity, key);
  ::explicit_bzero(key.data(), key.size());
  append_part(identity, leaf);
  append_part(identity, root);
  return identity;
}

// Makes the file unless it is there. The new one is linked into its place whole, so that of several
// processes the first decides and nobody reads a part.
Status make_file(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return {};
  OTR_TRY_ASSIGN(Bytes identity, make_identity());
  OTR_TRY_ASSIGN(const Hash tag, env::random_32_bytes());
  std::filesystem::path fresh = path;
  fresh += "." + attest::to_plain_hex(ByteView(tag).first(8));
  const Status written = env::write_file_atomically(fresh, identity, 0600);
  ::explicit_bzero(identity.data(), identity.size());
  OTR_TRY(written);
  std::filesystem::create_hard_link(fresh, path, error);
  std::error_code ignored;
  std::filesystem::remove(fresh, ignored);
  if (error && error != std::errc::file_exists) {
    return fail(ErrorKind::kIo, path.string() + ": cannot make the file: " + error.message());
  }
  return {};
}

std::unexpected<Error> damaged(const std::filesystem::path& path, const std::string& why) {
  return fail(ErrorKind::kBadInput, path.string() + ": " + why +
                                        "; move it away to make a new simulated TEE, whose root "
                                        "policies must then name");
}

}  // namespace

struct SimulatedTee::State {
  Key key;
  Bytes leaf, root;
  Hash root_hash{};
  Measurement measurement{};
};

SimulatedTee::SimulatedTee(std::unique_ptr<State> state) : state_(std::move(state)) {}
SimulatedTee::~SimulatedTee() = default;

Result<std::unique_ptr<SimulatedTee>> SimulatedTee::open(const SimulatedOptions& options) {
  if (const auto home = Home::open(options.folder); !home) return std::unexpected(home.error());
  const std::filesystem::path path = options.folder / "simulated-tee.identity";
  OTR_TRY(make_file(path));
  OTR_TRY_ASSIGN(Bytes identity, env::read_file(path, kMaxIdentityBytes));
  std::array<ByteView, 3> parts;
  ByteView rest(identity);
  for (ByteView& part : parts) {
    const std::size_t size = rest.size() < 4 ? SIZE_MAX : load_le<std::uint32_t>(rest.data());
    if (size > rest.size() - std::min<std::size_t>(rest.size(), 4)) {
      return damaged(path, "it is cut short");
    }
    part = rest.subspan(4, size);
    rest = rest.subspan(4 + size);
  }
  if (!rest.empty()) return damaged(path, "bytes follow its end");
  auto state = std::make_unique<State>();
  const unsigned char* from = parts[0].data();
  state->key.reset(d2i_AutoPrivateKey(nullptr, &from, static_cast<long>(parts[0].size())));
  state->leaf.assign(parts[1].begin(), parts[1].end());
  state->root.assign(parts[2].begin(), parts[2].end());
  ::explicit_bzero(identity.data(), identity.size());
  const auto leaf = attest::Certificate::from_der(state->leaf);
  const auto root = attest::Certificate::from_der(state->root);
  if (state->key == nullptr || !leaf || !root) {
    return damaged(path, "it does not hold a key and two certificates");
  }
  const auto key = attest::PublicKey::from_der(der_of(i2d_PUBKEY, state->key.get()));
  if (!key || !key->is_ec(384) || !(*key == leaf->key()) || !leaf->is_issued_by(*root) ||
      !root->subject_common_name().starts_with(attest::kSimulatedName)) {
    return damaged(path, "key, leaf and root do not belong together");
  }
  state->root_hash = root->fingerprint();
  state->measurement = options.measurement;
  return std::unique_ptr<SimulatedTee>(new SimulatedTee(std::move(state)));
}

Hash SimulatedTee::root_hash() const { return state_->root_hash; }

Result<CollectedEvidence> SimulatedTee::collect(const ReportData& report_data) {
  Bytes report;
  append(report, as_bytes(attest::kSimulatedMagic));
  append(report, state_->measurement);
  append(report, report_data);
  const std::unique_ptr<EVP_MD_CTX, decltype([](EVP_MD_CTX* one) { EVP_MD_CTX_free(one); })>
      context(EVP_MD_CTX_new());
  std::size_t size = 0;
  Bytes der;
  bool good =
      context != nullptr &&
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha384(), nullptr, state_->key.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, report.data(), report.size()) == 1;
  if (good) {
    der.resize(size);
    good = EVP_DigestSign(context.get(), der.data(), &size, report.data(), report.size()) == 1;
  }
  const unsigned char* from = der.data();
  const std::unique_ptr<ECDSA_SIG, decltype([](ECDSA_SIG* one) { ECDSA_SIG_free(one); })> signature(
      good ? d2i_ECDSA_SIG(nullptr, &from, static_cast<long>(size)) : nullptr);
  std::array<std::uint8_t, 2 * kScalarBytes> r_s{};
  good =
      signature != nullptr &&
      BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), r_s.data(), kScalarBytes) > 0 &&
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), r_s.data() + kScalarBytes, kScalarBytes) > 0;
  if (!good) return openssl_error("sign a report");
  append(report, r_s);
  append_part(report, state_->leaf);
  append_part(report, state_->root);
  return CollectedEvidence{.kind = "simulated", .report = std::move(report)};
}

}  // namespace otr::node
