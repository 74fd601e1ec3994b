// dense_kernels.cc: the tables of dense kernels for one instruction set, named by ELIMAX_ISA.
//
// The only symbol that leaves this file is `tables` (simd.h says why).

#include "gemv.h"
#include "small_front.h"
#include "trapezoid.h"
#include "triangular.h"

namespace elimax {
namespace {

template <class T>
struct Kernels {
  using R = Real<T>;
  using P = PlainOf<T>;

  static void gemm_nh(Index m, Index n, Index k, R sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                      Index ldc) {
    multiply<T, true, true>(m, n, k, sign, view(A, lda), view(B, ldb), view(C, ldc));
  }
  static void gemm_nn(Index m, Index n, Index k, R sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                      Index ldc) {
    multiply<P, true, false>(m, n, k, sign, view(A, lda), view(B, ldb), view(C, ldc));
  }
  static void gemm_hn(Index m, Index n, Index k, R sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                      Index ldc) {
    multiply<T, false, false>(m, n, k, sign, view(A, lda), view(B, ldb), view(C, ldc));
  }
  static void gemmt(Index m, Index n, Index k, R sign, const T* A, Index lda, const T* B, Index ldb, T* C,
                    Index ldc) {
    multiply<T, true, true>(m, n, k, sign, view(A, lda), view(B, ldb), view(C, ldc), Part::lower_loose);
  }
  static Index potrf(Index n, const R* floor, T* A, Index lda) {
    return factor<T>(n, n, floor, view(A, lda));
  }
  static Index panel(Index m, Index n, const R* floor, T* A, Index lda) {
    return factor<T>(m, n, floor, view(A, lda));
  }
  static void trsm_h(Index m, Index n, const T* L, Index ldl, T* B, Index ldb) {
    solve<T, true>(m, n, view(L, ldl), view(B, ldb));
  }
  static void trsm_n(Index m, Index n, const T* L, Index ldl, T* B, Index ldb) {
    solve<P, false>(m, n, view(L, ldl), view(B, ldb));
  }
  static unsigned getf2(Index m, Index n, R least, R replacement, T* A, Index lda, Index* rows) {
    return eliminate_columns<T>(m, n, least, replacement, view(A, lda), rows);
  }
  static unsigned small_front(Index c, Index u, const PivotRule<R>& rule, bool empty, T* L, T* UH, T* F22,
                              Index* order, R* growth) {
    return small_fronts_of<T>.of[c - 1](u, rule, empty, view(L, c + u), view(UH, c + u), view(F22, u), order,
                                        growth);
  }
  static R largest(Index m, Index n, const T* A, Index lda) { return largest_part<T>(m, n, view(A, lda)); }
  static R largest_product(Index m, Index n, const T* A, Index lda, const T* B, Index ldb) {
    return largest_parts_product<T>(m, n, view(A, lda), view(B, ldb));
  }
  static void gemv_n(Index m, Index n, const T* A, Index lda, const T* x, T* y) {
    multiply_vector<P>(m, n, view(A, lda), view(x, 0).data, view(y, 0).data);
  }
  static void gemv_h(Index m, Index n, const T* A, Index lda, const T* x, T* y) {
    multiply_vector_transposed<T>(m, n, view(A, lda), view(x, 0).data, view(y, 0).data);
  }
  static void forward(Index m, Index n, const T* L, Index ldl, T* y) {
    forward_trapezoid<P>(m, n, view(L, ldl), view(y, 0).data);
  }
  static void backward(Index m, Index n, const T* L, Index ldl, T* y) {
    backward_trapezoid<T>(m, n, view(L, ldl), view(y, 0).data);
  }

  static constexpr DenseKernels<T> table() {
    DenseKernels<T> table = {gemm_nh, gemm_nn, gemm_hn, gemmt,           nullptr, nullptr, trsm_h,  trsm_n,
                             nullptr, nullptr, largest, largest_product, gemv_n,  gemv_h,  forward, backward};
    if constexpr (std::is_same_v<T, P>) {  // a complex symmetric matrix is never definite
      table.potrf = potrf;
      table.panel = panel;
      table.getf2 = getf2;
      table.small_front = small_front;
    }
    return table;
  }
};

}  // namespace

namespace ELIMAX_ISA {
extern const DenseTables tables;
constinit const DenseTables tables = {Kernels<float>::table(),
                                      Kernels<double>::table(),
                                      Kernels<std::complex<float>>::table(),
                                      Kernels<std::complex<double>>::table(),
                                      Kernels<Bilinear<float>>::table(),
                                      Kernels<Bilinear<double>>::table()};
}  // namespace ELIMAX_ISA

}  // namespace elimax
