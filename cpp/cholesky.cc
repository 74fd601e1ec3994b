// cholesky.cc: P A P^T = L L^H by the multifrontal method, and log det A.
//
// Every supernode s is eliminated within its front (front.h): the front is assembled, its c columns are
// factorized,
//     F11 = L11 L11^H,   L21 = F21 L11^-H,   U = F22 - L21 L21^H,
// and the update matrix U waits on a stack for the front of the parent (Duff and Reid, TOMS 9, 1983; Liu,
// "The multifrontal method for sparse matrix solution: theory and practice", SIAM Review 34, 1992). Cost:
// sum of counts^2 flops, all but the assembly in dense kernels, plus a workspace of stacked update matrices.
//
// Why multifrontal and not left-looking: one update matrix and one relative map per front serve the
// factorization, the selected inverse and all derivatives, upwards and downwards; fronts of disjoint
// subtrees share nothing, so the tree can be worked on in parallel; and the order of every sum is fixed
// by the structure, so the result is the same on every run.

#include <cmath>
#include <limits>

#include "core.h"
#include "dense.h"
#include "front.h"
#include "schedule.h"

namespace elimax {
namespace {

// With D = diag(A), A is semidefinite as far as its values in this precision can tell if the smallest
// eigenvalue of D^-1/2 A D^-1/2 is below a few roundings of 1: whether Cholesky then runs to the end is
// chance (Higham, Accuracy and Stability of Numerical Algorithms, 2002).
constexpr int roundings = 16;

// The pivot that lost most of the diagonal entry it started from, in units of the rounding error of that
// entry. Null vectors leave rounding errors behind instead of a zero: about sqrt(n) units where they add up
// like a random walk, n where they are systematic.
template <class R>
struct SmallestPivot {
  R units = std::numeric_limits<R>::infinity();
  Index column = none;

  void offer(R candidate, Index j) {
    if (candidate < units) {
      units = candidate;
      column = j;
    }
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

// Why elimination stopped at a pivot: a value that is not finite always ends there, because it makes the
// diagonal entry of its row NaN or infinite.
template <class T>
Status failure(const Symbolic& symbolic, const Embedding& embedding, const T* values, Index pivot) {
  for (std::size_t p = 0; p < embedding.source.size(); ++p)
    if (!finite(values[p])) return {status_not_finite, static_cast<Index>(p)};
  return {1 + symbolic.permutation[pivot], 0};
}

Offset stacks_or_vectors(const Symbolic& symbolic) {
  return std::max(symbolic.workspace, 2 * static_cast<Offset>(symbolic.n) + solve_workspace(symbolic, 1));
}

}  // namespace

// The stacks of update matrices; once they are empty, the vectors of numerically_singular.
Offset cholesky_workspace(const Symbolic& symbolic) {
  return stacks_or_vectors(symbolic) + symbolic.max_columns + Children::size(symbolic);
}

template <class T>
Status cholesky(const Symbolic& symbolic, const Embedding& embedding, const T* values, T* factor,
                T* workspace) {
  const DenseKernels<T>& kernels = dense<T>();
  T* updates = workspace;
  T* floors = updates + stacks_or_vectors(symbolic);
  auto* floor = reinterpret_cast<Real<T>*>(floors);  // a rounding of the diagonal entry of every column
  const Children children(symbolic, reinterpret_cast<Index*>(floors + symbolic.max_columns));

  Index failed = none;
  SmallestPivot<Real<T>> smallest;
  upward(symbolic, [&](Index s) {
    const Front<T> front = front_of(symbolic, s, factor, updates);
    clear(front);
    assemble(embedding, s, values, front);
    const Offset stride = front.size() + 1;  // along the diagonal of the panel
    for (Index j = 0; j < front.c; ++j)
      floor[j] = std::numeric_limits<Real<T>>::epsilon() * std::abs(real_part(front.panel[stride * j]));
    children.of(s, [&](Index child) {
      extend_add(relative_rows(symbolic, child), updates + symbolic.update[child], front);
    });

    const Index done = kernels.panel(front.size(), front.c, floor, front.panel, front.size());
    if (done < front.c) {
      failed = symbolic.super[s] + done;
      return false;
    }
    for (Index j = 0; j < front.c; ++j)
      smallest.offer(std::norm(real_part(front.panel[stride * j])) / floor[j], symbolic.super[s] + j);
    kernels.herk(front.u, front.c, front.below(), front.size(), front.update, front.u);
    return true;
  });

  if (failed == none && smallest.suspicious(symbolic.n) &&
      numerically_singular(symbolic, embedding, values, factor, smallest.column, workspace))
    failed = smallest.column;
  if (failed == none) return {};
  std::fill_n(factor, symbolic.factor_size(), T(std::numeric_limits<Real<T>>::quiet_NaN()));
  return failure(symbolic, embedding, values, failed);
}

// log prod L_jj^2, with the product kept as fraction * 2^exponent: one logarithm in all, and an error of
// about eps * sqrt(n) in double precision whatever T is.
template <class T>
Real<T> cholesky_logdet(const Symbolic& symbolic, const T* factor) {
  double fraction = 1;
  double exponent = 0;
  const auto normalize = [&] {
    int shift;
    fraction = std::frexp(fraction, &shift);
    exponent += shift;
  };
  for (Index s = 0; s < symbolic.supernodes(); ++s) {
    const Offset stride = symbolic.front(s) + 1;
    const T* diagonal = factor + symbolic.panel[s];
    for (Index j = 0; j < symbolic.columns(s); ++j, diagonal += stride) {
      fraction *= real_part(*diagonal);
      if (!(fraction > 1e-100 && fraction < 1e100)) normalize();
    }
  }
  return static_cast<Real<T>>(2 * (std::log(fraction) + exponent * std::log(2.0)));
}

#define INSTANTIATE(T)                                                              \
  template Status cholesky<T>(const Symbolic&, const Embedding&, const T*, T*, T*); \
  template Real<T> cholesky_logdet<T>(const Symbolic&, const T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
