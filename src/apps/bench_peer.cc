#include "apps/bench_peer.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/canonical_json.h"
#include "env/signal.h"

namespace otr::apps {
namespace {

constexpr std::size_t kMaxOutputBytes = std::size_t{1} << 20;

std::string command_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

// Starts the program with standard output into `to` and standard error into nothing. Zero or errno.
int start(const std::vector<std::string>& words, int to, pid_t& pid) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);  // which otr ignores
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error =
      ::posix_spawn(&pid, words.front().c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// All that comes until the end, an interrupt or too much.
std::string read_all(int from) {
  std::string text;
  std::array<char, 4096> part;
  while (text.size() <= kMaxOutputBytes && !env::interrupted()) {
    const ssize_t count = ::read(from, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(count));
  }
  return text;
}

// `avg_ts` of the one test that was asked for; 0 where there is none.
double tokens_per_second(const std::string& text) {
  const Json tests = Json::parse(text, nullptr, false);
  if (!tests.is_array() || tests.size() != 1 || !tests[0].is_object()) return 0;
  const auto rate = tests[0].find("avg_ts");
  if (rate == tests[0].end() || !rate->is_number()) return 0;
  const auto value = rate->get<double>();
  return value > 1e-3 && value < 1e9 ? value : 0;  // what a machine can do; no ratio overflows
}

}  // namespace

Result<double> run_peer(const Peer& peer, unsigned threads, std::uint32_t prompt,
                        std::uint32_t output) {
  const std::vector<std::string> words = {peer.program,
                                          "-m",
                                          peer.model,
                                          "-p",
                                          std::to_string(prompt),
                                          "-n",
                                          std::to_string(output),
                                          "-t",
                                          std::to_string(threads),
                                          "-r",
                                          "1",
                                          "-o",
                                          "json"};
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return fail(ErrorKind::kIo, std::string("no pipe to the peer: ") + std::strerror(errno));
  }
  pid_t pid = 0;
  const int error = start(words, ends[1], pid);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    return fail(ErrorKind::kIo, "--peer " + peer.program + ": " + std::strerror(error));
  }
  const std::string text = read_all(ends[0]);
  ::close(ends[0]);
  if (env::interrupted() || text.size() > kMaxOutputBytes) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    if (env::interrupted()) ::kill(pid, SIGKILL);
  }
  if (env::interrupted()) return fail(ErrorKind::kCancelled, "stopped while the peer ran");
  const double rate = tokens_per_second(text);
  if (status == 0 && rate > 0) return rate;
  const std::string how = WIFEXITED(status) ? "exit status " + std::to_string(WEXITSTATUS(status))
                                            : "signal " + std::to_string(WTERMSIG(status));
  return fail(ErrorKind::kIo,
              "the peer ended with " + how +
                  (status == 0 ? ", but without one avg_ts above 0 in its JSON" : "") +
                  "; what it says: " + command_line(words));
}

}  // namespace otr::apps
