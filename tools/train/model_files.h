// The files of tools/train: a Hugging Face model folder (config.json, model.safetensors), token
// files, and the training checkpoint.
//
// All writes go to a temporary name in the same folder, are synced, and are then renamed, so that a
// name never holds half a file.
#ifndef OTR_TOOLS_TRAIN_MODEL_FILES_H_
#define OTR_TOOLS_TRAIN_MODEL_FILES_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "llama.h"

namespace otr::train {

// One document: token ids as vocabulary.py wrote them. kPromptBit marks tokens of the question,
// whose prediction weighs little in the loss.
using Document = std::vector<uint16_t>;
inline constexpr uint16_t kPromptBit = 0x8000;
inline constexpr uint16_t kIdMask = 0x7FFF;

// What a training run must remember to go on as if it had not stopped.
struct TrainingState {
  uint64_t step = 0;
  uint64_t epoch = 0;
  uint64_t cursor = 0;       // the next document of this epoch's order
  uint64_t fingerprint = 0;  // of plan and data: a checkpoint of another run is refused
  std::vector<float> params, first_moment, second_moment;
};

// Reads config.json of a LlamaForCausalLM with tied embeddings.
Result<Shape> read_shape(const std::string& folder);

// Splits a token file at each bos id. Refuses ids outside the vocabulary and documents longer than
// the context.
Result<std::vector<Document>> read_documents(const std::string& path, const Shape& shape, int bos);

// model.safetensors in F32 under Hugging Face tensor names.
Status write_model(const std::string& folder, const Shape& shape, const std::vector<float>& params);
Result<std::vector<float>> read_model(const std::string& folder, const Shape& shape);

Status write_checkpoint(const std::string& path, const TrainingState& state);
// state holds arrays of the right sizes; false if there is no file at path.
Result<bool> read_checkpoint(const std::string& path, TrainingState& state);

}  // namespace otr::train

#endif  // OTR_TOOLS_TRAIN_MODEL_FILES_H_
