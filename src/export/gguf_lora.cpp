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

/// Pairs that the file has as one: of one module, or of all adapted experts of a block side by side.
struct Group {
  std::string name;  ///< of the base's tensor: "blk.0.ffn_up_exps.weight"
  RowOrder order = RowOrder::kSame;
  std::vector<const FactorPair*>
      pairs;  ///< one, or as many as the model has experts: null where none is adapted
  bool of_experts = false;
  std::int64_t rank = 0;  ///< the largest of a pair
};

/// The number of an expert in the path of one of its linears: the last there is.
std::size_t expert_of(std::string_view module) {
  const std::size_t end = module.find_last_of("0123456789", module.rfind('.')) + 1;
  const std::size_t begin = module.rfind('.', end - 1) + 1;
  return static_cast<std::size_t>(std::stoull(std::string(module.substr(begin, end - begin))));
}

std::vector<Group> groups_of(const std::vector<FactorPair>& pairs, const Decoder& model) {
  const Family& family = *find_family(model.config.architecture);
  std::vector<Group> groups;
  std::map<std::string, std::size_t> places;
  for (const FactorPair& pair : pairs) {
    const auto name = gguf_name(family, pair.module + ".weight");
    check(name.has_value(), printable(pair.module), ": has no name in a GGUF file");
    const auto [place, fresh] = places.emplace(name->name, groups.size());
    if (fresh) {
      groups.push_back(
          {.name = name->name, .order = name->order, .pairs = {}, .of_experts = name->of_experts});
      groups.back().pairs.resize(name->of_experts ? static_cast<std::size_t>(model.config.experts.count) : 1);
    }
    Group& group = groups[place->second];
    group.pairs.at(name->of_experts ? expert_of(pair.module) : 0) = &pair;
    group.rank = std::max(group.rank, pair.rank());
  }
  return groups;
}

/// What llama.cpp's alpha must be for B to stay as it is, where the pair has the rank `rank` in the file.
double alpha_of(const FactorPair& pair, std::int64_t rank) {
  return static_cast<double>(static_cast<float>(pair.scale * static_cast<double>(rank)));
}

/// The commonest: then most B stay as they are.
double common_alpha(const std::vector<Group>& groups) {
  std::map<double, std::int64_t> counts;
  for (const Group& group : groups)
    for (const FactorPair* pair : group.pairs)
      if (pair != nullptr) ++counts[alpha_of(*pair, group.rank)];
  const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  // 0 would mean 1 to llama.cpp.
  check(most->first != 0.0, "the adapter's scale is 0: it changes nothing");
  return most->first;
}

/// One group as the file has it.
struct Placed {
  Group group;
  TensorView a, b;            ///< names, types, shapes
  std::int64_t head_dim = 0;  ///< > 0: rows of B lie in pairs within heads of so many

  bool of_embedding() const { return !group.of_experts && group.pairs.front()->of_embedding; }
};

Placed placed(Group group, const Decoder& model, DType type) {
  const FactorPair& some =
      **std::ranges::find_if(group.pairs, [](const auto* pair) { return pair != nullptr; });
  Placed place{.group = std::move(group), .a = {}, .b = {}, .head_dim = 0};
  place.head_dim = place.group.order == RowOrder::kSame ? 0 : model.config.head_dim;
  place.a.name = place.group.name + ".lora_a";
  place.b.name = place.group.name + ".lora_b";
  place.a.shape = {place.group.rank, some.a->shape[1]};
  place.b.shape = {some.b->shape[0], place.group.rank};
  if (place.of_embedding()) std::swap(place.a.shape[0], place.a.shape[1]);
  for (TensorView* view : {&place.a, &place.b}) {
    view->dtype = writable_type(type, view->shape.back());
    if (place.group.of_experts) view->shape.insert(view->shape.begin(), std::ssize(place.group.pairs));
  }
  return place;
}

