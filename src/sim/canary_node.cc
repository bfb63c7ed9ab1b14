#include "sim/canary_node.h"

#include "crypto/sha256.h"

namespace otr::sim {
namespace {

constexpr std::uint32_t kFalseToken = 5;  // never what the world's model answers first
constexpr std::uint64_t kPatienceMs = 60'000;

}  // namespace

CanaryNode::CanaryNode(World& world, const crypto::PrivateKey& funder, std::uint64_t reward)
    : world_(world),
      funder_(funder),
      client_(world.funded_key(1)),
      reward_(reward),
      defence_(world.weights(),
               token_at(static_cast<std::uint32_t>(world.prompt().size()) - 1, kFalseToken), false),
      honestly_(
          world.weights(), [](const auto&, auto, auto&) {}, false),
      node_(&world.add_node("canaries")) {
  node_->boot = [this](Node& self) -> Status {
    rollup::CanaryOptions options{
        .key = funder_, .client = client_, .reward = reward_, .operator_consents = [this](auto& d) {
          return of_->signers.operator_key.sign(d);
        }};
    OTR_TRY_ASSIGN(role_, rollup::CanaryKeeper::open(*self.mirror, self.disk, std::move(options)));
    self.step = [this](std::uint64_t now) { return role_->step(now); };
    self.kill = [this] { role_.reset(); };
    return {};
  };
}

referee::Leaf CanaryNode::leaf() const {
  return {.t = world_.prompt().size(), .stream = {}, .tile = 0};
}

Hash CanaryNode::last_hash() const { return protocol::digest_of(last_.claim, world_.state().id); }

dispute::Action CanaryNode::respond(const protocol::Receipt& receipt, const dispute::Game& game,
                                    const dispute::Facts& facts) {
  const Hash claim_hash = protocol::digest_of(receipt.claim, world_.state().id);
  if (!role_) return dispute::Close{};  // nothing, until it knows what is a canary
  if (!role_->holds(claim_hash)) return honestly_(receipt, game, facts);
  const bool is_asked = game.phase == dispute::Phase::kAnswering;
  if (is_asked && role_->keeps(claim_hash, *game.leaf)) return dispute::Close{};
  return defence_(receipt, game, facts);
}

void CanaryNode::make(OperatorNode& of) {
  of_ = &of;
  last_ = forge_token(
      world_.weights(),
      make_request(world_.weights(), client_, ++made_, world_.prompt(), 6, world_.state().id),
      world_.prompt(), 0, kFalseToken, of.signers);
}

bool CanaryNode::hand_over() {
  const auto is_up = [](const Node& node) { return node.is_up && !node.link.has_crashed; };
  if (!role_ || !is_up(*node_) || !of_->role || !is_up(*of_->node)) return false;
  const std::string text = *protocol::encode_receipt(last_);
  if (!role_->holds(last_hash())) {
    (void)role_->add(text, leaf(), salt());
  }
  return role_->is_committed(last_hash()) && of_->role->add(text, world_.weather().now);
}

Hash CanaryNode::salt() const {
  return crypto::sha256({client_.address(), as_bytes("salt"), last_hash()});
}

Status CanaryNode::reveal_at(std::uint64_t batch) {
  const Hash leaf_hash = ledger::leaf_hash(leaf());
  const ledger::CanaryPlace place{funder_.address(), of_->signers.operator_key.address(),
                                  world_.state().batches.at(batch).sequence};
  const Hash commitment = ledger::canary_commitment(place, salt(), last_hash(), leaf_hash);
  const Hash digest = ledger::consent_digest(world_.state().id, commitment);
  return world_.send(
      funder_, ledger::RevealCanary{.salt = salt(),
                                    .leaf = leaf_hash,
                                    .batch = batch,
                                    .claim = last_.claim,
                                    .request = last_.request.request,
                                    .consent = client_.sign(digest),
                                    .operator_consent = of_->signers.operator_key.sign(digest)});
}

bool CanaryNode::post(OperatorNode& of) {
  make(of);
  return world_.run_until([&] { return hand_over(); }, kPatienceMs) &&
         world_.run_until([&] { return world_.claim_of(of, last_).has_value(); }, kPatienceMs);
}

}  // namespace otr::sim
