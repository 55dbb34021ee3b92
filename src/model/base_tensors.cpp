#include "model/base_tensors.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "model/decode.h"
#include "ops/int8_weight.h"
#include "ops/quantized_weight.h"
#include "store/safetensors.h"

namespace graft {
namespace {

/// Buffers that old transformers versions saved beside the weights; Hugging Face ignores them too.
bool is_buffer(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

/// Tensors of a GGUF file that config_of_gguf reads.
bool is_rope_factors(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

bool in_place(const TensorView& view, at::ScalarType dtype) {
  const DType stored = dtype == at::kBFloat16 ? DType::kBF16 : DType::kF32;
  const auto address = reinterpret_cast<std::uintptr_t>(view.bytes.data());
  return view.dtype == stored && address % traits(stored).bytes == 0;
}

std::string text_of(at::IntArrayRef shape) {
  std::string text = "[";
  for (const std::int64_t dim : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dim);
  return text + "]";
}

}  // namespace

BaseTensors::BaseTensors(const Path& base, const ModelConfig& config, BaseRead read)
    : config_(config), base_(base), read_(read) {
  if (std::filesystem::is_directory(base)) {
    open_folder(base);
  } else {
    open_gguf(base);
  }
}

void BaseTensors::open_folder(const Path& folder) {
  auto files = std::make_shared<const SafetensorsFolder>(folder);
  auto nf4 = std::make_shared<const Nf4Tensors>(read_nf4_tensors(*files));
  for (const std::string& name : files->names()) {
    if (!is_buffer(name) && !nf4->parts.contains(name))
      entries_.emplace(name, Entry{.view = *files->find(name), .file = files->file_of(name)});
  }
  for (const auto& [name, tensor] : nf4->weights) {
    const TensorView view{
        .name = name, .dtype = tensor.state.dtype, .shape = tensor.state.shape, .bytes = {}};
    entries_.emplace(name, Entry{.view = view, .file = files->file_of(name), .nf4 = &tensor});
  }
  nf4_ = std::move(nf4);
  files_ = std::move(files);
}

void BaseTensors::open_gguf(const Path& path) {
  auto file = std::make_shared<const GgufFile>(path);
  const Family* family = find_family(config_.architecture);
  for (const TensorView& view : file->tensors()) {
    if (is_rope_factors(view.name)) continue;
    const auto name = hugging_face_name(*family, view.name);
    if (name && name->of_experts) {
      add_experts(view, *name, path);
      continue;
    }
    // A tensor without a counterpart keeps its own name and is found left over.
    Entry entry{.view = view, .file = path, .order = name ? name->order : RowOrder::kSame};
    entries_.emplace(name ? name->name : view.name, std::move(entry));
  }
  files_ = std::move(file);
}

void BaseTensors::add_experts(const TensorView& stack, const MappedName& name, const Path& path) {
  const std::int64_t count = config_.experts.count;
  check(stack.shape.size() == 3 && stack.shape[0] == count, path.string(), ": tensor ", stack.name,
        ": does not fit the model's configuration (got shape ", stack.shape_text(), ", want ", count,
        " matrices)");
  const std::size_t bytes = stack.bytes.size() / static_cast<std::size_t>(count);
  for (std::int64_t e = 0; e < count; ++e) {
    const TensorView one{.name = stack.name,
                         .dtype = stack.dtype,
                         .shape = {stack.shape[1], stack.shape[2]},
                         .bytes = stack.bytes.subspan(static_cast<std::size_t>(e) * bytes, bytes)};
    entries_.emplace(numbered(name.name, e), Entry{.view = one, .file = path});
  }
}

bool BaseTensors::same(const std::string& left, const std::string& right) const {
  const TensorView& a = entries_.at(left).view;
  const TensorView& b = entries_.at(right).view;
  if (a.dtype != b.dtype || a.shape != b.shape) return false;
  return read_ == BaseRead::kHeaders ||
         std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end());
}

BaseTensors::Entry& BaseTensors::find(const std::string& name, at::IntArrayRef shape) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) fail_missing(name);
  Entry& entry = found->second;
  const std::string where = entry.file.string() + ": tensor " + entry.view.name;
  check(shape.equals(entry.view.shape), where, ": does not fit the model's configuration (got shape ",
        entry.view.shape_text(), ", want ", text_of(shape), ")");
  check(holds_floats(entry.view.dtype), where, ": holds no floating-point numbers (got type ",
        traits(entry.view.dtype).name, ")");
  entry.taken = true;
  return entry;
}

at::Tensor BaseTensors::take(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  const Entry& entry = find(name, shape);
  const auto options = at::TensorOptions().dtype(dtype);
  if (read_ == BaseRead::kHeaders) return at::empty(shape, options.device(at::kMeta));
  if (entry.order == RowOrder::kSame && entry.nf4 == nullptr && in_place(entry.view, dtype)) {
    auto* data = const_cast<std::byte*>(entry.view.bytes.data());
    return at::from_blob(
        data, shape, [files = files_](void*) {}, options);
  }
  at::Tensor target = at::empty(shape, options);
  if (entry.nf4 == nullptr) {
    jobs_.push_back({&entry, target});
  } else {
    at::Tensor decoded = at::empty(shape, at::kFloat);
    decode_nf4(entry.nf4->view(), 0,
               {decoded.mutable_data_ptr<float>(), static_cast<std::size_t>(decoded.numel())});
    target.copy_(decoded);
  }
  return target;
}

