// check.h: what the programs that check the core share: a verdict, pools of threads, and a grid.
#pragma once

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "numeric.h"

namespace elimax {

inline void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("wrong: %s\n", what);
  std::exit(1);
}

// Whether two numbers are equal to the last bit, or both NaN.
template <class T>
bool same(T x, T y) {
  return x == y || (real_part(x) != real_part(x) && real_part(y) != real_part(y));
}

// A pool of the kind that XLA has: tasks in a queue, done by threads when these have time.
class Threads {
 public:
  explicit Threads(int n) {
    for (int t = 0; t < n; ++t) threads_.emplace_back([this] { run(); });
  }
  ~Threads() {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    filled_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  std::int64_t num_threads() const { return static_cast<std::int64_t>(threads_.size()); }
  template <class Task>
  void Schedule(Task&& task) {
    std::lock_guard lock(mutex_);
    tasks_.emplace_back(std::forward<Task>(task));
    filled_.notify_one();
  }

 private:
  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [&] { return over_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable filled_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  bool over_ = false;
};

// Pools at their worst: tasks never begin before late() is called; run at once, inside of Schedule, as a full
// queue of Eigen's pool does; or are refused for want of memory.
struct Late {
  std::vector<std::function<void()>> tasks;
  std::int64_t num_threads() const { return 4; }
  template <class Task>
  void Schedule(Task&& task) {
    tasks.emplace_back(std::forward<Task>(task));
  }
  void late() const {
    for (const auto& task : tasks) task();
  }
};
struct Inline {
  std::int64_t num_threads() const { return 4; }
  template <class Task>
  void Schedule(Task&& task) {
    task();
  }
};
struct Refusing {
  std::int64_t num_threads() const { return 4; }
  template <class Task>
  void Schedule(Task&&) {
    throw std::bad_alloc();
  }
};

// The five-point Laplacian of an m x m grid.
struct Grid {
  std::vector<Index> ptr{0}, rows;
  Index n;

  explicit Grid(Index m) : n(m * m) {
    for (Index j = 0; j < n; ++j) {
      rows.push_back(j);
      if ((j + 1) % m) rows.push_back(j + 1);
      if (j + m < n) rows.push_back(j + m);
      ptr.push_back(static_cast<Index>(rows.size()));
    }
  }
  Columns columns() const { return {n, n, ptr, rows}; }
  template <class T>
  std::vector<T> values(double diagonal) const {
    std::vector<T> v(rows.size(), T(-1));
    for (Index j = 0; j < n; ++j) v[ptr[j]] = static_cast<Real<T>>(diagonal);
    return v;
  }
};

}  // namespace elimax
