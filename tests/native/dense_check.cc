// dense_check.cc: every dense kernel, against naive loops in extended precision; those for LU have
// dense_lu_check.cc. Prints the first disagreement and exits with 1.

#include "dense_check.h"

namespace {

template <class T>
void check_products(const DenseKernels<T>& kernels, Index m, Index n, Index k) {
  const int sign = generator() % 2 ? 1 : -1;
  const Real<T> s = sign;
  Matrix<T> A(m, k), AH(k, m), B(k, n), BH(n, k);
  const Matrix<T> C(m, n);
  const auto a = [&](Index i, Index p) { return wide(A(i, p)); };
  const auto ah = [&](Index i, Index p) { return conjugate<T>(wide(AH(p, i))); };
  const auto b = [&](Index p, Index j) { return wide(B(p, j)); };
  const auto bh = [&](Index p, Index j) { return conjugate<T>(wide(BH(j, p))); };
  const double bound = 4 * (k + 2);

  Matrix<T> D = C;
  kernels.gemm_nh(m, n, k, s, A.ptr(), A.ld, BH.ptr(), BH.ld, D.ptr(), D.ld);
  compare("gemm_nh", k, D, C, product(C, k, sign, a, bh), bound, everywhere);
  Matrix<T> alone = C;  // a column does not depend on its neighbors
  for (Index j = 0; j < n; ++j)
    kernels.gemm_nh(m, 1, k, s, A.ptr(), A.ld, BH.ptr() + (k ? j : 0), BH.ld, alone.ptr() + j * alone.ld,
                    alone.ld);
  if (!same_bits(alone.ptr(), D.ptr(), D.data.size() * sizeof(T)))
    fail<T>("gemm_nh by columns", m, n, k, 0, 0, 0, 0);
  D = C;
  kernels.gemm_nn(m, n, k, s, A.ptr(), A.ld, B.ptr(), B.ld, D.ptr(), D.ld);
  compare("gemm_nn", k, D, C, product(C, k, sign, a, b), bound, everywhere);
  D = C;
  kernels.gemm_hn(m, n, k, s, AH.ptr(), AH.ld, B.ptr(), B.ld, D.ptr(), D.ld);
  compare("gemm_hn", k, D, C, product(C, k, sign, ah, b), bound, everywhere);

  if (n == 1) {
    D = C;
    kernels.gemv_n(m, k, A.ptr(), A.ld, B.ptr(), D.ptr());
    compare("gemv_n", k, D, C, product(C, k, -1, a, b), bound, everywhere);
    D = C;
    kernels.gemv_h(k, m, AH.ptr(), AH.ld, B.ptr(), D.ptr());
    compare("gemv_h", k, D, C, product(C, k, -1, ah, b), bound, everywhere);
  }
}

template <class T>
void check_gemmt(const DenseKernels<T>& kernels, Index m, Index n, Index k) {
  const int sign = generator() % 2 ? 1 : -1;
  Matrix<T> A(m, k), B(n, k);
  const Matrix<T> C(m, n);
  const auto expected = product(
      C, k, sign, [&](Index i, Index p) { return wide(A(i, p)); },
      [&](Index p, Index j) { return conjugate<T>(wide(B(j, p))); });
  Matrix<T> D = C;
  kernels.gemmt(m, n, k, Real<T>(sign), A.ptr(), A.ld, B.ptr(), B.ld, D.ptr(), D.ld);
  for (Index j = 0; j < n; ++j)  // the upper triangle is free
    for (Index i = 0; i < j; ++i) D(i, j) = C(i, j);
  compare("gemmt", k, D, C, expected, 4 * (k + 2), lower);
}

// A well-conditioned lower triangle, NaN above the diagonal, which is positive or has complex phases.
template <class T>
Matrix<T> triangle(Index m, Index n, bool positive = false) {
  Matrix<T> L(m, n);
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < j; ++i) L(i, j) = T(NAN);
    for (Index i = j; i < m; ++i) L(i, j) *= Real<T>(1) / std::max(n, Index{1});
    const Long phase = positive ? Long(1) : std::polar<long double>(1, 3 * uniform());
    L(j, j) = narrow<T>((is_complex<T> ? phase : Long(1)) * Long(1 + 0.5 * uniform()));
  }
  return L;
}

