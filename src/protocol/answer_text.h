// The text of an answer as a person reads it while it comes.
//
// A claim covers all tokens of an answer (SPEC SAMP-10): also the one that ends it. What a person
// wants to read ends before that: at the first stop string, and without a stop token. So this is
// not the receipt's output_text, but a prefix of what its bytes say.
#ifndef OTR_PROTOCOL_ANSWER_TEXT_H_
#define OTR_PROTOCOL_ANSWER_TEXT_H_

#include <cstdint>
#include <string>

#include "machine/model.h"
#include "protocol/request.h"
#include "text/utf8.h"

namespace otr::protocol {

// Takes the tokens of the output in order; the model and the request must outlive it. What the
// calls return, joined, is utf8_lossy of the bytes before the earliest stop string and without a
// stop token. Nothing that is returned has to be taken back: bytes that may become a stop string,
// or are a part of a character, wait until it is known.
class AnswerText {
 public:
  AnswerText(const machine::Model& model, const Request& request)
      : model_(&model), request_(&request) {}

  // The text that is certain with this token. Requires id < vocabulary.
  [[nodiscard]] std::string push(std::uint32_t id);
  // The rest, once the answer has ended for whatever reason.
  [[nodiscard]] std::string finish();

 private:
  [[nodiscard]] std::size_t certain_bytes() const;

  const machine::Model* model_;
  const Request* request_;
  std::string held_;  // bytes of the output that are not yet text
  bool stopped_ = false;
  text::Utf8Stream utf8_;
};

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_ANSWER_TEXT_H_
