#include "rollup/prover.h"

#include <algorithm>
#include <atomic>
#include <system_error>

#include "base/hex.h"
#include "crypto/sha256.h"
#include "env/clock.h"
#include "env/file.h"
#include "node/proof.h"
#include "rollup/ports.h"

namespace otr::rollup {
namespace {

// A record of the journal: this, the claim, the beacon and the digest.
constexpr std::string_view kProofRecord = "proof\n";
// A proof takes at most so many times what is expected of it, also on a machine that is busy.
constexpr std::uint64_t kSafety = 4;
constexpr std::uint64_t kNsPerMs = 1'000'000;

Hash hash_at(std::string_view bytes, std::size_t at) {
  Hash hash;
  std::ranges::copy(as_bytes(bytes.substr(at, hash.size())), hash.begin());
  return hash;
}

std::filesystem::path file_in(const std::filesystem::path& folder, const Hash& digest) {
  return folder / (to_hex(digest) + ".proof");
}

// Memory is what a proof may run out of, and a thread has nobody to tell.
Result<Hash> prove(const std::string& receipt, const model::Artifact& artifact, const Hash& beacon,
                   const ProverOptions& options, const std::atomic<bool>& is_over) try {
  const auto go_on = [&](std::string_view, int) -> Status {
    return is_over ? fail(ErrorKind::kCancelled, "it was not ready in time") : Status();
  };
  OTR_TRY_ASSIGN(const Bytes proof, node::prove_receipt(receipt, artifact,
                                                        {.beacon = beacon,
                                                         .threads = options.threads,
                                                         .memory_bytes = options.memory_bytes,
                                                         .on_stage = go_on}));
  if (proof.size() > kMaxProofBytes) {
    return fail(ErrorKind::kUsage, "the proof is too long to be served");
  }
  const Hash digest = crypto::sha256({proof});
  OTR_TRY(env::write_file_atomically(file_in(options.folder, digest), proof, 0644));
  return digest;
} catch (const std::exception& error) {
  return fail(ErrorKind::kIo,
              std::string("there was not enough of memory or threads: ") + error.what());
}

}  // namespace

// What the proving thread shares with the one that steps, which looks at the rest when it is done.
struct Prover::Work {
  Key key;
  std::uint64_t units = 0;
  std::uint64_t took_ns = 0;
  Result<Hash> digest = Hash{};
  std::atomic<bool> is_done = false, is_over = false;  // and nobody waits for it any more
};

Prover::Prover(Journal& journal, ProverOptions options)
    : journal_(journal), options_(std::move(options)), ns_per_unit_(options_.ns_per_unit) {}

Prover::~Prover() {
  if (under_way_) under_way_->is_over = true;
  if (thread_.joinable()) thread_.join();
}

Result<std::unique_ptr<Prover>> Prover::open(Journal& journal, ProverOptions options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) {
    return fail(ErrorKind::kIo, "The folder " + options.folder.string() +
                                    " for proofs cannot be made: " + error.message());
  }
  return std::unique_ptr<Prover>(new Prover(journal, std::move(options)));
}

bool Prover::is_record(std::string_view record) {
  return record.starts_with(kProofRecord) &&
         record.size() == kProofRecord.size() + 3 * sizeof(Hash);
}

Status Prover::read(std::string_view record) {
  record.remove_prefix(kProofRecord.size());
  made_[{hash_at(record, 0), hash_at(record, 32)}] = hash_at(record, 64);
  return {};
}

