// What an OpenAI client asks for: the bodies of POST /v1/chat/completions, /v1/completions,
// /tokenize and /detokenize, from anybody, checked member by member.
//
// What would change the answer and is not done here is refused by name, never passed over: tools,
// images, other formats of answers, penalties of other kinds. What does not touch the answer (user,
// metadata, store, service_tier) is taken and forgotten. Members that nobody here knows are named
// in `unknown` and have no effect, since clients send extras.
//
// This is translation alone: the body is a wish, and what is claimed is decided by the request that
// a client signs (SPEC REQ).
#ifndef OTR_OPENAI_PARSE_H_
#define OTR_OPENAI_PARSE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/template.h"
#include "machine/model.h"
#include "machine/program.h"
#include "openai/error.h"

namespace otr::openai {

inline constexpr std::uint32_t kMaxAnswers = 128;  // of one body: n times its prompts
inline constexpr unsigned kMaxTopLogprobs = 20;
inline constexpr std::size_t kMaxModelNameBytes = 256;

// How answers are made and told, of chat and completions alike.
struct Generation {
  std::string model;  // empty: the only one, where one is served
  // Temperature 1 where the body does not say, as OpenAI's. The seed is that of the body, else
  // zero: with has_seed off the caller draws one, unless sampling.greedy().
  machine::Sampling sampling;
  bool has_seed = false;
  std::optional<std::uint32_t> max_tokens;  // absent: the rest of the context
  std::vector<std::string> stop;            // as in a request: ascending, distinct, 1 to 64 bytes
  std::uint32_t n = 1;                      // answers to each prompt
  bool stream = false;
  bool include_usage = false;             // of a stream: a last chunk with the usage
  std::optional<std::uint32_t> logprobs;  // how many of the likeliest beside each token, 0 to 20
  std::vector<std::string> unknown;       // members without effect, at most 32 names
};

struct ChatRequest {
  Generation generation;
  std::vector<chat::ChatMessage> messages;  // at least one; roles system, user, assistant
  bool add_generation_prompt = true;
  std::map<std::string, bool> template_flags;  // chat_template_kwargs, such as enable_thinking
};
[[nodiscard]] Parsed<ChatRequest> parse_chat(std::string_view body);

// A prompt of /v1/completions: a text, or the ids themselves.
struct CompletionPrompt {
  std::string text;
  std::optional<std::vector<std::uint32_t>> ids;
};
struct CompletionRequest {
  Generation generation;
  std::vector<CompletionPrompt> prompts;  // at least one, each not empty
};
[[nodiscard]] Parsed<CompletionRequest> parse_completion(std::string_view body);

// What only a model can decide, once the prompt is in ids: refuses a prompt that leaves no room
// (code context_length_exceeded; nothing is ever cut), a max_tokens for which there is none, ids
// and biases beyond the vocabulary; takes a top_k of the whole vocabulary or more for none. Returns
// the max_tokens of the signed request. `param` is the member that held the prompt.
[[nodiscard]] Parsed<std::uint32_t> fit_to_model(Generation& generation,
                                                 const std::vector<std::uint32_t>& prompt_ids,
                                                 const machine::Shape& shape,
                                                 const std::string& param);

// As llama-server's (`content`) and vLLM's (`prompt` or `messages`) clients ask.
struct TokenizeRequest {
  std::string model;
  std::string text;                         // where messages is empty
  std::vector<chat::ChatMessage> messages;  // through the chat template
  bool add_generation_prompt = true;
  bool add_special = false;  // `add_special` (llama-server) or `add_special_tokens` (vLLM)
  bool parse_special = false;
  bool with_pieces = false;
};
[[nodiscard]] Parsed<TokenizeRequest> parse_tokenize(std::string_view body);

struct DetokenizeRequest {
  std::string model;
  std::vector<std::uint32_t> ids;
};
[[nodiscard]] Parsed<DetokenizeRequest> parse_detokenize(std::string_view body);

}  // namespace otr::openai

#endif  // OTR_OPENAI_PARSE_H_
