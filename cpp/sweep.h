// sweep.h: the two sweeps of a solve, with panels of any triangular factor, supernode by supernode.
//
// Forward, a supernode with panel [L11; L21] solves y1 <- L11^-1 y1 and makes the update y2 <- y2 - L21 y1 of
// the rows below it; backward, x1 <- L11^-H (x1 - L21^H x2) (Davis, Direct Methods for Sparse Linear Systems,
// 2006). Forward, [y1; y2] is the front vector of the supernode: its entry of the right-hand side, and
// what its children have pushed, the right-hand side's counterpart of the multifrontal method (Liu, SIAM
// Review 34, 1992). No supernode writes to an ancestor other than its parent, and the children of one are
// added in their order: results do not depend on who visits them when.
//
// Where the rows of a supernode were permuted among themselves, y1 is permuted when the supernode is visited
// on the way up, and x1 is permuted back on the way down.
//
// Cost: 4 nnz(L) flops per right-hand side, bound by the memory traffic of one pass over L per direction
// and block of right-hand sides.
//
// A block of right-hand sides X is kept as W = (P X)^H, a column per unknown: its columns are the rows of
// the caller's row-major array, contiguous, and the steps above become W1 <- W1 L11^-H, W2 -= W1 L21^H,
// W1 -= W2 L21, W1 <- W1 L11^-1, which are level-3 kernels. Very few right-hand sides are solved one by one,
// which the kernels for one vector make faster.
#pragma once

#include <algorithm>

#include "dense.h"
#include "dense_crew.h"
#include "front_vector.h"

namespace elimax {
namespace {  // what only solve.cc can call gets inlined there

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
  Index first, c, u;
  const Index* rows;
  const T* L;

