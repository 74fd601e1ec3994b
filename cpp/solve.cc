// solve.cc: x = A^-1 b = P^T L^-H L^-1 P b, and its two halves, supernode by supernode.
//
// Forward, a supernode with panel [L11; L21] solves y1 = L11^-1 y1 and then updates y2 -= L21 y1 in the
// rows below it; backward, it updates x1 -= L21^H x2 and solves x1 = L11^-H x1 (Davis, Direct Methods for
// Sparse Linear Systems, 2006). Rows below are gathered into a contiguous buffer.
// Cost: 4 nnz(L) flops per right-hand side, bound by the memory traffic of one pass over L per direction
// and block of right-hand sides.
//
// A block of right-hand sides X is kept as W = (P X)^H, a column per unknown: its columns are the rows of
// the caller's row-major array, contiguous, and the steps above become W1 <- W1 L11^-H, W2 -= W1 L21^H,
// W1 -= W2 L21, W1 <- W1 L11^-1, which are level-3 kernels.

#include <algorithm>

#include "core.h"
#include "dense.h"
#include "schedule.h"
#include "simplicial.h"

namespace elimax {
namespace {

constexpr Index block_width = 64;  // right-hand sides at a time: W stays small, the kernels run at full speed
constexpr Index triangle = 16;     // order of the diagonal blocks that the scalar loops of one vector solve

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
};

// One right-hand side w in permuted order; y is a buffer of max_rows entries.
template <class T>
void forward_vector(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor, T* w, T* y) {
  upward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    std::copy_n(w + panel.first, panel.c, y);
    std::fill_n(y + panel.c, panel.u, T{});
    for (Index begin = 0; begin < panel.c; begin += triangle) {
      const Index end = std::min(begin + triangle, panel.c);
      for (Index j = begin; j < end; ++j) {
        y[j] /= real_part(*panel.at(j, j));
        for (Index i = j + 1; i < end; ++i) y[i] -= *panel.at(i, j) * y[j];
      }
      kernels.gemv_n(panel.size() - end, end - begin, panel.at(end, begin), panel.size(), y + begin, y + end);
    }
    std::copy_n(y, panel.c, w + panel.first);
    for (Index i = 0; i < panel.u; ++i) w[panel.rows[i]] += y[panel.c + i];
    return true;
  });
}

template <class T>
void backward_vector(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor, T* w, T* y) {
  downward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    std::copy_n(w + panel.first, panel.c, y);
    for (Index i = 0; i < panel.u; ++i) y[panel.c + i] = w[panel.rows[i]];
    for (Index end = panel.c; end > 0;) {
      const Index begin = (end - 1) / triangle * triangle;
      kernels.gemv_h(panel.size() - end, end - begin, panel.at(end, begin), panel.size(), y + end, y + begin);
      for (Index j = end; j-- > begin;) {
        for (Index i = j + 1; i < end; ++i) y[j] -= conjugate(*panel.at(i, j)) * y[i];
        y[j] /= real_part(*panel.at(j, j));
      }
      end = begin;
    }
    std::copy_n(y, panel.c, w + panel.first);
  });
}

// A block W of `width` right-hand sides; W2 is a buffer of width x max_below entries.
template <class T>
void forward_block(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor, Index width,
                   T* W, T* W2) {
  upward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    T* W1 = W + static_cast<Offset>(panel.first) * width;
    kernels.trsm_h(width, panel.c, panel.L, panel.size(), W1, width);
    std::fill_n(W2, static_cast<Offset>(panel.u) * width, T{});
    kernels.gemm_nh(width, panel.u, panel.c, -1, W1, width, panel.at(panel.c, 0), panel.size(), W2, width);
    for (Index i = 0; i < panel.u; ++i) {
      T* target = W + static_cast<Offset>(panel.rows[i]) * width;
      const T* source = W2 + static_cast<Offset>(i) * width;
      for (Index j = 0; j < width; ++j) target[j] += source[j];
    }
    return true;
  });
}

template <class T>
void backward_block(const Symbolic& symbolic, const DenseKernels<T>& kernels, const T* factor, Index width,
                    T* W, T* W2) {
  downward(symbolic, [&](Index s) {
    const Panel<T> panel(symbolic, s, factor);
    for (Index i = 0; i < panel.u; ++i)
      std::copy_n(W + static_cast<Offset>(panel.rows[i]) * width, width, W2 + static_cast<Offset>(i) * width);
    T* W1 = W + static_cast<Offset>(panel.first) * width;
    kernels.gemm_nn(width, panel.c, panel.u, -1, W2, width, panel.at(panel.c, 0), panel.size(), W1, width);
    kernels.trsm_n(width, panel.c, panel.L, panel.size(), W1, width);
  });
}

}  // namespace

Offset solve_workspace(const Symbolic& symbolic, Index k) {
  if (symbolic.simplicial()) return simplicial::solve_workspace(symbolic, k);
  return (static_cast<Offset>(symbolic.n) + symbolic.max_rows) * std::min(k, block_width);
}

template <class T>
void cholesky_solve(const Symbolic& symbolic, SolvePart part, const T* factor, const T* b, Index k, T* x,
                    T* workspace) {
  if (symbolic.simplicial()) return simplicial::solve(symbolic, part, factor, b, k, x, workspace);
  const DenseKernels<T>& kernels = dense<T>();
  for (Index first = 0; first < k; first += block_width) {
    const Index width = std::min(block_width, k - first);
    const bool block = width > 1;  // and so conjugated
    T* W = workspace;
    T* buffer = W + static_cast<Offset>(symbolic.n) * width;

    for (Index i = 0; i < symbolic.n; ++i) {
      const Index row = part == SolvePart::backward ? i : symbolic.permutation[i];
      const T* source = b + static_cast<Offset>(row) * k + first;
      for (Index j = 0; j < width; ++j)
        W[static_cast<Offset>(i) * width + j] = block ? conjugate(source[j]) : source[j];
    }
    if (part != SolvePart::backward) {
      if (block)
        forward_block(symbolic, kernels, factor, width, W, buffer);
      else
        forward_vector(symbolic, kernels, factor, W, buffer);
    }
    if (part != SolvePart::forward) {
      if (block)
        backward_block(symbolic, kernels, factor, width, W, buffer);
      else
        backward_vector(symbolic, kernels, factor, W, buffer);
    }
    for (Index i = 0; i < symbolic.n; ++i) {
      const Index row = part == SolvePart::forward ? i : symbolic.permutation[i];
      T* target = x + static_cast<Offset>(row) * k + first;
      for (Index j = 0; j < width; ++j) {
        const T value = W[static_cast<Offset>(i) * width + j];
        target[j] = block ? conjugate(value) : value;
      }
    }
  }
}

#define INSTANTIATE(T) \
  template void cholesky_solve<T>(const Symbolic&, SolvePart, const T*, const T*, Index, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
