// Another engine to be held against: any program with llama-bench's command line and JSON.
#ifndef OTR_APPS_BENCH_PEER_H_
#define OTR_APPS_BENCH_PEER_H_

#include <cstdint>
#include <string>

#include "base/result.h"

namespace otr::apps {

struct Peer {
  std::string program;
  std::string model;  // a file of its own format, of the same shape
};

// Tokens a second, as the peer says, of one repetition: of a prompt of `prompt` tokens, or of
// `output` tokens from an empty context; the other is 0. Returns when the process has ended.
// Errors: kIo where it does not start, fails, or says nothing that can be read; kCancelled.
Result<double> run_peer(const Peer& peer, unsigned threads, std::uint32_t prompt,
                        std::uint32_t output);

}  // namespace otr::apps

#endif  // OTR_APPS_BENCH_PEER_H_
