// AWS Nitro attestation documents made on the spot under a root of our own, for tests alone (TESTS
// in CMakeLists.txt), and the CBOR that they are made of.
#ifndef OTR_ATTEST_TEST_NITRO_H_
#define OTR_ATTEST_TEST_NITRO_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "attest/nitro.h"
#include "attest/test_certificates.h"

namespace otr::attest::test {

// CBOR, in its shortest form.
[[nodiscard]] Bytes cbor_head(unsigned major, std::uint64_t value);
[[nodiscard]] Bytes cbor_number(std::uint64_t value);
[[nodiscard]] Bytes cbor_bytes(ByteView bytes);
[[nodiscard]] Bytes cbor_text(std::string_view text);
[[nodiscard]] Bytes cbor_array(const std::vector<Bytes>& items);
[[nodiscard]] Bytes cbor_map(const std::vector<std::pair<Bytes, Bytes>>& entries);
[[nodiscard]] Bytes cbor_null();

struct NitroRoots {
  Authority root, region, leaf;  // the leaf lives for three hours around kTestNow

  [[nodiscard]] static const NitroRoots& get();
  [[nodiscard]] static NitroRoots make();  // new keys under the same names
};

// The members of a document in AWS's order; a test changes them before they are signed.
using NitroMembers = std::vector<std::pair<std::string, Bytes>>;
[[nodiscard]] NitroMembers nitro_members(const NitroRoots& roots);
// The value of a member, which must be there.
[[nodiscard]] Bytes& member(NitroMembers& members, std::string_view name);
[[nodiscard]] Bytes nitro_pcrs(const std::vector<Bytes>& values);
[[nodiscard]] Bytes nitro_pcr(unsigned index);  // 48 bytes: what nitro_members puts there

// A payload of these members, as a map of indefinite length like AWS's.
[[nodiscard]] Bytes nitro_payload(const NitroMembers& members);
[[nodiscard]] Bytes signed_nitro(const Bytes& payload, const SigningKey& key);
[[nodiscard]] Bytes make_nitro(const NitroMembers& members, const NitroRoots& roots);

// Allows what nitro_members makes.
[[nodiscard]] Policy nitro_test_policy();
// All three stages, a failure of parsing included.
[[nodiscard]] Verdict judge_nitro(ByteView document, std::span<const Certificate> anchors,
                                  const Policy& policy, Time at, const Expected& expected = {});

}  // namespace otr::attest::test

#endif  // OTR_ATTEST_TEST_NITRO_H_
