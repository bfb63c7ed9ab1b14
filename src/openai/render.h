// What an OpenAI client is told: bodies and stream events of chat and completions, lists of models,
// tokens. Pure text; the errors are in error.h.
//
// Facts of ours travel as the extra member `otr` of a body and of the chunk that ends an answer, as
// other clients pass over it; never as a named event, which breaks them. Log-probabilities are told
// and not covered by any claim.
#ifndef OTR_OPENAI_RENDER_H_
#define OTR_OPENAI_RENDER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/canonical_json.h"
#include "openai/error.h"
#include "protocol/finish.h"

namespace otr::openai {

enum class Kind : std::uint8_t { kChat, kCompletion };

// "chatcmpl-" or "cmpl-" and 32 digits of `unique`, new for each response.
[[nodiscard]] std::string response_id(Kind kind, const Hash& unique);
// "b", the version of the SPEC and eight digits of the model root: answers under one fingerprint
// are the same bit by bit.
[[nodiscard]] std::string system_fingerprint(std::uint32_t spec_version, const Hash& model_root);

// The same in every chunk of a response.
struct Head {
  Kind kind = Kind::kChat;
  std::string id;
  std::int64_t created = 0;  // seconds of Unix time
  std::string model;
  std::string fingerprint;
};

struct Usage {
  std::uint64_t prompt_tokens = 0;      // of all prompts
  std::uint64_t completion_tokens = 0;  // of all answers
};

// As llama-server's, for the curious: of the first answer. Microseconds.
struct Timings {
  std::uint32_t prompt_tokens = 0;
  std::int64_t prompt_us = 0;
  std::uint32_t completion_tokens = 0;
  std::int64_t completion_us = 0;
};

// Of one token: its bytes (protocol::token_bytes) and natural logarithm in millionths, as the
// worker's messages have it.
struct Logprob {
  std::string bytes;
  std::int64_t micro_nats = 0;
};
struct TokenLogprobs {
  Logprob chosen;
  std::vector<Logprob> likeliest;  // descending
};

// What an answer can be checked by.
struct ClaimFacts {
  std::string receipt_id;
  std::string claim_id;    // 0x and digits
  std::string trace_root;  // 0x and digits
  // Of a front, which has verified it: the session's id, which front, and whether hardware vouches
  // for the session.
  std::string session = {}, verified_by = {};
  bool hardware = false;
};

struct Answer {
  std::string text;  // as protocol::AnswerText has it
  protocol::FinishReason reason = protocol::FinishReason::kLength;
  std::optional<std::vector<TokenLogprobs>> logprobs;  // where asked for
  std::optional<ClaimFacts> claim;
};

// "stop" for a stop token or string, "length" for the rest.
[[nodiscard]] std::string_view finish_reason(protocol::FinishReason reason);

// The whole of a response that is not streamed: `choices` in the order of `answers`. With several
// answers the top-level `otr` is that of the first, and each choice has its own.
[[nodiscard]] Json render_body(const Head& head, std::span<const Answer> answers,
                               const Usage& usage, const std::optional<Timings>& timings = {});

inline constexpr std::string_view kStreamDone = "data: [DONE]\n\n";
inline constexpr std::string_view kStreamPing = ":\n\n";  // keeps a silent connection open
// "data: ", the value and an empty line; also for an error in the midst of a stream.
[[nodiscard]] std::string sse_event(const Json& value);

// The events of a streamed response, in the order in which they are to be sent: begin for each
// answer, text, end for each answer, usage where asked for, then kStreamDone.
class StreamRenderer {
 public:
  // With `include_usage` every chunk has the member, null until the last.
  StreamRenderer(Head head, bool include_usage)
      : head_(std::move(head)), include_usage_(include_usage) {}

  // The role, in a chat; nothing in completions.
  [[nodiscard]] std::string begin(std::uint32_t index) const;
  // `logprobs` are of the tokens since the last call, also of those whose text is still held back.
  // `offset` is the number of characters of this answer before `text`, for completions alone.
  [[nodiscard]] std::string text(std::uint32_t index, std::string_view text,
                                 const std::optional<std::vector<TokenLogprobs>>& logprobs = {},
                                 std::size_t offset = 0) const;
  [[nodiscard]] std::string end(std::uint32_t index, protocol::FinishReason reason,
                                const std::optional<ClaimFacts>& claim = {},
                                const std::optional<Timings>& timings = {}) const;
  // Nothing unless include_usage. `claim` is that of the first answer. `timings` stand in the last
  // chunk before the end: here, or else in that of the last answer.
  [[nodiscard]] std::string usage(const Usage& usage, const std::optional<ClaimFacts>& claim = {},
                                  const std::optional<Timings>& timings = {}) const;

 private:
  [[nodiscard]] Json chunk() const;

  Head head_;
  bool include_usage_;
};

struct ModelCard {
  std::string id;
  std::int64_t created = 0;
  Hash model_root{};
  std::uint32_t context = 0, vocabulary = 0;
  std::uint64_t parameters = 0, size_bytes = 0;
};
[[nodiscard]] Json render_model(const ModelCard& model);
[[nodiscard]] Json render_models(std::span<const ModelCard> models);

// Answers to /tokenize and /detokenize, in one object for llama-server's and vLLM's clients. With
// `pieces` (of the same length as `ids`) the tokens are objects {id, piece}; a piece that is not
// UTF-8 is an array of bytes.
[[nodiscard]] Json render_tokens(std::span<const std::uint32_t> ids,
                                 std::span<const std::string> pieces, std::uint32_t context);
[[nodiscard]] Json render_text(std::string_view text);

}  // namespace otr::openai

#endif  // OTR_OPENAI_RENDER_H_
