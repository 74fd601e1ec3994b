// front.h: the work on one front that is not dense elimination.
//
// The front of a supernode with c columns and u rows below them is the Hermitian matrix
//
//     F = [ F11  F21^H ]   panel  = [F11; F21], (c+u) x c with leading dimension c+u,
//         [ F21  F22   ]   update = F22, u x u, stored as a square or as trapezoids.
//
// Upwards a front is assembled from values of A and the children's update matrices (extend-add: Duff and
// Reid, TOMS 9, 1983; Liu, SIAM Review 34, 1992); only lower triangles count. Downwards each child's
// update matrix is the submatrix of its parent's front that extend-add would add to.
#pragma once

#include <algorithm>

#include "numeric.h"
#include "schedule.h"

namespace elimax {

// A matrix of order n by columns. Entry (i, j) lies at to(j) + i.
class Square {
 public:
  explicit Square(Index n) : n_(n) {}
  Offset size() const { return static_cast<Offset>(n_) * n_; }
  Offset to(Index j) const { return static_cast<Offset>(j) * n_; }

 private:
  Index n_;
};

// The lower triangle of a matrix of order n as blocks of columns, each a rectangle of the rows from its first
// on: little more than half of a square, and a few dense blocks. Entry (i, j) lies at to(j) + i, for i from
// the first row of the block of j on; to() is called for increasing j.
class Trapezoids {
 public:
  explicit Trapezoids(Index n) : n_(n), width_(is_square(n) ? n : (n + 511) / 512 * 64), end_(width_) {}
  // Whether there is one block only.
  static bool is_square(Index n) { return n <= 64; }
  Offset size() const {
    Offset sum = 0;
    for_blocks([&](Index, Index columns, Index rows, Offset) { sum += static_cast<Offset>(columns) * rows; });
    return sum;
  }
  Offset to(Index j) {
    while (j >= end_) {
      start_ += static_cast<Offset>(width_) * (n_ - first_);
      first_ = end_;
      end_ = std::min(end_ + width_, n_);
    }
    return start_ + static_cast<Offset>(j - first_) * (n_ - first_) - first_;
  }
  // Calls body(first, columns, rows, start) for every block: it owns the columns from `first` on and lies at
  // `start`, column-major with leading dimension `rows`.
  template <class Body>
  void for_blocks(const Body& body) const {
    Offset start = 0;
    for (Index first = 0; first < n_; first += width_) {
      const Index columns = std::min(width_, n_ - first), rows = n_ - first;
      body(first, columns, rows, start);
      start += static_cast<Offset>(columns) * rows;
    }
  }

 private:
  Index n_, width_, first_ = 0, end_;
  Offset start_ = 0;
};

template <class T, class Storage = Square>
struct Front {
  Index c, u;
  T* panel;
  T* update;

