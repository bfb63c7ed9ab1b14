#include "attest/anchors.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace otr::attest {
namespace {

std::string print_of(const Certificate& certificate) { return to_hex(certificate.fingerprint()); }

TEST(Anchors, AreTheCertificatesThatTheVendorsPublish) {
  const Anchors& anchors = vendor_anchors();
  ASSERT_EQ(anchors.intel.size(), 1);
  EXPECT_EQ(print_of(anchors.intel[0]),
            "0x44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3");
  ASSERT_EQ(anchors.amd.size(), 3);
  EXPECT_EQ(print_of(anchors.amd.at("Milan")),
            "0x69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd");
  EXPECT_EQ(print_of(anchors.amd.at("Genoa")),
            "0x4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1");
  EXPECT_EQ(print_of(anchors.amd.at("Turin")),
            "0x1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a");
  ASSERT_EQ(anchors.nvidia_device.size(), 1);
  EXPECT_EQ(print_of(anchors.nvidia_device[0]),
            "0x102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48");
  ASSERT_EQ(anchors.nvidia_rim.size(), 1);
  EXPECT_EQ(print_of(anchors.nvidia_rim[0]),
            "0x12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1");
  ASSERT_EQ(anchors.nvidia_nras.size(), 1);
  EXPECT_EQ(print_of(anchors.nvidia_nras[0]),
            "0x2df8907cf4d6c277b855d407ec178a649930a8e73f7294e8fce66e6ee27c5175");
  EXPECT_TRUE(anchors.nvidia_nras[0].is_ca());
  ASSERT_EQ(anchors.nitro.size(), 1);
  EXPECT_EQ(print_of(anchors.nitro[0]),
            "0x641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b");
}

TEST(Anchors, IntermediatesOfAmdAreIssuedByItsRoots) {
  const std::vector<std::string> prints = {
      "0x67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b",
      "0xc5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5",
      "0x5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521",
      "0x197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372",
      "0x5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185",
      "0x104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c"};
  const auto& intermediates = vendor_anchors().amd_intermediates;
  ASSERT_EQ(intermediates.size(), prints.size());
  for (std::size_t i = 0; i < prints.size(); ++i) {
    EXPECT_EQ(print_of(intermediates[i]), prints[i]);
    const char* product = i < 2 ? "Milan" : i < 4 ? "Genoa" : "Turin";
    EXPECT_TRUE(intermediates[i].is_issued_by(vendor_anchors().amd.at(product))) << i;
    const Certificate& other = vendor_anchors().amd.at(i < 2 ? "Genoa" : "Milan");
    EXPECT_FALSE(intermediates[i].is_issued_by(other)) << i;
  }
}

TEST(Anchors, IntermediatesOfIntelAreIssuedByItsRoot) {
  const Anchors& anchors = vendor_anchors();
  ASSERT_EQ(anchors.intel_intermediates.size(), 2);
  EXPECT_EQ(print_of(anchors.intel_intermediates[0]),
            "0xec37d98107bfb7dab6ff8de4d4dda6fde30a6f50b0d7b03eefb5652f1e652969");
  EXPECT_EQ(print_of(anchors.intel_intermediates[1]),
            "0xc0575e76d0303b61d09cde8cbdb70db34a74f38318300d7c0e6ba8cf4bf45aea");
  for (const Certificate& one : anchors.intel_intermediates) {
    EXPECT_TRUE(one.is_issued_by(anchors.intel[0])) << one.subject();
  }
}

TEST(Anchors, AreSelfSigned) {
  const Anchors& anchors = vendor_anchors();
  for (const Certificate& root :
       {anchors.intel[0], anchors.amd.at("Milan"), anchors.amd.at("Turin"),
        anchors.nvidia_device[0], anchors.nvidia_rim[0], anchors.nitro[0]}) {
    EXPECT_TRUE(root.is_issued_by(root)) << root.subject();
    EXPECT_TRUE(root.is_ca()) << root.subject();
  }
}

}  // namespace
}  // namespace otr::attest
