#include "export/gguf_lora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "export/gguf_types.h"
#include "model/encode.h"
#include "model/families.h"
#include "store/gguf.h"
#include "store/gguf_writer.h"

namespace graft {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens";

/// Largest relative difference that rounding to a type can make of B A.
double tolerance_of(DType type) { return type == DType::kF32 ? 1e-5 : type == DType::kF16 ? 5e-3 : 3e-2; }

/// Shapes [out,in] of the linears that an adapter can stand on, by module.
using Shapes = std::map<std::string, std::pair<std::int64_t, std::int64_t>>;

Shapes shapes_of(const Decoder& model) {
  Shapes shapes;
  model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears)
      shapes[linear.name] = {linear.weight->out_features(), linear.weight->in_features()};
  });
  const std::pair vocabulary{model.config.vocab_size, model.config.hidden_size};
  shapes[kEmbedding] = vocabulary;
  if (!model.config.tie_word_embeddings) shapes[model.head.name] = vocabulary;
  return shapes;
}

void check_fits(const FactorPair& pair, const Shapes& shapes, const AdapterFolder& adapter,
                const Decoder& model) {
  const std::string where = printable(adapter.file->path().string()) + ": " + printable(pair.module);
  const auto found = shapes.find(pair.module);
  if (found == shapes.end()) {
    check(pair.module != model.head.name, where,
          ": the model's head is its embedding, and llama.cpp cannot adapt one of the two",
          Hint{"`graft merge --format gguf` writes it into the model"});
    std::vector<std::string> names;
    for (const auto& [name, shape] : shapes) names.push_back(name);
    const auto near = nearest(pair.module, names);
    fail(where, ": the model has no such module", Hint{near ? "the nearest is " + *near : ""});
  }
  const auto [out, in] = found->second;
  const std::int64_t wanted_in = pair.of_embedding ? out : in, wanted_out = pair.of_embedding ? in : out;
  check(pair.a->shape[1] == wanted_in && pair.b->shape[0] == wanted_out, where, ": A is ",
        pair.a->shape_text(), " and B ", pair.b->shape_text(), ", want [r, ", wanted_in, "] and [",
        wanted_out, ", r]");
}

/// The commonest scale times rank: then most B stay as they are.
double common_alpha(const std::vector<FactorPair>& pairs) {
  std::map<double, std::int64_t> counts;
  for (const FactorPair& pair : pairs)
    ++counts[static_cast<double>(static_cast<float>(pair.scale * static_cast<double>(pair.rank())))];
  const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  // 0 would mean 1 to llama.cpp.
  check(most->first != 0.0, "the adapter's scale is 0: it changes nothing");
  return most->first;
}

/// One module's pair as the file has it.
struct Placed {
  const FactorPair* pair;
  TensorView a, b;            ///< names, types, shapes
  std::int64_t head_dim = 0;  ///< > 0: rows of B lie in pairs within heads of so many
  double factor = 1.0;        ///< of B
};

Placed placed(const FactorPair& pair, const Decoder& model, DType type, double alpha) {
  const auto name = gguf_name(*find_family(model.config.architecture), pair.module + ".weight");
  check(name.has_value(), printable(pair.module), ": has no name in a GGUF file");
  const double own = pair.scale * static_cast<double>(pair.rank());
  Placed place{.pair = &pair,
               .a = {.name = name->name + ".lora_a", .dtype = type, .shape = pair.a->shape, .bytes = {}},
               .b = {.name = name->name + ".lora_b", .dtype = type, .shape = pair.b->shape, .bytes = {}},
               .head_dim = name->order == RowOrder::kSame ? 0 : model.config.head_dim,
               .factor = static_cast<double>(static_cast<float>(own)) == alpha ? 1.0 : own / alpha};
  if (pair.of_embedding) std::swap(place.a.shape[0], place.a.shape[1]);
  for (TensorView* view : {&place.a, &place.b}) view->dtype = writable_type(type, view->shape.back());
  return place;
}

/// Rows in the order of the file (or, `back`, out of it).
at::Tensor reordered(const at::Tensor& rows, std::int64_t head_dim, bool back) {
  if (head_dim == 0) return rows;
  const at::Tensor order = at::empty({rows.size(0)}, at::kLong);
  for (std::int64_t row = 0; row < rows.size(0); ++row)
    order.mutable_data_ptr<std::int64_t>()[row] =
        back ? paired_row(row, head_dim) : unpaired_row(row, head_dim);
  return rows.index_select(0, order);
}

at::Tensor values_of(const TensorView& view) {
  at::Tensor values = at::empty(view.shape, at::kFloat);
  decode_to_f32(view.dtype, view.bytes,
                {values.mutable_data_ptr<float>(), static_cast<std::size_t>(values.numel())});
  return values;
}

