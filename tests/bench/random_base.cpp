#include "bench/random_base.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/format.h"
#include "base/text.h"
#include "bench/random_weights.h"
#include "store/model_folder.h"
#include "store/nf4_tensor.h"
#include "store/safetensors_writer.h"

namespace graft {
namespace {

constexpr std::int64_t kWritten = std::int64_t{1} << 24;  // dense weights in memory at a time
// The header says how long a state's text is before its offset is known: it ends in spaces.
constexpr std::size_t kStateBytes = 256;

/// A tensor of the network with what stands for it in the file.
struct Stored {
  BaseTensor tensor;
  std::vector<TensorView> parts;  ///< names, types, shapes

  std::int64_t elements() const {
    std::int64_t product = 1;
    for (const std::int64_t dim : tensor.shape) product *= dim;
    return product;
  }
  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const TensorView& part : parts)
      sum += part.elements() * static_cast<std::int64_t>(traits(part.dtype).bytes);
    return sum;
  }
};

Stored stored(const BaseTensor& tensor, bool is_nf4) {
  Stored result{.tensor = tensor, .parts = {}};
  const std::string& name = tensor.name;
  if (tensor.kind != BaseTensorKind::kLinear || !is_nf4) {
    result.parts.push_back({name, DType::kBF16, tensor.shape, {}});
    return result;
  }
  const std::int64_t count = result.elements(), blocks = (count + kNf4Block - 1) / kNf4Block;
  result.parts = {
      {name, DType::kU8, {(count + 1) / 2, 1}, {}},
      {name + ".absmax", DType::kU8, {blocks}, {}},
      {name + ".nested_absmax", DType::kF32, {(blocks + kNf4NestedBlock - 1) / kNf4NestedBlock}, {}},
      {name + ".nested_quant_map", DType::kF32, {256}, {}},
      {name + ".quant_map", DType::kF32, {16}, {}},
      {name + std::string(kNf4StateSuffix), DType::kU8, {kStateBytes}, {}}};
  return result;
}

template <class Values>
std::span<const std::byte> bytes_of(const Values& values) {
  return std::as_bytes(std::span(values));
}

void write_dense(SafetensorsWriter& file, const RandomWeights& weights, const Stored& item) {
  const std::int64_t count = item.elements();
  std::vector<Bf16Bits> part;
  for (std::int64_t first = 0; first < count; first += kWritten) {
    part.assign(static_cast<std::size_t>(std::min(kWritten, count - first)), bf16_of_f32(1.0F));
    if (item.tensor.kind != BaseTensorKind::kNorm) {
      in_parallel(std::ssize(part), 1, [&](std::int64_t from, std::int64_t to) {
        weights.fill(
            item.tensor.name, first + from,
            std::span(part).subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from)));
      });
    }
    file.write(bytes_of(part));
  }
}

void write_nf4(SafetensorsWriter& file, const RandomWeights& weights, const Stored& item) {
  const Nf4Weights encoded = random_nf4(weights, item.tensor.name, item.elements());
  std::string text =
      nf4_state_text({.shape = item.tensor.shape, .is_nested = true, .offset = encoded.offset});
  text.resize(kStateBytes, ' ');
  file.write(encoded.codes);
  file.write(bytes_of(encoded.absmax_codes));
  file.write(bytes_of(encoded.nested_absmax));
  file.write(bytes_of(dynamic_map()));
  file.write(bytes_of(kNf4Values));
  file.write(bytes_of(text));
}

void write_shard(const Path& path, const RandomWeights& weights, std::span<const Stored> items) {
  std::vector<TensorView> views;
  for (const Stored& item : items) views.insert(views.end(), item.parts.begin(), item.parts.end());
  SafetensorsWriter file(path, views, {{"format", "pt"}});
  for (const Stored& item : items)
    item.parts.size() == 1 ? write_dense(file, weights, item) : write_nf4(file, weights, item);
  file.commit();
}

// Consecutive tensors of at most `shard_bytes` together, or one that is larger.
std::vector<std::span<const Stored>> cut(std::span<const Stored> items, std::int64_t shard_bytes) {
  std::vector<std::span<const Stored>> shards;
  std::size_t first = 0;
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > first && bytes + items[i].bytes() > shard_bytes) {
      shards.push_back(items.subspan(first, i - first));
      first = i, bytes = 0;
    }
    bytes += items[i].bytes();
  }
  shards.push_back(items.subspan(first));
  return shards;
}

void write_weights(const Path& folder, const RandomBase& base) {
  std::vector<Stored> items;
  for (const BaseTensor& tensor : tensors_of(base.shape)) items.push_back(stored(tensor, base.is_nf4));
  const RandomWeights weights(base.seed);
  const auto shards = cut(items, base.shard_bytes);
  if (shards.size() == 1) return write_shard(folder / "model.safetensors", weights, shards.front());
  Json index;
  std::int64_t total = 0;
  for (const Stored& item : items) total += item.bytes();
  index["metadata"] = {{"total_size", total}};
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string name = format("model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
    write_shard(folder / name, weights, shards[i]);
    for (const Stored& item : shards[i])
      for (const TensorView& part : item.parts) index["weight_map"][part.name] = name;
  }
  write_file(folder / "model.safetensors.index.json", to_text(index, 2) + "\n");
}

// The special tokens are the tokenizer's, not the shape's.
void copy_tokenizer(const Path& from, const Path& folder, Json& config) {
  const auto is_there = [&](const char* name) { return std::filesystem::exists(from / name); };
  check(is_there("tokenizer.json") || is_there("tokenizer.model"), printable(from.string()),
        ": holds neither tokenizer.json nor tokenizer.model");
  carry_tokenizer(from, folder);
  if (!is_there("config.json")) return;
  const Json theirs = read_json(from / "config.json");
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (theirs.contains(key)) config[key] = theirs[key];
  }
}

}  // namespace

void write_random_base(const RandomBase& base, const Path& out) {
  OutputFolder folder(out);
  Json config = config_of(base.shape, base.is_nf4);
  if (!base.tokenizer.empty()) copy_tokenizer(base.tokenizer, folder.temporary(), config);
  write_file(folder.temporary() / "config.json", to_text(config, 2) + "\n");
  write_weights(folder.temporary(), base);
  folder.commit();
}

}  // namespace graft
