// Quotes and collateral of our own, spoiled in every place: stage verify.
#include "attest/dcap.h"

#include <gtest/gtest.h>

#include <functional>

#include "attest/test_quotes.h"

namespace otr::attest {
namespace {

using test::Authority;
using test::Intel;
using test::KeyKind;
using test::kTestEnd;
using test::kTestNow;
using test::kTestStart;
using test::QuoteSpec;

std::string explained(const Verdict& verdict) {
  std::string text;
  for (const Check& check : verdict.checks) {
    if (check.outcome != Outcome::kPass) text += check.name + ": " + check.value + "\n";
  }
  return text;
}

class DcapTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { intel = new Intel(Intel::make()); }
  static void TearDownTestSuite() { delete intel; }
  static const Intel* intel;

  Verdict verdict;
  std::optional<DcapFound> found;

  // The first failure; nothing where it is accepted.
  std::optional<Code> judge(ByteView bytes, const DcapCollateral& collateral, Time at = kTestNow,
                            const Policy& policy = test::good_policy()) {
    verdict = {};
    found.reset();
    const auto quote = parse_quote(bytes);
    if (!quote) return code_named(quote.error().code);
    found = verify_quote(verdict, *quote, collateral, intel->anchors(), at);
    if (found) appraise_quote(verdict, *quote, *found, policy, {}, at);
    const bool accepted = verdict.accepted();
    EXPECT_EQ(accepted, verdict.failure() == nullptr) << explained(verdict);
    EXPECT_EQ(accepted, !verdict.assurance.empty());
    return accepted ? std::nullopt : verdict.failure()->code;
  }
  std::optional<Code> judge(const QuoteSpec& spec) {
    return judge(intel->quote(spec), intel->collateral(spec.kind));
  }
  // With collateral of TDX that `spoil` has changed.
  std::optional<Code> judge(const std::function<void(DcapCollateral&)>& spoil, Time at = kTestNow) {
    DcapCollateral collateral = intel->collateral(Kind::kTdx);
    spoil(collateral);
    return judge(intel->quote(Intel::good(4, Kind::kTdx)), collateral, at);
  }
  // With documents of TDX that `edit` has changed before they were signed.
  std::optional<Code> judge_documents(const std::function<void(Json& info, Json& identity)>& edit,
                                      Time at = kTestNow) {
    Json info = Intel::tcb_info(Kind::kTdx), identity = Intel::qe_identity(Kind::kTdx);
    edit(info, identity);
    return judge(
        [&](DcapCollateral& collateral) {
          collateral.tcb_info = intel->signed_tcb_info(info.dump());
          collateral.qe_identity = intel->signed_qe_identity(identity.dump());
        },
        at);
  }
};
const Intel* DcapTest::intel = nullptr;

TEST_F(DcapTest, GoodQuotesOfEveryFormAreAccepted) {
  for (const auto& [version, kind, type] :
       {std::tuple{3, Kind::kSgx, 0}, std::tuple{4, Kind::kTdx, 0}, std::tuple{4, Kind::kSgx, 0},
        std::tuple{5, Kind::kSgx, 1}, std::tuple{5, Kind::kTdx, 2}, std::tuple{5, Kind::kTdx, 3}}) {
    const auto code = judge(
        Intel::good(static_cast<std::uint16_t>(version), kind, static_cast<std::uint16_t>(type)));
    EXPECT_FALSE(code) << version << explained(verdict);
    EXPECT_TRUE(verdict.hardware);
    EXPECT_EQ(verdict.assurance, "hardware");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->tcb_status, "UpToDate");
    EXPECT_EQ(found->evaluation_number, 18);
    EXPECT_EQ(found->oldest_issue, kTestNow - 2 * 86400);
    EXPECT_EQ(found->expires, kTestNow + 28 * 86400);
    EXPECT_EQ(verdict.facts.at("tcb_status"), "UpToDate");
    EXPECT_EQ(verdict.facts.at("pck").at("fmspc"), "0x90c06f000000");
  }
}

TEST_F(DcapTest, EveryBitOfTheSignedRegionsCounts) {
  const Bytes good = intel->quote(Intel::good(5, Kind::kTdx, 3));
  const DcapCollateral collateral = intel->collateral(Kind::kTdx);
  ASSERT_FALSE(judge(good, collateral));
  // Header, body, signature, key, and the QE's report, signature and data.
  const std::size_t end = 54 + 648 + 4 + 128 + 6 + 448 + 2 + 32;
  for (std::size_t bit = 0; bit < 8 * end; bit += 53) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    EXPECT_TRUE(judge(bad, collateral)) << "bit " << bit;
  }
  // The chain is text: where a change of it goes unseen, it must change nothing.
  const Json facts = (static_cast<void>(judge(good, collateral)), verdict.facts);
  for (std::size_t bit = 8 * end; bit < 8 * good.size(); bit += 127) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    if (!judge(bad, collateral)) EXPECT_EQ(verdict.facts, facts) << "bit " << bit;
  }
}