  Panel(const Symbolic& symbolic, Index s, const T* factor)
      : first(symbolic.super[s]),
        c(symbolic.columns(s)),
        u(symbolic.below(s)),
        rows(symbolic.rows.data() + symbolic.row_ptr[s]),
        L(factor + symbolic.panel[s]) {}
  Index size() const { return c + u; }
  const T* at(Index i, Index j) const { return L + i + static_cast<Offset>(j) * size(); }
  // Whether one vector meets it in steps of `stride` columns, whose products a crew can share.
  bool is_large() const { return static_cast<Offset>(size()) * c >= 1 << 17; }
};
inline constexpr Index stride = 256;

// Calls body(begin, end) for about equal pieces of 0 .. n-1, multiples of 16, on the threads of the crew.
template <class Body>
void in_pieces(Worker worker, Index n, Index terms, const Body& body) {
  constexpr Offset worthwhile = 1 << 15;
  const int threads = worker.crew ? worker.crew->threads() : 1;
  if (threads == 1 || Offset{n} * terms < worthwhile) return body(0, n);
  const Index piece = (n / threads + 16) / 16 * 16;
  worker.crew->each((n + piece - 1) / piece,
                    [&](Index k, int) { body(k * piece, std::min(n, (k + 1) * piece)); });
}

// y1 <- L11^-1 y1, y2 <- y2 - L21 y1, and y1 <- L11^-H (y1 - L21^H y2).
template <class T>
void forward_panel(const DenseKernels<T>& kernels, const Panel<T>& panel, Worker worker, T* y) {
  if (!panel.is_large()) return kernels.forward(panel.size(), panel.c, panel.L, panel.size(), y);
  for (Index begin = 0, end; begin < panel.c; begin = end) {
    end = std::min(begin + stride, panel.c);
    kernels.forward(end - begin, end - begin, panel.at(begin, begin), panel.size(), y + begin);
    in_pieces(worker, panel.size() - end, end - begin, [&](Index i, Index last) {
      kernels.gemv_n(last - i, end - begin, panel.at(end + i, begin), panel.size(), y + begin, y + end + i);
    });
  }
}
template <class T>
void backward_panel(const DenseKernels<T>& kernels, const Panel<T>& panel, Worker worker, T* y) {
  if (!panel.is_large()) return kernels.backward(panel.size(), panel.c, panel.L, panel.size(), y);
  for (Index end = panel.c, begin; end > 0; end = begin) {
    begin = (end - 1) / stride * stride;
    const Index below = panel.size() - end;
    in_pieces(worker, end - begin, below, [&](Index j, Index last) {
      kernels.gemv_h(below, last - j, panel.at(end, begin + j), panel.size(), y + end, y + begin + j);
    });
    kernels.backward(end - begin, end - begin, panel.at(begin, begin), panel.size(), y + begin);
  }
}

// The panels of a factor, and the order in which supernodes take their own rows: the j-th of supernode s is
// its local row pivots[super[s] + j]. Null if they take them as they are.
template <class T>
struct Triangle {
  const T* panels = nullptr;
  const Index* pivots = nullptr;
};

// w = L^-1 P b for one right-hand side, P b of the rows source[0], source[1], ... of b.
template <class T>
void forward_vector(const Symbolic& symbolic, Sweep sweep, Triangle<T> factor, const Index* source,
                    RowMajor<const T> b, RowMajor<T> w, T* memory) {
  constexpr Index ahead = 64;  // pivots between the fetch of an entry into the cache and its use
  const DenseKernels<T>& kernels = dense<T>();
  const FrontVectors<T> vectors(symbolic, sweep.schedule, 1, memory);
  // Inline in both kinds of sweep: for small supernodes, calls would count.
  const auto visit = [&](Index s, Worker worker) __attribute__((always_inline)) {
    const Panel<T> panel(symbolic, s, factor.panels);
    T* y = vectors.of(s, worker);
    for (Index j = panel.first; j < panel.first + panel.c; ++j) {
      __builtin_prefetch(b.row(source[std::min(j + ahead, symbolic.n - 1)]));
      y[j - panel.first] += *b.row(source[j]);
    }
    if (factor.pivots) {
      for (Index j = 0; j < panel.c; ++j) *w.row(panel.first + j) = y[j];
      const Index* pivots = factor.pivots + panel.first;
      for (Index j = 0; j < panel.c; ++j) y[j] = *w.row(panel.first + pivots[j]);
    }
    forward_panel(kernels, panel, worker, y);
    for (Index j = 0; j < panel.c; ++j) *w.row(panel.first + j) = y[j];
    vectors.leave(s, worker);
    return true;
  };
  sweep.upward(symbolic, visit, [&](Index s, Worker worker) { vectors.push(s, worker); });
}

// w <- L^-H w.
template <class T>
void backward_vector(const Symbolic& symbolic, Sweep sweep, Triangle<T> factor, T* w, T* memory) {
  const DenseKernels<T>& kernels = dense<T>();
  sweep.downward(symbolic, [&](Index s, Worker worker) {
    const Panel<T> panel(symbolic, s, factor.panels);
    T* y = memory + worker.id * symbolic.vectors;
    std::copy_n(w + panel.first, panel.c, y);
    for (Index i = 0; i < panel.u; ++i) y[panel.c + i] = w[panel.rows[i]];
    backward_panel(kernels, panel, worker, y);
    if (!factor.pivots) {
      std::copy_n(y, panel.c, w + panel.first);
    } else {
      const Index* pivots = factor.pivots + panel.first;
      for (Index j = 0; j < panel.c; ++j) w[panel.first + pivots[j]] = y[j];
    }
  });
}

// w = conj(row), or the reverse.
template <class T>
void conjugate_row(const T* row, Index width, T* w) {
  for (Index j = 0; j < width; ++j) w[j] = conjugate(row[j]);
}

// The same for a block of right-hand sides, in place of W = (P b)^H.
template <class T>
void forward_block(const Symbolic& symbolic, Sweep sweep, Triangle<T> factor, Index width, T* W, T* memory) {
  const FrontVectors<T> vectors(symbolic, sweep.schedule, width, memory);
  const auto visit = [&](Index s, Worker worker) {
    const CrewKernels<T> kernels(dense<T>(), worker.crew);
    const Panel<T> panel(symbolic, s, factor.panels);
    T* W1 = W + static_cast<Offset>(panel.first) * width;
    T* Y1 = vectors.of(s, worker);
    const Offset size = static_cast<Offset>(panel.c) * width;
    for (Offset i = 0; i < size; ++i) W1[i] += Y1[i];
    if (factor.pivots) {
      std::copy_n(W1, size, Y1);
      const Index* pivots = factor.pivots + panel.first;
      for (Index j = 0; j < panel.c; ++j)
        std::copy_n(Y1 + pivots[j] * Offset{width}, width, W1 + j * Offset{width});
    }
    dense<T>().trsm_h(width, panel.c, panel.L, panel.size(), W1, width);
    kernels.gemm_nh(width, panel.u, panel.c, -1, W1, width, panel.at(panel.c, 0), panel.size(),
                    vectors.below(s, worker), width);
    vectors.leave(s, worker);
    return true;
  };
  sweep.upward(symbolic, visit, [&](Index s, Worker worker) { vectors.push(s, worker); });
}

template <class T>
void backward_block(const Symbolic& symbolic, Sweep sweep, Triangle<T> factor, Index width, T* W, T* memory) {
  sweep.downward(symbolic, [&](Index s, Worker worker) {
    const CrewKernels<T> kernels(dense<T>(), worker.crew);
    const Panel<T> panel(symbolic, s, factor.panels);
    T* W2 = memory + worker.id * symbolic.vectors * width;
    for (Index i = 0; i < panel.u; ++i)
      std::copy_n(W + static_cast<Offset>(panel.rows[i]) * width, width, W2 + static_cast<Offset>(i) * width);
    T* W1 = W + static_cast<Offset>(panel.first) * width;
    kernels.gemm_nn(width, panel.c, panel.u, -1, W2, width, panel.at(panel.c, 0), panel.size(), W1, width);
    dense<T>().trsm_n(width, panel.c, panel.L, panel.size(), W1, width);
    if (factor.pivots) {
      std::copy_n(W1, static_cast<Offset>(panel.c) * width, W2);
      const Index* pivots = factor.pivots + panel.first;
      for (Index j = 0; j < panel.c; ++j)
        std::copy_n(W2 + j * Offset{width}, width, W1 + pivots[j] * Offset{width});
    }
  });
}

}  // namespace
}  // namespace elimax
