// dense_check.h: what the programs that check the dense kernels share: matrices, their comparison with what
// naive loops compute in extended precision, and all the tables of kernels that this processor can run.
//
// Arrays end with their last number, so that AddressSanitizer sees an overrun; what lies between the
// columns and above a diagonal is NaN, so that reading it shows; what may not be written is compared.
#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "dense.h"

using namespace elimax;

namespace {

using Long = std::complex<long double>;
const char* where = "";

template <class T>
constexpr bool is_complex = !std::is_same_v<T, Real<T>>;
template <class T>
Long wide(T x) {
  if constexpr (is_complex<T>) {
    return {x.real(), x.imag()};
  } else {
    return x;
  }
}
template <class T>
T narrow(Long x) {
  if constexpr (is_complex<T>) {
    return T(static_cast<Real<T>>(x.real()), static_cast<Real<T>>(x.imag()));
  } else {
    return static_cast<T>(x.real());
  }
}
// The conjugate of a number in wide precision, as numbers of type T have it.
template <class T>
Long conjugate(Long x) {
  return is_bilinear<T> ? x : std::conj(x);
}

std::mt19937_64 generator(20);
double uniform() { return std::uniform_real_distribution<double>(-1, 1)(generator); }

// A column-major matrix whose columns are `gap` numbers apart; the gaps are NaN.
template <class T>
struct Matrix {
  Index m, n, ld;
  std::vector<T> data;
  Matrix(Index m, Index n, Index gap = 3)
      : m(m), n(n), ld(std::max(m + gap, Index{1})), data(n > 0 ? std::size_t(ld) * (n - 1) + m : 0, T(NAN)) {
    for (Index j = 0; j < n; ++j)
      for (Index i = 0; i < m; ++i) (*this)(i, j) = narrow<T>({uniform(), uniform()});
  }
  T& operator()(Index i, Index j) { return data[i + std::size_t(ld) * j]; }
  const T& operator()(Index i, Index j) const { return data[i + std::size_t(ld) * j]; }
  T* ptr() { return data.data(); }
};

template <class T>
[[noreturn]] void fail(const char* kernel, Index m, Index n, Index k, Index i, Index j, Long got,
                       Long expected) {
  std::printf("%s %s (%zu-byte %s) m=%d n=%d k=%d: (%d, %d) is (%.17Lg, %.17Lg), expected (%.17Lg, %.17Lg)\n",
              where, kernel, sizeof(T),
              is_bilinear<T>  ? "bilinear"
              : is_complex<T> ? "complex"
                              : "real",
              m, n, k, i, j, got.real(), got.imag(), expected.real(), expected.imag());
  std::exit(1);
}

bool same_bits(const void* a, const void* b, std::size_t size) {
  return size == 0 || std::memcmp(a, b, size) == 0;
}

// `got` equals `expected` within `bound` units of rounding where `inside`, and is `before` elsewhere.
template <class T, class Inside>
void compare(const char* kernel, Index k, const Matrix<T>& got, const Matrix<T>& before,
             const std::vector<Long>& expected, double bound, Inside inside) {
  const double tolerance = bound * std::numeric_limits<Real<T>>::epsilon();
  for (Index j = 0; j < got.n; ++j)
    for (Index i = 0; i < (j + 1 < got.n ? got.ld : got.m); ++i) {
      const Long x = wide(got(i, j));
      if (i < got.m && inside(i, j)) {
        const Long e = expected[i + std::size_t(got.m) * j];
        if (!(std::abs(x - e) <= tolerance * (1 + std::abs(e)))) fail<T>(kernel, got.m, got.n, k, i, j, x, e);
      } else if (!same_bits(&got(i, j), &before(i, j), sizeof(T))) {
        fail<T>(kernel, got.m, got.n, k, i, j, x, wide(before(i, j)));
      }
    }
}

const auto everywhere = [](Index, Index) { return true; };
const auto lower = [](Index i, Index j) { return i >= j; };

// C + sign op(A) op(B) through accessors of op(A) and op(B).
template <class T, class A, class B>
std::vector<Long> product(const Matrix<T>& C, Index k, int sign, A a, B b) {
  std::vector<Long> result(std::size_t(C.m) * C.n);
  for (Index j = 0; j < C.n; ++j)
    for (Index i = 0; i < C.m; ++i) {
      Long sum = 0;
      for (Index p = 0; p < k; ++p) sum += a(i, p) * b(p, j);
      result[i + std::size_t(C.m) * j] = wide(C(i, j)) + Long(sign) * sum;
    }
  return result;
}

// Runs check(kernels) with every table of every instruction set that this processor has.
template <class Check>
void for_tables(const Check& check) {
  const auto run = [&](const char* name, const DenseTables& tables) {
    where = name;
    check(tables.float32);
    check(tables.float64);
    check(tables.complex64);
    check(tables.complex128);
    check(tables.bilinear64);
    check(tables.bilinear128);
    std::printf("%s agrees\n", name);
  };
#if defined(__x86_64__)
  run("v2", v2::tables);
  if (__builtin_cpu_supports("x86-64-v3")) run("v3", v3::tables);
  if (__builtin_cpu_supports("x86-64-v4")) run("v4", v4::tables);
#else
  run("base", base::tables);
#endif
}

}  // namespace
