// general_front.h: the work on a front of a general matrix that is not dense elimination.
//
// The front of a supernode with c columns and u rows below them is the matrix
//
//     F = [ F11  F12 ]   lower  = [F11; F21], (c+u) x c with leading dimension c+u,
//         [ F21  F22 ]   upper  = [*; F12^H], the same, and its first c rows belong to nobody,
//                        update = F22, u x u.
//
// It is assembled and taken apart like the front of a Hermitian matrix (front.h), but both triangles count.
#pragma once

#include "front.h"

namespace elimax {

template <class T>
struct GeneralFront {
  Index c, u;
  T *lower, *upper;  // panels
  T* update;

  Index size() const { return c + u; }
  Offset panel_size() const { return static_cast<Offset>(c + u) * c; }
  Offset update_size() const { return static_cast<Offset>(u) * u; }
  T* left() const { return lower + c; }   // F21
  T* above() const { return upper + c; }  // F12^H
};

// The front of s whose panels lie in an array like the factor, its update matrix at `update`.
template <class T>
GeneralFront<T> general_front_of(const Symbolic& symbolic, Index s, T* panels, T* update) {
  T* lower = panels + symbolic.panel[s];
  return {symbolic.columns(s), symbolic.below(s), lower, lower + symbolic.factor_size(), update};
}

// F <- the entries of A(values) that supernode s owns, zero elsewhere.
template <class T>
void assemble(const Embedding& embedding, Index s, const T* values, GeneralFront<T> front) {
  T* const panels[] = {front.lower, front.upper - front.panel_size()};
  for (Offset p = embedding.ptr[s]; p < embedding.ptr[s + 1]; ++p) {
    const Index source = embedding.source[p];
    panels[source < 0][embedding.target[p]] = value_at(values, source);
  }
}

template <class T>
void clear(GeneralFront<T> front) {
  std::fill_n(front.lower, front.panel_size(), T{});
  std::fill_n(front.upper, front.panel_size(), T{});
  std::fill_n(front.update, front.update_size(), T{});
}

// Calls body(i, j) for i < rows and begin <= j < end by blocks that stay in the first-level cache together
// with their transposes.
template <class Body>
void for_transposed(Index rows, Index begin, Index end, const Body& body) {
  constexpr Index block = 16;
  for (Index j0 = begin; j0 < end; j0 += block)
    for (Index i0 = 0; i0 < rows; i0 += block)
      for (Index j = j0; j < std::min(j0 + block, end); ++j)
        for (Index i = i0; i < std::min(i0 + block, rows); ++i) body(i, j);
}

// How many of the rows of a child its parent eliminates, if that has c columns.
inline Index eliminated_rows(In<Index> relative, Index c) {
  return static_cast<Index>(std::lower_bound(relative.begin(), relative.end(), c) - relative.begin());
}

// extend_add of few rows, without what only pays for many.
template <class T>
void extend_add_few(In<Index> relative, const T* child, GeneralFront<T> front) {
  const Index u = static_cast<Index>(relative.size()), ld = front.size();
  Index split = 0;
  for (Index i = 0; i < u; ++i) split += relative[i] < front.c;
  for (Index j = 0; j < split; ++j) {
    T* column = front.lower + static_cast<Offset>(relative[j]) * ld;
    T* row = front.upper + static_cast<Offset>(relative[j]) * ld;
    for (Index i = 0; i < u; ++i) column[relative[i]] += child[i + j * u];
    for (Index i = split; i < u; ++i) row[relative[i]] += conjugate(child[j + i * u]);
  }
  for (Index j = split; j < u; ++j) {
    T* column = front.update + static_cast<Offset>(relative[j] - front.c) * front.u - front.c;
    for (Index i = split; i < u; ++i) column[relative[i]] += child[i + j * u];
  }
}

// extend_add of many rows.
template <class T>
[[gnu::noinline]] void extend_add_many(Worker worker, In<Index> relative, const T* child,
                                       GeneralFront<T> front) {
  const Index u = static_cast<Index>(relative.size()), ld = front.size();
  const Index split = eliminated_rows(relative, front.c), tail = consecutive_tail(relative);
  const auto add = [&](const T* source, Index begin, T* column) {
    Index i = begin;
    for (; i < tail; ++i) column[relative[i]] += source[i];
    if (i == u) return;
    T* run = column + relative[i];
    for (Index r = 0; r < u - i; ++r) run[r] += source[i + r];
  };
  share_out(worker, u, u, [&](Index begin, Index end) {
    for (Index j = begin; j < std::min(end, split); ++j)  // to F11 and F21
      add(child + static_cast<Offset>(j) * u, 0, front.lower + static_cast<Offset>(relative[j]) * ld);
    for (Index j = std::max(begin, split); j < end; ++j)  // to F22
      add(child + static_cast<Offset>(j) * u, split,
          front.update + static_cast<Offset>(relative[j] - front.c) * front.u - front.c);
  });
  share_out(worker, split, u - split, [&](Index begin, Index end) {  // to F12^H
    for_transposed(u - split, begin, end, [&](Index i, Index j) {
      front.upper[relative[split + i] + static_cast<Offset>(relative[j]) * ld] +=
          conjugate(child[j + static_cast<Offset>(split + i) * u]);
    });
  });
}

// F(relative, relative) += the update matrix of a child.
template <class T>
void extend_add(Worker worker, In<Index> relative, const T* child, GeneralFront<T> front) {
  relative.size() <= 16 ? extend_add_few(relative, child, front)
                        : extend_add_many(worker, relative, child, front);
}

// child <- F(relative, relative).
template <class T>
void extract(Worker worker, In<Index> relative, const GeneralFront<T>& front, T* child) {
  const Index u = static_cast<Index>(relative.size()), ld = front.size();
  const Index split = eliminated_rows(relative, front.c), tail = consecutive_tail(relative);
  const auto copy = [&](const T* column, Index begin, T* target) {
    Index i = begin;
    for (; i < tail; ++i) target[i] = column[relative[i]];
    if (i < u) std::copy_n(column + relative[i], u - i, target + i);
  };
  share_out(worker, u, u, [&](Index begin, Index end) {
    for (Index j = begin; j < std::min(end, split); ++j)  // from F11 and F21
      copy(front.lower + static_cast<Offset>(relative[j]) * ld, 0, child + static_cast<Offset>(j) * u);
    for (Index j = std::max(begin, split); j < end; ++j)  // from F22
      copy(front.update + static_cast<Offset>(relative[j] - front.c) * front.u - front.c, split,
           child + static_cast<Offset>(j) * u);
  });
  share_out(worker, split, u - split, [&](Index begin, Index end) {  // from F12^H
    for_transposed(u - split, begin, end, [&](Index i, Index j) {
      child[j + static_cast<Offset>(split + i) * u] =
          conjugate(front.upper[relative[split + i] + static_cast<Offset>(relative[j]) * ld]);
    });
  });
}

// The gradient of a function of A with respect to the values that supernode s owns, from the front of Z with
// d f = tr(Z dA): Z_ji for the entry (i, j). Here the first rows of the upper panel are Z11^H.
template <class T>
void write_gradient(const Symbolic&, const Embedding& embedding, Index s, const GeneralFront<T>& Z,
                    T* gradient) {
  const T* lower = Z.lower - Z.panel_size();
  for (Offset p = embedding.ptr[s]; p < embedding.ptr[s + 1]; ++p) {
    const Index source = embedding.source[p];
    if (source >= 0)
      gradient[source] = conjugate(Z.upper[embedding.target[p]]);
    else
      gradient[~source] = lower[embedding.target[p]];
  }
}

}  // namespace elimax
