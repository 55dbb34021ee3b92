#pragma once

#include "base/file.h"
#include "generate/options.h"

namespace graft {

/// How transformers would sample from this base: what generation_config.json of a Hugging Face folder says,
/// and transformers' own defaults for the rest (no do_sample: greedy; top_k 50). max_new_tokens and the seed
/// are left alone where it does not say. Keys that would change the result and are not honoured (num_beams,
/// …) are warned about. Errors: no such file (kUsage), a wrong type.
SamplingChanges read_generation_config(const Path& base);

}  // namespace graft
