#include <gtest/gtest.h>
#include <linux/sev-guest.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

#include "attest/encoding.h"
#include "attest/test_snp.h"
#include "crypto/sha256.h"
#include "node/collect_cpu.h"
#include "node/evidence.h"
#include "node/transcript.h"

namespace otr::node {
namespace {

using attest::test::make_snp;
using attest::test::SnpEvidence;
using test::file_read;
using test::file_write;
using test::joined;
using test::Step;
using test::Transcript;

const std::string kRoot(kTsmFolder), kSev(kSevDevice), kTdx(kTdxDevice);
constexpr const char* kExtendedReport = "ioctl 3 c0205302";
constexpr const char* kReport = "ioctl 3 c0205300";
constexpr const char* kTdReport = "ioctl 3 c4405401";

ReportData report_data() {
  ReportData data{};
  std::iota(data.begin(), data.end(), std::uint8_t{1});
  return data;
}

const SnpEvidence& snp() {  // its report data are those above
  using attest::test::KeyKind;
  static const SnpEvidence evidence =
      make_snp({}, attest::test::SnpRoots::make("Milan", KeyKind::kP384, KeyKind::kP384));
  return evidence;
}

// A quote that can be read; its signatures are zeros, which is nothing to a collector.
Bytes tdx_quote() {
  const attest::test::Authority root =
      attest::test::Authority::root("test", attest::test::KeyKind::kP256);
  const std::string pem = attest::test::to_pem(root.certificate.der());
  Bytes quote = {4, 0, 2, 0, 0x81, 0, 0, 0};
  quote.resize(48 + 584, 0);
  std::ranges::copy(report_data(), quote.begin() + 48 + 520);
  Bytes inner(384 + 64, 0);
  append_le(inner, std::uint16_t{0});
  append_le(inner, std::uint16_t{5});
  append_le(inner, static_cast<std::uint32_t>(pem.size()));
  append(inner, as_bytes(pem));
  append_le(quote, static_cast<std::uint32_t>(128 + 6 + inner.size()));
  quote.resize(quote.size() + 128, 0);
  append_le(quote, std::uint16_t{6});
  append_le(quote, static_cast<std::uint32_t>(inner.size()));
  append(quote, inner);
  return quote;
}

std::string tsm_folder(int number = 0) {
  const Hash hash = crypto::sha256(report_data());
  return kRoot + "/otr-" + attest::to_plain_hex(ByteView(hash).first(8)) + "-" +
         std::to_string(number);
}

// The table of a host: one certificate, one entry that is none, and the end.
Bytes certificate_table() {
  const ByteView der = snp().leaf.certificate.der();
  Bytes table(16, 0x63);
  append_le(table, std::uint32_t{72});
  append_le(table, static_cast<std::uint32_t>(der.size()));
  table.resize(40, 0x11);
  append_le(table, std::uint32_t{0});
  append_le(table, std::uint32_t{24});
  table.resize(72, 0);
  append(table, der);
  return table;
}

std::vector<Step> one(std::string call, std::int64_t result = 0, Bytes data = {}) {
  return {{.call = std::move(call), .result = result, .data = std::move(data)}};
}

// A collection as configfs-tsm answers it; parts that differ from the good one are given.
struct Tsm {
  std::string provider = "sev_guest\n", before = "0\n", after = "1\n";
  std::vector<Bytes> report = {snp().report};
  std::optional<Bytes> table = certificate_table();

