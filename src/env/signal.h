// Ctrl-C as a question that long work asks between two steps, so that files stay whole.
#ifndef OTR_ENV_SIGNAL_H_
#define OTR_ENV_SIGNAL_H_

namespace otr::env {

// From now on the first SIGINT or SIGTERM only sets the flag, and blocking system calls return
// EINTR. The second one ends the process the usual way. Call once, at the head of main().
void install_interrupt_flag();

// From now on, until install_interrupt_flag() is called again, a SIGINT or SIGTERM ends the process
// at once with `status` and `message` on standard error: for long work that leaves nothing behind
// and cannot ask. `message` must outlive the process's work, as a literal does.
void exit_on_interrupt(int status, const char* message);

// Whether somebody asked us to stop. Any thread may ask.
[[nodiscard]] bool interrupted();

}  // namespace otr::env

#endif  // OTR_ENV_SIGNAL_H_