TEST_F(DcapTest, SignaturesMustBeOfTheRightKeys) {
  const QuoteSpec spec = Intel::good(4, Kind::kTdx);
  const DcapCollateral collateral = intel->collateral(Kind::kTdx);
  const Bytes good = intel->quote(spec);
  const auto flipped = [&](std::size_t offset) {
    Bytes bad = good;
    bad[offset] ^= 1;
    return bad;
  };
  EXPECT_EQ(judge(flipped(28), collateral), Code::kSignatureInvalid);         // user data
  EXPECT_EQ(judge(flipped(13), collateral), Code::kIdentityMismatch);         // QE vendor id
  EXPECT_EQ(judge(flipped(48 + 136), collateral), Code::kSignatureInvalid);   // MRTD
  EXPECT_FALSE(found);                                                        // not appraised
  EXPECT_EQ(judge(flipped(636 + 10), collateral), Code::kSignatureInvalid);   // the signature
  EXPECT_EQ(judge(flipped(636 + 70), collateral), Code::kKeyLinkInvalid);     // the key
  EXPECT_EQ(judge(flipped(770 + 10), collateral), Code::kSignatureInvalid);   // QE report
  EXPECT_EQ(judge(flipped(770 + 390), collateral), Code::kSignatureInvalid);  // its signature
  EXPECT_EQ(judge(flipped(770 + 450), collateral), Code::kKeyLinkInvalid);    // its data
  QuoteSpec linked = spec;
  linked.qe.report_data[40] = 1;  // the other half must be zero
  EXPECT_EQ(judge(linked), Code::kKeyLinkInvalid);
  Intel other_pck = *intel;  // the QE report signed by a platform that the chain does not name
  other_pck.pck.key = test::SigningKey::make(KeyKind::kP256);
  EXPECT_EQ(judge(other_pck.quote(spec), collateral), Code::kSignatureInvalid);
}

TEST_F(DcapTest, AStrangerWhoSignsEverythingIsNotTrusted) {
  const Intel stranger = Intel::make();
  const QuoteSpec spec = Intel::good(4, Kind::kTdx);
  EXPECT_EQ(judge(stranger.quote(spec), stranger.collateral(Kind::kTdx)), Code::kAnchorUnknown);
  EXPECT_FALSE(verdict.hardware);
  EXPECT_FALSE(found);
  // Genuine quote, collateral of the stranger.
  EXPECT_EQ(judge(intel->quote(spec), stranger.collateral(Kind::kTdx)), Code::kCollateralInvalid);
  EXPECT_TRUE(verdict.hardware);
  // Genuine lists, documents of the stranger under his own chain or the genuine one.
  EXPECT_EQ(judge([&](DcapCollateral& c) {
              const DcapCollateral his = stranger.collateral(Kind::kTdx);
              c.tcb_info = his.tcb_info;
              c.tcb_signing_chain = his.tcb_signing_chain;
            }),
            Code::kAnchorUnknown);
  EXPECT_EQ(
      judge([&](DcapCollateral& c) { c.tcb_info = stranger.collateral(Kind::kTdx).tcb_info; }),
      Code::kCollateralInvalid);
  EXPECT_EQ(judge([&](DcapCollateral& c) {
              c.qe_identity = stranger.collateral(Kind::kTdx).qe_identity;
            }),
            Code::kCollateralInvalid);
}

TEST_F(DcapTest, OnlyAPckCertificateCertifiesAQuote) {
  Intel other = *intel;
  other.pck =
      intel->platform_ca.issue({.subject = "Intel SGX Something Else",
                                .extensions = {{"1.2.840.113741.1.13.1", test::sgx_extension({})}}},
                               KeyKind::kP256);
  const QuoteSpec spec = Intel::good(4, Kind::kTdx);
  EXPECT_EQ(judge(other.quote(spec), intel->collateral(Kind::kTdx)), Code::kChainInvalid);
  other.pck = intel->platform_ca.issue({.subject = "Intel SGX PCK Certificate"}, KeyKind::kP256);
  EXPECT_EQ(judge(other.quote(spec), intel->collateral(Kind::kTdx)), Code::kChainInvalid);
  // The TCB signer's place is not for another certificate of Intel's.
  EXPECT_EQ(judge([&](DcapCollateral& c) {
              Intel by_authority = *intel;
              by_authority.signer = intel->platform_ca;
              c.tcb_info = by_authority.signed_tcb_info(Intel::tcb_info(Kind::kTdx).dump());
              c.qe_identity =
                  by_authority.signed_qe_identity(Intel::qe_identity(Kind::kTdx).dump());
              c.tcb_signing_chain = {intel->platform_ca.certificate, intel->root.certificate};
            }),
            Code::kCollateralInvalid);
}

