#include "attest/quote.h"

#include <gtest/gtest.h>

#include "attest/test_quotes.h"

namespace otr::attest {
namespace {

using test::Intel;
using test::QuoteSpec;

class QuoteTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { intel = new Intel(Intel::make()); }
  static void TearDownTestSuite() { delete intel; }
  static const Intel* intel;
};
const Intel* QuoteTest::intel = nullptr;

struct Form {
  std::uint16_t version;
  Kind kind;
  std::uint16_t body_type;
};
constexpr Form kForms[] = {{3, Kind::kSgx, 0}, {4, Kind::kTdx, 0}, {4, Kind::kSgx, 0},
                           {5, Kind::kSgx, 1}, {5, Kind::kTdx, 2}, {5, Kind::kTdx, 3}};

TEST_F(QuoteTest, ReadsEveryForm) {
  for (const Form& form : kForms) {
    QuoteSpec spec = Intel::good(form.version, form.kind, form.body_type);
    spec.td.seam_attributes = 0x0102030405060708;
    spec.td.mrservicetd.fill(9);
    const Bytes bytes = intel->quote(spec);
    const auto quote = parse_quote(bytes);
    ASSERT_TRUE(quote) << form.version << ": " << quote.error().message;
    EXPECT_EQ(quote->version, form.version);
    EXPECT_EQ(quote->kind, form.kind);
    EXPECT_EQ(quote->pck_chain.size(), 3);
    EXPECT_EQ(quote->pck_chain[0], intel->pck.certificate);
    EXPECT_EQ(quote->qe.mrsigner, spec.qe.mrsigner);
    EXPECT_EQ(quote->qe_auth_data, spec.auth_data);
    EXPECT_EQ(quote->trailing_bytes, 0);
    if (form.kind == Kind::kTdx) {
      EXPECT_EQ(quote->td.is_15, form.body_type == 3);
      EXPECT_EQ(quote->td.tee_tcb_svn, spec.td.tee_tcb_svn);
      EXPECT_EQ(quote->td.seam_attributes, spec.td.seam_attributes);
      EXPECT_EQ(quote->td.td_attributes, spec.td.td_attributes);
      EXPECT_EQ(quote->td.xfam, spec.td.xfam);
      EXPECT_EQ(quote->td.mrtd, spec.td.mrtd);
      EXPECT_EQ(quote->td.rtmr, spec.td.rtmr);
      EXPECT_EQ(quote->td.report_data, spec.td.report_data);
      if (quote->td.is_15) EXPECT_EQ(quote->td.mrservicetd, spec.td.mrservicetd);
    } else {
      EXPECT_EQ(quote->enclave.mrenclave, spec.enclave.mrenclave);
      EXPECT_EQ(quote->enclave.isv_prod_id, 7);
      EXPECT_EQ(quote->enclave.isv_svn, 3);
      EXPECT_EQ(quote->enclave.report_data, spec.enclave.report_data);
    }
  }
}

TEST_F(QuoteTest, RefusesEveryTruncation) {
  for (const Form& form : kForms) {
    const Bytes bytes = intel->quote(Intel::good(form.version, form.kind, form.body_type));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto quote = parse_quote(ByteView(bytes).first(size));
      ASSERT_FALSE(quote) << form.version << " " << size;
      EXPECT_FALSE(quote.error().code.empty());
    }
  }
}

TEST_F(QuoteTest, CountsWhatFollows) {
  QuoteSpec spec = Intel::good(4, Kind::kTdx);
  spec.trailing = Bytes(70);
  auto quote = parse_quote(intel->quote(spec));
  ASSERT_TRUE(quote);
  EXPECT_EQ(quote->trailing_bytes, 70);
  EXPECT_TRUE(quote->trailing_zeros);
  spec.trailing[69] = 1;
  quote = parse_quote(intel->quote(spec));
  ASSERT_TRUE(quote);
  EXPECT_FALSE(quote->trailing_zeros);
}