TensorSizes BaseTensors::sizes(const std::string& name) const {
  const Entry& entry = entries_.at(name);
  return {.values = entry.view.elements(),
          .file_bytes = entry.nf4 == nullptr ? entry.view.bytes.size() : entry.nf4->codes.size()};
}

StoredMatrix BaseTensors::stored(const Entry& entry) const {
  return {.view = &entry.view, .head_dim = entry.order == RowOrder::kSame ? 0 : config_.head_dim};
}

FrozenWeightPtr BaseTensors::take_matrix(const std::string& name, std::int64_t out, std::int64_t in,
                                         at::ScalarType dtype, Quantization kind) {
  if (read_ == BaseRead::kHeaders) return dense_weight(take(name, {out, in}, dtype));
  const Entry& entry = find(name, {out, in});
  const bool in_blocks = traits(entry.view.dtype).values > 1;
  const bool as_stored = kind == Quantization::kKeep || read_ == BaseRead::kInFiles;
  if (entry.nf4 != nullptr && (kind == Quantization::kNf4 || as_stored))
    return nf4_weight(out, in, entry.nf4->view(),
                      std::make_shared<std::pair<decltype(files_), decltype(nf4_)>>(files_, nf4_), dtype);
  if (in_blocks &&
      (kind == Quantization::kKeep || (kind == Quantization::kQ8_0 && entry.view.dtype == DType::kQ8_0)))
    return keep_blocks(stored(entry), files_, dtype);
  const bool usable = entry.order == RowOrder::kSame && in_place(entry.view, dtype);
  if (read_ == BaseRead::kInFiles && !usable) return keep_blocks(stored(entry), files_, dtype);
  if (kind == Quantization::kNone || as_stored) return dense_weight(take(name, {out, in}, dtype));
  check(entry.nf4 == nullptr, entry.file.string(), ": tensor ", entry.view.name,
        ": is stored in NF4 and cannot become q8_0", Hint{"set model.quantization to nf4 or none"});
  const auto format = kind == Quantization::kNf4 ? WeightFormat::kNf4 : WeightFormat::kQ8_0;
  const std::int64_t block = block_of(format);
  check(in % block == 0, entry.file.string(), ": tensor ", entry.view.name, ": rows of ", in,
        " weights do not divide into blocks of ", block, Hint{"set model.quantization to none"});
  return quantize(stored(entry), format, dtype);
}

FrozenWeightPtr BaseTensors::take_int8(const std::string& name, std::int64_t out, std::int64_t in) {
  if (read_ == BaseRead::kHeaders) return take_matrix(name, out, in, at::kBFloat16, Quantization::kNone);
  const Entry& entry = find(name, {out, in});
  if (entry.nf4 != nullptr) return int8_weight(dense_weight(take(name, {out, in}, at::kBFloat16)));
  return compute_int8(stored(entry), files_);
}

bool BaseTensors::any_quantized() const {
  return std::any_of(entries_.begin(), entries_.end(), [](const auto& entry) {
    return entry.second.nf4 != nullptr || traits(entry.second.view.dtype).values > 1;
  });
}

void BaseTensors::skip(const std::string& name) { entries_.at(name).taken = true; }

void BaseTensors::finish() {
  check_nothing_left();
  std::vector<DecodeJob> jobs;
  jobs.reserve(jobs_.size());
  for (const Job& job : jobs_) {
    const bool paired = job.entry->order != RowOrder::kSame;
    jobs.push_back(
        {.view = &job.entry->view, .head_dim = paired ? config_.head_dim : 0, .target = job.target});
  }
  decode_all(jobs);
  for (const Job& job : jobs_) release_mapped(job.entry->view.bytes);
  jobs_.clear();
}

std::vector<std::string> BaseTensors::left_over() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (!entry.taken) names.push_back(entry.view.name);
  }
  return names;
}

void BaseTensors::fail_missing(const std::string& name) const {
  std::string file_name = name;
  if (!std::filesystem::is_directory(base_)) {
    if (const auto mapped = gguf_name(*find_family(config_.architecture), name)) file_name = mapped->name;
  }
  const auto near = nearest(file_name, left_over());
  fail(
      base_.string(), ": tensor ", file_name, " is missing",
      Hint{near
               ? "the base holds " + printable(*near) + ", which is not used yet"
               : "the folder or file is incomplete, or of another architecture than its configuration says"});
}

void BaseTensors::check_nothing_left() const {
  const std::vector<std::string> left = left_over();
  if (left.empty()) return;
  std::vector<std::string> known;
  for (const auto& [name, entry] : entries_) {
    if (entry.taken) known.push_back(entry.view.name);
  }
  const auto near = nearest(left.front(), known);
  fail(
      base_.string(), ": tensor ", printable(left.front()), " has no place in a ", config_.architecture,
      " of this configuration",
      left.size() > 1 ? " (and " + std::to_string(left.size() - 1) + " more)" : std::string(),
      Hint{near ? "the nearest name that it uses is " + *near : "does config.json belong to these weights?"});
}

}  // namespace graft
