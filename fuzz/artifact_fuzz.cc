// Any bytes through the reader of model artifacts. A file that it accepts must write back to
// itself.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "model/artifact.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace otr::model;
  const otr::Bytes file(data, data + size);
  const otr::Result<Artifact> artifact = parse_artifact(file);
  if (!artifact) {
    OTR_CHECK(!artifact.error().code.empty());
    return 0;
  }
  ArtifactContents contents{.config = artifact->config(),
                            .tokenizer = artifact->tokenizer(),
                            .chat_template = artifact->chat_template(),
                            .data = {},
                            .token_bytes = artifact->view().token_bytes.size()};
  for (const Tensor& tensor : artifact->tensors().subspan(1)) {
    otr::append(contents.data, tensor.data);
  }
  const otr::Result<otr::Bytes> again = encode_artifact(std::move(contents));
  OTR_CHECK(again.has_value() && *again == file);
  return 0;
}
