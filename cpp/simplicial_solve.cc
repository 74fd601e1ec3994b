// simplicial_solve.cc: x = A^-1 b = P^T L^-H L^-1 P b, and its two halves, column by column.
//
// With ratios r_i = L_ij / L_jj of column j, forward elimination of z = b is
//
//     z_i -= r_i z_j,   y_j = z_j / L_jj,
//
// and backward substitution x_j = y_j / L_jj - sum of conj(r_i) x_i. Every division belongs to L alone, so
// that a chain of columns waits for one multiplication and one subtraction per column, and not for a
// division.
//
// One right-hand side is kept as a vector in the order of the pivots. Several are worked on where they end
// up, in the rows of x: a row is filled from b when the first update or its own turn comes. Cost: 4 nnz(L)
// flops per right-hand side, bound by memory: L, b and x are read or written once or twice each.

#include <algorithm>

#include "dense.h"
#include "simplicial.h"

namespace elimax::simplicial {
namespace {

// The entry of the next column stays in a register: in a chain, a trip through memory would take longer than
// the arithmetic.
template <class T>
void forward_vector(const Symbolic& symbolic, const T* L, T* w) {
  const Index* rows = symbolic.rows.data();
  T next = symbolic.n > 0 ? w[0] : T{};
  for (Index j = 0; j < symbolic.n; ++j) {
    const T z = next;
    const Index u = symbolic.counts[j] - 1;
    const Real<T> inverse = 1 / real_part(*L++);
    w[j] = z * inverse;
    if (j + 1 < symbolic.n) next = w[j + 1];
    Index i = 0;
    if (u > 0 && rows[0] == j + 1) {
      next -= L[0] * inverse * z;
      ++i;
    }
    for (; i < u; ++i) w[rows[i]] -= L[i] * inverse * z;
    L += u;
    rows += u;
  }
}

template <class T>
void backward_vector(const Symbolic& symbolic, const T* factor, T* w) {
  const T* L = factor + symbolic.factor_size();
  const Index* rows = symbolic.rows.data() + symbolic.rows.size();
  T x{};
  for (Index j = symbolic.n; j-- > 0;) {
    const Index u = symbolic.counts[j] - 1;
    L -= u + 1;
    rows -= u;
    const Real<T> inverse = 1 / real_part(*L);
    const T before = x;  // of column j + 1
    x = w[j] * inverse;
    Index i = 0;
    if (u > 0 && rows[0] == j + 1) {
      x -= conjugate(L[1]) * inverse * before;
      ++i;
    }
    for (; i < u; ++i) x -= conjugate(L[1 + i]) * inverse * w[rows[i]];
    w[j] = x;
  }
}

// x_i -= c x_j for two rows.
template <class T>
void subtract(const DenseKernels<T>& kernels, T c, const T* x_j, Index k, T* x_i) {
  constexpr Index many = 16;  // for which wider vectors are worth a call
  if (k >= many) return kernels.gemv_n(k, 1, x_j, k, &c, x_i);
  for (Index r = 0; r < k; ++r) x_i[r] -= c * x_j[r];
}
template <class T>
void scale(Real<T> c, Index k, T* row) {
  for (Index r = 0; r < k; ++r) row[r] *= c;
}

// Row i of the result is the row place(i) of x, and that of the right-hand side the row source(i) of b.
template <class T, class Source, class Place>
void forward_rows(const Symbolic& symbolic, const T* L, const T* b, Source source, Place place, Index k, T* x,
                  std::uint8_t* filled) {
  const DenseKernels<T>& kernels = dense<T>();
  std::fill_n(filled, symbolic.n, 0);
  const Index* rows = symbolic.rows.data();
  for (Index j = 0; j < symbolic.n; ++j) {
    const Index u = symbolic.counts[j] - 1;
    const Real<T> inverse = 1 / real_part(*L++);
    T* x_j = x + place(j) * k;
    if (!filled[j]) std::copy_n(b + source(j) * k, k, x_j);
    for (Index p = 0; p < u; ++p) {
      const Index i = *rows++;
      const T ratio = *L++ * inverse;
      T* x_i = x + place(i) * k;
      if (filled[i]) {
        subtract(kernels, ratio, x_j, k, x_i);
      } else {
        const T* b_i = b + source(i) * k;
        for (Index r = 0; r < k; ++r) x_i[r] = b_i[r] - ratio * x_j[r];
        filled[i] = 1;
      }
    }
    scale(inverse, k, x_j);
  }
}

template <class T, class Source>
void backward_rows(const Symbolic& symbolic, const T* factor, const T* b, Source source, Index k, T* x) {
  const DenseKernels<T>& kernels = dense<T>();
  const auto row = [&](Index i) { return x + static_cast<Offset>(symbolic.permutation[i]) * k; };
  const T* L = factor + symbolic.factor_size();
  const Index* rows = symbolic.rows.data() + symbolic.rows.size();
  for (Index j = symbolic.n; j-- > 0;) {
    const Index u = symbolic.counts[j] - 1;
    L -= u + 1;
    rows -= u;
    const Real<T> inverse = 1 / real_part(*L);
    const T* b_j = b + source(j) * k;
    T* x_j = row(j);
    for (Index r = 0; r < k; ++r) x_j[r] = b_j[r] * inverse;
    for (Index i = u; i-- > 0;) subtract(kernels, T(conjugate(L[1 + i]) * inverse), row(rows[i]), k, x_j);
  }
}

}  // namespace

Offset solve_workspace(const Symbolic& symbolic, Index) { return symbolic.n; }

template <class T>
void solve(const Symbolic& symbolic, SolvePart part, const T* factor, const T* b, Index k, T* x,
           T* workspace) {
  const In<Index> permutation = symbolic.permutation;
  if (k == 1) {
    T* w = workspace;
    for (Index i = 0; i < symbolic.n; ++i) w[i] = b[part == SolvePart::backward ? i : permutation[i]];
    if (part != SolvePart::backward) forward_vector(symbolic, factor, w);
    if (part != SolvePart::forward) backward_vector(symbolic, factor, w);
    for (Index i = 0; i < symbolic.n; ++i) x[part == SolvePart::forward ? i : permutation[i]] = w[i];
    return;
  }
  const auto pivot = [](Index i) { return static_cast<Offset>(i); };
  const auto caller = [&](Index i) { return static_cast<Offset>(permutation[i]); };
  auto* filled = reinterpret_cast<std::uint8_t*>(workspace);
  if (part == SolvePart::forward) return forward_rows(symbolic, factor, b, caller, pivot, k, x, filled);
  if (part == SolvePart::backward) return backward_rows(symbolic, factor, b, pivot, k, x);
  forward_rows(symbolic, factor, b, caller, caller, k, x, filled);
  backward_rows(symbolic, factor, static_cast<const T*>(x), caller, k, x);
}

#define INSTANTIATE(T) template void solve<T>(const Symbolic&, SolvePart, const T*, const T*, Index, T*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax::simplicial
