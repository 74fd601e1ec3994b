// trapezoid.h: one vector against the panel of a supernode, [L11; L21] with L11 lower triangular.
//
// Forward, y1 <- L11^-1 y1 and y2 <- y2 - L21 y1; backward, y1 <- L11^-H (y1 - L21^H y2). A tile is as many
// columns as numbers fit in a vector: its diagonal block is solved in registers, and its rows below are
// passed over once. So L is read once, about in the order of memory or in its reverse, and fetched ahead of
// that.
//
// A pivot waits for its predecessor no longer than one broadcast and one multiplication take: equations are
// divided by their pivots beforehand, by one division for all of a tile. Backward, the triangle is transposed
// in registers, and so are the inner products with y2 while their lanes are summed.
//
// Source: Dongarra, Du Croz, Hammarling, Hanson, "An extended set of FORTRAN basic linear algebra
//         subprograms", ACM Trans. Math. Softw. 14 (1988) 1-17: the operations trsv and gemv, here in one.
// Cost: n (2m - n) operations for m x n real numbers, bound by memory for large panels, and by the chain of
// pivots for small ones.
#pragma once

#include "gemv.h"

namespace elimax {
namespace {

// Numbers in a vector: the order of a tile.
template <class T>
constexpr int side = width<Real<T>> / parts<T>;

// How far ahead of its use a tile of N columns is fetched, in reals: down the columns of a large one, else
// in neighboring tiles and panels in the direction of the sweep.
template <int N, class R>
ELIMAX_INLINE Offset ahead(View<const R> L, int direction) {
  constexpr Offset large = 8192, near_by = 4096;  // bytes
  return (N * L.ld * Offset{sizeof(R)} > large ? ahead_in_column : direction * near_by) / Offset{sizeof(R)};
}

// The products of the numbers of two vectors.
template <class T, class R = Real<T>>
ELIMAX_INLINE Vector<R> product(Vector<R> x, Vector<R> y) {
  if constexpr (parts<T> == 1) {
    return x * y;
  } else {
    const Vector<R> real = even<R>(x), imaginary = even<R>(swap_pairs<R>(x));
    return real * y + imaginary * (alternate<R>(-1, 1) * swap_pairs<R>(y));
  }
}
template <class T, class R = Real<T>>
ELIMAX_INLINE Vector<R> reciprocals(Vector<R> x) {
  if constexpr (parts<T> == 1) {
    return 1 / x;
  } else {
    const Vector<R> square = x * x;
    return alternate<R>(1, -1) * x / (square + swap_pairs<R>(square));
  }
}

// The diagonal block of a tile of N columns: the entries below the diagonal, by columns, and the reciprocals
// of those on it, 1 in the lanes beyond.
template <class T, int N>
struct Triangle {
  using R = Real<T>;
  Vector<R> below[N];
  Vector<R> inverse = alternate<R>(1, parts<T> == 1);

