// dense_lu_check.cc: the dense kernels for LU, against naive loops in extended precision. Prints the first
// disagreement and exits with 1.

#include "dense_check.h"

namespace {

// L and U multiply to A with its rows in the order that `rows` describes.
template <class T>
void check_lu(const DenseKernels<T>& kernels, Index m, Index n) {
  const Matrix<T> A(m, n);
  Matrix<T> permuted = A;
  const auto run = [&](Real<T> least, Matrix<T>& X) {
    std::vector<Index> rows(n);
    const unsigned replaced = kernels.getf2(m, n, least, 200, X.ptr(), X.ld, rows.data());
    permuted = A;
    for (Index j = 0; j < n; ++j) {
      if (rows[j] < j || rows[j] >= m) fail<T>("getf2 exchanges", m, n, n, rows[j], j, 0, 0);
      for (Index l = 0; l < n; ++l) std::swap(permuted(j, l), permuted(rows[j], l));
    }
    return replaced;
  };
  const auto size = [](T x) { return std::abs(wide(x).real()) + std::abs(wide(x).imag()); };
  Matrix<T> X = A;
  if (run(0, X) != 0) fail<T>("getf2 replaced a pivot", m, n, n, 0, 0, 0, 0);
  Matrix<T> expected = permuted, product = X;
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < m; ++i) {
      Long sum = 0;
      for (Index p = 0; p <= std::min(i, j); ++p) sum += (p == i ? 1 : wide(X(i, p))) * wide(X(p, j));
      product(i, j) = narrow<T>(sum);
      if (i > j && std::abs(wide(X(i, j))) > 1.42) fail<T>("getf2 pivot", m, n, n, i, j, wide(X(i, j)), 1);
    }
  std::vector<Long> wanted;
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < m; ++i) wanted.push_back(wide(expected(i, j)));
  compare("getf2", n, product, A, wanted, 64 * (n + 2), everywhere);

  X = A;
  const unsigned all = static_cast<unsigned>((1ull << n) - 1);
  if (run(100, X) != all) fail<T>("getf2 left a small pivot", m, n, n, 0, 0, 0, 0);
  if (n > 0 && std::abs(size(X(0, 0)) - 200) > 1e-3)
    fail<T>("getf2 replaced", m, n, n, 0, 0, wide(X(0, 0)), 200);
}

// [L11; L21] [U11 U12] and what is left of F22 are the front with the rows of F11 in the order of pivots.
template <class T>
void check_small_front(const DenseKernels<T>& kernels, Index c, Index u, bool empty) {
  const Index m = c + u;
  Matrix<T> F(m, m, 0), L(m, c, 0), UH(m, c, 0), F22(u, u, 0);
  for (Index j = 0; j < m; ++j)
    for (Index i = 0; i < m; ++i) {
      if (empty && i >= c && j >= c) F(i, j) = T{};
      if ((i < c) != (j < c)) F(i, j) *= Real<T>(0.01);  // no pivot is too small
      if (j < c) L(i, j) = F(i, j);
      if (i < c && j >= c) UH(j, i) = narrow<T>(conjugate<T>(wide(F(i, j))));
      if (i >= c && j >= c) F22(i - c, j - c) = empty ? T(NAN) : F(i, j);
    }
  std::vector<Index> order(c, -1);
  Real<T> growth = 0;
  const PivotRule<Real<T>> rule(m);
  const unsigned replaced =
      kernels.small_front(c, u, rule, empty, L.ptr(), UH.ptr(), F22.ptr(), order.data(), &growth);
  if (replaced != 0) fail<T>("small_front replaced a pivot", m, c, u, 0, 0, replaced, 0);
  const Real<T> expected_growth = kernels.largest_product(u, c, L.ptr() + c, m, UH.ptr() + c, m);
  if (growth != expected_growth) fail<T>("small_front growth", m, c, u, 0, 0, growth, expected_growth);
  Matrix<T> product = F;
  std::vector<Long> expected;
  for (Index j = 0; j < m; ++j)
    for (Index i = 0; i < m; ++i) {
      if (i < j && j < c && (L(i, j) != T{} || UH(i, j) != T{}))
        fail<T>("small_front above the diagonal", m, c, u, i, j, wide(L(i, j)), 0);
      Long sum = i >= c && j >= c ? wide(F22(i - c, j - c)) : 0;
      for (Index p = 0; p < c; ++p)
        if (p <= std::min(i, j)) sum += wide(L(i, p)) * conjugate<T>(wide(UH(j, p)));
      product(i, j) = narrow<T>(sum);
      expected.push_back(wide(F(i < c ? order[i] : i, j)));
    }
  compare("small_front", u, product, F, expected, 4096 * m, everywhere);
}

template <class T>
void check_largest(const DenseKernels<T>& kernels, Index m, Index n) {
  Matrix<T> A(m, n), B(m, n);
  const auto part = [](T x) {
    const Long y = wide(x);
    return static_cast<Real<T>>(std::max(std::abs(y.real()), std::abs(y.imag())));
  };
  Real<T> largest = 0, product = 0;
  for (Index j = 0; j < n; ++j) {
    Real<T> a = 0, b = 0;
    for (Index i = 0; i < m; ++i) a = std::max(a, part(A(i, j))), b = std::max(b, part(B(i, j)));
    largest = std::max(largest, a);
    product = std::max(product, a * b);
  }
  if (const auto got = kernels.largest(m, n, A.ptr(), A.ld); got != largest)
    fail<T>("largest", m, n, 0, 0, 0, got, largest);
  if (const auto got = kernels.largest_product(m, n, A.ptr(), A.ld, B.ptr(), B.ld); got != product)
    fail<T>("largest_product", m, n, 0, 0, 0, got, product);
}

template <class T>
void check(const DenseKernels<T>& kernels) {
  for (const Index m : {0, 1, 2, 3, 5, 8, 9, 17, 40})
    for (Index n = 0; n <= 32; ++n) {
      check_largest(kernels, m, n);
      if constexpr (!is_bilinear<T>) check_lu(kernels, n + m, n);
    }
  if constexpr (!is_bilinear<T>)
    for (Index c = 1; c <= small_front_columns; ++c)
      for (Index u = 0; u <= small_front_rows; ++u)
        for (const bool empty : {false, true}) check_small_front(kernels, c, u, empty);
}

}  // namespace

int main() {
  for_tables([](const auto& kernels) { check(kernels); });
}
