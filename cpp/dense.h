// dense.h: the dense kernels that a supernode calls, one table per scalar type.
//
// dense_kernels.cc is compiled once for every instruction set and defines one table each; dense.cc
// chooses one on the first call. All matrices are column-major; ld* are leading dimensions; any size
// may be zero. X^H is the conjugate transpose (the transpose for real scalars and for Bilinear). Results
// do not depend on the alignment of the arguments.
#pragma once

#include "pivot_rule.h"

namespace elimax {

// m, rounded up to whole vectors of the widest instruction set.
template <class T>
constexpr Index whole_vectors(Index m) {
  constexpr Index lanes = 64 / sizeof(T);
  return (m + lanes - 1) / lanes * lanes;
}

// What counts as a small front: columns, and rows below them.
inline constexpr Index small_front_columns = 8, small_front_rows = 32;

template <class T>
struct DenseKernels {
  // C(m x n) += sign * A(m x k) * B^H, B is n x k.
  void (*gemm_nh)(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                  Index ldc);
  // C(m x n) += sign * A(m x k) * B(k x n).
  void (*gemm_nn)(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                  Index ldc);
  // C(m x n) += sign * A^H * B(k x n), A is k x m.
  void (*gemm_hn)(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                  Index ldc);
  // The first n columns, from the diagonal down, of C += sign * A(m x k) * B^H, m >= n, B is n x k. What is
  // above the diagonal is neither read nor kept: it may be overwritten.
  void (*gemmt)(Index m, Index n, Index k, Real<T> sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                Index ldc);
  // Cholesky of the lower triangle of A(n x n) in place; the strict upper triangle is left alone.
  // Column j fails if its pivot is not greater than floor[j] (or is NaN). Returns n, or the first failing j.
  // Null for Bilinear.
  Index (*potrf)(Index n, const Real<T>* floor, T* A, Index lda);
  // The same for the first n columns of a matrix, given their lower trapezoid A(m x n), m >= n: potrf of
  // the top and trsm_h of the rows below in one pass. On failure A holds neither. Null for Bilinear.
  Index (*panel)(Index m, Index n, const Real<T>* floor, T* A, Index lda);
  // B(m x n) <- B L^-H and B <- B L^-1 for the lower triangle L (n x n).
  void (*trsm_h)(Index m, Index n, const T* L, Index ldl, T* B, Index ldb);
  void (*trsm_n)(Index m, Index n, const T* L, Index ldl, T* B, Index ldb);
  // P A = L U of A(m x n), m >= n, n <= 32, in place and without the unit diagonal of L: row j changed places
  // with row rows[j] >= j, which has the largest |Re| + |Im| in its column. A pivot that is less than `least`
  // becomes one of size `replacement` and of the same phase. Returns the set of these columns. Null for
  // Bilinear.
  unsigned (*getf2)(Index m, Index n, Real<T> least, Real<T> replacement, T* A, Index lda, Index* rows);
  // A front of c columns and u rows below them in one go (general_front.h): its panels, both with leading
  // dimension c+u, become [L11; L21] and [U11^H; U12^H], whatever is above F12^H; F22(u x u) -= L21 U12, and
  // is taken for zero before if `empty`. Pivots are chosen as by getf2: row order[j] of F11 is the j-th.
  // `growth` grows to largest_product of L21 and U12^H. Returns the set of pivots that were replaced. Null
  // for Bilinear.
  unsigned (*small_front)(Index c, Index u, const PivotRule<Real<T>>& rule, bool empty, T* L, T* UH, T* F22,
                          Index* order, Real<T>* growth);
  // The largest modulus of a real or imaginary part in A(m x n); NaN do not count.
  Real<T> (*largest)(Index m, Index n, const T* A, Index lda);
  // The largest product of that in a column of A(m x n) and that in the same column of B(m x n).
  Real<T> (*largest_product)(Index m, Index n, const T* A, Index lda, const T* B, Index ldb);
  // y(m) -= A(m x n) x and y(n) -= A^H x.
  void (*gemv_n)(Index m, Index n, const T* A, Index lda, const T* x, T* y);
  void (*gemv_h)(Index m, Index n, const T* A, Index lda, const T* x, T* y);
  // For the trapezoid L(m x n), a lower triangle L11 and the rows L21 below it, and y = [y1; y2] with room
  // for whole_vectors(m) numbers: y1 <- L11^-1 y1 and then y2 -= L21 y1, or y1 <- L11^-H (y1 - L21^H y2).
  void (*forward)(Index m, Index n, const T* L, Index ldl, T* y);
  void (*backward)(Index m, Index n, const T* L, Index ldl, T* y);
};

// Memory of the calling thread for the copies that large products make, a block of A and a panel of B;
// null if there is none.
inline constexpr std::size_t block_bytes = 288 << 10, panel_bytes = 1 << 20;
void* packing_buffer();

// The kernels of one instruction set, and the sets that this library is compiled for.
struct DenseTables {
  DenseKernels<float> float32;
  DenseKernels<double> float64;
  DenseKernels<std::complex<float>> complex64;
  DenseKernels<std::complex<double>> complex128;
  DenseKernels<Bilinear<float>> bilinear64;
  DenseKernels<Bilinear<double>> bilinear128;
};
#if defined(__x86_64__)
namespace v2 {
extern const DenseTables tables;
}
namespace v3 {
extern const DenseTables tables;
}
namespace v4 {
extern const DenseTables tables;
}
#else
namespace base {
extern const DenseTables tables;
}
#endif

// The kernels for this processor, and the name of the instruction set that they use.
const char* instruction_set();
template <class T>
const DenseKernels<T>& dense();

}  // namespace elimax
