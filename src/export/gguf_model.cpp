#include "export/gguf_model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/console.h"
#include "base/error.h"
#include "base/format.h"
#include "base/signals.h"
#include "base/text.h"
#include "export/weights.h"
#include "model/encode.h"
#include "model/families.h"
#include "model/gguf_hyperparameters.h"
#include "store/gguf.h"
#include "store/gguf_writer.h"
#include "text/gguf_vocabulary.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

/// Values decoded, merged and written at a time.
constexpr std::int64_t kPieceValues = std::int64_t{1} << 22;
constexpr std::uint32_t kQuantizationVersion = 2;

/// A tensor of the file and where its numbers come from: the model, or bytes that are copied.
struct Item {
  TensorView view;  ///< as it will be written
  /// None, one tensor, or the matrices of all experts, which the file has as one tensor [X,out,in].
  std::vector<const ExportTensor*> sources{};
  std::int64_t head_dim = 0;           ///< > 0: rows lie in pairs within heads of so many
  float added = 0.0F;                  ///< to every value
  const TensorView* stored = nullptr;  ///< the base's own tensor, where the base is a GGUF file

  /// Whether its numbers change on the grid of the base's own blocks.
  bool on_grid() const {
    return stored != nullptr && stored->dtype == view.dtype && has_grid(view.dtype) && view.shape.size() > 1;
  }
};

/// What `tensor` becomes in a GGUF file, alone or as the first of a block's experts.
Item item_of(const Decoder& model, const ExportTensor& tensor, const MappedName& mapped) {
  const Family& family = *find_family(model.config.architecture);
  Item item;
  item.view.name = mapped.name;
  item.view.shape = tensor.shape;
  if (mapped.of_experts) item.view.shape.insert(item.view.shape.begin(), model.config.experts.count);
  item.head_dim = mapped.order == RowOrder::kSame ? 0 : model.config.head_dim;
  const bool norm = tensor.name.ends_with("norm.weight");
  item.added = norm && family.traits.norm_weight == NormWeight::kPlusOne ? 1.0F : 0.0F;
  return item;
}

/// The items of all tensors in their order; the experts of a block, which follow each other by number, in
/// one.
std::vector<Item> items_of(const Decoder& model, const std::vector<ExportTensor>& tensors) {
  const Family& family = *find_family(model.config.architecture);
  std::vector<Item> items;
  std::map<std::string, std::size_t> stacks;
  for (const ExportTensor& tensor : tensors) {
    const auto mapped = gguf_name(family, tensor.name);
    check(mapped.has_value(), "tensor ", tensor.name, ": has no name in a GGUF file");
    const bool fresh = !mapped->of_experts || stacks.emplace(mapped->name, items.size()).second;
    if (fresh) items.push_back(item_of(model, tensor, *mapped));
    (fresh ? items.back() : items[stacks.at(mapped->name)]).sources.push_back(&tensor);
  }
  return items;
}

/// Rows first … last-1 of a source of the item as the file orders them, fp32; whole heads where they lie in
/// pairs.
at::Tensor rows_of(const Item& item, const ExportTensor& source, std::int64_t first, std::int64_t last) {
  at::Tensor rows = source.rows(first, last);
  if (item.head_dim > 0) {
    const at::Tensor order = at::empty({last - first}, at::kLong);
    for (std::int64_t row = first; row < last; ++row)
      order.mutable_data_ptr<std::int64_t>()[row - first] = unpaired_row(row, item.head_dim) - first;
    rows = rows.index_select(0, order);
  }
  return item.added != 0 ? rows + item.added : rows.contiguous();
}

/// Equal numbers; where 1 was taken off and added again, up to that rounding.
bool same_numbers(const float* left, const float* right, std::size_t count, bool rounded) {
  if (!rounded) return std::memcmp(left, right, count * sizeof(float)) == 0;
  constexpr float kRounding = 1e-6F;
  for (std::size_t i = 0; i < count; ++i)
    if (!(std::abs(left[i] - right[i]) <= kRounding * std::max(1.0F, std::abs(right[i])))) return false;
  return true;
}

