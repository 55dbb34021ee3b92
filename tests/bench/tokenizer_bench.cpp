// tokenizer_bench text BYTES OUT: writes the mixed text, a JSON line {"part", "text"} per document.
// tokenizer_bench encode BASE TEXT [--dump FILE]: encodes the documents of such a file with the tokenizer of
// BASE (a folder or a GGUF file) on one thread, without special tokens, and prints a JSON line: tokens and
// SHA-256 of all ids and offsets ("id begin end\n") per part, bytes, and the shortest of three times. --dump
// writes the ids and offsets, a JSON line a document.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>

#include "base/error.h"
#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "text/mixed_text.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

constexpr int kRuns = 3;

void write_text(std::size_t bytes, const Path& out) {
  std::string lines;
  for (const TextPart& part : mixed_text(bytes))
    for (const std::string& document : part.documents)
      lines += to_text(Json{{"part", part.name}, {"text", document}}) + "\n";
  write_file(out, lines);
}

struct Document {
  std::string part, text;
  Encoding encoding;
};

std::vector<Document> read_documents(const Path& file) {
  std::vector<Document> documents;
  for (const std::string& line : split(read_file(file, std::uint64_t{1} << 30), '\n')) {
    if (line.empty()) continue;
    const Json row = parse_json(line, file.string());
    documents.push_back({row["part"].get<std::string>(), row["text"].get<std::string>(), {}});
  }
  return documents;
}

std::string lines_of(const Encoding& encoding) {
  std::string lines;
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    lines += std::to_string(encoding.ids[i]) + " " + std::to_string(encoding.offsets[i].begin) + " " +
             std::to_string(encoding.offsets[i].end) + "\n";
  }
  return lines;
}

double encode_all(const Tokenizer& tokenizer, std::vector<Document>& documents) {
  const auto start = std::chrono::steady_clock::now();
  for (Document& document : documents)
    document.encoding = tokenizer.encode(document.text, SpecialTokens::kNone);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void dump(const std::vector<Document>& documents, const Path& file) {
  std::string lines;
  for (const Document& document : documents) {
    Json offsets = Json::array();
    for (const ByteSpan& span : document.encoding.offsets) offsets.push_back({span.begin, span.end});
    lines += to_text(Json{{"ids", document.encoding.ids}, {"offsets", std::move(offsets)}}) + "\n";
  }
  write_file(file, lines);
}

void encode(const Path& base, const Path& text, const Path& dump_file) {
  const auto start = std::chrono::steady_clock::now();
  const Tokenizer tokenizer = load_tokenizer(base);
  const double load = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::vector<Document> documents = read_documents(text);
  double seconds = encode_all(tokenizer, documents);
  for (int i = 1; i < kRuns; ++i) seconds = std::min(seconds, encode_all(tokenizer, documents));
  std::map<std::string, std::pair<Sha256, std::size_t>> parts;
  std::size_t bytes = 0;
  for (const Document& document : documents) {
    auto& [hash, tokens] = parts[document.part];
    hash.update(lines_of(document.encoding));
    tokens += document.encoding.ids.size();
    bytes += document.text.size();
  }
  Json result = {{"bytes", bytes}, {"seconds", seconds}, {"load_seconds", load}, {"parts", Json::object()}};
  for (auto& [name, part] : parts)
    result["parts"][name] = {{"tokens", part.second}, {"sha256", part.first.hex()}};
  std::cout << to_text(result) << "\n";
  if (!dump_file.empty()) dump(documents, dump_file);
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "text") {
    write_text(std::stoul(words[1]), words[2]);
  } else if (words.size() == 3 && words[0] == "encode") {
    encode(words[1], words[2], {});
  } else if (words.size() == 5 && words[0] == "encode" && words[3] == "--dump") {
    encode(words[1], words[2], words[4]);
  } else {
    std::cerr << "usage: tokenizer_bench text BYTES OUT | encode BASE TEXT [--dump FILE]\n";
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace graft

int main(int count, char** words) try {
  return graft::run({words + 1, words + count});
} catch (const graft::Error& error) {
  std::cerr << "error: " << error.what() << "\n";
  return static_cast<int>(error.code());
}
