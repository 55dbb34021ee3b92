#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "recipe/fields.h"
#include "recipe/type.h"

namespace graft {
namespace {

/// A key of another tool and what it is called here; where nothing matches it, what to do instead.
struct ForeignKey {
  std::string_view name;    ///< the last word of the key, whatever section it stands in
  std::string_view ours;    ///< our key; empty where there is none
  std::string_view advice;  ///< why, or what instead; may be empty
};

constexpr std::string_view kBatch =
    "batch_size counts the examples of a whole optimizer step; memory is train.micro_batch_tokens";
constexpr std::string_view kPacked = "examples are always packed without padding and never see one another";

/// Sources: the recipes and argument classes of axolotl, LLaMA-Factory, TRL and transformers, torchtune,
/// PEFT.
constexpr ForeignKey kForeignKeys[] = {
    {"adapter", "lora.method", ""},
    {"base_model", "model.path", ""},
    {"checkpoint_dir", "model.path", ""},
    {"model_name_or_path", "model.path", ""},
    {"pretrained_model_name_or_path", "model.path", ""},
    {"adapter_name_or_path", "lora.from", ""},
    {"lora_model_dir", "lora.from", ""},
    {"finetuning_type", "lora.method", ""},
    {"bf16", "model.dtype", "write model.dtype: bf16"},
    {"fp16", "model.dtype", "write model.dtype: bf16 or fp32"},
    {"tf32", "", "there is no such switch"},
    {"torch_dtype", "model.dtype", ""},
    {"load_in_4bit", "model.quantization", ""},
    {"load_in_8bit", "model.quantization", ""},
    {"quantization_bit", "model.quantization", ""},
    {"trust_remote_code", "", "code from a model folder is never run"},
    {"attn_implementation", "", "there is one attention, over packed tokens"},
    {"flash_attention", "", "there is one attention, over packed tokens"},
    {"flash_attn", "", "there is one attention, over packed tokens"},
    {"lora_r", "lora.r", ""},
    {"lora_rank", "lora.r", ""},
    {"rank", "lora.r", ""},
    {"lora_alpha", "lora.alpha", ""},
    {"lora_dropout", "lora.dropout", ""},
    {"lora_target", "lora.target_modules", ""},
    {"lora_target_linear", "lora.target_modules", "write lora.target_modules: all-linear"},
    {"lora_target_modules", "lora.target_modules", ""},
    {"lora_attn_modules", "lora.target_modules", ""},
    {"lora_modules_to_save", "lora.modules_to_save", ""},
    {"additional_target", "lora.modules_to_save", ""},
    {"lora_layers_to_transform", "lora.layers_to_transform", ""},
    {"init_lora_weights", "lora.init", ""},
    {"peft_use_rslora", "lora.use_rslora", ""},
    {"use_dora", "lora.method", ""},
    {"peft_use_dora", "lora.method", ""},
    {"trainable_token_indices", "lora.trainable_tokens", ""},
    {"use_rslora", "lora.use_rslora", ""},
    {"pissa_init", "lora.init", "write lora.init: pissa"},
    {"pissa_iter", "lora.init", "write lora.init: pissa_niter_N"},
    {"peft_layers_to_transform", "lora.layers_to_transform", ""},
    {"peft_layers_pattern", "lora.layers_pattern", ""},
    {"peft_trainable_token_indices", "lora.trainable_tokens", ""},
    {"peft_init_lora_weights", "lora.init", ""},
    {"lora_plus_lr_ratio", "optim.loraplus_lr_ratio", ""},
    {"lorap_lr_ratio", "optim.loraplus_lr_ratio", ""},
    {"cutoff_len", "data.max_seq_len", ""},
    {"sequence_len", "data.max_seq_len", ""},
    {"max_length", "data.max_seq_len", ""},
    {"max_seq_length", "data.max_seq_len", ""},
    {"model_max_length", "data.max_seq_len", ""},
    {"excess_length_strategy", "data.over_length", ""},
    {"truncation_strategy", "data.over_length", ""},
    {"template", "data.chat_template", ""},
    {"chat_template_jinja", "data.chat_template", ""},
    {"prompt_template", "data.chat_template", ""},
    {"train_on_inputs", "data.train_on", "false is data.train_on: assistant, true is all"},
    {"train_on_input", "data.train_on", "false is data.train_on: assistant, true is all"},
    {"train_on_prompt", "data.train_on", "false is data.train_on: assistant, true is all"},
    {"assistant_only_loss", "data.train_on", "true is data.train_on: assistant"},
    {"completion_only_loss", "data.train_on", "true is data.train_on: assistant"},
    {"mask_history", "data.train_on", "true is data.train_on: last_turn"},
    {"mask_prompt", "data.train_on", "true is data.train_on: assistant"},
    {"roles_to_train", "data.train_on", ""},
    {"dataset", "data.train", "a list of {path: FILE}"},
    {"datasets", "data.train", "a list of {path: FILE}"},
    {"dataset_name", "data.train", "a list of {path: FILE}"},
    {"train_dataset", "data.train", "a list of {path: FILE}"},
    {"eval_dataset", "data.eval", "a list of {path: FILE}"},
    {"test_datasets", "data.eval", "a list of {path: FILE}"},
    {"val_set_size", "data.eval_fraction", ""},
    {"val_size", "data.eval_fraction", ""},
    {"type", "format", ""},
    {"packing", "", kPacked},
    {"packed", "", kPacked},
    {"sample_packing", "", kPacked},
    {"eval_sample_packing", "", kPacked},
    {"neat_packing", "", kPacked},
    {"pad_to_sequence_len", "", kPacked},
    {"stage", "train.objective", ""},
    {"rl", "train.objective", ""},
    {"num_epochs", "train.epochs", ""},
    {"num_train_epochs", "train.epochs", ""},
    {"max_steps_per_epoch", "train.max_steps", ""},
    {"iters", "train.max_steps", ""},
    {"micro_batch_size", "train.batch_size", kBatch},
    {"per_device_train_batch_size", "train.batch_size", kBatch},
    {"per_device_eval_batch_size", "", "evaluation packs by train.micro_batch_tokens"},
    {"eval_batch_size", "", "evaluation packs by train.micro_batch_tokens"},
    {"train_batch_size", "train.batch_size", kBatch},
    {"global_batch_size", "train.batch_size", ""},
    {"gradient_accumulation_steps", "train.batch_size", kBatch},
    {"grad_accumulation_steps", "train.batch_size", kBatch},
    {"gradient_checkpointing", "train.activation_checkpointing", ""},
    {"enable_activation_checkpointing", "train.activation_checkpointing", ""},
    {"clip_grad_norm", "train.max_grad_norm", ""},
    {"gradient_clip_val", "train.max_grad_norm", ""},
    {"lr", "optim.learning_rate", ""},
    {"optimizer", "optim.name", ""},
    {"adam_beta1", "optim.betas", "a list [beta1, beta2]"},
    {"adam_beta2", "optim.betas", "a list [beta1, beta2]"},
    {"adam_epsilon", "optim.eps", ""},
    {"lr_scheduler", "schedule.name", ""},
    {"lr_scheduler_type", "schedule.name", ""},
    {"num_warmup_steps", "schedule.warmup_steps", ""},
    {"cosine_min_lr_ratio", "schedule.min_lr_ratio", ""},
    {"eval_steps", "evaluation.every_steps", ""},
    {"evals_per_epoch", "evaluation.every_steps", ""},
    {"eval_strategy", "evaluation.every_steps", ""},
    {"early_stopping_steps", "evaluation.early_stopping_patience", ""},
    {"save_steps", "checkpoint.every_steps", ""},
    {"saves_per_epoch", "checkpoint.every_steps", ""},
    {"save_strategy", "checkpoint.every_steps", ""},
    {"save_total_limit", "checkpoint.keep_last", ""},
    {"load_best_model_at_end", "checkpoint.keep_best", ""},
    {"resume_from_checkpoint", "", "`graft train RECIPE --resume` goes on from the newest checkpoint"},
    {"overwrite_output_dir", "", "`graft train RECIPE --overwrite` does that"},
    {"logging_steps", "log.every_steps", ""},
    {"log_every_n_steps", "log.every_steps", ""},
    {"report_to", "", "metrics.jsonl in the run's folder holds every step"},
    {"wandb_project", "", "metrics.jsonl in the run's folder holds every step"},
    {"random_seed", "seed", ""},
    {"output_path", "output_dir", ""},
};

std::string_view leaf(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == path.npos ? path : path.substr(dot + 1);
}

/// Keys of ours that end in this word, in other sections.
std::vector<std::string> same_leaf(const std::string& key) {
  std::vector<std::string> found;
  for (const std::string& path : key_paths()) {
    if (leaf(path) == key) found.push_back(path);
  }
  return found;
}

}  // namespace

void fail_unknown_key(const YamlEntry& entry, const std::string& section,
                      const std::vector<std::string>& keys) {
  const std::string path = section.empty() ? printable(entry.key) : section + "." + printable(entry.key);
  const auto foreign = std::find_if(std::begin(kForeignKeys), std::end(kForeignKeys),
                                    [&](const ForeignKey& row) { return row.name == entry.key; });
  if (foreign != std::end(kForeignKeys) && foreign->ours != path) {
    const std::string hint(foreign->advice);
    if (foreign->ours.empty())
      fail(ExitCode::kUsage, entry.place.text(), ": ", path, ": a key of another tool", Hint{hint});
    fail(ExitCode::kUsage, entry.place.text(), ": ", path, ": a key of another tool (here it is ",
         foreign->ours, ")", Hint{hint.empty() ? "write " + std::string(foreign->ours) : hint});
  }
  std::string hint;
  const std::string dot = section.empty() ? "" : section + ".";
  if (const auto elsewhere = same_leaf(entry.key); !elsewhere.empty()) {
    hint = "did you mean " + join(elsewhere, " or ") + "?";
  } else if (const auto near = nearest(entry.key, keys)) {
    hint = "did you mean " + dot + *near + "?";
  } else {
    hint = (section.empty() ? "the keys here are " : "the keys of " + section + " are ") + join(keys, ", ");
  }
  fail(ExitCode::kUsage, entry.place.text(), ": ", path, ": unknown key", Hint{hint});
}

}  // namespace graft
