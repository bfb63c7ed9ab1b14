#include "apps/role.h"

#include <algorithm>
#include <utility>

#include "apps/command.h"
#include "apps/serve.h"
#include "env/clock.h"

namespace otr::apps {
namespace {

constexpr std::uint32_t kFirstPauseMs = 200;
constexpr std::uint32_t kPlayMs = 20;

}  // namespace

std::uint32_t pause_of(const RoleFlags& flags, std::uint64_t under_way) {
  return under_way == 0 ? flags.every_ms : std::min(flags.every_ms, kPlayMs);
}

void add_role_options(CLI::App& command, RoleFlags& flags) {
  flags.threads = default_threads();
  add_follow_options(command, flags);
  command.add_option("--every", flags.every_ms, "Milliseconds from one look to the next")
      ->capture_default_str()
      ->check(CLI::Range(10, 3'600'000));
  command.add_option("--threads", flags.threads, "Threads of the engine")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--metrics", flags.metrics,
                  "Where to show /metrics for Prometheus and /health (default: nowhere)")
      ->type_name("HOST:PORT");
}

Result<RoleModels> load_models(const RoleFlags& flags) {
  RoleModels models;
  for (const std::string& path : flags.models) {
    OTR_TRY_ASSIGN(model::Artifact artifact, load_model(path));
    const Hash root = artifact.root();
    models[root] = std::make_unique<RoleModel>(std::move(artifact), flags.threads);
  }
  return models;
}

const rollup::Weights* weights_of(const RoleModels& models, const Hash& root) {
  const auto found = models.find(root);
  return found == models.end() ? nullptr : &found->second->weights;
}

Result<std::unique_ptr<RoleReport>> RoleReport::start(const RoleFlags& flags) {
  std::unique_ptr<RoleReport> made(new RoleReport);
  if (flags.metrics.empty()) return made;
  OTR_TRY_ASSIGN(net::ServerOptions listen, parse_listen("--metrics", flags.metrics));
  const std::string address = listen.address;
  service::RoleRoutes routes;
  routes.metrics = [raw = made.get()] {
    const std::lock_guard lock(raw->mutex_);
    return raw->metrics_;
  };
  routes.health = [raw = made.get()] {
    const std::lock_guard lock(raw->mutex_);
    return raw->well_;
  };
  OTR_TRY_ASSIGN(made->server_, service::RoleServer::start(std::move(listen), std::move(routes)));
  made->url_ = "http://" + address + ":" + std::to_string(made->server_->port());
  return made;
}

Status RoleReport::say(Json facts, service::MetricLines lines, const ledger::State* state,
                       const Status& stepped) {
  const bool lies = !stepped && stepped.error().kind == ErrorKind::kReject;
  const std::uint64_t now = env::unix_ms();
  lines.gauge("otr_ledger_height", "Transactions replayed.", state == nullptr ? 0 : state->height);
  lines.gauge("otr_ledger_time_seconds", "Unix time of the last of them.",
              state == nullptr ? 0 : state->time / 1000);
  lines.gauge("otr_step_time_seconds", "Unix time of the last look at the ledger.", now / 1000);
  lines.gauge("otr_step_failed", "1 where that failed, as /health says.", stepped ? 0 : 1);
  lines.gauge("otr_server_lies", "1 where what the ledger's server shows is provably false.", lies);
  {
    const std::lock_guard lock(mutex_);
    metrics_ = lines.text();
    well_ = stepped;
  }
  facts["error"] = stepped ? Json(nullptr) : Json(stepped.error().message);
  facts["server_lies"] = lies;
  if (facts == last_) return {};
  last_ = facts;
  facts["time_ms"] = now;
  // What a server says may be no UTF-8.
  return print(facts.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<rollup::Mirror> open_mirror(const Following& following, const RoleFlags& flags,
                                          bool once, RoleReport& report_to, Status& status) {
  while (true) {
    auto mirror = rollup::Mirror::open(*following.ledger, following.id);
    if (mirror) return *std::move(mirror);
    status = std::unexpected(mirror.error());
    if (once || !report_to.say({{"height", 0}}, {}, nullptr, status)) return std::nullopt;
    if (pause_ms(std::max(flags.every_ms, kFirstPauseMs))) return std::nullopt;
  }
}

}  // namespace otr::apps
