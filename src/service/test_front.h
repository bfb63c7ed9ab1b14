// What the tests of the front share: a toy model that can be talked to, a session, exchanges
// without sockets, and an upstream whose answers are true until a test bends them.
#ifndef OTR_SERVICE_TEST_FRONT_H_
#define OTR_SERVICE_TEST_FRONT_H_

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/packed.h"
#include "node/worker.h"
#include "service/front.h"

namespace otr::service {

// A folder that goes with the test.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  [[nodiscard]] std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

crypto::PrivateKey test_key(std::uint8_t byte);

// 17 tokens: the bytes 'a' to 'p', and the empty one that ends an answer. Its template writes the
// contents of all messages, and "a" where an answer is asked for; a context of 300.
std::shared_ptr<model::Artifact> toy_chat_artifact(std::uint64_t seed = 1);

// Of the key test_key(8), countersigned by test_key(9).
std::shared_ptr<AppraisedSession> toy_session(const Hash& model_root, std::uint8_t key = 8);

// An answer as an upstream has it.
struct Script {
  std::vector<protocol::TokenMessage> tokens;
  std::expected<EndedAnswer, UpstreamError> end;
};
// Signs a claim anew, after a test has changed it.
void sign_claim(EndedAnswer& ended, std::uint8_t key = 8, std::uint8_t operator_key = 9);

class FakeCall : public UpstreamCall {
 public:
  FakeCall(Script script, UpstreamEvents events)
      : script_(std::move(script)), events_(std::move(events)) {}
  void cancel() override;

  void give(std::size_t count);  // so many tokens
  void end();                    // the rest, then the end
  [[nodiscard]] bool is_cancelled() const;
  [[nodiscard]] std::size_t token_count() const { return script_.tokens.size(); }

 private:
  mutable std::mutex mutex_;
  Script script_;
  UpstreamEvents events_;
  std::size_t given_ = 0;
  bool cancelled_ = false, ended_ = false;
};

// Computes the true answer of each submission when it comes, bends it, and gives it at once, or
// holds it for the test to give.
class FakeUpstream : public Upstream {
 public:
  explicit FakeUpstream(std::shared_ptr<model::Artifact> artifact);

  std::expected<std::shared_ptr<const AppraisedSession>, UpstreamError> session(
      const Hash& model_root) override;
  std::shared_ptr<UpstreamCall> submit(const protocol::Submission& submission,
                                       const std::shared_ptr<const AppraisedSession>& session,
                                       UpstreamEvents events) override;

  // Waits until so many submissions have come.
  std::shared_ptr<FakeCall> call(std::size_t i);
  [[nodiscard]] std::size_t calls() const;
  [[nodiscard]] std::vector<protocol::Submission> submissions() const;

  std::function<void(Script&)> bend = [](Script&) {};
  bool holds = false;
  std::optional<UpstreamError> session_error;
  std::shared_ptr<const AppraisedSession> session_given;

 private:
  Script true_answer(const protocol::Submission& submission);

  std::shared_ptr<model::Artifact> artifact_;
  engine::PackedModel packed_;
  node::Worker worker_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<FakeCall>> calls_;
  std::vector<protocol::Submission> submissions_;
};

class FakeExchange : public net::Exchange {
 public:
  explicit FakeExchange(net::Request request) : request_(std::move(request)) {}

  [[nodiscard]] const net::Request& request() const override { return request_; }
  bool respond(net::Response response) override;
  bool begin_stream(unsigned status, net::Headers headers) override;
  bool write(std::string bytes) override;
  bool end() override;
  bool abort() override;
  void on_disconnect(std::function<void()> call) override;
  [[nodiscard]] std::size_t pending_bytes() const override;

  // The peer goes away, once.
  void disconnect();
  void stall(bool stalls);  // takes nothing more, as far as pending_bytes tells

  enum class State { kWaiting, kStreaming, kResponded, kEnded, kAborted, kGone };
  // Waits for the end, or until the text holds `part`.
  State wait();
  void wait_for(std::string_view part);
  void wait_for_head();
  [[nodiscard]] State state() const;
  [[nodiscard]] unsigned status() const;
  [[nodiscard]] std::string header(std::string_view name) const;
  [[nodiscard]] std::string text() const;  // body or stream so far
  [[nodiscard]] Json json() const;         // of a body

 private:
  template <class Condition>
  void wait_until(Condition condition);
  bool go(State from, State to);

  const net::Request request_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  State state_ = State::kWaiting;
  net::Response said_;
  bool stalls_ = false;
  std::function<void()> gone_call_;
};

// The data of each event of a stream, without comments.
std::vector<std::string> events_of(const std::string& stream);

// A whole front. Members may be changed before front() is called first.
class FrontWorld {
 public:
  FrontWorld();

  Front& front();
  std::shared_ptr<FakeExchange> send(std::string method, std::string path, std::string body = {},
                                     net::Headers headers = {});
  // Sends and waits for the end.
  std::shared_ptr<FakeExchange> ask(std::string method, std::string path, std::string body = {},
                                    net::Headers headers = {});
  std::shared_ptr<FakeExchange> chat(const Json& more = Json::object(), net::Headers headers = {});
  [[nodiscard]] std::vector<ReceiptEntry> receipts();

  TestFolder folder;
  std::shared_ptr<model::Artifact> artifact = toy_chat_artifact();
  FakeUpstream upstream{artifact};
  std::unique_ptr<ReceiptStore> store;
  std::unique_ptr<RequestSigner> signer;
  Metrics metrics;
  Log log{-1};
  ApiKeys keys;
  FrontOptions options;

 private:
  std::unique_ptr<Front> front_;
};

// A chat of the toy model whose answer has 8 tokens.
Json toy_chat(const Json& more = Json::object());

}  // namespace otr::service

#endif  // OTR_SERVICE_TEST_FRONT_H_
