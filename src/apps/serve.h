// What the commands that serve share: otr worker, gateway, proxy and up.
#ifndef OTR_APPS_SERVE_H_
#define OTR_APPS_SERVE_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "attest/policy.h"
#include "base/result.h"
#include "engine/packed.h"
#include "model/artifact.h"
#include "net/server.h"
#include "node/evidence.h"
#include "node/inference.h"
#include "node/keys.h"
#include "node/sessions.h"
#include "node/simulated_tee.h"
#include "service/worker_server.h"

namespace otr::apps {

// "127.0.0.1:8080" or "[::1]:8080", port 0 for any free one. `flag` is named in the error.
Result<net::ServerOptions> parse_listen(const std::string& flag, const std::string& text);

// $OTR_HOME and so on where `named` is empty (node/keys.h).
Result<node::Home> open_home(const std::string& named);
Result<std::filesystem::path> home_folder(const std::string& named);

// A file, or one of the policies that are built in ("genuine").
Result<std::string> read_policy(const std::string& name);

// The one key in a file, without the end of its line; empty where no file is named.
Result<std::string> read_api_key(const std::string& file);

// SHA-384 of this very program, as the simulated TEE "measures" it.
Result<node::Measurement> measure_this_program();

// The policy of somebody who tries things on his own machine: this installation's simulated TEE
// running this very program, and no hardware at all. `by` is the command that makes it.
std::string simulated_policy(const node::SimulatedTee& tee, const node::Measurement& measurement,
                             const std::string& by);

// A TEE by its kind (node/evidence.h); the simulated one has its keys in the home folder.
Result<std::unique_ptr<node::EvidenceSource>> open_tee_of(const std::string& kind,
                                                          const std::string& home);

// Serves until SIGINT or SIGTERM.
void wait_for_interrupt();

struct WorkerFlags {
  std::string listen = "127.0.0.1:0";
  std::string tee = "auto";
  std::string operator_address;  // 0x…; the key "operator" of the home folder where empty
  std::vector<std::string> collateral;
  std::string home;
  std::string tls_certificate, tls_key;
  Hash ledger{};  // where its sessions are registered; zero: nowhere
  std::uint64_t lifetime_seconds = 86400;
  std::uint64_t kv_mebibytes = 1024;
  std::size_t max_sequences = 32, max_waiting = 64;
  unsigned threads = 1;
};

// Its flags but model, listen, operator and home.
void add_worker_options(CLI::App& command, WorkerFlags& flags);

// A worker and all that it stands on, in the order in which it has to go.
struct RunningWorker {
  std::unique_ptr<node::EvidenceSource> tee;
  std::unique_ptr<node::GpuEvidenceSource> gpus;
  std::unique_ptr<node::Sessions> sessions;
  std::unique_ptr<node::InferenceService> inference;
  std::unique_ptr<service::WorkerServer> server;

  ~RunningWorker();
};

// `artifact` and `packed` must outlive it.
Result<std::unique_ptr<RunningWorker>> start_worker(const WorkerFlags& flags,
                                                    const model::Artifact& artifact,
                                                    const engine::PackedModel& packed);

}  // namespace otr::apps

#endif  // OTR_APPS_SERVE_H_
