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

// What GPUs signed in a text that a document's hash covers.
std::vector<Bytes> signed_in(const std::string& text) {
  std::vector<Bytes> parts;
  const Item item{.name = "evidence", .bytes = Bytes(text.begin(), text.end())};
  const auto bundle = sort_items(std::span(&item, 1));
  for (std::size_t i = 0; bundle && i < bundle->gpus.size(); ++i) {
    if (auto report = parse_gpu_report(bundle->gpus[i].report)) {
      parts.push_back(std::move(report->signed_part));
    }
  }
  return parts;
}

// A nonce alone ties no GPU to a document: whoever asks two machines with it has both answers.
void check_covered(Checks& checks, const Binding& binding, std::span<const GpuPiece> gpus,
                   ByteView nonce) {
  std::vector<Bytes> covered = signed_in(binding.gpu_evidence_text);
  for (Bytes& part : signed_in(binding.switch_evidence_text)) covered.push_back(std::move(part));
  for (const GpuPiece& piece : gpus) {
    const bool is_covered = std::ranges::find(covered, piece.report.signed_part) != covered.end();
    checks.require(is_covered, Code::kBindingMismatch, "GPU report is in the hashed evidence",
                   piece.name + (is_covered ? "" : ": no hash of the document covers it"));
    checks.require(std::ranges::equal(piece.report.nonce, nonce), Code::kNonceMismatch,
                   "GPU was asked with the document's nonce",
                   piece.name + ": " + short_hex(piece.report.nonce));
  }
}

// REPORTDATA = SHA-256(tls_key_fp ‖ hpke_key ‖ nonce ‖ gpu hash [‖ switch hash]) and 32 zeros.
void check_tinfoil(Checks& checks, const Binding& binding, const Pieces& pieces,
                   const Expected& expected) {
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
  const bool bound = !pieces.cpus.empty() && std::ranges::all_of(pieces.cpus, [&](const auto& cpu) {
    return cpu.report_data == wanted;
  });
  checks.require(bound, Code::kBindingMismatch, kTied,
                 bound ? "report data is the hash of TLS key, HPKE key, nonce and GPU evidence"
                       : "report data is not " + short_hex(wanted) +
                             ", the hash of the stated keys, nonce and evidence");
  check_covered(checks, binding, pieces.gpus, *nonce);
  if (expected.nonce) {
    checks.require(*expected.nonce == *nonce, Code::kNonceMismatch, "nonce is the expected one",
                   "stated " + short_hex(*nonce) + ", expected " + short_hex(*expected.nonce));
  }
}

bool holds(ByteView report_data, ByteView nonce) {
  if (report_data.size() != 64 || nonce.size() != 32) return false;
  return std::ranges::equal(report_data.first(32), nonce) ||
         std::ranges::equal(report_data.last(32), nonce);
}

// That the report data of some CPU holds the nonce of what is named.
void check_held(Checks& checks, std::span<const CpuPiece> cpus, const std::string& name,
                ByteView nonce) {
  const auto cpu = std::ranges::find_if(
      cpus, [&](const CpuPiece& one) { return holds(one.report_data, nonce); });
  checks.require(cpu != cpus.end(), Code::kBindingMismatch, kTied,
                 cpu != cpus.end()
                     ? "the nonce of " + name + " is in the report data of " + cpu->name
                     : "nothing in the CPU's evidence speaks of " + name +
                           ": report data holds neither its nonce nor a hash that a document "
                           "explains; verify them apart if they are meant to be apart");
}

// Appraisal held report data and nonces against what the relying party derived.
bool is_derived(const Pieces& pieces, const Expected& expected) {
  const bool nonces = expected.gpu_nonces.empty()
                          ? expected.nonce.has_value()
                          : expected.gpu_nonces.size() == pieces.gpus.size();
  return expected.report_data && nonces;
}

// No document: the plain ties.
void check_plain(Checks& checks, const Pieces& pieces, const Expected& expected) {
  if (is_derived(pieces, expected)) {
    checks.pass(kTied, "report data and nonces are those that the relying party derived");
    return;
  }
  for (const GpuPiece& gpu : pieces.gpus) {
    check_held(checks, pieces.cpus, gpu.name, gpu.report.nonce);
  }
}

void check_cpus(Checks& checks, std::span<const CpuPiece> cpus, const Expected& expected) {
  if (cpus.size() < 2) return;
  const bool tied = expected.report_data || expected.nonce;
  checks.require(tied, Code::kBindingMismatch, "evidence of several CPUs belongs together",
                 tied ? "each was held against what the relying party expects"
                      : cpus[0].name + " and " + cpus[1].name +
                            ": nothing ties them; verify them apart, or expect a nonce or report "
                            "data of all of them");
}

