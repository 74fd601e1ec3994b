// pivoted_check.h: factorizations with pivots, and the derivatives of log|det A| from them, by several
// threads: the same numbers to the last bit for any number of them.
#pragma once

#include <algorithm>
#include <cmath>

#include "check.h"
#include "schedule.h"

namespace elimax {

// The factor of a matrix, its pivots, and the gradients of orders 0 and 1, by so many threads.
template <class T>
std::vector<T> pivoted_results(Storage storage, const Symbolic& symbolic, const Embedding& embedding,
                               const std::vector<T>& values, int threads) {
  const auto schedule = symbolic.schedules.of(symbolic, threads);
  const Offset size = pivoted_factor_size(symbolic, storage), nnz = static_cast<Offset>(values.size());
  std::vector<T> results(size + 2 * nnz + symbolic.n);
  std::vector<T> workspace(std::max({lu_workspace(symbolic, *schedule), ldl_workspace(symbolic, *schedule),
                                     inverse_gradient_workspace(symbolic, *schedule, storage, 1)}));
  std::vector<Index> pivots(symbolic.n);
  T *gradient = results.data() + size, *work = workspace.data();
  const T* direction = values.data();
  Threads pool(threads - 1);
  with_crew(pool, threads, [&](Crew& crew) {
    if (storage == Storage::general)
      lu(symbolic, embedding, *schedule, crew, values.data(), results.data(), pivots.data(), work);
    else
      ldl(symbolic, embedding, *schedule, crew, values.data(), results.data(), pivots.data(), work);
    const Factor<T> factor = pivoted_factor<T>(symbolic, storage, results.data(), pivots.data());
    inverse_gradient<T>(symbolic, embedding, *schedule, crew, factor, {}, gradient, work);
    inverse_gradient<T>(symbolic, embedding, *schedule, crew, factor, {&direction, 1}, gradient + nnz, work);
  });
  for (Index k = 0; k < symbolic.n; ++k) gradient[2 * nnz + k] = static_cast<Real<T>>(pivots[k]);
  return results;
}

template <class T>
void check_pivoted(Storage storage, const Symbolic& symbolic, Columns pattern) {
  std::vector<T> values(pattern.rows.size());
  for (std::size_t p = 0; p < values.size(); ++p)
    values[p] = static_cast<Real<T>>(std::cos(0.7 * static_cast<double>(p)));
  if (!values.empty()) values[values.size() / 2] = T{};
  std::vector<Index> matching(pattern.n_cols);
  for (Index j = 0; j < pattern.n_cols; ++j) matching[j] = j;
  Index outside;
  const auto embedding = storage == Storage::general ? embed_general(symbolic, pattern, matching, outside)
                                                     : embed(symbolic, pattern, outside);
  const auto expected = pivoted_results(storage, symbolic, *embedding, values, 1);
  for (const int threads : {2, 3, 5}) {
    const auto actual = pivoted_results(storage, symbolic, *embedding, values, threads);
    for (std::size_t i = 0; i < expected.size(); ++i)
      check(same(expected[i], actual[i]), "the same LDL or LU, and inverse, by any number of threads");
  }
}

// A symmetric matrix with the pattern of L + L^T, and one that is not, for the given pattern of L.
template <class T>
void check_pivoted(const Symbolic& symbolic, Columns lower) {
  check_pivoted<T>(Storage::hermitian, symbolic, lower);
  Pattern A{lower.n_rows, lower.n_cols, {0}, {}};
  std::vector<std::vector<Index>> above(lower.n_rows);
  for (Index j = 0; j < lower.n_cols; ++j) {
    A.rows.insert(A.rows.end(), above[j].begin(), above[j].end());
    for (Index p = lower.ptr[j]; p < lower.ptr[j + 1]; ++p) {
      A.rows.push_back(lower.rows[p]);
      if (lower.rows[p] != j) above[lower.rows[p]].push_back(j);
    }
    A.ptr.push_back(static_cast<Index>(A.rows.size()));
  }
  check_pivoted<T>(Storage::general, symbolic, A);
}

}  // namespace elimax
