// nilpotent.h: the algebra in which derivatives of every order are computed.
//
// The mixed derivative of f at A in the directions V_1, ..., V_k is the coefficient of e_1 ... e_k in
// f(A + sum e_i V_i), where the e_i are commuting nilpotent numbers, e_i^2 = 0 (Griewank, Walther,
// Evaluating Derivatives, 2008). A matrix M over them is 2^k coefficients M_S, one for every subset S of the
// directions (a bit mask), M_{} the one of A, and
//
//     (M N)_S = sum over T in S of M_T N_{S-T}.
//
// A product of matrices of derivatives is thus a handful of dense products: 3^k in all.
#pragma once

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

}  // namespace elimax