TEST_F(DcapTest, WhatIsRevokedIsRefused) {
  const auto revoking = [](const Authority& by, const Authority& what) {
    return by.list({.revoked = {{9}, what.certificate.serial()}});
  };
  EXPECT_EQ(judge([&](DcapCollateral& c) { c.pck_crl = revoking(intel->platform_ca, intel->pck); }),
            Code::kRevoked);
  EXPECT_EQ(
      judge([&](DcapCollateral& c) { c.root_crl = revoking(intel->root, intel->platform_ca); }),
      Code::kRevoked);
  EXPECT_EQ(judge([&](DcapCollateral& c) { c.root_crl = revoking(intel->root, intel->signer); }),
            Code::kRevoked);
  // Lists of another issuer say nothing.
  EXPECT_EQ(judge([&](DcapCollateral& c) { c.pck_crl = intel->root.list({}); }),
            Code::kCollateralInvalid);
  EXPECT_EQ(judge([&](DcapCollateral& c) { c.root_crl = intel->platform_ca.list({}); }),
            Code::kCollateralInvalid);
}

TEST_F(DcapTest, WhatIsMissingIsNamed) {
  const auto missing = [&](const std::function<void(DcapCollateral&)>& drop,
                           const std::string& word) {
    EXPECT_EQ(judge(drop), Code::kCollateralMissing) << word;
    ASSERT_NE(verdict.failure(), nullptr);
    const std::string text = verdict.failure()->name + ": " + verdict.failure()->value;
    EXPECT_NE(text.find(word), std::string::npos) << text;
  };
  missing([](DcapCollateral& c) { c.pck_crl.reset(); }, "pckcrl?ca=platform");
  missing([](DcapCollateral& c) { c.root_crl.reset(); }, "rootcacrl");
  missing([](DcapCollateral& c) { c.tcb_info.clear(); }, "tcb?fmspc=90c06f000000");
  missing([](DcapCollateral& c) { c.qe_identity.clear(); }, "tdx/certification/v4/qe/identity");
  missing([](DcapCollateral& c) { c.tcb_signing_chain.clear(); }, "chain of its signer");
  EXPECT_EQ(judge([](DcapCollateral& c) { c = {}; }), Code::kCollateralMissing);
  EXPECT_EQ(found->tcb_status, "");
}

TEST_F(DcapTest, TheSignersChainMayComeOtherwise) {
  EXPECT_FALSE(judge([](DcapCollateral& c) { std::ranges::reverse(c.tcb_signing_chain); }));
  EXPECT_FALSE(judge([](DcapCollateral& c) { c.tcb_signing_chain.pop_back(); }));
  EXPECT_FALSE(judge([](DcapCollateral& c) { c.qe_identity_chain = c.tcb_signing_chain; }));
  const Authority other =
      intel->root.issue({.subject = "Intel SGX TCB Signing", .serial = {0x23}}, KeyKind::kP256);
  Intel renewed = *intel;
  renewed.signer = other;
  const auto with_two_signers = [&](DcapCollateral& c) {
    c.qe_identity = renewed.signed_qe_identity(Intel::qe_identity(Kind::kTdx).dump());
    c.qe_identity_chain = {other.certificate};
  };
  EXPECT_FALSE(judge(with_two_signers));
  EXPECT_EQ(judge([&](DcapCollateral& c) {
              with_two_signers(c);
              c.root_crl = intel->root.list({.revoked = {{0x23}}});
            }),
            Code::kRevoked);
}

