// front.h: the work on one front that is not dense elimination.
//
// The front of a supernode with c columns and u rows below them is the Hermitian matrix
//
//     F = [ F11  F21^H ]   panel  = [F11; F21], (c+u) x c with leading dimension c+u,
//         [ F21  F22   ]   update = F22, u x u with leading dimension u.
//
// Upwards a front is assembled from values of A and the children's update matrices (extend-add: Duff and
// Reid, TOMS 9, 1983; Liu, SIAM Review 34, 1992); only lower triangles count. Downwards each child's
// update matrix is the submatrix of its parent's front that extend-add would add to.
#pragma once

#include <algorithm>

#include "core.h"

namespace elimax {

template <class T>
struct Front {
  Index c, u;
  T* panel;
  T* update;

  Index size() const { return c + u; }
  Offset panel_size() const { return static_cast<Offset>(c + u) * c; }
  Offset update_size() const { return static_cast<Offset>(u) * u; }
  T* below() const { return panel + c; }  // F21
};

// The front of s whose panel lies in an array like the factor, its update matrix in the stacks.
template <class T>
Front<T> front_of(const Symbolic& symbolic, Index s, T* panels, T* updates) {
  return {symbolic.columns(s), symbolic.below(s), panels + symbolic.panel[s], updates + symbolic.update[s]};
}

// Where the rows below s sit in the front of its parent.
inline In<Index> relative_rows(const Symbolic& symbolic, Index s) {
  return {symbolic.relative.data() + symbolic.row_ptr[s], static_cast<std::size_t>(symbolic.below(s))};
}

inline Offset largest_panel(const Symbolic& symbolic) {
  Offset size = 0;
  for (Index s = 0; s < symbolic.supernodes(); ++s)
    size = std::max(size, symbolic.panel[s + 1] - symbolic.panel[s]);
  return size;
}

// F <- the entries of A(values) that supernode s owns, zero elsewhere. Imaginary parts of the diagonal are
// dropped.
template <class T>
void assemble(const Embedding& embedding, Index s, const T* values, Front<T> front) {
  for (Offset p = embedding.ptr[s]; p < embedding.ptr[s + 1]; ++p) {
    const Index source = embedding.source[p];
    front.panel[embedding.target[p]] = source >= 0 ? values[source] : conjugate(values[~source]);
  }
  if constexpr (!std::is_same_v<T, Real<T>>)
    for (Index j = 0; j < front.c; ++j) {
      T& diagonal = front.panel[static_cast<Offset>(front.size() + 1) * j];
      diagonal = real_part(diagonal);
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

// Lower triangle of F(relative, relative) += lower triangle of `child`.
template <class T>
void extend_add(In<Index> relative, const T* child, Front<T> front) {
  const Index u = static_cast<Index>(relative.size());
  const Index tail = consecutive_tail(relative);
  for (Index j = 0; j < u; ++j, child += u) {
    const bool eliminated = relative[j] < front.c;
    T* column = eliminated ? front.panel + static_cast<Offset>(relative[j]) * front.size()
                           : front.update + static_cast<Offset>(relative[j] - front.c) * front.u;
    const Index shift = eliminated ? 0 : front.c;
    Index i = j;
    for (; i < tail; ++i) column[relative[i] - shift] += child[i];
    if (i == u) continue;
    T* run = column + (relative[i] - shift);
    const T* addend = child + i;
    for (Index r = 0; r < u - i; ++r) run[r] += addend[r];
  }
}

// Calls body(j, width) for blocks of columns that cover the lower triangle of order n by rectangles
// of rows j .. n-1.
template <class Body>
void for_lower_blocks(Index n, Body body) {
  constexpr Index block = 64;
  for (Index j = 0; j < n; j += block) body(j, std::min(block, n - j));
}

// Copies the first `columns` columns of the lower triangle of A(n x n) to the rows of the upper one,
// conjugated.
template <class T>
void mirror(Index n, Index columns, T* A, Index lda) {
  constexpr Index block = 16;  // both a block and its image stay in the first-level cache
  for (Index j0 = 0; j0 < columns; j0 += block)
    for (Index i0 = j0; i0 < n; i0 += block)
      for (Index j = j0; j < std::min(j0 + block, columns); ++j)
        for (Index i = std::max(i0, j + 1); i < std::min(i0 + block, n); ++i)
          A[j + static_cast<Offset>(i) * lda] = conjugate(A[i + static_cast<Offset>(j) * lda]);
}

// child <- F(relative, relative), full squares. F11 and F22 are full squares, too.
template <class T>
void extract(In<Index> relative, const Front<T>& front, T* child) {
  const Index u = static_cast<Index>(relative.size());
  const Index split =
      static_cast<Index>(std::lower_bound(relative.begin(), relative.end(), front.c) - relative.begin());
  const Index tail = consecutive_tail(relative);
  const auto copy = [&](const T* column, Index shift, Index begin, T* target) {
    Index i = begin;
    for (; i < tail; ++i) target[i] = column[relative[i] - shift];
    if (i < u) std::copy_n(column + (relative[i] - shift), u - i, target + i);
  };
  for (Index j = 0; j < split; ++j)  // from F11 and F21
    copy(front.panel + static_cast<Offset>(relative[j]) * front.size(), 0, 0,
         child + static_cast<Offset>(j) * u);
  for (Index j = split; j < u; ++j)  // from F22
    copy(front.update + static_cast<Offset>(relative[j] - front.c) * front.u, front.c, split,
         child + static_cast<Offset>(j) * u);
  mirror(u, split, child, u);  // from F21^H
}

// The gradient of a function of A with respect to the values that supernode s owns, from the front of its
// Hermitian gradient Z: d f = Re tr(Z^H dA). A value off the diagonal stands for two entries of A, and JAX
// pairs without conjugation, Re(gradient * value): hence conj(Z_ij) + Z_ji = 2 conj(Z_ij).
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
    if (position != none) gradient[position] = real_part(Z.panel[static_cast<Offset>(Z.size() + 1) * j]);
  }
}

}  // namespace elimax
