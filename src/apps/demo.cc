// otr demo: the whole rollup on this machine as a story (SIMULATED TEEs, real everything else), and
// a folder that otr verify and otr ledger verify accept.
#include <algorithm>

#include "apps/command.h"
#include "apps/demo_play.h"
#include "apps/prompt.h"
#include "apps/stage.h"
#include "base/hex.h"
#include "env/clock.h"
#include "env/file.h"
#include "ledger/apply.h"
#include "node/audit.h"
#include "text/utf8.h"

namespace otr::apps {
namespace {

constexpr std::uint64_t kWindowMs = 8'000;  // long enough for a fisherman on a busy machine
constexpr const char* kQuestion = "What is a rollup?";

struct DemoFlags {
  std::string model, small, folder;
  std::uint32_t max_tokens = 24;
  unsigned threads = default_threads();
};

// --- The scenes

// Every claim of the demo is drawn (SPEC SET-30).
Status tell_draw(Play& play, const StageOperator& honest, const rollup::Posted& posted) {
  const auto& claims = play.stage.state().claims;
  const ledger::ClaimKey key{posted.batch, posted.index};
  const auto is_checked = [&] { return claims.contains(key) && claims.at(key).checked; };
  OTR_TRY(play.stage.run_until(is_checked, kPatienceMs));
  const bool by_proof = claims.at(key).lane == 1;
  if (by_proof) {
    OTR_TRY_ASSIGN(const Bytes proof, honest.role->proof(claims.at(key).digest));
    OTR_TRY(env::write_file_atomically(play.stage.folder() / "honest.proof", proof, 0644));
    play.beacon =
        play.stage.state().beacon.at(play.stage.state().batches.at(key.batch).round).value;
    OTR_TRY(line("drawn by the beacon", "and answered with a proof of the whole computation, " +
                                            with_commas(proof.size()) + " bytes"));
  } else {
    OTR_TRY(line("drawn by the beacon",
                 "and answered with the receipt: no proof was ready in time on this machine"));
  }
  return line("checked", by_proof ? "by a checker: the proof holds, for this value of the beacon"
                                  : "by a checker, which computed it again");
}

Status honest_scene(Play& play, StageOperator& honest) {
  OTR_TRY(print("\n1. An honest worker answers, and the answer becomes final\n"));
  play.honest = Play::attested(
      sim::answer_honestly(play.big.weights, play.request(), play.prompt_ids, honest.signing()),
      honest);
  OTR_TRY(line("question", std::string("\"") + kQuestion + "\""));
  OTR_TRY(line("answer", short_text(play.honest.output_text)));
  OTR_TRY_ASSIGN(const std::string tier_one, play.tier_one(play.honest, false));
  OTR_TRY(line("provisionally final", tier_one));
  OTR_TRY(play.keep(play.honest, "honest.json"));
  const std::uint64_t begin = env::unix_ms();
  const std::uint64_t before = play.balance(honest.address);
  OTR_TRY(play.hand_over(honest, play.honest));
  OTR_TRY_ASSIGN(const rollup::Posted posted,
                 play.wait_for_post(honest, play.honest, "honest.posted.json"));
  OTR_TRY(line("posted", "in batch " + std::to_string(posted.batch) + ", " +
                             seconds(env::unix_ms() - begin) + " later"));
  OTR_TRY(play.stage.run_until([&] { return play.stage.fisherman().gauges().agreed >= 1; },
                               kPatienceMs));
  OTR_TRY(line("recomputed", "by a fisherman: every number agrees"));
  OTR_TRY(tell_draw(play, honest, posted));
  OTR_TRY(play.stage.run_until(
      [&] {
        return play.stage.state().settled_requests.contains(
            {play.honest.claim.request_hash, play.honest.operator_address});
      },
      kPatienceMs));
  return line("final and paid",
              seconds(env::unix_ms() - begin) + " later (window and draw over; a TRIAL window of " +
                  seconds(kWindowMs) + "): the operator has " +
                  with_commas(play.balance(honest.address) - before) + " more, fees paid");
}

Status downgrade_scene(Play& play, StageOperator& cheap) {
  OTR_TRY(print("\n2. A worker serves " + play.small.name + " under the name of " + play.big.name +
                "\n"));
  const protocol::Receipt receipt = Play::attested(
      sim::answer_honestly(play.small.weights, play.request(), play.prompt_ids, cheap.signing()),
      cheap);
  OTR_TRY(play.keep(receipt, "downgrade.json"));
  OTR_TRY(line("answer", short_text(receipt.output_text)));
  OTR_TRY_ASSIGN(const std::string verdict, play.tier_one(receipt, true));
  return line("tier 1", verdict);
}

// What the slash took, from the events of the ledger.
Status tell_slash(const Play& play, std::uint64_t stake, std::uint64_t fishermans_before,
                  std::uint64_t clients_before, std::uint64_t burned_before) {
  OTR_TRY(line("slashed", with_commas(stake) + " of the forger's stake: " +
                              with_commas(play.stage.state().burned - burned_before) +
                              " burned (with fees),"));
  OTR_TRY(line("", with_commas(play.balance(play.stage.fisherman_address()) - fishermans_before) +
                       " more for the fisherman, its bond back and fees paid,"));
  return line("", with_commas(play.balance(play.stage.client().address()) - clients_before) +
                      " for the client");
}

Status forgery_scene(Play& play, StageOperator& forger, const protocol::Receipt& forged) {
  OTR_TRY(print("\n3. An operator that broke its own enclave signs a forged answer\n"));
  OTR_TRY(play.keep(forged, "forged.json"));
  OTR_TRY(line("answer", short_text(forged.output_text)));
  OTR_TRY_ASSIGN(const std::string tier_one, play.tier_one(forged, false));
  OTR_TRY(line("tier 1 is deceived", tier_one));
  const std::uint64_t stake = play.stake(forger);
  const std::uint64_t fishermans = play.balance(play.stage.fisherman_address());
  const std::uint64_t clients = play.balance(play.stage.client().address());
  const std::uint64_t burned = play.stage.state().burned;
  const std::uint64_t begin = env::unix_ms();
  OTR_TRY(play.hand_over(forger, forged));
  OTR_TRY(play.wait_for_post(forger, forged, "forged.posted.json"));
  OTR_TRY(play.stage.run_until([&] { return play.stake(forger) == 0; }, kPatienceMs));
  const auto& [number, game] = *play.stage.state().games.rbegin();
  OTR_TRY(line("caught", "by the fisherman that recomputed it, " + seconds(env::unix_ms() - begin) +
                             " after it was handed in"));
  OTR_TRY(line("dispute", "game " + std::to_string(number) + ", " +
                              std::to_string(game.game.move_count) +
                              " moves: challenge, answer, proof of one step: " +
                              std::string(name_of(static_cast<Reject>(game.game.verdict)))));
  return tell_slash(play, stake, fishermans, clients, burned);
}

Status thief_scene(Play& play, StageOperator& honest) {
  OTR_TRY(print("\n4. A thief has the honest enclave's key, but not the operator's\n"));
  const crypto::PrivateKey& thief = play.stage.accuser();
  const protocol::Receipt stolen =
      Play::attested(sim::forge_token(play.big.weights, play.request(), play.prompt_ids, 0,
                                      play.another_token(play.honest.output_ids[0]),
                                      {*honest.enclave->signer(), thief}),
                     honest);
  OTR_TRY(play.keep(stolen, "stolen.json"));
  const std::uint64_t stake = play.stake(honest);
  OTR_TRY_ASSIGN(const std::string verdict, play.tier_one(stolen, true));
  OTR_TRY(line("tier 1", verdict));
  OTR_TRY(play.stage.watch().catch_up());
  const Status forced =
      play.stage.watch().send(thief, ledger::Force{.claim = stolen.claim,
                                                   .claim_signature = stolen.claim_signature,
                                                   .countersignature = stolen.countersignature,
                                                   .request = stolen.request.request,
                                                   .request_signature = stolen.request.signature});
  if (forced) return fail(ErrorKind::kReject, "The thief's claim was taken.");
  OTR_TRY(line("on the ledger", "refused: " + forced.error().message));
  if (play.stake(honest) != stake) return fail(ErrorKind::kReject, "The thief burned somebody.");
  return line("burned", "nobody: the honest operator's stake is " + with_commas(stake));
}

Status accuser_move(Play& play, std::uint64_t game, dispute::Action action) {
  OTR_TRY(play.stage.watch().catch_up());
  const dispute::Move move{.side = dispute::Side::kChallenger,
                           .state = play.stage.state().games.at(game).game_digest,
                           .action = std::move(action)};
  return play.stage.watch().send(play.stage.accuser(),
                                 ledger::Move{game, dispute::encode_move(move)});
}

Status accusation_scene(Play& play, StageOperator& honest) {
  OTR_TRY(print("\n5. Somebody accuses the honest worker\n"));
  const protocol::Receipt receipt = Play::attested(
      sim::answer_honestly(play.big.weights, play.request(), play.prompt_ids, honest.signing()),
      honest);
  OTR_TRY(play.keep(receipt, "accused.json"));
  OTR_TRY(play.hand_over(honest, receipt));
  OTR_TRY_ASSIGN(const rollup::Posted claim,
                 play.wait_for_post(honest, receipt, "accused.posted.json"));
  const std::uint64_t before = play.balance(play.stage.accuser().address());
  const std::uint64_t stake = play.stake(honest);
  OTR_TRY(play.stage.watch().send(play.stage.accuser(),
                                  ledger::Challenge{.batch = claim.batch,
                                                    .index = claim.index,
                                                    .claim = receipt.claim,
                                                    .path = {},
                                                    .request = receipt.request.request}));
  const std::uint64_t number = play.stage.state().games.rbegin()->first;
  OTR_TRY(accuser_move(play, number, dispute::Challenge{{play.prompt_ids.size(), {}, 0}}));
  OTR_TRY(play.stage.run_until(
      [&] { return play.stage.state().games.at(number).game.phase == dispute::Phase::kProving; },
      kPatienceMs));
  OTR_TRY(
      line("challenged", "the first token; the worker answered with the whole computation of it"));
  // It has no step to prove: every move that it could make is refused.
  const Status proof =
      accuser_move(play, number, referee::Proof{.kind = referee::ProofKind::kStep});
  OTR_TRY(line("its proof", proof ? "TAKEN" : "refused: " + proof.error().message));
  OTR_TRY(accuser_move(play, number, dispute::Concede{}));
  OTR_TRY(line("it gives up",
               "and has " + with_commas(before - play.balance(play.stage.accuser().address())) +
                   " less: half of its bond for the worker, half burned, and fees"));
  if (play.stake(honest) != stake) return fail(ErrorKind::kReject, "An honest bond was lost.");
  OTR_TRY(play.stage.run_until(
      [&] { return ledger::is_final(play.stage.state(), {claim.batch, claim.index}); },
      kPatienceMs));
  return line("the answer", "is final, the honest operator's stake is " + with_commas(stake));
}

// The moves of all games as the ledger holds them, for people.
Status write_transcript(Stage& stage) {
  std::string text;
  std::uint64_t after = 0;
  while (true) {
    OTR_TRY_ASSIGN(const auto rows, stage.sequencer().rows(after));
    if (rows.empty()) break;
    for (const settlement::Row& row : rows) {
      after = row.height;
      OTR_TRY_ASSIGN(const ledger::Transaction made, ledger::decode_transaction(row.transaction));
      const bool is_move = std::holds_alternative<ledger::Challenge>(made.body) ||
                           std::holds_alternative<ledger::Move>(made.body);
      if (!is_move) continue;
      Json shown = ledger::to_json(made);
      shown["height"] = row.height;
      shown["time"] = row.time;
      if (const auto* move = std::get_if<ledger::Move>(&made.body)) {
        shown["bytes"] = move->move.size();
      }
      text += shown.dump() + "\n";
    }
  }
  return env::write_file_atomically(stage.folder() / "disputes.jsonl", as_bytes(text), 0644);
}

// That the play can be played with these models: no scene may find out in the middle.
Status check_models(const StageModel& big, const StageModel& small, const Prompt& prompt,
                    const DemoFlags& flags) {
  const machine::Shape& one = big.artifact.view().shape;
  const machine::Shape& other = small.artifact.view().shape;
  if (big.artifact.root() == small.artifact.root()) {
    return fail(ErrorKind::kUsage, "--small is the same model as --model");
  }
  if (prompt.ids.size() + flags.max_tokens > std::min(one.context, other.context)) {
    return fail(ErrorKind::kUsage, "--max-tokens " + std::to_string(flags.max_tokens) +
                                       " does not fit the context of a model");
  }
  OTR_TRY_ASSIGN(const crypto::PrivateKey nobody, node::new_session_key());
  for (const StageModel* model : {&big, &small}) {
    const protocol::SignedRequest request =
        sim::make_request(model->weights, nobody, 1, prompt.ids, flags.max_tokens, Hash{});
    OTR_TRY(rollup::answer(model->weights, request.request, prompt.ids));
  }
  return {};
}

Result<int> demo(const DemoFlags& flags) {
  const std::filesystem::path folder = flags.folder;
  std::error_code error;
  if (std::filesystem::exists(folder / "ledger.sqlite", error)) {
    return fail(ErrorKind::kUsage, "--folder " + flags.folder +
                                       " holds a ledger already: name a new folder or remove it");
  }
  OTR_TRY_ASSIGN(model::Artifact big_artifact, load_model(flags.model));
  OTR_TRY_ASSIGN(model::Artifact small_artifact, load_model(flags.small));
  StageModel big(std::filesystem::path(flags.model).stem().string(), std::move(big_artifact),
                 flags.threads);
  StageModel small(std::filesystem::path(flags.small).stem().string(), std::move(small_artifact),
                   flags.threads);
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, text::Tokenizer::parse(big.artifact.tokenizer()));
  OTR_TRY_ASSIGN(const Prompt prompt, encode_prompt(big.artifact, tokenizer, kQuestion, false));
  OTR_TRY(check_models(big, small, prompt, flags));
  std::filesystem::create_directories(folder, error);
  OTR_TRY_ASSIGN(const auto stage,
                 Stage::set_up(folder, {&big, &small},
                               {.window_ms = kWindowMs, .draw_ppm = ledger::kMillion}));
  Play play{*stage, big, small, prompt.ids, flags.max_tokens};