TEST_F(DcapTest, EachItemHasItsTime) {
  const Time day = 86400;
  EXPECT_FALSE(judge([](DcapCollateral&) {}, kTestNow + 28 * day));
  EXPECT_EQ(judge([](DcapCollateral&) {}, kTestNow + 28 * day + 1), Code::kTimeInvalid);  // QE
  EXPECT_EQ(judge([](DcapCollateral&) {}, kTestNow - day - 1), Code::kTimeInvalid);  // TCB info
  const auto edited = [&](const char* document, const char* member, Time time) {
    return judge_documents([&](Json& info, Json& identity) {
      (std::string(document) == "info" ? info : identity)[member] = to_text(time);
    });
  };
  EXPECT_FALSE(edited("info", "nextUpdate", kTestNow));
  EXPECT_EQ(edited("info", "nextUpdate", kTestNow - 1), Code::kTimeInvalid);
  EXPECT_EQ(edited("info", "issueDate", kTestNow + 1), Code::kTimeInvalid);
  EXPECT_EQ(edited("identity", "nextUpdate", kTestNow - 1), Code::kTimeInvalid);
  EXPECT_EQ(edited("identity", "issueDate", kTestNow + 1), Code::kTimeInvalid);
  const auto listed = [&](Time from, Time to, bool root) {
    return judge([&](DcapCollateral& c) {
      const Authority::ListSpec spec = {.this_update = from, .next_update = to};
      (root ? c.root_crl : c.pck_crl) = (root ? intel->root : intel->platform_ca).list(spec);
    });
  };
  for (const bool root : {false, true}) {
    EXPECT_FALSE(listed(kTestNow, kTestNow, root));
    EXPECT_EQ(listed(kTestNow + 1, kTestNow + 2, root), Code::kTimeInvalid);
    EXPECT_EQ(listed(kTestNow - 2, kTestNow - 1, root), Code::kTimeInvalid);
  }
  for (const auto& [from, to] :
       {std::pair{kTestStart, kTestNow - 1}, std::pair{kTestNow + 1, kTestEnd}}) {
    Intel late = *intel;
    late.pck = intel->platform_ca.issue(
        {.subject = "Intel SGX PCK Certificate",
         .not_before = from,
         .not_after = to,
         .extensions = {{"1.2.840.113741.1.13.1", test::sgx_extension({})}}},
        KeyKind::kP256);
    EXPECT_EQ(judge(late.quote(Intel::good(4, Kind::kTdx)), intel->collateral(Kind::kTdx)),
              Code::kTimeInvalid);
    EXPECT_EQ(found->tcb_status, "UpToDate");  // refused, and judged to the end
    EXPECT_EQ(
        judge([&](DcapCollateral& c) {
          c.tcb_signing_chain = {
              intel->root
                  .issue({.subject = "Intel SGX TCB Signing", .not_before = from, .not_after = to},
                         intel->signer.key)
                  .certificate};
        }),
        Code::kTimeInvalid);
  }
}

TEST_F(DcapTest, DocumentsAreTakenAsTheyWereSigned) {
  const std::string text = Intel::tcb_info(Kind::kTdx).dump();
  const auto with = [&](const std::string& info) {
    return judge([&](DcapCollateral& c) { c.tcb_info = info; });
  };
  const std::string good = intel->signed_tcb_info(text);
  EXPECT_FALSE(with(good));
  EXPECT_FALSE(with(" \n" + good + "\n"));  // what is outside is not signed
  EXPECT_FALSE(with(intel->signed_tcb_info(Intel::tcb_info(Kind::kTdx).dump(2))));
  const Json reformatted = Json::parse(good);
  EXPECT_EQ(with(reformatted.dump(1)), Code::kCollateralInvalid);
  for (const auto& [from, to] :
       {std::pair{"90C06F000000", "90c06f000000"}, std::pair{"\"pcesvn\":13", "\"pcesvn\":12"},
        std::pair{"OutOfDate", "UpToDate"}}) {
    std::string changed = good;
    changed.replace(changed.find(from), std::string_view(from).size(), to);
    EXPECT_EQ(with(changed), Code::kCollateralInvalid) << from;
    ASSERT_TRUE(found);
    EXPECT_EQ(found->tcb_status, "");  // nobody's word
  }
  // A key twice, of which readers differ in which counts, is refused even if it was signed.
  EXPECT_EQ(with(intel->signed_tcb_info("{\"id\":\"SGX\"," + text.substr(1))),
            Code::kCollateralInvalid);
  const std::string signature = good.substr(good.find(",\"signature\""));
  EXPECT_EQ(with("{\"tcbInfo\":{}," + good.substr(1)), Code::kCollateralInvalid);
  EXPECT_EQ(with("{\"other\":1," + good.substr(1)), Code::kCollateralInvalid);
  for (const std::string& bad :
       {std::string("{}"), std::string("[]"), std::string("x"), good + "x", text,
        "{\"tcbInfo\":7" + signature, "{\"tcbInfo\":" + text + ",\"signature\":\"00\"}",
        std::string(40, '[')}) {
    EXPECT_EQ(with(bad), Code::kCollateralInvalid) << bad;
  }
  EXPECT_EQ(with(good + std::string(1 << 20, ' ')), Code::kCollateralInvalid);
}