template <class T>
void check_solves(const DenseKernels<T>& kernels, Index m, Index n) {
  Matrix<T> L = triangle<T>(n, n);
  const Matrix<T> B(m, n);
  const auto at = [&](Index i, Index j) { return i + std::size_t(m) * j; };
  std::vector<Long> x(std::size_t(m) * n), y(x);
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      Long sum = wide(B(i, j));
      for (Index p = 0; p < j; ++p) sum -= x[at(i, p)] * conjugate<T>(wide(L(j, p)));
      x[at(i, j)] = sum / conjugate<T>(wide(L(j, j)));
    }
    for (Index j = n - 1; j >= 0; --j) {
      Long sum = wide(B(i, j));
      for (Index p = j + 1; p < n; ++p) sum -= y[at(i, p)] * wide(L(p, j));
      y[at(i, j)] = sum / wide(L(j, j));
    }
  }
  Matrix<T> X = B;
  kernels.trsm_h(m, n, L.ptr(), L.ld, X.ptr(), X.ld);
  compare("trsm_h", n, X, B, x, 16 * (n + 2), everywhere);
  X = B;
  kernels.trsm_n(m, n, L.ptr(), L.ld, X.ptr(), X.ld);
  compare("trsm_n", n, X, B, y, 16 * (n + 2), everywhere);
  if (m > 1) {  // a row does not depend on the others
    Matrix<T> last = B;
    kernels.trsm_n(1, n, L.ptr(), L.ld, last.ptr() + (n ? m - 1 : 0), last.ld);
    for (Index j = 0; j < n; ++j)
      if (!same_bits(&last(m - 1, j), &X(m - 1, j), sizeof(T)))
        fail<T>("trsm_n by rows", m, n, n, m - 1, j, wide(last(m - 1, j)), wide(X(m - 1, j)));
  }
}

// The trapezoid of n columns and u rows below its triangle, with every alignment of both arguments.
template <class T>
void check_trapezoid(const DenseKernels<T>& kernels, Index u, Index n) {
  const Index m = n + u;
  const Matrix<T> L = triangle<T>(m, n);
  const Matrix<T> y(m, 1);
  std::vector<Long> forward(m), backward(m);
  for (Index i = 0; i < m; ++i) {
    forward[i] = wide(y(i, 0));
    for (Index p = 0; p < std::min(i, n); ++p) forward[i] -= wide(L(i, p)) * forward[p];
    if (i < n) forward[i] /= wide(L(i, i));
  }
  for (Index j = m - 1; j >= 0; --j) {
    backward[j] = wide(y(j, 0));
    if (j >= n) continue;
    for (Index i = j + 1; i < m; ++i) backward[j] -= conjugate<T>(wide(L(i, j))) * backward[i];
    backward[j] /= conjugate<T>(wide(L(j, j)));
  }

  const auto check = [&](const char* name, auto kernel, const std::vector<Long>& expected) {
    const Matrix<T> before(whole_vectors<T>(m), 1, 0);
    Matrix<T> first = before;
    for (Index shift : {0, 1, 3}) {
      std::vector<T> moved(shift + L.data.size()), x(shift + whole_vectors<T>(m), T(NAN));
      std::copy(L.data.begin(), L.data.end(), moved.begin() + shift);
      std::copy_n(y.data.begin(), m, x.begin() + shift);
      for (Index i = m; i < whole_vectors<T>(m); ++i) x[shift + i] = T(i);
      kernel(m, n, moved.data() + shift, L.ld, x.data() + shift);
      Matrix<T> got = y;
      std::copy_n(x.begin() + shift, m, got.data.begin());
      for (Index i = m; i < whole_vectors<T>(m); ++i)
        if (x[shift + i] != T(i)) fail<T>(name, m, n, shift, i, 0, wide(x[shift + i]), i);
      compare(name, n, got, y, expected, 16 * (n + 2), everywhere);
      if (shift == 0) std::copy_n(got.data.begin(), m, first.data.begin());
      if (!same_bits(got.ptr(), first.ptr(), m * sizeof(T))) fail<T>(name, m, n, shift, 0, 0, 0, 0);
    }
  };
  check("forward", kernels.forward, forward);
  check("backward", kernels.backward, backward);
}

