// product.cc: a sparse matrix times dense columns, and the derivatives of that.
//
// t(v, x, y) = sum_ij y_i A(v)_ij x_j is linear in the stored values v and in each of the dense blocks. Its
// gradient with respect to y is A x, with respect to x it is A^T y, and with respect to v it is y_i x_j on
// the pattern. Symmetric storage gives every entry (i,j) below the diagonal a mirror image A_ji = v_ij, or
// conj(v_ij) in a Hermitian matrix: there v is differentiated under the pairing Re(sum s v), and the
// gradient is y_i x_j + conj(y_j x_i), with Re(y_i x_i) on the diagonal.
// Cost: two operations per entry of the matrix and column, one pass over the values. Blocks are
// row-major, so that all columns of a row are updated at once; a single column takes a loop of its own.

#include <algorithm>

#include "numeric.h"

namespace elimax {
namespace {

template <Storage storage, class T>
T mirrored(T x) {
  return storage == Storage::hermitian ? conjugate(x) : x;
}

// A diagonal entry as the storage means it.
template <Storage storage, class T>
T on_diagonal(T x) {
  return storage == Storage::hermitian ? T(real_part(x)) : x;
}

template <class T>
void add_scaled(Index k, T scale, const T* __restrict x, T* __restrict y) {
  for (Index c = 0; c < k; ++c) y[c] += scale * x[c];
}

template <class T>
T dot(Index k, const T* x, const T* y) {
  T sum(0);
  for (Index c = 0; c < k; ++c) sum += x[c] * y[c];
  return sum;
}

// y = A x, or conj(A) x: the values are conjugated before use.
template <Storage storage, bool conjugated, class T>
void multiply_symmetric(Columns A, const T* v, const T* x, Index k, T* y) {
  std::fill_n(y, static_cast<Offset>(A.n_rows) * k, T(0));
  for (Index j = 0; j < A.n_cols; ++j) {
    const T* xj = x + static_cast<Offset>(j) * k;
    T* yj = y + static_cast<Offset>(j) * k;
    for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
      const Index i = A.rows[p];
      const T a = conjugated ? conjugate(v[p]) : v[p];
      if (i == j) {
        add_scaled(k, on_diagonal<storage>(a), xj, yj);
      } else {
        add_scaled(k, a, xj, y + static_cast<Offset>(i) * k);
        add_scaled(k, mirrored<storage>(a), x + static_cast<Offset>(i) * k, yj);
      }
    }
  }
}

template <class T>
void multiply(Columns A, const T* v, const T* x, Index k, T* y) {
  std::fill_n(y, static_cast<Offset>(A.n_rows) * k, T(0));
  for (Index j = 0; j < A.n_cols; ++j) {
    if (k == 1) {
      const T xj = x[j];
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) y[A.rows[p]] += v[p] * xj;
    } else {
      const T* xj = x + static_cast<Offset>(j) * k;
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
        add_scaled(k, v[p], xj, y + static_cast<Offset>(A.rows[p]) * k);
      }
    }
  }
}

template <class T>
void multiply_transposed(Columns A, const T* v, const T* y, Index k, T* x) {
  std::fill_n(x, static_cast<Offset>(A.n_cols) * k, T(0));
  for (Index j = 0; j < A.n_cols; ++j) {
    if (k == 1) {
      T sum(0);
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) sum += v[p] * y[A.rows[p]];
      x[j] = sum;
    } else {
      T* xj = x + static_cast<Offset>(j) * k;
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
        add_scaled(k, v[p], y + static_cast<Offset>(A.rows[p]) * k, xj);
      }
    }
  }
}

template <Storage storage, class T>
void outer(Columns A, const T* y, const T* x, Index k, T* v) {
  for (Index j = 0; j < A.n_cols; ++j) {
    const T* xj = x + static_cast<Offset>(j) * k;
    const T* yj = y + static_cast<Offset>(j) * k;
    for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
      const Offset i = static_cast<Offset>(A.rows[p]) * k;
      if constexpr (storage == Storage::general) {
        v[p] = dot(k, y + i, xj);
      } else if (A.rows[p] == j) {
        v[p] = on_diagonal<storage>(dot(k, y + i, xj));
      } else {
        v[p] = dot(k, y + i, xj) + mirrored<storage>(dot(k, yj, x + i));
      }
    }
  }
}

}  // namespace

template <class T>
void product_y(Columns pattern, Storage storage, const T* v, const T* x, Index k, T* y) {
  switch (storage) {
    case Storage::general: return multiply(pattern, v, x, k, y);
    case Storage::symmetric: return multiply_symmetric<Storage::symmetric, false>(pattern, v, x, k, y);
    case Storage::hermitian: return multiply_symmetric<Storage::hermitian, false>(pattern, v, x, k, y);
  }
}

template <class T>
void product_x(Columns pattern, Storage storage, const T* v, const T* y, Index k, T* x) {
  switch (storage) {
    case Storage::general: return multiply_transposed(pattern, v, y, k, x);
    case Storage::symmetric: return multiply_symmetric<Storage::symmetric, false>(pattern, v, y, k, x);
    case Storage::hermitian: return multiply_symmetric<Storage::hermitian, true>(pattern, v, y, k, x);
  }
}

template <class T>
void product_v(Columns pattern, Storage storage, const T* y, const T* x, Index k, T* v) {
  switch (storage) {
    case Storage::general: return outer<Storage::general>(pattern, y, x, k, v);
    case Storage::symmetric: return outer<Storage::symmetric>(pattern, y, x, k, v);
    case Storage::hermitian: return outer<Storage::hermitian>(pattern, y, x, k, v);
  }
}

#define INSTANTIATE(T)                                                         \
  template void product_y<T>(Columns, Storage, const T*, const T*, Index, T*); \
  template void product_x<T>(Columns, Storage, const T*, const T*, Index, T*); \
  template void product_v<T>(Columns, Storage, const T*, const T*, Index, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
