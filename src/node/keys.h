// The keys of a person or an operator on this machine, and the session key of a worker.
//
// All of them are plain software keys: they prove who speaks, and nothing about the machine
// (SPEC RCPT-5). Client and operator keys live as files in a folder that only the owner can read;
// a session key is born with its worker and never leaves the process.
#ifndef OTR_NODE_KEYS_H_
#define OTR_NODE_KEYS_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "crypto/secp256k1.h"

namespace otr::node {

class Home {
 public:
  // Opens the folder named, making it (mode 0700) where it does not exist.
  static Result<Home> open(const std::filesystem::path& named);

  // $OTR_HOME, else $XDG_DATA_HOME/otr, else $HOME/.local/share/otr.
  static Result<std::filesystem::path> default_folder();

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  // The key in NAME.key, made on first use (mode 0600).
  Result<crypto::PrivateKey> key(const std::string& name) const;

  // The client's next request counter (SPEC REQ-3). It is on disk before it is returned, so that
  // no crash and no second process can make a counter be used twice.
  Result<std::uint64_t> next_counter() const { return reserve_counters(1); }
  // The first of `count` such counters, all of which are then used, for whoever signs often: the
  // disk is waited for once. Requires count > 0.
  Result<std::uint64_t> reserve_counters(std::uint32_t count) const;

 private:
  explicit Home(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path folder_;
};

// A new key that is nowhere else.
Result<crypto::PrivateKey> new_session_key();

}  // namespace otr::node

#endif  // OTR_NODE_KEYS_H_
