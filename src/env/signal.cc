#include "env/signal.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace otr::env {
namespace {

std::atomic<bool> g_interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");

void set_action(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  for (const int signal_number : {SIGINT, SIGTERM}) sigaction(signal_number, &action, nullptr);
}

void on_signal(int) {
  g_interrupted = true;
  set_action(SIG_DFL);
}

int g_status = 0;
const char* g_message = "";
std::size_t g_message_bytes = 0;

// Only what a signal handler may call.
void exit_at_once(int) {
  // The process ends either way, and there is nobody to tell that this was not printed.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, g_message, g_message_bytes);
  ::_exit(g_status);
}

}  // namespace

void exit_on_interrupt(int status, const char* message) {
  g_status = status;
  g_message = message;
  g_message_bytes = std::strlen(message);
  set_action(exit_at_once);
}

void install_interrupt_flag() { set_action(on_signal); }

bool interrupted() { return g_interrupted; }

}  // namespace otr::env
