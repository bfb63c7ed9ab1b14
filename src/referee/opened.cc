#include "referee/opened.h"

#include <string>

#include "base/check.h"
#include "base/reject.h"
#include "machine/tables.h"
#include "referee/reject.h"
#include "trace/noise.h"

namespace otr::referee {
namespace {

using machine::Source;
using merkle::Type;

std::int64_t load(Type type, const std::uint8_t* from) {
  switch (type) {
    case Type::kI8:
      return load_le<std::int8_t>(from);
    case Type::kU8:
      return load_le<std::uint8_t>(from);
    case Type::kI16:
      return load_le<std::int16_t>(from);
    case Type::kU16:
      return load_le<std::uint16_t>(from);
    case Type::kI32:
      return load_le<std::int32_t>(from);
    case Type::kU32:
      return load_le<std::uint32_t>(from);
    case Type::kI64:
    case Type::kU64:
      return load_le<std::int64_t>(from);  // a step turns by the bits of an unsigned one
    case Type::kHash:
      break;
  }
  OTR_CHECK(false);  // lists hold no elements, and no step reads one
}

const MatrixTensors& matrix_of(const ModelFacts& model, std::uint64_t matrix, std::uint64_t layer) {
  const auto id = static_cast<machine::MatrixId>(matrix);
  if (id == machine::MatrixId::kEmbed) return model.embed;
  if (id == machine::MatrixId::kHead) return model.head;
  return model.layers[layer].matrices[matrix];
}

}  // namespace

// SPEC REF-2, MTRC-2.
std::optional<Element> place_of(const ModelFacts& model, const machine::StepId& id,
                                const machine::Address& at) {
  const machine::Shape& shape = model.program.shape;
  const std::uint64_t kv_cols = std::uint64_t{shape.head_dim} + 1;
  const auto narrow = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto in_model = [](std::uint32_t tensor, std::uint64_t index) {
    return Element{{Place::kModel, tensor, 0}, index};
  };
  switch (at.source) {
    case Source::kMicro:
      return Element{{Place::kMicro, narrow(at.a), 0}, at.b};
    case Source::kClaimed:
      return Element{{Place::kMicro, static_cast<std::uint32_t>(id.tensor), 0}, id.index};
    case Source::kToken:
      return Element{{Place::kTokens, 0, 0}, at.a};
    case Source::kResidual:
      return Element{{Place::kResidual, narrow(at.a), 0}, at.b * shape.hidden + at.c};
    case Source::kK:
      return Element{{Place::kKey, narrow(at.a), narrow(at.b)}, at.c * kv_cols + at.d};
    case Source::kV:
      return Element{{Place::kValue, narrow(at.a), narrow(at.b)}, at.c * kv_cols + at.d};
    case Source::kWeight: {
      const bool is_layer = at.a < static_cast<std::uint64_t>(machine::MatrixId::kEmbed);
      const std::uint64_t cols =
          is_layer ? model.program.layers[at.b].matrices[at.a].cols : std::uint64_t{shape.hidden};
      return in_model(matrix_of(model, at.a, at.b).weight, at.c * cols + at.d);
    }
    case Source::kScale:
      return in_model(matrix_of(model, at.a, at.b).scale, at.c);
    case Source::kBias:
      return in_model(matrix_of(model, at.a, at.b).bias, at.c);
    case Source::kGain: {
      const bool is_final = at.a == static_cast<std::uint64_t>(machine::GainId::kFinalNorm);
      return in_model(is_final ? model.final_norm : model.layers[at.b].gains[at.a], at.c);
    }
    case Source::kRopeStep:
      return in_model(model.rope_steps, at.a);
    case Source::kTable:
    case Source::kNoise:
      return std::nullopt;
  }
  return std::nullopt;
}

// SPEC MTRC-4.
Result<Opened> Opened::open(const Statement& statement, const MicroTrace* micro,
                            const Witness& witness) {
  if (witness.size() > kMaxOpenings) {
    return fail(ErrorKind::kReject,
                "a witness has at most " + std::to_string(kMaxOpenings) + " openings.",
                std::string(name_of(Reject::kLimitExceeded)));
  }
  Opened opened;
  for (const Opening& opening : witness) {
    if (!opened.runs_.empty()) {
      const Opening& before = *opened.runs_.back().opening;
      if (opening.tree < before.tree ||
          (opening.tree == before.tree && opening.begin <= before.end)) {
        return fail(ErrorKind::kReject, "the openings are not in order, or touch one another.",
                    std::string(name_of(Reject::kNotCanonical)));
      }
    }
    OTR_TRY_ASSIGN(TreeFacts facts, check_opening(statement, micro, opening));
    opened.runs_.push_back(
        {&opening, std::move(facts), std::vector<bool>(opening.end - opening.begin)});
  }
  return opened;
}

ByteView Opened::read_tile(Run& run, std::uint64_t leaf) {
  run.read[leaf - run.opening->begin] = true;
  const std::uint64_t at = run.facts.byte_offset(leaf) - run.facts.byte_offset(run.opening->begin);
  return ByteView(run.opening->tiles).subspan(at, run.facts.tile_bytes(leaf));
}

std::int64_t Opened::element(const TreeId& tree, std::uint64_t index) {
  for (Run& run : runs_) {
    if (run.opening->tree != tree) continue;
    const TreeFacts::Cell cell = run.facts.cell(index);
    if (!holds(run, cell.leaf)) continue;
    const ByteView tile = read_tile(run, cell.leaf);
    return load(run.facts.type, tile.data() + cell.offset * merkle::size_bytes(run.facts.type));
  }
  missed_ = true;
  return 0;
}

ByteView Opened::tile(const TreeId& tree, std::uint64_t leaf) {
  for (Run& run : runs_) {
    if (run.opening->tree == tree && holds(run, leaf)) return read_tile(run, leaf);
  }
  missed_ = true;
  return {};
}

const Opening* Opened::run_ending(const TreeId& tree, std::uint64_t end) const {
  for (const Run& run : runs_) {
    if (run.opening->tree == tree && run.opening->end == end) return run.opening;
  }
  return nullptr;
}

Status Opened::complete() const {
  if (missed_) {
    return reject(MoveReject::kWitnessIncomplete, "the witness does not open all that is read.");
  }
  for (const Run& run : runs_) {
    for (std::size_t i = 0; i < run.read.size(); ++i) {
      if (run.read[i]) continue;
      return reject(MoveReject::kWitnessSurplus, "the witness opens leaf " +
                                                     std::to_string(run.opening->begin + i) +
                                                     " of a tree, which nothing reads.");
    }
  }
  return {};
}

std::int64_t OpenedState::read(const machine::Address& address) {
  if (address.source == Source::kTable) {
    return machine::table_entry(static_cast<machine::TableId>(address.a), address.b, address.c);
  }
  if (address.source == Source::kNoise) {
    const auto t = static_cast<std::uint32_t>(address.a);
    const auto block = static_cast<std::uint32_t>(address.b / 8);
    return trace::noise_block(statement_.terms.sampling.seed, t, block)[address.b % 8];
  }
  const std::optional<Element> place = place_of(statement_.model, id_, address);
  return opened_.element(place->tree, place->index);
}

}  // namespace otr::referee
