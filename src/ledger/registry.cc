// Models, sessions, revocations, parameters and checkpoints (SPEC SET-10, SET-16 to SET-19,
// SET-34), and what all rules share.
#include <algorithm>
#include <string>

#include "base/hex.h"
#include "ledger/rules.h"
#include "machine/tables.h"
#include "protocol/eip712.h"

namespace otr::ledger {
namespace {

// Seconds that still fit a u64 as milliseconds, far beyond any calendar.
constexpr std::uint64_t kLastSecond = std::uint64_t{1} << 40;

std::unexpected<Error> session_invalid(std::string message) {
  return fail(ErrorKind::kReject, std::move(message), "SESSION_INVALID");
}

// SPEC SET-18: what the statement says of itself.
Status check_statement_of_session(const protocol::Session& session) {
  if (session.spec_hash != machine::kSpecHash) {
    return fail(ErrorKind::kReject, "The session runs another version of the SPEC.",
                "SPEC_MISMATCH");
  }
  if (session.key == session.operator_address || session.key == Address{} ||
      session.seal_key == Hash{} || session.receipt_key == Hash{} || session.beacon == Hash{}) {
    return session_invalid("The session's keys and beacon must not be zero nor the operator's.");
  }
  if (session.expiry > kLastSecond || session.not_before >= session.expiry ||
      session.expiry - session.not_before > protocol::kMaxSessionSeconds) {
    return session_invalid("The session's times are not those of SESS-6.");
  }
  return {};
}

// A number that MODEL-4 forbids in every tensor of its type (SPEC SET-17).
bool holds_forbidden(merkle::Type type, ByteView tile) {
  if (type == merkle::Type::kI8) return std::ranges::find(tile, 0x80) != tile.end();
  if (type != merkle::Type::kU16) return false;
  for (std::size_t i = 0; i + 2 <= tile.size(); i += 2) {
    const auto scale = load_le<std::uint16_t>(tile.data() + i);
    if (scale < 1 || scale > 4095) return true;
  }
  return false;
}

}  // namespace

Status check_role(const Call& call, const Address& who, const char* role) {
  if (call.signer == who) return {};
  return refuse(Refusal::kNotAllowed, std::string("Only the ") + role + " may sign this: " +
                                          to_hex(who) + ", not " + to_hex(call.signer) + ".");
}

Status check_spend(const Call& call, std::uint64_t amount) {
  if (amount == 0) return refuse(Refusal::kBadAmount, "The amount is 0.");
  if (amount <= call.spendable()) return {};
  return refuse(Refusal::kInsufficient, to_hex(call.signer) + " can spend " +
                                            std::to_string(call.spendable()) + ", not " +
                                            std::to_string(amount) + ".");
}

void credit(State& state, const Address& to, std::uint64_t amount) {
  if (amount != 0) state.accounts[to].balance += amount;
}

void burn(const Call& call, std::uint64_t amount) {
  if (amount == 0) return;
  call.state.burned += amount;
  call.emit(EventKind::kBurned, {}, {}, amount);
}

Status check_claim(const State& state, const protocol::Claim& claim, const Hash& session_id,
                   const protocol::Request& request) {
  const protocol::Session& session = state.sessions.at(session_id).session;
  if (claim.session != session_id || request.model_root != session.model_root) {
    return fail(ErrorKind::kReject,
                "Claim, session and model of the request do not belong together.",
                "SESSION_MISMATCH");
  }
  if (claim.checkpoint == 0 && claim.checkpoint_hash == Hash{}) return {};
  const auto known = state.checkpoints.find(claim.checkpoint);
  if (known != state.checkpoints.end() && known->second.tip == claim.checkpoint_hash &&
      known->second.time >= session.not_before * 1000 &&
      known->second.time <= session.expiry * 1000) {
    return {};
  }
  return refuse(Refusal::kCheckpointMismatch,
                "The claim names a checkpoint that is not the ledger's, too old, or outside its "
                "session's time.");
}

void promote_parameters(State& state, std::uint64_t now) {
  if (!state.pending || state.pending->effective_at > now) return;
  state.current_parameters += 1;
  state.parameters[state.current_parameters] = state.pending->parameters;
  state.pending.reset();
}

Status rule(const Call& call, const ScheduleParameters& body) {  // SPEC SET-10
  OTR_TRY(check_role(call, call.state.genesis.governor, "governor"));
  OTR_TRY(check(body.parameters, call.state.genesis.trial != 0));
  const std::uint64_t fee = parameters_at(call.state, call.now).fee;
  if (body.parameters.fee > std::max<std::uint64_t>(1, 2 * fee)) {
    return refuse(Refusal::kBadParameters,
                  "The fee may at most double: who has a move to make must be able to pay it.");
  }
  promote_parameters(call.state, call.now);
  const std::uint64_t effective_at = call.now + parameters_at(call.state, call.now).unbond;
  call.state.pending = PendingParameters{body.parameters, effective_at};
  call.emit(EventKind::kParametersScheduled, call.signer, {}, effective_at);
  return {};
}

Status rule(const Call& call, const Checkpoint& body) {  // SPEC SET-34
  State& state = call.state;
  OTR_TRY(check_role(call, state.genesis.sequencer, "sequencer"));
  if (body.height != state.height || body.tip != state.tip || body.digest != digest_of(state)) {
    return refuse(Refusal::kCheckpointMismatch, "The checkpoint is not of this state.");
  }
  state.checkpoint_count += 1;
  state.checkpoints[state.checkpoint_count] = {body.height, call.now, body.tip};
  if (state.checkpoint_count > kKeptCheckpoints) {
    state.checkpoints.erase(state.checkpoint_count - kKeptCheckpoints);
  }
  call.emit(EventKind::kCheckpoint, call.signer, body.tip, state.checkpoint_count, body.height);
  return {};
}

Status rule(const Call& call, const RegisterModel& body) {  // SPEC SET-16
  if (call.state.models.contains(body.root)) {
    return refuse(Refusal::kExists, "This model is registered; an entry is never edited.");
  }
  if (body.max_prompt_tariff > kMaxTariff || body.max_output_tariff > kMaxTariff ||
      body.weights_published > 1) {
    return refuse(Refusal::kBadAmount, "A tariff is at most 2^30, a flag 0 or 1.");
  }
  const std::uint64_t bond = parameters_at(call.state, call.now).model_bond;
  if (bond != 0) OTR_TRY(check_spend(call, bond));
  const referee::Registration registration{
      .config = std::string(as_text(body.config)),
      .token_bytes = body.token_bytes,
      .config_path = body.config_path,
      .token_tile = body.token_tile,
      .token_path = body.token_path,
      .list_path = body.list_path,
  };
  OTR_TRY_ASSIGN(referee::ModelFacts facts, referee::check_registration(body.root, registration));
  call.account().balance -= bond;
  call.state.models[body.root] = {
      .registrant = call.signer,
      .bond = bond,
      .config = body.config,
      .token_bytes = body.token_bytes,
      .max_prompt_tariff = body.max_prompt_tariff,
      .max_output_tariff = body.max_output_tariff,
      .weights_published = body.weights_published,
      .facts = std::make_shared<const referee::ModelFacts>(std::move(facts)),
  };
  call.emit(EventKind::kModelRegistered, call.signer, body.root, bond);
  return {};
}

Status rule(const Call& call, const VoidModel& body) {  // SPEC SET-17
  const auto found = call.state.models.find(body.root);
  if (found == call.state.models.end()) {
    return refuse(Refusal::kUnknown, "This model is not registered.");
  }
  Model& model = found->second;
  if (model.voided_at != 0) return refuse(Refusal::kBadState, "This model is void already.");
  // Trees of the model need nothing of a claim.
  const referee::Terms terms;
  const referee::Statement statement{*model.facts, terms};
  const referee::Opening opening{
      .tree = {referee::Place::kModel, body.tensor, 0},
      .begin = body.tile,
      .end = body.tile + 1,
      .tiles = body.bytes,
      .path = body.path,
      .list_path = body.list_path,
  };
  if (body.tile == UINT64_MAX) {
    return fail(ErrorKind::kReject, "The model has no such tile.", "PATH_INVALID");
  }
  OTR_TRY(referee::check_opening(statement, nullptr, opening));
  const auto facts = referee::tree_facts(statement, nullptr, opening.tree);
  if (!facts || !holds_forbidden(facts->type, body.bytes)) {
    return fail(ErrorKind::kReject, "The tile holds nothing that a model may not hold.",
                "STEP_MISMATCH");
  }
  model.voided_at = call.now;
  const Split split = split_of(parameters_at(call.state, call.now), model.bond);
  model.bond = 0;
  credit(call.state, call.signer, split.reporter);
  burn(call, split.burned + split.client);
  call.emit(EventKind::kModelVoided, call.signer, body.root, split.reporter);
  return {};
}

Status rule(const Call& call, const RegisterSession& body) {  // SPEC SET-18
  State& state = call.state;
  const protocol::Session& session = body.session;
  OTR_TRY(check_role(call, session.operator_address, "session's operator"));
  OTR_TRY(check_statement_of_session(session));
  const auto self = state.operators.find(call.signer);
  if (self == state.operators.end() ||
      self->second.stake < parameters_at(state, call.now).min_stake) {
    return refuse(Refusal::kStakeTooLow, "The operator's stake is below the least.");
  }
  const auto model = state.models.find(session.model_root);
  if (model == state.models.end()) {
    return refuse(Refusal::kUnknown, "The session's model is not registered.");
  }
  if (model->second.voided_at != 0)
    return refuse(Refusal::kBadState, "The session's model is void.");
  if (body.prompt_tariff > model->second.max_prompt_tariff ||
      body.output_tariff > model->second.max_output_tariff) {
    return refuse(Refusal::kBadAmount, "A tariff is above the model's.");
  }
  const Hash ledger = claims_ledger(state);
  const Hash id = protocol::session_id(session, ledger);
  if (state.sessions.contains(id) || state.session_keys.contains(session.key)) {
    return refuse(Refusal::kExists, "A session and its key register once.");
  }
  const Hash words = protocol::StructHasher("Registration(bytes32 session,bytes32 evidence)")
                         .word(id)
                         .word(body.evidence)
                         .finish();
  OTR_TRY(protocol::check_signer(protocol::signing_digest(ledger, words), body.signature,
                                 session.key, "SESSION_SIGNATURE"));
  state.session_keys.insert(session.key);
  state.sessions[id] = {.session = session,
                        .evidence = body.evidence,
                        .epoch = self->second.epoch,
                        .prompt_tariff = body.prompt_tariff,
                        .output_tariff = body.output_tariff};
  call.emit(EventKind::kSessionRegistered, call.signer, id, session.not_before, session.expiry);
  return {};
}

Status rule(const Call& call, const RevokeSession& body) {  // SPEC SET-19
  const auto session = call.state.sessions.find(body.session);
  if (session == call.state.sessions.end()) {
    return refuse(Refusal::kUnknown, "This session is not registered.");
  }
  const bool is_auditor = call.signer == call.state.genesis.auditor;
  if (!is_auditor && call.signer != session->second.session.operator_address) {
    return refuse(Refusal::kNotAllowed, "Only the session's operator and the auditor revoke it.");
  }
  SessionEntry& entry = session->second;
  if (entry.revoked_at != 0 || (!is_auditor && entry.ended_at != 0)) {
    return refuse(Refusal::kBadState, "The session is revoked already.");
  }
  (is_auditor ? entry.revoked_at : entry.ended_at) = call.now;
  call.emit(EventKind::kRevoked, call.signer, body.session, call.now);
  return {};
}

Status rule(const Call& call, const RevokeRuntime& body) {
  OTR_TRY(check_role(call, call.state.genesis.auditor, "auditor"));
  if (!call.state.revoked_runtimes.try_emplace(body.runtime, call.now).second) {
    return refuse(Refusal::kBadState, "The runtime is revoked already.");
  }
  call.emit(EventKind::kRevoked, call.signer, body.runtime, call.now);
  return {};
}

}  // namespace otr::ledger
