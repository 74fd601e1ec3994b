// solve.cc: x = A^-1 b = P^T L^-H L^-1 P b, and its two halves, supernode by supernode.
//
// Forward, a supernode with panel [L11; L21] solves y1 <- L11^-1 y1 and makes the update y2 <- y2 - L21 y1 of
// the rows below it; backward, x1 <- L11^-H (x1 - L21^H x2) (Davis, Direct Methods for Sparse Linear Systems,
// 2006). Forward, [y1; y2] is the front vector of the supernode: its entry of the right-hand side, and
// what its children have pushed, the right-hand side's counterpart of the multifrontal method (Liu, SIAM
// Review 34, 1992). No supernode writes to an ancestor other than its parent, and the children of one are
// added in their order: results do not depend on who visits them when.
// Cost: 4 nnz(L) flops per right-hand side, bound by the memory traffic of one pass over L per direction
// and block of right-hand sides.
//
// A block of right-hand sides X is kept as W = (P X)^H, a column per unknown: its columns are the rows of
// the caller's row-major array, contiguous, and the steps above become W1 <- W1 L11^-H, W2 -= W1 L21^H,
// W1 -= W2 L21, W1 <- W1 L11^-1, which are level-3 kernels. Very few right-hand sides are solved one by one,
// which the kernels for one vector make faster.

#include <algorithm>

#include "core.h"
#include "dense.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax {
namespace {

constexpr Index block_width = 64;  // right-hand sides at a time: W stays small, the kernels run at full speed
constexpr Index least_block = 4;   // fewer are solved one by one
constexpr Index ahead = 64;        // pivots between the fetch of an entry into the cache and its use

// Columns of a matrix that is stored row-major, `stride` entries from row to row.
template <class T>
struct RowMajor {
  T* data;
  Offset stride;
  T* row(Index i) const { return data + i * stride; }
};

// One supernode of the factor, and the rows of the unknowns that it touches.
template <class T>
struct Panel {
  Index s, first, c, u;
  const Symbolic& symbolic;
  const T* L;

  Panel(const Symbolic& symbolic, Index s, const T* factor)
      : s(s),
        first(symbolic.super[s]),
        c(symbolic.columns(s)),
        u(symbolic.below(s)),
        symbolic(symbolic),
        L(factor + symbolic.panel[s]) {}
  Index size() const { return c + u; }
  const T* at(Index i, Index j) const { return L + i + static_cast<Offset>(j) * size(); }
  Index row(Index i) const { return symbolic.rows[symbolic.row_ptr[s] + i]; }
  // Where the front vectors of this supernode and of its parent start, and where a row goes in the latter.
  Offset vector() const { return symbolic.vector[s]; }
  Offset parent_vector() const { return symbolic.vector[symbolic.super_parent[s]]; }
  Index relative(Index i) const { return symbolic.relative[symbolic.row_ptr[s] + i]; }
};

// w = L^-1 P b, for one right-hand side. vectors: symbolic.vectors entries.
template <class T>
void forward_vector(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor,
                    RowMajor<const T> b, RowMajor<T> w, T* vectors) {
  std::fill_n(vectors, symbolic.vectors, T{});
  upward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    T* y = vectors + panel.vector();
    for (Index j = panel.first; j < panel.first + panel.c; ++j) {
      __builtin_prefetch(b.row(symbolic.permutation[std::min(j + ahead, symbolic.n - 1)]));
      y[j - panel.first] += *b.row(symbolic.permutation[j]);
    }
    kernels.forward(panel.size(), panel.c, panel.L, panel.size(), y);
    for (Index j = 0; j < panel.c; ++j) *w.row(panel.first + j) = y[j];
    if (panel.u > 0) {
      T* parent = vectors + panel.parent_vector();
      for (Index i = 0; i < panel.u; ++i) parent[panel.relative(i)] += y[panel.c + i];
    }
    std::fill_n(y, whole_vectors<T>(panel.size()), T{});
    return true;
  });
}

// w <- L^-H w. y: whole_vectors(max_rows) entries.
template <class T>
void backward_vector(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor, T* w, T* y) {
  downward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    std::copy_n(w + panel.first, panel.c, y);
    for (Index i = 0; i < panel.u; ++i) y[panel.c + i] = w[panel.row(i)];
    kernels.backward(panel.size(), panel.c, panel.L, panel.size(), y);
    std::copy_n(y, panel.c, w + panel.first);
  });
}

// w = conj(row), or the reverse.
template <class T>
void conjugate_row(const T* row, Index width, T* w) {
  for (Index j = 0; j < width; ++j) w[j] = conjugate(row[j]);
}

