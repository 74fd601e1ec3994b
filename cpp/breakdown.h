// breakdown.h: when an elimination has failed, and what it then reports.
//
// It stops at a pivot that is not positive, which its kernel sees. One that ran to the end fails all the same
// if the matrix is singular as far as its values can tell: a pivot that lost almost all of the diagonal entry
// it started from is suspicious, and a Rayleigh quotient decides.
// Cost: a comparison per column; half a solve where a pivot is suspicious.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric.h"

namespace elimax {

// With D = diag(A), A is semidefinite as far as its values in this precision can tell if the smallest
// eigenvalue of D^-1/2 A D^-1/2 is below a few roundings of 1: whether Cholesky then runs to the end is
// chance (Higham, Accuracy and Stability of Numerical Algorithms, 2002).
inline constexpr int roundings = 16;

// The pivot that lost most of the diagonal entry it started from, in units of the rounding error of that
// entry. Null vectors leave rounding errors behind instead of a zero: about sqrt(n) units where they add up
// like a random walk, n where they are systematic.
template <class R>
struct SmallestPivot {
  R units = std::numeric_limits<R>::infinity();
  Index column = none;

  void offer(R candidate, Index j) {
    if (candidate > units || (candidate == units && j > column)) return;  // the first of equals, in any order
    units = candidate;
    column = j;
  }
  bool suspicious(Index n) const { return units < static_cast<R>(roundings) * static_cast<R>(n); }
};

// Whether x = P^T L^-H e_pivot, for which x^H A x = 1, has a Rayleigh quotient x^H A x / x^H D x that proves
// the scaled matrix singular within rounding. Cost: half a solve.
template <class T>
bool numerically_singular(const Symbolic& symbolic, const Embedding& embedding, const T* values,
                          const T* factor, Index pivot, T* workspace) {
  T* e = workspace;
  T* x = e + symbolic.n;
  std::fill_n(e, symbolic.n, T{});
  e[pivot] = T(1);
  cholesky_solve(symbolic, SolvePart::backward, factor, e, 1, x, x + symbolic.n);
  double scaled = 0;
  for (Index k = 0; k < symbolic.n; ++k)
    if (embedding.diagonal[k] != none)
      scaled += std::abs(real_part(values[embedding.diagonal[k]])) * std::norm(x[symbolic.permutation[k]]);
  return !(scaled * roundings * std::numeric_limits<Real<T>>::epsilon() < 1);
}

template <class T>
bool finite(T x) {
  return std::isfinite(real_part(x)) && std::isfinite(std::imag(x));
}

// The position of the first value that is not finite, or none.
template <class T>
Index first_not_finite(const Embedding& embedding, const T* values) {
  const auto size = static_cast<Index>(embedding.source.size());
  constexpr Index lanes = 8;
  T zeros[lanes] = {};  // or NaN
  Index p = 0;
  for (; p + lanes <= size; p += lanes)
    for (Index lane = 0; lane < lanes; ++lane) zeros[lane] += values[p + lane] * Real<T>(0);
  if (!std::all_of(zeros, zeros + lanes, [](T zero) { return zero == T{}; })) p = 0;
  for (; p < size; ++p)
    if (!finite(values[p])) return p;
  return none;
}

// Why elimination stopped at a pivot: a value that is not finite always ends there, because it makes the
// diagonal entry of its row NaN or infinite.
template <class T>
Status failure(const Symbolic& symbolic, const Embedding& embedding, const T* values, Index pivot) {
  const Index bad = first_not_finite(embedding, values);
  return bad != none ? Status{status_not_finite, bad} : Status{1 + symbolic.permutation[pivot], 0};
}

inline Offset conclude_workspace(const Symbolic& symbolic) {
  return 2 * static_cast<Offset>(symbolic.n) + solve_workspace(symbolic, 1);
}

// The status of an elimination that stopped at the pivot `failed`, or ran to the end if that is `none`. The
// factor of one that failed becomes NaN.
template <class T>
Status conclude(const Symbolic& symbolic, const Embedding& embedding, const T* values, Index failed,
                const SmallestPivot<Real<T>>& smallest, T* factor, T* workspace) {
  if (failed == none && smallest.suspicious(symbolic.n) &&
      numerically_singular(symbolic, embedding, values, factor, smallest.column, workspace))
    failed = smallest.column;
  if (failed == none) return {};
  std::fill_n(factor, symbolic.factor_size(), T(std::numeric_limits<Real<T>>::quiet_NaN()));
  return failure(symbolic, embedding, values, failed);
}

}  // namespace elimax
