// The main program of every fuzz target outside the fuzz preset: runs the target on each file of
// the folders named on the command line, and on mutations of each that are the same on every run,
// so that every corpus is also an ordinary test.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kMutations = 2000;  // per file

// xorshift64*; the constants are those of its author.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}

  std::size_t below(std::size_t bound) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<std::size_t>(state_ * 0x2545F4914F6CDD1Du >> 16) % bound;
  }

 private:
  std::uint64_t state_;
};

std::size_t run(const Input& input) {
  // A copy of exactly this size, so that a read past the end is one past an allocation.
  const Input copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  return 1;
}

// One change: a bit, a byte, a telling number, a stretch removed, repeated, or taken from `other`.
void mutate(Input& input, const Input& other, Random& random) {
  if (input.empty()) return input.push_back(static_cast<std::uint8_t>(random.below(256)));
  const std::size_t at = random.below(input.size());
  const std::size_t length = 1 + random.below(std::min<std::size_t>(input.size() - at, 32));
  const auto first = input.begin() + static_cast<std::ptrdiff_t>(at);
  const auto last = first + static_cast<std::ptrdiff_t>(length);
  switch (random.below(7)) {
    case 0:
      input[at] = static_cast<std::uint8_t>(input[at] ^ 1u << random.below(8));
      break;
    case 1:
      input[at] = static_cast<std::uint8_t>(random.below(256));
      break;
    case 2:
      std::fill(first, last, static_cast<std::uint8_t>(random.below(2) == 0 ? 0 : 255));
      break;
    case 3:
      input.erase(first, last);
      break;
    case 4: {
      const Input stretch(first, last);
      input.insert(first, stretch.begin(), stretch.end());
      break;
    }
    case 5:
      input.resize(at);
      break;
    default:
      for (std::size_t i = 0; i < length && !other.empty(); ++i) {
        input[at + i] = other[(at + i) % other.size()];
      }
  }
}

std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

Input read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::size_t run_folder(const std::filesystem::path& folder) {
  const std::vector<std::filesystem::path> paths = files_below(folder);
  std::vector<Input> inputs;
  for (const auto& path : paths) inputs.push_back(read(path));
  std::size_t count = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::printf("%s: %zu bytes\n", paths[i].c_str(), inputs[i].size());
    std::fflush(stdout);  // the last line names the file from which the crash came
    count += run(inputs[i]);
    Random random(i + 1);
    for (std::size_t m = 0; m < kMutations; ++m) {
      Input input = inputs[i];
      const std::size_t changes = 1 + random.below(4);
      for (std::size_t c = 0; c < changes; ++c) {
        mutate(input, inputs[random.below(inputs.size())], random);
      }
      count += run(input);
    }
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) try {
  std::size_t count = 0;
  for (int i = 1; i < argc; ++i) count += run_folder(argv[i]);
  std::printf("%zu inputs\n", count);
  return count == 0;  // a corpus that is not there tests nothing
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