TEST_F(DcapTest, DocumentsThatBreakTheirFormatAreRefused) {
  const auto refuses = [&](const std::function<void(Json&, Json&)>& edit, const char* word) {
    EXPECT_EQ(judge_documents(edit), Code::kCollateralInvalid) << word;
    ASSERT_NE(verdict.failure(), nullptr);
    EXPECT_NE(verdict.failure()->value.find(word), std::string::npos) << verdict.failure()->value;
  };
  refuses([](Json& info, Json&) { info.erase("fmspc"); }, "fmspc");
  refuses([](Json& info, Json&) { info["fmspc"] = "90C06F0000"; }, "fmspc");
  refuses([](Json& info, Json&) { info["version"] = "3"; }, "version");
  refuses([](Json& info, Json&) { info["version"] = -3; }, "version");
  refuses([](Json& info, Json&) { info["tcbType"] = 1; }, "tcbType");
  refuses([](Json& info, Json&) { info["issueDate"] = "yesterday"; }, "issueDate");
  refuses([](Json& info, Json&) { info["tcbLevels"] = Json::object(); }, "tcbLevels");
  refuses([](Json& info, Json&) { info["tcbLevels"][0]["tcbStatus"] = "Fine"; }, "Fine");
  refuses([](Json& info, Json&) { info["tcbLevels"][0]["tcb"]["sgxtcbcomponents"].erase(3); },
          "sgxtcbcomponents");
  refuses([](Json& info, Json&) { info["tcbLevels"][1]["advisoryIDs"] = {1}; }, "advisoryIDs");
  refuses([](Json& info, Json&) { info["tdxModuleIdentities"][0].erase("mrsigner"); }, "mrsigner");
  refuses([](Json&, Json& identity) { identity.erase("miscselectMask"); }, "miscselectMask");
  refuses([](Json&, Json& identity) { identity["isvprodid"] = 1.5; }, "isvprodid");
  refuses([](Json&, Json& identity) { identity["tcbLevels"][0]["tcb"] = 4; }, "no object");
}

TEST_F(DcapTest, CollateralOfAnotherPlatformIsRefused) {
  const auto info = [&](const char* member, Json value) {
    return judge_documents([&](Json& one, Json&) { one[member] = value; });
  };
  EXPECT_EQ(info("fmspc", "90C06F000001"), Code::kCollateralInvalid);
  EXPECT_EQ(info("pceId", "0100"), Code::kCollateralInvalid);
  EXPECT_EQ(info("id", "SGX"), Code::kCollateralInvalid);
  EXPECT_EQ(info("version", 2), Code::kCollateralInvalid);
  EXPECT_EQ(judge_documents([](Json&, Json& one) { one["id"] = "QE"; }), Code::kCollateralInvalid);
  EXPECT_EQ(judge_documents([](Json&, Json& one) { one["version"] = 3; }),
            Code::kCollateralInvalid);
  EXPECT_EQ(judge(intel->quote(Intel::good(3, Kind::kSgx)), intel->collateral(Kind::kTdx)),
            Code::kCollateralInvalid);
}

TEST_F(DcapTest, TheQuotingEnclaveMustBeIntels) {
  const auto qe = [&](const std::function<void(SgxReport&)>& change) {
    QuoteSpec spec = Intel::good(4, Kind::kTdx);
    change(spec.qe);
    return judge(spec);
  };
  EXPECT_EQ(qe([](SgxReport& one) { one.mrsigner[31] ^= 1; }), Code::kIdentityMismatch);
  EXPECT_EQ(qe([](SgxReport& one) { one.isv_prod_id = 1; }), Code::kIdentityMismatch);
  EXPECT_EQ(qe([](SgxReport& one) { one.misc_select = 1; }), Code::kIdentityMismatch);
  EXPECT_EQ(qe([](SgxReport& one) { one.attributes[0] |= 2; }), Code::kIdentityMismatch);
  EXPECT_FALSE(qe([](SgxReport& one) { one.attributes[0] ^= 4; }));  // not under the mask
  EXPECT_FALSE(qe([](SgxReport& one) { one.attributes[8] = 0xff; }));
  EXPECT_EQ(qe([](SgxReport& one) { one.isv_svn = 1; }), Code::kTcbUnsupported);
}

TEST_F(DcapTest, OnlyZerosMayFollow) {
  QuoteSpec spec = Intel::good(4, Kind::kTdx);
  spec.trailing = Bytes(3065);
  EXPECT_FALSE(judge(spec));
  spec.trailing[1000] = 1;
  EXPECT_EQ(judge(spec), Code::kMalformed);
}

}  // namespace
}  // namespace otr::attest
