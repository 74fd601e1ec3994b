// nilpotent.h: the algebra in which derivatives of every order are computed.
//
// The mixed derivative of f at A in the directions V_1, ..., V_k is the coefficient of e_1 ... e_k in
// f(A + sum e_i V_i), where the e_i are commuting nilpotent numbers, e_i^2 = 0 (Griewank, Walther,
// Evaluating Derivatives, 2008). A matrix M over them is 2^k coefficients M_S, one for every subset S of the
// directions (a bit mask), M_{} the one of A, and
//
//     (M N)_S = sum over T in S of M_T N_{S-T}.
//
// A product of matrices of derivatives is thus a handful of dense products: 3^k in all. For scalar code there
// are the numbers themselves, with K directions known to the compiler.
#pragma once

#include "core.h"

namespace elimax {

using Subset = unsigned;

// Calls body(T) for every subset T of S, from S itself down to the empty set.
template <class Body>
void for_subsets(Subset S, Body body) {
  for (Subset part = S;; part = (part - 1) & S) {
    body(part);
    if (part == 0) return;
  }
}
// The same without the empty set.
template <class Body>
void for_nonempty_subsets(Subset S, Body body) {
  for (Subset part = S; part != 0; part = (part - 1) & S) body(part);
}

template <class T, int K>
struct Nilpotent {
  static constexpr Subset all = (Subset{1} << K) - 1;
  T coefficient[all + 1];

  T& operator[](Subset S) { return coefficient[S]; }
  const T& operator[](Subset S) const { return coefficient[S]; }

  Nilpotent& operator+=(const Nilpotent& y) {
    for (Subset S = 0; S <= all; ++S) coefficient[S] += y[S];
    return *this;
  }
};

// sum -= x y, the coefficients from that of `first` on; x or y may have real ones.
template <class T, class X, class Y, int K>
void subtract_product(const Nilpotent<X, K>& x, const Nilpotent<Y, K>& y, Nilpotent<T, K>& sum,
                      Subset first = 0) {
  for (Subset S = first; S <= sum.all; ++S)
    for_subsets(S, [&](Subset part) { sum[S] -= x[part] * y[S & ~part]; });
}
template <class T, class Y, int K>
Nilpotent<T, K> operator*(const Nilpotent<T, K>& x, const Nilpotent<Y, K>& y) {
  Nilpotent<T, K> product{};
  for (Subset S = 0; S <= x.all; ++S)
    for_subsets(S, [&](Subset part) { product[S] += x[part] * y[S & ~part]; });
  return product;
}
template <class T, int K>
Nilpotent<T, K> conjugate(const Nilpotent<T, K>& x) {
  Nilpotent<T, K> result;
  for (Subset S = 0; S <= x.all; ++S) result[S] = conjugate(x[S]);
  return result;
}
template <class T, int K>
Nilpotent<Real<T>, K> real_part(const Nilpotent<T, K>& x) {
  Nilpotent<Real<T>, K> result;
  for (Subset S = 0; S <= x.all; ++S) result[S] = real_part(x[S]);
  return result;
}
// 1 / x: the coefficients of x (1 / x) but the first vanish.
template <class T, int K>
Nilpotent<T, K> inverse_of(const Nilpotent<T, K>& x) {
  Nilpotent<T, K> result{};
  result[0] = T(1) / x[0];
  for (Subset S = 1; S <= x.all; ++S) {
    for_nonempty_subsets(S, [&](Subset part) { result[S] -= x[part] * result[S & ~part]; });
    result[S] *= result[0];
  }
  return result;
}

}  // namespace elimax
