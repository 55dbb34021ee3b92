#pragma once

#include "base/json.h"
#include "peft/options.h"

namespace graft {

/// Whether the init_lora_weights of an adapter_config.json made A and B parts of the base's weight and
/// changed the base (pissa, olora, corda, …), so that A and B alone are not what was trained.
bool changes_base(const JsonView& config);

/// Whether what was taken out of the base is in neither the file nor the base (pissa_niter_N, corda,
/// lora_ga), so that PEFT does not find it when it loads the adapter.
bool start_is_lost(const JsonView& config);

/// How the factors of a saved LoRA started, as far as that matters to who loads it. kPissa, kOlora: what they
/// were is computed from the base again and subtracted, as PEFT does; kKaiming: they are what they add.
/// Errors name the key: a start that the file and the base do not tell, a word that PEFT 0.21 does not know.
/// Source: LoraLayer.update_layer of huggingface/peft.
LoraInit read_saved_init(const JsonView& config);

}  // namespace graft
