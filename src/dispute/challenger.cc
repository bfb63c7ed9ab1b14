#include "dispute/challenger.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"
#include "referee/finish.h"
#include "trace/micro_trace.h"

namespace otr::dispute {
namespace {

using machine::Tensor;
using referee::Demand;
using referee::Opening;
using referee::Place;
using referee::Proof;
using referee::ProofKind;
using referee::TreeId;

constexpr Hash kClaim{};  // known data of no micro-trace
constexpr TreeId kList{Place::kTraceList, 0, 0};
constexpr TreeId kTokenTree{Place::kTokens, 0, 0};
constexpr std::uint64_t kTokensAtOnce = 4096;

TreeId micro_tree(Tensor tensor) { return {Place::kMicro, static_cast<std::uint32_t>(tensor), 0}; }

Next act(Action action) { return action; }

trace::StreamId stream_at(const machine::Shape& shape, std::uint64_t list_leaf) {
  const std::uint64_t trees = 2 * std::uint64_t{shape.kv_heads} + 1;
  const auto layer = static_cast<std::uint32_t>((list_leaf - 2) / trees);
  const auto at = static_cast<std::uint32_t>((list_leaf - 2) % trees);
  if (at == 2 * shape.kv_heads) return {merkle::Kind::kResidual, layer, 0};
  return {at % 2 == 0 ? merkle::Kind::kKey : merkle::Kind::kValue, layer, at / 2};
}

}  // namespace

Challenger::Challenger(Archive& mine, std::span<const std::uint32_t> choices,
                       std::optional<referee::Position> broken)
    : mine_(mine),
      choices_(choices.begin(), choices.end()),
      broken_(broken),
      is_same_trace_(mine.trace_root() == mine.statement().terms.trace_root) {}

Status Challenger::learn(const referee::MicroTrace* micro, const Demand& demand,
                         const Opening& opening) {
  OTR_TRY(referee::check_demand(mine_.statement(), micro, demand));
  OTR_TRY(referee::check_reveal(mine_.statement(), micro, demand, opening));
  const bool is_micro = demand.tree.place == Place::kMicro;
  known_.insert_or_assign({is_micro ? micro->root : kClaim, demand}, opening);
  return {};
}

void Challenger::learn(const referee::Answer& answer) {
  const Hash root = merkle::list_root(merkle::Kind::kMicroTrace, answer.tensor_roots);
  roots_.insert_or_assign(root, answer.tensor_roots);
  for (const Opening& opening : answer.outputs) {
    if (opening.tree.place != Place::kMicro) continue;
    known_.insert_or_assign({root, {opening.tree, 0, opening.begin, opening.end}}, opening);
  }
}

// A tile that the answer itself showed and that is another than mine: no need to look for one.
std::optional<std::uint64_t> Challenger::shown_tile(const Hash& micro_root, const TreeId& tree) {
  for (const auto& [key, opening] : known_) {
    const auto& [root, demand] = key;
    const bool is_tile = root == micro_root && demand.tree == tree && demand.level == 0 &&
                         demand.end == demand.begin + 1;
    if (is_tile && opening.tiles != mine_.open(tree, demand.begin, demand.end).tiles) {
      return demand.begin;
    }
  }
  return std::nullopt;
}

const Opening* Challenger::known(const Hash& micro_root, const Demand& demand) const {
  const bool is_micro = demand.tree.place == Place::kMicro;
  const auto found = known_.find({is_micro ? micro_root : kClaim, demand});
  return found == known_.end() ? nullptr : &found->second;
}

Next Challenger::next(const Game& game) {
  const referee::Statement& statement = mine_.statement();
  if (!game.leaf) return search();
  const referee::MicroTrace micro{*referee::position_of(statement, *game.leaf), *game.micro_root};
  return prove(micro);
}

Challenger::Found Challenger::walk(const Hash& micro_root, const TreeId& tree) {
  const referee::MicroTrace any{computed_.value_or(referee::Position{}), micro_root};
  const auto facts = referee::tree_facts(mine_.statement(), &any, tree);
  OTR_CHECK(facts.has_value());
  std::uint64_t index = 0;
  for (auto level = static_cast<std::uint32_t>(facts->depth()); level > 0;) {
    const Demand demand{tree, level, index, index + 1};
    const Opening* opening = known(micro_root, demand);
    if (opening == nullptr) return demand;
    const std::uint32_t below = std::min(level, referee::kRevealLevels);
    const std::uint64_t count = std::uint64_t{1} << below;
    level -= below;
    std::uint64_t i = 0;
    for (; i < count; ++i) {
      const Hash mine = mine_.node(tree, level, index * count + i);
      if (!std::ranges::equal(mine, ByteView(opening->tiles).subspan(i * 32, 32))) break;
    }
    if (i == count) return Nothing{};
    index = index * count + i;
  }
  return index;
}

// Before a leaf is challenged.
Next Challenger::search() {
  const referee::Statement& statement = mine_.statement();
  if (!referee::check_statement(statement)) return act(Proof{.kind = ProofKind::kRequest});
  if (is_same_trace_) return search_words();
  const Found found = walk(kClaim, kList);
  if (const auto* demand = std::get_if<Demand>(&found)) return act(*demand);
  const auto* leaf = std::get_if<std::uint64_t>(&found);
  if (leaf == nullptr) return Nothing{};
  if (*leaf == trace::kHeaderLeaf) {
    const Demand demand{kList, 0, 0, 1};
    const Opening* header = known(kClaim, demand);
    if (header == nullptr) return act(demand);
    return act(Proof{.kind = ProofKind::kHeader, .witness = {*header}});
  }
  return *leaf == trace::kTokenLeaf ? search_tokens() : search_stream(*leaf);
}

Next Challenger::search_tokens() {
  const std::uint64_t count = mine_.statement().token_count();
  Recompute recompute;
  for (std::uint64_t begin = 0; begin < count; begin += kTokensAtOnce) {
    const Demand demand{kTokenTree, 0, begin, std::min(count, begin + kTokensAtOnce)};
    const Opening* opening = known(kClaim, demand);
    if (opening == nullptr) return act(demand);
    for (std::size_t i = 0; i < opening->tiles.size(); i += 4) {
      recompute.tokens.push_back(load_le<std::uint32_t>(opening->tiles.data() + i));
    }
  }
  const ByteView mine = mine_.trace().rows({});
  if (!std::ranges::equal(as_bytes(std::span<const std::uint32_t>(recompute.tokens)), mine)) {
    return recompute;
  }
  // Something hides behind the last token: nobody can reveal it.
  const Found found = walk(kClaim, kTokenTree);
  if (const auto* demand = std::get_if<Demand>(&found)) return act(*demand);
  return Nothing{};
}

Next Challenger::search_stream(std::uint64_t list_leaf) {
  const machine::Shape& shape = mine_.statement().shape();
  const trace::StreamId stream = stream_at(shape, list_leaf);
  const auto challenge_broken = [&] {
    if (broken_->layer == machine::kHeadLayer) {
      return act(Challenge{{broken_->t + std::uint64_t{1}, {}, 0}});
    }
    return act(Challenge{{broken_->t, {merkle::Kind::kKey, broken_->layer, 0}, 0}});
  };
  // Beyond the layer in which the computation ended nothing is known.
  if (broken_ && stream.layer > broken_->layer) return challenge_broken();
  const Found found = walk(kClaim, referee::tree_of(stream));
  if (const auto* demand = std::get_if<Demand>(&found)) return act(*demand);
  const auto* leaf = std::get_if<std::uint64_t>(&found);
  if (leaf == nullptr) return Nothing{};
  const std::uint64_t tiles = merkle::tiles_per_row(trace::row_format(shape, stream).cols);
  if (broken_ && stream.layer == broken_->layer && *leaf / tiles >= broken_->t) {
    return challenge_broken();
  }
  return act(Challenge{{*leaf / tiles, stream, *leaf % tiles}});
}

// The trace is the claim's: what is left are the words that it must agree with.
Next Challenger::search_words() {
  const referee::Terms& terms = mine_.statement().terms;
  const auto prompt = mine_.open({Place::kPrompt, 0, 0}, 0, terms.prompt_count);
  const auto tokens = mine_.open(kTokenTree, 0, mine_.statement().token_count());
  const auto at = [](const Opening& ids, std::uint64_t t) {
    return load_le<std::uint32_t>(ids.tiles.data() + 4 * t);
  };
  for (std::uint32_t t = 0; t < terms.prompt_count; ++t) {
    if (at(prompt, t) == at(tokens, t)) continue;
    return act(Proof{.kind = ProofKind::kPrompt,
                     .t = t,
                     .witness = {mine_.open({Place::kPrompt, 0, 0}, t, t + 1),
                                 mine_.open(kTokenTree, t, t + 1)}});
  }
  if (const auto proof = prove_finish()) return act(*proof);
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    const std::uint64_t t = std::uint64_t{terms.prompt_count} + i;
    if (at(tokens, t) != choices_[i]) return act(Challenge{{t, {}, 0}});
  }
  if (broken_ && broken_->layer == machine::kHeadLayer) {
    return act(Challenge{{broken_->t + std::uint64_t{1}, {}, 0}});
  }
  if (broken_) return act(Challenge{{broken_->t, {merkle::Kind::kKey, broken_->layer, 0}, 0}});
  return Nothing{};
}

