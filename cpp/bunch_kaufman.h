// bunch_kaufman.h: P A P^T = L D L^H for a dense Hermitian matrix, with pivots of order 1 and 2.
//
// Pivots are chosen by rook's moves: a diagonal entry that is large in its column, or a block whose
// off-diagonal entry is the largest of both its columns. Then no entry of L exceeds 2.8, and D may grow, but
// seldom does. Columns are computed when they are looked at, from those before them in a panel
// (left-looking); the rest of the matrix is updated after each panel. Over Bilinear, A is complex symmetric.
//
// Source: Bunch and Kaufman, "Some stable methods for calculating inertia and solving symmetric linear
//         systems", Math. Comp. 31 (1977); Ashcraft, Grimes, Lewis, "Accurate symmetric indefinite linear
//         equation solvers", SIAM J. Matrix Anal. Appl. 20 (1998): rook pivoting.
// Cost: n^3 / 3 multiplications and additions, and about one more look at a column per pivot.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "dense_crew.h"

namespace elimax {

// |x| within a factor of two.
template <class T>
Real<T> magnitude(T x) {
  return std::abs(real_part(x)) + std::abs(std::imag(x));
}

// X = B D^-1 for the rows (a, b) of B and a block D = [d11 conj(d21); d21 d22] whose d21 is larger than d11
// and d22. Divided by d21, nothing overflows.
template <class T>
class BlockInverse {
 public:
  BlockInverse(T d11, T d21, T d22) {
    const T conjugated = conjugate(d21);
    second_ = d22 / d21;
    first_ = d11 / conjugated;
    const T determinant = second_ * first_ - Real<T>(1);
    left_ = T(1) / T(conjugated * determinant);
    right_ = T(1) / T(d21 * determinant);
  }
  std::pair<T, T> operator()(T a, T b) const {
    return {(a * second_ - b) * left_, (b * first_ - a) * right_};
  }

 private:
  T first_, second_, left_, right_;
};

template <class T>
class BunchKaufman {
 public:
  // Factorizes the lower triangle of A(n x n) in place; L has a unit diagonal and zeros above it. Row j of
  // the permuted matrix is row order[j] of A. D goes to `diagonal` and `couplings`, as in numeric.h: a pivot
  // is zero only if its whole column is (or so small that squares underflow). W has room for workspace(n)
  // numbers.
  static void run(const CrewKernels<T>& kernels, Index n, T* A, Index lda, T* diagonal, T* couplings,
                  Index* order, T* W) {
    BunchKaufman self{kernels, n, A, lda, order, W};
    for (Index j = 0; j < n; ++j) order[j] = j;
    std::fill_n(couplings, n, T{});
    while (self.k_ < n) self.panel(diagonal, couplings);
    if (n > width)
      for (Index j = 1; j < n; ++j) std::fill_n(self.at(0, j), j, T{});  // gemmt was there
  }
  static Offset workspace(Index n) { return Offset{n} * (std::min(n, width) + 1); }

 private:
  using R = Real<T>;
  static constexpr Index width = 48;                  // of a panel, which may end with one column more
  static constexpr R alpha = R(0.64038820320220756);  // (1 + sqrt(17)) / 8
  const R tiny = 4 * std::sqrt(std::numeric_limits<R>::min());  // of smaller numbers, squares underflow

  BunchKaufman(const CrewKernels<T>& kernels, Index n, T* A, Index lda, Index* order, T* W)
      : kernels_(kernels), n_(n), A_(A), lda_(lda), order_(order), W_(W) {}

  T* at(Index i, Index j) const { return A_ + i + Offset{lda_} * j; }
  // Column j of the panel of W = L D.
  T* W(Index j) const { return W_ + Offset{n_} * (j - begin_); }

  void panel(T* diagonal, T* couplings) {
    begin_ = k_;
    const Index end = std::min(begin_ + width, n_);
    while (k_ < end) {
      if (choose() == 1) {
        diagonal[k_] = eliminate_one();
        ++k_;
      } else {
        const T* a = W(k_);
        diagonal[k_] = a[k_];
        couplings[k_] = a[k_ + 1];
        diagonal[k_ + 1] = W(k_ + 1)[k_ + 1];
        eliminate_two();
        k_ += 2;
      }
    }
    const Index rest = n_ - k_;
    if (rest > 0)
      kernels_.gemmt(rest, rest, k_ - begin_, -1, at(k_, begin_), lda_, W_ + k_, n_, at(k_, k_), lda_);
  }

