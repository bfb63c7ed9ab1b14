// otr ledger: what an embedded ledger holds, verified by replaying it (spec/SETTLEMENT.md).
#include <cstdio>
#include <deque>
#include <string>

#include "apps/command.h"
#include "apps/ledger_file.h"
#include "base/hex.h"
#include "env/file.h"
#include "ledger/invariants.h"
#include "ledger/transaction.h"
#include "settlement/flat_file.h"
#include "settlement/store.h"

namespace otr::apps {
namespace {

constexpr std::size_t kMaxExportBytes = std::size_t{4} << 30;

struct LedgerFlags {
  std::string file, to;
  std::uint32_t count = 10;
  bool json = false;
};

Json facts_of(const ledger::State& state) {
  std::uint64_t open = 0, final_count = 0, games = 0;
  for (const auto& [number, batch] : state.batches) {
    open += batch.status == ledger::BatchStatus::kOpen && !ledger::is_void(state, batch) ? 1 : 0;
    final_count += batch.status == ledger::BatchStatus::kFinal ? 1 : 0;
  }
  for (const auto& [number, game] : state.games) games += game.stage != ledger::Stage::kEnded;
  return {{"ledger", to_hex(state.id)},
          {"trial", state.genesis.trial != 0},
          {"height", state.height},
          {"time", state.time},
          {"tip", to_hex(state.tip)},
          {"state_digest", to_hex(ledger::digest_of(state))},
          {"checkpoints", state.checkpoint_count},
          {"minted", state.minted},
          {"withdrawn", state.withdrawn},
          {"burned", state.burned},
          {"accounts", state.accounts.size()},
          {"operators", state.operators.size()},
          {"batches", state.batches.size()},
          {"batches_open", open},
          {"batches_final", final_count},
          {"games", state.games.size()},
          {"games_open", games},
          {"beacon_rounds", state.revealed_round}};
}

std::string table_of(const Json& facts) {
  const auto text = [&](const char* name) { return facts.at(name).get<std::string>(); };
  const auto number = [&](const char* name) {
    return std::to_string(facts.at(name).get<std::uint64_t>());
  };
  std::string table = "ledger       " + text("ledger");
  table +=
      facts.at("trial").get<bool>() ? "\n             TRIAL: its windows may be seconds\n" : "\n";
  table += "PASS  transactions  " + number("height") + ", each signed and allowed when it came\n";
  table += "PASS  chain         tip " + text("tip") + "\n";
  table +=
      "PASS  checkpoints   " + number("checkpoints") + ", signed, each of the replayed state\n";
  table += "PASS  funds         " + number("minted") + " paid in = " + number("withdrawn") +
           " paid out + " + number("burned") + " burned + what accounts, stakes and bonds hold\n";
  table += "state digest " + text("state_digest") + "\n";
  table += "batches      " + number("batches") + " (" + number("batches_open") + " open, " +
           number("batches_final") + " final), games " + number("games") + " (" +
           number("games_open") + " open), beacon rounds " + number("beacon_rounds") + "\n";
  return table;
}

int run_verify(const LedgerFlags& flags) {
  const auto state = replay_ledger(flags.file, {});
  if (!state) return report(state.error());
  if (const Status held = ledger::check_invariants(*state); !held) return report(held.error());
  const Json facts = facts_of(*state);
  const Status printed = print(flags.json ? facts.dump() + "\n" : table_of(facts));
  return printed ? kOk : report(printed.error());
}

int run_export(const LedgerFlags& flags) {
  if (const Status other = check_is_other("OUT", flags.to, flags.file); !other) {
    return report(other.error());
  }
  const auto height = settlement::export_store(flags.file, flags.to);
  if (!height) return report(height.error());
  const Status printed =
      print("exported " + std::to_string(*height) + " transactions to " + flags.to + "\n");
  return printed ? kOk : report(printed.error());
}

int run_import(const LedgerFlags& flags) {
  const auto bytes = env::read_file(flags.file, kMaxExportBytes);
  if (!bytes) return report(bytes.error());
  const auto height = settlement::import_store(*bytes, flags.to);
  if (!height) return report(height.error());
  const Status printed =
      print("imported " + std::to_string(*height) + " transactions into " + flags.to + "\n");
  return printed ? kOk : report(printed.error());
}

int run_tail(const LedgerFlags& flags) {
  std::deque<std::string> lines;
  const auto keep = [&](const settlement::Row& row) -> Status {
    OTR_TRY_ASSIGN(const ledger::Transaction transaction,
                   ledger::decode_transaction(row.transaction));
    Json line = ledger::to_json(transaction);
    line["height"] = row.height;
    line["time"] = row.time;
    line["tip"] = to_hex(row.tip);
    lines.push_back(line.dump() + "\n");
    if (lines.size() > flags.count) lines.pop_front();
    return {};
  };
  const auto state = replay_ledger(flags.file, keep);
  if (!state) return report(state.error());
  std::string text;
  for (const std::string& line : lines) text += line;
  const Status printed = print(text);
  return printed ? kOk : report(printed.error());
}

constexpr const char* kDescription =
    R"(The embedded ledger: who staked, posted, challenged, was paid and was slashed.

A ledger is one SQLite file of signed, chained transactions. Its state is what they replay to, and
nothing else: verify replays every one of them, signatures included, and needs no key, no network
and no trust in whoever keeps the file. An export is the same as one flat file that needs no SQLite.

What verify does not show: that whoever keeps the ledger took in every transaction it was sent, and
that it shows everybody the same one. For that compare tips with others (their checkpoints are
signed), and keep your own export.)";

}  // namespace

