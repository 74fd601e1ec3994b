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
}

}  // namespace

int main() {
  for_tables([](const auto& kernels) { check(kernels); });
}
