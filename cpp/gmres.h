// gmres.h: a correction where plain refinement stagnates.
//
// Refinement multiplies the error by 1 - F^-1 A in every step. If F is the factor of A + E, with E nonzero in
// the few pivots that were perturbed, A F^-1 = 1 - E F^-1 differs from 1 by a matrix of that rank: refinement
// may diverge, but GMRES is done after one step more than the rank.
//
// Source: Saad and Schultz, "GMRES: a generalized minimal residual algorithm for solving nonsymmetric linear
//         systems", SIAM J. Sci. Stat. Comput. 7 (1986) 856-869; Arnoldi's vectors are orthogonalized twice
//         (Giraud, Langou, Rozloznik, Comput. Math. Appl. 50, 2005).
// Cost: up to `gmres_steps` products with A F^-1, and as many inner products of n numbers squared.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core.h"

namespace elimax {

inline constexpr Index gmres_steps = 30;

template <class T>
class Gmres {
  static constexpr bool is_real = std::is_same_v<T, Real<T>>;
  using Scalar = std::conditional_t<is_real, double, std::complex<double>>;
  static Scalar conj(Scalar x) {
    if constexpr (is_real)
      return x;
    else
      return std::conj(x);
  }
  static Scalar widen(T x) {
    if constexpr (is_real)
      return x;
    else
      return std::complex<double>(x.real(), x.imag());
  }
  static T narrow(Scalar x) {
    if constexpr (is_real)
      return static_cast<T>(x);
    else
      return T(std::complex<Real<T>>(x));
  }

 public:
  // basis: gmres_steps + 1 vectors of n numbers.
  Gmres(Index n, T* basis) : n_(n), basis_(basis) {}

  // u for which |r - M u| is smallest over the space of r, M r, M^2 r, ...; apply(v, w) is w = M v. u may be
  // r.
  template <class Apply>
  void run(const Apply& apply, const T* r, T* u) {
    const double size = norm(r);
    std::copy_n(r, n_, vector(0));
    std::fill_n(u, n_, T{});
    if (!(size > 0) || !std::isfinite(size)) return;
    divide(vector(0), size);
    right_.fill(0);
    right_[0] = size;
    Index steps = 0;
    while (steps < gmres_steps) {
      T* w = vector(steps + 1);
      apply(vector(steps), w);
      const double length = norm(w), left = orthogonalize(steps, w);
      if (!std::isfinite(length) || !rotate(steps, left)) break;
      ++steps;
      constexpr double epsilon = std::numeric_limits<Real<T>>::epsilon();
      if (std::abs(right_[steps]) <= epsilon * size || left <= epsilon * length) break;
      divide(w, left);
    }
    combine(steps, u);
  }

 private:
  T* vector(Index k) const { return basis_ + k * Offset{n_}; }
  Scalar& entry(Index i, Index j) { return hessenberg_[i + j * (gmres_steps + 1)]; }
  double norm(const T* x) const {
    double sum = 0;
    for (Index i = 0; i < n_; ++i) sum += std::norm(widen(x[i]));
    return std::sqrt(sum);
  }
  void divide(T* x, double by) const {
    for (Index i = 0; i < n_; ++i) x[i] = narrow(widen(x[i]) / by);
  }

  // w less its components along the first vectors, which become column k of the Hessenberg matrix. Returns
  // what is left of its norm.
  double orthogonalize(Index k, T* w) {
    for (Index i = 0; i <= k; ++i) entry(i, k) = 0;
    for (int pass = 0; pass < 2; ++pass)
      for (Index i = 0; i <= k; ++i) {
        const T* v = vector(i);
        Scalar h = 0;
        for (Index p = 0; p < n_; ++p) h += conj(widen(v[p])) * widen(w[p]);
        for (Index p = 0; p < n_; ++p) w[p] = narrow(widen(w[p]) - h * widen(v[p]));
        entry(i, k) += h;
      }
    return norm(w);
  }

  // Turns column k, whose entry below the diagonal is `below`, upper triangular. False if nothing is left.
  bool rotate(Index k, double below) {
    for (Index i = 0; i < k; ++i) {
      const Scalar a = entry(i, k), b = entry(i + 1, k);
      entry(i, k) = conj(cosine_[i]) * a + sine_[i] * b;
      entry(i + 1, k) = cosine_[i] * b - sine_[i] * a;
    }
    const Scalar diagonal = entry(k, k);
    const double length = std::hypot(std::abs(diagonal), below);
    if (!(length > 0)) return false;
    cosine_[k] = diagonal / length;
    sine_[k] = below / length;
    entry(k, k) = length;
    right_[k + 1] = -sine_[k] * right_[k];
    right_[k] = conj(cosine_[k]) * right_[k];
    return true;
  }

  // u = the combination of the first vectors that solves the triangular system.
  void combine(Index steps, T* u) {
    for (Index j = steps; j-- > 0;) {
      right_[j] /= entry(j, j);
      for (Index i = 0; i < j; ++i) right_[i] -= entry(i, j) * right_[j];
      for (Index p = 0; p < n_; ++p) u[p] = narrow(widen(u[p]) + right_[j] * widen(vector(j)[p]));
    }
  }

  const Index n_;
  T* const basis_;
  std::array<Scalar, (gmres_steps + 1) * gmres_steps> hessenberg_;
  std::array<Scalar, gmres_steps> cosine_;
  std::array<double, gmres_steps> sine_;
  std::array<Scalar, gmres_steps + 1> right_;
};

}  // namespace elimax
