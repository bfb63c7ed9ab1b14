#include "service/test_front.h"

#include <chrono>
#include <cstdlib>

#include "base/check.h"
#include "env/clock.h"
#include "machine/tables.h"
#include "model/random_artifact.h"
#include "net/sse.h"
#include "protocol/claim.h"

namespace otr::service {
namespace {

constexpr std::chrono::seconds kPatience(60);

std::string toy_tokenizer() {
  Json vocab = Json::object();
  for (int i = 0; i < 16; ++i) vocab[std::string(1, static_cast<char>('a' + i))] = i;
  Json document = {{"version", "1.0"},
                   {"added_tokens", Json::array()},
                   {"normalizer", nullptr},
                   {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                   {"decoder", {{"type", "ByteLevel"}}},
                   {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
  return Json{{"kind", "hf-tokenizer-json"},
              {"document", document},
              {"bos_id", nullptr},
              {"eos_ids", Json::array()},
              {"add_bos", false}}
      .dump();
}

}  // namespace

TestFolder::TestFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "otr-service-XXXXXX").string();
  OTR_CHECK(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TestFolder::~TestFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

crypto::PrivateKey test_key(std::uint8_t byte) {
  return *crypto::PrivateKey::from_bytes(Bytes(32, byte));
}

std::shared_ptr<model::Artifact> toy_chat_artifact(std::uint64_t seed) {
  model::ArtifactContents contents = model::random_artifact({.seed = seed, .layers = 1});
  contents.config.eos_ids = {16};
  contents.tokenizer = toy_tokenizer();
  contents.chat_template =
      "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}a{% endif "
      "%}";
  return std::make_shared<model::Artifact>(
      *model::parse_artifact(*model::encode_artifact(std::move(contents))));
}

std::shared_ptr<AppraisedSession> toy_session(const Hash& model_root, std::uint8_t key) {
  auto appraised = std::make_shared<AppraisedSession>();
  protocol::Session& session = appraised->document.session;
  session.key = test_key(key).address();
  session.seal_key.fill(3);
  session.receipt_key.fill(4);
  session.operator_address = test_key(9).address();
  session.model_root = model_root;
  session.spec_hash = machine::kSpecHash;
  session.beacon.fill(5);
  session.not_before = static_cast<std::uint64_t>(env::unix_seconds() - 60);
  session.expiry = session.not_before + 3600;
  appraised->document.evidence = {{"quote.bin", Bytes(16, 1)}};
  appraised->document.signature =
      test_key(key).sign(protocol::registration_digest(appraised->document));
  appraised->id = protocol::session_id(session, Hash{});
  appraised->description = "a test's";
  return appraised;
}

void sign_claim(EndedAnswer& ended, std::uint8_t key, std::uint8_t operator_key) {
  const Hash digest = protocol::digest_of(ended.claim.claim, Hash{});
  ended.claim.signer = test_key(key).address();
  ended.claim.claim_signature = test_key(key).sign(digest);
  ended.claim.operator_address = test_key(operator_key).address();
  ended.claim.countersignature =
      test_key(operator_key).sign(protocol::countersignature_digest(digest, Hash{}));
}

void FakeCall::cancel() {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    cancelled_ = ended_ = true;
  }
  events_.on_done(std::unexpected(UpstreamError{499, "server_error", "cancelled", "cancelled"}));
}

bool FakeCall::is_cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void FakeCall::give(std::size_t count) {
  for (; count > 0 && given_ < script_.tokens.size(); --count) {
    events_.on_token(script_.tokens[given_++]);
  }
}

void FakeCall::end() {
  give(script_.tokens.size());
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
  }
  events_.on_done(script_.end);
}

FakeUpstream::FakeUpstream(std::shared_ptr<model::Artifact> artifact)
    : session_given(toy_session(artifact->root())),
      artifact_(std::move(artifact)),
      packed_(artifact_->view()),
      worker_(*artifact_, packed_, test_key(8), test_key(9), 1) {}

std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> FakeUpstream::session(
    const Hash& model_root) {
  const std::lock_guard lock(mutex_);
  if (session_error) return std::unexpected(*session_error);
  EXPECT_EQ(model_root, artifact_->root());
  return session_given;
}

Script FakeUpstream::true_answer(const protocol::Submission& submission) {
  Script script;
  auto receipt = worker_.serve(
      submission.request, submission.prompt_ids,
      [&](std::uint32_t id) {
        protocol::TokenMessage token{.id = id};
        if (submission.logprobs) {
          for (std::uint32_t i = 0; i <= *submission.logprobs; ++i) {
            token.logprobs.push_back({i == 0 ? id : i, -1'000'000 * std::int64_t{i + 1}});
          }
        }
        script.tokens.push_back(std::move(token));
      },
      [] { return false; });
  if (!receipt) {
    script.end = std::unexpected(
        UpstreamError{500, "server_error", receipt.error().code, receipt.error().message});
    return script;
  }
  EndedAnswer ended{.claim = {.claim = receipt->claim}, .trace_path = receipt->trace_path};
  ended.claim.claim.session = submission.session;
  sign_claim(ended);
  script.end = std::move(ended);
  return script;
}

std::shared_ptr<UpstreamCall> FakeUpstream::submit(
    const protocol::Submission& submission, const std::shared_ptr<const AppraisedSession>& session,
    UpstreamEvents events) {
  EXPECT_EQ(submission.session, session->id);
  std::shared_ptr<FakeCall> call;
  {
    const std::lock_guard lock(mutex_);
    Script script = true_answer(submission);
    bend(script);
    call = std::make_shared<FakeCall>(std::move(script), std::move(events));
    calls_.push_back(call);
    submissions_.push_back(submission);
  }
  wake_.notify_all();
  if (!holds) call->end();
  return call;
}

std::shared_ptr<FakeCall> FakeUpstream::call(std::size_t i) {
  std::unique_lock lock(mutex_);
  const bool came = wake_.wait_for(lock, kPatience, [&] { return calls_.size() > i; });
  OTR_CHECK(came);
  return calls_[i];
}

std::size_t FakeUpstream::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_.size();
}

std::vector<protocol::Submission> FakeUpstream::submissions() const {
  const std::lock_guard lock(mutex_);
  return submissions_;
}

bool FakeExchange::go(State from, State to) {
  if (state_ != from) return false;
  state_ = to;
  wake_.notify_all();
  return true;
}

bool FakeExchange::respond(net::Response response) {
  const std::lock_guard lock(mutex_);
  if (!go(State::kWaiting, State::kResponded)) return false;
  said_ = std::move(response);
  return true;
}

bool FakeExchange::begin_stream(unsigned status, net::Headers headers) {
  const std::lock_guard lock(mutex_);
  if (!go(State::kWaiting, State::kStreaming)) return false;
  said_ = {status, std::move(headers), {}};
  return true;
}

bool FakeExchange::write(std::string bytes) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::kStreaming) return false;
  said_.body += bytes;
  wake_.notify_all();
  return true;
}

