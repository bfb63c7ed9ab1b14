// When an answer ends, and what its ids say (SPEC SAMP-10, MODEL-7). Engine and verifier ask the
// same object.
#ifndef OTR_PROTOCOL_FINISH_H_
#define OTR_PROTOCOL_FINISH_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "machine/model.h"
#include "protocol/request.h"

namespace otr::protocol {

enum class FinishReason : std::uint8_t { kStopToken = 1, kStopString = 2, kLength = 3 };

// The bytes of a token. Requires id < vocabulary.
[[nodiscard]] ByteView token_bytes(const machine::Model& model, std::uint32_t id);

// The joined bytes of tokens; nothing if an id is not in the vocabulary or they are more than
// `max_bytes`.
[[nodiscard]] std::optional<std::string> joined_bytes(const machine::Model& model,
                                                      std::span<const std::uint32_t> ids,
                                                      std::size_t max_bytes);

// Takes the tokens of the output in order. The model and the request must outlive it.
class FinishDetector {
 public:
  FinishDetector(const machine::Model& model, const Request& request);

  // The reason for which the answer ends with this token, if it does. Requires id < vocabulary
  // and that no earlier token ended the answer. Costs the bytes of this token, not of the output.
  [[nodiscard]] std::optional<FinishReason> push(std::uint32_t id);

 private:
  [[nodiscard]] bool completes_stop_string(std::uint32_t id);

  const machine::Model* model_;
  const Request* request_;
  std::uint32_t out_count_ = 0;
  std::size_t longest_stop_ = 0;
  std::string
      tail_;  // the last longest_stop_ - 1 bytes of the output: a stop string may begin there
};

}  // namespace otr::protocol

#endif  // OTR_PROTOCOL_FINISH_H_
