// contract.cc: the product of two sparse matrices, and its derivatives.
//
// t(a, b, c) = sum_ijl c_il A_ij B_jl over three patterns is linear in the values of each. Its gradient with
// respect to c is C = A B, with respect to a it is A = C B^T, and with respect to b it is B = A^T C, each on
// the pattern of the result. One loop meets every triple of entries (i,j), (j,l), (i,l): Gustavson, "Two fast
// algorithms for sparse matrices: multiplication and permuted transposition", ACM TOMS 4 (1978) 250-269.
// Cost: nnz(C) plus one step per multiplication of A B.

#include <algorithm>

#include "numeric.h"

namespace elimax {
namespace {

// Calls multiply(p, q, r) for the positions of the entries A(i,j), B(j,l) and C(i,l), wherever all three
// exist. position[i] is the place of C(i,l) for the current column l; what earlier columns left there lies
// before C.ptr[l].
template <class Multiply>
void for_each_triple(Columns A, Columns B, Columns C, Index* position, Multiply multiply) {
  std::fill_n(position, C.n_rows, none);
  for (Index l = 0; l < C.n_cols; ++l) {
    for (Index r = C.ptr[l]; r < C.ptr[l + 1]; ++r) position[C.rows[r]] = r;
    for (Index q = B.ptr[l]; q < B.ptr[l + 1]; ++q) {
      const Index j = B.rows[q];
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
        const Index r = position[A.rows[p]];
        if (r >= C.ptr[l]) multiply(p, q, r);
      }
    }
  }
}

}  // namespace

template <class T>
void contract_c(Columns A, Columns B, Columns C, const T* a, const T* b, T* c, Index* work) {
  std::fill_n(c, C.rows.size(), T(0));
  for_each_triple(A, B, C, work, [=](Index p, Index q, Index r) { c[r] += a[p] * b[q]; });
}

template <class T>
void contract_a(Columns A, Columns B, Columns C, const T* c, const T* b, T* a, Index* work) {
  std::fill_n(a, A.rows.size(), T(0));
  for_each_triple(A, B, C, work, [=](Index p, Index q, Index r) { a[p] += c[r] * b[q]; });
}

template <class T>
void contract_b(Columns A, Columns B, Columns C, const T* c, const T* a, T* b, Index* work) {
  std::fill_n(b, B.rows.size(), T(0));
  for_each_triple(A, B, C, work, [=](Index p, Index q, Index r) { b[q] += a[p] * c[r]; });
}

#define INSTANTIATE(T)                                                                    \
  template void contract_c<T>(Columns, Columns, Columns, const T*, const T*, T*, Index*); \
  template void contract_a<T>(Columns, Columns, Columns, const T*, const T*, T*, Index*); \
  template void contract_b<T>(Columns, Columns, Columns, const T*, const T*, T*, Index*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
