// incomplete.cc: L U close to A, with entries only where A has them: ILU(0).
//
// Column by column, u_kj = a_kj - sum_{l<k} l_kl u_lj above the diagonal and l_ij u_jj = a_ij - sum_{l<j}
// l_il u_lj below it, where what falls outside of the pattern is dropped, or with `modified` added to u_jj,
// which keeps the column sums of A. A pivot that is lost is replaced by the largest entry of its column: LU
// is only a preconditioner. So is, where A is positive definite, a pivot that is not positive.
//
// Sources: Meijerink, van der Vorst, Math. Comp. 31 (1977) 148-162; Gustafsson, BIT 18 (1978) 142-156: the
//          modified form; Saad, Iterative Methods for Sparse Linear Systems (2003), section 10.3.
// Cost: one step for every pair of entries (i, k), (k, j) with k < min(i, j).

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric.h"

namespace elimax {

template <class T>
Status incomplete_lu(Columns pattern, const T* values, bool modified, bool positive, T* factor, Index* work) {
  using R = Real<T>;
  const Index n = pattern.n_cols;
  const auto& ptr = pattern.ptr;
  const auto& rows = pattern.rows;
  Status status;
  Index *const place = work, *const diagonal =
                                 work + n;  // of every row in the present column; of every pivot
  std::fill_n(place, n, none);
  for (Index j = 0; j < n; ++j) {
    const Index begin = ptr[j], end = ptr[j + 1];
    R largest{};
    for (Index p = begin; p < end; ++p) {
      if (!std::isfinite(std::abs(values[p]))) {
        std::fill_n(factor, ptr[n], T(std::numeric_limits<R>::quiet_NaN()));
        return {status_not_finite, p};
      }
      factor[p] = values[p];
      place[rows[p]] = p;
      largest = std::max<R>(largest, std::abs(values[p]));
    }
    const Index d = diagonal[j] = place[j];
    for (Index p = begin; p < d; ++p) {
      const Index k = rows[p];
      const T u = factor[p];
      for (Index q = diagonal[k] + 1; q < ptr[k + 1]; ++q) {
        const Index target = place[rows[q]];
        if (target != none) {
          factor[target] -= factor[q] * u;
        } else if (modified) {
          factor[d] -= factor[q] * u;
        }
      }
    }
    const R tiny = std::numeric_limits<R>::epsilon() * largest;
    const bool is_lost = positive ? !(std::real(factor[d]) > tiny) : !(std::abs(factor[d]) > tiny);
    if (is_lost) {
      factor[d] = largest > R{} ? T(largest) : T(1);
      if (status.code == 0) status = {status_pivots_perturbed, j};
    }
    for (Index p = d + 1; p < end; ++p) factor[p] /= factor[d];
    for (Index p = begin; p < end; ++p) place[rows[p]] = none;
  }
  return status;
}

#define INSTANTIATE(T) template Status incomplete_lu<T>(Columns, const T*, bool, bool, T*, Index*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