// The panel of u + n rows whose factor is known; potrf is its case u = 0.
template <class T>
void check_factor(const DenseKernels<T>& kernels, Index u, Index n) {
  const Index m = n + u;
  const Matrix<T> L = triangle<T>(m, n, true);
  Matrix<T> A(m, n);
  std::vector<Long> expected(std::size_t(m) * n);
  for (Index j = 0; j < n; ++j) {
    for (Index i = 0; i < j; ++i) A(i, j) = T(NAN);
    for (Index i = j; i < m; ++i) {
      Long sum = 0;
      for (Index p = 0; p <= j; ++p) sum += wide(L(i, p)) * std::conj(wide(L(j, p)));
      if (i == j && is_complex<T>) sum += Long(0, uniform());  // the imaginary part there is ignored
      A(i, j) = narrow<T>(sum);
      expected[i + std::size_t(m) * j] = wide(L(i, j));
    }
  }
  const auto run = [&](const std::vector<Real<T>>& floor, Matrix<T>& X) {
    return u == 0 ? kernels.potrf(n, floor.data(), X.ptr(), X.ld)
                  : kernels.panel(m, n, floor.data(), X.ptr(), X.ld);
  };
  std::vector<Real<T>> floor(n, 0);
  Matrix<T> X = A;
  if (const Index done = run(floor, X); done != n) fail<T>("potrf stopped", m, n, n, done, done, done, n);
  compare("potrf", n, X, A, expected, 64 * (n + 2), lower);
  if (n == 0) return;

  const Index bad = generator() % n;
  const auto expect_failure = [&](const char* name, const std::vector<Real<T>>& floor, Matrix<T> X) {
    if (const Index done = run(floor, X); done != bad) fail<T>(name, m, n, n, done, done, done, bad);
  };
  const Real<T> pivot = static_cast<Real<T>>(std::norm(expected[bad + std::size_t(m) * bad]));
  floor[bad] = pivot * Real<T>(1.01);
  expect_failure("potrf above its floor", floor, A);
  floor[bad] = pivot * Real<T>(0.99);
  X = A;
  if (run(floor, X) != n) fail<T>("potrf below its floor", m, n, n, bad, bad, 0, 0);
  Matrix<T> broken = A;
  broken(bad, bad) = T(NAN);
  expect_failure("potrf of NaN", std::vector<Real<T>>(n, -INFINITY), broken);
  broken = A;
  broken(bad, bad) = -A(bad, bad);
  expect_failure("potrf of a negative pivot", std::vector<Real<T>>(n, 0), broken);
}

template <class T>
void check(const DenseKernels<T>& kernels) {
  const Index sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 24, 25, 33, 40};
  for (Index m : sizes)
    for (Index n : sizes)
      for (Index k : {0, 1, 2, 5, 17}) check_products(kernels, m, n, k);
  for (Index m : sizes)
    for (Index n = 0; n <= 40; ++n) {
      check_gemmt(kernels, m, m, n);
      if (m >= n) check_gemmt(kernels, m, n, 5);
      check_solves(kernels, m, n);
      if constexpr (!is_bilinear<T>) check_factor(kernels, m, n);
      check_trapezoid(kernels, m, n);
    }
  // Beyond every threshold of packing and of blocking.
  check_products(kernels, 147, 139, 131);
  check_products(kernels, 41, 401, 33);
  check_products(kernels, 330, 35, 270);
  check_products(kernels, 301, 1, 300);
  check_gemmt(kernels, 211, 211, 140);
  check_gemmt(kernels, 250, 130, 270);
  check_solves(kernels, 90, 203);
  check_trapezoid(kernels, 303, 301);
  if constexpr (!is_bilinear<T>) {
    check_factor(kernels, 0, 219);
    check_factor(kernels, 150, 131);
    check_factor(kernels, 201, 40);
  }
}

}  // namespace

int main() {
  for_tables([](const auto& kernels) { check(kernels); });
}
