// What the embedded ledger takes in (spec/SETTLEMENT.md, STORE-1): transactions per second with
// every signature checked, against the bare recovery of as many signatures on this machine, one
// thread each; and durable commits per second, against appending as many bytes to a file and
// flushing it.
//
//   ledger_bench [transactions = 20000] [folder for files = .]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "ledger/apply.h"
#include "settlement/store.h"

namespace {

using namespace otr;  // one program, one file

constexpr std::uint64_t kStart = 1'790'000'000'000;

crypto::PrivateKey key_of(std::uint8_t number) {
  Bytes scalar(32);
  scalar[31] = number;
  return crypto::PrivateKey::from_bytes(scalar).value();
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Bytes make_genesis() {
  ledger::Genesis genesis;
  genesis.issuer = key_of(1).address();
  genesis.trial = 1;
  genesis.time = kStart;
  genesis.parameters = ledger::example_parameters(true);
  return ledger::encode(genesis);
}

std::vector<Bytes> make_transfers(const Bytes& genesis, std::size_t count) {
  const Hash id = ledger::ledger_id(genesis);
  std::vector<Bytes> made;
  ledger::Transaction first{.body = ledger::Mint{key_of(2).address(), 1u << 30}};
  ledger::sign(first, id, key_of(1));
  made.push_back(ledger::encode(first));
  for (std::size_t i = 0; i < count; ++i) {
    ledger::Transaction transfer{.nonce = i, .body = ledger::Transfer{key_of(3).address(), 1}};
    ledger::sign(transfer, id, key_of(2));
    made.push_back(ledger::encode(transfer));
  }
  return made;
}

void measure_intake(const Bytes& genesis, const std::vector<Bytes>& transfers) {
  std::vector<double> ratios;
  double bare_rate = 0, intake_rate = 0;
  const Hash domain = ledger::genesis_state(genesis).value().domain;
  std::vector<std::pair<Hash, ledger::Signature>> signatures;
  for (const Bytes& bytes : transfers) {
    const auto transaction = ledger::decode_transaction(bytes).value();
    signatures.emplace_back(ledger::digest_in_domain(transaction, domain), transaction.signature);
  }
  for (int round = 0; round < 5; ++round) {
    const double bare = seconds_of([&] {
      for (const auto& [digest, signature] : signatures) {
        OTR_CHECK(crypto::recover(digest, signature).has_value());
      }
    });
    ledger::State state = ledger::genesis_state(genesis).value();
    const double intake = seconds_of([&] {
      for (const Bytes& bytes : transfers) OTR_CHECK(ledger::apply(state, bytes, kStart));
    });
    ratios.push_back(bare / intake);
    bare_rate = static_cast<double>(transfers.size()) / bare;
    intake_rate = static_cast<double>(transfers.size()) / intake;
  }
  std::ranges::sort(ratios);
  std::printf("intake: %.0f transactions/s; bare recovery: %.0f/s; ratio %.3f (median of 5)\n",
              intake_rate, bare_rate, ratios[2]);
}

void measure_disk(const Bytes& genesis, const std::vector<Bytes>& transfers,
                  const std::filesystem::path& folder, std::size_t group) {
  const auto file = folder / "ledger_bench.db";
  const auto flat = folder / "ledger_bench.raw";
  for (const char* part : {"", "-wal", "-shm", "-lock", "-head"}) {
    std::filesystem::remove(file.string() + part);
  }
  const std::size_t groups = std::min<std::size_t>(64, transfers.size() / group);
  auto store = settlement::Store::create(file, genesis, {}).value();
  ledger::State state = ledger::genesis_state(genesis).value();
  double apply_s = 0;
  const double total = seconds_of([&] {
    for (std::size_t i = 0; i < groups; ++i) {
      OTR_CHECK(store->append(std::span(transfers).subspan(i * group, group), kStart));
    }
  });
  apply_s = seconds_of([&] {
    for (std::size_t i = 0; i < groups * group; ++i) {
      OTR_CHECK(ledger::apply(state, transfers[i], kStart));
    }
  });
  const int raw = ::open(flat.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  OTR_CHECK(raw >= 0);
  const double bare = seconds_of([&] {
    const Bytes block(group * transfers[1].size());
    for (std::size_t i = 0; i < groups; ++i) {
      OTR_CHECK(::write(raw, block.data(), block.size()) == std::ssize(block));
      OTR_CHECK(::fdatasync(raw) == 0);
    }
  });
  ::close(raw);
  store.reset();
  for (const char* part : {"", "-wal", "-shm", "-lock", "-head"}) {
    std::filesystem::remove(file.string() + part);
  }
  std::filesystem::remove(flat);
  const auto count = static_cast<double>(groups);
  std::printf(
      "groups of %zu: %.0f commits/s (%.0f transactions/s); without the rules' time %.0f/s; raw "
      "append + fdatasync %.0f/s\n",
      group, count / total, count * static_cast<double>(group) / total,
      count / std::max(total - apply_s, 1e-9), count / bare);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 20'000;
  const std::filesystem::path folder = argc > 2 ? argv[2] : ".";
  const Bytes genesis = make_genesis();
  const std::vector<Bytes> transfers = make_transfers(genesis, count);
  measure_intake(genesis, transfers);
  for (const std::size_t group : {1, 16, 256}) measure_disk(genesis, transfers, folder, group);
}