bool FakeExchange::end() {
  const std::lock_guard lock(mutex_);
  return go(State::kStreaming, State::kEnded);
}

bool FakeExchange::abort() {
  const std::lock_guard lock(mutex_);
  return go(State::kStreaming, State::kAborted) || go(State::kWaiting, State::kAborted);
}

void FakeExchange::on_disconnect(std::function<void()> call) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kGone) {
      gone_call_ = std::move(call);
      return;
    }
  }
  call();
}

std::size_t FakeExchange::pending_bytes() const {
  const std::lock_guard lock(mutex_);
  return stalls_ ? std::size_t{1} << 20 : 0;
}

void FakeExchange::stall(bool stalls) {
  const std::lock_guard lock(mutex_);
  stalls_ = stalls;
}

void FakeExchange::disconnect() {
  std::function<void()> call;
  {
    const std::lock_guard lock(mutex_);
    state_ = State::kGone;
    call = std::exchange(gone_call_, nullptr);
    wake_.notify_all();
  }
  if (call) call();
}

template <class Condition>
void FakeExchange::wait_until(Condition condition) {
  std::unique_lock lock(mutex_);
  if (!wake_.wait_for(lock, kPatience, condition)) {
    ADD_FAILURE() << "waited in vain; so far: " << said_.status << " " << said_.body;
  }
}

