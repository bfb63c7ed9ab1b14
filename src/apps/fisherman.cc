// otr fisherman: recomputes what operators were paid for, and challenges what is false
// (rollup/fisherman.h, docs/ledger.md).
#include "rollup/fisherman.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/command.h"
#include "apps/data_servers.h"
#include "apps/role.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "env/clock.h"

namespace otr::apps {
namespace {

struct FishermanFlags : RoleFlags {
  std::vector<std::string> data;
  std::uint32_t check_ppm = ledger::kMillion;
  bool once = false, attends = false;
};

Json to_json(const rollup::FishermanGauges& gauges, std::uint64_t height) {
  return {{"height", height},
          {"claims_seen", gauges.claims_seen},
          {"sampled", gauges.sampled},
          {"agreed", gauges.agreed},
          {"false_claims", gauges.false_claims},
          {"sealed", gauges.sealed},
          {"unknown_model", gauges.unknown_model},
          {"withheld", gauges.withheld},
          {"missed", gauges.missed},
          {"canaries_found", gauges.canaries_found},
          {"attended", gauges.attended},
          {"attention_true", gauges.attention_true},
          {"attention_false", gauges.attention_false},
          {"games_open", gauges.games_open},
          {"games_won", gauges.games_won},
          {"games_lost", gauges.games_lost},
          {"bonds_at_risk", gauges.bonds_at_risk},
          {"next_clock_ms", gauges.next_clock_ms},
          {"refused", gauges.refused},
          {"last_refusal", gauges.last_refusal}};
}

service::MetricLines to_lines(const rollup::FishermanGauges& gauges) {
  service::MetricLines lines;
  lines.counter("otr_fisherman_claims_seen_total", "Claims of batches posted.", gauges.claims_seen);
  lines.counter("otr_fisherman_sampled_total", "Claims computed again.", gauges.sampled);
  lines.counter("otr_fisherman_agreed_total", "Claims found right.", gauges.agreed);
  lines.counter("otr_fisherman_false_claims_total", "Claims found false.", gauges.false_claims);
  lines.counter("otr_fisherman_sealed_total", "Claims that are not for its eyes.", gauges.sealed);
  lines.counter("otr_fisherman_unknown_model_total", "Claims of models that it does not have.",
                gauges.unknown_model);
  lines.counter("otr_fisherman_missed_total",
                "Claims drawn whose window ended before it had looked: raise an alarm.",
                gauges.missed);
  lines.counter("otr_fisherman_withheld_total", "Claims it had to demand on the ledger.",
                gauges.withheld);
  lines.counter("otr_fisherman_canaries_found_total", "False claims that were their client's own.",
                gauges.canaries_found);
  lines.counter("otr_fisherman_attended_total", "Claims of which it said so on the ledger.",
                gauges.attended);
  lines.counter("otr_fisherman_attention_true_total",
                "What others said of claims that it has computed, and they can have too.",
                gauges.attention_true);
  lines.counter("otr_fisherman_attention_false_total", "And cannot have.", gauges.attention_false);
  lines.gauge("otr_fisherman_games_open", "Its disputes.", gauges.games_open);
  lines.counter("otr_fisherman_games_won_total", "Disputes won.", gauges.games_won);
  lines.counter("otr_fisherman_games_lost_total", "Disputes lost, with their bonds.",
                gauges.games_lost);
  lines.gauge("otr_fisherman_bonds_at_risk", "Its bonds of open disputes.", gauges.bonds_at_risk);
  lines.gauge("otr_fisherman_next_clock_seconds",
              "Unix time at which the first of its clocks runs out; 0: none runs.",
              gauges.next_clock_ms / 1000);
  lines.counter("otr_fisherman_refused_total", "Its transactions that the ledger refused.",
                gauges.refused);
  return lines;
}

Result<int> watch(const FishermanFlags& flags, const Following& following, RoleReport& report_to,
                  rollup::FishermanOptions options) {
  Status status;
  std::optional<rollup::Mirror> mirror =
      open_mirror(following, flags, flags.once, report_to, status);
  if (!mirror) return flags.once ? Result<int>(std::unexpected(status.error())) : Result<int>(kOk);
  rollup::Fisherman fisherman(*mirror, std::move(options));
  rollup::FishermanGauges gauges;
  do {
    status = fisherman.step(env::unix_ms());
    gauges = fisherman.gauges();
    OTR_TRY(report_to.say(to_json(gauges, mirror->state().height), to_lines(gauges),
                          &mirror->state(), status));
    if (!status && flags.once) return std::unexpected(status.error());
  } while (flags.once ? gauges.to_fetch != 0
                      : !pause_ms(pause_of(flags, gauges.games_open + gauges.to_fetch)));
  return kOk;
}

Result<int> fish(const FishermanFlags& flags) {
  OTR_TRY_ASSIGN(const Following following, follow(flags));
  DataServers data;
  for (const std::string& text : flags.data) OTR_TRY(data.add(*following.client, text));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey key, home.key("fisherman"));
  OTR_TRY_ASSIGN(const Hash sampling, secret_of(home, "sampling"));
  OTR_TRY_ASSIGN(const auto report_to, RoleReport::start(flags));
  OTR_TRY_ASSIGN(const RoleModels models, load_models(flags));
  Json first = {{"account", to_hex(key.address())}, {"ledger", to_hex(following.id)}};
  if (!report_to->metrics_url().empty()) first["metrics"] = report_to->metrics_url();
  OTR_TRY(print(first.dump() + "\n"));
  return watch(flags, following, *report_to,
               {.key = key,
                .sampling_key = sampling,
                .check_ppm = flags.check_ppm,
                .attends = flags.attends,
                .weights = [&](const Hash& root) { return weights_of(models, root); },
                .data = [&](const crypto::Address& address) { return data.of(address); }});
}

constexpr const char* kDescription =
    R"(Recomputes what operators claim on a ledger, and challenges what is false.

It follows the ledger by its own replay, fetches each new batch's receipts from its operator's data
server, computes a sample of the answers again that nobody can predict, and plays every game to its
end. What a data server withholds it demands on the ledger. Killed and started again, it goes on.

Its account (the key "fisherman" of the home folder) needs a balance for bonds: a bond is lost only
if the claim was right. Prints one JSON object a line whenever something has changed.)";

}  // namespace

void add_fisherman(CLI::App& app, Run& run) {
  auto flags = std::make_shared<FishermanFlags>();
  CLI::App* command = app.add_subcommand("fisherman", kDescription);
  add_role_options(*command, *flags);
  command
      ->add_option("--data", flags->data,
                   "Where operators serve their receipts: URL, or ADDRESS=URL for one of them; "
                   "without any, every claim is demanded on the ledger")
      ->type_name("[0x…=]URL");
  command->add_option("-m,--model", flags->models, "Model artifact to recompute with; repeatable")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command
      ->add_option("--check-ppm", flags->check_ppm,
                   "Share of the claims that it recomputes, in parts of a million")
      ->capture_default_str()
      ->check(CLI::Range(0U, ledger::kMillion));
  command->add_flag("--attend", flags->attends,
                    "Say on the ledger, for a fee, of each claim found right that it was computed");
  command->add_flag("--once", flags->once,
                    "One look at every batch, then end; fails where the server does");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = fish(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps
