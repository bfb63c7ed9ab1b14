// Asks a service one question and prints the answer while it comes, then what is known about it.
//
//   ask http://127.0.0.1:8080 policy.toml model.safetensors "What is a rollup?" receipt.json
//
// `otr up` starts such a service on this machine and says where its policy lies. Exit status: 0 for
// a verified answer, 1 for a service or an answer that was refused, 2 for the rest.
#include <otr/client.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

namespace {

std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::cerr << "ask: cannot read " << path << "\n";
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

int report(const otr::client::Error& error) {
  std::cerr << "ask: " << error.message << (error.code.empty() ? "" : " [" + error.code + "]")
            << "\n";
  return error.kind == otr::client::ErrorKind::kRefused ? 1 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: ask URL POLICY MODEL QUESTION RECEIPT\n";
    return 2;
  }
  const auto model = otr::client::Model::load(argv[3]);
  if (!model) return report(model.error());

  // Nothing is sent before the evidence of the machine behind the URL was accepted.
  const auto client =
      otr::client::Client::connect({.url = argv[1], .policy = read(argv[2])}, *model);
  if (!client) return report(client.error());

  otr::client::Question question{.max_tokens = 64};
  if (model->has_chat_template()) {
    question.messages = {{.role = "user", .content = argv[4]}};
  } else {
    question.prompt = argv[4];
  }
  // What is printed here is provisional: only the result below says that it was true.
  const auto answer = client->ask(
      question, [](const otr::client::Token& token) { std::cout << token.text << std::flush; });
  std::cout << "\n";
  if (!answer) return report(answer.error());

  std::cout << (answer->hardware ? "hardware: " : "NO HARDWARE: ") << answer->attested_as << "\n"
            << answer->token_ids.size() << " tokens, finish reason " << answer->finish_reason
            << "\n"
            << to_text(answer->ladder);
  std::ofstream file(argv[5], std::ios::binary);
  return file << answer->receipt << std::flush ? 0 : 2;
}
