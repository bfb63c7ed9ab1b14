// otr verify: what a receipt or a proof shows, checked by a stranger.
#include <cstdio>
#include <utility>

#include "apps/command.h"
#include "apps/ledger_file.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "client/ladder.h"
#include "env/clock.h"
#include "env/file.h"
#include "env/signal.h"
#include "node/audit.h"
#include "node/proof.h"
#include "rollup/posted.h"

namespace otr::apps {
namespace {

struct VerifyFlags {
  std::string receipt, model, beacon, policy, at, ledger, posted;
  unsigned threads = default_threads();
  bool recompute = false;
  bool explain = false;
  bool json = false;
};

int code_of(client::Verdict verdict) {
  switch (verdict) {
    case client::Verdict::kVerified:
      return kOk;
    case client::Verdict::kFailed:
      return kFailed;
    default:
      return kInconclusive;
  }
}

// How the evidence of a session is to be appraised, where the user says so.
struct Appraiser {
  std::optional<attest::Policy> policy;
  attest::Time at = 0;

  node::AuditOptions options() const { return {.policy = policy ? &*policy : nullptr, .at = at}; }
};

Result<Appraiser> make_appraiser(const VerifyFlags& flags) {
  Appraiser appraiser{.at = env::unix_seconds()};
  if (!flags.at.empty()) {
    OTR_TRY_ASSIGN(appraiser.at, attest::parse_time(flags.at));
  }
  if (flags.policy.empty()) return appraiser;
  OTR_TRY_ASSIGN(const std::string text, read_policy(flags.policy));
  OTR_TRY_ASSIGN(appraiser.policy, attest::parse_policy(text));
  return appraiser;
}

// A file that says OTRPROOF at its begin is a proof, any other a receipt.
Result<node::Audit> audit_file(const VerifyFlags& flags, const Hash& beacon, ByteView bytes,
                               model::Artifact& model) {
  OTR_TRY_ASSIGN(const Appraiser appraiser, make_appraiser(flags));
  if (!node::looks_like_proof(bytes)) {
    if (!flags.beacon.empty()) {
      return fail(ErrorKind::kUsage, "--beacon is about a proof, and this is a receipt");
    }
    // A receipt that fails as it stands does not deserve the time to pack a model.
    node::AuditOptions options = appraiser.options();
    node::Audit looked = node::audit(as_text(bytes), model, options);
    if (!flags.recompute || looked.failed()) return looked;
    const engine::PackedModel packed = pack(model, flags.threads);
    options.recompute_with = &packed;
    options.threads = flags.threads;
    options.cancelled = env::interrupted;
    return node::audit(as_text(bytes), model, options);
  }
  if (flags.recompute) {
    return fail(ErrorKind::kUsage, "a proof needs no --recompute: leave it out");
  }
  node::ProofAudit proof = node::audit_proof(bytes, model);
  if (!flags.beacon.empty() && !proof.audit.failed() && proof.beacon != beacon) {
    proof.audit.proven = false;
    proof.audit.proof_failed = true;
    proof.audit.report.checks.push_back({.name = "the beacon is the one asked for",
                                         .outcome = protocol::Outcome::kFail,
                                         .detail = "the proof is bound to " + to_hex(proof.beacon),
                                         .reject = Reject::kProofInvalid});
  }
  return std::move(proof.audit);
}

const std::string kFallen = "FALLEN: the ledger holds that this answer does not count";
constexpr std::size_t kMaxPostedBytes = std::size_t{64} << 10;

// Where the claim stands by a replay of the whole ledger: `posted` says in which batch it is and
// why (otr demo writes such files): {"batch":"1","index":0,"path":["0x…"]}.
Result<rollup::Whereabouts> look_up(const VerifyFlags& flags, const protocol::Receipt& receipt) {
  OTR_TRY_ASSIGN(const ledger::State state, replay_ledger(flags.ledger));
  if (receipt.ledger != ledger::claims_ledger(state)) {
    return fail(ErrorKind::kReject,
                "The receipt is of the ledger " + to_hex(receipt.ledger) + ", and " + flags.ledger +
                    " is " + to_hex(state.id) + ".",
                "LEDGER_MISMATCH");
  }
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(flags.posted, kMaxPostedBytes));
  OTR_TRY_ASSIGN(const rollup::Posted posted, rollup::decode_posted(as_text(bytes)));
  return rollup::whereabouts_of(state, receipt, posted);
}

Result<int> verify(const VerifyFlags& flags) {
  if (flags.ledger.empty() != flags.posted.empty()) {
    return fail(ErrorKind::kUsage, "--ledger and --posted go together");
  }
  OTR_TRY_ASSIGN(const Hash beacon, parse_beacon(flags.beacon));
  auto bytes = env::read_file(flags.receipt, node::kMaxProofBytes);
  if (!bytes) {
    if (bytes.error().kind == ErrorKind::kBadInput) {  // it is there, and too long to be a receipt
      bytes.error() = {ErrorKind::kReject, std::move(bytes.error().message), "LIMIT_EXCEEDED"};
    }
    return std::unexpected(std::move(bytes).error());
  }
  auto loaded = load_model(flags.model);
  if (!loaded) {
    // A model file that does not hold together proves nothing about the receipt: exit 1, as any
    // changed byte of the model must be noticed; a file that is not there is a usage error.
    if (!loaded.error().code.empty()) loaded.error().kind = ErrorKind::kReject;
    return std::unexpected(std::move(loaded).error());
  }
  OTR_TRY_ASSIGN(const node::Audit audit, audit_file(flags, beacon, *bytes, *loaded));
  std::optional<rollup::Whereabouts> where;
  if (!flags.ledger.empty() && audit.receipt && !audit.failed()) {
    OTR_TRY_ASSIGN(where, look_up(flags, *audit.receipt));
  }
  const auto lines = client::ladder(audit, false, where ? &*where : nullptr);
  int code = code_of(client::verdict_of(audit));
  const bool has_fallen = where && (where->standing == rollup::Standing::kRefuted ||
                                    where->standing == rollup::Standing::kCanary ||
                                    where->standing == rollup::Standing::kVoid);
  if (has_fallen) code = kFraud;
  if (flags.json) {
    const Json result = {{"verdict", has_fallen ? kFallen : client::summary_of(audit)},
                         {"exit_code", code},
                         {"ladder", client::to_json(lines)},
                         {"checks", client::checks_to_json(audit)}};
    OTR_TRY(print(result.dump() + "\n"));
  } else {
    std::string text = flags.receipt + "\n" + client::to_text(lines);
    if (flags.explain) text += "Checks:\n" + client::explain(audit);
    OTR_TRY(print(text + (has_fallen ? kFallen : client::summary_of(audit)) + "\n"));
  }
  return code;
}

}  // namespace

