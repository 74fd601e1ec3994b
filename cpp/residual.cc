// residual.cc: r = b - A x, accumulated in twice the working precision.
//
// Products of floats are exact in double precision, where they are summed. A product of doubles is p + e with
// p = fl(a x) and e = fma(a, x, -p), and a sum s + t with s = fl(u + v) leaves an error t that takes six
// operations: a sum of products is kept as the sum of the p and, beside it, that of all e and t, as if it had
// been computed in twice the precision (Ogita, Rump, Oishi, "Accurate sum and dot product", SIAM J. Sci.
// Comput. 26, 2005: Dot2). Every entry of r is a sum in the order of the stored values: it depends neither on
// other columns nor on threads.
//
// Compiled without contraction: p must be the number that e is the error of.
// Cost: a dozen operations per stored value and column, half of them in chains.

#include "residual.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace elimax {
namespace {

#define ELIMAX_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
#define ELIMAX_FUSED __attribute__((target("avx2,fma")))
static bool fused() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
#define ELIMAX_FUSED
static bool fused() { return true; }
#endif

// A row of sums: for every part of a number `width` of them and, if R is double, as many of their errors;
// then `width` sums of moduli.
template <class T>
constexpr int parts = sizeof(T) / sizeof(Real<T>);
template <class R>
constexpr int terms = std::is_same_v<R, double> ? 2 : 1;
template <class T>
constexpr int planes = parts<T> * terms<Real<T>> + 1;

// sum -= a x.
template <class R>
ELIMAX_INLINE void subtract(R a, R x, double* sum, Index width) {
  if constexpr (std::is_same_v<R, float>) {
    *sum -= static_cast<double>(a) * x;
  } else {
    const double p = -a * x, e = __builtin_fma(-a, x, -p);
    const double s = *sum + p, v = s - *sum;
    sum[width] += ((*sum - (s - v)) + (p - v)) + e;
    *sum = s;
  }
}

template <class T>
ELIMAX_INLINE double modulus(T x) {
  if constexpr (parts<T> == 1)
    return std::abs(static_cast<double>(x));
  else
    return std::sqrt(static_cast<double>(x.real()) * x.real() + static_cast<double>(x.imag()) * x.imag());
}

// A row of sums -= a times a row of x, which has moduli `size` where they take roots.
template <class T>
ELIMAX_INLINE void subtract_row(T a, const T* __restrict x, const double* __restrict size, Index width,
                                double* __restrict sums) {
  const double scale = modulus(a);
  double* __restrict moduli = sums + (planes<T> - 1) * width;
  if constexpr (parts<T> == 1) {
    for (Index c = 0; c < width; ++c) {
      subtract(a, x[c], sums + c, width);
      moduli[c] += scale * std::abs(static_cast<double>(x[c]));
    }
  } else {
    double* __restrict imaginary = sums + terms<Real<T>> * width;
    for (Index c = 0; c < width; ++c) {
      subtract(a.real(), x[c].real(), sums + c, width);
      subtract(-a.imag(), x[c].imag(), sums + c, width);
      subtract(a.real(), x[c].imag(), imaginary + c, width);
      subtract(a.imag(), x[c].real(), imaginary + c, width);
      moduli[c] += scale * size[c];
    }
  }
}

// What the loops over the stored values share; `sizes` has a row of moduli for every row of a complex x.
template <class T>
struct Job {
  const Coefficients<T>& A;
  const T* x;
  Offset stride;
  const double* sizes;
  double* sums;
};

template <class T>
ELIMAX_INLINE void subtract_product(const Job<T>& job, Index width) {
  const Columns pattern = job.A.pattern;
  const bool general = job.A.storage == Storage::general, adjoint = job.A.adjoint;
  for (Index j = 0; j < pattern.n_cols; ++j)
    for (Index p = pattern.ptr[j]; p < pattern.ptr[j + 1]; ++p) {
      const Index i = pattern.rows[p];
      T a = job.A.values[p];
      if (job.A.storage == Storage::hermitian && i == j) a = diagonal_part(a);
      if (!(general && adjoint))
        subtract_row(a, job.x + j * job.stride, job.sizes + Offset{j} * width, width,
                     job.sums + Offset{i} * width * planes<T>);
      if (general ? adjoint : i != j)
        subtract_row(conjugate(a), job.x + i * job.stride, job.sizes + Offset{i} * width, width,
                     job.sums + Offset{j} * width * planes<T>);
    }
}

// One column, or as many as there can be, take loops of a length that the compiler knows.
template <class T>
ELIMAX_FUSED void subtract_fused(const Job<T>& job, Index width) {
  if (width == 1)
    subtract_product(job, 1);
  else if (width == residual_width)
    subtract_product(job, residual_width);
  else
    subtract_product(job, width);
}
template <class T>
void subtract_unfused(const Job<T>& job, Index width) {
  subtract_product(job, width);
}

template <class T>
T total(const double* sums, Index width) {
  using R = Real<T>;
  const auto part = [&](const double* sum) {
    return static_cast<R>(terms<R> == 2 ? sum[0] + sum[width] : sum[0]);
  };
  if constexpr (parts<T> == 1)
    return part(sums);
  else
    return T(std::complex<R>(part(sums), part(sums + terms<R> * width)));
}

// |x| / d without overflow.
template <class T>
double quotient(T x, double d) {
  if constexpr (parts<T> == 1)
    return std::abs(x / d);
  else
    return modulus(std::complex<double>(x.real() / d, x.imag() / d));
}

// The larger one, or NaN if either is.
void raise(double candidate, double& largest) {
  if (!(candidate <= largest) && largest == largest) largest = candidate;
}

}  // namespace

