// Verifies a receipt without a network: who answered, by the evidence in it, and, by computing the
// answer again, whether it is what the model says.
//
//   verify_receipt receipt.json policy.toml model.safetensors
//
// Exit status: 0 verified, 1 not, 2 for the rest.
#include <otr/client.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <thread>

namespace {

std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::cerr << "verify_receipt: cannot read " << path << "\n";
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: verify_receipt RECEIPT POLICY MODEL\n";
    return 2;
  }
  const auto model = otr::client::Model::load(argv[3]);
  if (!model) {
    std::cerr << "verify_receipt: " << model.error().message << "\n";
    return 2;
  }
  // The evidence is judged as of now; VerifyOptions::at takes the time when the answer came.
  const auto result = verify_receipt(
      read(argv[1]), *model,
      {.policy = read(argv[2]), .recompute = true, .threads = std::thread::hardware_concurrency()});
  if (!result) {
    std::cerr << "verify_receipt: " << result.error().message << "\n";
    return 2;
  }
  std::cout << result->checks << to_text(result->ladder) << result->summary << "\n";
  return result->verdict == otr::client::Verdict::kVerified ? 0 : 1;
}
