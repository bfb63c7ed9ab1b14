#include "sim/network.h"

namespace otr::sim {
namespace {

Status crashed() { return fail(ErrorKind::kIo, "SIMULATED: the process was killed here."); }

}  // namespace

std::uint64_t Random::next() {
  std::uint64_t x = (state_ += 0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

Status Link::lost() const { return fail(ErrorKind::kNetwork, "SIMULATED: no answer."); }

Result<std::vector<settlement::Row>> Link::rows(std::uint64_t after) {
  if (is_cut || weather_.random.chance(weather_.faults.lose_request)) {
    return std::unexpected(lost().error());
  }
  const auto& rows = chain_.rows();
  if (after >= rows.size()) return std::vector<settlement::Row>{};
  return std::vector(rows.begin() + static_cast<std::ptrdiff_t>(after), rows.end());
}

Status Link::submit(ByteView transaction) {
  Random& random = weather_.random;
  const Faults& faults = weather_.faults;
  if (random.chance(faults.crash)) {
    has_crashed = true;
    return crashed();
  }
  if (is_cut || random.chance(faults.lose_request)) return lost();
  const Bytes bytes(transaction.begin(), transaction.end());
  const auto later = [&] { return weather_.now + random.below(faults.max_delay_ms + 1); };
  if (random.chance(faults.repeat)) weather_.under_way.emplace(later(), bytes);
  if (random.chance(faults.delay)) {
    weather_.under_way.emplace(later(), bytes);
    return lost();
  }
  const Status done = chain_.submit(transaction, weather_.now);
  if (random.chance(faults.crash)) {
    has_crashed = true;
    return crashed();
  }
  if (random.chance(faults.lose_answer)) return lost();
  return done;
}

Status DataLink::reach() {
  if (there_ != nullptr && !weather_.random.chance(weather_.faults.lose_request)) return {};
  return fail(ErrorKind::kNetwork, "SIMULATED: no answer.");
}

Result<std::vector<std::string>> DataLink::receipts(const Hash& batch_root) {
  OTR_TRY(reach());
  return there_->receipts(batch_root);
}

Result<Bytes> DataLink::proof(const Hash& digest) {
  OTR_TRY(reach());
  return there_->proof(digest);
}

Status Disk::append(std::string_view record) {
  if (weather_.random.chance(weather_.faults.crash)) {
    has_crashed_ = true;
    if (weather_.random.below(2) == 0) records_.emplace_back(record);  // written, not acknowledged
    return crashed();
  }
  records_.emplace_back(record);
  return {};
}

Status Disk::read(const std::function<Status(std::string_view)>& visit) {
  for (const std::string& record : records_) OTR_TRY(visit(record));
  return {};
}

}  // namespace otr::sim
