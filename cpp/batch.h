// batch.h: the elements of a batch, on the threads of a pool.
//
// The caller works, too, and waits for those helpers only that have begun: whether the pool has one thread or
// none left, the caller runs on one of them, or the process has lost them by a fork, the work gets done. A
// helper that a busy pool starts late finds the team closed and touches nothing but the team, which the
// helpers own together with the caller. Elements are claimed in order by an atomic counter; each is computed
// by one thread as it would be alone, so results do not depend on how many there are.
// Cost: a few microseconds to hand off, and one workspace per thread that takes part.
//
// A pool is whatever has num_threads() and Schedule(task), as xla::ffi::ThreadPool has.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>

#include "core.h"

namespace elimax {

// Those who work on something that its owner is waiting for.
class Team {
 public:
  // False if the work is over: then what it refers to may be gone.
  bool join() {
    std::lock_guard lock(mutex_);
    working_ += !closed_;
    return !closed_;
  }
  void leave() {
    std::lock_guard lock(mutex_);
    if (--working_ == 0) idle_.notify_one();
  }
  // Returns when all who joined have left; nobody joins any more.
  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    idle_.wait(lock, [&] { return working_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  int working_ = 0;
  bool closed_ = false;
};

// Runs work() on this thread and help() on up to `helpers` threads of the pool, as far as they have time.
template <class Pool, class Help, class Work>
void with_helpers(Pool& pool, Offset helpers, const Help& help, const Work& work) {
  std::shared_ptr<Team> team;
  try {
    if (helpers > 0) team = std::make_shared<Team>();
    for (Offset h = 0; h < helpers; ++h)
      pool.Schedule([team, &help] {
        if (!team->join()) return;
        help();
        team->leave();
      });
  } catch (const std::bad_alloc&) {  // fewer helpers
  }
  work();
  if (team) team->close();
}

// The elements 0 .. size-1, handed out `grain` at a time to whoever asks.
class Elements {
 public:
  Elements(Offset size, Offset grain) : size_(size), grain_(grain) {}

  // Calls body(i) for elements that nobody else has, until none is left.
  template <class Body>
  void each(const Body& body) {
    for (;;) {
      const Offset begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= size_) return;
      for (Offset i = begin; i < std::min(begin + grain_, size_); ++i) body(i);
    }
  }
  bool left() const { return next_.load(std::memory_order_relaxed) < size_; }

 private:
  const Offset size_, grain_;
  std::atomic<Offset> next_ = 0;
};

// Calls body(i, workspace) for every element i of a batch, each worker with a workspace of its own, which
// make() allocates and which converts to false if there is no memory. `nanoseconds` is about what one element
// takes: threads are not worth their hand-off below 50 microseconds in all, nor claims below 5.
// False if not even one worker had memory.
template <class Pool, class Make, class Body>
bool for_elements(Pool& pool, Offset size, double nanoseconds, const Make& make, const Body& body) {
  const double element = std::max(nanoseconds, 1.0);
  Elements elements(size, static_cast<Offset>(std::clamp(5e3 / element, 1.0, 5e3)));
  const Offset threads = size * element < 50e3 ? 1 : std::min<Offset>(size, pool.num_threads());
  const auto work = [&] {
    const auto workspace = make();
    if (workspace) elements.each([&](Offset i) { body(i, workspace); });
  };
  with_helpers(pool, threads - 1, work, work);
  return !elements.left();
}

}  // namespace elimax
