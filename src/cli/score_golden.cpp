#include "cli/score_golden.h"

#include <utility>

#include "base/console.h"
#include "cli/golden_file.h"
#include "cli/output.h"
#include "evaluate/compare.h"
#include "peft/base_identity.h"
#include "peft/identity_record.h"

namespace graft {
namespace {

bool in_blocks(const std::string& weights) {
  return weights != "f32" && weights != "bf16" && weights != "f16";
}

GoldenGap gap_between(const Golden& golden, const std::string& weights, at::ScalarType dtype, bool merged) {
  const bool both_fp32 = golden.dtype == "fp32" && dtype == at::kFloat;
  const bool same = merged ? weights == "f32" : weights == golden.weights;
  if (same) return both_fp32 ? GoldenGap::kOrder : GoldenGap::kRounding;
  const bool blocks = in_blocks(weights) || (!merged && in_blocks(golden.weights));
  return blocks ? GoldenGap::kBlocks : GoldenGap::kRounding;
}

Json difference_json(const GoldenDifference& difference) {
  return {{"positions", difference.positions},
          {"largest_difference", difference.largest},
          {"kl", difference.kl},
          {"top1_agreement", difference.top1}};
}

void check_base(const Golden& golden, const Decoder& model, const GoldenRequest& request) {
  if (!golden.fingerprint.is_null())
    check_base_identity(model, {{kBaseFingerprintKey, to_text(golden.fingerprint)}}, request.file.string(),
                        request.other);
  check_golden_ids(golden, request.file.string(), model.config.vocab_size);
}

// Another file may hold the same adapter in another form, so it is only said.
void compare_hash(const Golden& golden, const AdapterArgument& adapter) {
  if (adapter.path.empty() || golden.adapter_sha256.empty()) return;
  if (adapter_hash(adapter.path) != golden.adapter_sha256)
    warn(adapter.path + ": not the very file that the predictions were recorded of");
}

std::string hint_for(const GoldenDifference& all, bool merged) {
  if (!all.lost_adapter()) return "another adapter, another base, or an engine that computes something else";
  return merged ? "these are the predictions of the base: give --adapter, or the merged model"
                : "these are the predictions of the base: the adapter was not applied";
}

void judge(const GoldenDifference& all, const GoldenTolerance& tolerance, const GoldenRequest& request) {
  const bool merged = request.adapter.path.empty();
  // Written so that what is no number fails.
  const bool near = all.largest <= tolerance.largest && all.kl <= tolerance.kl;
  check(near, ExitCode::kNumerics, request.file.string(),
        ": not the recorded predictions: largest difference ", all.largest, ", KL ", all.kl,
        " (want at most ", tolerance.largest, " and ", tolerance.kl, ": ", tolerance.reason, ")",
        Hint{hint_for(all, merged)});
  check(!all.lost_adapter(), ExitCode::kNumerics, request.file.string(),
        ": the adapter is lost: the predictions differ by ", all.rms,
        " (rms) from those of base and adapter, by ", all.from_base, " from the base alone",
        Hint{hint_for(all, merged)});
}

}  // namespace

ExitCode replay_golden(const GoldenRequest& request) {
  const Golden golden = read_golden(request.file);
  const std::string dtype = request.dtype.empty() ? golden.dtype : request.dtype;
  Decoder base = load_model(
      {.path = request.model.string(), .dtype = dtype == "bf16" ? ComputeDType::kBF16 : ComputeDType::kF32});
  check_base(golden, base, request);
  compare_hash(golden, request.adapter);
  const AdapterShelf shelf = load_shelf(std::move(base), {request.adapter}, request.other);
  const Decoder& model = shelf.with(request.adapter.name);
  GoldenDifference all;
  for (std::size_t i = 0; i < golden.prompts.size(); ++i) {
    const GoldenPrompt& prompt = golden.prompts[i];
    const GoldenDifference difference = compare_golden(prompt, log_probabilities(model, prompt.tokens));
    Json line = {{"prompt", i}};
    line.update(difference_json(difference));
    print_json(line);
    all = all + difference;
  }
  const GoldenTolerance tolerance = golden_tolerance(
      gap_between(golden, weights_word(request.model), model.dtype, request.adapter.path.empty()));
  Json line = {{"prompts", golden.prompts.size()}};
  line.update(difference_json(all));
  line["tolerance"] = {
      {"largest_difference", tolerance.largest}, {"kl", tolerance.kl}, {"reason", tolerance.reason}};
  print_json(line);
  flush_output();
  judge(all, tolerance, request);
  return ExitCode::kDone;
}

}  // namespace graft