  OTR_TRY_ASSIGN(StageOperator * honest, stage->add_operator("honest", big));
  OTR_TRY_ASSIGN(StageOperator * cheap, stage->add_operator("cheap", small));
  OTR_TRY(
      print("A ledger, an auditor with the beacon, a fisherman, a client and operators, all on "
            "this machine.\nThe TEEs are SIMULATED. Ledger " +
            to_hex(stage->state().id) + "\n"));
  OTR_TRY(honest_scene(play, *honest));
  OTR_TRY(downgrade_scene(play, *cheap));

  const auto at =
      static_cast<std::uint32_t>(std::min<std::size_t>(2, play.honest.output_ids.size() - 1));
  const std::uint32_t lie = play.another_token(play.honest.output_ids[at]);
  sim::LiarsDefence defence(
      big.weights, sim::token_at(static_cast<std::uint32_t>(prompt.ids.size()) - 1 + at, lie),
      false);
  OTR_TRY_ASSIGN(StageOperator * forger, stage->add_operator("forger", big, std::ref(defence)));
  OTR_TRY(forgery_scene(play, *forger,
                        Play::attested(sim::forge_token(big.weights, play.request(), prompt.ids, at,
                                                        lie, forger->signing()),
                                       *forger)));
  OTR_TRY(thief_scene(play, *honest));
  OTR_TRY(accusation_scene(play, *honest));
  OTR_TRY(canary_scene(play, defence, at, lie));
  OTR_TRY(write_transcript(*stage));
  OTR_TRY(stage->close());
  OTR_TRY(print(
      "\nAll of it is in " + flags.folder +
      ": receipts, disputes.jsonl, ledger.sqlite. Check it yourself:\n  otr ledger verify " +
      (folder / "ledger.sqlite").string() + "\n  otr verify " + (folder / "honest.json").string() +
      " --model " + flags.model + " --recompute --policy " + (folder / "policy.toml").string() +
      " --ledger " + (folder / "ledger.sqlite").string() + " --posted " +
      (folder / "honest.posted.json").string() + "\n"));
  if (play.beacon) {
    OTR_TRY(print("  otr verify " + (folder / "honest.proof").string() + " --model " + flags.model +
                  " --beacon " + to_hex(*play.beacon) + "\n"));
  }
  return kOk;
}

}  // namespace

void add_demo(CLI::App& app, Run& run) {
  auto flags = std::make_shared<DemoFlags>();
  CLI::App* command = app.add_subcommand(
      "demo", "The whole rollup on this machine as a story, with SIMULATED TEEs");
  command->add_option("-m,--model", flags->model, "The model that is asked for")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command->add_option("--small", flags->small, "The smaller one that a cheat serves")
      ->required()
      ->type_name("FILE");
  command->add_option("--folder", flags->folder, "Where receipts and ledger are left: a new folder")
      ->required()
      ->type_name("DIR");
  command->add_option("--max-tokens", flags->max_tokens, "Of each answer")
      ->capture_default_str()
      ->check(CLI::Range(4, 256));
  command->add_option("--threads", flags->threads, "Threads of the engine")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = demo(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps
