// otr tokenize and otr detokenize: what a model's tokeniser makes of a text, and back.
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <vector>

#include "apps/command.h"
#include "base/hex.h"
#include "convert/source.h"
#include "env/file.h"
#include "text/document.h"
#include "text/json.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace otr::apps {
namespace {

struct TokenizeFlags {
  std::string model, file, text;
  std::vector<std::uint32_t> ids;
  bool has_text = false;
  bool ids_only = false, json = false, json_lines = false, special = false, no_bos = false;
};

// The tokeniser document in a file by itself, recognised by what the file begins with.
Result<std::string> document_of_file(const std::filesystem::path& path) {
  OTR_TRY_ASSIGN(const env::InputFile file, env::InputFile::open(path));
  std::array<std::uint8_t, 9> front = {};
  const auto size = std::min<std::uint64_t>(front.size(), file.size_bytes());
  OTR_TRY(file.read_at(0, std::span(front).first(size)));
  const std::string_view begin = as_text(std::span(front).first(size));
  if (begin.starts_with("GGUF")) {
    OTR_TRY_ASSIGN(convert::TokenizerFiles files, convert::open_tokenizer(path, std::nullopt));
    return std::move(files.document);
  }
  // A safetensors file: the size of its header, then JSON.
  if (begin.size() == 9 && begin[8] == '{' && begin[7] == 0) {
    OTR_TRY_ASSIGN(const model::Artifact artifact, load_model(path));
    return artifact.tokenizer();
  }
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(path, text::kTokenizerBounds.max_bytes));
  if (begin.find_first_not_of(" \t\r\n") != begin.npos &&
      begin[begin.find_first_not_of(" \t\r\n")] == '{') {
    return text::document_from_huggingface({.tokenizer_json = as_text(bytes)});
  }
  auto document = text::document_from_sentencepiece(bytes);
  if (document) return document;
  return fail(ErrorKind::kBadInput, path.string() +
                                        " is no tokeniser: neither a GGUF file, a model of otr, a "
                                        "tokenizer.json nor a tokenizer.model (" +
                                        document.error().message + ")");
}

Result<text::Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return fail(ErrorKind::kIo, "--model: there is no " + path.string());
  }
  if (std::filesystem::is_directory(path, ignored)) {
    OTR_TRY_ASSIGN(const convert::TokenizerFiles files,
                   convert::open_tokenizer(path, std::nullopt));
    return text::Tokenizer::parse(files.document);
  }
  OTR_TRY_ASSIGN(const std::string document, document_of_file(path));
  return text::Tokenizer::parse(document);
}

// What is to be worked on: an argument, a file, or standard input.
Result<std::string> read_input(const TokenizeFlags& flags) {
  if (flags.has_text) return flags.text;
  const std::string path = flags.file.empty() ? "/dev/stdin" : flags.file;
  OTR_TRY_ASSIGN(const Bytes bytes, env::read_file(path, text::kTokenizerBounds.max_bytes));
  return std::string(as_text(bytes));
}

// Decimal ids between spaces, commas and brackets, as tokenize prints its lists.
Result<std::vector<std::uint32_t>> read_ids(const TokenizeFlags& flags) {
  OTR_TRY_ASSIGN(const std::string input, read_input(flags));
  std::vector<std::uint32_t> ids;
  constexpr std::string_view kBetween = " \t\r\n,[]";
  for (std::size_t at = input.find_first_not_of(kBetween); at != input.npos;) {
    const std::size_t end = std::min(input.find_first_of(kBetween, at), input.size());
    std::uint32_t id = 0;
    const auto [stop, error] = std::from_chars(input.data() + at, input.data() + end, id);
    if (error != std::errc() || stop != input.data() + end) {
      return fail(ErrorKind::kUsage, "the input is no list of ids at byte " + std::to_string(at));
    }
    ids.push_back(id);
    at = input.find_first_not_of(kBetween, end);
  }
  return ids;
}

text::EncodeOptions options(const TokenizeFlags& flags) {
  return {.add_special = !flags.no_bos, .parse_special = flags.special};
}

// One token as a person reads it: line feeds and the like, and bytes that are no character, as
// escapes; control tokens by name.
std::string piece_of(const text::Tokenizer& tokenizer, std::uint32_t id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (tokenizer.is_control(id)) return tokenizer.name(id).value_or("");
  std::string piece;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto byte = static_cast<std::uint8_t>(bytes[at]);
    const std::string_view rest = bytes.substr(at);
    const std::size_t good = text::utf8_error(rest).value_or(rest.size());
    if (byte == '\n' || byte == '\r' || byte == '\t' || byte == '\\') {
      piece += {'\\', byte == '\n' ? 'n' : byte == '\r' ? 'r' : byte == '\t' ? 't' : '\\'};
      ++at;
    } else if (good == 0 || byte < 0x20 || byte == 0x7F) {
      piece += "\\x" + to_hex(as_bytes(rest.substr(0, 1))).substr(2);
      ++at;
    } else {
      const std::size_t size = text::first_code_point(rest).size_bytes;
      piece += rest.substr(0, size);
      at += size;
    }
  }
  return piece;
}

std::string to_table(const text::Tokenizer& tokenizer, const std::vector<std::uint32_t>& ids) {
  std::string table;
  for (const std::uint32_t id : ids) {
    char number[16];
    std::snprintf(number, sizeof number, "%6u", id);
    table += std::string(number) + " -> '" + piece_of(tokenizer, id) + "'\n";
  }
  return table;
}

Json to_json(const text::Tokenizer& tokenizer, const std::vector<std::uint32_t>& ids) {
  Json tokens = Json::array();
  for (const std::uint32_t id : ids) {
    tokens.push_back({{"id", id},
                      {"piece", piece_of(tokenizer, id)},
                      {"bytes", to_hex(as_bytes(tokenizer.token_bytes(id)))},
                      {"control", tokenizer.is_control(id)}});
  }
  return {{"count", ids.size()}, {"ids", ids}, {"tokens", std::move(tokens)}};
}

Result<std::string> decode(const text::Tokenizer& tokenizer, const std::vector<std::uint32_t>& ids,
                           bool special) {
  std::string bytes;
  for (const std::uint32_t id : ids) {
    if (id >= tokenizer.vocabulary_size()) {
      return fail(ErrorKind::kUsage, "there is no token " + std::to_string(id) +
                                         ": this vocabulary has " +
                                         std::to_string(tokenizer.vocabulary_size()));
    }
    bytes += tokenizer.token_bytes(id);
    if (special && tokenizer.is_control(id)) bytes += tokenizer.name(id).value_or("");
  }
  return text::utf8_lossy(bytes);
}

// Runs `line` over every line of the input, which each hold one JSON value; an error stands in the
// place of its answer.
template <class Line>
Result<int> each_line(const TokenizeFlags& flags, Line line) {
  OTR_TRY_ASSIGN(const std::string input, read_input(flags));
  std::string output;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t end = std::min(input.find('\n', at), input.size());
    Result<Json> answer =
        text::parse_json(std::string_view(input).substr(at, end - at), "the line");
    if (answer) answer = line(*answer);
    output += (answer ? *answer : Json{{"error", answer.error().message}}).dump() + "\n";
    at = end + 1;
  }
  OTR_TRY(print(output));
  return kOk;
}

Result<int> tokenize(const TokenizeFlags& flags) {
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, open_tokenizer(flags.model));
  if (flags.json_lines) {
    return each_line(flags, [&](const Json& line) -> Result<Json> {
      if (!line.is_string()) return fail(ErrorKind::kBadInput, "the line is no JSON string");
      OTR_TRY_ASSIGN(const auto ids,
                     tokenizer.encode(line.get_ref<const std::string&>(), options(flags)));
      return Json(ids);
    });
  }
  OTR_TRY_ASSIGN(const std::string input, read_input(flags));
  OTR_TRY_ASSIGN(const auto ids, tokenizer.encode(input, options(flags)));
  if (flags.json) {
    OTR_TRY(print(to_json(tokenizer, ids).dump() + "\n"));
  } else if (flags.ids_only) {
    OTR_TRY(print(Json(ids).dump() + "\n"));
  } else {
    OTR_TRY(print(to_table(tokenizer, ids)));
  }
  return kOk;
}

Result<int> detokenize(const TokenizeFlags& flags) {
  OTR_TRY_ASSIGN(const text::Tokenizer tokenizer, open_tokenizer(flags.model));
  if (flags.json_lines) {
    return each_line(flags, [&](const Json& line) -> Result<Json> {
      std::vector<std::uint32_t> ids;
      for (const Json& id : line.is_array() ? line : Json()) {
        const bool fits = id.is_number_unsigned() && id.get<std::uint64_t>() <= UINT32_MAX;
        ids.push_back(fits ? id.get<std::uint32_t>() : UINT32_MAX);
      }
      OTR_TRY_ASSIGN(std::string text, decode(tokenizer, ids, flags.special));
      return Json(std::move(text));
    });
  }
  std::vector<std::uint32_t> ids = flags.ids;
  if (ids.empty()) {
    OTR_TRY_ASSIGN(ids, read_ids(flags));
  }
  OTR_TRY_ASSIGN(const std::string text, decode(tokenizer, ids, flags.special));
  OTR_TRY(print(text + "\n"));
  return kOk;
}

// What both commands have; returns the command.
CLI::App* add_command(CLI::App& app, Run& run, const std::shared_ptr<TokenizeFlags>& flags,
                      const char* name, const char* what,
                      Result<int> (*work)(const TokenizeFlags&)) {
  CLI::App* command = app.add_subcommand(name, what);
  command
      ->add_option("-m,--model", flags->model,
                   "A GGUF file, a model of otr, a Hugging Face folder, a tokenizer.json or a "
                   "tokenizer.model")
      ->required()
      ->type_name("PATH")
      ->envname("OTR_MODEL");
  command->add_flag("--json-lines", flags->json_lines, "One JSON value in, one out, line by line");
  command->callback([flags, work, &run] {
    run = [flags, work] {
      const Result<int> code = work(*flags);
      return code ? *code : report(code.error());
    };
  });
  return command;
}

}  // namespace

void add_tokenize(CLI::App& app, Run& run) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command =
      add_command(app, run, flags, "tokenize", "Show the tokens of a text and their ids", tokenize);
  auto* text = command->add_option_function<std::string>(
      "text,-p,--prompt",
      [flags](const std::string& value) {
        flags->text = value;
        flags->has_text = true;
      },
      "The text; otherwise --file or standard input");
  text->type_name("TEXT");
  command->add_option("-f,--file", flags->file, "Read the text from this file")
      ->type_name("FILE")
      ->excludes(text);
  command->add_flag("--ids", flags->ids_only, "Print the ids as one JSON list");
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->add_flag("--special", flags->special,
                    "Recognise special tokens in the text, as a chat template writes them");
  command->add_flag("--no-bos", flags->no_bos, "Put no BOS in front");
}

void add_detokenize(CLI::App& app, Run& run) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command =
      add_command(app, run, flags, "detokenize", "Show the text of token ids", detokenize);
  command->add_option("ids", flags->ids, "The ids")->type_name("ID");
  command->add_option("-f,--file", flags->file, "With --json-lines: read the lines from this file")
      ->type_name("FILE");
  command->add_flag("--special", flags->special, "Show control tokens by name");
}

}  // namespace otr::apps
