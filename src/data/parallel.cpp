#include "data/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/console.h"
#include "base/error.h"
#include "base/signals.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::size_t kChunk =
    32;  // rows claimed at once: enough to make the claim free, few enough to balance

class Work {
 public:
  Work(std::size_t count, const std::function<void(std::size_t)>& work) : count_(count), work_(work) {}

  /// Claims chunks until none is left. Chunks are claimed in order and a claimed chunk is worked up to its
  /// own failure, so whatever precedes the smallest failing index has been tried.
  template <class Tick>
  void run(const Tick& tick) {
    while (!failed_ && !stop_requested()) {
      const std::size_t begin = next_.fetch_add(kChunk);
      if (begin >= count_) return;
      run_chunk(begin, std::min(begin + kChunk, count_));
      tick(std::min(begin + kChunk, count_));
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
    check(!stop_requested(), ExitCode::kStopped, "stopped by a signal while the data was being read");
  }

 private:
  void run_chunk(std::size_t begin, std::size_t end) {
    std::size_t i = begin;
    try {
      for (; i < end; ++i) work_(i);
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      failed_ = true;
      if (!error_ || i < error_at_) {
        error_ = std::current_exception();
        error_at_ = i;
      }
    }
  }

  std::size_t count_;
  const std::function<void(std::size_t)>& work_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::size_t error_at_ = 0;
};

}  // namespace

void for_each_parallel(std::size_t count, std::string_view what,
                       const std::function<void(std::size_t)>& work) {
  using Clock = std::chrono::steady_clock;
  Work shared(count, work);
  std::vector<std::jthread> others;
  const std::size_t threads =
      std::min<std::size_t>(std::max(1U, std::thread::hardware_concurrency()), count / kChunk);
  for (std::size_t i = 1; i < threads; ++i) others.emplace_back([&] { shared.run([](std::size_t) {}); });

  Clock::time_point drawn = Clock::now();
  bool shown = false;
  shared.run([&](std::size_t done) {
    if (Clock::now() - drawn < std::chrono::milliseconds(500)) return;
    drawn = Clock::now();
    shown = true;
    show_progress(std::string(what) + " " + format_count(static_cast<std::int64_t>(done)) + " of " +
                  format_count(static_cast<std::int64_t>(count)) + " rows");
  });
  others.clear();  // joins
  if (shown) show_progress("");
  shared.rethrow();
}

}  // namespace graft