Result<ledger::State> replay_ledger(const std::string& file,
                                    const std::function<Status(const settlement::Row&)>& visit) {
  OTR_TRY(env::check_is_file(file));
  if (settlement::is_store(file)) return settlement::verify_store(file, visit);
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(file, kMaxExportBytes));
  if (settlement::is_flat_file(bytes)) return settlement::verify_flat_file(bytes, visit);
  return fail(ErrorKind::kBadInput, file +
                                        " is neither a ledger nor an export of one (or it is "
                                        "damaged where a ledger begins).");
}

void add_ledger(CLI::App& app, Run& run) {
  auto flags = std::make_shared<LedgerFlags>();
  CLI::App* ledger = app.add_subcommand("ledger", kDescription);
  ledger->require_subcommand(1);
  CLI::App* verify = ledger->add_subcommand(
      "verify",
      "Replays a ledger or an export; exits 0 if every transaction is what it must be, else 1");
  verify->add_option("FILE", flags->file, "The ledger, or an export of it")->required();
  verify->add_flag("--json", flags->json, "One JSON object instead of a table");
  verify->callback([flags, &run] { run = [flags] { return run_verify(*flags); }; });
  CLI::App* exported = ledger->add_subcommand(
      "export", "Verifies a ledger and writes it as one flat file, whole or not at all");
  exported->add_option("FILE", flags->file, "The ledger; it may be in use")->required();
  exported->add_option("OUT", flags->to, "The export")->required();
  exported->callback([flags, &run] { run = [flags] { return run_export(*flags); }; });
  CLI::App* imported = ledger->add_subcommand(
      "import", "Verifies an export and makes a new ledger of it: how a damaged one is restored");
  imported->add_option("EXPORT", flags->file, "The export")->required();
  imported->add_option("FILE", flags->to, "The new ledger; there must be no such file")->required();
  imported->callback([flags, &run] { run = [flags] { return run_import(*flags); }; });
  CLI::App* tail =
      ledger->add_subcommand("tail", "The last transactions, verified, one JSON object a line");
  tail->add_option("FILE", flags->file, "The ledger (it may be in use), or an export")->required();
  tail->add_option("-n,--count", flags->count, "How many")->capture_default_str();
  tail->callback([flags, &run] { run = [flags] { return run_tail(*flags); }; });
  add_ledger_serving(*ledger, run);
  add_ledger_accounts(*ledger, run);
}

}  // namespace otr::apps