/// ||B' A' - B A|| / ||B A|| without building either product: all four factors side by side have a small Gram
/// matrix.
double product_difference(const at::Tensor& a, const at::Tensor& b, const at::Tensor& other_a,
                          const at::Tensor& other_b) {
  const auto squared = [](const at::Tensor& wide, const at::Tensor& tall) {
    return (at::mm(wide, wide.t()) * at::mm(tall.t(), tall)).sum().item<double>();
  };
  const at::Tensor first = a.to(at::kDouble), second = b.to(at::kDouble);
  const double off =
      squared(at::cat({first, other_a.to(at::kDouble)}), at::cat({second, -other_b.to(at::kDouble)}, 1));
  const double size = squared(first, second);
  return size > 0 ? std::sqrt(std::max(0.0, off) / size) : std::sqrt(std::max(0.0, off));
}

double read_back(const Path& out, const std::vector<Placed>& places, double alpha, const Path& source) {
  const GgufFile file(out);
  double largest = 0.0;
  for (const Placed& place : places) {
    const TensorView *a = file.find(place.a.name), *b = file.find(place.b.name);
    check(a != nullptr && b != nullptr, ExitCode::kInternal, out.string(), ": lacks ", place.a.name);
    const double scale = alpha / static_cast<double>(place.pair->rank());
    at::Tensor written_a = values_of(*a);
    if (place.pair->of_embedding) written_a = written_a.t();
    largest = std::max(largest,
                       product_difference(read_factor(*place.pair->a, source),
                                          read_factor(*place.pair->b, source) * place.pair->scale, written_a,
                                          reordered(values_of(*b), place.head_dim, true) * scale));
  }
  return largest;
}

GgufMetadata metadata_of(const Decoder& model, const AdapterFolder& adapter, double alpha) {
  GgufMetadata metadata;
  metadata.set("general.architecture", std::string(find_family(model.config.architecture)->gguf));
  metadata.set("general.type", "adapter");
  metadata.set("adapter.type", "lora");
  metadata.set("adapter.lora.alpha", static_cast<float>(alpha));
  metadata.set("general.name", std::filesystem::weakly_canonical(adapter.path).filename().string());
  if (const auto base = adapter.view().find("base_model_name_or_path"); base && base->is_string()) {
    metadata.set("general.base_model.count", std::uint32_t{1});
    metadata.set("general.base_model.0.name", Path(base->as_string()).filename().string());
  }
  return metadata;
}

}  // namespace

DType parse_lora_type(const std::string& text) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0})
    if (text == traits(type).name) return type;
  fail(ExitCode::kUsage, "--type: got ", printable(text), ", want f32, f16, bf16 or q8_0");
}

LoraExport write_gguf_lora(const Decoder& model, const AdapterFolder& adapter, const Path& out, DType type) {
  check_plain(adapter, "a GGUF LoRA");
  const Shapes shapes = shapes_of(model);
  for (const FactorPair& pair : adapter.pairs) check_fits(pair, shapes, adapter, model);
  const double alpha = common_alpha(adapter.pairs);
  std::vector<Placed> places;
  std::vector<TensorView> views;
  for (const FactorPair& pair : adapter.pairs) {
    const Placed& place = places.emplace_back(placed(pair, model, type, alpha));
    views.push_back(place.a);
    views.push_back(place.b);
  }
  const Path source = adapter.file->path();
  bool all_zero = true;
  GgufWriter file(out, metadata_of(model, adapter, alpha), views);
  for (const Placed& place : places) {
    const at::Tensor a = read_factor(*place.pair->a, source), b = read_factor(*place.pair->b, source);
    all_zero = all_zero && !at::any(b.ne(0)).item<bool>();
    file.write(encode_rows(place.pair->of_embedding ? a.t() : a, place.a.dtype, place.a.name));
    const at::Tensor scaled = place.factor == 1.0 ? b : b * place.factor;
    file.write(encode_rows(reordered(scaled, place.head_dim, false), place.b.dtype, place.b.name));
  }
  check(!all_zero, printable(source.string()), ": every B is zero, so this adapter changes nothing");
  file.commit();
  const LoraExport report{
      .modules = std::ssize(places), .alpha = alpha, .difference = read_back(out, places, alpha, source)};
  if (!(report.difference <= tolerance_of(type))) {
    graft::remove_all(out);
    fail(ExitCode::kInternal, out.string(), ": differs from the adapter by ", report.difference,
         ", want at most ", tolerance_of(type));
  }
  return report;
}

}  // namespace graft