/// `values` with zeros behind it along `dim`, so that it has `size` there.
at::Tensor padded(const at::Tensor& values, std::int64_t dim, std::int64_t size) {
  if (values.size(dim) == size) return values;
  std::vector<std::int64_t> shape = values.sizes().vec();
  shape[static_cast<std::size_t>(dim)] = size - values.size(dim);
  return at::cat({values, at::zeros(shape, values.options())}, dim);
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

/// The matrices of a tensor that the file holds.
std::vector<at::Tensor> matrices_of(const TensorView& view, const Group& group) {
  const at::Tensor values = values_of(view);
  return group.of_experts ? values.unbind() : std::vector<at::Tensor>{values};
}

double read_back(const Path& out, const std::vector<Placed>& places, double alpha, const Path& source) {
  const GgufFile file(out);
  double largest = 0.0;
  for (const Placed& place : places) {
    const TensorView *a = file.find(place.a.name), *b = file.find(place.b.name);
    check(a != nullptr && b != nullptr, ExitCode::kInternal, out.string(), ": lacks ", place.a.name);
    const double scale = alpha / static_cast<double>(place.group.rank);
    const auto all_a = matrices_of(*a, place.group), all_b = matrices_of(*b, place.group);
    for (std::size_t part = 0; part < place.group.pairs.size(); ++part) {
      const FactorPair* pair = place.group.pairs[part];
      if (pair == nullptr) continue;
      const at::Tensor written_a = place.of_embedding() ? all_a[part].t() : all_a[part];
      const at::Tensor written_b = reordered(all_b[part], place.head_dim, true) * scale;
      largest = std::max(
          largest, product_difference(read_factor(*pair->a, source),
                                      read_factor(*pair->b, source) * pair->scale, written_a, written_b));
    }
  }
  return largest;
}

/// Writes all A of a place, then all B; -> whether any B is not zero.
bool write_place(GgufWriter& file, const Placed& place, double alpha, const Path& source) {
  const Group& group = place.group;
  const std::size_t skip = group.of_experts ? 1 : 0;  // of the shape: the number of experts
  const auto zeros = [&](const TensorView& view) {
    return at::zeros(at::IntArrayRef(view.shape).slice(skip), at::kFloat);
  };
  for (const FactorPair* pair : group.pairs) {
    at::Tensor a = pair == nullptr ? zeros(place.a) : padded(read_factor(*pair->a, source), 0, group.rank);
    file.write(encode_rows(place.of_embedding() ? a.t() : a, place.a.dtype, place.a.name));
  }
  bool any = false;
  for (const FactorPair* pair : group.pairs) {
    at::Tensor b = pair == nullptr ? zeros(place.b) : padded(read_factor(*pair->b, source), 1, group.rank);
    any = any || at::any(b.ne(0)).item<bool>();
    const bool same = pair == nullptr || alpha_of(*pair, group.rank) == alpha;
    if (!same) b = b * (pair->scale * static_cast<double>(group.rank) / alpha);
    file.write(encode_rows(reordered(b, place.head_dim, false), place.b.dtype, place.b.name));
  }
  return any;
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
  std::vector<Group> groups = groups_of(adapter.pairs, model);
  const double alpha = common_alpha(groups);
  std::vector<Placed> places;
  std::vector<TensorView> views;
  for (Group& group : groups) {
    const Placed& place = places.emplace_back(placed(std::move(group), model, type));
    views.push_back(place.a);
    views.push_back(place.b);
  }
  const Path source = adapter.file->path();
  bool any = false;
  GgufWriter file(out, metadata_of(model, adapter, alpha), views);
  for (const Placed& place : places) any = write_place(file, place, alpha, source) || any;
  check(any, printable(source.string()), ": every B is zero, so this adapter changes nothing");
  file.commit();
  const LoraExport report{.modules = std::ssize(adapter.pairs),
                          .alpha = alpha,
                          .difference = read_back(out, places, alpha, source)};
  if (!(report.difference <= tolerance_of(type))) {
    graft::remove_all(out);
    fail(ExitCode::kInternal, out.string(), ": differs from the adapter by ", report.difference,
         ", want at most ", tolerance_of(type));
  }
  return report;
}

}  // namespace graft