/// Rows whose numbers are those of the stored tensor get its bytes back: encoding them once more would change
/// them.
void restore_unchanged(const Item& item, std::int64_t first, const at::Tensor& rows,
                       std::vector<std::byte>& bytes) {
  if (item.stored == nullptr || item.stored->dtype != item.view.dtype || rows.numel() == 0) return;
  const std::int64_t count = rows.dim() == 1 ? 1 : rows.size(0);
  const auto width = static_cast<std::size_t>(rows.numel() / count);
  const DTypeTraits& type = traits(item.view.dtype);
  const std::size_t row_bytes = width / type.values * type.bytes;
  std::vector<float> decoded(width);
  for (std::int64_t row = 0; row < count; ++row) {
    const std::size_t begin = static_cast<std::size_t>(rows.dim() == 1 ? 0 : first + row) * row_bytes;
    const auto stored = item.stored->bytes.subspan(begin, row_bytes);
    decode_to_f32(item.view.dtype, stored, decoded);
    const float* made = rows.const_data_ptr<float>() + static_cast<std::size_t>(row) * width;
    if (same_numbers(decoded.data(), made, width, item.added != 0))
      std::ranges::copy(stored, bytes.begin() + row * static_cast<std::ptrdiff_t>(row_bytes));
  }
}

/// Source number `part` of the item.
void write_source(GgufWriter& file, const Item& item, std::size_t part) {
  const ExportTensor& source = *item.sources[part];
  const std::int64_t rows = source.shape.front(), before = static_cast<std::int64_t>(part) * rows;
  const std::int64_t width = std::max<std::int64_t>(1, source.elements() / std::max<std::int64_t>(1, rows));
  const std::int64_t unit = std::max<std::int64_t>(1, item.head_dim);
  // A vector must not be cut inside a block.
  const std::int64_t step = source.shape.size() < 2
                                ? std::max<std::int64_t>(1, rows)
                                : std::max<std::int64_t>(1, kPieceValues / width / unit) * unit;
  for (std::int64_t first = 0; first < rows; first += step) {
    check_not_stopped();
    const at::Tensor piece = rows_of(item, source, first, std::min(rows, first + step));
    std::vector<std::byte> bytes = item.on_grid()
                                       ? round_rows(piece, *item.stored, before + first, source.name)
                                       : encode_rows(piece, item.view.dtype, source.name);
    restore_unchanged(item, before + first, piece, bytes);
    file.write(bytes);
  }
}

void write_item(GgufWriter& file, const Item& item) {
  if (item.sources.empty()) return file.write(item.stored->bytes);
  for (std::size_t part = 0; part < item.sources.size(); ++part) write_source(file, item, part);
}

std::string block_text(DType got, DType want, std::int64_t width) {
  const std::string name(traits(want).name);
  if (!can_encode(want)) return std::string(traits(got).name) + ", for " + name + " is only read";
  return std::string(traits(got).name) + ", for rows of " + std::to_string(width) +
         " do not divide into blocks of " + name;
}

void note_type(GgufReport& report, const Item& item, DType wanted) {
  ++report.tensors;
  if (item.view.dtype == wanted || item.view.shape.size() < 2) return;
  if (report.other_type++ == 0)
    report.example = item.view.name + ": " + block_text(item.view.dtype, wanted, item.view.shape.back());
}

/// Chooses the type of an item that comes from the model.
void choose_type(const Decoder& model, const std::optional<GgufTypes>& types, Item& item,
                 GgufReport& report) {
  const bool tied = model.config.tie_word_embeddings;
  const std::int64_t layers = model.config.num_hidden_layers;
  if (!types && item.stored != nullptr) {
    item.view.dtype = writable_type(item.stored->dtype, item.view.shape.back());
    return note_type(report, item, item.stored->dtype);
  }
  const GgufTypes& mix = types ? *types : parse_gguf_types("bf16");
  item.view.dtype = gguf_type(mix, item.view, layers, tied);
  // What the mix asks for where every row divides.
  TensorView even = item.view;
  if (!even.shape.empty()) even.shape.back() = 256;
  note_type(report, item, gguf_type(mix, even, layers, tied));
}

void write_items(const Path& out, const GgufMetadata& metadata, const std::vector<Item>& items) {
  std::vector<TensorView> views;
  std::uint64_t bytes = 0;
  for (const Item& item : items) {
    views.push_back(item.view);
    bytes += gguf_bytes(item.view, printable(out.string()));
  }
  const std::uint64_t room = free_bytes(out);
  check(bytes < room, ExitCode::kResource, out.string(), ": not enough room on the disk (got ",
        format_bytes(room), ", want ", format_bytes(bytes), ")");
  GgufWriter file(out, metadata, views);
  for (const Item& item : items) write_item(file, item);
  file.commit();
}

std::string model_name(const ModelConfig& config, const Path& base) {
  const Path folder = std::filesystem::weakly_canonical(base);
  return folder.filename().empty() ? config.model_type : folder.filename().string();
}

