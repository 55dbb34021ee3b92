// decode_bench [ROUNDS]: weights a second that each path of this machine decodes to bf16 on one core, per
// format, from rows that lie in L2. Prints one line of JSON per format.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/cpu/block_decode.h"

namespace {

using namespace graft;

constexpr std::int64_t kCount = 1 << 18;

template <class Work>
double best_rate(int rounds, const Work& work) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return static_cast<double>(kCount) / best / 1e9;
}

// decode(table, first) decodes `width` weights from `first` on.
template <class Decode>
void report(std::string_view format, int rounds, const Decode& decode) {
  std::printf("{\"format\": \"%s\"", std::string(format).c_str());
  for (const CpuPath path : cpu_paths()) {
    const BlockDecode& table = block_decode(path);
    const double rate = best_rate(rounds, [&] { decode(table); });
    std::printf(", \"%s\": %.2f", std::string(name(path)).c_str(), rate);
  }
  std::printf("}\n");
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
  RandomStream random(1);
  std::vector<std::byte> bytes(kCount * 292 / 256);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  constexpr std::int64_t kWidth = 1024;
  std::vector<Bf16Bits> out(kWidth);  // the scratch of a product: stays in L1
  for (const DType dtype :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K, DType::kQ3_K,
        DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kQ8_K, DType::kIq4Nl, DType::kIq4Xs}) {
    const auto row_bytes = static_cast<std::int64_t>(traits(dtype).bytes * kWidth / traits(dtype).values);
    report(traits(dtype).name, rounds, [&](const BlockDecode& table) {
      for (std::int64_t i = 0; i < kCount / kWidth; ++i)
        table.run(dtype)(bytes.data() + i * row_bytes, 0, kWidth, out.data());
    });
  }
  const std::vector<float> absmax(kCount / kNf4Block, 0.05F);
  std::vector<std::uint8_t> codes(absmax.size(), 200);
  const Nf4View plain{.codes = bytes.data(), .absmax = absmax.data()};
  Nf4View twice{.codes = bytes.data(), .absmax_codes = codes.data()};
  twice.absmax_map = dynamic_map().data();
  twice.nested_absmax = absmax.data();
  for (const auto& [format, view] :
       {std::pair("nf4", plain), std::pair("nf4, scales doubly quantised", twice)}) {
    report(format, rounds, [&](const BlockDecode& table) {
      for (std::int64_t first = 0; first < kCount; first += kWidth)
        table.nf4(view, first, kWidth, out.data());
    });
  }
}
