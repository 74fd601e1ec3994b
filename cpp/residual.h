// residual.h: b - A x in twice the working precision, and how far x is from solving a system nearby.
//
// The componentwise backward error of x is the smallest w for which (A + E) x = b + f with |E| <= w |A| and
// |f| <= w |b|, entry by entry:
//
//     w = max_i |b - A x|_i / (|A| |x| + |b|)_i          (Oettli and Prager, Numer. Math. 6, 1964),
//
// with 0/0 = 0. Where a denominator is nothing but rounding errors, since b_i = 0 and all of |x| that the row
// meets is far smaller than the rest of x, the norm of x takes the part of |b| (Arioli, Demmel, Duff, SIAM J.
// Matrix Anal. Appl. 10, 1989): that is `safe`, the other one `plain`.
#pragma once

#include <limits>

#include "numeric.h"

namespace elimax {

// A or, if `adjoint`, A^H (which matters for general matrices only) in the caller's numbering; its values are
// those of an equilibrated matrix.
template <class T>
struct Coefficients {
  Columns pattern;
  Storage storage;
  const T* values;
  bool adjoint;
};

// What is rounding errors and nothing else, relative to the largest number of x.
template <class R>
inline constexpr double noise = 1000 * static_cast<double>(std::numeric_limits<R>::epsilon());

// Of one column; both NaN if x is not finite.
struct BackwardError {
  double plain, safe;
};

// r = b - A x and its errors for `width` columns of matrices of n rows, row-major with `stride` numbers from
// row to row; r may be b. work: residual_workspace numbers.
inline constexpr Index residual_width = 8;  // columns at most
template <class T>
Offset residual_workspace(Index n, Index width);
template <class T>
void residual(const Coefficients<T>& A, const T* b, const T* x, Index width, Offset stride, T* r,
              BackwardError* errors, double* work);

}  // namespace elimax