  [[nodiscard]] std::vector<Step> steps() const {
    const std::string folder = tsm_folder();
    return joined({one("mkdir " + folder), file_read(folder + "/provider", provider),
                   file_read(folder + "/generation", before),
                   one("open r " + folder + "/privlevel_floor", -ENOENT),
                   file_write(folder + "/inblob", report_data()),
                   file_read(folder + "/outblob", report),
                   table ? file_read(folder + "/auxblob", {*table})
                         : one("open r " + folder + "/auxblob", -ENOENT),
                   file_read(folder + "/generation", after), one("rmdir " + folder)});
  }
};

Result<CollectedEvidence> collect(std::string_view kind, std::vector<Step> steps) {
  Transcript transcript(std::move(steps));
  return tsm_source(transcript, kind)->collect(report_data());
}

TEST(CollectTsm, AReportWithTheHostsCertificates) {
  const auto evidence = collect("sev-snp", Tsm().steps());
  ASSERT_TRUE(evidence) << evidence.error().message;
  EXPECT_EQ(evidence->kind, "sev-snp");
  EXPECT_EQ(evidence->report, snp().report);
  ASSERT_EQ(evidence->extra.size(), 1U);
  EXPECT_TRUE(std::ranges::equal(evidence->extra[0], snp().leaf.certificate.der()));
}

TEST(CollectTsm, ShortReadsNoTableAndAQuote) {
  const Bytes& report = snp().report;
  const Bytes first(report.begin(), report.begin() + 5), rest(report.begin() + 5, report.end());
  const auto evidence = collect("sev-snp", Tsm{.report = {first, rest}, .table = {}}.steps());
  ASSERT_TRUE(evidence) << evidence.error().message;
  EXPECT_EQ(evidence->report, report);
  EXPECT_TRUE(evidence->extra.empty());
  const Bytes quote = tdx_quote();
  const auto tdx =
      collect("tdx", Tsm{.provider = "tdx_guest\n", .report = {quote}, .table = Bytes()}.steps());
  ASSERT_TRUE(tdx) << tdx.error().message;
  EXPECT_EQ(tdx->report, quote);
}

TEST(CollectTsm, ALevelBelowTheHighestIsAskedFor) {
  const std::string folder = tsm_folder();
  const auto evidence = collect(
      "sev-snp",
      joined({one("mkdir " + folder), file_read(folder + "/provider", "sev_guest\n"),
              file_read(folder + "/generation", "7\n"),
              file_read(folder + "/privlevel_floor", "1\n"),
              file_write(folder + "/privlevel", as_bytes("1\n")),
              file_write(folder + "/inblob", report_data()),
              file_read(folder + "/outblob", {snp().report}), file_read(folder + "/auxblob", ""),
              file_read(folder + "/generation", "9\n"), one("rmdir " + folder)}));
  EXPECT_TRUE(evidence) << evidence.error().message;
}

TEST(CollectTsm, ARaceIsTriedAgainAndInTheEndGivenUp) {
  const std::vector<Step> race = Tsm{.after = "2\n"}.steps();
  EXPECT_TRUE(collect("sev-snp", joined({race, one("wait 5"), Tsm().steps()})));
  std::vector<std::vector<Step>> parts = {race};
  for (const unsigned wait : {5U, 10U, 20U, 40U, 80U, 160U, 320U}) {
    parts.push_back(one("wait " + std::to_string(wait)));
    parts.push_back(race);
  }
  const auto given_up = collect("sev-snp", joined(parts));
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().kind, ErrorKind::kNetwork);
  // The kernel itself says that it would block.
  const std::string folder = tsm_folder();
  std::vector<Step> busy = joined(
      {one("mkdir " + folder), file_read(folder + "/provider", "sev_guest\n"),
       file_read(folder + "/generation", "0\n"),
       one("open r " + folder + "/privlevel_floor", -ENOENT),
       file_write(folder + "/inblob", report_data()), one("open r " + folder + "/outblob", 3),
       one("read 3", -EWOULDBLOCK), one("close 3"), one("rmdir " + folder)});
  EXPECT_TRUE(collect("sev-snp", joined({busy, one("wait 5"), Tsm().steps()})));
}

TEST(CollectTsm, AFolderThatIsThereIsNotTaken) {
  std::vector<Step> steps = Tsm().steps();
  for (Step& step : steps) {
    if (const auto at = step.call.find(tsm_folder(0)); at != std::string::npos) {
      step.call.replace(at, tsm_folder(0).size(), tsm_folder(1));
    }
  }
  EXPECT_TRUE(collect("sev-snp", joined({one("mkdir " + tsm_folder(0), -EEXIST), steps})));
}

TEST(CollectTsm, WhatIsNoReportIsRefused) {
  const auto kind_of = [](const Tsm& tsm, std::string_view kind = "sev-snp") {
    const auto evidence = collect(kind, tsm.steps());
    return evidence ? std::nullopt : std::optional(evidence.error().kind);
  };
  EXPECT_EQ(kind_of({.report = {Bytes(1184, 0x5a)}}), ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({.report = {}}), ErrorKind::kBadInput);
  Bytes other = snp().report;
  other[0x50] ^= 1;  // over other report data
  EXPECT_EQ(kind_of({.report = {other}}), ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({.provider = "tdx_guest\n"}, "tdx"), ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({.table = Bytes(48, 0x77)}), ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({.after = "many\n"}), ErrorKind::kBadInput);
  // Longer than any report: reading stops.
  const std::string folder = tsm_folder();
  std::vector<Step> endless = joined(
      {one("mkdir " + folder), file_read(folder + "/provider", "sev_guest\n"),
       file_read(folder + "/generation", "0\n"),
       one("open r " + folder + "/privlevel_floor", -ENOENT),
       file_write(folder + "/inblob", report_data()), one("open r " + folder + "/outblob", 3)});
  for (int i = 0; i < 17; ++i) endless.push_back({.call = "read 3", .data = Bytes(4096, 1)});
  endless = joined({endless, one("close 3"), one("rmdir " + folder)});
  const auto oversized = collect("sev-snp", endless);
  ASSERT_FALSE(oversized);
  EXPECT_EQ(oversized.error().kind, ErrorKind::kBadInput);
}

TEST(CollectTsm, TheSystemsRefusalsAreTold) {
  const std::string folder = tsm_folder();
  const auto refused = collect("sev-snp", one("mkdir " + folder, -EACCES));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kIo);
  EXPECT_NE(refused.error().message.find("run as root"), std::string::npos);
  const auto other = collect(
      "sev-snp", joined({one("mkdir " + folder), file_read(folder + "/provider", "tdx_guest\n"),
                         one("rmdir " + folder)}));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::kUsage);
  auto partly = file_write(folder + "/inblob", report_data());
  partly[1].result = 10;
  const auto part = collect(
      "sev-snp", joined({one("mkdir " + folder), file_read(folder + "/provider", "sev_guest\n"),
                         file_read(folder + "/generation", "0\n"),
                         one("open r " + folder + "/privlevel_floor", -ENOENT), partly,
                         one("rmdir " + folder)}));
  ASSERT_FALSE(part);
  EXPECT_EQ(part.error().kind, ErrorKind::kIo);
}

