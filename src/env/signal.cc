#include "env/signal.h"

#include <signal.h>

#include <atomic>

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

}  // namespace

void install_interrupt_flag() { set_action(on_signal); }

bool interrupted() { return g_interrupted; }

}  // namespace otr::env
