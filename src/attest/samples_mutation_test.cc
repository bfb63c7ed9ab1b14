// Real evidence, changed: cut at every length, bits flipped everywhere, collateral of other cases,
// times outside each window. All of it must be refused; only bytes that nothing covers may change
// and leave the verdict as it was.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>

#include "attest/anchors.h"
#include "attest/bundle.h"
#include "attest/encoding.h"
#include "attest/report.h"
#include "attest/test_samples.h"

namespace otr::attest {
namespace {

struct Sample {
  const char* name;
  std::vector<std::string> files;
  const char* at;
};

// Cases that are accepted; the first file is the evidence.
const std::vector<Sample>& accepted() {
  static const std::vector<Sample> kSamples = {
      {"tdx",
       {"tdx/v4-b0c06f-uptodate/quote.bin", "tdx/v4-b0c06f-uptodate/collateral.json"},
       "2025-06-20"},
      {"tdx 5",
       {"tdx/v5-sample-uptodate/quote.bin", "tdx/v5-90c06f-tcb-rollover/2026-03"},
       "2026-03-20"},
      {"snp milan", {"snp/milan-virtee/report.hex", "snp/milan-virtee/vcek.der"}, "2024-01-01"},
      {"snp turin", {"snp/turin-v5/report.bin", "snp/turin-v5/vcek.pem"}, "2026-06-01"},
      {"nitro", {"nitro/attestation.cose"}, "2025-12-25T17:00:00Z"},
      {"gpu", {"gpu/h100-550.90.07/report.bin", "gpu/h100-550.90.07/cert-chain.pem"}, "2025-06-01"},
      {"gb100", {"gpu/gb100-575.32/report.hex", "gpu/gb100-575.32/cert-chain.pem"}, "2025-06-01"},
  };
  return kSamples;
}

const Policy& genuine() {
  static const Policy kPolicy = *parse_policy(*built_in_policy("genuine"));
  return kPolicy;
}

// "ACCEPTED", or the code of the refusal, also of a file that was not taken at all.
std::string judge(const std::vector<Item>& items, Time at) {
  const auto bundle = sort_items(items);
  if (!bundle) return bundle.error().code;
  const Appraisal appraisal = appraise(*bundle, genuine(), {}, vendor_anchors(), at);
  if (appraisal.accepted()) return "ACCEPTED";
  const Check* failure = appraisal.failure();
  return failure == nullptr ? "NOT CHECKED" : std::string(name_of(*failure->code));
}

std::string tally(const std::map<std::string, int>& counts) {
  std::string text;
  for (const auto& [code, count] : counts) text += " " + code + " x" + std::to_string(count);
  return text;
}

// The first item as bytes, without what may follow the evidence unread: zeros behind a quote, other
// people's framing behind a Nitro document. Both are named in the verdict.
std::vector<Item> unwrapped(const Sample& sample) {
  std::vector<Item> items = sample_items(sample.files);
  Bytes& evidence = items[0].bytes;
  if (auto bytes = from_plain_hex(without_space(as_text(evidence)))) evidence = std::move(*bytes);
  std::size_t unread = 0;
  if (const auto quote = parse_quote(evidence)) unread = quote->trailing_bytes;
  if (const auto document = parse_nitro(evidence)) unread = document->trailing_bytes;
  evidence.resize(evidence.size() - unread);
  return items;
}

TEST(Mutation, CutOrLengthenedEvidenceIsRefused) {
  OTR_NEED_SAMPLES();
  for (const Sample& sample : accepted()) {
    SCOPED_TRACE(sample.name);
    std::vector<Item> items = unwrapped(sample);
    const Time at = *parse_time(sample.at);
    ASSERT_EQ(judge(items, at), "ACCEPTED");
    const Bytes whole = items[0].bytes;
    std::map<std::string, int> codes;
    for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 40) {
      items[0].bytes.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      const std::string code = judge(items, at);
      ++codes[code];
      EXPECT_TRUE(code == "MALFORMED" || code == "UNSUPPORTED") << size << " " << code;
    }
    // AWS's documents say by themselves where they end.
    items[0].bytes = whole;
    items[0].bytes.push_back('x');
    if (sample.name != std::string_view("nitro")) EXPECT_EQ(judge(items, at), "MALFORMED");
    RecordProperty(sample.name, tally(codes));
  }
}

TEST(Mutation, FlippedBitsAreRefused) {
  OTR_NEED_SAMPLES();
  for (const Sample& sample : accepted()) {
    SCOPED_TRACE(sample.name);
    std::vector<Item> items = unwrapped(sample);
    const Time at = *parse_time(sample.at);
    std::map<std::string, int> codes;
    std::vector<std::size_t> still;
    const std::size_t stride = 1 + items[0].bytes.size() / 100;
    for (std::size_t i = 0; i < items[0].bytes.size(); i += stride) {
      const auto bit = static_cast<std::uint8_t>(1u << (i % 8));
      items[0].bytes[i] ^= bit;
      const std::string code = judge(items, at);
      ++codes[code];
      if (code == "ACCEPTED") still.push_back(i);
      items[0].bytes[i] ^= bit;
    }
    EXPECT_TRUE(still.empty()) << "byte " << still.front() << " of " << items[0].bytes.size()
                               << " and " << still.size() - 1 << " more;" << tally(codes);
    RecordProperty(sample.name, tally(codes));
  }
}

// Intel's collateral with one character changed is never taken for Intel's.
TEST(Mutation, ChangedCollateralIsRefused) {
  OTR_NEED_SAMPLES();
  const Time at = *parse_time("2026-03-20");
  std::vector<Item> items =
      sample_items({"tdx/v5-sample-uptodate/quote.bin", "tdx/v5-90c06f-tcb-rollover/2026-03"});
  std::map<std::string, int> codes;
  for (std::size_t file = 1; file < items.size(); ++file) {
    Bytes& bytes = items[file].bytes;
    for (std::size_t i = 5; i < bytes.size(); i += 1 + bytes.size() / 30) {
      const std::uint8_t before = bytes[i];
      bytes[i] = before == 'a' ? 'b' : 'a';
      const std::string code = judge(items, at);
      ++codes[code];
      // The two signing chains are equal: changing one leaves the other.
      const bool spare = items[file].name.ends_with("chain.pem");
      EXPECT_TRUE(code != "ACCEPTED" || spare) << items[file].name << " at " << i;
      bytes[i] = before;
    }
  }
  RecordProperty("codes", tally(codes));
}

TEST(Mutation, PiecesOfOtherCasesAreRefused) {
  OTR_NEED_SAMPLES();
  struct Swap {
    std::vector<std::string> files;
    const char *at, *code;
  };
  const std::string v4 = "tdx/v4-b0c06f-uptodate/", v5 = "tdx/v5-90c06f-tcb-rollover/";
  const std::vector<Swap> swaps = {
      // TCB info of another platform (FMSPC).
      {{"tdx/v5-sample-uptodate/quote.bin", v4 + "collateral.json"}, "2025-06-20", "TIME_INVALID"},
      {{v5 + "quote.bin", v4 + "collateral.json"}, "2025-06-20", "COLLATERAL_INVALID"},
      // Collateral of SGX for a TDX quote and the reverse.
      {{v4 + "quote.bin", "sgx/v3-sw-hardening/collateral.json"},
       "2025-06-20",
       "COLLATERAL_INVALID"},
      {{"sgx/v3-sw-hardening/quote.bin", v4 + "collateral.json"},
       "2025-06-20",
       "COLLATERAL_INVALID"},
      // Chains of other GPUs.
      {{"gpu/h100-550.90.07/report.bin", "gpu/gb100-575.32/cert-chain.pem"},
       "2025-06-01",
       "SIGNATURE_INVALID"},
      {{"gpu/gb100-575.32/report.hex", "gpu/h100-550.90.07/cert-chain.pem"},
       "2025-06-01",
       "SIGNATURE_INVALID"},
      // Certificates of other chips.
      {{"snp/turin-v5/report.bin", "snp/milan-virtee/vcek.der"}, "2026-01-01", ""},
      {{"snp/milan-virtee/report.hex", "snp/milan-trustee/vcek.der"},
       "2024-01-01",
       "SIGNATURE_INVALID"},
      {{"snp/milan-virtee/report.hex", "snp/aws-vlek-milan/vlek.der"}, "2025-06-01", ""},
      // A debug guest with the collateral of another.
      {{"tdx/v4-debug-td/quote.bin", v4 + "collateral.json"}, "2025-06-20", ""},
  };
  for (const Swap& swap : swaps) {
    const std::string code = judge(sample_items(swap.files), *parse_time(swap.at));
    EXPECT_NE(code, "ACCEPTED") << swap.files[0];
    if (*swap.code != '\0') EXPECT_EQ(code, swap.code) << swap.files[0] << " " << swap.files[1];
  }
}

TEST(Mutation, TimesOutsideEveryWindowAreRefused) {
  OTR_NEED_SAMPLES();
  for (const Sample& sample : accepted()) {
    const std::vector<Item> items = sample_items(sample.files);
    for (const char* at : {"1990-01-01", "2018-01-01"}) {
      EXPECT_EQ(judge(items, *parse_time(at)), "TIME_INVALID") << sample.name << " " << at;
    }
    // NVIDIA's device certificates are valid to the year 9999.
    const bool nvidia = std::string_view(sample.name).starts_with("g");
    if (!nvidia) EXPECT_EQ(judge(items, *parse_time("2060-01-01")), "TIME_INVALID") << sample.name;
  }
}

}  // namespace
}  // namespace otr::attest