// A token speaks of its devices to whoever asked: of the GPUs that are here, or for the CPU.
void check_tokens(Checks& checks, bool has_document, const Pieces& pieces,
                  const Expected& expected) {
  constexpr std::string_view kName = "token speaks of the GPUs that are here";
  for (const TokenPiece& token : pieces.tokens) {
    for (const std::string& ueid : token.ueids) {
      if (pieces.gpus.empty()) break;
      const bool found = std::ranges::any_of(pieces.gpus, [&](const GpuPiece& gpu) {
        return gpu.found && gpu.found->ueid_decimal == ueid &&
               std::ranges::equal(gpu.report.nonce, token.nonce);
      });
      checks.require(
          found, Code::kBindingMismatch, kName,
          token.name + ": device " + ueid +
              (found ? "" : " with nonce " + short_hex(token.nonce) + " is none of them"));
    }
    if (!pieces.gpus.empty() || pieces.cpus.empty()) continue;
    if (has_document) {
      checks.fail(Code::kBindingMismatch, kName,
                  token.name +
                      ": the document binds no GPU evidence, so nothing says that its "
                      "machine has these devices");
    } else if (!(expected.report_data && expected.nonce)) {
      check_held(checks, pieces.cpus, token.name, token.nonce);
    }
  }
}

// Without a CPU, only the question can be common to several pieces.
void check_one_nonce(Checks& checks, const Pieces& pieces, const Expected& expected) {
  if (pieces.gpus.size() + pieces.tokens.size() < 2) return;
  std::vector<Bytes> nonces;
  for (const GpuPiece& gpu : pieces.gpus) {
    nonces.emplace_back(gpu.report.nonce.begin(), gpu.report.nonce.end());
  }
  for (const TokenPiece& token : pieces.tokens) nonces.push_back(token.nonce);
  const bool derived = !expected.gpu_nonces.empty();
  const bool one =
      std::ranges::all_of(nonces, [&](const Bytes& nonce) { return nonce == nonces.front(); });
  checks.require(one || derived, Code::kBindingMismatch, "all pieces answer one question",
                 derived ? "the relying party derived a nonce for each"
                 : one   ? "nonce " + short_hex(nonces.front())
                       : "their nonces differ and there is no CPU to tie them; verify them apart");
}

// What is expected must be held against something.
void check_expected(Checks& checks, const Pieces& pieces, const Expected& expected) {
  if (!expected.report_data || !pieces.cpus.empty()) return;
  checks.fail(Code::kBindingMismatch, "report data is what was expected",
              "there is no evidence of a CPU that could be read, and nothing else holds report "
              "data");
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

void check_binding(Checks& checks, const std::optional<Binding>& binding, const Pieces& pieces,
                   const Expected& expected) {
  for (const GpuPiece& gpu : pieces.gpus) {
    if (!gpu.stated_nonce || std::ranges::equal(gpu.report.nonce, *gpu.stated_nonce)) continue;
    checks.fail(Code::kNonceMismatch, "report has the nonce that is stated beside it",
                gpu.name + ": signed " + short_hex(gpu.report.nonce) + ", stated " +
                    short_hex(*gpu.stated_nonce));
  }
  if (!expected.gpu_nonces.empty()) {
    checks.require(pieces.gpus.size() == expected.gpu_nonces.size(), Code::kDeviceRefused,
                   "as many GPUs as were asked",
                   std::to_string(pieces.gpus.size()) + " reports, " +
                       std::to_string(expected.gpu_nonces.size()) + " nonces");
  }
  check_expected(checks, pieces, expected);
  if (binding) {
    check_tinfoil(checks, *binding, pieces, expected);
  } else if (pieces.cpus.empty()) {
    check_one_nonce(checks, pieces, expected);
  } else {
    check_cpus(checks, pieces.cpus, expected);
    if (!pieces.gpus.empty()) check_plain(checks, pieces, expected);
  }
  check_tokens(checks, binding.has_value(), pieces, expected);
}

namespace {

// Which certificates of the devices and of their reference values nobody was asked about.
std::string unasked(std::span<const GpuPiece> gpus) {
  std::size_t answered = 0;
  std::vector<std::string> missing;
  for (const GpuPiece& gpu : gpus) {
    if (!gpu.found) continue;
    answered += gpu.found->ocsp_answered;
    for (const std::string& name : gpu.found->ocsp_missing) {
      if (std::ranges::find(missing, name) == missing.end()) missing.push_back(name);
    }
  }
  if (missing.empty()) return {};
  if (answered == 0) {
    return "that the GPU's certificates are not revoked: no OCSP answers were given";
  }
  std::string names;
  for (const std::string& name : missing) names += (names.empty() ? "" : ", ") + name;
  return "that these are not revoked: " + names + "; there is no OCSP answer about them (" +
         std::to_string(answered) + " about others were checked)";
}

// Whether appraisal held the evidence against something that the relying party chose.
bool is_asked_for(const Pieces& pieces, const Expected& expected) {
  return expected.nonce || (expected.report_data && !pieces.cpus.empty()) ||
         (!expected.gpu_nonces.empty() && !pieces.gpus.empty());
}

}  // namespace

std::vector<std::string> left_open(std::span<const Verdict> verdicts,
                                   const std::optional<Binding>& binding, const Pieces& pieces,
                                   const Policy& policy, const Expected& expected) {
  std::vector<std::string> open;
  const std::span<const GpuPiece> gpus = pieces.gpus;
  const bool has_cpu = !pieces.cpus.empty();
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
  if (!is_asked_for(pieces, expected)) {
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
  if (const std::string names = unasked(gpus); !names.empty()) open.push_back(names);
  if (binding) {
    open.emplace_back(
        "that you speak to this machine: compare tls_key_fp or hpke_key with the keys of your "
        "connection. A certificate and a signature in the document itself were not looked at");
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
