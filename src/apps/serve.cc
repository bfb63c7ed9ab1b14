#include "apps/serve.h"

#include <openssl/sha.h>

#include <charconv>
#include <chrono>
#include <thread>

#include "attest/policy.h"
#include "base/hex.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/random.h"
#include "env/signal.h"
#include "service/log.h"

namespace otr::apps {
namespace {

constexpr std::size_t kMaxPolicyBytes = 1 << 20;
constexpr std::size_t kMaxCollateralBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxProgramBytes = std::size_t{4} << 30;
constexpr std::uint32_t kDrainMs = 5'000;

Result<std::vector<protocol::EvidenceItem>> read_collateral(const std::vector<std::string>& files) {
  std::vector<protocol::EvidenceItem> items;
  for (const std::string& file : files) {
    OTR_TRY_ASSIGN(Bytes bytes, env::read_file(file, kMaxCollateralBytes));
    items.push_back({.name = std::filesystem::path(file).filename().string().substr(0, 100),
                     .data = std::move(bytes)});
  }
  return items;
}

Result<crypto::Address> operator_of(const WorkerFlags& flags) {
  if (flags.operator_address.empty()) {
    OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
    OTR_TRY_ASSIGN(const crypto::PrivateKey key, home.key("operator"));
    return key.address();
  }
  OTR_TRY_ASSIGN(const Bytes bytes, from_hex(flags.operator_address, 20, "--operator"));
  crypto::Address address{};
  std::ranges::copy(bytes, address.begin());
  return address;
}

void log_renewal(const Result<Hash>& id) {
  using service::LogLevel;
  const service::Log log;
  if (id)
    return log.write(LogLevel::kInfo, "worker", "session_renewed", {{"session", to_hex(*id)}});
  log.write(LogLevel::kError, "worker", "session_not_renewed", {{"reason", id.error().message}});
}

// GPUs are named in the session where there are some that can be attested; a machine without is
// nothing to complain of.
std::unique_ptr<node::GpuEvidenceSource> open_gpus_if_any(const node::EvidenceSource& tee) {
  if (!tee.hardware()) return nullptr;
  auto gpus = node::open_gpus();
  return gpus ? *std::move(gpus) : nullptr;
}

}  // namespace

Result<net::ServerOptions> parse_listen(const std::string& flag, const std::string& text) {
  const std::size_t colon = text.rfind(':');
  net::ServerOptions options;
  const char* end = text.data() + text.size();
  if (colon != std::string::npos) {
    options.address = text.substr(0, colon);
    if (options.address.starts_with('[') && options.address.ends_with(']')) {
      options.address = options.address.substr(1, options.address.size() - 2);
    }
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, options.port);
    if (error == std::errc() && stop == end && !options.address.empty()) return options;
  }
  return fail(ErrorKind::kUsage,
              flag + " takes an address and a port such as 127.0.0.1:8080, not '" + text + "'");
}

Result<std::filesystem::path> home_folder(const std::string& named) {
  if (!named.empty()) return named;
  return node::Home::default_folder();
}

Result<node::Home> open_home(const std::string& named) {
  OTR_TRY_ASSIGN(const std::filesystem::path folder, home_folder(named));
  return node::Home::open(folder);
}

Result<std::string> read_policy(const std::string& name) {
  if (const auto built_in = attest::built_in_policy(name)) return std::string(*built_in);
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(name, kMaxPolicyBytes));
  return std::string(as_text(bytes));
}

Result<std::string> read_api_key(const std::string& file) {
  if (file.empty()) return std::string();
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(file, 4096));
  std::string_view key = as_text(bytes);
  while (key.ends_with('\n') || key.ends_with('\r')) key.remove_suffix(1);
  return std::string(key);
}

Result<node::Measurement> measure_this_program() {
  OTR_TRY_ASSIGN(const Bytes program, env::read_file("/proc/self/exe", kMaxProgramBytes));
  node::Measurement measurement{};
  ::SHA384(program.data(), program.size(), measurement.data());
  return measurement;
}

std::string simulated_policy(const node::SimulatedTee& tee, const node::Measurement& measurement,
                             const std::string& by) {
  return "# Made by " + by +
         ". SIMULATED: it accepts this installation's simulated TEE, which protects nothing.\n"
         "name = \"simulated, made by " +
         by + "\"\n\n[simulated]\nroots = [\"" + to_hex(tee.root_hash()) +
         "\"]\nmeasurement = [\"" + to_hex(measurement) + "\"]\n";
}

Result<std::unique_ptr<node::EvidenceSource>> open_tee_of(const std::string& kind,
                                                          const std::string& home) {
  if (kind != "simulated") return node::open_tee(kind);
  OTR_TRY_ASSIGN(const node::Measurement measurement, measure_this_program());
  OTR_TRY_ASSIGN(const std::filesystem::path folder, home_folder(home));
  OTR_TRY(node::Home::open(folder));  // makes it, where it is new
  return node::open_tee(kind, node::SimulatedOptions{.folder = folder, .measurement = measurement});
}

void wait_for_interrupt() {
  while (!env::interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
}

RunningWorker::~RunningWorker() {
  if (server) server->stop(kDrainMs);
  if (inference) inference->stop(false);
}

Result<std::unique_ptr<RunningWorker>> start_worker(const WorkerFlags& flags,
                                                    const model::Artifact& artifact,
                                                    const engine::PackedModel& packed) {
  OTR_TRY_ASSIGN(net::ServerOptions listen, parse_listen("--listen", flags.listen));
  listen.tls_certificate_file = flags.tls_certificate;
  listen.tls_key_file = flags.tls_key;
  node::SessionsOptions options{
      .model_root = artifact.root(),
      .ledger = flags.ledger,
      .lifetime_seconds = flags.lifetime_seconds,
      .collateral = [files = flags.collateral] { return read_collateral(files); },
      .on_renewal = log_renewal};
  OTR_TRY_ASSIGN(options.operator_address, operator_of(flags));

  auto worker = std::make_unique<RunningWorker>();
  OTR_TRY_ASSIGN(worker->tee, open_tee_of(flags.tee, flags.home));
  worker->gpus = open_gpus_if_any(*worker->tee);
  OTR_TRY_ASSIGN(worker->sessions,
                 node::Sessions::start(*worker->tee, worker->gpus.get(), std::move(options)));
  node::InferenceOptions inference{.threads = flags.threads, .max_waiting = flags.max_waiting};
  inference.scheduler.kv_budget_bytes = flags.kv_mebibytes << 20;
  inference.scheduler.max_sequences = flags.max_sequences;
  OTR_TRY_ASSIGN(worker->inference,
                 node::InferenceService::start(artifact, packed, std::move(inference)));
  OTR_TRY_ASSIGN(worker->server,
                 service::WorkerServer::start(listen, *worker->sessions, *worker->inference));
  return worker;
}

}  // namespace otr::apps