// What an SNP device answers: firmware status, size, 24 reserved bytes, the report.
std::function<void(void*)> answer(std::uint32_t status, std::uint32_t size, const Bytes& report,
                                  const Bytes& table) {
  return [=](void* argument) {
    auto* call = static_cast<snp_guest_request_ioctl*>(argument);
    auto* response = reinterpret_cast<snp_report_resp*>(call->resp_data);
    store_le(response->data, status);
    store_le(response->data + 4, size);
    std::ranges::copy(report, response->data + 32);
    if (table.empty()) return;
    const auto* request = reinterpret_cast<snp_ext_report_req*>(call->req_data);
    EXPECT_LE(table.size(), request->certs_len);
    EXPECT_TRUE(std::ranges::equal(request->data.user_data, report_data()));
    std::ranges::copy(table, reinterpret_cast<std::uint8_t*>(request->certs_address));
  };
}

Result<CollectedEvidence> collect_device(const std::vector<Step>& ioctls) {
  Transcript transcript(joined({one("open rw " + kSev, 3), ioctls, one("close 3")}));
  return sev_device_source(transcript)->collect(report_data());
}

TEST(CollectDevice, ReportsWithAndWithoutTheHostsTable) {
  const Bytes& report = snp().report;
  const Step good = {.call = kExtendedReport,
                     .effect = answer(0, 1184, report, certificate_table())};
  const auto evidence = collect_device({good});
  ASSERT_TRUE(evidence) << evidence.error().message;
  EXPECT_EQ(evidence->report, report);
  EXPECT_EQ(evidence->extra.size(), 1U);
  const Step host_error = {.call = kExtendedReport, .result = -EIO, .effect = [](void* argument) {
                             static_cast<snp_guest_request_ioctl*>(argument)->vmm_error = 1;
                           }};
  const Step plain = {.call = kReport, .effect = answer(0, 1184, report, {})};
  const auto without = collect_device({host_error, plain});
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_TRUE(without->extra.empty());
  // Level 0 is not this guest's.
  const Step other_level = {.call = kExtendedReport, .effect = answer(0x16, 0, {}, {})};
  EXPECT_TRUE(collect_device({other_level, good}));
}

TEST(CollectDevice, AnswersThatAreNoReport) {
  const Bytes& report = snp().report;
  const auto kind_of = [](std::vector<Step> steps) {
    const auto evidence = collect_device(steps);
    return evidence ? std::nullopt : std::optional(evidence.error().kind);
  };
  EXPECT_EQ(kind_of({{.call = kExtendedReport, .effect = answer(0x27, 1184, report, {})}}),
            ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({{.call = kExtendedReport, .effect = answer(0, 0xffffffff, report, {})}}),
            ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({{.call = kExtendedReport, .effect = answer(0, 1183, report, {})}}),
            ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({{.call = kExtendedReport, .effect = answer(0, 1184, report, Bytes(48, 9))}}),
            ErrorKind::kBadInput);
  EXPECT_EQ(kind_of({{.call = kExtendedReport, .result = -EIO}}), ErrorKind::kIo);
}

