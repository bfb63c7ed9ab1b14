// otr gateway and otr proxy: OpenAI's API in front of attested workers.
#include "service/gateway.h"

#include "apps/command.h"
#include "apps/front_flags.h"
#include "apps/ledger_follow.h"
#include "apps/serve.h"
#include "base/hex.h"
#include "service/operator_client.h"

namespace otr::apps {
namespace {

constexpr std::uint32_t kDrainMs = 5'000;

struct GatewayFlags : FrontFlags {
  std::vector<std::string> workers;
  std::string ca_file, operator_url, tee = "none";
  bool seal = false;
};

// The process that posts what this gateway answers.
struct ItsOperator {
  std::unique_ptr<net::Client> client;
  std::unique_ptr<service::OperatorClient> process;  // null: nothing is posted
  Status first;                                      // why it cannot be reached yet
};

Result<ItsOperator> find_operator(const std::string& url, const crypto::Address& self) {
  ItsOperator found;
  if (url.empty()) return found;
  OTR_TRY_ASSIGN(const service::LedgerServerAddress at, parse_server("--operator", url));
  OTR_TRY_ASSIGN(found.client, net::Client::create());
  found.process =
      std::make_unique<service::OperatorClient>(*found.client, service::OperatorAddress{at.url});
  found.first = found.process->check(self);
  if (found.first || found.first.error().kind == ErrorKind::kNetwork) return found;
  return std::unexpected(found.first.error());
}

Result<attest::Policy> load_policy(const std::string& name) {
  OTR_TRY_ASSIGN(const std::string text, read_policy(name));
  return attest::parse_policy(text);
}

std::string address_of(const std::string& what, const service::FrontServerOptions& options,
                       std::uint16_t port) {
  const bool tls = !options.listen.tls_certificate_file.empty();
  return what + (tls ? "https://" : "http://") + options.listen.address + ":" +
         std::to_string(port) + "/v1\n";
}

Result<int> gateway(const GatewayFlags& flags) {
  OTR_TRY_ASSIGN(auto server, to_options(flags, "gateway"));
  server.front.mode = flags.seal ? 1 : 0;
  OTR_TRY_ASSIGN(attest::Policy policy, load_policy(flags.policy));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(const crypto::PrivateKey operator_key, home.key("operator"));
  OTR_TRY_ASSIGN(const ItsOperator posts,
                 find_operator(flags.operator_url, operator_key.address()));
  std::function<Status()> is_ready;
  if (posts.process) {
    service::OperatorClient* const process = posts.process.get();
    server.on_receipt = [process](const std::string& text) { return process->hand_in(text); };
    // Sealed answers are handed in to nobody.
    if (!flags.seal) is_ready = [process] { return process->is_ready(); };
  }
  OTR_TRY_ASSIGN(auto models, load_served(flags));
  std::shared_ptr<node::EvidenceSource> tee;
  if (flags.tee != "none") {
    OTR_TRY_ASSIGN(tee, open_tee_of(flags.tee, flags.home));
  }
  OTR_TRY_ASSIGN(const auto running, service::Gateway::start(home, std::move(models),
                                                             {.worker_urls = flags.workers,
                                                              .worker_ca_file = flags.ca_file,
                                                              .policy = std::move(policy),
                                                              .tee = std::move(tee),
                                                              .is_ready = std::move(is_ready),
                                                              .server = server}));
  OTR_TRY(print(address_of("gateway   ", server, running->port()) + "operator  " +
                to_hex(operator_key.address()) + "   (for otr worker --operator)\n"));
  for (const auto& worker : running->workers().workers()) {
    const Status status = worker->refresh();
    if (status) continue;
    OTR_TRY(print("worker    " + worker->url() +
                  " is not used, and asked again: " + status.error().message + "\n"));
  }
  if (!posts.first) {
    OTR_TRY(print("no answer can be given before its operator's process is there: " +
                  posts.first.error().message + "\n"));
  }
  wait_for_interrupt();
  running->stop(kDrainMs);
  return kOk;
}

struct ProxyFlags : FrontFlags {
  std::string url, key_file, ca_file;
  bool open = false;
};

Result<int> proxy(const ProxyFlags& flags) {
  OTR_TRY_ASSIGN(auto server, to_options(flags, "proxy"));
  server.front.mode = flags.open ? 0 : 1;
  OTR_TRY_ASSIGN(attest::Policy policy, load_policy(flags.policy));
  OTR_TRY_ASSIGN(const node::Home home, open_home(flags.home));
  OTR_TRY_ASSIGN(auto models, load_served(flags));
  OTR_TRY_ASSIGN(std::string api_key, read_api_key(flags.key_file));
  OTR_TRY_ASSIGN(const auto client, net::Client::create({.ca_file = flags.ca_file}));
  const auto upstream = service::HttpUpstream::start(
      *client, {.url = flags.url, .api_key = std::move(api_key), .policy = std::move(policy)});
  const Status first = upstream->refresh();
  OTR_TRY_ASSIGN(const auto running,
                 service::FrontServer::start(home, std::move(models), *upstream, server));
  std::string text = address_of("proxy     ", server, running->port());
  for (const auto& session : upstream->sessions()) {
    text += "session   " + to_hex(session->id) + "\n          " + session->description + "\n";
  }
  if (!first) text += "no session is accepted yet: " + first.error().message + "\n";
  OTR_TRY(print(text));
  wait_for_interrupt();
  running->stop(kDrainMs);
  return kOk;
}

}  // namespace

void add_gateway(CLI::App& app, Run& run) {
  auto flags = std::make_shared<GatewayFlags>();
  flags->listen = "127.0.0.1:8080";
  flags->policy = "genuine";
  CLI::App* command = app.add_subcommand(
      "gateway", "OpenAI's API and the verifiable one, in front of one's workers");
  add_front_flags(*command, *flags, true);
  command->add_option("--worker", flags->workers, "Where a worker listens, http://127.0.0.1:8181")
      ->required()
      ->type_name("URL");
  command
      ->add_option("--worker-ca-file", flags->ca_file,
                   "Authorities of the workers' certificates, PEM (default: the system's)")
      ->type_name("FILE");
  command
      ->add_option("--tee", flags->tee,
                   "What attests this gateway itself, for ACI (docs/service.md): none, auto, tdx, "
                   "sev-snp or simulated")
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "auto", "tdx", "sev-snp", "simulated"}));
  command
      ->add_option("--operator", flags->operator_url,
                   "The otr operator that posts what is answered here: a client hears of an open "
                   "answer when its receipt is on disk there, and else gets an error")
      ->type_name("URL");
  command->add_flag("--seal", flags->seal,
                    "Seal prompts of clients that do not verify to the workers' enclaves");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = gateway(*flags);
      return code ? *code : report(code.error());
    };
  });
}

void add_proxy(CLI::App& app, Run& run) {
  auto flags = std::make_shared<ProxyFlags>();
  flags->listen = "127.0.0.1:8089";
  flags->policy = "genuine";
  CLI::App* command = app.add_subcommand(
      "proxy", "OpenAI's API on this machine: seals prompts to the enclave, verifies every answer");
  add_front_flags(*command, *flags, true);
  command->add_option("--url", flags->url, "The gateway, http://host:8080")
      ->required()
      ->type_name("URL")
      ->envname("OTR_URL");
  command->add_option("--api-key-file", flags->key_file, "File with our key at the gateway")
      ->type_name("FILE");
  command->add_option("--ca-file", flags->ca_file, "Authorities of the gateway's certificate, PEM")
      ->type_name("FILE");
  command->add_flag("--open", flags->open,
                    "Send prompts that the gateway can read, so that fishermen can recompute");
  command->add_flag("--buffer", flags->buffer, "Withhold all text until its answer is verified");
  command->callback([flags, &run] {
    run = [flags] {
      const Result<int> code = proxy(*flags);
      return code ? *code : report(code.error());
    };
  });
}

}  // namespace otr::apps
