#include "client/client.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/hex.h"
#include "client/body.h"
#include "client/connection.h"
#include "client/ladder.h"
#include "client/request.h"
#include "env/clock.h"
#include "env/random.h"
#include "node/audit.h"
#include "node/keys.h"
#include "openai/sampling.h"
#include "protocol/answer_text.h"
#include "protocol/finish.h"
#include "service/prompt.h"
#include "text/utf8.h"

namespace otr::client {
namespace {

// What the upstream's thread tells, for the one who asked.
class Inbox {
 public:
  void token(std::uint32_t id) {
    const std::lock_guard lock(mutex_);
    news_.ids.push_back(id);
    changed_.notify_one();
  }
  void done(otr::Result<protocol::Receipt> outcome) {
    const std::lock_guard lock(mutex_);
    news_.outcome = std::move(outcome);
    changed_.notify_one();
  }

  struct News {
    std::vector<std::uint32_t> ids;
    std::optional<otr::Result<protocol::Receipt>> outcome;
  };
  News wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return news_.outcome || !news_.ids.empty(); });
    return std::exchange(news_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  News news_;
};

otr::Result<machine::Sampling> sampling_of(const Sampling& asked) {
  openai::SamplingNumbers numbers{.temperature = asked.temperature,
                                  .top_p = asked.top_p,
                                  .min_p = asked.min_p,
                                  .top_k = asked.top_k,
                                  .presence_penalty = asked.presence_penalty,
                                  .frequency_penalty = asked.frequency_penalty};
  for (const auto& [id, value] : asked.logit_bias) numbers.logit_bias.push_back({id, value});
  if (asked.seed) {
    numbers.seed = openai::seed_of_number(*asked.seed);
  } else {
    OTR_TRY_ASSIGN(numbers.seed, env::random_32_bytes());
  }
  auto sampling = openai::to_sampling(numbers);
  if (!sampling) {
    return fail(otr::ErrorKind::kUsage, sampling.error().field + " " + sampling.error().why);
  }
  return *std::move(sampling);
}

otr::Result<std::vector<std::uint32_t>> encode(const Question& question, const Model::Body& model) {
  if (question.messages.empty()) return service::encode_text(model.tokenizer, question.prompt);
  if (!question.prompt.empty()) {
    return fail(otr::ErrorKind::kUsage, "a question has messages or a prompt, not both");
  }
  std::vector<chat::ChatMessage> messages;
  for (const Message& one : question.messages) messages.push_back({one.role, one.content});
  return service::encode_chat(model.artifact, model.tokenizer, messages);
}

// What is wrong with the question is the asker's to change, whatever a part of it is called.
otr::Result<Wish> wish_of(const Question& question, const Model::Body& model) {
  Wish wish{.max_tokens = question.max_tokens, .stop = question.stop, .sealed = question.sealed};
  OTR_TRY_ASSIGN(wish.sampling, sampling_of(question.sampling));
  auto ids = encode(question, model);
  if (!ids) return fail(otr::ErrorKind::kUsage, std::move(ids).error().message);
  wish.prompt_ids = *std::move(ids);
  for (const std::string& stop : question.stop) {
    if (text::utf8_error(stop)) return fail(otr::ErrorKind::kUsage, "a stop string is not UTF-8");
  }
  return wish;
}

// The one who asked, while the answer comes.
struct Listener {
  void hear(const Token& token) {
    has_heard = true;
    text += token.text;
    if (on_token) on_token(token);
  }

  const OnToken& on_token;
  const std::stop_token& stop;
  std::string text = {};
  bool has_heard = false;
};

std::string_view reason_of(const protocol::Receipt& receipt) {
  const auto length = static_cast<std::uint8_t>(protocol::FinishReason::kLength);
  return receipt.claim.finish_reason == length ? "length" : "stop";
}

}  // namespace

struct Client::Body {
  explicit Body(Model of) : model(std::move(of)) {}

  // Hands tokens on while they come, and gives the receipt. Letting go of the call cancels it.
  otr::Result<protocol::Receipt> receive(const protocol::SignedRequest& request, const Wish& wish,
                                         Listener& listener) const;
  // The client's own look at what it was given, as if it came from a stranger.
  otr::Result<Answer> judge(const protocol::Receipt& receipt) const;

  const Model model;
  std::unique_ptr<service::RequestSigner> signer;
  std::unique_ptr<Connection> connection;
};