  // w <- column j of what is left of A, whose lower triangle lags behind by the panel.
  void column(Index j, T* w) const {
    for (Index i = k_; i < j; ++i) w[i] = conjugate(*at(j, i));
    std::copy(at(j, j), at(n_, j), w + j);
    if (k_ > begin_) {
      T x[width];
      for (Index p = begin_; p < k_; ++p) x[p - begin_] = conjugate(W(p)[j]);
      kernels_.gemv_n(n_ - k_, k_ - begin_, at(k_, begin_), lda_, x, w + k_);
    }
    w[j] = diagonal_part(w[j]);
  }

  // The largest entry of a column beside that on the diagonal, and its row.
  std::pair<R, Index> largest(const T* w, Index diagonal) const {
    R most = 0;
    Index row = diagonal;
    for (Index i = k_; i < n_; ++i)
      if (i != diagonal && magnitude(w[i]) > most) {
        most = magnitude(w[i]);
        row = i;
      }
    return {most, row};
  }

  // Moves the next pivot to k, or to k and k + 1, and its columns to W; returns its order.
  Index choose() {
    T *a = W(k_), *b = a + n_;
    column(k_, a);
    Index p = k_;
    auto [most, q] = largest(a, p);
    if (std::max(magnitude(a[p]), most) < tiny) std::fill(a + k_, a + n_, T{});
    if (magnitude(a[p]) >= alpha * most) return 1;
    for (;;) {
      column(q, b);
      const auto [next, row] = largest(b, q);
      const bool alone = magnitude(b[q]) >= alpha * next;
      if (!alone && !(next > most)) break;
      std::copy(b + k_, b + n_, a + k_);
      p = q;
      if (alone) {
        exchange(k_, p);
        return 1;
      }
      most = next;
      q = row;
    }
    exchange(k_, p);
    exchange(k_ + 1, q == k_ ? p : q);
    return 2;
  }

  // Rows and columns i <= j change places: in L and W, in what is left of A, and in both columns looked at.
  void exchange(Index i, Index j) {
    if (i == j) return;
    std::swap(order_[i], order_[j]);
    for (Index p = 0; p < i; ++p) std::swap(*at(i, p), *at(j, p));
    for (Index p = begin_; p < k_ + 2; ++p) std::swap(W(p)[i], W(p)[j]);
    std::swap(*at(i, i), *at(j, j));
    *at(j, i) = conjugate(*at(j, i));
    for (Index p = i + 1; p < j; ++p) {
      const T moved = conjugate(*at(p, i));
      *at(p, i) = conjugate(*at(j, p));
      *at(j, p) = moved;
    }
    for (Index p = j + 1; p < n_; ++p) std::swap(*at(p, i), *at(p, j));
  }

  T eliminate_one() const {
    const T* w = W(k_);
    T* l = at(0, k_);
    const T d = w[k_], inverse = d == T{} ? T{} : T(1) / d;
    l[k_] = T(1);
    for (Index i = k_ + 1; i < n_; ++i) l[i] = w[i] * inverse;
    return d;
  }
  void eliminate_two() const {
    const T *a = W(k_), *b = W(k_ + 1);
    T *l = at(0, k_), *m = at(0, k_ + 1);
    const BlockInverse<T> inverse(a[k_], a[k_ + 1], b[k_ + 1]);
    l[k_] = m[k_ + 1] = T(1);
    l[k_ + 1] = T{};
    for (Index i = k_ + 2; i < n_; ++i) std::tie(l[i], m[i]) = inverse(a[i], b[i]);
  }

  const CrewKernels<T>& kernels_;
  const Index n_;
  T* const A_;
  const Index lda_;
  Index* const order_;
  T* const W_;
  Index begin_ = 0, k_ = 0;  // the first column of the panel, and the next one to be eliminated
};

}  // namespace elimax