template <class T>
Offset residual_workspace(Index n, Index width) {
  return Offset{n} * width * (planes<T> + (parts<T> == 2 ? 1 : 0));
}

template <class T>
void residual(const Coefficients<T>& A, const T* b, const T* x, Index width, Offset stride, T* r,
              BackwardError* errors, double* work) {
  const Index n = A.pattern.n_cols;
  double* const sums = work;
  double* const sizes = sums + Offset{n} * width * planes<T>;
  std::array<double, residual_width> norm{};
  for (Index i = 0; i < n; ++i) {
    double* row = sums + Offset{i} * width * planes<T>;
    std::fill_n(row, width * planes<T>, 0.0);
    for (Index c = 0; c < width; ++c) {
      const T right = b[i * stride + c];
      row[c] = real_part(right);
      const double size = std::abs(x[i * stride + c]);
      raise(size, norm[c]);
      if constexpr (parts<T> == 2) {
        row[terms<Real<T>> * width + c] = right.imag();
        sizes[Offset{i} * width + c] = size;
      }
      row[(planes<T> - 1) * width + c] = std::abs(right);
    }
  }
  const Job<T> job{A, x, stride, sizes, sums};
  fused() ? subtract_fused(job, width) : subtract_unfused(job, width);

  std::fill_n(errors, width, BackwardError{0, 0});
  for (Index i = 0; i < n; ++i)
    for (Index c = 0; c < width; ++c) {
      const double* row = sums + Offset{i} * width * planes<T> + c;
      const double denominator = row[(planes<T> - 1) * width];
      const bool is_noise = b[i * stride + c] == T{} && denominator <= noise<Real<T>> * norm[c];
      const T remainder = total<T>(row, width);
      r[i * stride + c] = remainder;
      if (denominator == 0) continue;
      raise(quotient(remainder, denominator), errors[c].plain);
      raise(quotient(remainder, is_noise ? denominator + norm[c] : denominator), errors[c].safe);
    }
  for (Index c = 0; c < width; ++c)
    if (!std::isfinite(norm[c])) errors[c].plain = errors[c].safe = std::numeric_limits<double>::quiet_NaN();
}

#define INSTANTIATE(T)                                                                                     \
  template Offset residual_workspace<T>(Index, Index);                                                     \
  template void residual<T>(const Coefficients<T>&, const T*, const T*, Index, Offset, T*, BackwardError*, \
                            double*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
ELIMAX_FOR_BILINEAR(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
