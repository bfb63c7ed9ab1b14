// What the roles share that run as processes of their own beside a ledger: otr fisherman and otr
// operator (docs/ledger.md).
#ifndef OTR_APPS_ROLE_H_
#define OTR_APPS_ROLE_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apps/ledger_follow.h"
#include "base/canonical_json.h"
#include "engine/packed.h"
#include "model/artifact.h"
#include "rollup/mirror.h"
#include "rollup/pass.h"
#include "service/metric_lines.h"
#include "service/role_server.h"

namespace otr::apps {

struct RoleFlags : FollowFlags {
  std::vector<std::string> models;
  std::string metrics;  // HOST:PORT; empty: nowhere
  std::uint32_t every_ms = 500;
  unsigned threads = 1;
};
// Until the next look: --every, but no longer than a moment while something is under way, as a game
// where each look costs its clock.
[[nodiscard]] std::uint32_t pause_of(const RoleFlags& flags, std::uint64_t under_way);
// Those of FollowFlags, --every, --threads and --metrics.
void add_role_options(CLI::App& command, RoleFlags& flags);

// Weights as a dispute needs them: the engine's form to recompute with, the canonical one to open.
struct RoleModel {
  RoleModel(model::Artifact its_artifact, unsigned threads)
      : artifact(std::move(its_artifact)),
        packed(artifact.view(), engine::best_kernel(), threads),
        weights{artifact, packed, threads} {}
  model::Artifact artifact;
  engine::PackedModel packed;
  rollup::Weights weights;
};
using RoleModels = std::map<Hash, std::unique_ptr<RoleModel>>;  // by root
Result<RoleModels> load_models(const RoleFlags& flags);
// Null: that model is not here.
const rollup::Weights* weights_of(const RoleModels& models, const Hash& root);

// What a role says of itself: one line of JSON whenever something else is to be said than before,
// and, where --metrics says so, over HTTP.
class RoleReport {
 public:
  // Listens from now on, where it has to. kUsage for an address that cannot be used.
  static Result<std::unique_ptr<RoleReport>> start(const RoleFlags& flags);

  // Where; empty: nowhere.
  [[nodiscard]] const std::string& metrics_url() const { return url_; }
  // After each step: `facts` for the line, `lines` for the metrics. Of one thread.
  Status say(Json facts, service::MetricLines lines, const ledger::State* state,
             const Status& stepped);

 private:
  RoleReport() = default;

  Json last_;
  std::string url_;
  std::mutex mutex_;  // guards what follows
  std::string metrics_;
  Status well_ = fail(ErrorKind::kNetwork, "It has not yet looked at its ledger.");
  std::unique_ptr<service::RoleServer> server_;
};

// A server that is not there yet, or not any more, or that lies, is asked again: games go on, and
// their clocks with them, whatever a server does. Nothing where it was interrupted meanwhile, or,
// with `once`, where the first try failed: then `status` says why.
std::optional<rollup::Mirror> open_mirror(const Following& following, const RoleFlags& flags,
                                          bool once, RoleReport& report_to, Status& status);

}  // namespace otr::apps

#endif  // OTR_APPS_ROLE_H_
