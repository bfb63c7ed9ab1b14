// otr: one program, many commands (docs: README; each command has --help).
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <system_error>

#include "apps/bench.h"
#include "apps/command.h"
#include "base/hex.h"
#include "env/signal.h"
#include "machine/tables.h"

namespace {

constexpr const char* kFooter =
    R"(Exit codes: 0 verified or done; 1 a check failed; 2 usage, file or configuration;
3 inconclusive, not recomputed or stopped; 4 network; 5 proven false on a ledger; 70 a bug.)";

bool has_command(const CLI::App& app, const std::string& name) {
  const auto all = app.get_subcommands([](const CLI::App*) { return true; });
  return std::ranges::any_of(all, [&](const CLI::App* one) { return one->get_name() == name; });
}

int run_command(int argc, char** argv) {
  CLI::App app(
      "OTR: buy a model's answer on somebody else's machine, and know which model gave it.", "otr");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version",
                       "otr " OTR_VERSION ", spec " + otr::to_hex(otr::machine::kSpecHash));
  otr::apps::Run run;
  otr::apps::add_ask(app, run);
  otr::apps::add_verify(app, run);
  otr::apps::add_prove(app, run);
  otr::apps::add_demo(app, run);
  otr::apps::add_up(app, run);
  otr::apps::add_worker(app, run);
  otr::apps::add_gateway(app, run);
  otr::apps::add_proxy(app, run);
  otr::apps::add_model(app, run);
  otr::apps::add_model_random(app, run);
  otr::apps::add_tokenize(app, run);
  otr::apps::add_detokenize(app, run);
  otr::apps::add_attack(app, run);
  otr::apps::add_sim(app, run);
  otr::apps::add_attest(app, run);
  otr::apps::add_ledger(app, run);
  otr::apps::add_operator(app, run);
  otr::apps::add_fisherman(app, run);
  otr::apps::add_checker(app, run);
  otr::apps::add_bench(app, run);
  if (argc > 1 && argv[1][0] != '-' && !has_command(app, argv[1])) {
    const std::string name = argv[1];
    const bool of_model = has_command(*app.get_subcommand("model"), name);
    std::fprintf(stderr, "otr: there is no command '%s'%s; otr --help lists them\n", name.c_str(),
                 of_model                          ? (": it is otr model " + name).c_str()
                 : name == "run" || name == "chat" ? ": a question is otr ask"
                 : name == "convert"               ? ": it is otr model import"
                                                   : "");
    return otr::apps::kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? otr::apps::kOk : otr::apps::kUsage;
  }
  return run();
}

}  // namespace

int main(int argc, char** argv) {
  otr::env::install_interrupt_flag();
  // A reader that goes away (otr ask ... | head) is a failed write, and no reason to lose a
  // receipt.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is a failed write too
  try {
    return run_command(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs(
        "otr: out of memory; no file was changed. Use a smaller model, fewer --threads, or a "
        "machine with more memory.\n",
        stderr);
    return otr::apps::kUsage;
  } catch (const std::system_error& error) {
    std::fprintf(stderr,
                 "otr: the system refused a thread or other resource (%s); no file was changed. "
                 "Use fewer --threads, or raise the limits of this shell (ulimit -a).\n",
                 error.code().message().c_str());
    return otr::apps::kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "otr: bug: %s\n", error.what());
    return 70;
  }
}
