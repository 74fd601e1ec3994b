// simplicial_product.cc: products with a lower triangular matrix in the layout of a simplicial factor.
//
// The slots of t(l, x, y) = sum_ij (P y)_i L(l)_ij x_j, as in factor_product.cc, entry by entry.
// Cost: 2 k nnz(L) flops.

#include <algorithm>

#include "simplicial.h"

namespace elimax::simplicial {
namespace {

// Calls visit(position in the factor, row of y, row of x) for every entry of L, column by column.
template <class Visit>
void for_entries(const Symbolic& symbolic, Index k, Visit visit) {
  const auto row = [&](Index i) { return static_cast<Offset>(symbolic.permutation[i]) * k; };
  for (Index j = 0; j < symbolic.n; ++j) {
    const Column column(symbolic, j);
    const Offset x = static_cast<Offset>(j) * k;
    visit(column.start, row(j), x);
    for (Index i = 0; i < column.u; ++i) visit(column.start + 1 + i, row(column.rows[i]), x);
  }
}

}  // namespace

template <class T>
void product_y(const Symbolic& symbolic, const T* l, const T* x, Index k, T* y) {
  std::fill_n(y, static_cast<Offset>(symbolic.n) * k, T{});
  for_entries(symbolic, k, [&](Offset p, Offset y_row, Offset x_row) {
    for (Index r = 0; r < k; ++r) y[y_row + r] += l[p] * x[x_row + r];
  });
}

template <class T>
void product_x(const Symbolic& symbolic, const T* l, const T* y, Index k, T* x) {
  std::fill_n(x, static_cast<Offset>(symbolic.n) * k, T{});
  for_entries(symbolic, k, [&](Offset p, Offset y_row, Offset x_row) {
    for (Index r = 0; r < k; ++r) x[x_row + r] += l[p] * y[y_row + r];
  });
}

template <class T>
void product_l(const Symbolic& symbolic, const T* x, const T* y, Index k, T* l) {
  for_entries(symbolic, k, [&](Offset p, Offset y_row, Offset x_row) {
    T sum{};
    for (Index r = 0; r < k; ++r) sum += y[y_row + r] * x[x_row + r];
    l[p] = sum;
  });
}

#define INSTANTIATE(T)                                                        \
  template void product_y<T>(const Symbolic&, const T*, const T*, Index, T*); \
  template void product_x<T>(const Symbolic&, const T*, const T*, Index, T*); \
  template void product_l<T>(const Symbolic&, const T*, const T*, Index, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax::simplicial