std::optional<Proof> Challenger::prove_finish() {
  const referee::Statement& statement = mine_.statement();
  const machine::Model& model = mine_.artifact().view();
  std::size_t longest = 1;
  for (const std::string& stop : statement.terms.stop) longest = std::max(longest, stop.size());
  const ByteView ids = mine_.trace().rows({});
  for (std::uint64_t t = statement.terms.prompt_count; t < statement.token_count(); ++t) {
    // As many tokens before t as could hold the beginning of a stop string.
    std::uint64_t begin = t;
    std::set<Demand> runs;
    const auto add = [&](std::uint64_t u) {
      const auto id = load_le<std::uint32_t>(ids.data() + 4 * u);
      if (id >= statement.shape().vocabulary) return std::size_t{0};
      const std::uint32_t from = model.token_offsets[id];
      const std::uint32_t to = model.token_offsets[id + 1];
      const std::uint64_t tile = merkle::kTileElements;
      const TreeId offsets{Place::kModel, statement.model.token_offsets, 0};
      const TreeId bytes{Place::kModel, statement.model.token_bytes, 0};
      runs.insert({offsets, 0, id / tile, id / tile + 1});
      runs.insert({offsets, 0, (id + 1) / tile, (id + 1) / tile + 1});
      for (std::uint64_t i = from / tile; from != to && i <= (to - 1) / tile; ++i) {
        runs.insert({bytes, 0, i, i + 1});
      }
      return std::size_t{to - from};
    };
    static_cast<void>(add(t));
    for (std::size_t before = 0; begin > statement.terms.prompt_count && before + 1 < longest &&
                                 t - begin + 1 < referee::kMaxFinishTokens;) {
      before += add(--begin);
    }
    Proof proof{.kind = ProofKind::kFinish, .t = static_cast<std::uint32_t>(t)};
    proof.witness.push_back(mine_.open(kTokenTree, begin, t + 1));
    for (auto run = runs.begin(); run != runs.end();) {
      Demand joined = *run;
      for (++run; run != runs.end() && run->tree == joined.tree && run->begin == joined.end;
           ++run) {
        joined.end = run->end;
      }
      proof.witness.push_back(mine_.open(joined.tree, joined.begin, joined.end));
    }
    if (referee::adjudicate(statement, nullptr, proof)) return proof;
  }
  return std::nullopt;
}