TEST(CertificateTable, EntriesStayInside) {
  EXPECT_EQ(certificates_of_table({})->size(), 0U);
  EXPECT_EQ(certificates_of_table(Bytes(4096, 0))->size(), 0U);
  EXPECT_EQ(certificates_of_table(certificate_table())->size(), 1U);
  for (const auto& [offset, size] :
       {std::pair(0U, 0xffffffffU), std::pair(0xffffffffU, 1U), std::pair(25U, 24U)}) {
    Bytes table(16, 1);
    append_le(table, offset);
    append_le(table, size);
    table.resize(48, 0);
    EXPECT_FALSE(certificates_of_table(table)) << offset;
  }
  Bytes endless;
  for (int i = 0; i < 40; ++i) {
    endless.resize(endless.size() + 16, 1);
    endless.resize(endless.size() + 8, 0);
  }
  EXPECT_FALSE(certificates_of_table(endless));
}

std::vector<Step> probe(std::string_view provider) {
  return joined({one("open r " + kRoot, 3), one("mkdir " + kRoot + "/otr-probe-0"),
                 file_read(kRoot + "/otr-probe-0/provider", provider),
                 one("rmdir " + kRoot + "/otr-probe-0"), one("close 3")});
}

// The kind that is opened, or the kind of the error.
std::string opened(std::string_view kind, std::vector<Step> steps) {
  Transcript transcript(std::move(steps));
  const auto source = open_tee(transcript, kind);
  if (!source) return source.error().kind == ErrorKind::kUsage ? "usage" : "io";
  EXPECT_TRUE((*source)->hardware());
  return std::string((*source)->kind());
}

TEST(OpenTee, FindsTheHardwareAndNothingElse) {
  const auto no_tsm = one("open r " + kRoot, -ENOENT), no_sev = one("open rw " + kSev, -ENOENT),
             no_tdx = one("open rw " + kTdx, -ENOENT),
             sev = joined({one("open rw " + kSev, 3), one("close 3")});
  EXPECT_EQ(opened("auto", probe("tdx_guest\n")), "tdx");
  EXPECT_EQ(opened("auto", probe("sev_guest\n")), "sev-snp");
  EXPECT_EQ(opened("tdx", probe("sev_guest\n")), "usage");
  EXPECT_EQ(opened("auto", probe("arm_cca_guest\n")), "usage");
  EXPECT_EQ(opened("auto", joined({no_tsm, sev})), "sev-snp");
  EXPECT_EQ(opened("tdx", joined({no_tsm, sev})), "usage");
  EXPECT_EQ(opened("auto", joined({no_tsm, no_sev, no_tdx})), "usage");
  EXPECT_EQ(opened("auto", one("open r " + kRoot, -EACCES)), "io");
  EXPECT_EQ(opened("auto", joined({no_tsm, one("open rw " + kSev, -EACCES)})), "io");
  // No provider behind configfs-tsm.
  const auto no_provider =
      joined({one("open r " + kRoot, 3), one("mkdir " + kRoot + "/otr-probe-0"),
              one("open r " + kRoot + "/otr-probe-0/provider", 3), one("read 3", -ENXIO),
              one("close 3"), one("rmdir " + kRoot + "/otr-probe-0"), one("close 3")});
  EXPECT_EQ(opened("auto", joined({no_provider, sev})), "sev-snp");
  // A TDX guest whose kernel gives no quotes is told so.
  Transcript old_kernel(
      joined({no_tsm, no_sev, one("open rw " + kTdx, 3), one(kTdReport), one("close 3")}));
  const auto source = open_tee(old_kernel, "auto");
  ASSERT_FALSE(source);
  EXPECT_NE(source.error().message.find("TDREPORT"), std::string::npos);
  EXPECT_EQ(opened("magic", {}), "usage");
  EXPECT_EQ(opened("simulated", {}), "usage");  // without a folder
}

TEST(OpenTee, AutoNeverFallsBackToTheSimulator) {
  const SimulatedOptions options{.folder = testing::TempDir() + "never-made"};
  Transcript transcript(joined({one("open r " + kRoot, -ENOENT), one("open rw " + kSev, -ENOENT),
                                one("open rw " + kTdx, -ENOENT)}));
  EXPECT_FALSE(open_tee(transcript, "auto", options));
  EXPECT_FALSE(std::filesystem::exists(options.folder));
}

}  // namespace
}  // namespace otr::node
