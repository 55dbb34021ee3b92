#include "export/hf_folder.h"

#include <algorithm>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "export/shards.h"
#include "export/tokenizer_files.h"

namespace graft {
namespace {

at::ScalarType scalar_type(WeightType type) {
  switch (type) {
    case WeightType::kBF16:
      return at::kBFloat16;
    case WeightType::kF16:
      return at::kHalf;
    case WeightType::kF32:
      break;
  }
  return at::kFloat;
}

const char* torch_name(WeightType type) {
  switch (type) {
    case WeightType::kBF16:
      return "bfloat16";
    case WeightType::kF16:
      return "float16";
    case WeightType::kF32:
      break;
  }
  return "float32";
}

/// config.json as the base has it, saying the type that is written.
void write_config(const Decoder& model, WeightType type, const Path& folder) {
  Json config = model.config.source;
  if (model.config.tie_word_embeddings && !exports_tied(model)) {
    say("the adapter changes embedding and head differently: they are written as two matrices");
    config["tie_word_embeddings"] = false;
  }
  const bool new_word = config.contains("dtype");
  if (new_word) config["dtype"] = torch_name(type);
  // Older readers know only this word; where neither is there it is the one that all know.
  if (!new_word || config.contains("torch_dtype")) config["torch_dtype"] = torch_name(type);
  write_file(folder / "config.json", to_text(config, 2) + "\n");
}

void check_room(const std::vector<ExportTensor>& tensors, at::ScalarType dtype, const Path& out) {
  std::uint64_t bytes = 0;
  for (const ExportTensor& tensor : tensors) {
    bytes += static_cast<std::uint64_t>(tensor.elements()) * c10::elementSize(dtype);
  }
  const std::uint64_t room = free_bytes(out);
  check(bytes < room, ExitCode::kResource, out.string(), ": not enough room on the disk (got ",
        format_bytes(room), ", want ", format_bytes(bytes), ")");
}

bool has_adapters(const Decoder& model) {
  bool found = model.embedding_adapter || model.head_adapter || model.norm.trained.defined();
  model.each_group([&](const LinearGroup& group) { found = found || group.adapter != nullptr; });
  return found;
}

}  // namespace

WeightType parse_weight_type(std::string_view text) {
  if (text == "bf16") return WeightType::kBF16;
  if (text == "f32" || text == "fp32") return WeightType::kF32;
  if (text == "f16" || text == "fp16") return WeightType::kF16;
  fail(ExitCode::kUsage, "unknown type of weights (got ", printable(text), ", want bf16, f32 or f16)");
}

Proof write_hf_folder(const Decoder& model, const Path& base, const Path& out, WeightType type,
                      const MergeRecord* merged) {
  OutputFolder folder(out);
  const at::ScalarType dtype = scalar_type(type);
  const std::vector<ExportTensor> tensors = export_tensors(model);
  check_room(tensors, dtype, out);
  write_config(model, type, folder.temporary());
  write_tokenizer_files(base, model.config, folder.temporary());
  if (merged != nullptr && merged->chat)
    write_trained_template(*merged->chat, model.config, folder.temporary());
  write_weights(tensors, dtype, merged ? merged->metadata() : std::map<std::string, std::string>(),
                folder.temporary());
  const bool exact = model.dtype == at::kFloat && type == WeightType::kF32 && !has_adapters(model);
  const Proof proof =
      prove_export(model, base, folder.temporary(), exact ? Rounding::kNone : Rounding::kWeights);
  folder.commit();
  return proof;
}

}  // namespace graft
