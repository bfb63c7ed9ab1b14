// Answers of a model on somebody else's machine, verified in your own C++ program (docs/client.md).
//
//   find_package(OTR REQUIRED)
//   target_link_libraries(app PRIVATE OTR::client)     and then: include <otr/client.h>
//
// Client appraises the evidence of the machine by your policy before it sends anything, seals the
// prompt to it, and gives an answer only after its receipt was verified (SPEC GATE-11). What that
// is worth stands in the ladder of the answer: attested and signed, not recomputed. verify_receipt
// recomputes, then or years later, without a network.
//
// This header stands alone: it needs C++23 and nothing but the standard library. All texts are
// UTF-8. Nothing here throws but std::bad_alloc, and what your own callback throws.
#ifndef OTR_CLIENT_CLIENT_H_
#define OTR_CLIENT_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace otr::client {

enum class ErrorKind {
  kUsage,      // an argument has to change: option, policy, URL, a prompt that is too long
  kBadInput,   // bytes that break a format: no model file, no OTR service behind the URL
  kRefused,    // evidence or answer does not prove what it says; `code` says which check failed
  kNetwork,    // peer or network failed, or is busy: the same may do better later
  kCancelled,  // by your stop token
  kSystem,     // this machine: file, disk, memory
};

struct Error {
  ErrorKind kind = ErrorKind::kUsage;
  std::string message;  // what is wrong and what to do, for a person; may quote the peer
  // A reject code of the SPEC, such as "EVIDENCE_REFUSED"; else what the peer called it, or empty.
  std::string code;
};

template <class T>
using Result = std::expected<T, Error>;

// A model file (`otr model import` makes one), whole in memory. Copies share it; any thread may use
// it. Its root is over every byte, so an answer can be of this model and no other.
class Model {
 public:
  // kSystem where it cannot be read, kBadInput where it is no valid model.
  [[nodiscard]] static Result<Model> load(const std::filesystem::path& file);

  [[nodiscard]] std::string root() const;         // 0x and 64 digits
  [[nodiscard]] std::uint32_t context() const;    // tokens of prompt and answer together
  [[nodiscard]] bool has_chat_template() const;   // whether Question::messages can be used
  [[nodiscard]] const std::string& file() const;  // as it was given

  struct Body;  // of the implementation
  [[nodiscard]] Body& body() const { return *body_; }

 private:
  explicit Model(std::shared_ptr<Body> body) : body_(std::move(body)) {}
  std::shared_ptr<Body> body_;
};

// What is known about an answer: eight rungs, always in the same order. One that was not checked is
// kNotYet, never kPass.
enum class Rung { kPass, kFail, kNotYet };
struct LadderLine {
  std::string name;
  Rung state = Rung::kNotYet;
  std::string why;  // of kFail with the reject code; may be empty
};
// One line each, as `otr ask` and `otr verify` print it.
[[nodiscard]] std::string to_text(const std::vector<LadderLine>& ladder);

struct Message {
  std::string role;  // system, user, assistant or tool
  std::string content;
};

// As in OpenAI's API; one unit of a penalty or bias is one unit of a logit.
struct Sampling {
  double temperature = 0;   // 0: the likeliest token each time; else 0.006 to 100
  double top_p = 1;         // 0 to 1
  double min_p = 0;         // 0 to 1
  std::uint32_t top_k = 0;  // 0: off
  double presence_penalty = 0, frequency_penalty = 0;  // -16 to 16
  std::map<std::uint32_t, double> logit_bias = {};     // token id to -100 to 100, at most 300
  // The same seed gives the same answer, bit for bit; a new random one where there is none.
  std::optional<std::uint64_t> seed = {};
};

struct Question {
  // A conversation through the model's chat template, or, where there are no messages, a text to go
  // on with as it is. What a message spells never becomes a control token.
  std::vector<Message> messages = {};
  std::string prompt = {};
  std::uint32_t max_tokens = 256;
  Sampling sampling = {};
  std::vector<std::string> stop = {};  // at most 4 of at most 64 bytes; they end the answer's text
  // Readable by the attested machine alone. Off: the gateway can read it too, and others may be
  // asked to recompute it.
  bool sealed = true;
};

