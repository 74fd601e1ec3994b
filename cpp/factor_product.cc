// factor_product.cc: products with a lower triangular matrix in the layout of the factor.
//
// With the matrix l, and vectors x in the numbering of the pivots and y in the caller's, a slot of
//
//     t(l, x, y) = sum_ij (P y)_i L(l)_ij x_j
//
// is the gradient with respect to one argument: y = P^T L x, x = L^T P y, l = the lower triangle of (P y) x^T
// on the panels. They are what the derivatives of the halves of a solve consist of.
// Panel by panel, X (c x k) and Y (c+u x k) hold the rows of x and y that it touches.
// Cost: 2 k nnz(L) flops, with k columns at a time in dense kernels.

#include <algorithm>

#include "dense.h"
#include "numeric.h"
#include "simplicial.h"

namespace elimax {
namespace {

constexpr Index block_width = 64;  // columns at a time

// One panel of l and the rows of a block of columns that it touches; X and Y lie in the workspace.
template <class T>
struct Panel {
  const Symbolic& symbolic;
  Index s, k, first_column, width;
  T *X, *Y;

  Panel(const Symbolic& symbolic, Index s, Index k, Index first_column, T* workspace)
      : symbolic(symbolic),
        s(s),
        k(k),
        first_column(first_column),
        width(std::min(block_width, k - first_column)),
        X(workspace),
        Y(workspace + static_cast<Offset>(symbolic.max_columns) * width) {}

  Index c() const { return symbolic.columns(s); }
  Index size() const { return symbolic.front(s); }
  // The row of the caller's array x or y that row i of X or Y stands for.
  Offset x_row(Index i) const { return symbolic.super[s] + i; }
  Offset y_row(Index i) const {
    return symbolic
        .permutation[i < c() ? symbolic.super[s] + i : symbolic.rows[symbolic.row_ptr[s] + i - c()]];
  }
  // move(entry of the caller's array, entry of X or Y) for all of them.
  template <class A, class Move>
  void for_x(A* x, Move move) const {
    for (Index i = 0; i < c(); ++i)
      for (Index j = 0; j < width; ++j)
        move(x[x_row(i) * k + first_column + j], X[i + static_cast<Offset>(j) * c()]);
  }
  template <class A, class Move>
  void for_y(A* y, Move move) const {
    for (Index i = 0; i < size(); ++i) {
      A* row = y + y_row(i) * k + first_column;
      for (Index j = 0; j < width; ++j) move(row[j], Y[i + static_cast<Offset>(j) * size()]);
    }
  }
};

// Calls visit(panel) for every supernode and block of columns.
template <class T, class Visit>
void for_panels(const Symbolic& symbolic, Index k, T* workspace, Visit visit) {
  for (Index s = 0; s < symbolic.supernodes(); ++s)
    for (Index first = 0; first < k; first += block_width) visit(Panel<T>(symbolic, s, k, first, workspace));
}

}  // namespace

Offset factor_product_workspace(const Symbolic& symbolic, Index k) {
  return (static_cast<Offset>(symbolic.max_columns) + symbolic.max_rows) * std::min(k, block_width);
}

template <class T>
void factor_product_y(const Symbolic& symbolic, const T* l, const T* x, Index k, T* y, T* workspace) {
  if (symbolic.simplicial()) return simplicial::product_y(symbolic, l, x, k, y);
  std::fill_n(y, static_cast<Offset>(symbolic.n) * k, T{});
  for_panels(symbolic, k, workspace, [&](const Panel<T>& panel) {
    panel.for_x(x, [](T entry, T& X) { X = entry; });
    std::fill_n(panel.Y, static_cast<Offset>(panel.size()) * panel.width, T{});
    dense<T>().gemm_nn(panel.size(), panel.width, panel.c(), 1, l + symbolic.panel[panel.s], panel.size(),
                       panel.X, panel.c(), panel.Y, panel.size());
    panel.for_y(y, [](T& entry, T Y) { entry += Y; });
  });
}

// L^T y = conj(L^H conj(y)).
template <class T>
void factor_product_x(const Symbolic& symbolic, const T* l, const T* y, Index k, T* x, T* workspace) {
  if (symbolic.simplicial()) return simplicial::product_x(symbolic, l, y, k, x);
  for_panels(symbolic, k, workspace, [&](const Panel<T>& panel) {
    panel.for_y(y, [](T entry, T& Y) { Y = conjugate(entry); });
    std::fill_n(panel.X, static_cast<Offset>(panel.c()) * panel.width, T{});
    dense<T>().gemm_hn(panel.c(), panel.width, panel.size(), 1, l + symbolic.panel[panel.s], panel.size(),
                       panel.Y, panel.size(), panel.X, panel.c());
    panel.for_x(x, [](T& entry, T X) { entry = conjugate(X); });
  });
}

// y x^T = y conj(x)^H.
template <class T>
void factor_product_l(const Symbolic& symbolic, const T* x, const T* y, Index k, T* l, T* workspace) {
  if (symbolic.simplicial()) return simplicial::product_l(symbolic, x, y, k, l);
  std::fill_n(l, symbolic.factor_size(), T{});
  for_panels(symbolic, k, workspace, [&](const Panel<T>& panel) {
    panel.for_x(x, [](T entry, T& X) { X = conjugate(entry); });
    panel.for_y(y, [](T entry, T& Y) { Y = entry; });
    T* out = l + symbolic.panel[panel.s];
    dense<T>().gemm_nh(panel.size(), panel.c(), panel.width, 1, panel.Y, panel.size(), panel.X, panel.c(),
                       out, panel.size());
    for (Index j = 1; j < panel.c(); ++j) std::fill_n(out + static_cast<Offset>(j) * panel.size(), j, T{});
  });
}

#define INSTANTIATE(T)                                                                   \
  template void factor_product_y<T>(const Symbolic&, const T*, const T*, Index, T*, T*); \
  template void factor_product_x<T>(const Symbolic&, const T*, const T*, Index, T*, T*); \
  template void factor_product_l<T>(const Symbolic&, const T*, const T*, Index, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
