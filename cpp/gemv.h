// gemv.h: products with one vector, y -= A x and y -= A^H x.
//
// Bound by memory: A is read once, down four columns at a time, and y or x once for every four columns.
#pragma once

#include "gemm.h"

namespace elimax {
namespace {

// For every vector of rows: body(load, store, i) at position i of a column of `count` reals.
template <class R, class Body>
ELIMAX_INLINE void for_vectors(Index count, Body body) {
  Index i = 0;
  for (; i + width<R> <= count; i += width<R>)
    body([](const R* p) { return load(p); }, [](R* p, Vector<R> x) { store(p, x); }, i);
  if (i == count) return;
  const Lanes<R> last(count - i);
  body([&](const R* p) { return last.load(p); }, [&](R* p, Vector<R> x) { last.store(p, x); }, i);
}

// y(m) -= A(m x N) x.
template <class T, int N, class R = Real<T>>
void subtract_columns(Index m, View<const R> A, const R* x, R* y) {
  R s[N * parts<T>];  // y is not x, but the compiler cannot know
#pragma GCC unroll 8
  for (int j = 0; j < N * parts<T>; ++j) s[j] = x[j];
  for_vectors<R>(m * parts<T>, [&](auto load, auto store, Index i) __attribute__((always_inline)) {
    Vector<R> sum[parts<T>] = {};  // of A Re x and A Im x
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      const Vector<R> a = load(A.data + i + j * A.ld);
      sum[0] += a * s[j * parts<T>];
      if constexpr (parts<T> == 2) sum[1] += a * s[j * parts<T> + 1];
    }
    if constexpr (parts<T> == 2) sum[0] += alternate<R>(-1, 1) * swap_pairs<R>(sum[1]);
    store(y + i, load(y + i) - sum[0]);
  });
}

// y(N) -= A^H x for A(m x N). A vector of numbers contributes a x to Re(a^H x), and a times
// (Im x, -Re x) to Im(a^H x).
template <class T, int N, class R = Real<T>>
void subtract_inner_products(Index m, View<const R> A, const R* x, R* y) {
  Vector<R> sum[N][parts<T>];
#pragma GCC unroll 4
  for (int j = 0; j < N; ++j)
    for (int part = 0; part < parts<T>; ++part) sum[j][part] = Vector<R>{};
  for_vectors<R>(m * parts<T>, [&](auto load, auto, Index i) __attribute__((always_inline)) {
    const Vector<R> u = load(x + i);
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      const Vector<R> a = load(A.data + i + j * A.ld);
      sum[j][0] += a * u;
      if constexpr (parts<T> == 2) sum[j][1] += a * (alternate<R>(1, -1) * swap_pairs<R>(u));
    }
  });
#pragma GCC unroll 4
  for (int j = 0; j < N; ++j)
    for (int part = 0; part < parts<T>; ++part) y[j * parts<T> + part] -= total<R>(sum[j][part]);
}

// y(m) -= A(m x n) x.
template <class T, class R = Real<T>>
void multiply_vector(Index m, Index n, View<const R> A, const R* x, R* y) {
  Index j = 0;
  const auto next = [&](auto subtract, Index columns) {
    subtract(m, View<const R>{A.data + j * A.ld, A.ld}, x + j * parts<T>, y);
    j += columns;
  };
  while (j + 4 <= n) next(subtract_columns<T, 4>, 4);
  if (j + 2 <= n) next(subtract_columns<T, 2>, 2);
  if (j < n) next(subtract_columns<T, 1>, 1);
}

// y(n) -= A^H x for A(m x n).
template <class T, class R = Real<T>>
void multiply_vector_transposed(Index m, Index n, View<const R> A, const R* x, R* y) {
  Index j = 0;
  const auto next = [&](auto subtract, Index columns) {
    subtract(m, View<const R>{A.data + j * A.ld, A.ld}, x, y + j * parts<T>);
    j += columns;
  };
  while (j + 4 <= n) next(subtract_inner_products<T, 4>, 4);
  if (j + 2 <= n) next(subtract_inner_products<T, 2>, 2);
  if (j < n) next(subtract_inner_products<T, 1>, 1);
}

}  // namespace
}  // namespace elimax
