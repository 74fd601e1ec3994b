// square_lu.h: P A = L U of a square, pivots chosen within it, shared out among a crew.
//
// The columns are halved until few are left. The halves are coupled by what a right-looking factorization
// does: rows change places in all columns at once, and U12 = L11^-1 A12, which is kept as U^H from then on,
// so that kernels which solve from the right do it.
//
// Source: Toledo, "Locality of reference in LU decomposition with partial pivoting", SIAM J. Matrix Anal.
//         Appl. 18 (1997) 1065-1081.
// Cost: 2/3 n^3 operations, all but n^2 of them in dense products; n searches for a pivot, by one thread.
#pragma once

#include "dense_crew.h"
#include "schedule.h"

namespace elimax {

// A(n x n) becomes L with its unit diagonal, and U^H, zero above its diagonal before, the other factor. Where
// rows of A change places, so do those columns of B(m x n), and entries of `order`.
template <class T>
class SquareLu {
 public:
  SquareLu(const DenseKernels<T>& kernels, Worker worker, Index n, T* A, T* UH, Index ld, Index m, T* B,
           Index* order, Real<T> least, Real<T> replacement)
      : kernels_(kernels),
        crew_kernels_(kernels, worker.crew),
        worker_(worker),
        n_(n),
        ld_(ld),
        m_(m),
        A_(A),
        UH_(UH),
        B_(B),
        order_(order),
        least_(least),
        replacement_(replacement) {}

  // A pivot smaller than `least` is replaced: perturbed(j) is called for its column.
  template <class Perturbed>
  void run(const Perturbed& perturbed) const {
    factorize(0, n_, perturbed);
  }

 private:
  static constexpr Index few = 8;

  Offset at(Index i, Index j) const { return i + static_cast<Offset>(j) * ld_; }

  template <class Perturbed>
  void factorize(Index first, Index columns, const Perturbed& perturbed) const {
    if (columns <= few) return eliminate(first, columns, perturbed);
    const Index half = (columns / 2 + few - 1) / few * few, second = first + half, rest = columns - half;
    factorize(first, half, perturbed);
    T* U21 = UH_ + at(second, first);
    move_across(first, half, second, rest);
    crew_kernels_.trsm_h(rest, half, A_ + at(first, first), ld_, U21, ld_);
    crew_kernels_.gemm_nh(n_ - second, rest, half, -1, A_ + at(second, first), ld_, U21, ld_,
                          A_ + at(second, second), ld_);
    factorize(second, rest, perturbed);
  }

  template <class Perturbed>
  void eliminate(Index first, Index columns, const Perturbed& perturbed) const {
    Index rows[few];
    const unsigned replaced =
        kernels_.getf2(n_ - first, columns, least_, replacement_, A_ + at(first, first), ld_, rows);
    for (Index j = 0; j < columns; ++j) {
      if (replaced >> j & 1) perturbed(first + j);
      move_across(first, j, first + j, 1);
      T& pivot = A_[at(first + j, first + j)];
      UH_[at(first + j, first + j)] = conjugate(pivot);
      pivot = T(1);
    }
    bool moved = false;
    for (Index j = 0; j < columns; ++j) moved |= rows[j] != j;
    if (!moved) return;
    for (Index j = 0; j < columns; ++j) {
      const Index a = first + j, b = first + rows[j];
      if (a == b) continue;
      std::swap(order_[a], order_[b]);
      std::swap_ranges(B_ + at(0, a), B_ + at(0, a) + m_, B_ + at(0, b));
    }
    const auto exchange = [&](Index begin, Index end) {
      share_out(worker_, end - begin, columns, [&](Index l, Index last) {
        for (T* column = A_ + at(first, begin + l); l < last; ++l, column += ld_)
          for (Index j = 0; j < columns; ++j) std::swap(column[j], column[rows[j]]);
      });
    };
    exchange(0, first);
    exchange(first + columns, n_);
  }

  // Entries (i, j) of U, right of a diagonal block of A, to U^H.
  void move_across(Index i, Index rows, Index j, Index columns) const {
    for (Index l = 0; l < columns; ++l)
      for (Index k = 0; k < rows; ++k) {
        T& entry = A_[at(i + k, j + l)];
        UH_[at(j + l, i + k)] = conjugate(entry);
        entry = T{};
      }
  }

  const DenseKernels<T>& kernels_;
  const CrewKernels<T> crew_kernels_;
  const Worker worker_;
  const Index n_, ld_, m_;
  T *const A_, *const UH_, *const B_;
  Index* const order_;
  const Real<T> least_, replacement_;
};

}  // namespace elimax
