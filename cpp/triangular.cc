// triangular.cc: op(T) x = b by substitution on any sparse triangular pattern.
//
// By columns, as the matrix is stored: T x = b finishes x_j and subtracts x_j times column j from the
// unknowns still open; T^T x = b subtracts the product of column j with the unknowns already known and
// then finishes x_j (Davis, Direct Methods for Sparse Linear Systems, 2006). Substitution in
// a lower triangle runs from the first column to the last, in an upper one from the last to the first, and
// transposition reverses it. Cost: 2 nnz flops per right-hand side.

#include <algorithm>
#include <limits>

#include "numeric.h"

namespace elimax {

template <class T>
Status triangular_solve(Columns pattern, bool lower, bool transpose, bool unit_diagonal, const T* values,
                        const T* b, Index k, T* x) {
  const Index n = pattern.n_cols;
  const Offset width = k;
  std::copy_n(b, n * width, x);
  const auto subtract = [&](T factor, Index from, Index to) {  // x_to -= factor * x_from
    for (Offset r = 0; r < width; ++r) x[to * width + r] -= factor * x[from * width + r];
  };
  for (Index step = 0; step < n; ++step) {
    const Index j = lower != transpose ? step : n - 1 - step;
    const Index begin = pattern.ptr[j], end = pattern.ptr[j + 1];
    const auto rows = pattern.rows.begin();
    const Index split = static_cast<Index>(std::lower_bound(rows + begin, rows + end, j) - rows);
    const bool stored = split < end && rows[split] == j;
    const Index first = lower ? split + stored : begin, last = lower ? end : split;

    if (transpose)
      for (Index p = first; p < last; ++p) subtract(values[p], rows[p], j);
    if (!unit_diagonal) {
      if (!stored || values[split] == T{}) {
        std::fill_n(x, n * width, T(std::numeric_limits<Real<T>>::quiet_NaN()));
        return {status_zero_diagonal, j};
      }
      for (Offset r = 0; r < width; ++r) x[j * width + r] /= values[split];
    }
    if (!transpose)
      for (Index p = first; p < last; ++p) subtract(values[p], j, rows[p]);
  }
  return {};
}

#define INSTANTIATE(T) \
  template Status triangular_solve<T>(Columns, bool, bool, bool, const T*, const T*, Index, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
