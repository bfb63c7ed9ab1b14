// Who a seed sends on stage besides the honest roles (SIMULATED cheats): liars of every kind,
// data servers that bend what they serve, and false accusers.
#ifndef OTR_SIM_CAST_H_
#define OTR_SIM_CAST_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "crypto/secp256k1.h"
#include "rollup/checker.h"
#include "rollup/mirror.h"
#include "rollup/ports.h"
#include "sim/liar.h"
#include "sim/network.h"
#include "sim/world.h"

namespace otr::sim {

enum class Lie : std::uint8_t {
  kToken,   // another token, and honestly on from there
  kTensor,  // one element of the computation, and on from there as the program says
  kLeaf,    // one element of what is committed, and nothing else
  kRoot,    // a trace root without preimage
  kFinish,  // another finish reason
  kCount,   // another number of tokens
  kPrompt,  // the answer to another prompt
};
inline constexpr std::uint64_t kLies = 7;

// How a liar plays the games on its lies.
enum class Defence : std::uint8_t {
  kFights,    // with what it made of the lie
  kHonestly,  // with what the program says
  kYields,    // concedes
  kStubborn,  // sends what the ledger refuses
};
inline constexpr std::uint64_t kDefences = 4;

// `weights` must outlive it. Its operator answers from options.respond = std::ref(liar).
class Liar {
 public:
  Liar(const rollup::Weights& weights, Defence defence) : weights_(weights), defence_(defence) {}

  // A receipt that is false, or, where rounding swallows the lie, true (see is_true).
  [[nodiscard]] protocol::Receipt forge(Lie lie, const protocol::SignedRequest& request,
                                        const std::vector<std::uint32_t>& prompt_ids,
                                        const Signing& signers, Random& random);
  dispute::Action operator()(const protocol::Receipt& receipt, const dispute::Game& game,
                             const dispute::Facts& facts);

 private:
  protocol::Receipt forge_tensor(const protocol::SignedRequest& request,
                                 const protocol::Receipt& honest, const Signing& signers,
                                 bool is_leaf_alone, Random& random);
  const rollup::Weights& weights_;
  const Defence defence_;
  std::map<Hash, LiarsDefence> defences_;  // by trace root
};

// Whether the claim is the model's on the request.
[[nodiscard]] bool is_true(const rollup::Weights& weights, const protocol::Receipt& receipt,
                           const std::vector<std::uint32_t>& prompt_ids, const Signing& signers);

enum class Service : std::uint8_t {
  kHonest,
  kSilent,  // nobody there
  kRefuses,
  kAnotherBatch,
  kShort,     // one receipt less
  kShuffled,  // receipts in another order
  kGarbage,
  kPrompt,   // other prompt ids
  kOutput,   // other output ids
  kCounter,  // another counter of the client under the same task id
  kFickle,   // each time another of these
};
inline constexpr std::uint64_t kServices = 11;

// What an operator's server makes of what it holds. `there` and `random` must outlive it.
class BentData : public rollup::DataPort {
 public:
  BentData(rollup::DataPort& there, Service service, Random& random)
      : there_(there), service_(service), random_(random) {}
  Result<std::vector<std::string>> receipts(const Hash& batch_root) override;
  Result<Bytes> proof(const Hash& digest) override;

 private:
  rollup::DataPort& there_;
  const Service service_;
  Random& random_;
  Hash another_{};  // the last root that was asked for
};

// Challenges claims at random, whatever they say, and plays its games badly: withdraws, falls
// silent, bluffs, demands at random, concedes.
struct AccuserOptions {
  const crypto::PrivateKey& key;
  Random& random;
  std::uint32_t& games_left;  // how many it still opens
  std::function<rollup::DataPort*(const crypto::Address& operator_address)> data;
};
class Accuser {
 public:
  Accuser(rollup::Mirror& mirror, AccuserOptions options)
      : mirror_(mirror), options_(std::move(options)) {}
  [[nodiscard]] Status step(std::uint64_t now);

 private:
  Status accuse(std::uint64_t now);
  Status play(std::uint64_t number, std::uint64_t now);
  Status move(std::uint64_t number, dispute::Action action);
  rollup::Mirror& mirror_;
  const AccuserOptions options_;
};

// A checker of the genesis (WorldOptions.checkers) as a process of its world.
struct CheckerNode {
  Node* node = nullptr;
  crypto::PrivateKey key;
  rollup::DataPort* data = nullptr;  // whoever operates, this is who serves
  std::unique_ptr<rollup::Checker> role;
};
// With money for fees. `world` and `data` must outlive it.
[[nodiscard]] std::unique_ptr<CheckerNode> add_checker(World& world, std::uint8_t number,
                                                       rollup::DataPort& data);

// The receipt with the session that signed it: as a gateway gives it, and as a proof needs it.
[[nodiscard]] protocol::Receipt attested(protocol::Receipt receipt, const OperatorNode& by);

// A folder for proofs that goes with it.
class ProofFolder {
 public:
  ProofFolder();
  ~ProofFolder();
  ProofFolder(const ProofFolder&) = delete;
  ProofFolder& operator=(const ProofFolder&) = delete;
  // A prover whose proofs take no time.
  [[nodiscard]] rollup::ProverOptions at_once() const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Serves what another serves, and proofs by the digests under which they are put here.
class ProofShelf : public rollup::DataPort {
 public:
  explicit ProofShelf(rollup::DataPort& there) : there_(there) {}
  Result<std::vector<std::string>> receipts(const Hash& batch_root) override {
    return there_.receipts(batch_root);
  }
  Result<Bytes> proof(const Hash& digest) override;
  // Its digest.
  Hash put(Bytes proof);

 private:
  rollup::DataPort& there_;
  std::map<Hash, Bytes> proofs_;
};

}  // namespace otr::sim

#endif  // OTR_SIM_CAST_H_
