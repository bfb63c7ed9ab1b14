// otr up: worker, gateway and proxy on one machine, in one process, to try them.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "apps/command.h"
#include "apps/front_flags.h"
#include "apps/serve.h"
#include "apps/up_rollup.h"
#include "base/hex.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/signal.h"
#include "node/simulated_tee.h"
#include "service/gateway.h"

namespace otr::apps {
namespace {

constexpr std::uint32_t kDrainMs = 5'000;

struct UpFlags : FrontFlags {
  WorkerFlags worker;
  std::string model, ledger_listen = "127.0.0.1:0";
  std::uint16_t gateway_port = 8080, proxy_port = 8089;
  bool rollup = false, watch = false;
  std::uint32_t window_seconds = 30;
};

Result<std::string> policy_for(const std::string& home) {
  OTR_TRY_ASSIGN(const std::filesystem::path folder, home_folder(home));
  OTR_TRY_ASSIGN(const node::Measurement measurement, measure_this_program());
  OTR_TRY_ASSIGN(const auto tee,
                 node::SimulatedTee::open({.folder = folder, .measurement = measurement}));
  return simulated_policy(*tee, measurement, "otr up");
}

std::string example(std::uint16_t port, const std::string& name) {
  return "\nTry it:\n  curl http://127.0.0.1:" + std::to_string(port) +
         "/v1/chat/completions -H 'Content-Type: application/json' \\\n    -d '{\"model\":\"" +
         name +
         "\",\"messages\":[{\"role\":\"user\",\"content\":\"What is a rollup?\"}]}'\n"
         "or point any OpenAI client there: OPENAI_BASE_URL=http://127.0.0.1:" +
         std::to_string(port) + "/v1 OPENAI_API_KEY=none\nCtrl-C ends it.\n";
}

// Waits until the upstream has a session that its policy accepts.
Status wait_for_session(service::HttpUpstream& upstream) {
  Status status;
  for (int i = 0; i < 20; ++i) {
    status = upstream.refresh();
    if (status) return {};
  }
  return status;
}

// That of --policy; else this installation's own with a simulated TEE, written where others find
// it, and genuine with any other.
Result<attest::Policy> choose_policy(UpFlags& flags, const node::Home& home) {
  if (flags.policy.empty() && flags.worker.tee == "simulated") {
    OTR_TRY_ASSIGN(const std::string text, policy_for(flags.home));
    flags.policy = (home.folder() / "policy.toml").string();
    OTR_TRY(env::write_file_atomically(flags.policy, as_bytes(text), 0644));
    return attest::parse_policy(text);
  }
  if (flags.policy.empty()) flags.policy = "genuine";
  OTR_TRY_ASSIGN(const std::string text, read_policy(flags.policy));
  return attest::parse_policy(text);
}

// The ledger and its roles, where they are asked for.
Result<std::unique_ptr<UpRollup>> start_rollup(const UpFlags& flags, const node::Home& home,
                                               std::unique_ptr<StageModel>& model) {
  if (!flags.rollup) return nullptr;
  OTR_TRY_ASSIGN(model::Artifact artifact, load_model(flags.model));
  model = std::make_unique<StageModel>(model_name(flags, flags.model), std::move(artifact),
                                       flags.worker.threads);
  OTR_TRY_ASSIGN(const net::ServerOptions listen,
                 parse_listen("--ledger-listen", flags.ledger_listen));
  return UpRollup::start(home, *model, flags.window_seconds * std::uint64_t{1000}, listen);
}

// Shows what happens on the ledger until somebody interrupts: in place on a terminal, elsewhere
// whenever it changes.
Status watch(const UpRollup& rollup) {
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  std::string shown;
  while (!env::interrupted()) {
    const std::string view = rollup.view();
    // Beacon and checkpoints go on for ever; that is no news for a log.
    const auto news = [&](const std::string& text) {
      return is_terminal ? text : text.substr(std::min(text.size(), text.find('\n')));
    };
    if (!view.empty() && (shown.empty() || news(view) != news(shown))) {
      const auto lines = std::ranges::count(shown, '\n');
      const bool is_over_old = is_terminal && lines > 0;
      const std::string up_again = "\x1b[" + std::to_string(lines) + "F\x1b[J";
      OTR_TRY(print((is_over_old ? up_again : "") + view));
      shown = view;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return {};
}

// Its thread asks the worker: it ends before the worker goes, however up() ends.
struct EndsRollup {
  UpRollup* rollup;
  ~EndsRollup() {
    if (rollup != nullptr) static_cast<void>(rollup->stop());
  }
};

std::vector<protocol::SessionDocument> documents_of(const RunningWorker& worker) {
  std::vector<protocol::SessionDocument> documents;
  for (const auto& enclave : worker.sessions->live()) documents.push_back(enclave->document());
  return documents;
}

Result<int> up(const UpFlags& given) {
  UpFlags flags = given;
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const attest::Policy policy, choose_policy(flags, home));

  OTR_TRY_ASSIGN(model::Artifact artifact, load_model(flags.model));
  const auto shared = std::make_shared<model::Artifact>(std::move(artifact));
  const engine::PackedModel packed = pack(*shared, flags.worker.threads);
  const std::string name = model_name(flags, flags.model);
  OTR_TRY_ASSIGN(
      service::ServedModel model,
      service::serve_model(shared, model_names(flags, flags.model), env::unix_seconds(), false));

  // Declared before what stands on it.
  std::unique_ptr<StageModel> stage_model;
  OTR_TRY_ASSIGN(const std::unique_ptr<UpRollup> rollup, start_rollup(flags, home, stage_model));
  if (rollup) flags.worker.ledger = rollup->ledger();
  flags.worker.home = flags.home;
  OTR_TRY_ASSIGN(const auto worker, start_worker(flags.worker, *shared, packed));
  flags.listen = "127.0.0.1:" + std::to_string(flags.gateway_port);
  OTR_TRY_ASSIGN(auto gateway_options, to_options(flags, "gateway"));
  if (rollup) {
    gateway_options.on_receipt = [raw = rollup.get()](const std::string& text) {
      return raw->take(text);
    };
    rollup->run([raw = worker.get()] { return documents_of(*raw); });
  }
  const EndsRollup ends_rollup{rollup.get()};
  // One machine, one TEE: it attests the gateway too, for ACI.
  OTR_TRY_ASSIGN(std::shared_ptr<node::EvidenceSource> tee,
                 open_tee_of(flags.worker.tee, flags.home));
  OTR_TRY_ASSIGN(const auto gateway,
                 service::Gateway::start(
                     home, {model},
                     {.worker_urls = {"http://127.0.0.1:" + std::to_string(worker->server->port())},
                      .policy = policy,
                      .tee = std::move(tee),
                      .server = gateway_options}));
  OTR_TRY(wait_for_session(*gateway->workers().workers().front()));

  flags.listen = "127.0.0.1:" + std::to_string(flags.proxy_port);
  OTR_TRY_ASSIGN(auto proxy_options, to_options(flags, "proxy"));
  proxy_options.front.mode = 1;
  // The proxy is another client than the gateway: a folder of its own.
  OTR_TRY_ASSIGN(const node::Home proxy_home, node::Home::open(home.folder() / "proxy"));
  OTR_TRY_ASSIGN(const auto client, net::Client::create());
  const auto upstream = service::HttpUpstream::start(
      *client, {.url = "http://127.0.0.1:" + std::to_string(gateway->port()), .policy = policy});
  OTR_TRY(wait_for_session(*upstream));
  OTR_TRY_ASSIGN(const auto proxy,
                 service::FrontServer::start(proxy_home, {model}, *upstream, proxy_options));

  const auto session = upstream->sessions().front();
  OTR_TRY(print("worker    http://127.0.0.1:" + std::to_string(worker->server->port()) +
                "\ngateway   http://127.0.0.1:" + std::to_string(gateway->port()) +
                "/v1\nproxy     http://127.0.0.1:" + std::to_string(proxy->port()) +
                "/v1   (verifies every answer)\nmodel     " + name + " " + to_hex(shared->root()) +
                "\nsession   " + to_hex(session->id) + "\n          " + session->description +
                "\npolicy    " + flags.policy + "\n" + (rollup ? rollup->describe_place() : "") +
                example(proxy->port(), name)));
  if (flags.watch) {
    OTR_TRY(watch(*rollup));
  } else {
    wait_for_interrupt();
  }
  proxy->stop(kDrainMs);
  gateway->stop(kDrainMs);
  if (rollup) OTR_TRY(rollup->stop());
  return kOk;
}

}  // namespace

void add_up(CLI::App& app, Run& run) {
  auto flags = std::make_shared<UpFlags>();
  flags->worker.tee = "simulated";
  flags->worker.threads = default_threads();
  CLI::App* command = app.add_subcommand(
      "up", "Worker, gateway and verifying proxy on this machine; --tee simulated by default");
  command->add_option("-m,--model", flags->model, "Model artifact (otr model import makes one)")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command->add_option("--gateway-port", flags->gateway_port, "Port on 127.0.0.1; 0: any")
      ->capture_default_str();
  command->add_option("--proxy-port", flags->proxy_port, "Port on 127.0.0.1; 0: any")
      ->capture_default_str();
  add_name_options(*command, *flags);
  command->add_option("--home", flags->home, "Folder of keys and receipts")->type_name("DIR");
  command
      ->add_option("--policy", flags->policy,
                   "What evidence is accepted (default: with a simulated TEE this installation's "
                   "own alone, else genuine)")
      ->type_name("P");
  command->add_flag("--buffer", flags->buffer, "Withhold all text until its answer is verified");
  command->add_flag("--rollup", flags->rollup,
                    "With a ledger for trials, a fisherman and a beacon: the gateway's answers are "
                    "posted and become final");
  command
      ->add_option("--ledger-listen", flags->ledger_listen,
                   "Address and port at which others may follow that ledger and its receipts")
      ->capture_default_str()
      ->needs("--rollup");
  command
      ->add_option(
          "--window", flags->window_seconds,
          "With --rollup: seconds in which an answer can be challenged; its fisherman must "
          "have recomputed it by then")
      ->capture_default_str()
      ->check(CLI::Range(1, 86'400));
  command
      ->add_flag("--watch", flags->watch,
                 "Show claims, clocks and bonds as they change; with --rollup")
      ->needs("--rollup");
  add_worker_options(*command, flags->worker);
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = up(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps
