#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "base/hex.h"
#include "client/body.h"
#include "client/connection.h"
#include "client/ladder.h"
#include "env/clock.h"
#include "env/file.h"
#include "node/audit.h"

namespace otr::client {
namespace {

constexpr std::size_t kMaxModelBytes = std::size_t{1} << 40;
constexpr unsigned kMaxThreads = 1024;

otr::Result<std::shared_ptr<Model::Body>> load_body(const std::filesystem::path& file) {
  OTR_TRY_ASSIGN(Bytes bytes, env::read_file(file, kMaxModelBytes));
  auto artifact = model::parse_artifact(std::move(bytes));
  if (!artifact) {
    std::string& message = artifact.error().message;
    message = file.string() + ": " + message + " (otr model import makes a model file)";
    return std::unexpected(std::move(artifact).error());
  }
  OTR_TRY_ASSIGN(text::Tokenizer tokenizer, text::Tokenizer::parse(artifact->tokenizer()));
  return std::make_shared<Model::Body>(file.string(), *std::move(artifact), std::move(tokenizer));
}

// A receipt that fails as it stands does not deserve the time to recompute it.
otr::Result<node::Audit> audit(std::string_view receipt, Model::Body& model,
                               const VerifyOptions& asked, node::AuditOptions options) {
  node::Audit looked = node::audit(receipt, model.artifact, options);
  if (!asked.recompute || looked.failed()) return looked;
  options.threads = std::clamp(asked.threads, 1U, kMaxThreads);
  options.cancelled = [&] { return asked.stop.stop_requested(); };
  OTR_TRY_ASSIGN(options.recompute_with, model.packed(options.threads));
  try {
    return node::audit(receipt, model.artifact, options);
  } catch (const std::bad_alloc&) {
    return fail(otr::ErrorKind::kIo, "there is not enough memory to recompute the answer");
  } catch (const std::system_error& error) {
    return fail(otr::ErrorKind::kIo,
                std::string("the system gives no threads to recompute with: ") + error.what());
  }
}

}  // namespace

otr::Result<const engine::PackedModel*> Model::Body::packed(unsigned threads) {
  const std::lock_guard lock(mutex_);
  try {
    if (!packed_) packed_.emplace(artifact.view(), engine::best_kernel(), threads);
  } catch (const std::bad_alloc&) {
    return fail(otr::ErrorKind::kIo, "there is not enough memory for the model's weights");
  } catch (const std::system_error& error) {
    return fail(otr::ErrorKind::kIo,
                std::string("the system gives no threads to pack the model: ") + error.what());
  }
  return &*packed_;
}

Error to_public(otr::Error error) {
  const auto kind = [&] {
    switch (error.kind) {
      case otr::ErrorKind::kUsage:
        return ErrorKind::kUsage;
      case otr::ErrorKind::kBadInput:
        return ErrorKind::kBadInput;
      case otr::ErrorKind::kReject:
      case otr::ErrorKind::kOutOfRange:
        return ErrorKind::kRefused;
      case otr::ErrorKind::kNetwork:
        return ErrorKind::kNetwork;
      case otr::ErrorKind::kCancelled:
        return ErrorKind::kCancelled;
      default:
        return ErrorKind::kSystem;
    }
  };
  return {kind(), std::move(error.message), std::move(error.code)};
}

Result<Model> Model::load(const std::filesystem::path& file) {
  OTR_CLIENT_TRY(auto body, load_body(file));
  return Model(std::move(body));
}

std::string Model::root() const { return to_hex(body_->artifact.root()); }
std::uint32_t Model::context() const { return body_->artifact.view().shape.context; }
bool Model::has_chat_template() const { return !body_->artifact.chat_template().empty(); }
const std::string& Model::file() const { return body_->name; }

Result<Verification> verify_receipt(std::string_view receipt, const Model& model,
                                    const VerifyOptions& options) {
  std::optional<attest::Policy> policy;
  if (options.policy) {
    OTR_CLIENT_TRY(policy, policy_of(*options.policy));
  }
  const node::AuditOptions appraisal{.policy = policy ? &*policy : nullptr,
                                     .at = options.at.value_or(env::unix_seconds())};
  OTR_CLIENT_TRY(const node::Audit audited, audit(receipt, model.body(), options, appraisal));
  Verification result{.verdict = verdict_of(audited),
                      .summary = summary_of(audited),
                      .recomputed = audited.recomputed,
                      .attested = audited.session && audited.session->accepted(),
                      .ladder = ladder(audited, false),
                      .checks = explain(audited)};
  result.hardware = result.attested && audited.session->hardware;
  if (const protocol::Check* failure = audited.report.failure()) {
    result.code = name_of(*failure->reject);
  }
  return result;
}

}  // namespace otr::client
