// Your own cheat, against the headers of the modules: a worker that is paid for one model and
// computes with cheaper weights, in an enclave that its owner has broken (SIMULATED).
//
//   cheating_worker --model M --home OPERATORS-HOME --ledger-id 0x… [--pretend PROGRAM] [--listen
//   A]
//
// docs/ledger.md, "Write your own cheat", has the commands around it and what comes of it.
#include <openssl/sha.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <span>

#include "apps/command.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "env/file.h"
#include "env/signal.h"

namespace otr {
namespace {

// The cheat; write another one here. Of `file`, which is M's, all weights of the layers lose their
// lowest three bits, as if there were five for each.
void cheapen(const model::Artifact& honest, std::span<std::uint8_t> file) {
  for (const model::Tensor& tensor : honest.tensors()) {
    if (tensor.spec.type != merkle::Type::kI8 || !tensor.spec.name.starts_with("layers.")) continue;
    const auto found = std::ranges::search(file, tensor.data).begin();
    for (std::uint8_t& weight : std::span(found, tensor.data.size())) {
      weight = static_cast<std::uint8_t>(static_cast<std::int8_t>(weight) / 8 * 8);
    }
  }
}

struct Flags {
  apps::WorkerFlags worker;
  std::string model, ledger_id, pretend = "/proc/self/exe";
};

// What the TEE says that it runs. A genuine one says what is true, which here is this program; with
// --pretend it is broken and says whatever its owner likes.
Result<node::Measurement> measure(const std::string& program) {
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(program, std::size_t{4} << 30));
  node::Measurement measurement{};
  ::SHA384(bytes.data(), bytes.size(), measurement.data());
  return measurement;
}

Result<int> serve(const Flags& flags) {
  OTR_TRY_ASSIGN(const model::Artifact honest, apps::load_model(flags.model));
  Bytes file(honest.file().begin(), honest.file().end());
  cheapen(honest, file);
  OTR_TRY_ASSIGN(model::Artifact cheap, model::parse_artifact(std::move(file)));
  const engine::PackedModel packed = apps::pack(cheap, flags.worker.threads);

  OTR_TRY_ASSIGN(const node::Home home, apps::open_home(flags.worker.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey operator_key, home.key("operator"));
  OTR_TRY_ASSIGN(const node::Measurement measurement, measure(flags.pretend));
  OTR_TRY_ASSIGN(const Hash ledger, hash_from_hex(flags.ledger_id, "--ledger-id"));
  OTR_TRY_ASSIGN(const std::filesystem::path folder, apps::home_folder(flags.worker.home));
  OTR_TRY_ASSIGN(const net::ServerOptions listen,
                 apps::parse_listen("--listen", flags.worker.listen));

  // As `otr worker` does, but that the session is of one model and the weights are of another.
  apps::RunningWorker worker;
  const node::SimulatedOptions tee{.folder = folder, .measurement = measurement};
  OTR_TRY_ASSIGN(worker.tee, node::open_tee("simulated", tee));
  node::SessionsOptions sessions;
  sessions.operator_address = operator_key.address();
  sessions.model_root = honest.root();
  sessions.ledger = ledger;
  OTR_TRY_ASSIGN(worker.sessions, node::Sessions::start(*worker.tee, nullptr, std::move(sessions)));
  node::InferenceOptions inference;
  inference.scheduler.kv_budget_bytes = std::size_t{256} << 20;
  OTR_TRY_ASSIGN(worker.inference,
                 node::InferenceService::start(honest, packed, std::move(inference)));
  OTR_TRY_ASSIGN(worker.server,
                 service::WorkerServer::start(listen, *worker.sessions, *worker.inference));
  std::printf("worker    http://%s:%u\nsold      %s\nserved    %s\n", listen.address.c_str(),
              unsigned{worker.server->port()}, to_hex(honest.root()).c_str(),
              to_hex(cheap.root()).c_str());
  std::fflush(stdout);
  apps::wait_for_interrupt();
  return apps::kOk;
}

int run(int argc, char** argv) {
  Flags flags;
  CLI::App app("A worker that serves cheaper weights than it is paid for (SIMULATED TEE).");
  app.add_option("-m,--model", flags.model, "The model that is sold")->required();
  app.add_option("--home", flags.worker.home, "Folder of the operator's key and of the TEE");
  app.add_option("--ledger-id", flags.ledger_id, "Where its answers are to stand")->required();
  app.add_option("--pretend", flags.pretend, "The program that its TEE says it runs")
      ->type_name("PROGRAM");
  app.add_option("--listen", flags.worker.listen, "Address and port")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  env::install_interrupt_flag();
  const Result<int> code = serve(flags);
  return code ? *code : apps::report(code.error());
}

}  // namespace
}  // namespace otr

int main(int argc, char** argv) { return otr::run(argc, argv); }
