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

// How far ahead of its use a column is fetched into the cache, in bytes down the column.
constexpr Offset ahead_in_column = 512;

// y(m) -= A(m x N) x for the numbers of x spread over vectors. `padded` promises that y has room for whole
// vectors. A is fetched into the cache `ahead` reals before it is used.
template <class T, int N, bool padded, class R = Real<T>>
ELIMAX_INLINE void subtract_columns(Index m, View<const R> A, const Vector<R> (&x)[N * parts<T>], R* y,
                                    Offset ahead) {
  for_vectors<R>(m * parts<T>, [&](auto load, auto store, Index i) __attribute__((always_inline)) {
    Vector<R> sum[parts<T>] = {};  // of A Re x and A Im x
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) {
      const R* column = A.data + i + j * A.ld;
      const Vector<R> a = load(column);
      __builtin_prefetch(column + ahead);
      sum[0] += a * x[j * parts<T>];
      if constexpr (parts<T> == 2) sum[1] += a * x[j * parts<T> + 1];
    }
    if constexpr (parts<T> == 2) sum[0] += alternate<R>(-1, 1) * swap_pairs<R>(sum[1]);
    if constexpr (padded) {
      elimax::store(y + i, elimax::load(y + i) - sum[0]);
    } else {
      store(y + i, load(y + i) - sum[0]);
    }
  });
}

// sum[j] += the terms of (A^H x)_j, lane by lane, for A(m x N): those of the real part and, for complex
// numbers, of the imaginary part. A vector of numbers contributes a x to Re(a^H x), and a times (Im x, -Re x)
// to Im(a^H x); where nothing is conjugated, a times (Re x, -Im x) and a times (Im x, Re x).
template <class T, int N, class R = Real<T>>
ELIMAX_INLINE void add_inner_products(Index m, View<const R> A, const R* x, Vector<R>* sum, Offset ahead) {
  for_vectors<R>(m * parts<T>, [&](auto load, auto, Index i) __attribute__((always_inline)) {
    const Vector<R> u = load(x + i);
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) {
      const R* column = A.data + i + j * A.ld;
      const Vector<R> a = load(column);
      __builtin_prefetch(column + ahead);
      sum[j * parts<T>] += a * (alternate<R>(1, flip_of<T>) * u);
      if constexpr (parts<T> == 2)
        sum[j * parts<T> + 1] += a * (alternate<R>(1, -flip_of<T>) * swap_pairs<R>(u));
    }
  });
}

// y(m) -= A(m x N) x.
template <class T, int N>
struct Subtract {
  using R = Real<T>;
  static void run(Index m, View<const R> A, const R* x, R* y) {
    Vector<R> s[N * parts<T>];
#pragma GCC unroll 8
    for (int j = 0; j < N * parts<T>; ++j) s[j] = Vector<R>{} + x[j];
    subtract_columns<T, N, false>(m, A, s, y, ahead_in_column / sizeof(R));
  }
};

// y(N) -= A^H x for A(m x N).
template <class T, int N>
struct SubtractTransposed {
  using R = Real<T>;
  static void run(Index m, View<const R> A, const R* x, R* y) {
    Vector<R> sum[N * parts<T>] = {};
    add_inner_products<T, N>(m, A, x, sum, ahead_in_column / sizeof(R));
#pragma GCC unroll 8
    for (int j = 0; j < N * parts<T>; ++j) y[j] -= total<R>(sum[j]);
  }
};

// Calls subtract(m, columns of A, j) for all n columns of A, four at a time.
template <class T, template <class, int> class Columns, class R, class Call>
ELIMAX_INLINE void for_columns(Index n, View<const R> A, Call call) {
  Index j = 0;
  for (; j + 4 <= n; j += 4) call(Columns<T, 4>::run, View<const R>{A.data + j * A.ld, A.ld}, j * parts<T>);
  if (j + 2 <= n) {
    call(Columns<T, 2>::run, View<const R>{A.data + j * A.ld, A.ld}, j * parts<T>);
    j += 2;
  }
  if (j < n) call(Columns<T, 1>::run, View<const R>{A.data + j * A.ld, A.ld}, j * parts<T>);
}

// y(m) -= A(m x n) x.
template <class T, class R = Real<T>>
void multiply_vector(Index m, Index n, View<const R> A, const R* x, R* y) {
  for_columns<T, Subtract>(n, A,
                           [&](auto run, View<const R> columns, Index j) { run(m, columns, x + j, y); });
}

// y(n) -= A^H x for A(m x n).
template <class T, class R = Real<T>>
void multiply_vector_transposed(Index m, Index n, View<const R> A, const R* x, R* y) {
  for_columns<T, SubtractTransposed>(
      n, A, [&](auto run, View<const R> columns, Index j) { run(m, columns, x, y + j); });
}

}  // namespace
}  // namespace elimax