TEST_F(QuoteTest, ReadsAChainInDerRootFirst) {
  QuoteSpec spec = Intel::good(4, Kind::kTdx);
  spec.der_chain = true;
  const auto quote = parse_quote(intel->quote(spec));
  ASSERT_TRUE(quote) << quote.error().message;
  EXPECT_EQ(quote->pck_chain[0], intel->pck.certificate);
  EXPECT_EQ(quote->pck_chain[2], intel->root.certificate);
}

// What a changed number of the format is refused for.
void expect_refused(Bytes bytes, std::size_t offset, std::uint16_t value, std::string_view code,
                    std::string_view word) {
  store_le(&bytes[offset], value);
  const auto quote = parse_quote(bytes);
  ASSERT_FALSE(quote) << word;
  EXPECT_EQ(quote.error().code, code) << quote.error().message;
  EXPECT_NE(quote.error().message.find(word), std::string::npos) << quote.error().message;
}

TEST_F(QuoteTest, NamesFieldAndOffset) {
  const Bytes v4 = intel->quote(Intel::good(4, Kind::kTdx));
  const Bytes v5 = intel->quote(Intel::good(5, Kind::kTdx, 3));
  const Bytes v3 = intel->quote(Intel::good(3, Kind::kSgx));
  expect_refused(v4, 0, 2, "UNSUPPORTED", "version 2 at offset 0");
  expect_refused(v4, 0, 6, "UNSUPPORTED", "version 6");
  expect_refused(v4, 2, 3, "UNSUPPORTED", "attestation key type 3 at offset 2");
  expect_refused(v4, 4, 0x82, "UNSUPPORTED", "TEE type 130 at offset 4");
  expect_refused(v3, 4, 0x81, "UNSUPPORTED", "TEE type 129");
  expect_refused(v5, 48, 4, "UNSUPPORTED", "body type 4 at offset 48");
  expect_refused(v5, 48, 1, "MALFORMED", "body type 1 at offset 48");
  expect_refused(v5, 48, 2, "MALFORMED", "body size 648 at offset 50");
  expect_refused(v5, 50, 649, "MALFORMED", "body size 649");
  const std::size_t signature = 48 + 584;  // the length before it
  expect_refused(v4, signature + 2, 0xffff, "MALFORMED", "signature data at offset 636");
  expect_refused(v4, signature, 128, "MALFORMED", "certification type at offset 764");
  expect_refused(v4, signature + 132, 5, "UNSUPPORTED", "certification type 5 at offset 764");
  expect_refused(v4, signature + 134, 7, "MALFORMED", "certification data at offset 770 has 7");
  const std::size_t auth = signature + 138 + 448;
  expect_refused(v4, auth, 0xffff, "MALFORMED", "QE authentication data at offset");
  expect_refused(v4, auth + 34, 1, "UNSUPPORTED", "certification type 1");
  expect_refused(v4, auth + 36, 10, "MALFORMED", "PCK chain at offset");
  expect_refused(v4, auth + 40, 'x', "MALFORMED", "PCK chain at offset");
}

TEST_F(QuoteTest, RefusesBytesBetweenItsParts) {
  Bytes bytes = intel->quote(Intel::good(4, Kind::kTdx));
  bytes.resize(bytes.size() + 4);
  for (const std::size_t length : {std::size_t{632}, std::size_t{766}}) {
    store_le(&bytes[length], load_le<std::uint32_t>(&bytes[length]) + 4);
  }
  const auto quote = parse_quote(bytes);
  ASSERT_FALSE(quote);
  EXPECT_EQ(quote.error().code, "MALFORMED");
  EXPECT_NE(quote.error().message.find("4 bytes more than its parts"), std::string::npos);
}

TEST_F(QuoteTest, RefusesWhatIsTooLarge) {
  QuoteSpec spec = Intel::good(4, Kind::kTdx);
  spec.trailing = Bytes(std::size_t{1} << 20);
  EXPECT_FALSE(parse_quote(intel->quote(spec)));
}

}  // namespace
}  // namespace otr::attest
