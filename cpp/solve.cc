// solve.cc: x = A^-1 b from any factor, A^-H b, and the two halves of a solve with a Cholesky factor.
//
// Each is a route: rows of b are read in the order of the pivots, swept forward (sweep.h), divided by a block
// diagonal D, swept backward, and written to rows of x.
//     Cholesky  A = P^T L L^H P             L, L^H
//     LDL       A = P^T L D L^H P           L, D, L^H
//     LU        A = R^T L U Q               L, U
//               A^H = Q^T U^H L^H R         U^H, L^H
// with R for the order in which rows are eliminated, Q for that of the columns. The panels of U are those of
// U^H, so that every sweep is one of two. Cost: that of the sweeps.

#include <algorithm>

#include "numeric.h"
#include "simplicial.h"
#include "sweep.h"

namespace elimax {
namespace {

constexpr Index block_width = 64;  // right-hand sides at a time: W stays small, the kernels run at full speed
constexpr Index least_block = 4;   // fewer are solved one by one

// Steps whose panels (or diagonal) are null are left out; the k-th unknown is row source[k] of b and row
// target[k] of x, or k itself where that is null.
template <class T>
struct Route {
  const Index* source = nullptr;
  Triangle<T> forward = {};
  const T* diagonal = nullptr;
  Triangle<T> backward = {};
  const Index* target = nullptr;
};

template <class T>
Route<T> cholesky_route(const Symbolic& symbolic, SolvePart part, const T* factor) {
  Route<T> route;
  if (part != SolvePart::backward) {
    route.source = symbolic.permutation.data();
    route.forward = {factor};
  }
  if (part != SolvePart::forward) {
    route.backward = {factor};
    route.target = symbolic.permutation.data();
  }
  return route;
}

template <class T>
Route<T> pivoted_route(const Symbolic& symbolic, const Embedding& embedding, Factor<T> factor, bool adjoint) {
  const Index* columns = symbolic.permutation.data();
  const Triangle<T> lower{factor.lower, factor.pivots};
  if (factor.storage != Storage::general) return {columns, lower, factor.diagonal, lower, columns};
  const Index* rows = embedding.row_order.empty() ? columns : embedding.row_order.data();
  const Triangle<T> upper{factor.upper};
  if (adjoint) return {columns, upper, nullptr, lower, rows};
  return {rows, lower, nullptr, upper, columns};
}

// What D does to the rows of X, or to those of (P X)^H if `conjugated`: calls one(k, d) for every number d on
// the diagonal and two(k, p, q, a, d) for every 2 x 2 block of the rows k and k + 1, which the numbers p and
// q off its diagonal turn into [a 1; 1 d] when they divide the first row and the second.
template <class T, class One, class Two>
void for_blocks(Index n, const T* diagonal, bool conjugated, const One& one, const Two& two) {
  const auto part = [&](T x) { return conjugated ? conjugate(x) : x; };
  const T* couplings = diagonal + n;
  for (Index k = 0; k < n; ++k) {
    if (couplings[k] == T{}) {
      one(k, part(diagonal[k]));
    } else {
      const T q = part(couplings[k]), p = conjugate(q);
      two(k, p, q, T(part(diagonal[k]) / p), T(part(diagonal[k + 1]) / q));
      ++k;
    }
  }
}

// Rows of `width` numbers <- D^-1 times them.
template <class T>
void divide(Index n, const T* diagonal, bool conjugated, Index width, T* rows) {
  const auto row = [&](Index k) { return rows + k * Offset{width}; };
  for_blocks(
      n, diagonal, conjugated,
      [&](Index k, T d) {
        for (Index r = 0; r < width; ++r) row(k)[r] = row(k)[r] / d;
      },
      [&](Index k, T p, T q, T a, T d) {
        const T determinant = a * d - T(1);
        for (Index r = 0; r < width; ++r) {
          const T y = row(k)[r] / p, z = row(k + 1)[r] / q;
          row(k)[r] = (d * y - z) / determinant;
          row(k + 1)[r] = (a * z - y) / determinant;
        }
      });
}

template <class T>
void solve_vector(const Symbolic& symbolic, Sweep sweep, const Route<T>& route, RowMajor<const T> b,
                  RowMajor<T> x, T* workspace) {
  T* w = workspace;
  T* memory = w + symbolic.n;
  if (!route.backward.panels)
    return forward_vector(symbolic, sweep, route.forward, route.source, b, x, memory);
  if (route.forward.panels)
    forward_vector(symbolic, sweep, route.forward, route.source, b, RowMajor<T>{w, 1}, memory);
  else
    for (Index i = 0; i < symbolic.n; ++i) w[i] = *b.row(i);
  if (route.diagonal) divide(symbolic.n, route.diagonal, false, 1, w);
  backward_vector(symbolic, sweep, route.backward, w, memory);
  for (Index i = 0; i < symbolic.n; ++i) *x.row(route.target[i]) = w[i];
}

template <class T>
void solve_block(const Symbolic& symbolic, Sweep sweep, const Route<T>& route, RowMajor<const T> b,
                 Index width, RowMajor<T> x, T* workspace) {
  T* W = workspace;
  T* memory = W + static_cast<Offset>(symbolic.n) * width;
  const auto place = [](const Index* of, Index i) { return of ? of[i] : i; };
  for (Index i = 0; i < symbolic.n; ++i)
    conjugate_row(b.row(place(route.source, i)), width, W + static_cast<Offset>(i) * width);
  if (route.forward.panels) forward_block(symbolic, sweep, route.forward, width, W, memory);
  if (route.diagonal) divide(symbolic.n, route.diagonal, true, width, W);
  if (route.backward.panels) backward_block(symbolic, sweep, route.backward, width, W, memory);
  for (Index i = 0; i < symbolic.n; ++i)
    conjugate_row(W + static_cast<Offset>(i) * width, width, x.row(place(route.target, i)));
}

// How k right-hand sides are divided: the first `blocked` ones into blocks of `width`, one by one the rest.
// Where `side_by_side`, every thread takes blocks by itself.
struct Division {
  Index blocked, width;
  bool side_by_side;

