// crew.h: the threads that work on one matrix together.
//
// One of them, the captain, runs the algorithm; where it calls each(), the others help. Nothing is ever
// waited for but work that somebody has begun: a crew whose helpers come late, or never, is only slower.
// Helpers that wait for the next call watch for some tens of microseconds and sleep then. Cost: a fraction
// of a microsecond per call of each() and claim, tens of microseconds to wake a sleeper.
#pragma once

#include <atomic>
#include <thread>

#include "batch.h"

namespace elimax {

class Crew {
 public:
  static constexpr int most = 64;  // threads

  explicit Crew(int threads = 1) : threads_(threads) {}
  int threads() const { return threads_; }

  // Calls body(i, worker) for i = 0 .. count-1, each once, on whoever is free, and returns when all are done;
  // `worker` < threads() is a number of the thread. Called by the captain only, not from a body.
  template <class Body>
  void each(Index count, const Body& body) {
    if (threads_ == 1 || count <= 1) {
      for (Index i = 0; i < count; ++i) body(i, 0);
      return;
    }
    call_ = [](const void* of, Index i, int worker) { (*static_cast<const Body*>(of))(i, worker); };
    body_ = &body;
    count_ = count;
    unfinished_.store(count, std::memory_order_relaxed);
    round_ += Offset{1} << 32;
    publish(round_ + count);
    while (take(0)) {
    }
    watch([&] { return unfinished_.load(std::memory_order_acquire) == 0; });
    for (Index left; (left = unfinished_.load(std::memory_order_acquire)) != 0;) unfinished_.wait(left);
  }

  // What a helper does until it is dismissed. The captain's own thread, on which a pool may run a task for
  // want of room, is no helper.
  void help() {
    if (std::this_thread::get_id() == captain_) return;
    const int worker = 1 + helpers_.fetch_add(1, std::memory_order_relaxed);
    for (;;) {
      while (take(worker)) {
      }
      const Offset seen = open_.load(std::memory_order_acquire);
      if (seen == dismissed) return;
      if (left_in(seen) == 0 && !watch([&] { return open_.load(std::memory_order_relaxed) != seen; }))
        open_.wait(seen, std::memory_order_acquire);
    }
  }
  void dismiss() { publish(dismissed); }

 private:
  static constexpr Offset dismissed = -1;
  static Index left_in(Offset open) { return static_cast<Index>(open & INT32_MAX); }

  void publish(Offset open) {
    open_.store(open, std::memory_order_release);
    open_.notify_all();
  }

  // Whether `ready` comes true within some tens of microseconds.
  template <class Ready>
  static bool watch(const Ready& ready) {
    for (int turn = 0; turn < 2000; ++turn) {
      if (ready()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    return false;
  }

  // Does one of the open pieces of work, if there is one. Who has claimed a piece keeps the captain, and so
  // the description of the work, in each().
  bool take(int worker) {
    Offset open = open_.load(std::memory_order_acquire);
    do {
      if (open == dismissed || left_in(open) == 0) return false;
    } while (!open_.compare_exchange_weak(open, open - 1, std::memory_order_acq_rel));
    call_(body_, count_ - left_in(open), worker);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
    return true;
  }

  const int threads_;
  const std::thread::id captain_ = std::this_thread::get_id();
  std::atomic<int> helpers_ = 0;
  // The number of the call of each(), 31 bits, and how many pieces of its work nobody has claimed.
  std::atomic<Offset> open_ = 0;
  std::atomic<Index> unfinished_ = 0;
  Offset round_ = 0;
  void (*call_)(const void*, Index, int) = nullptr;
  const void* body_ = nullptr;
  Index count_ = 0;
};

// Calls body(crew) with a crew of this thread and of those of the pool that have time.
template <class Pool, class Body>
void with_crew(Pool& pool, int threads, const Body& body) {
  Crew crew(threads);
  with_helpers(
      pool, threads - 1, [&] { crew.help(); },
      [&] {
        body(crew);
        crew.dismiss();
      });
}

}  // namespace elimax
