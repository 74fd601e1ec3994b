// dense.cc: the time of one dense kernel, ours or BLAS's, without Python in between. See dense.py.

#include "dense.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <functional>
#include <type_traits>

using namespace elimax;

namespace {

// BLAS and LAPACK as SciPy's capsules give them: 32-bit integers, every argument by address.
template <class T>
struct Blas {
  void (*gemm)(const char* ta, const char* tb, const int* m, const int* n, const int* k, const T* alpha,
               const T* A, const int* lda, const T* B, const int* ldb, const T* beta, T* C, const int* ldc);
  void (*herk)(const char* uplo, const char* trans, const int* n, const int* k, const Real<T>* alpha,
               const T* A, const int* lda, const Real<T>* beta, T* C, const int* ldc);
  void (*trsm)(const char* side, const char* uplo, const char* trans, const char* diag, const int* m,
               const int* n, const T* alpha, const T* L, const int* ldl, T* B, const int* ldb);
  void (*potrf)(const char* uplo, const int* n, T* A, const int* lda, int* info);
  void (*gemv)(const char* trans, const int* m, const int* n, const T* alpha, const T* A, const int* lda,
               const T* x, const int* incx, const T* beta, T* y, const int* incy);
};

// Processor time of this thread in seconds: a busy machine stretches it less than the wall clock.
double thread_time() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

// Seconds per call: the best of five samples of at least `sample` seconds.
double best_time(double sample, const std::function<void()>& call) {
  double best = 1e9;
  std::int64_t repeats = 1;
  for (int taken = 0; taken < 5;) {
    const double start = thread_time();
    for (std::int64_t r = 0; r < repeats; ++r) call();
    const double elapsed = thread_time() - start;
    if (elapsed < sample) {
      repeats *= 2;
      continue;
    }
    best = std::min(best, elapsed / repeats);
    ++taken;
  }
  return best;
}

enum Operation { gemm_nh, gemm_nn, gemm_hn, herk, potrf, panel, trsm_h, trsm_n, gemv_n, gemv_h };

// The call of our kernel, or of BLAS where `own` is null.
template <class T>
double run(const DenseKernels<T>* own, const Blas<T>* blas, Operation operation, int m, int n, int k,
           double sample) {
  const int big = std::max({m, n, k, 1}), ld = m + n;  // as in the panel of a supernode
  std::vector<T> A(std::size_t(ld) * big), B(A), C(A), L(A), x(big, T(1)), y(big);
  for (std::size_t i = 0; i < A.size(); ++i) A[i] = B[i] = T(1e-3 * (i % 7));
  for (int j = 0; j < big; ++j)
    for (int i = 0; i < ld; ++i) L[i + std::size_t(ld) * j] = i == j ? 1 : 1e-7;
  const std::vector<Real<T>> floor(big, 0);
  const T one = 1, minus = -1;
  const Real<T> real_one = 1, real_minus = -1;
  const int unit = 1;
  const char *N = "N", *H = std::is_same_v<T, Real<T>> ? "T" : "C";
  int info;
  T *a = A.data(), *b = B.data(), *c = C.data(), *l = L.data();
  const auto restore = [&](int rows) {
    for (int j = 0; j < n; ++j)
      std::memcpy(c + std::size_t(ld) * j, l + std::size_t(ld) * j, sizeof(T) * rows);
  };
  switch (operation) {
    case gemm_nh:
      return best_time(sample, [&] {
        if (own) return own->gemm_nh(m, n, k, -1, a, ld, b, ld, c, ld);
        blas->gemm(N, H, &m, &n, &k, &minus, a, &ld, b, &ld, &one, c, &ld);
      });
    case gemm_nn:
      return best_time(sample, [&] {
        if (own) return own->gemm_nn(m, n, k, -1, a, ld, b, ld, c, ld);
        blas->gemm(N, N, &m, &n, &k, &minus, a, &ld, b, &ld, &one, c, &ld);
      });
    case gemm_hn:
      return best_time(sample, [&] {
        if (own) return own->gemm_hn(m, n, k, -1, a, ld, b, ld, c, ld);
        blas->gemm(H, N, &m, &n, &k, &minus, a, &ld, b, &ld, &one, c, &ld);
      });
    case herk:
      return best_time(sample, [&] {
        if (own) return own->gemmt(n, n, k, -1, a, ld, a, ld, c, ld);
        blas->herk("L", N, &n, &k, &real_minus, a, &ld, &real_one, c, &ld);
      });
    case potrf:
      return best_time(sample, [&] {
        restore(n);
        if (own) return void(own->potrf(n, floor.data(), c, ld));
        blas->potrf("L", &n, c, &ld, &info);
      });
    case panel:
      return best_time(sample, [&] {
        restore(m + n);
        if (own) return void(own->panel(m + n, n, floor.data(), c, ld));
        blas->potrf("L", &n, c, &ld, &info);
        blas->trsm("R", "L", H, N, &m, &n, &one, c, &ld, c + n, &ld);
      });
    case trsm_h:
      return best_time(sample, [&] {
        if (own) return own->trsm_h(m, n, l, ld, b, ld);
        blas->trsm("R", "L", H, N, &m, &n, &one, l, &ld, b, &ld);
      });
    case trsm_n:
      return best_time(sample, [&] {
        if (own) return own->trsm_n(m, n, l, ld, b, ld);
        blas->trsm("R", "L", N, N, &m, &n, &one, l, &ld, b, &ld);
      });
    case gemv_n:
      return best_time(sample, [&] {
        if (own) return own->gemv_n(m, n, a, ld, x.data(), y.data());
        blas->gemv(N, &m, &n, &minus, a, &ld, x.data(), &unit, &one, y.data(), &unit);
      });
    case gemv_h:
      return best_time(sample, [&] {
        if (own) return own->gemv_h(m, n, a, ld, x.data(), y.data());
        blas->gemv(H, &m, &n, &minus, a, &ld, x.data(), &unit, &one, y.data(), &unit);
      });
  }
  return 0;
}

const DenseTables* tables(const char* isa) {
#if defined(__x86_64__)
  if (!std::strcmp(isa, "v2")) return &v2::tables;
  if (!std::strcmp(isa, "v3") && __builtin_cpu_supports("x86-64-v3")) return &v3::tables;
  if (!std::strcmp(isa, "v4") && __builtin_cpu_supports("x86-64-v4")) return &v4::tables;
#else
  if (!std::strcmp(isa, "base")) return &base::tables;
#endif
  return nullptr;
}

}  // namespace

// isa: a name, or null for BLAS; blas: the five functions of the type; type: s, d, c or z. Negative if
// this processor lacks the instruction set.
extern "C" double kernel_time(const char* isa, const void* blas, char type, int operation, int m, int n,
                              int k, double sample) {
  const DenseTables* own = isa ? tables(isa) : nullptr;
  if (isa && !own) return -1;
  const auto call = [&]<class T>(const DenseKernels<T>* kernels, T) {
    return run<T>(kernels, static_cast<const Blas<T>*>(blas), Operation(operation), m, n, k, sample);
  };
  switch (type) {
    case 's': return call(own ? &own->float32 : nullptr, float{});
    case 'd': return call(own ? &own->float64 : nullptr, double{});
    case 'c': return call(own ? &own->complex64 : nullptr, std::complex<float>{});
    default: return call(own ? &own->complex128 : nullptr, std::complex<double>{});
  }
}
