// triangular.h: dense triangular solves and the dense Cholesky factorization.
//
// Up to `leaf` columns are processed left-looking, a tile at a time: the tile gathers the contributions
// of all previous columns in registers and is solved or factored there, so each number is loaded and
// stored once. Beyond that the columns are halved, and the halves are coupled by one product.
//
// Source: Elmroth, Gustavson, Jonsson, Kagstrom, "Recursive blocked algorithms and hybrid data
//         structures for dense matrix library software", SIAM Review 46 (2004) 3-45.
// Cost: m n^2 operations for a solve, n^3 / 3 + (m - n) n^2 for a factorization.
#pragma once

#include "gemm.h"

namespace elimax {
namespace {

template <class T>
constexpr Index leaf = 64;

// A split of n > leaf columns: about half of them, whole tiles.
template <class T>
ELIMAX_INLINE Index half(Index n) {
  return n / 2 / leaf<T> * leaf<T> + (n / 2 < leaf<T> ? leaf<T> : 0);
}

// 1 / z, or 1 / conj(z) for flip = 1.
template <class T, class R = Real<T>>
ELIMAX_INLINE void reciprocal(const R* z, R flip, R* inverse) {
  if constexpr (parts<T> == 1) {
    inverse[0] = 1 / z[0];
  } else {
    const R norm = z[0] * z[0] + z[1] * z[1];
    inverse[0] = z[0] / norm;
    inverse[1] = flip * z[1] / norm;
  }
}

// B <- B L^-H (forward) or B L^-1 (backward) for n <= leaf. inverse[j] = 1 / conj(L(j, j)), or 1 / L(j, j).
template <class T, bool forward, class R = Real<T>>
void solve_leaf(Index m, Index n, View<const R> L, const R* inverse, View<R> B) {
  for (Index i = 0, rows; i < m; i += rows) {
    rows = next_rows<T>(m - i);
    R* b = B.data + i * parts<T>;
    for (Index step = 0; step < n; step += tile_columns<T>) {
      const Index columns = least(tile_columns<T>, n - step);
      const Index j = forward ? step : n - step - columns;  // first column of the tile
      const Index known = forward ? 0 : j + columns;        // first of the `step` columns solved before
      const auto run = kernel<T, Solve, forward>(rows * parts<T>, columns);
      run(step, b + known * B.ld, B.ld, operand<T, forward>(L, known, j), rows * parts<T>,
          L.data + j * (L.ld + parts<T>), L.ld, inverse + j * parts<T>, b + j * B.ld, B.ld);
    }
  }
}

template <class T, bool forward, class R = Real<T>>
void solve(Index m, Index n, View<const R> L, View<R> B) {
  if (n <= leaf<T>) {
    R inverse[leaf<T> * parts<T>];
    for (Index j = 0; j < n; ++j)
      reciprocal<T>(L.data + j * (L.ld + parts<T>), forward ? flip_of<T> : R(-1), inverse + j * parts<T>);
    solve_leaf<T, forward>(m, n, L, inverse, B);
    return;
  }
  const Index h = half<T>(n);
  const View<const R> L21{L.data + h * parts<T>, L.ld}, L22{L21.data + h * L.ld, L.ld};
  const View<R> B2{B.data + h * B.ld, B.ld};
  const View<const R> X1{B.data, B.ld}, X2{B2.data, B.ld};
  if constexpr (forward) {
    solve<T, true>(m, h, L, B);
    multiply<T, true, true>(m, n - h, h, R(-1), X1, L21, B2);
    solve<T, true>(m, n - h, L22, B2);
  } else {
    solve<T, false>(m, n - h, L22, B2);
    multiply<T, true, false>(m, h, n - h, R(-1), X2, L21, B);
    solve<T, false>(m, h, L, B);
  }
}

// factor for n <= leaf.
template <class T, class R = Real<T>>
Index factor_leaf(Index m, Index n, const R* floor, View<R> A) {
  R inverse[leaf<T> * parts<T>];
  // Tall panels leave the rows below to the solve, which passes over them once.
  const Index top = m - n <= 2 * tile_rows<T> ? m : n;
  constexpr Index step = least(tile_columns<T>, tile_rows<T>);  // the diagonal block fits in a tile
  for (Index j = 0; j < n; j += step) {
    const Index columns = least(step, n - j);
    Index rows = next_rows<T>(top - j);
    if (rows < columns) rows = columns;
    R* a = A.data + j * parts<T>;
    const Broadcast<R> b = {a, parts<T>, A.ld};
    const auto run = kernel<T, Factor, true>(rows * parts<T>, columns);
    R* const reciprocals = inverse + j * parts<T>;
    const Index done = run(j, a, A.ld, b, rows * parts<T>, floor + j, reciprocals, a + j * A.ld, A.ld);
    if (done < columns) return j + done;
    for (Index i = rows; i < top - j; i += rows) {
      rows = next_rows<T>(top - j - i);
      const Index count = rows * parts<T>;
      R* below = a + i * parts<T>;
      kernel<T, Solve, true>(count, columns)(j, below, A.ld, b, count, a + j * A.ld, A.ld, reciprocals,
                                             below + j * A.ld, A.ld);
    }
  }
  if (top < m)
    solve_leaf<T, true>(m - n, n, View<const R>{A.data, A.ld}, inverse, {A.data + n * parts<T>, A.ld});
  return n;
}

// The first n columns of the Cholesky factor of A, of which the lower trapezoid A(m x n), m >= n, is
// given and overwritten. Returns n, or the first column whose pivot is not greater than its floor.
template <class T, class R = Real<T>>
Index factor(Index m, Index n, const R* floor, View<R> A) {
  if (n <= leaf<T>) return factor_leaf<T>(m, n, floor, A);
  const Index h = half<T>(n);
  const Index done = factor<T>(m, h, floor, A);
  if (done < h) return done;
  const View<const R> L{A.data + h * parts<T>, A.ld};
  const View<R> A22{A.data + h * (A.ld + parts<T>), A.ld};
  multiply<T, true, true>(m - h, n - h, h, R(-1), L, L, A22, Part::lower);
  return h + factor<T>(m - h, n - h, floor + h, A22);
}

}  // namespace
}  // namespace elimax