void add_verify(CLI::App& app, Run& run) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* command = app.add_subcommand(
      "verify", "Check a receipt or a proof: 0 verified, 1 failed, 3 inconclusive");
  command->add_option("receipt", flags->receipt, "What otr ask --receipt or otr prove wrote")
      ->required()
      ->type_name("FILE");
  command->add_option("-m,--model", flags->model, "The model it should be about")
      ->required()
      ->type_name("FILE")
      ->envname("OTR_MODEL");
  command->add_flag("--recompute", flags->recompute, "Compute the answer again and compare");
  command->add_option("--beacon", flags->beacon, "Value that the proof must be bound to")
      ->type_name("HEX");
  command
      ->add_option("--policy", flags->policy,
                   "Appraise the session's evidence by this policy: a TOML file, or genuine")
      ->type_name("P");
  command
      ->add_option("--at", flags->at,
                   "Time of the appraisal, such as 2026-03-20T12:00:00Z: when the answer came "
                   "(default: now)")
      ->type_name("TIME");
  command
      ->add_option("--ledger", flags->ledger,
                   "A ledger or an export of one, replayed to say where the claim stands; with "
                   "--posted")
      ->type_name("FILE");
  command->add_option("--posted", flags->posted, "In which batch of it the claim is, and why")
      ->type_name("FILE");
  command->add_flag("--explain", flags->explain, "Print every check");
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->add_option("--threads", flags->threads, "Threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = verify(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps
