// crew_check.cc: several threads on one matrix. The crew on pools of every kind; the dense kernels it shares
// out and the sweeps over the forest, which give the same numbers to the last bit for any number of threads;
// and the memory that a schedule assigns, in which nothing that is needed is overwritten. Prints the first
// thing that is wrong and exits with 1; compiled with ThreadSanitizer, it also fails on a data race.

#include <cmath>
#include <map>
#include <random>

#include "check.h"
#include "dense_crew.h"
#include "front.h"
#include "pivoted_check.h"
#include "schedule.h"

using namespace elimax;

namespace {

constexpr int teams[] = {2, 3, 5};

template <class Pool>
void check_crew(Pool& pool) {
  for (const int threads : {1, 2, 4}) {
    bool over = false;
    with_crew(pool, threads, [&](Crew& crew) {
      for (const Index count : {0, 1, 2, 3, 1000})
        for (int round = 0; round < 3; ++round) {
          std::vector<int> times(count), workers(count);
          crew.each(count, [&](Index i, int worker) {
            ++times[i];
            workers[i] = worker;
          });
          for (Index i = 0; i < count; ++i) {
            check(times[i] == 1, "every piece once");
            check(workers[i] >= 0 && workers[i] < threads, "a number for every worker");
          }
        }
      over = true;
    });
    check(over, "the captain's work is done");
  }
}

// Two pieces that wait for each other need two threads, in every round of the same crew.
void check_side_by_side() {
  Threads pool(2);
  with_crew(pool, 2, [](Crew& crew) {
    for (int round = 0; round < 50; ++round) {
      std::atomic<int> here = 0;
      crew.each(2, [&](Index, int) {
        ++here;
        while (here < 2) std::this_thread::yield();
      });
    }
  });
}

void check_late() {
  Late pool;
  int done = 0;
  with_crew(pool, 4, [&](Crew& crew) { crew.each(10, [&](Index, int) { ++done; }); });
  check(done == 10, "the captain does what helpers do not");
  pool.late();  // the crew is gone
}

template <class T>
std::vector<T> random_numbers(Offset size) {
  std::mt19937 generator(static_cast<unsigned>(size));
  std::normal_distribution<double> normal;
  std::vector<T> x(size);
  for (T& entry : x)
    if constexpr (std::is_same_v<T, Real<T>>)
      entry = static_cast<T>(normal(generator));
    else
      entry = T(static_cast<Real<T>>(normal(generator)), static_cast<Real<T>>(normal(generator)));
  return x;
}

// Kernels on m x n results, sums over k terms.
template <class T>
void check_dense(Index m, Index n, Index k) {
  const Index ld = m + 3;
  const auto A = random_numbers<T>(Offset{ld} * std::max(n, k)), B = random_numbers<T>(Offset{ld} * (n + k));
  std::vector<Real<T>> floor(n, 0);
  std::vector<T> L(Offset{n} * n, T(Real<T>(0.01)));
  for (Index j = 0; j < n; ++j) L[j * (n + 1)] = static_cast<Real<T>>(n);
  const auto results = [&](int threads) {
    std::vector<std::vector<T>> all;
    const auto with_result = [&](Index columns, const auto& compute) {
      all.emplace_back(B.begin(), B.begin() + Offset{ld} * columns);
      Threads pool(threads - 1);
      with_crew(pool, threads,
                [&](Crew& crew) { compute(CrewKernels<T>(dense<T>(), &crew), all.back().data()); });
    };
    with_result(n,
                [&](const auto& own, T* C) { own.gemm_nh(m, n, k, -1, A.data(), ld, B.data(), ld, C, ld); });
    with_result(n,
                [&](const auto& own, T* C) { own.gemm_nn(m, n, k, 1, A.data(), ld, B.data(), ld, C, ld); });
    with_result(n,
                [&](const auto& own, T* C) { own.gemm_hn(k, n, m, 1, A.data(), ld, B.data(), ld, C, ld); });
    with_result(n, [&](const auto& own, T* C) { own.trsm_h(m, n, L.data(), n, C, ld); });
    with_result(n, [&](const auto& own, T* C) { own.trsm_n(m, n, L.data(), n, C, ld); });
    const auto clear_above = [&](T* C) {
      for (Index j = 1; j < n; ++j) std::fill_n(C + Offset{ld} * j, j, T{});
    };
    with_result(n, [&](const auto& own, T* C) {
      own.herk(m, n, k, A.data(), ld, C, ld);
      clear_above(C);
    });
    with_result(n, [&](const auto& own, T* C) {
      clear_above(C);
      for (Index j = 0; j < n; ++j) C[j * static_cast<Offset>(ld + 1)] = static_cast<Real<T>>(4 * m);
      check(own.panel(m, n, floor.data(), C, ld) == n, "a factorization to the end");
      for (Index j = 1; j < n; ++j)
        for (Index i = 0; i < j; ++i) check(C[i + Offset{ld} * j] == T{}, "zero above the diagonal");
      std::vector<T> copy = all.back();
      const Index bad = n / 2;
      copy[bad * static_cast<Offset>(ld + 1)] = T(-1);
      check(own.panel(m, n, floor.data(), copy.data(), ld) <= bad, "a failing pivot is seen");
    });
    return all;
  };
  const auto expected = results(1);
  for (const int threads : teams) {
    const auto actual = results(threads);
    for (std::size_t r = 0; r < expected.size(); ++r)
      for (std::size_t i = 0; i < expected[r].size(); ++i)
        check(same(expected[r][i], actual[r][i]), "dense kernels by a crew");
  }
}

// The memory of update matrices during a sweep: who owns every entry.
class Memory {
 public:
  explicit Memory(Offset size) : owner_(size, none) {}
  void make(Offset at, Offset size, Index s) {
    for (Offset p = at; p < at + size; ++p) {
      check(p >= 0 && p < static_cast<Offset>(owner_.size()), "an update matrix lies in the workspace");
      check(owner_[p] == none, "nothing is overwritten");
      owner_[p] = s;
    }
    peak_ = std::max(peak_, live_ += size);
  }
  Offset peak() const { return peak_; }  // entries in use at once
  void free(Offset at, Offset size, Index s) {
    for (Offset p = at; p < at + size; ++p) {
      check(owner_[p] == s, "it is still there when it is needed");
      owner_[p] = none;
    }
    live_ -= size;
  }

 private:
  std::vector<Index> owner_;
  Offset live_ = 0, peak_ = 0;
};

// Replays the sweeps, subtrees dealt out to workers in turn and interleaved.
void check_memory(const Symbolic& symbolic, const Schedule& schedule) {
  const auto square = [&](Index s) { return Offset{symbolic.below(s)} * symbolic.below(s); };
  const auto triangle = [&](Index s) { return Trapezoids(symbolic.below(s)).size(); };
  std::vector<int> visits(symbolic.supernodes());
  for (const bool triangles : {false, true}) {
    const Stacks& stacks = triangles ? schedule.triangles : schedule.squares;
    const auto size = [&](Index s) { return triangles ? triangle(s) : square(s); };
    const auto early = [&](Index s) { return triangles && schedule.early[s]; };
    Memory memory(stacks.size(schedule.threads));
    const auto visit = [&](Index s, int id) {
      ++visits[s];
      if (early(s)) return;
      memory.make(stacks.at(s, id), size(s), s);
      schedule.for_children(s, [&](Index child) { memory.free(stacks.at(child, id), size(child), child); });
    };
    const auto arrive = [&](Index s, int id) {
      const Index parent = symbolic.super_parent[s];
      if (parent == none) return memory.free(stacks.at(s, id), size(s), s);
      if (!early(parent)) return;
      if (schedule.first_child[parent] == s) memory.make(stacks.at(parent, id), size(parent), parent);
      memory.free(stacks.at(s, id), size(s), s);
    };
    std::vector<Index> next(schedule.threads, 0);
    std::vector<std::size_t> task(schedule.threads);
    for (int id = 0; id < schedule.threads; ++id) task[id] = id;
    for (bool busy = true; busy;) {
      busy = false;
      for (int id = 0; id < schedule.threads; ++id) {
        if (task[id] >= schedule.subtrees.size()) continue;
        busy = true;
        const auto [first, last] = schedule.subtrees[task[id]];
        const Index s = first + next[id]++;
        visit(s, id);
        if (schedule.is_inside(s)) arrive(s, id);
        if (s + 1 == last) task[id] += schedule.threads, next[id] = 0;
      }
    }
    schedule.for_top([&](Index s, bool visited) {
      if (!visited) visit(s, 0);
      arrive(s, 0);
      return true;
    });
    check(schedule.threads > 1 || memory.peak() == stacks.size(1), "no more memory than is in use");
  }
  Crew alone;
  downward(schedule, alone, [&](Index s, Worker) { ++visits[s]; });
  for (const int times : visits) check(times == 3, "every supernode is visited once by a sweep");
}

constexpr Index right_hand_sides[] = {1, 2, 5, 40, 67};  // one by one, together, side by side

// Everything that is computed for one matrix, by so many threads.
template <class T>
std::vector<T> compute(const Symbolic& symbolic, const Embedding& embedding, const std::vector<T>& values,
                       int threads) {
  const auto schedule = symbolic.schedules.of(symbolic, threads);
  const Offset size = symbolic.factor_size(), nnz = static_cast<Offset>(values.size());
  Offset columns = 0, most = 0;
  for (const Index k : right_hand_sides) {
    columns += 3 * k;
    most = std::max(most, solve_workspace(symbolic, *schedule, k));
  }
  std::vector<T> results(2 * size + 2 * nnz + 2 + columns * symbolic.n);
  std::vector<T> workspace(std::max({cholesky_workspace(symbolic, *schedule), most,
                                     inverse_gradient_workspace(symbolic, *schedule, 1),
                                     factor_derivative_workspace(symbolic, *schedule, 1),
                                     factor_adjoint_workspace(symbolic, *schedule, 1)}));
  T *factor = results.data(), *derivative = factor + size, *gradient = derivative + size,
    *adjoint = gradient + nnz, *work = workspace.data();
  const T* direction = values.data();
  Threads pool(threads - 1);
  with_crew(pool, threads, [&](Crew& crew) {
    const Status status = cholesky<T>(symbolic, embedding, *schedule, crew, values.data(), factor, work);
    results.end()[-1] = static_cast<Real<T>>(status.code);
    results.end()[-2] = static_cast<Real<T>>(status.detail);
    inverse_gradient<T>(symbolic, embedding, *schedule, crew, factor, {&direction, 1}, gradient, work);
    factor_derivative<T>(symbolic, embedding, *schedule, crew, factor, {&direction, 1}, derivative, work);
    factor_adjoint<T>(symbolic, embedding, *schedule, crew, factor, derivative, {&direction, 1}, adjoint,
                      work);
    T* x = adjoint + nnz;
    for (const Index k : right_hand_sides) {
      const auto b = random_numbers<T>(Offset{symbolic.n} * k);
      for (const auto part : {SolvePart::whole, SolvePart::forward, SolvePart::backward}) {
        cholesky_solve<T>(symbolic, *schedule, crew, part, factor, b.data(), k, x, work);
        x += b.size();
      }
    }
  });
  return results;
}

template <class T>
void check_matrix(const Symbolic& symbolic, const Embedding& embedding, const std::vector<T>& values) {
  const auto expected = compute(symbolic, embedding, values, 1);
  for (const int threads : teams) {
    const auto actual = compute(symbolic, embedding, values, threads);
    for (std::size_t i = 0; i < expected.size(); ++i)
      check(same(expected[i], actual[i]), "the same numbers by any number of threads");
  }
}

constexpr TimeModel model{{100, 0.5, 0.8, 0.05, 128, 0.9}, 0, 0, 0, 0, 0};

// Random forests: a matrix whose columns have few entries.
void check_forests() {
  std::mt19937 generator(0);
  for (int round = 0; round < 60; ++round) {
    const Index n = 1 + static_cast<Index>(generator() % 200);
    const unsigned sparsity = 1 + generator() % 300;
    Pattern A{n, n, {0}, {}};
    for (Index j = 0; j < n; ++j) {
      for (Index i = j; i < n; ++i)
        if (i == j || generator() % sparsity == 0) A.rows.push_back(i);
      A.ptr.push_back(static_cast<Index>(A.rows.size()));
    }
    std::vector<Index> order(n);
    amd(A, order);
    const TimeModel cases[] = {model, {{0, 0, 0, 0, 0, -1}, 0, 0, 0, 0, 0}};
    const auto symbolic = analyze(A, order, cases[round % 2], Method::supernodal);
    for (const int threads : {1, 2, 7}) check_memory(*symbolic, *symbolic->schedules.of(*symbolic, threads));
  }
}

void check_grid() {
  const Grid grid(60);
  std::vector<Index> order(grid.n);
  amd(grid.columns(), order);
  const auto symbolic = analyze(grid.columns(), order, model, Method::supernodal);
  Index outside;
  const auto embedding = embed(*symbolic, grid.columns(), outside);
  for (const int threads : {1, 2, 3, 8}) {
    const auto schedule = symbolic->schedules.of(*symbolic, threads);
    check(threads == 1 || static_cast<int>(schedule->subtrees.size()) >= threads, "work for every thread");
    check_memory(*symbolic, *schedule);
  }
  check_matrix(*symbolic, *embedding, grid.values<float>(4.5));
  check_matrix(*symbolic, *embedding, grid.values<std::complex<double>>(4.5));
  auto values = grid.values<double>(4.5);
  check_matrix(*symbolic, *embedding, values);
  for (const Index j : {17, 1800, 3599}) values[grid.ptr[j]] = -1;  // several fail: the first is reported
  check_matrix(*symbolic, *embedding, values);
  values[5] = NAN;
  check_matrix(*symbolic, *embedding, values);
  check_pivoted<double>(*symbolic, grid.columns());
  check_pivoted<std::complex<float>>(*symbolic, grid.columns());
}

// One front, large enough for the whole crew.
void check_dense_matrix() {
  constexpr Index n = 400;
  Pattern A{n, n, {0}, {}};
  std::vector<double> values;
  std::vector<Index> order(n);
  for (Index j = 0; j < n; ++j) {
    order[j] = j;
    for (Index i = j; i < n; ++i) {
      A.rows.push_back(i);
      values.push_back(i == j ? n : std::cos(i * 0.7 + j));
    }
    A.ptr.push_back(static_cast<Index>(A.rows.size()));
  }
  const auto symbolic = analyze(A, order, model, Method::supernodal);
  const auto schedule = symbolic->schedules.of(*symbolic, 2);
  check(schedule->subtrees.empty() && schedule->top.size() == 1, "a schedule without subtrees");
  check_memory(*symbolic, *schedule);
  Index outside;
  check_matrix(*symbolic, *embed(*symbolic, A, outside), values);
  check_pivoted<double>(*symbolic, A);
}

}  // namespace

int main() {
  for (const int n : {0, 1, 2, 8}) {
    Threads pool(n);
    check_crew(pool);
  }
  Inline at_once;
  check_crew(at_once);
  Refusing refusing;
  check_crew(refusing);
  check_late();
  check_side_by_side();

  check_dense<double>(1100, 600, 300);
  check_dense<float>(700, 520, 150);
  check_dense<std::complex<double>>(500, 200, 130);
  check_dense<std::complex<float>>(430, 300, 90);
  check_forests();
  check_grid();
  check_dense_matrix();
  return 0;
}