FakeExchange::State FakeExchange::wait() {
  wait_until([&] { return state_ != State::kWaiting && state_ != State::kStreaming; });
  return state();
}

void FakeExchange::wait_for(std::string_view part) {
  wait_until([&] { return said_.body.find(part) != std::string::npos; });
}

void FakeExchange::wait_for_head() {
  wait_until([&] { return state_ != State::kWaiting; });
}

FakeExchange::State FakeExchange::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

unsigned FakeExchange::status() const {
  const std::lock_guard lock(mutex_);
  return said_.status;
}

std::string FakeExchange::header(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  return std::string(net::find_header(said_.headers, name).value_or(""));
}

std::string FakeExchange::text() const {
  const std::lock_guard lock(mutex_);
  return said_.body;
}

Json FakeExchange::json() const {
  Json body = Json::parse(text(), nullptr, false);
  EXPECT_FALSE(body.is_discarded()) << text();
  return body;
}

std::vector<std::string> events_of(const std::string& stream) {
  std::vector<std::string> events;
  net::SseReader reader;
  const Status read =
      reader.put(stream, [&](net::SseEvent event) { events.push_back(std::move(event.data)); });
  EXPECT_TRUE(read);
  EXPECT_FALSE(reader.is_inside_event());
  return events;
}

FrontWorld::FrontWorld() {
  store = *ReceiptStore::open(folder / "receipts.sqlite");
  signer = *RequestSigner::open(*node::Home::open(folder / "home"));
  options.admission_wait_ms = 20;
  options.ping_ms = 1'000'000;
}

Front& FrontWorld::front() {
  if (front_ == nullptr) {
    ServedModel model = *serve_model(artifact, {"toy", "other-name"}, 1'700'000'000, false);
    front_ =
        std::make_unique<Front>(std::vector{std::move(model)}, std::move(keys),
                                FrontServices{upstream, *signer, *store, metrics, log}, options);
  }
  return *front_;
}

std::shared_ptr<FakeExchange> FrontWorld::send(std::string method, std::string path,
                                               std::string body, net::Headers headers) {
  net::Request request{.method = std::move(method), .target = path, .path = path};
  if (const std::size_t mark = path.find('?'); mark != std::string::npos) {
    request.path = path.substr(0, mark);
    request.query = path.substr(mark + 1);
  }
  request.headers = std::move(headers);
  request.body = std::move(body);
  auto exchange = std::make_shared<FakeExchange>(std::move(request));
  front().handle(exchange);
  return exchange;
}

std::shared_ptr<FakeExchange> FrontWorld::ask(std::string method, std::string path,
                                              std::string body, net::Headers headers) {
  auto exchange = send(std::move(method), std::move(path), std::move(body), std::move(headers));
  exchange->wait();
  return exchange;
}

std::shared_ptr<FakeExchange> FrontWorld::chat(const Json& more, net::Headers headers) {
  return send("POST", "/v1/chat/completions", toy_chat(more).dump(), std::move(headers));
}

std::vector<ReceiptEntry> FrontWorld::receipts() { return *store->list(Hash{}, 1000); }

Json toy_chat(const Json& more) {
  Json body = {{"messages", {{{"role", "user"}, {"content", "bcd"}}}},
               {"max_tokens", 8},
               {"seed", 7},
               {"logit_bias", {{"16", -100}}}};
  body.update(more);
  return body;
}

}  // namespace otr::service
