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

#include "breakdown.h"
#include "core.h"
#include "dense.h"
#include "front.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax {
namespace {

Offset stacks_or_vectors(const Symbolic& symbolic) {
  return std::max(symbolic.workspace, conclude_workspace(symbolic));
}

}  // namespace

// The stacks of update matrices; once they are empty, the vectors of conclude.
Offset cholesky_workspace(const Symbolic& symbolic) {
  if (symbolic.simplicial()) return simplicial::cholesky_workspace(symbolic);
  return stacks_or_vectors(symbolic) + symbolic.max_columns + Children::size(symbolic);
}

template <class T>
Status cholesky(const Symbolic& symbolic, const Embedding& embedding, const T* values, T* factor,
                T* workspace) {
  if (symbolic.simplicial()) return simplicial::cholesky(symbolic, embedding, values, factor, workspace);
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

  return conclude(symbolic, embedding, values, failed, smallest, factor, workspace);
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
