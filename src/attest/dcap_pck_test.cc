#include "attest/dcap_pck.h"

#include <gtest/gtest.h>

#include "attest/test_quotes.h"

namespace otr::attest {
namespace {

using test::Authority;
using test::KeyKind;
using test::PlatformSpec;

constexpr const char* kSgx = "1.2.840.113741.1.13.1";

class PckTest : public testing::Test {
 protected:
  Authority root = Authority::root("Root", KeyKind::kP256);

  Result<PckInfo> read(Bytes extension) {
    return read_pck(
        root.issue({.extensions = {{kSgx, std::move(extension)}}}, root.key).certificate);
  }
};

TEST_F(PckTest, ReadsWhatThePlatformIs) {
  PlatformSpec spec;
  spec.components[15] = 255;
  const auto info = read(test::sgx_extension(spec));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->ppid, spec.ppid);
  EXPECT_EQ(info->components, spec.components);
  EXPECT_EQ(info->pce_svn, 13);
  EXPECT_EQ(info->pce_id, spec.pce_id);
  EXPECT_EQ(info->fmspc, spec.fmspc);
  EXPECT_EQ(info->platform_instance, spec.platform_instance);
  EXPECT_EQ(info->sgx_type, 1);
  EXPECT_EQ(info->smt, true);
}

TEST_F(PckTest, RefusesWhatBreaksTheFormat) {
  EXPECT_FALSE(read_pck(root.certificate));  // no extension
  const auto spoiled = [&](auto spoil) {
    PlatformSpec spec;
    spoil(spec);
    return read(test::sgx_extension(spec));
  };
  EXPECT_TRUE(spoiled([](PlatformSpec&) {}));
  EXPECT_FALSE(spoiled([](PlatformSpec& spec) { spec.ppid.pop_back(); }));
  EXPECT_FALSE(spoiled([](PlatformSpec& spec) { spec.fmspc.push_back(0); }));
  EXPECT_FALSE(spoiled([](PlatformSpec& spec) { spec.pce_id.clear(); }));
  EXPECT_FALSE(spoiled([](PlatformSpec& spec) { spec.platform_instance.clear(); }));
  EXPECT_FALSE(spoiled([](PlatformSpec& spec) { spec.components[3] = 0x10000; }));
  EXPECT_FALSE(spoiled([](PlatformSpec& spec) { spec.pce_svn = 0x10000; }));
  const Bytes good = test::sgx_extension({});
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(read(longer));
  EXPECT_FALSE(read({}));
  // A member twice, of which readers differ in which counts.
  const Bytes again =
      test::sequence({test::oid(std::string(kSgx) + ".4"), test::octets(Bytes(6, 0x11))});
  const ByteView members = ByteView(good).subspan(4);  // after a tag and a length of three bytes
  ASSERT_EQ(good[1], 0x82);
  EXPECT_TRUE(read(test::tlv(0x30, members)));
  Bytes twice(members.begin(), members.end());
  append(twice, again);
  EXPECT_FALSE(read(test::tlv(0x30, twice)));
}

}  // namespace
}  // namespace otr::attest
