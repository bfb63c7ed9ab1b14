// A service on a socket for the tests of the client: true answers of a toy model under a session of
// the simulated TEE, until a test bends them. It takes requests that are not sealed.
#ifndef OTR_CLIENT_TEST_SERVICE_H_
#define OTR_CLIENT_TEST_SERVICE_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "client/client.h"
#include "net/server.h"
#include "node/simulated_tee.h"
#include "service/test_front.h"

namespace otr::client {

class TestService {
 public:
  TestService();

  [[nodiscard]] std::string url() const;
  // Accepts this TEE; or one whose root is another's.
  [[nodiscard]] std::string policy(bool is_other = false) const;
  [[nodiscard]] Options options() const;
  [[nodiscard]] Model model(std::uint64_t seed = 1) const;
  [[nodiscard]] Client connect() const;
  // Its answer has 8 tokens.
  [[nodiscard]] static Question question();

  // From now on the session is another, as after the machine was started anew.
  void restart();
  // What is answered instead of sessions, or to requests, with this status.
  void answer_sessions_with(net::Response response);
  void answer_requests_with(std::optional<net::Response> response);
  [[nodiscard]] unsigned requests() const { return requests_; }

  service::TestFolder folder;
  std::shared_ptr<model::Artifact> artifact = service::toy_chat_artifact();
  service::FakeUpstream upstream{artifact};

 private:
  void handle(const std::shared_ptr<net::Exchange>& exchange);
  void handle_request(const std::shared_ptr<net::Exchange>& exchange);
  [[nodiscard]] net::Response sessions(const Hash& nonce);

  std::unique_ptr<node::SimulatedTee> tee_;
  std::atomic<unsigned> requests_ = 0;
  std::mutex mutex_;
  std::optional<net::Response> sessions_answer_, requests_answer_;
  std::unique_ptr<net::Server> server_;  // goes first
};

}  // namespace otr::client

#endif  // OTR_CLIENT_TEST_SERVICE_H_