// The same for a block of right-hand sides, in place of W = (P b)^H.
template <class T>
void forward_block(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor, Index width,
                   T* W, T* vectors) {
  std::fill_n(vectors, symbolic.vectors * width, T{});
  upward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    T* W1 = W + static_cast<Offset>(panel.first) * width;
    T* Y1 = vectors + panel.vector() * width;
    T* Y2 = Y1 + static_cast<Offset>(panel.c) * width;
    for (Offset i = 0; i < static_cast<Offset>(panel.c) * width; ++i) W1[i] += Y1[i];
    kernels.trsm_h(width, panel.c, panel.L, panel.size(), W1, width);
    kernels.gemm_nh(width, panel.u, panel.c, -1, W1, width, panel.at(panel.c, 0), panel.size(), Y2, width);
    for (Index i = 0; i < panel.u; ++i) {
      T* target = vectors + (panel.parent_vector() + panel.relative(i)) * width;
      const T* source = Y2 + static_cast<Offset>(i) * width;
      for (Index r = 0; r < width; ++r) target[r] += source[r];
    }
    std::fill_n(Y1, static_cast<Offset>(panel.size()) * width, T{});
    return true;
  });
}

// W2: width x max_below.
template <class T>
void backward_block(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor, Index width,
                    T* W, T* W2) {
  downward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    for (Index i = 0; i < panel.u; ++i)
      std::copy_n(W + static_cast<Offset>(panel.row(i)) * width, width, W2 + static_cast<Offset>(i) * width);
    T* W1 = W + static_cast<Offset>(panel.first) * width;
    kernels.gemm_nn(width, panel.c, panel.u, -1, W2, width, panel.at(panel.c, 0), panel.size(), W1, width);
    kernels.trsm_n(width, panel.c, panel.L, panel.size(), W1, width);
  });
}

template <class T>
void solve_vector(const Symbolic& symbolic, SolvePart part, const T* factor, RowMajor<const T> b,
                  RowMajor<T> x, T* workspace) {
  const DenseKernels<T>& kernels = dense<T>();
  T* w = workspace;
  T* vectors = w + symbolic.n;
  if (part == SolvePart::forward) return forward_vector(symbolic, kernels, factor, b, x, vectors);
  if (part == SolvePart::whole)
    forward_vector(symbolic, kernels, factor, b, RowMajor<T>{w, 1}, vectors);
  else
    for (Index i = 0; i < symbolic.n; ++i) w[i] = *b.row(i);
  backward_vector(symbolic, kernels, factor, w, vectors);
  for (Index i = 0; i < symbolic.n; ++i) *x.row(symbolic.permutation[i]) = w[i];
}

template <class T>
void solve_block(const Symbolic& symbolic, SolvePart part, const T* factor, RowMajor<const T> b, Index width,
                 RowMajor<T> x, T* workspace) {
  const DenseKernels<T>& kernels = dense<T>();
  T* W = workspace;
  T* vectors = W + static_cast<Offset>(symbolic.n) * width;
  const auto pivot = [&](Index i, SolvePart unpermuted) {
    return part == unpermuted ? i : symbolic.permutation[i];
  };
  for (Index i = 0; i < symbolic.n; ++i)
    conjugate_row(b.row(pivot(i, SolvePart::backward)), width, W + static_cast<Offset>(i) * width);
  if (part != SolvePart::backward) forward_block(symbolic, kernels, factor, width, W, vectors);
  if (part != SolvePart::forward) backward_block(symbolic, kernels, factor, width, W, vectors);
  for (Index i = 0; i < symbolic.n; ++i)
    conjugate_row(W + static_cast<Offset>(i) * width, width, x.row(pivot(i, SolvePart::forward)));
}

}  // namespace

Offset solve_workspace(const Symbolic& symbolic, Index k) {
  if (symbolic.simplicial()) return simplicial::solve_workspace(symbolic, k);
  return (symbolic.n + symbolic.vectors) * std::min(k, block_width);
}

template <class T>
void cholesky_solve(const Symbolic& symbolic, SolvePart part, const T* factor, const T* b, Index k, T* x,
                    T* workspace) {
  if (symbolic.simplicial()) return simplicial::solve(symbolic, part, factor, b, k, x, workspace);
  for (Index first = 0, width; first < k; first += width) {
    width = std::min(block_width, k - first);
    if (width < least_block) width = 1;
    const RowMajor<const T> from{b + first, k};
    const RowMajor<T> to{x + first, k};
    if (width == 1)
      solve_vector(symbolic, part, factor, from, to, workspace);
    else
      solve_block(symbolic, part, factor, from, width, to, workspace);
  }
}

#define INSTANTIATE(T) \
  template void cholesky_solve<T>(const Symbolic&, SolvePart, const T*, const T*, Index, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