// A part of an answer while it comes. Provisional: only ask()'s result says that it was true.
struct Token {
  std::uint32_t id = 0;
  std::string text;  // what is certain with this token; may be empty, for a part of a character
};
// Called in order on the thread that called ask(). What it throws cancels the answer and leaves
// ask().
using OnToken = std::function<void(const Token&)>;

struct Answer {
  std::string text;  // up to a stop string: the texts of all tokens, and what was held back
  std::vector<std::uint32_t> token_ids;
  std::uint32_t prompt_tokens = 0;
  std::string finish_reason;  // "stop" or "length", as in OpenAI's API
  // Canonical JSON with request, claim, signatures and evidence. Keep it: it is the proof.
  std::string receipt;
  bool hardware = false;    // false: the evidence was SIMULATED and protects nothing
  std::string attested_as;  // the verdict on the evidence in words
  std::vector<LadderLine> ladder;
  std::string checks;  // every check with its outcome, one line each
};

struct Options {
  std::string url = {};                // of a gateway, without a path: "https://host:8080"
  std::string policy = "genuine";      // what evidence is accepted: a built-in name, or TOML text
  std::string api_key = {};            // empty: none
  std::filesystem::path ca_file = {};  // authorities of its certificate, PEM; empty: the system's
  // Folder of our own key and request counter, made where it is missing; processes may share it.
  // Empty: $OTR_HOME, else $XDG_DATA_HOME/otr, else ~/.local/share/otr.
  std::filesystem::path home = {};
};

struct SessionFacts {
  std::string id;  // 0x and 64 digits
  bool hardware = false;
  std::string attested_as;      // as in Answer
  std::int64_t expires_at = 0;  // unix seconds
};

// A connection to one service for one model. Sessions are appraised again while it lives, so it may
// be kept for long. Its functions may be called from many threads at once; it must outlive the
// calls.
class Client {
 public:
  // Fetches the sessions of the service, over a nonce of its own, and appraises them. kRefused
  // where the policy accepts none (code "no_session", the message says why) or none of this model
  // ("model_not_found"); kNetwork; kUsage for a policy or URL that is none, kSystem for files.
  [[nodiscard]] static Result<Client> connect(const Options& options, const Model& model);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // The session that the next question would go to; errors as of connect.
  [[nodiscard]] Result<SessionFacts> session() const;

  // Waits for the whole answer and verifies it. Errors: kUsage for a question that cannot be asked
  // of this model, kRefused for an answer that is not what was asked for or not what its claim
  // says (nothing of it is to be used), kNetwork where it broke off or the service is busy. `stop`
  // may be requested by any thread, also within on_token; the result then is kCancelled. A request
  // is sent a second time only if the service said that its session is gone.
  [[nodiscard]] Result<Answer> ask(const Question& question, const OnToken& on_token = {},
                                   std::stop_token stop = {}) const;

 private:
  struct Body;
  explicit Client(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

struct VerifyOptions {
  std::optional<std::string> policy = {};  // as in Options; none: the evidence is not appraised
  std::optional<std::int64_t> at = {};  // unix seconds, when the answer came; now where not given
  bool recompute = false;     // computes the answer again, which costs what the answer cost
  unsigned threads = 1;       // of recomputing
  std::stop_token stop = {};  // ends recomputing: kInconclusive
};

enum class Verdict {
  kVerified,      // nothing is wrong, and the evidence was accepted or the answer recomputed
  kFailed,        // something is wrong: do not use the answer
  kInconclusive,  // nothing is wrong, but neither was done
};

struct Verification {
  Verdict verdict = Verdict::kFailed;
  std::string summary;  // one sentence that begins with VERIFIED, ATTESTED, FAILED or INCONCLUSIVE
  bool recomputed = false;
  bool attested = false;  // the receipt holds evidence that the policy accepts
  bool hardware = false;  // and it is of a vendor's hardware: not SIMULATED
  std::vector<LadderLine> ladder;
  std::string checks;  // as in Answer
  std::string code;    // of kFailed: the reject code
};

// What a receipt proves, to anybody who has the model. Any bytes may be given, from anyone: what is
// no receipt is kFailed, not an error. kUsage for a policy that is none, kSystem where memory or
// threads for recomputing cannot be had.
[[nodiscard]] Result<Verification> verify_receipt(std::string_view receipt, const Model& model,
                                                  const VerifyOptions& options = {});

}  // namespace otr::client

#endif  // OTR_CLIENT_CLIENT_H_