Next Challenger::prove(const referee::MicroTrace& micro) {
  const auto answered = roots_.find(micro.root);
  if (answered == roots_.end()) return Nothing{};
  if (computed_ != micro.position) {
    honest_ = compute_position(mine_.execution(), micro.position);
    computed_ = micro.position;
  }
  mine_.take(micro.position, honest_.tensors);
  const auto present =
      trace::micro_tensors_of(mine_.statement().model.program, mine_.statement().terms.sampling,
                              micro.position.t, micro.position.layer);
  OTR_CHECK(answered->second.size() == present.size());
  for (std::size_t i = 0; i < present.size(); ++i) {
    const Tensor tensor = present[i];
    const bool stops = honest_.stop && honest_.stop->tensor == tensor;
    if (!stops && answered->second[i] == mine_.tensor_roots()[i]) continue;
    if (tensor == Tensor::kKCut || tensor == Tensor::kPCut) {
      return prove_cut(micro, tensor, answered->second);
    }
    return prove_tensor(micro, tensor, answered->second);
  }
  return Nothing{};
}

Next Challenger::prove_tensor(const referee::MicroTrace& micro, Tensor tensor,
                              const std::vector<Hash>& roots) {
  const auto [t, layer] = micro.position;
  const TreeId tree = micro_tree(tensor);
  const auto facts = referee::tree_facts(mine_.statement(), &micro, tree);
  const bool stops = honest_.stop && honest_.stop->tensor == tensor;
  const auto shown = stops ? std::nullopt : shown_tile(micro.root, tree);
  const Found found = shown ? Found(*shown) : walk(micro.root, tree);
  if (const auto* demand = std::get_if<Demand>(&found)) return act(*demand);
  const auto* leaf = std::get_if<std::uint64_t>(&found);
  std::uint64_t index = stops ? honest_.stop->index : facts->rows * facts->cols;
  if (leaf != nullptr) {
    const Demand demand{tree, 0, *leaf, *leaf + 1};
    const Opening* tile = known(micro.root, demand);
    if (tile == nullptr) return act(demand);
    const Opening mine = mine_.open(tree, *leaf, *leaf + 1);
    const std::size_t at = static_cast<std::size_t>(
        std::ranges::mismatch(tile->tiles, mine.tiles).in1 - tile->tiles.begin());
    const std::uint64_t per_row = facts->tiles_in_row();
    index = std::min(index, *leaf / per_row * facts->cols +
                                *leaf % per_row * merkle::tile_elements(facts->kind) +
                                at / merkle::size_bytes(facts->type));
  }
  if (index == facts->rows * facts->cols) return Nothing{};
  return prove_step(micro, {t, layer, tensor, index}, roots);
}

