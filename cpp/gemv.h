// gemv.h: products with one vector, y -= A x and y -= A^H x. Memory bound: A is read once, four columns
// at a time.
#pragma once

#include "gemm.h"

namespace elimax {
namespace {

// y(m) -= A(m x n) x: a product with one column.
template <class T, class R = Real<T>>
void multiply_vector(Index m, Index n, View<const R> A, const R* x, R* y) {
  multiply_in_place<T, false>(m, 1, n, R(-1), A, {x, 0}, View<R>{y, 0}, Part::all);
}

template <class R>
ELIMAX_INLINE R total(Vector<R> x) {
  R sum = 0;
  for (int i = 0; i < width<R>; ++i) sum += x[i];
  return sum;
}

// y(N) -= A^H x. A vector of numbers a, x contributes its product with x to the real part and with
// -i x to the imaginary part of a^H x.
template <class T, int N, class R = Real<T>>
void inner_products(Index m, View<const R> A, const R* x, R* y) {
  constexpr int lanes = width<R>;
  const Index count = m * parts<T>;
  Vector<R> sum[N][parts<T>] = {};
  const auto step = [&](auto load, Index i) __attribute__((always_inline)) {
    const Vector<R> u = load(x + i);
    for (int j = 0; j < N; ++j) {
      const Vector<R> a = load(A.data + i + j * A.ld);
      sum[j][0] += a * u;
      if constexpr (parts<T> == 2) sum[j][1] += a * (alternate<R>(1, -1) * swap_pairs<R>(u));
    }
  };
  Index i = 0;
  for (; i + lanes <= count; i += lanes) step([](const R* p) { return load(p); }, i);
  if (i < count) {
    const Lanes<R> last(count - i);
    step([&](const R* p) { return last.load(p); }, i);
  }
  for (int j = 0; j < N; ++j)
    for (int part = 0; part < parts<T>; ++part) y[j * parts<T> + part] -= total<R>(sum[j][part]);
}

template <class T, class R = Real<T>>
void multiply_vector_transposed(Index m, Index n, View<const R> A, const R* x, R* y) {
  Index j = 0;
  for (; j + 4 <= n; j += 4) inner_products<T, 4>(m, {A.data + j * A.ld, A.ld}, x, y + j * parts<T>);
  for (; j < n; ++j) inner_products<T, 1>(m, {A.data + j * A.ld, A.ld}, x, y + j * parts<T>);
}

}  // namespace
}  // namespace elimax