  Index size() const { return c + u; }
  Offset panel_size() const { return static_cast<Offset>(c + u) * c; }
  Offset update_size() const { return Storage(u).size(); }
  T* below() const { return panel + c; }  // F21
};

// The front of s whose panel lies in an array like the factor, its update matrix at `update`.
template <class T>
Front<T> front_of(const Symbolic& symbolic, Index s, T* panels, T* update) {
  return {symbolic.columns(s), symbolic.below(s), panels + symbolic.panel[s], update};
}

// Where the rows below s sit in the front of its parent.
inline In<Index> relative_rows(const Symbolic& symbolic, Index s) {
  return {symbolic.relative.data() + symbolic.row_ptr[s], static_cast<std::size_t>(symbolic.below(s))};
}

// The value that an embedding names. Whether it is a conjugated one is as good as random: no branch for
// reals.
template <class T>
T value_at(const T* values, Index source) {
  const T value = values[source ^ (source >> 31)];  // ~source if negative
  if constexpr (std::is_same_v<T, Real<T>>)
    return value;
  else
    return source >= 0 ? value : conjugate(value);
}

// F <- the entries of A(values) that supernode s owns, zero elsewhere. Imaginary parts of a Hermitian
// diagonal are dropped.
template <class T, class Storage>
void assemble(const Embedding& embedding, Index s, const T* values, Front<T, Storage> front) {
  for (Offset p = embedding.ptr[s]; p < embedding.ptr[s + 1]; ++p) {
    const Index source = embedding.source[p];
    front.panel[embedding.target[p]] = source >= 0 ? values[source] : conjugate(values[~source]);
  }
  if constexpr (!std::is_same_v<T, Real<T>>)
    for (Index j = 0; j < front.c; ++j) {
      T& diagonal = front.panel[static_cast<Offset>(front.size() + 1) * j];
      diagonal = diagonal_part(diagonal);
    }
}

template <class T>
void clear(Front<T> front) {
  std::fill_n(front.panel, front.panel_size(), T{});
  std::fill_n(front.update, front.update_size(), T{});
}

// The rows of a child from this one on are consecutive in the parent, and numerous enough for a vector loop.
inline Index consecutive_tail(In<Index> relative) {
  const Index u = static_cast<Index>(relative.size());
  if (u < 8) return u;
  Index tail = u - 1;
  while (tail > 0 && relative[tail - 1] + 1 == relative[tail]) --tail;
  return u - tail < 8 ? u : tail;
}

// Lower triangle of F(relative, relative) += lower triangle of the update matrix of a child, of which the
// columns from `begin` to `end` - 1.
template <class T, class Storage>
void extend_add_columns(In<Index> relative, const T* child, Front<T, Storage> front, Index begin, Index end) {
  const Index u = static_cast<Index>(relative.size());
  const Index tail = consecutive_tail(relative);
  Storage from(u), to(front.u);
  for (Index j = begin; j < end; ++j) {
    const T* source = child + from.to(j);
    const bool eliminated = relative[j] < front.c;
    T* column = eliminated ? front.panel + static_cast<Offset>(relative[j]) * front.size()
                           : front.update + to.to(relative[j] - front.c);
    const Index shift = eliminated ? 0 : front.c;
    Index i = j;
    for (; i < tail; ++i) column[relative[i] - shift] += source[i];
    if (i == u) continue;
    T* run = column + (relative[i] - shift);
    const T* addend = source + i;
    for (Index r = 0; r < u - i; ++r) run[r] += addend[r];
  }
}

template <class T, class Storage>
void extend_add(Worker worker, In<Index> relative, const T* child, Front<T, Storage> front) {
  const Index u = static_cast<Index>(relative.size());
  if constexpr (std::is_same_v<Storage, Trapezoids>)
    if (Trapezoids::is_square(u) && Trapezoids::is_square(front.u))
      return extend_add_columns(relative, child, Front<T>{front.c, front.u, front.panel, front.update}, 0, u);
  share_out(worker, u, u / 2,
            [&](Index begin, Index end) { extend_add_columns(relative, child, front, begin, end); });
}

// Blocks of columns that cover the lower triangle of order n by rectangles of rows j .. n-1: how many there
// are, and j and the width of the k-th.
inline constexpr Index lower_block_width = 64;
inline Index lower_blocks(Index n) { return (n + lower_block_width - 1) / lower_block_width; }
inline std::pair<Index, Index> lower_block(Index n, Index k) {
  return {k * lower_block_width, std::min(lower_block_width, n - k * lower_block_width)};
}
// Calls body(j, width) for all of them.
template <class Body>
void for_lower_blocks(Index n, Body body) {
  for (Index k = 0; k < lower_blocks(n); ++k) {
    const auto [j, width] = lower_block(n, k);
    body(j, width);
  }
}

// A(j, i) <- conj(A(i, j)) for i from `top` on and below the diagonal, j from `begin` to `end` - 1, A of n
// rows.
template <class T>
void mirror(Index n, Index top, Index begin, Index end, T* A, Index lda) {
  constexpr Index block = 16;  // both a block and its image stay in the first-level cache
  for (Index j0 = begin; j0 < end; j0 += block)
    for (Index i0 = std::max(j0, top); i0 < n; i0 += block)
      for (Index j = j0; j < std::min(j0 + block, end); ++j)
        for (Index i = std::max(i0, j + 1); i < std::min(i0 + block, n); ++i)
          A[j + static_cast<Offset>(i) * lda] = conjugate(A[i + static_cast<Offset>(j) * lda]);
}
// Copies the first `columns` columns of the lower triangle of A(n x n) to the rows of the upper one,
// conjugated.
template <class T>
void mirror(Index n, Index columns, T* A, Index lda) {
  mirror(n, 0, 0, columns, A, lda);
}

// child <- F(relative, relative), full squares. F11 and F22 are full squares, too.
template <class T>
void extract(Worker worker, In<Index> relative, const Front<T>& front, T* child) {
  const Index u = static_cast<Index>(relative.size());
  const Index split =
      static_cast<Index>(std::lower_bound(relative.begin(), relative.end(), front.c) - relative.begin());
  const Index tail = consecutive_tail(relative);
  const auto copy = [&](const T* column, Index shift, Index begin, T* target) {
    Index i = begin;
    for (; i < tail; ++i) target[i] = column[relative[i] - shift];
    if (i < u) std::copy_n(column + (relative[i] - shift), u - i, target + i);
  };
  share_out(worker, u, u, [&](Index begin, Index end) {
    for (Index j = begin; j < std::min(end, split); ++j)  // from F11 and F21
      copy(front.panel + static_cast<Offset>(relative[j]) * front.size(), 0, 0,
           child + static_cast<Offset>(j) * u);
    for (Index j = std::max(begin, split); j < end; ++j)  // from F22
      copy(front.update + static_cast<Offset>(relative[j] - front.c) * front.u, front.c, split,
           child + static_cast<Offset>(j) * u);
  });
  share_out(worker, split, u - split,  // from F21^H
            [&](Index begin, Index end) { mirror(u, split, begin, end, child, u); });
}

// The gradient of a function of A with respect to the values that supernode s owns, from the front of its
// Hermitian gradient Z: d f = Re tr(Z^H dA). A value off the diagonal stands for two entries of A, and JAX
// pairs without conjugation, Re(gradient * value): hence conj(Z_ij) + Z_ji = 2 conj(Z_ij). Over Bilinear, Z
// is symmetric and d f = tr(Z dA).
template <class T>
void write_gradient(const Symbolic& symbolic, const Embedding& embedding, Index s, const Front<T>& Z,
                    T* gradient) {
  for (Offset p = embedding.ptr[s]; p < embedding.ptr[s + 1]; ++p) {
    const Index source = embedding.source[p];
    const T value = Real<T>(2) * Z.panel[embedding.target[p]];
    gradient[source >= 0 ? source : ~source] = source >= 0 ? conjugate(value) : value;
  }
  for (Index j = 0; j < Z.c; ++j) {
    const Index position = embedding.diagonal[symbolic.super[s] + j];
    if (position != none) gradient[position] = diagonal_part(Z.panel[static_cast<Offset>(Z.size() + 1) * j]);
  }
}

}  // namespace elimax
