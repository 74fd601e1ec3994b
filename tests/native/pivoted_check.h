// pivoted_check.h: factorizations with pivots, and the derivatives of log|det A| from them, by several
// threads: the same numbers to the last bit for any number of them.
#pragma once

#include <cmath>

#include "check.h"
#include "schedule.h"

namespace elimax {

// The factor of a general matrix, its pivots, and the gradients of orders 0 and 1, by so many threads.
template <class T>
std::vector<T> pivoted_results(const Symbolic& symbolic, const Embedding& embedding,
                               const std::vector<T>& values, int threads) {
  constexpr Storage storage = Storage::general;
  const auto schedule = symbolic.schedules.of(symbolic, threads);
  const Offset size = pivoted_factor_size(symbolic, storage), nnz = static_cast<Offset>(values.size());
  std::vector<T> results(size + 2 * nnz + symbolic.n);
  std::vector<T> workspace(std::max(lu_workspace(symbolic, *schedule),
                                    inverse_gradient_workspace(symbolic, *schedule, storage, 1)));
  std::vector<Index> pivots(symbolic.n);
  T *gradient = results.data() + size, *work = workspace.data();
  const T* direction = values.data();
  Threads pool(threads - 1);
  with_crew(pool, threads, [&](Crew& crew) {
    lu(symbolic, embedding, *schedule, crew, values.data(), results.data(), pivots.data(), work);
    const Factor<T> factor = pivoted_factor<T>(symbolic, storage, results.data(), pivots.data());
    inverse_gradient<T>(symbolic, embedding, *schedule, crew, factor, {}, gradient, work);
    inverse_gradient<T>(symbolic, embedding, *schedule, crew, factor, {&direction, 1}, gradient + nnz, work);
  });
  std::copy(pivots.begin(), pivots.end(), gradient + 2 * nnz);
  return results;
}

// An unsymmetric matrix on the pattern of L + L^T, L the given one.
template <class T>
void check_pivoted(Columns lower, const Symbolic& symbolic) {
  Pattern A{lower.n_rows, lower.n_cols, {0}, {}};
  std::vector<std::vector<Index>> left(lower.n_rows);
  std::vector<Index> row_of_column;
  std::vector<T> values;
  for (Index j = 0; j < lower.n_cols; ++j) {
    A.rows.insert(A.rows.end(), left[j].begin(), left[j].end());
    for (Index p = lower.ptr[j]; p < lower.ptr[j + 1]; ++p) {
      A.rows.push_back(lower.rows[p]);
      if (lower.rows[p] != j) left[lower.rows[p]].push_back(j);
    }
    A.ptr.push_back(static_cast<Index>(A.rows.size()));
    row_of_column.push_back(j);
    while (values.size() < A.rows.size())
      values.push_back(static_cast<Real<T>>(std::cos(0.7 * static_cast<double>(values.size()))));
  }
  Index outside;
  const auto embedding = embed_general(symbolic, A, row_of_column, outside);
  const auto expected = pivoted_results(symbolic, *embedding, values, 1);
  for (const int threads : {2, 3}) {
    const auto actual = pivoted_results(symbolic, *embedding, values, threads);
    for (std::size_t i = 0; i < expected.size(); ++i)
      check(same(expected[i], actual[i]), "the same LU and inverse by any number of threads");
  }
}

}  // namespace elimax
