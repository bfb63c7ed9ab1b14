// What it costs to judge evidence, one thread, everything in memory: each kind from bytes to
// verdict, and beside them, in the same run, single signature checks of OpenSSL, so that a reader
// can tell the machine from the code.
//
// Real quotes are read from ../shared/attestation-samples; where it is absent those rows are
// skipped, loudly. GPU and SNP evidence is generated under test roots.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>
#include <vector>

#include "attest/anchors.h"
#include "attest/bundle.h"
#include "attest/test_gpus.h"
#include "attest/test_snp.h"
#include "env/file.h"

namespace otr::attest {
namespace {

namespace fs = std::filesystem;
using test::GpuMaker;
using test::KeyKind;

std::vector<Item> samples(const std::vector<std::string>& paths) {
  std::vector<Item> items;
  const fs::path folder = fs::path(OTR_SOURCE_DIR) / "../shared/attestation-samples";
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (fs::is_directory(folder / path, ignored)) {
      for (const auto& entry : fs::directory_iterator(folder / path, ignored)) {
        if (auto bytes = env::read_file(entry.path(), kMaxItemBytes)) {
          items.push_back({entry.path().string(), std::move(*bytes)});
        }
      }
    } else if (auto bytes = env::read_file(folder / path, kMaxItemBytes)) {
      items.push_back({path, std::move(*bytes)});
    }
  }
  return items;
}

Policy genuine() { return *parse_policy(*built_in_policy("genuine")); }

// Bytes to verdict, with or without the sorting of files, every time anew.
void judge(benchmark::State& state, const std::vector<Item>& items, const Policy& policy,
           const Anchors& anchors, Time at, bool sorting, VerifiedCache* cache = nullptr) {
  if (items.empty()) {
    state.SkipWithError("NOT MEASURED: ../shared/attestation-samples is absent");
    return;
  }
  auto bundle = sort_items(items);
  if (!bundle || !appraise(*bundle, policy, {}, anchors, at).accepted()) {
    state.SkipWithError("NOT MEASURED: the evidence is not accepted");
    return;
  }
  for (auto iteration : state) {
    if (sorting) bundle = sort_items(items);
    benchmark::DoNotOptimize(appraise(*bundle, policy, {}, anchors, at, cache).accepted());
  }
}

void tdx(benchmark::State& state) {
  judge(state, samples({"tdx/v4-b0c06f-uptodate"}), genuine(), vendor_anchors(),
        *parse_time("2025-06-20"), state.range(0) != 0);
}
BENCHMARK(tdx)->Arg(0)->Arg(1)->ArgName("sorting")->Unit(benchmark::kMillisecond);

void tdx_5(benchmark::State& state) {
  judge(state, samples({"tdx/v5-sample-uptodate/quote.bin", "tdx/v5-90c06f-tcb-rollover/2026-03"}),
        genuine(), vendor_anchors(), *parse_time("2026-03-20"), state.range(0) != 0);
}
BENCHMARK(tdx_5)->Arg(0)->Arg(1)->ArgName("sorting")->Unit(benchmark::kMillisecond);

void sgx(benchmark::State& state) {
  Policy policy = genuine();
  policy.sgx->tcb.statuses = {"ConfigurationAndSWHardeningNeeded"};
  policy.sgx->tcb.tolerated_advisories = {"INTEL-SA-00289", "INTEL-SA-00615"};
  judge(state, samples({"sgx/v3-sw-hardening"}), policy, vendor_anchors(),
        *parse_time("2025-06-20"), false);
}
BENCHMARK(sgx)->Unit(benchmark::kMillisecond);

void composite_tdx_h200(benchmark::State& state) {
  std::vector<Item> items = samples({"composite/tinfoil-v3-tdx-h200"});
  std::erase_if(items, [](const Item& item) { return item.name.find("nras") != item.name.npos; });
  judge(state, items, genuine(), vendor_anchors(), *parse_time("2026-06-29T02:13:30Z"),
        state.range(0) != 0);
}
BENCHMARK(composite_tdx_h200)->Arg(0)->Arg(1)->ArgName("sorting")->Unit(benchmark::kMillisecond);

// A GPU report with both manifests and OCSP answers about every certificate.
void gpu(benchmark::State& state) {
  static const GpuMaker maker;
  std::vector<Item> items = {{"report", maker.report({})}};
  const auto add = [&](const std::string& text) {
    const ByteView bytes = as_bytes(text);
    items.push_back({"item", Bytes(bytes.begin(), bytes.end())});
  };
  add(test::to_pem(maker.chain()));
  add(maker.rim(maker.driver_rim()));
  add(maker.rim(maker.vbios_rim()));
  for (const Bytes& answer : maker.ocsp()) items.push_back({"answer", answer});
  Policy policy = genuine();
  policy.gpu->require_rims = policy.gpu->require_ocsp = true;
  VerifiedCache cache;
  judge(state, items, policy, maker.anchors(), test::kTestNow, state.range(1) != 0,
        state.range(0) != 0 ? &cache : nullptr);
}
BENCHMARK(gpu)
    ->Args({0, 0})
    ->Args({0, 1})
    ->Args({1, 0})
    ->ArgNames({"warm", "sorting"})
    ->Unit(benchmark::kMillisecond);

void snp(benchmark::State& state) {
  const test::SnpEvidence evidence = test::make_snp({});
  std::vector<Item> items = {{"report", evidence.report}};
  for (const Certificate& one : evidence.collateral.certificates) {
    items.push_back({"certificate", Bytes(one.der().begin(), one.der().end())});
  }
  judge(state, items, test::snp_test_policy(), test::snp_test_anchors(), test::kTestNow, false);
}
BENCHMARK(snp)->Unit(benchmark::kMillisecond);

void snp_sample(benchmark::State& state) {
  judge(state, samples({"snp/milan-virtee"}), genuine(), vendor_anchors(),
        *parse_time("2024-01-01"), false);
}
BENCHMARK(snp_sample)->Unit(benchmark::kMillisecond);

void nitro(benchmark::State& state) {
  judge(state, samples({"nitro/attestation.cose"}), genuine(), vendor_anchors(),
        *parse_time("2025-12-25T17:00:00Z"), false);
}
BENCHMARK(nitro)->Unit(benchmark::kMillisecond);

// The peer: one signature check.
void openssl_ecdsa(benchmark::State& state) {
  const bool is_384 = state.range(0) == 384;
  const auto key = test::SigningKey::make(is_384 ? KeyKind::kP384 : KeyKind::kP256);
  const Digest digest = is_384 ? Digest::kSha384 : Digest::kSha256;
  const Bytes message(1000, 7), r_s = key.sign(digest, message);
  const PublicKey public_key = key.public_key();
  for (auto iteration : state) {
    benchmark::DoNotOptimize(public_key.verify_ecdsa(digest, message, r_s));
  }
}
BENCHMARK(openssl_ecdsa)->Arg(256)->Arg(384)->ArgName("bits")->Unit(benchmark::kMillisecond);

void openssl_rsa_4096_pss(benchmark::State& state) {
  const auto key = test::SigningKey::make(KeyKind::kRsa4096);
  const Bytes message(1000, 7), signature = key.certificate_signature(message);
  const PublicKey public_key = key.public_key();
  for (auto iteration : state) {
    benchmark::DoNotOptimize(public_key.verify_rsa_pss(Digest::kSha384, message, signature));
  }
}
BENCHMARK(openssl_rsa_4096_pss)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace otr::attest

BENCHMARK_MAIN();
