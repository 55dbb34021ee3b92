#pragma once

#include <functional>
#include <optional>

#include "data/dataset.h"
#include "model/decoder.h"
#include "train/plan.h"

namespace graft {

/// Adds the gradients of one optimizer step to the adapters: for each pack, d(sum of target losses / targets
/// of the whole step). How the step is cut into packs changes nothing but rounding. Returns the step's mean
/// loss in nats, or nothing where `stop` said so between packs (the gradients are then incomplete). Errors
/// (kNumerics): a non-finite loss, with the source of each row in its pack.
std::optional<double> accumulate_gradients(const Decoder& model, const Step& step, const Plan& plan,
                                           DropoutKey dropout, const std::vector<Example>& examples,
                                           const std::function<bool()>& stop);

}  // namespace graft