  Division(Index k, int threads) {
    const Index rest = k % block_width;
    blocked = rest < least_block ? k - rest : k;
    constexpr Index narrow = 16;  // kernels run at less than full speed
    side_by_side = threads > 1 && blocked >= narrow * threads;
    const Index share = (blocked + threads - 1) / threads;
    width = std::min(block_width, side_by_side ? (share + 7) / 8 * 8 : std::max(blocked, 1));
  }
};

Offset workspace_of(const Symbolic& symbolic, const Schedule* schedule, Index width) {
  const Offset vectors = FrontVectors<double>::size(symbolic, schedule);
  return (symbolic.n + vectors) * width;
}

template <class T>
void solve(const Symbolic& symbolic, Sweep sweep, const Route<T>& route, const T* b, Index k, T* x,
           T* workspace) {
  const Division division(k, sweep.threads());
  const auto block = [&](Index task, Sweep sweep, T* workspace) {
    const Index first = task * division.width;
    solve_block(symbolic, sweep, route, {b + first, k}, std::min(division.width, division.blocked - first),
                RowMajor<T>{x + first, k}, workspace);
  };
  const Index blocks = (division.blocked + division.width - 1) / division.width;
  if (division.side_by_side) {
    const Offset size = workspace_of(symbolic, nullptr, division.width);
    sweep.crew->each(blocks, [&](Index task, int id) { block(task, Sweep{}, workspace + id * size); });
  } else {
    for (Index task = 0; task < blocks; ++task) block(task, sweep, workspace);
  }
  for (Index j = division.blocked; j < k; ++j)
    solve_vector(symbolic, sweep, route, {b + j, k}, RowMajor<T>{x + j, k}, workspace);
}

Sweep sweep_of(const Schedule& schedule, Crew& crew) {
  return schedule.threads == 1 ? Sweep{} : Sweep{&schedule, &crew};
}

}  // namespace

Offset solve_workspace(const Symbolic& symbolic, Index k) {
  if (symbolic.simplicial()) return simplicial::solve_workspace(symbolic, k);
  return workspace_of(symbolic, nullptr, std::min(k, block_width));
}
Offset solve_workspace(const Symbolic& symbolic, const Schedule& schedule, Index k) {
  if (symbolic.simplicial()) return simplicial::solve_workspace(symbolic, k);
  const Division division(k, schedule.threads);
  const Offset together =
      workspace_of(symbolic, &schedule, division.side_by_side ? 1 : std::min(k, block_width));
  const Offset apart = schedule.threads * workspace_of(symbolic, nullptr, division.width);
  return division.side_by_side ? std::max(together, apart) : together;
}

template <class T>
void cholesky_solve(const Symbolic& symbolic, SolvePart part, const T* factor, const T* b, Index k, T* x,
                    T* workspace) {
  if (symbolic.simplicial()) return simplicial::solve(symbolic, part, factor, b, k, x, workspace);
  solve(symbolic, Sweep{}, cholesky_route(symbolic, part, factor), b, k, x, workspace);
}
template <class T>
void cholesky_solve(const Symbolic& symbolic, const Schedule& schedule, Crew& crew, SolvePart part,
                    const T* factor, const T* b, Index k, T* x, T* workspace) {
  if (symbolic.simplicial()) return simplicial::solve(symbolic, part, factor, b, k, x, workspace);
  solve(symbolic, sweep_of(schedule, crew), cholesky_route(symbolic, part, factor), b, k, x, workspace);
}

template <class T>
void pivoted_solve(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                   Factor<T> factor, bool adjoint, const T* b, Index k, T* x, T* workspace) {
  solve(symbolic, sweep_of(schedule, crew), pivoted_route(symbolic, embedding, factor, adjoint), b, k, x,
        workspace);
}

Offset pivoted_factor_size(const Symbolic& symbolic, Storage storage) {
  const Offset panels = symbolic.factor_size();
  return panels + (storage == Storage::general ? panels : 2 * Offset{symbolic.n});
}
template <class T>
Factor<T> pivoted_factor(const Symbolic& symbolic, Storage storage, const T* factor, const Index* pivots) {
  const T* behind = factor + symbolic.factor_size();
  if (storage == Storage::general) return {storage, factor, behind, nullptr, pivots};
  return {storage, factor, factor, behind, pivots};
}

#define INSTANTIATE(T)                                                                                    \
  template void cholesky_solve<T>(const Symbolic&, SolvePart, const T*, const T*, Index, T*, T*);         \
  template void cholesky_solve<T>(const Symbolic&, const Schedule&, Crew&, SolvePart, const T*, const T*, \
                                  Index, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE
#define INSTANTIATE(T)                                                                                       \
  template void pivoted_solve<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, Factor<T>, bool, \
                                 const T*, Index, T*, T*);                                                   \
  template Factor<T> pivoted_factor<T>(const Symbolic&, Storage, const T*, const Index*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
ELIMAX_FOR_BILINEAR(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
