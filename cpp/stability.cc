// stability.cc: whether the factors that an elimination computed are those of its matrix, as far as one
// solution tells.
//
// Large entries on the way from A to its factors may have swallowed what was there: then L D L^H or L U is
// not A, refinement repairs solutions only, and the factor is no good for determinants and inverses. Large
// entries do not always spoil what matters. So, for A x = b with an x of +1 and -1, the solution y by the
// factor alone has the normwise backward error
//
//     |b - A y| / (|A| |y| + |b|)                        (Rigal and Gaches, J. ACM 14, 1967; maximum norms),
//
// and a factor is accurate if three quarters of the digits are left. x has no pattern that a matrix could
// favor. Cost: one solve, two products.

#include <algorithm>
#include <cmath>
#include <limits>

#include "numeric.h"

namespace elimax {
namespace {

// Calls body(i, j, a) for all entries a of A in the caller's numbering, those of the other triangle, too.
template <class T, class Body>
void for_entries(const Symbolic& symbolic, const Embedding& embedding, Storage storage, const T* values,
                 const Body& body) {
  const In<Index> columns = symbolic.permutation;
  const In<Index> rows = embedding.row_order.empty() ? columns : In<Index>(embedding.row_order);
  for (Index s = 0; s < symbolic.supernodes(); ++s) {
    const Index first = symbolic.super[s], c = symbolic.columns(s), size = symbolic.front(s);
    const Offset panel = symbolic.panel[s + 1] - symbolic.panel[s];
    const Index* below = symbolic.rows.data() + symbolic.row_ptr[s];
    for (Offset p = embedding.ptr[s]; p < embedding.ptr[s + 1]; ++p) {
      const Index source = embedding.source[p];
      const bool is_above = storage == Storage::general && embedding.target[p] >= panel;
      const Offset target = embedding.target[p] - (is_above ? panel : 0);
      const auto local = static_cast<Index>(target % size);
      const Index i = local < c ? first + local : below[local - c];
      const Index j = first + static_cast<Index>(target / size);
      if (storage == Storage::general) {
        const T a = values[source >= 0 ? source : ~source];
        is_above ? body(rows[j], columns[i], a) : body(rows[i], columns[j], a);
      } else {
        const T a = source >= 0 ? values[source] : conjugate(values[~source]);
        body(rows[i], columns[j], i == j && storage == Storage::hermitian ? diagonal_part(a) : a);
        if (i != j) body(rows[j], columns[i], conjugate(a));
      }
    }
  }
}

template <class T>
double largest(In<T> x) {
  double most = 0;
  for (const T number : x) {
    const double size = std::abs(number);
    if (!(size <= most) && most == most) most = size;  // or NaN
  }
  return most;
}

// +1 or -1, by the parity of the bits of a multiple of the golden ratio.
template <class T>
T sign(Index i) {
  const std::uint32_t mixed = static_cast<std::uint32_t>(i) * 0x9E3779B9u;
  return T(__builtin_parity(mixed) ? Real<T>(-1) : Real<T>(1));
}

}  // namespace

Offset stability_workspace(const Symbolic& symbolic, const Schedule& schedule) {
  return 3 * Offset{symbolic.n} + solve_workspace(symbolic, schedule, 1);
}

template <class T>
bool is_accurate(const Symbolic& symbolic, const Embedding& embedding, const Schedule& schedule, Crew& crew,
                 const T* values, Factor<T> factor, T* work) {
  const Index n = symbolic.n;
  const auto size = static_cast<std::size_t>(n);
  T *b = work, *y = b + n, *row_sums = y + n;
  std::fill_n(b, n, T{});
  std::fill_n(row_sums, n, T{});
  for_entries(symbolic, embedding, factor.storage, values, [&](Index i, Index j, T a) {
    b[i] += a * sign<T>(j);
    row_sums[i] += T(std::abs(a));
  });
  pivoted_solve(symbolic, embedding, schedule, crew, factor, false, b, 1, y, row_sums + n);
  const double scale = largest<T>({row_sums, size}) * largest<T>({y, size}) + largest<T>({b, size});
  for_entries(symbolic, embedding, factor.storage, values, [&](Index i, Index j, T a) { b[i] -= a * y[j]; });
  const double tolerance = std::pow(static_cast<double>(std::numeric_limits<Real<T>>::epsilon()), 0.75);
  return largest<T>({b, size}) <= tolerance * scale;
}

#define INSTANTIATE(T)                                                                              \
  template bool is_accurate<T>(const Symbolic&, const Embedding&, const Schedule&, Crew&, const T*, \
                               Factor<T>, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
ELIMAX_FOR_BILINEAR(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
