// thread_check.cc: the batch loop over pools of every kind, and the registry, the factorization, the solves
// and the selected inverse on many threads at once. Prints the first thing that is wrong and exits with 1;
// compiled with ThreadSanitizer, it also fails on a data race.

#include <chrono>
#include <cmath>

#include "batch.h"
#include "check.h"
#include "schedule.h"

using namespace elimax;

namespace {

// Memory for one number, or none of it.
struct Cell {
  bool given = true;
  mutable int number = 0;
  explicit operator bool() const { return given; }
};

constexpr double heavy = 1e9, light = 100;  // predicted nanoseconds

// Every element is computed once, whatever it is predicted to take.
template <class Pool>
void check_once(Pool& pool) {
  for (const double nanoseconds : {0.0, light, heavy})
    for (const Offset size : {0, 1, 2, 7, 3000}) {
      std::vector<int> times(size);
      const bool done = for_elements(
          pool, size, nanoseconds, [] { return Cell(); },
          [&](Offset i, const Cell& cell) {
            cell.number = static_cast<int>(i);  // nobody else's
            times[i] += cell.number == i;
          });
      check(done, "done");
      for (const int t : times) check(t == 1, "every element once");
    }
}

void check_without_memory(Threads& pool) {
  std::atomic<int> asked = 0, computed = 0;
  const auto body = [&](Offset, const Cell&) { ++computed; };
  check(!for_elements(pool, 100, heavy, [] { return Cell{false}; }, body), "nobody has memory: a failure");
  check(computed == 0, "nothing is computed without memory");
  const auto first_only = [&] { return Cell{asked++ == 0}; };
  check(for_elements(pool, 100, heavy, first_only, body), "one worker with memory is enough");
  check(computed == 100, "one worker does everything");
}

// Two elements that wait for each other need two threads.
void check_side_by_side(Threads& pool) {
  std::atomic<int> here = 0;
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for_elements(
      pool, 2, heavy, [] { return Cell(); },
      [&](Offset, const Cell&) {
        ++here;
        while (here < 2) {
          check(std::chrono::steady_clock::now() < patience, "two elements are computed side by side");
          std::this_thread::yield();
        }
      });
}

// Batches that begin on the threads of the pool, more than it has.
void check_from_within(int n) {
  std::atomic<int> done = 0;
  {
    Threads pool(n);
    for (int task = 0; task < 8; ++task)
      pool.Schedule([&] {
        check_once(pool);
        ++done;
      });
  }
  check(done == 8, "batches on the pool's own threads");
}

void check_late() {
  Late pool;
  {
    int computed = 0;
    for_elements(pool, 100, heavy, [] { return Cell(); }, [&](Offset, const Cell&) { ++computed; });
    check(computed == 100, "the caller does what helpers do not");
  }
  check(pool.tasks.size() == 3, "helpers were asked");
  pool.late();  // what they would work on is gone
}

// Everything that a batch of matrices gives: of element i, the one with 4 + i/8 on the diagonal; the last one
// is indefinite.
template <class T, class Pool>
std::vector<T> compute(Pool& pool, const Grid& grid, const Symbolic& symbolic, const Embedding& embedding) {
  constexpr Offset batch = 12;
  const Offset nnz = static_cast<Offset>(grid.rows.size());
  const Offset each = 2 * symbolic.factor_size() + grid.n + 2 * nnz + 2;
  std::vector<T> results(batch * each);
  const auto schedule = symbolic.schedules.of(symbolic, 1);
  const Offset workspace = std::max({cholesky_workspace(symbolic, *schedule), solve_workspace(symbolic, 1),
                                     inverse_gradient_workspace(symbolic, *schedule, 1),
                                     factor_derivative_workspace(symbolic, *schedule, 1),
                                     factor_adjoint_workspace(symbolic, *schedule, 1)});
  const std::vector<T> b(grid.n, T(1));
  struct Scratch {
    mutable std::vector<T> entries;
    explicit operator bool() const { return true; }
  };
  for_elements(
      pool, batch, heavy, [&] { return Scratch{std::vector<T>(workspace)}; },
      [&](Offset i, const Scratch& scratch) {
        T* work = scratch.entries.data();
        Crew alone;
        T* factor = results.data() + i * each;
        T* x = factor + symbolic.factor_size();
        T* gradient = x + grid.n;
        T* derivative = gradient + nnz + 2;
        T* adjoint = derivative + symbolic.factor_size();
        const auto values = grid.values<T>(i + 1 < batch ? 4.0 + static_cast<double>(i) / 8 : -1.0);
        const Status status = cholesky<T>(symbolic, embedding, *schedule, alone, values.data(), factor, work);
        cholesky_solve<T>(symbolic, SolvePart::whole, factor, b.data(), 1, x, work);
        const T* direction = values.data();
        inverse_gradient<T>(symbolic, embedding, *schedule, alone, factor, {&direction, 1}, gradient, work);
        factor_derivative<T>(symbolic, embedding, *schedule, alone, factor, {&direction, 1}, derivative,
                             work);
        factor_adjoint<T>(symbolic, embedding, *schedule, alone, factor, derivative, {&direction, 1}, adjoint,
                          work);
        gradient[nnz] = cholesky_logdet<T>(symbolic, factor);
        gradient[nnz + 1] = static_cast<Real<T>>(status.code);
        count(Counter::factorization, 1);
      });
  return results;
}

// One thread of the stress: the same batch over and over, with structures out of a registry that all share
// and that somebody clears now and then.
template <class T>
void stress(Threads& pool, int seed) {
  constexpr int rounds = 12, sizes = 3;
  Inline alone;
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t which = (seed + round) % sizes;
    const Grid grid(static_cast<Index>(5 + 2 * which));
    const Hash hash{which, which};
    if (!find<Symbolic>(hash) || !find<Embedding>(hash)) {
      std::vector<Index> order(grid.n);
      amd(grid.columns(), order);
      auto symbolic =
          analyze(grid.columns(), order, {{100, 1, 1, 0.05, 8, 0}, 0, 0, 0, 0, 0}, Method::supernodal);
      Index outside;
      pin<Embedding>(hash, embed(*symbolic, grid.columns(), outside));
      pin<Symbolic>(hash, std::move(symbolic));
    }
    const auto symbolic = find<Symbolic>(hash);
    const auto embedding = find<Embedding>(hash);
    if ((seed + round) % 7 == 0) clear_structures();
    if (!symbolic || !embedding) continue;  // cleared by somebody else meanwhile
    const auto expected = compute<T>(alone, grid, *symbolic, *embedding);
    const auto actual = compute<T>(pool, grid, *symbolic, *embedding);
    for (std::size_t i = 0; i < expected.size(); ++i)
      check(same(expected[i], actual[i]), "the same numbers on many threads");
    check(!std::isnan(real_part(actual[0])), "a factor");
  }
}

}  // namespace

int main() {
  for (const int n : {0, 1, 2, 8}) {
    Threads pool(n);
    check_once(pool);
    check_without_memory(pool);
    if (n > 1) check_side_by_side(pool);
  }
  Inline at_once;
  check_once(at_once);
  Refusing refusing;
  check_once(refusing);
  check_late();
  for (const int n : {1, 3}) check_from_within(n);

  const std::int64_t before = counted(Counter::factorization);
  {
    Threads pool(2);
    std::vector<std::thread> threads;
    for (int seed = 0; seed < 8; ++seed)
      threads.emplace_back([&pool, seed] {
        switch (seed % 4) {
          case 0: return stress<double>(pool, seed);
          case 1: return stress<std::complex<double>>(pool, seed);
          case 2: return stress<float>(pool, seed);
          default: return stress<std::complex<float>>(pool, seed);
        }
      });
    for (std::thread& thread : threads) thread.join();
  }
  const std::int64_t factorizations = counted(Counter::factorization) - before;
  check(factorizations > 0 && factorizations % 24 == 0, "all factorizations are counted");
  return 0;
}
