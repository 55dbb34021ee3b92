// make_random_base --shape NAME --out FOLDER [--type bf16|nf4] [--layers N] [--seed S] [--tokenizer FOLDER]
//                  [--shard-bytes N]
// Writes a random checkpoint of the sizes of a published model, so that size can be tried without downloads:
// a LlamaForCausalLM (no biases, no norms of heads, plain rotation), norms 1, other weights normal with
// standard deviation 0.02, in bf16 or with its linears in NF4 as bitsandbytes serialises them. --tokenizer
// copies the tokenizer, and the ids of its special tokens, from a model's folder. No more than one tensor is
// in memory.

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "bench/random_base.h"

namespace graft {
namespace {

struct Options {
  RandomBase base;
  Path out;
};

std::int64_t positive(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const std::int64_t value = std::strtoll(text.c_str(), &end, 10);
  check(!text.empty() && *end == '\0' && value > 0, ExitCode::kUsage, flag, ": got `", text,
        "`, want a positive integer");
  return value;
}

BaseShape shape_named(const std::string& name) {
  std::string known;
  for (const BaseShape& shape : base_shapes()) {
    if (shape.name == name) return shape;
    known += (known.empty() ? "" : ", ") + std::string(shape.name);
  }
  fail(ExitCode::kUsage, "--shape: got `", printable(name), "`, want one of ", known);
}

Options parse(int argc, char** argv) {
  std::map<std::string, std::string> flags = {{"--type", "bf16"}, {"--seed", "1"}};
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    const bool is_known = flag == "--shape" || flag == "--out" || flag == "--type" || flag == "--layers" ||
                          flag == "--seed" || flag == "--tokenizer" || flag == "--shard-bytes";
    check(is_known && i + 1 < argc, ExitCode::kUsage, "got `", printable(flag),
          "`, want --shape NAME --out FOLDER [--type bf16|nf4] [--layers N] [--seed S] [--tokenizer FOLDER] "
          "[--shard-bytes N]");
    flags[flag] = argv[i + 1];
  }
  Options options{.base = {.shape = shape_named(flags["--shape"]), .tokenizer = flags["--tokenizer"]},
                  .out = flags["--out"]};
  check(!options.out.empty(), ExitCode::kUsage, "--out: missing");
  const std::string& type = flags["--type"];
  check(type == "bf16" || type == "nf4", ExitCode::kUsage, "--type: got `", printable(type),
        "`, want bf16 or nf4");
  options.base.is_nf4 = type == "nf4";
  options.base.seed = static_cast<std::uint64_t>(positive("--seed", flags["--seed"]));
  if (flags.contains("--layers")) options.base.shape.layers = positive("--layers", flags["--layers"]);
  if (flags.contains("--shard-bytes"))
    options.base.shard_bytes = positive("--shard-bytes", flags["--shard-bytes"]);
  return options;
}

}  // namespace
}  // namespace graft

int main(int argc, char** argv) {
  try {
    const graft::Options options = graft::parse(argc, argv);
    graft::write_random_base(options.base, options.out);
    return 0;
  } catch (const graft::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    if (!error.hint().empty()) std::fprintf(stderr, "hint: %s\n", error.hint().c_str());
    return static_cast<int>(error.code());
  }
}