Next Challenger::prove_cut(const referee::MicroTrace& micro, Tensor cut,
                           const std::vector<Hash>& roots) {
  using enum Tensor;
  const Demand demand{micro_tree(cut), 0, 0, 1};
  const Opening* tile = known(micro.root, demand);
  if (tile == nullptr) return act(demand);
  // What follows from the cut that was answered.
  trace::MicroTensors tensors = honest_.tensors;
  tensors[static_cast<std::size_t>(cut)] = {load_le<std::int64_t>(tile->tiles.data())};
  const auto after = static_cast<Tensor>(static_cast<int>(cut) + 1);
  const Computed forced =
      compute_from(mine_.execution(), micro.position, after, std::move(tensors));
  mine_.take(micro.position, forced.tensors);
  const auto present =
      trace::micro_tensors_of(mine_.statement().model.program, mine_.statement().terms.sampling,
                              micro.position.t, micro.position.layer);
  const Tensor last = cut == kKCut ? kKCount : kPMass;
  for (std::size_t i = 0; i < present.size() && !forced.stop; ++i) {
    const Tensor tensor = present[i];
    if (tensor <= cut || tensor > last || roots[i] == mine_.tensor_roots()[i]) continue;
    return prove_tensor(micro, tensor, roots);
  }
  return prove_step(micro, {micro.position.t, micro.position.layer, cut, 0}, roots);
}

Next Challenger::prove_step(const referee::MicroTrace& micro, const machine::StepId& id,
                            const std::vector<Hash>& roots) {
  const auto accesses = record_step(mine_.execution(), id, mine_.tensors());
  Proof proof{.kind = ProofKind::kStep, .tensor = id.tensor, .index = id.index};
  for (const Demand& run : runs_of(mine_.statement(), micro, id, accesses)) {
    const auto facts = referee::tree_facts(mine_.statement(), &micro, run.tree);
    bool is_shared = is_same_trace_ || run.tree.place == Place::kModel;
    if (run.tree.place == Place::kMicro) {
      is_shared = roots[facts->list_index] == mine_.tensor_roots()[facts->list_index];
    }
    if (!is_shared) {
      const Opening* opening = known(micro.root, run);
      if (opening == nullptr) return act(run);
      proof.witness.push_back(*opening);
      continue;
    }
    Opening opening = mine_.open(run.tree, run.begin, run.end);
    if (run.tree.place == Place::kMicro) {  // of another list than the archive's
      merkle::Tree list;
      list.append(std::span<const Hash>(roots));
      opening.list_path = list.open_range(facts->list_index, facts->list_index + 1);
    }
    proof.witness.push_back(std::move(opening));
  }
  return act(std::move(proof));
}

}  // namespace otr::dispute