bool has_tokenizer(const Path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tekken.json"})
    if (std::filesystem::exists(folder / name)) return true;
  return false;
}

void set_trained_template(const ChatTemplate& chat, const Path& base, GgufMetadata& metadata) {
  metadata.set("tokenizer.chat_template", chat.source());
  const auto end = chat.end_of_turn() ? load_tokenizer(base).id(*chat.end_of_turn()) : std::nullopt;
  if (end) metadata.set("tokenizer.ggml.eot_token_id", static_cast<std::uint32_t>(*end));
}

/// The file's base model is the base of the merge, no longer what that one was made of.
void set_record(const MergeRecord* merged, const Path& base, GgufMetadata& metadata) {
  if (merged == nullptr) return;
  metadata.set("general.base_model.count", std::uint32_t{1});
  metadata.set("general.base_model.0.name", merged->base);
  for (const auto& [key, value] : merged->metadata()) metadata.set(key, value);
  if (merged->chat) set_trained_template(*merged->chat, base, metadata);
}

GgufReport write_from_folder(const Decoder& model, const Path& base, const Path& out,
                             const std::optional<GgufTypes>& types, const MergeRecord* merged) {
  GgufHyperparameters parameters = gguf_hyperparameters(model.config);
  GgufMetadata& metadata = parameters.metadata;
  metadata.set("general.name", model_name(model.config, base));
  metadata.set("general.file_type", (types ? *types : parse_gguf_types("bf16")).file_type);
  metadata.set("general.quantization_version", kQuantizationVersion);
  if (has_tokenizer(base))
    set_tokenizer_metadata(base, model.config.vocab_size, model.config.eos_token_ids, metadata);
  else
    warn(base.string() + ": has no tokenizer, so the GGUF file has none");
  set_record(merged, base, metadata);
  GgufReport report;
  const std::vector<ExportTensor> tensors = export_tensors(model);
  std::vector<TensorView> factors;
  for (const RopeFactors& rope : parameters.rope)
    factors.push_back({.name = rope.name,
                       .dtype = DType::kF32,
                       .shape = {static_cast<std::int64_t>(rope.values.size())},
                       .bytes = std::as_bytes(std::span(rope.values))});
  std::vector<Item> items;
  for (const TensorView& view : factors) items.push_back({.view = view, .stored = &view});
  for (Item& item : items_of(model, tensors)) {
    choose_type(model, types, item, report);
    items.push_back(std::move(item));
  }
  write_items(out, metadata, items);
  return report;
}

GgufReport write_from_gguf(const Decoder& model, const Path& base, const Path& out,
                           const std::optional<GgufTypes>& types, const MergeRecord* merged) {
  const GgufFile file(base);
  GgufMetadata metadata;
  for (const GgufPair& pair : file.pairs())
    if (!pair.key.starts_with("split.") &&
        !(merged != nullptr && pair.key.starts_with("general.base_model.")))
      metadata.set(pair);
  if (types) metadata.set("general.file_type", types->file_type);
  metadata.set("general.quantization_version", kQuantizationVersion);
  set_record(merged, base, metadata);
  GgufReport report;
  const std::vector<ExportTensor> tensors = export_tensors(model);
  std::map<std::string, Item, std::less<>> made;
  for (Item& item : items_of(model, tensors)) {
    std::string name = item.view.name;
    made.emplace(std::move(name), std::move(item));
  }
  std::vector<Item> items;
  for (const TensorView& stored : file.tensors()) {
    Item item{.view = stored, .stored = &stored};
    if (const auto node = made.extract(stored.name); !node.empty()) {
      item = node.mapped();
      item.stored = &stored;
      choose_type(model, types, item, report);
      if (stored.shape.size() < 2 && can_encode(stored.dtype)) item.view.dtype = stored.dtype;
    }
    items.push_back(std::move(item));
  }
  for (auto& [name, item] : made) {  // a head that is no longer the embedding
    choose_type(model, types, item, report);
    items.push_back(item);
  }
  write_items(out, metadata, items);
  return report;
}

}  // namespace

GgufReport write_gguf_model(const Decoder& model, const Path& base, const Path& out,
                            const std::optional<GgufTypes>& types, const MergeRecord* merged) {
  const at::NoGradGuard no_grad;
  const auto write = std::filesystem::is_directory(base) ? write_from_folder : write_from_gguf;
  return write(model, base, out, types, merged);
}

}  // namespace graft
