// A small world for tests of the ledger: roles, two operators, clients, a fisherman, a registered
// model, and a hand that signs and sends. Every call is checked against all invariants, and every
// refusal against the digest before it.
#ifndef OTR_LEDGER_TEST_WORLD_H_
#define OTR_LEDGER_TEST_WORLD_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "crypto/secp256k1.h"
#include "ledger/apply.h"
#include "ledger/state.h"
#include "ledger/transaction.h"
#include "merkle/tree.h"

namespace otr::ledger {

// Keys by number.
enum Who : std::uint8_t {
  kIssuer = 1,
  kSequencer = 2,
  kAuditor = 3,
  kGovernor = 4,
  kClient = 5,
  kOperator = 6,
  kOther = 7,
  kFisherman = 8,
  kCheckerA = 9,
  kCheckerB = 10,
  kCheckerC = 11,
  kNobody = 12,
  kSessionKey = 20,  // and those after it
};
[[nodiscard]] const crypto::PrivateKey& key_of(std::uint8_t who);
[[nodiscard]] Address address_of(std::uint8_t who);

// A batch with what its claims are made of.
struct PostedBatch {
  std::uint64_t number = 0;
  std::vector<protocol::Claim> claims;
  std::vector<protocol::Request> requests;
  std::vector<Hash> hashes;
  merkle::Tree tree;
  [[nodiscard]] std::vector<Hash> path(std::uint32_t index) const {
    return tree.open_range(index, std::uint64_t{index} + 1);
  }
};

class World {
 public:
  // Roles, accounts with 100,000,000 each, two operators with a stake of 10,000,000, the model, a
  // session of each operator, and a channel of 1,000,000 from the client to each.
  explicit World(std::string_view artifact);

  // Signs and applies. The code of a refusal is in `code`.
  bool send(std::uint8_t who, Body body);
  // The same that must be taken, with the refusal's message in the failure.
  void must(std::uint8_t who, Body body);

  [[nodiscard]] Transaction make(std::uint8_t who, Body body) const;
  bool apply_bytes(ByteView bytes);

  [[nodiscard]] protocol::Request request(std::uint64_t counter, std::uint8_t mode = 0) const;
  [[nodiscard]] protocol::Claim claim(const protocol::Request& request, const Hash& session) const;
  // `count` claims on requests of the client, from `counter` on.
  [[nodiscard]] PostedBatch make_batch(const Hash& session, std::uint32_t count,
                                       std::uint64_t counter) const;
  // Posts it for the operator; nothing is expected of the outcome.
  bool post(std::uint8_t who, PostedBatch& batch, const Hash& session, std::uint64_t value = 100);
  // Registers another session of an operator.
  Hash new_session(std::uint8_t who);
  bool checkpoint();
  // A checkpoint and the next value of the beacon.
  bool reveal();
  void pass(std::uint64_t ms) { now += ms; }

  State state;
  std::uint64_t now = 0;
  std::string code, message;  // of the last refusal
  Events events;              // of the last success
  std::string failure;        // of an invariant; empty while all hold
  Hash model{};
  std::map<std::uint8_t, Hash> session;              // first of each operator
  std::vector<std::pair<std::uint64_t, Bytes>> log;  // time and bytes of all that was applied
  Bytes genesis;

 private:
  void register_model(std::string_view artifact);

  std::vector<Hash> beacon_;  // in the order of revealing
  std::uint8_t next_session_key_ = kSessionKey;
};

// Whatever chooses among possibilities: a generator of numbers, or the bytes of a fuzzer.
class Chooser {
 public:
  virtual ~Chooser() = default;
  // A number below `bound`, which is at least 1.
  virtual std::uint64_t below(std::uint64_t bound) = 0;
};

// One transaction that may or may not be sensible, and now and then a little time.
void random_step(World& world, Chooser& chooser, std::vector<PostedBatch>& batches);

}  // namespace otr::ledger

#endif  // OTR_LEDGER_TEST_WORLD_H_