  ELIMAX_INLINE Triangle(Index m, View<const R> L, Offset ahead)
      : Triangle(Lanes<R>(least(m, side<T>) * parts<T>), L, ahead, std::make_integer_sequence<int, N>{}) {}
  template <int... J>
  ELIMAX_INLINE Triangle(Lanes<R> rows, View<const R> L, Offset ahead, std::integer_sequence<int, J...>) {
    (column<J>(rows.load(L.data + J * L.ld)), ...);
    (__builtin_prefetch(L.data + J * L.ld + ahead), ...);
    inverse = reciprocals<T>(inverse);
  }
  template <int j>
  ELIMAX_INLINE void column(Vector<R> x) {
    inverse = pick<R, j * parts<T>>(x, inverse);
    if constexpr (parts<T> == 2) inverse = pick<R, j * parts<T> + 1>(x, inverse);
    below[j] = blend<R, (j + 1) * parts<T>>(Vector<R>{}, x);
  }
};

// x -= a x_j; s becomes x_j, its parts spread over vectors.
template <class T, int j, class R = Real<T>>
ELIMAX_INLINE void eliminate_number(Vector<R>& x, Vector<R> a, Vector<R>* s) {
  s[0] = spread<R, j * parts<T>>(x);
  if constexpr (parts<T> == 2) s[1] = spread<R, j * parts<T> + 1>(x);
  eliminate<T>(x, a, s, R(-1));
}

// One tile of N columns and all m rows from its diagonal on.
template <class T, int N>
struct Forward {
  using R = Real<T>;
  static void run(Index m, View<const R> L, R* y) {
    const Offset distance = ahead<N>(L, 1);
    Vector<R> s[N * parts<T>];
    store(y, pivots(Triangle<T, N>(m, L, distance), load(y), s, std::make_integer_sequence<int, N>{}));
    if (m > side<T>)
      subtract_columns<T, N, true>(m - side<T>, {L.data + width<R>, L.ld}, s, y + width<R>, distance);
  }
  template <int... J>
  ELIMAX_INLINE static Vector<R> pivots(const Triangle<T, N>& triangle, Vector<R> x,
                                        Vector<R> (&s)[N * parts<T>], std::integer_sequence<int, J...>) {
    x = product<T>(triangle.inverse, x);
    (eliminate_number<T, J>(x, product<T>(triangle.inverse, triangle.below[J]), s + J * parts<T>), ...);
    return x;
  }
};

template <class T, int N>
struct Backward {
  using R = Real<T>;
  static void run(Index m, View<const R> L, R* y) {
    const Offset distance = ahead<N>(L, -1);
    Vector<R> sum[width<R>] = {}, row[side<T>] = {};
    if (m > side<T>)
      add_inner_products<T, N>(m - side<T>, {L.data + width<R>, L.ld}, y + width<R>, sum, distance);
    const Triangle<T, N> triangle(m, L, distance);
    // The rows below that share the vector, and nothing of what is behind the last row.
    const Vector<R> u = blend<R, N * parts<T>>(Vector<R>{}, Lanes<R>(least(m, side<T>) * parts<T>).load(y));
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) {
      row[j] = triangle.below[j];
      sum[j * parts<T>] += row[j] * (alternate<R>(1, flip_of<T>) * u);
      if constexpr (parts<T> == 2) {
        sum[j * parts<T> + 1] += row[j] * (alternate<R>(1, -flip_of<T>) * swap_pairs<R>(u));
        row[j] *= alternate<R>(1, -flip_of<T>);
      }
    }
    totals<R>(sum);
    transpose<R, parts<T>>(row);
    const Vector<R> inverse =
        parts<T> == 1 ? triangle.inverse : alternate<R>(1, -flip_of<T>) * triangle.inverse;
    store(y, pivots(inverse, row, load(y) - sum[0], std::make_integer_sequence<int, N>{}));
  }
  template <int... J>
  ELIMAX_INLINE static Vector<R> pivots(Vector<R> inverse, const Vector<R> (&row)[side<T>], Vector<R> x,
                                        std::integer_sequence<int, J...>) {
    Vector<R> s[parts<T>];
    x = product<T>(inverse, x);
    (eliminate_number<T, N - 1 - J>(x, product<T>(inverse, row[N - 1 - J]), s), ...);
    return x;
  }
};

// The instances of a tile for 1, 2, ... columns.
template <class T, template <class, int> class Tile, int... N>
constexpr auto tiles(std::integer_sequence<int, N...>) {
  struct {
    decltype(&Tile<T, 1>::run) of[sizeof...(N)];
  } table{{&Tile<T, N + 1>::run...}};
  return table;
}
template <class T, template <class, int> class Tile>
constexpr auto tiles_of = tiles<T, Tile>(std::make_integer_sequence<int, side<T>>{});

// Applies the tile that begins in column j.
template <class T, template <class, int> class Tile, class R = Real<T>>
ELIMAX_INLINE void apply_tile(Index m, Index n, Index j, View<const R> L, R* y) {
  tiles_of<T, Tile>.of[least(side<T>, n - j) - 1](m - j, {L.data + j * (L.ld + parts<T>), L.ld},
                                                  y + j * parts<T>);
}

// y(m) with room for whole vectors; L is m x n.
template <class T, class R = Real<T>>
void forward_trapezoid(Index m, Index n, View<const R> L, R* y) {
  for (Index j = 0; j < n; j += side<T>) apply_tile<T, Forward>(m, n, j, L, y);
}
template <class T, class R = Real<T>>
void backward_trapezoid(Index m, Index n, View<const R> L, R* y) {
  for (Index j = (n - 1 + side<T>) / side<T> * side<T> - side<T>; j >= 0; j -= side<T>)
    apply_tile<T, Backward>(m, n, j, L, y);
}

}  // namespace
}  // namespace elimax
