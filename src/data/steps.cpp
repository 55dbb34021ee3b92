#include <algorithm>
#include <numeric>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/random.h"
#include "data/dataset.h"

namespace graft {
namespace {

constexpr std::string_view kOrder = "data order";

std::vector<std::size_t> epoch_order(std::size_t examples, std::uint64_t seed, std::int64_t epoch) {
  const std::uint64_t purpose = hash_name(kOrder.data(), kOrder.size());
  return permutation(examples, mix(mix(seed, purpose), static_cast<std::uint64_t>(epoch)));
}

void append(Pack& pack, const Example& example) {
  pack.tokens.insert(pack.tokens.end(), example.tokens.begin(), example.tokens.end());
  pack.targets.insert(pack.targets.end(), example.targets.begin(), example.targets.end());
  pack.starts.push_back(static_cast<std::int64_t>(pack.tokens.size()));
  pack.ids.push_back(example.id);
  pack.weights.push_back(example.weight);
}

}  // namespace

std::vector<std::vector<std::size_t>> epoch_steps(std::size_t examples, std::int64_t batch_size, bool shuffle,
                                                  std::uint64_t seed, std::int64_t epoch) {
  check(batch_size >= 1, ExitCode::kUsage, "batch_size: got ", batch_size, ", want at least 1");
  std::vector<std::size_t> order(examples);
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (shuffle) order = epoch_order(examples, seed, epoch);
  const auto size = static_cast<std::size_t>(batch_size);
  std::vector<std::vector<std::size_t>> steps;
  for (std::size_t begin = 0; begin < examples;) {
    const std::size_t end = size < examples - begin ? begin + size : examples;
    steps.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(begin),
                       order.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end;
  }
  return steps;
}

std::vector<std::vector<std::size_t>> choose_packs(const std::vector<Example>& examples,
                                                   std::vector<std::size_t> chosen,
                                                   std::int64_t micro_batch_tokens) {
  check(micro_batch_tokens >= 1, ExitCode::kUsage, "micro_batch_tokens: got ", micro_batch_tokens,
        ", want at least 1");
  const auto room = static_cast<std::size_t>(micro_batch_tokens);
  std::ranges::stable_sort(chosen, [&](std::size_t a, std::size_t b) {
    return examples[a].tokens.size() > examples[b].tokens.size();
  });
  std::vector<std::vector<std::size_t>> packs;
  std::set<std::pair<std::size_t, std::size_t>> open;  // (room left, pack)
  for (const std::size_t i : chosen) {
    const std::size_t length = examples[i].tokens.size();
    const auto fit = open.lower_bound({length, 0});
    std::size_t left = std::max(room, length);
    std::size_t pack = packs.size();
    if (fit != open.end()) {
      std::tie(left, pack) = *fit;
      open.erase(fit);
    } else {
      packs.emplace_back();
    }
    packs[pack].push_back(i);
    open.insert({left - length, pack});
  }
  return packs;
}

Step make_step(const std::vector<Example>& examples, const std::vector<std::size_t>& chosen,
               std::int64_t micro_batch_tokens) {
  Step step;
  for (const auto& members : choose_packs(examples, chosen, micro_batch_tokens)) {
    Pack pack;
    pack.starts.push_back(0);
    for (const std::size_t i : members) append(pack, examples.at(i));
    step.tokens += static_cast<std::int64_t>(pack.tokens.size());
    step.target_tokens += pack.target_count();
    step.packs.push_back(std::move(pack));
  }
  return step;
}

}  // namespace graft
