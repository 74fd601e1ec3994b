// dense_lu.h: LU of a few columns by partial pivoting, and the largest entry of a matrix.
//
// Columns are eliminated one by one, right-looking, a vector of rows of all of them at a time; who has many
// columns halves them (square_lu.h), with products between the halves.
//
// Source: Golub, Van Loan, Matrix Computations (2013), section 3.4: Gaussian elimination, pivoting by
// columns. Cost: m n^2 operations for m x n numbers, which stay in the first-level cache.
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

template <class T, class R = Real<T>>
unsigned eliminate_columns(Index m, Index n, R least, R replacement, View<R> A, Index* rows) {
  unsigned replaced = 0;
  for (Index j = 0; j < n; ++j) {
    R* const column = A.data + j * A.ld;
    rows[j] = pivot_row<T>(m, j, column);
    if (rows[j] != j)
      for (Index l = 0; l < n; ++l)
        for (int part = 0; part < parts<T>; ++part) {
          R* a = A.data + l * A.ld + part;
          const R x = a[j * parts<T>];
          a[j * parts<T>] = a[rows[j] * parts<T>];
          a[rows[j] * parts<T>] = x;
        }
    R* const pivot = column + j * parts<T>;
    if (enlarge<T>(least, replacement, pivot)) replaced |= 1u << j;
    R inverse[parts<T>];
    if constexpr (parts<T> == 1) {
      inverse[0] = 1 / pivot[0];
    } else {
      const R norm = pivot[0] * pivot[0] + pivot[1] * pivot[1];
      inverse[0] = pivot[0] / norm;
      inverse[1] = -pivot[1] / norm;
    }
    for_vectors<R>((m - j - 1) * parts<T>,
                   [&](auto load, auto store, Index i) __attribute__((always_inline)) {
                     R* const below = pivot + parts<T>;
                     const Vector<R> x = scaled<T>(load(below + i), inverse);
                     store(below + i, x);
                     for (Index l = 1; l < n - j; ++l) {
                       Vector<R> y = load(below + i + l * A.ld);
                       eliminate<T>(y, x, pivot + l * A.ld, R(-1));
                       store(below + i + l * A.ld, y);
                     }
                   });
  }
  return replaced;
}

// The largest part of an entry, in modulus; NaN do not count.
template <class R>
struct Largest {
  Vector<R> lanes = {};

  ELIMAX_INLINE void offer(Vector<R> x) {
    const Vector<R> size = x < 0 ? -x : x;
    lanes = size > lanes ? size : lanes;
  }
  ELIMAX_INLINE void offer(Index count, const R* column) {
    for_vectors<R>(count,
                   [&](auto load, auto, Index i) __attribute__((always_inline)) { offer(load(column + i)); });
  }
  template <int distance = width<R> / 2>
  ELIMAX_INLINE R of_all() {
    offer(exchange<R, distance>(lanes));
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
