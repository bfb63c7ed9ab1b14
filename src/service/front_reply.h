// One request for answers, from its signed requests to its last chunk. Inside of the front only.
//
//   start -> submit each --token--> chunk (provisional)
//                        --done---> verify (queue) -> store (its thread) -> finish chunk
//   the last of them     ---------> usage, [DONE]
//
// Everything that goes wrong ends in fail(), once. All of it may come on any thread; the mutex is
// taken before those of a recording and of a store, and never held when an upstream is called.
#ifndef OTR_SERVICE_FRONT_REPLY_H_
#define OTR_SERVICE_FRONT_REPLY_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "openai/parse.h"
#include "openai/render.h"
#include "service/answer.h"
#include "service/front_choice.h"
#include "service/front_parts.h"

namespace otr::service {

// What is to be answered: each prompt `generation.n` times.
struct Plan {
  const ServedModel* model = nullptr;
  openai::Kind kind = openai::Kind::kChat;
  openai::Generation generation;
  std::vector<std::vector<std::uint32_t>> prompts;
  std::vector<std::uint32_t> max_tokens;  // of each prompt's answers
};

class Reply : public std::enable_shared_from_this<Reply> {
 public:
  Reply(std::shared_ptr<FrontParts> parts, Incoming incoming, std::shared_ptr<Recording> recording);
  ~Reply();
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  // Takes one of the front's places; false where all are taken. Before all else.
  [[nodiscard]] bool enter();
  void start(Plan plan);
  // Ends it with an error, whatever it was at. `cause` is a word for metrics.
  void fail(const openai::ApiError& error, std::string_view cause);

 private:
  struct Answering {
    std::unique_ptr<Choice> choice;
    const std::vector<std::uint32_t>* prompt_ids = nullptr;
    std::shared_ptr<UpstreamCall> call;
    std::optional<EndedAnswer> ended;  // then its choice no longer changes
    openai::ClaimFacts facts;
    protocol::FinishReason reason = protocol::FinishReason::kLength;
    std::int64_t last_token_ns = 0;
    bool is_done = false;
  };

  void submit_all();
  void watch(bool is_first);
  void take_token(std::size_t i, const protocol::TokenMessage& token);
  void take_end(std::size_t i, std::expected<EndedAnswer, UpstreamError> ended);
  void verify(std::size_t i);
  void store(std::size_t i, VerifiedAnswer answer);
  void finish(std::size_t i);

  // These with the mutex.
  [[nodiscard]] openai::Parsed<bool> sign_all();
  void prepare_head();
  void fail_now(const openai::ApiError& error, std::string_view cause);
  void mark_claimed();
  void begin_stream();
  void show(std::size_t i, const Choice::Piece& piece);
  void observe_token(Answering& answering);
  void end_whole();
  void leave(unsigned status, std::string_view outcome, const Json& more);
  [[nodiscard]] openai::Usage usage() const;
  [[nodiscard]] std::string render_whole() const;
  [[nodiscard]] openai::Timings timings() const;

  const std::shared_ptr<FrontParts> parts_;
  const Incoming incoming_;
  const std::shared_ptr<Recording> recording_;

  // Set by start(), and then only each answer's own members change.
  Plan plan_;
  std::shared_ptr<const AppraisedSession> session_;
  openai::Head head_;
  net::Headers headers_;
  std::vector<Answering> answers_;

  std::mutex mutex_;
  std::optional<openai::StreamRenderer> renderer_;  // of a stream, once its head is sent
  std::size_t done_ = 0;
  bool claimed_ = false;  // some answer has come to an end
  bool over_ = false;
  bool wrote_ = false;  // since the last look
  std::int64_t first_token_ns_ = 0;
};

}  // namespace otr::service

#endif  // OTR_SERVICE_FRONT_REPLY_H_
