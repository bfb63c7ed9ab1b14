// Any bytes as a stranger's GGUF file: header, sizes, tokeniser, and a row of every tensor. What is
// accepted lies inside the file and does not overlap.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "convert/gguf_checkpoint.h"
#include "convert/gguf_tokenizer.h"

namespace {

using namespace otr::convert;

otr::ByteView input_bytes;

otr::Status read_at(std::uint64_t offset, std::span<std::uint8_t> to) {
  OTR_CHECK(offset <= input_bytes.size() && to.size() <= input_bytes.size() - offset);
  std::copy_n(input_bytes.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
  return {};
}

void check_places(const GgufHeader& header) {
  std::uint64_t sum = 0;
  for (const auto& [name, tensor] : header.tensors) {
    OTR_CHECK(tensor.offset <= input_bytes.size());
    OTR_CHECK(tensor.size_bytes <= input_bytes.size() - tensor.offset);
    sum += tensor.size_bytes;
  }
  OTR_CHECK(sum <= input_bytes.size());  // nothing overlaps
}

void read_last_rows(const Checkpoint& checkpoint, const GgufParts& parts,
                    const GgufConfig& config) {
  const std::vector<std::uint64_t> dims = parts.find("token_embd.weight")->dims;
  const auto rows =
      checkpoint.read_rows("model.embed_tokens.weight", {dims[1], dims[0]}, dims[1] - 1, dims[1]);
  OTR_CHECK(!rows || rows->size() == dims[0]);
  const std::uint64_t q = config.config.shape.q_width();
  const auto row = checkpoint.read_rows("model.layers.0.self_attn.q_proj.weight",
                                        {q, config.config.shape.hidden}, q - 1, q);
  OTR_CHECK(!row || row->size() == config.config.shape.hidden);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input_bytes = {data, size};
  GgufFile file{.path = "the input", .input = {size, read_at}, .header = {}};
  auto header = parse_gguf_header(file.input, file.path);
  if (!header) {
    OTR_CHECK(!header.error().message.empty());
    return 0;
  }
  check_places(*header);
  file.header = *std::move(header);
  if (const auto tokenizer = read_gguf_tokenizer(file)) {
    const auto document = otr::text::document_from_gguf(*tokenizer);
    OTR_CHECK(document || !document.error().message.empty());
  }
  std::vector<GgufFile> files;
  files.push_back(file);
  const auto parts = join_gguf_parts(files);
  OTR_CHECK(parts.has_value());
  const auto config = read_gguf_config(*parts);
  if (!config) return 0;
  const auto checkpoint = GgufCheckpoint::make(*join_gguf_parts(std::move(files)), *config);
  if (checkpoint) read_last_rows(*checkpoint, *parts, *config);
  return 0;
}