otr::Result<protocol::Receipt> Client::Body::receive(const protocol::SignedRequest& request,
                                                     const Wish& wish, Listener& listener) const {
  const model::Artifact& artifact = model.body().artifact;
  OTR_TRY_ASSIGN(const auto session, connection->session(artifact.root()));
  const auto inbox = std::make_shared<Inbox>();
  const auto call =
      submit(connection->upstream(), session,
             {.session = session->id, .request = request, .prompt_ids = wish.prompt_ids}, artifact,
             {.on_token = [inbox](const auto& token) { inbox->token(token.id); },
              .on_done = [inbox](auto receipt) { inbox->done(std::move(receipt)); }});
  const std::stop_callback cancel(listener.stop, [&call] {
    if (call) call->cancel();
  });
  protocol::AnswerText answer(artifact.view(), request.request);
  for (;;) {
    Inbox::News news = inbox->wait();
    for (const std::uint32_t id : news.ids) {
      if (!listener.stop.stop_requested()) listener.hear({.id = id, .text = answer.push(id)});
    }
    if (!news.outcome) continue;
    if (listener.stop.stop_requested()) return fail(otr::ErrorKind::kCancelled, "Cancelled.");
    listener.text += answer.finish();
    return *std::move(news.outcome);
  }
}

otr::Result<Answer> Client::Body::judge(const protocol::Receipt& receipt) const {
  Answer answer;
  OTR_TRY_ASSIGN(answer.receipt, protocol::encode_receipt(receipt));
  const node::Audit audit =
      node::audit(answer.receipt, model.body().artifact,
                  {.policy = &connection->policy(), .at = env::unix_seconds()});
  if (const protocol::Check* failure = audit.report.failure()) {
    return fail(otr::ErrorKind::kReject, failure->detail, std::string(name_of(*failure->reject)));
  }
  if (!audit.session) return fail(otr::ErrorKind::kReject, "the receipt holds no evidence");
  answer.token_ids = receipt.output_ids;
  answer.prompt_tokens = static_cast<std::uint32_t>(receipt.prompt_ids.size());
  answer.finish_reason = reason_of(receipt);
  answer.hardware = audit.session->hardware;
  answer.attested_as = audit.session->description;
  answer.ladder = ladder(audit, true);
  answer.checks = explain(audit);
  return answer;
}

Client::Client(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const Options& options, const Model& model) {
  auto body = std::make_unique<Body>(model);
  ConnectionOptions connection{
      .url = options.url, .api_key = options.api_key, .ca_file = options.ca_file.string()};
  OTR_CLIENT_TRY(connection.policy, policy_of(options.policy));
  std::filesystem::path folder = options.home;
  if (folder.empty()) {
    OTR_CLIENT_TRY(folder, node::Home::default_folder());
  }
  OTR_CLIENT_TRY(const node::Home home, node::Home::open(folder));
  OTR_CLIENT_TRY(body->signer, service::RequestSigner::open(home));
  auto opened = Connection::open(std::move(connection));
  if (!opened) {
    Error error = to_public(std::move(opened).error());
    // The reason is in words, one for each piece of evidence; the code is as of session().
    if (error.kind == ErrorKind::kRefused && error.code.empty()) error.code = "no_session";
    return std::unexpected(std::move(error));
  }
  body->connection = *std::move(opened);
  OTR_CLIENT_TRY(const auto session, body->connection->session(model.body().artifact.root()));
  return Client(std::move(body));
}

Result<SessionFacts> Client::session() const {
  OTR_CLIENT_TRY(const auto session,
                 body_->connection->session(body_->model.body().artifact.root()));
  return SessionFacts{.id = to_hex(session->id),
                      .hardware = session->hardware,
                      .attested_as = session->description,
                      .expires_at = static_cast<std::int64_t>(session->document.session.expiry)};
}

Result<Answer> Client::ask(const Question& question, const OnToken& on_token,
                           std::stop_token stop) const {
  const Model::Body& model = body_->model.body();
  if (stop.stop_requested()) {
    return std::unexpected(Error{ErrorKind::kCancelled, "Cancelled.", {}});
  }
  OTR_CLIENT_TRY(const Wish wish, wish_of(question, model));
  // What is signed names the ledger of the session that is to answer; zero where there is none.
  OTR_CLIENT_TRY(const auto session, body_->connection->session(model.artifact.root()));
  OTR_CLIENT_TRY(const auto request,
                 make_request(wish, model.artifact, session->document.ledger, *body_->signer));
  Listener listener{on_token, stop};
  auto receipt = body_->receive(request, wish, listener);
  // A service that does not know the session has answered nothing: its machine was started anew.
  if (!receipt && receipt.error().code == "session_unknown" && !listener.has_heard) {
    if (auto status = body_->connection->upstream().refresh(); !status) {
      return std::unexpected(to_public(std::move(status).error()));
    }
    receipt = body_->receive(request, wish, listener);
  }
  OTR_CLIENT_TRY(const protocol::Receipt verified, std::move(receipt));
  OTR_CLIENT_TRY(Answer answer, body_->judge(verified));
  answer.text = std::move(listener.text);
  return answer;
}

}  // namespace otr::client