Result<Prover::Answer> Prover::answer(const Draw& draw, std::uint64_t now) {
  const ledger::BeaconValue& beacon = draw.state.beacon.at(draw.batch.round);
  const std::uint64_t time = ledger::parameters_of(draw.state, draw.batch).draw;
  const std::uint64_t end = beacon.revealed_at + time / 2;
  const Key key{draw.claim, beacon.value};
  OTR_TRY(take_up());
  const auto found = made_.find(key);
  if (found != made_.end()) {
    if (read(found->second)) return Answer{.proof = found->second};
    give_up(key, "the proof is no more in its folder");
    made_.erase(found);
  }
  if (under_way_ && under_way_->key == key) {
    under_way_->is_over = now >= end;
    return Answer{.proof = {}, .is_awaited = now < end};
  }
  const std::optional<std::uint64_t> longest = longest_ms(key, draw);
  if (!longest || now + *longest > end) return Answer{};
  if (under_way_) return Answer{.proof = {}, .is_awaited = true};
  start(key, draw);
  OTR_TRY(take_up());  // where it was made at once
  if (made_.contains(key)) return Answer{.proof = made_.at(key)};
  return Answer{.proof = {}, .is_awaited = under_way_ != nullptr};
}

std::optional<std::uint64_t> Prover::longest_ms(const Key& key, const Draw& draw) {
  if (!work_.contains(key)) {
    const auto receipt = protocol::decode_receipt(*draw.receipt);
    const auto units = draw.weights == nullptr ? fail(ErrorKind::kUsage, "its model is not here")
                       : !receipt              ? std::unexpected(receipt.error())
                                  : node::work_of_proof(*receipt, draw.weights->artifact,
                                                        {.memory_bytes = options_.memory_bytes});
    if (units) {
      work_[key] = *units;
    } else {
      give_up(key, units.error().message);
    }
  }
  const std::optional<std::uint64_t>& units = work_.at(key);
  if (!units) return std::nullopt;
  return *units / kNsPerMs * kSafety * ns_per_unit_ +
         *units % kNsPerMs * kSafety * ns_per_unit_ / kNsPerMs;
}

void Prover::start(const Key& key, const Draw& draw) {
  under_way_ = std::make_shared<Work>();
  under_way_->key = key;
  under_way_->units = *work_.at(key);
  const auto run = [work = under_way_, receipt = draw.receipt, &artifact = draw.weights->artifact,
                    options = options_] {
    const std::int64_t begin = env::monotonic_ns();
    work->digest = prove(*receipt, artifact, work->key.second, options, work->is_over);
    work->took_ns = static_cast<std::uint64_t>(env::monotonic_ns() - begin);
    work->is_done = true;
  };
  if (options_.beside) {
    options_.beside(run);
    return;
  }
  if (thread_.joinable()) thread_.join();  // it has ended: nothing was under way
  try {
    thread_ = std::thread(run);
  } catch (const std::system_error& error) {
    under_way_ = nullptr;
    give_up(key, std::string("there is no thread for it: ") + error.what());
  }
}

// A proof that is done is in the journal before it is anybody's answer.
Status Prover::take_up() {
  if (!under_way_ || !under_way_->is_done) return {};
  const std::shared_ptr<Work> work = std::exchange(under_way_, nullptr);
  if (!options_.beside) {  // the time of a simulation is another
    ns_per_unit_ = std::max(ns_per_unit_, work->took_ns / std::max<std::uint64_t>(work->units, 1));
  }
  if (!work->digest) {
    give_up(work->key, work->digest.error().message);
    return {};
  }
  const auto& [claim, beacon] = work->key;
  std::string record(kProofRecord);
  for (const Hash& hash : {claim, beacon, *work->digest}) record += as_text(hash);
  OTR_TRY(journal_.append(record));
  made_[work->key] = *work->digest;
  ++gauges_.made;
  return {};
}

void Prover::give_up(const Key& key, std::string why) {
  work_[key] = std::nullopt;
  ++gauges_.failed;
  gauges_.last_failure = std::move(why);
}

Result<Bytes> Prover::read(const Hash& digest) const {
  auto proof = env::read_file(file_in(options_.folder, digest), kMaxProofBytes);
  if (proof && crypto::sha256({*proof}) == digest) return proof;
  return fail(ErrorKind::kBadInput, "This operator has no proof with this digest.");
}

}  // namespace otr::rollup
