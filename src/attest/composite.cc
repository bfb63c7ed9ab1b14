#include "attest/composite.h"

#include <algorithm>
#include <map>

#include "attest/encoding.h"
#include "attest/event_log.h"
#include "crypto/sha256.h"

namespace otr::attest {
namespace {

constexpr std::string_view kTied = "CPU and GPU evidence belong together";

std::string short_hex(ByteView bytes) {
  const std::string hex = to_plain_hex(bytes);
  return hex.size() <= 24 ? hex : hex.substr(0, 16) + "…";
}

// One of the hashes that a Tinfoil document states, 32 bytes.
std::optional<Bytes> stated(const Json& report_data, std::string_view key) {
  if (!report_data.is_object()) return std::nullopt;
  const auto found = report_data.find(key);
  if (found == report_data.end() || !found->is_string()) return std::nullopt;
  auto bytes = from_plain_hex(found->get_ref<const std::string&>());
  if (!bytes || bytes->size() != sizeof(Hash)) return std::nullopt;
  return bytes;
}

// That the stated hash is the one of the bytes that came; true where neither is there.
bool check_evidence_hash(Checks& checks, const std::string& name, const std::optional<Bytes>& hash,
                         const std::string& text) {
  if (text.empty() && !hash) return true;
  if (!hash) {
    return checks.fail(Code::kBindingMismatch, name,
                       "the document does not state the hash of it (32 bytes)");
  }
  const Hash of_text = crypto::sha256(as_bytes(text));
  return checks.require(
      std::ranges::equal(of_text, *hash), Code::kBindingMismatch, name,
      "stated " + short_hex(*hash) + ", of the bytes that came " + short_hex(of_text));
}

// REPORTDATA = SHA-256(tls_key_fp ‖ hpke_key ‖ nonce ‖ gpu hash [‖ switch hash]) and 32 zeros.
void check_tinfoil(Checks& checks, const Binding& binding, std::span<const CpuPiece> cpus,
                   std::span<const GpuPiece> gpus, const Expected& expected) {
  const auto tls = stated(binding.report_data, "tls_key_fp"),
             hpke = stated(binding.report_data, "hpke_key"),
             nonce = stated(binding.report_data, "nonce"),
             gpu = stated(binding.report_data, "gpu_evidence_hash"),
             nvswitch = stated(binding.report_data, "nvswitch_evidence_hash");
  if (!tls || !hpke || !nonce) {
    checks.fail(Code::kMalformed, kTied,
                "report_data lacks tls_key_fp, hpke_key or nonce, each of 32 bytes");
    return;
  }
  check_evidence_hash(checks, "GPU evidence is the one that was hashed", gpu,
                      binding.gpu_evidence_text);
  check_evidence_hash(checks, "switch evidence is the one that was hashed", nvswitch,
                      binding.switch_evidence_text);
  Bytes joined = *tls;
  for (const auto* part : {&hpke, &nonce, &gpu, &nvswitch}) {
    if (*part) append(joined, **part);
  }
  Bytes wanted(64);
  std::ranges::copy(crypto::sha256(joined), wanted.begin());
  const bool bound =
      std::ranges::any_of(cpus, [&](const CpuPiece& cpu) { return cpu.report_data == wanted; });
  checks.require(bound, Code::kBindingMismatch, kTied,
                 bound ? "report data is the hash of TLS key, HPKE key, nonce and GPU evidence"
                       : "no report data is " + short_hex(wanted) +
                             ", the hash of the stated keys, nonce and evidence");
  for (const GpuPiece& piece : gpus) {
    checks.require(std::ranges::equal(piece.report.nonce, *nonce), Code::kNonceMismatch,
                   "GPU was asked with the document's nonce",
                   piece.name + ": " + short_hex(piece.report.nonce));
  }
  if (expected.nonce) {
    checks.require(*expected.nonce == *nonce, Code::kNonceMismatch, "nonce is the expected one",
                   "stated " + short_hex(*nonce) + ", expected " + short_hex(*expected.nonce));
  }
}

bool holds(ByteView report_data, ByteView nonce) {
  if (report_data.size() != 64) return false;
  return std::ranges::equal(report_data.first(32), nonce) ||
         std::ranges::equal(report_data.last(32), nonce);
}

// No document: the plain ties.
void check_plain(Checks& checks, std::span<const CpuPiece> cpus, std::span<const GpuPiece> gpus,
                 const Expected& expected) {
  if (expected.report_data && expected.gpu_nonces.size() == gpus.size()) {
    checks.pass(kTied, "report data and nonces are those that the relying party derived");
    return;
  }
  for (const GpuPiece& gpu : gpus) {
    const auto cpu = std::ranges::find_if(
        cpus, [&](const CpuPiece& one) { return holds(one.report_data, gpu.report.nonce); });
    checks.require(cpu != cpus.end(), Code::kBindingMismatch, kTied,
                   cpu != cpus.end()
                       ? "the nonce of " + gpu.name + " is in the report data of " + cpu->name
                       : "nothing in the CPU's evidence speaks of " + gpu.name +
                             ": report data holds neither its nonce nor a hash that a document "
                             "explains; verify them apart if they are meant to be apart");
  }
}

void check_count(Checks& checks, std::string_view what, std::size_t found,
                 std::optional<std::uint32_t> wanted) {
  if (wanted == 0u) return checks.pass(what, std::to_string(found) + "; the policy takes any");
  const std::size_t count = wanted.value_or(1);
  checks.require(found == count, Code::kDeviceRefused, what,
                 std::to_string(found) + (found == count ? "" : ", the policy wants ") +
                     (found == count ? "" : std::to_string(count)));
}

// Whether the policy takes evidence of this kind whatever software it measures.
bool takes_any_software(Kind kind, const Policy& policy) {
  switch (kind) {
    case Kind::kTdx:
      return policy.tdx && policy.tdx->mrtd.any && policy.tdx->rtmr1.any && policy.tdx->rtmr2.any;
    case Kind::kSgx:
      return policy.sgx && policy.sgx->mrenclave.any;
    case Kind::kSevSnp:
      return policy.snp && policy.snp->measurement.any;
    case Kind::kNitro: {
      if (!policy.nitro) return false;
      const auto pcr = policy.nitro->pcrs.find(0);
      return pcr != policy.nitro->pcrs.end() && pcr->second.any;
    }
    case Kind::kSimulated:
      return policy.simulated && policy.simulated->measurement.any;
    default:
      return false;
  }
}

bool is_cpu_hardware(Kind kind) {
  return kind == Kind::kTdx || kind == Kind::kSgx || kind == Kind::kSevSnp;
}

}  // namespace

void check_devices(Checks& checks, std::span<const GpuPiece> gpus, const Policy& policy) {
  std::map<Bytes, std::string> seen;
  std::size_t switches = 0;
  bool unique = true;
  for (const GpuPiece& gpu : gpus) {
    switches += gpu.report.is_switch ? 1 : 0;
    if (!gpu.found) continue;
    const auto [at, is_new] = seen.emplace(gpu.found->ueid, gpu.name);
    if (is_new) continue;
    unique = checks.fail(Code::kDeviceRefused, "no device is there twice",
                         gpu.name + " is the device of " + at->second);
  }
  if (unique && gpus.size() > 1) {
    checks.pass("no device is there twice", std::to_string(seen.size()) + " serial numbers");
  }
  // A stated number also counts where there is none.
  if (policy.gpu && (gpus.size() > switches || policy.gpu->count.value_or(0) > 0)) {
    check_count(checks, "number of GPUs", gpus.size() - switches, policy.gpu->count);
  }
  if (policy.nvswitch && (switches > 0 || policy.nvswitch->count.value_or(0) > 0)) {
    check_count(checks, "number of switches", switches, policy.nvswitch->count);
  }
}

void check_binding(Checks& checks, const std::optional<Binding>& binding,
                   std::span<const CpuPiece> cpus, std::span<const GpuPiece> gpus,
                   const Expected& expected) {
  for (const GpuPiece& gpu : gpus) {
    if (!gpu.stated_nonce || std::ranges::equal(gpu.report.nonce, *gpu.stated_nonce)) continue;
    checks.fail(Code::kNonceMismatch, "report has the nonce that is stated beside it",
                gpu.name + ": signed " + short_hex(gpu.report.nonce) + ", stated " +
                    short_hex(*gpu.stated_nonce));
  }
  if (!expected.gpu_nonces.empty()) {
    checks.require(gpus.size() == expected.gpu_nonces.size(), Code::kDeviceRefused,
                   "as many GPUs as were asked",
                   std::to_string(gpus.size()) + " reports, " +
                       std::to_string(expected.gpu_nonces.size()) + " nonces");
  }
  if (binding) return check_tinfoil(checks, *binding, cpus, gpus, expected);
  if (!cpus.empty() && !gpus.empty()) check_plain(checks, cpus, gpus, expected);
}

std::vector<std::string> left_open(std::span<const Verdict> verdicts,
                                   std::span<const GpuPiece> gpus, bool has_cpu,
                                   const Policy& policy, const Expected& expected) {
  std::vector<std::string> open;
  const auto any_kind = [&](const auto& of) {
    return std::ranges::any_of(verdicts, of, &Verdict::kind);
  };
  const auto any_gpu = [&](const auto& of) { return std::ranges::any_of(gpus, of); };
  if (any_kind([](Kind kind) { return kind == Kind::kSimulated; })) {
    open.emplace_back(
        "anything about a machine: a part of this is SIMULATED, and whoever holds the simulator's "
        "key can write it");
  }
  if (any_kind([&](Kind kind) { return takes_any_software(kind, policy); })) {
    open.emplace_back("which software runs there: the policy accepts any measurement");
  }
  if (!expected.nonce && !expected.report_data && expected.gpu_nonces.empty()) {
    open.emplace_back(
        "when and for whom the evidence was made: no nonce or report data was expected, so it may "
        "be a copy of somebody else's");
  }
  if (!gpus.empty()) {
    open.emplace_back(
        has_cpu ? "that the GPU is attached to this machine: until TDISP, a genuine GPU "
                  "elsewhere can answer for it if the guest is not known to ask its own"
                : "which machine the GPU is in, and what runs there: there is no evidence "
                  "of a CPU");
  }
  if (any_gpu([](const GpuPiece& one) { return one.found && !one.found->rims_match; })) {
    open.emplace_back(
        "which firmware the GPU runs: its measurements were not compared with reference values");
  }
  if (any_gpu([](const GpuPiece& one) { return one.found && !one.found->ocsp_good; })) {
    open.emplace_back("that the GPU's certificates are not revoked: no OCSP answers were checked");
  }
  if (any_kind(is_cpu_hardware)) {
    open.emplace_back(
        "that nobody has put a device on the memory bus: such attacks forge CPU evidence, and "
        "vendors do not revoke keys for them");
  }
  return open;
}

void check_event_logs(Checks& checks, std::span<const Item> logs, std::span<const CpuPiece> cpus,
                      Json& facts) {
  constexpr std::string_view kReplays = "event log replays to the quote's registers";
  for (const Item& log : logs) {
    const auto events = parse_event_log(as_text(log.bytes), log.name);
    if (!events) {
      checks.fail(code_named(events.error().code).value_or(Code::kMalformed), kReplays,
                  events.error().message);
      continue;
    }
    const std::array<Rtmr, 4> registers = replay(*events);
    const bool fits = std::ranges::any_of(cpus, [&](const CpuPiece& cpu) {
      return cpu.quote != nullptr && cpu.quote->td.rtmr == registers;
    });
    facts["events"] = event_facts(*events);
    if (fits) {
      checks.pass(kReplays, std::to_string(events->size()) + " events");
      continue;
    }
    std::string differing;
    for (const CpuPiece& cpu : cpus) {
      for (unsigned i = 0; cpu.quote != nullptr && i < registers.size(); ++i) {
        if (cpu.quote->td.rtmr[i] != registers[i]) differing += " RTMR" + std::to_string(i);
      }
    }
    checks.fail(Code::kTampered, kReplays,
                log.name + (differing.empty() ? ": there is no TDX quote to replay against"
                                              : ": differs at" + differing));
  }
}

}  // namespace otr::attest
