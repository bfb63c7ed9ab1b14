#include "apps/ask_remote.h"

#include "apps/serve.h"
#include "env/clock.h"
#include "service/answer.h"

namespace otr::apps {
namespace {

Error to_error(const service::UpstreamError& error) {
  const ErrorKind kind = error.status == 499  ? ErrorKind::kCancelled
                         : error.status < 500 ? ErrorKind::kUsage
                                              : ErrorKind::kNetwork;
  return {kind, error.message, error.code};
}

node::TokenInfo to_info(const protocol::TokenMessage& token) {
  node::TokenInfo info{.id = token.id, .logprobs = std::nullopt};
  if (token.logprobs.empty()) return info;
  const auto one = [](const protocol::TokenLogprob& from) {
    return node::TokenLogprob{.id = from.id, .logprob = static_cast<double>(from.micro_nats) / 1e6};
  };
  info.logprobs.emplace(
      node::TokenLogprobs{.chosen = one(token.logprobs.front()), .likeliest = {}});
  for (std::size_t i = 1; i < token.logprobs.size(); ++i) {
    info.logprobs->likeliest.push_back(one(token.logprobs[i]));
  }
  return info;
}

}  // namespace

Result<std::unique_ptr<Remote>> Remote::connect(const RemoteFlags& flags,
                                                const model::Artifact& artifact) {
  OTR_TRY_ASSIGN(const std::string text, read_policy(flags.policy));
  OTR_TRY_ASSIGN(attest::Policy policy, attest::parse_policy(text));
  OTR_TRY_ASSIGN(std::string api_key, read_api_key(flags.key_file));
  std::unique_ptr<Remote> remote(new Remote(artifact, policy));
  OTR_TRY_ASSIGN(remote->client_, net::Client::create({.ca_file = flags.ca_file}));
  remote->upstream_ = service::HttpUpstream::start(
      *remote->client_,
      {.url = flags.url, .api_key = std::move(api_key), .policy = std::move(policy)});
  OTR_TRY(remote->upstream_->refresh());
  auto session = remote->upstream_->session(artifact.root());
  if (!session) return fail(ErrorKind::kReject, session.error().message, session.error().code);
  remote->session_ = *std::move(session);
  return remote;
}

void Remote::submit(const protocol::SignedRequest& request,
                    const std::vector<std::uint32_t>& prompt_ids,
                    const std::optional<unsigned>& logprobs,
                    std::function<void(const node::TokenInfo&)> on_token,
                    std::function<void(Result<protocol::Receipt>)> on_done) {
  const auto ids = std::make_shared<std::vector<std::uint32_t>>();
  service::UpstreamEvents events;
  events.on_token = [ids, on_token = std::move(on_token)](const protocol::TokenMessage& token) {
    ids->push_back(token.id);
    on_token(to_info(token));
  };
  events.on_done = [this, ids, request, prompt_ids, on_done = std::move(on_done)](auto ended) {
    if (!ended) return on_done(std::unexpected(to_error(ended.error())));
    auto answer = service::verify_answer(request, prompt_ids, *ids, *ended, *session_,
                                         artifact_.view(), artifact_.root(), env::unix_seconds());
    if (!answer) return on_done(std::unexpected(std::move(answer).error()));
    on_done(std::move(answer->receipt));
  };
  calls_.push_back(upstream_->submit(
      {.session = session_->id, .request = request, .prompt_ids = prompt_ids, .logprobs = logprobs},
      session_, std::move(events)));
}

void Remote::cancel() {
  for (const auto& call : calls_) {
    if (call) call->cancel();
  }
}

}  // namespace otr::apps
