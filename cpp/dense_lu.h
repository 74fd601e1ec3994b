// dense_lu.h: LU of a few columns by partial pivoting, and the largest entries of matrices.
//
// Columns are eliminated one by one, right-looking, a vector of rows of all of them at a time; who has many
// columns halves them (square_lu.h), with products between the halves.
//
// Source: Golub, Van Loan, Matrix Computations (2013): Gaussian elimination with partial pivoting.
// Cost: m n^2 operations for m x n numbers, which stay in the first-level cache.
#pragma once

#include "gemv.h"

namespace elimax {
namespace {

// |x|, or |Re x| + |Im x|.
template <class T, class R = Real<T>>
ELIMAX_INLINE R magnitude(const R* x) {
  const auto absolute = [](R y) { return y < 0 ? -y : y; };
  if constexpr (parts<T> == 1) {
    return absolute(x[0]);
  } else {
    return absolute(x[0]) + absolute(x[1]);
  }
}

// The row with the largest entry of a column, the first of them, from row j on.
template <class T, class R = Real<T>>
ELIMAX_INLINE Index pivot_row(Index m, Index j, const R* column) {
  Index row = j;
  R most = magnitude<T>(column + j * parts<T>);
  for (Index i = j + 1; i < m; ++i) {
    const R size = magnitude<T>(column + i * parts<T>);
    if (size > most) {
      most = size;
      row = i;
    }
  }
  return row;
}

// Makes a pivot large, of the same phase; whether it was too small.
template <class T, class R = Real<T>>
ELIMAX_INLINE bool enlarge(R least, R replacement, R* pivot) {
  const R size = magnitude<T>(pivot);
  if (size >= least) return false;
  const bool has_phase = size > 0;
  for (int part = 0; part < parts<T>; ++part)
    pivot[part] = has_phase ? pivot[part] / size * replacement : part == 0 ? replacement : R(0);
  return true;
}

// 1 / z.
template <class T, class R = Real<T>>
ELIMAX_INLINE void invert(const R* z, R* inverse) {
  if constexpr (parts<T> == 1) {
    inverse[0] = 1 / z[0];
  } else {
    const R norm = z[0] * z[0] + z[1] * z[1];
    inverse[0] = z[0] / norm;
    inverse[1] = -z[1] / norm;
  }
}

// Numbers i and j of n columns change places.
template <class T, class R = Real<T>>
ELIMAX_INLINE void exchange_rows(Index n, Index i, Index j, View<R> A) {
  for (Index l = 0; l < n; ++l)
    for (int part = 0; part < parts<T>; ++part) {
      R *a = A.data + i * parts<T> + part + l * A.ld, *b = A.data + j * parts<T> + part + l * A.ld;
      const R x = *a;
      *a = *b;
      *b = x;
    }
}

// Columns i and j of m numbers change places.
template <class T, class R = Real<T>>
ELIMAX_INLINE void exchange_columns(Index m, Index i, Index j, View<R> A) {
  R *a = A.data + i * A.ld, *b = A.data + j * A.ld;
  for (Index l = 0; l < m * parts<T>; ++l) {
    const R x = a[l];
    a[l] = b[l];
    b[l] = x;
  }
}

// The rows below a pivot of its column and of the `rest` columns right of it, m of them.
template <class T, class R = Real<T>>
ELIMAX_INLINE void eliminate_below(Index m, Index rest, R* pivot, Offset ld) {
  R inverse[parts<T>];
  invert<T>(pivot, inverse);
  R* const below = pivot + parts<T>;
  for_vectors<R>(m * parts<T>, [&](auto load, auto store, Index i) __attribute__((always_inline)) {
    const Vector<R> x = scaled<T>(load(below + i), inverse);
    store(below + i, x);
    for (Index l = 1; l <= rest; ++l) {
      Vector<R> y = load(below + i + l * ld);
      eliminate<T>(y, x, pivot + l * ld, R(-1));
      store(below + i + l * ld, y);
    }
  });
}

template <class T, class R = Real<T>>
unsigned eliminate_columns(Index m, Index n, R least, R replacement, View<R> A, Index* rows) {
  unsigned replaced = 0;
  for (Index j = 0; j < n; ++j) {
    R* const pivot = A.data + j * (A.ld + parts<T>);
    rows[j] = pivot_row<T>(m, j, A.data + j * A.ld);
    if (rows[j] != j) exchange_rows<T>(n, j, rows[j], A);
    if (enlarge<T>(least, replacement, pivot)) replaced |= 1u << j;
    eliminate_below<T>(m - j - 1, n - j - 1, pivot, A.ld);
  }
  return replaced;
}

template <class R>
ELIMAX_INLINE Vector<R> absolute(Vector<R> x) {
  using Bits = std::conditional_t<sizeof(R) == 4, std::uint32_t, std::uint64_t>;
  typedef Bits Words __attribute__((vector_size(vector_bytes)));
  return (Vector<R>)((Words)x & (Words{} + (~Bits{0} >> 1)));
}

// The largest part of an entry, in modulus; NaN do not count.
template <class R>
struct Largest {
  Vector<R> lanes = {};

  ELIMAX_INLINE void join(Vector<R> sizes) { lanes = sizes > lanes ? sizes : lanes; }

  ELIMAX_INLINE void offer(Vector<R> x) { join(absolute<R>(x)); }
  ELIMAX_INLINE void offer(Index count, const R* column) {
    for_vectors<R>(count,
                   [&](auto load, auto, Index i) __attribute__((always_inline)) { offer(load(column + i)); });
  }
  template <int distance = width<R> / 2>
  ELIMAX_INLINE R of_all() {
    join(exchange<R, distance>(lanes));
    if constexpr (distance > 1) {
      return of_all<distance / 2>();
    } else {
      return lanes[0];
    }
  }
};

template <class T, class R = Real<T>>
R largest_part(Index m, Index n, View<const R> A) {
  Largest<R> largest;
  for (Index j = 0; j < n; ++j) largest.offer(m * parts<T>, A.data + j * A.ld);
  return largest.of_all();
}
template <class T, class R = Real<T>>
R largest_parts_product(Index m, Index n, View<const R> A, View<const R> B) {
  R result = 0;
  for (Index j = 0; j < n; ++j) {
    Largest<R> a, b;
    a.offer(m * parts<T>, A.data + j * A.ld);
    b.offer(m * parts<T>, B.data + j * B.ld);
    const R product = a.of_all() * b.of_all();
    if (product > result) result = product;
  }
  return result;
}

}  // namespace
}  // namespace elimax
