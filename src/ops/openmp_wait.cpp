// A library of its own because libgomp reads its settings in its constructor, before anything of the program
// runs. This one is linked after libgomp, so the loader starts it before (what is needed later is started
// earlier), yet after libc, on which it depends. It uses nothing of libstdc++.
#include <stdlib.h>

namespace {

/// Rounds that a thread spins for the others of its team before it sleeps: tens of microseconds, longer than
/// the threads of one step are apart. libgomp's own 300,000 are milliseconds: beside another busy program on
/// as many cores, every parallel loop waits that long for a thread that has no core, and training is 10 to
/// 100 times slower.
constexpr char kSpinCount[] = "1000";

/// What the user says about waiting counts.
[[gnu::constructor]] void bound_waiting() {
  if (getenv("OMP_WAIT_POLICY") == nullptr) setenv("GOMP_SPINCOUNT", kSpinCount, 0);
}

}  // namespace
