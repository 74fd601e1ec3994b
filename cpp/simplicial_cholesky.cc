// simplicial_cholesky.cc: P A P^T = L L^H, one column after the other.
//
// Column j is assembled from the values of A and the update matrices of its children, which are the last
// ones on a stack because columns are numbered in postorder. Along a chain they need not be moved: that of an
// only child whose rows are the first ones of its parent is the parent's F22 where it lies. Then
//
//     U = F22 - x x^H / d,   L_jj = sqrt(d),   L_ij = x_i / L_jj.
//
// An update matrix follows from d and x by one division: along a chain of columns each of which waits for the
// one before, square roots stay off the critical path.
//
// Source: Duff and Reid, TOMS 9 (1983), with fronts of one column.
// Cost: sum of counts^2 / 2 multiplications and additions, and as many additions to assemble.

#include <algorithm>
#include <cmath>
#include <limits>

#include "breakdown.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax::simplicial {
namespace {

// The entries of A in column j, zero elsewhere.
template <class T>
void assemble(const Embedding& embedding, Index j, Index u, const T* values, T* x) {
  const Offset begin = embedding.ptr[j], end = embedding.ptr[j + 1];
  if (end - begin <= u) std::fill_n(x, u + 1, T{});  // otherwise there is a value for each
  for (Offset p = begin; p < end; ++p) {
    x[embedding.target[p]] = value_at(values, embedding.source[p]);
  }
  x[0] = real_part(x[0]);
}

// A lower triangle of order m, column by column.
template <class T>
struct Triangle {
  Index m;
  const T* data;
  Index ld;
};

// U = F22 - x x^H / d, lower triangle, where F22 is zero beyond `known`, which may be U itself.
template <class T>
void subtract_square(Index u, const T* x, Real<T> inverse, Triangle<T> known, T* U) {
  for (Index k = 0; k < u; ++k, U += u) {
    const T y = conjugate(x[k]) * inverse;
    Index i = k;
    for (; i < known.m; ++i) U[i] = known.data[static_cast<Offset>(k) * known.ld + i] - x[i] * y;
    for (; i < u; ++i) U[i] = -x[i] * y;
  }
}

Offset stacks_or_vectors(const Symbolic& symbolic, const Schedule& schedule) {
  return std::max(schedule.squares.shared, conclude_workspace(symbolic));
}

}  // namespace

Offset cholesky_workspace(const Symbolic& symbolic, const Schedule& schedule) {
  return stacks_or_vectors(symbolic, schedule) + symbolic.n;
}

template <class T>
Status cholesky(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule,
                const T* values, T* factor, T* workspace) {
  using R = Real<T>;
  T* updates = workspace;
  auto* waiting = reinterpret_cast<Index*>(workspace + stacks_or_vectors(symbolic, schedule));
  Index n_waiting = 0;  // columns whose parents are still to come
  Index failed = none;
  SmallestPivot<R> smallest;
  for (Index j = 0; j < symbolic.n; ++j) {
    const Column column(symbolic, j);
    const Index u = column.u;
    T* x = factor + column.start;
    T* U = updates + schedule.squares.offset[j];
    assemble(embedding, j, u, values, x);
    const R floor = std::numeric_limits<R>::epsilon() * std::abs(real_part(x[0]));
    const auto is_next = [&](Index above) {  // the column so far below the top of the stack
      return n_waiting > above && symbolic.parent[waiting[n_waiting - 1 - above]] == j;
    };
    const auto next = [&] { return Column(symbolic, waiting[n_waiting - 1]); };
    const auto update = [&] { return updates + schedule.squares.offset[waiting[n_waiting - 1]]; };
    Triangle<T> F22{u, U, u};
    if (is_next(0) && !is_next(1) && next().is_head_of_parent()) {
      const Index m = next().u;
      const T* child = update();
      for (Index i = 0; i < m; ++i) x[i] += child[i];
      F22 = {m - 1, child + m + 1, m};
      --n_waiting;
    } else {
      std::fill_n(U, static_cast<Offset>(u) * u, T{});
      for (; is_next(0); --n_waiting) extend_add(next(), update(), u, x, U);
    }

    const R d = real_part(x[0]);
    if (!(d > floor)) {
      failed = j;
      break;
    }
    if (d < smallest.units * floor) smallest.offer(d / floor, j);
    const R inverse = 1 / d, root = std::sqrt(d), inverse_root = 1 / root;
    x[0] = root;
    subtract_square(u, x + 1, inverse, F22, U);
    for (Index i = 1; i <= u; ++i) x[i] *= inverse_root;
    if (u > 0) waiting[n_waiting++] = j;
  }
  return conclude(symbolic, embedding, values, failed, smallest, factor, workspace);
}

#define INSTANTIATE(T) \
  template Status cholesky<T>(const Symbolic&, const Embedding&, const Schedule&, const T*, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax::simplicial
