#pragma once

#include "peft/adapter_folder.h"

namespace graft {

/// The pair of the embedding that `pair`, the head's, is a copy of (its factors transposed and exchanged, as
/// ensure_weight_tying writes them); nullptr where it is none.
const FactorPair* tied_embedding(const AdapterFolder& adapter, const FactorPair& pair);

}  // namespace graft
