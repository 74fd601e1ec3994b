// gemm.h: products of dense matrices, C += sign A B in all the shapes that elimination needs.
//
// Small products run tile by tile on the operands where they lie. Large ones copy the operands into
// the order in which tiles read them: a panel of B that stays in the second-level cache, and a strip of
// A that stays in the first. The copies live on the stack (about 150 KiB, below every platform's
// default for threads that JAX starts): no allocation that can fail, nothing shared between threads.
// Both ways add the same numbers in the same order.
//
// Source: Goto and van de Geijn (2008), sections 4-5. Cost: 2 m n k operations for real numbers.
#pragma once

#include "tile.h"

namespace elimax {
namespace {

// A matrix of numbers seen as reals; `ld` counts reals.
template <class R>
struct View {
  R* data;
  Offset ld;
};
template <class T>
View<const Real<T>> view(const T* data, Index ld) {
  return {reinterpret_cast<const Real<T>*>(data), Offset{ld} * parts<T>};
}
template <class T>
View<Real<T>> view(T* data, Index ld) {
  return {reinterpret_cast<Real<T>*>(data), Offset{ld} * parts<T>};
}

// An operand is `contiguous` if the rows (of A) or columns (of B) of a tile are neighbors in memory,
// for every p: that is A itself and B^H. The others are A^H and B itself.

// Which entries of C are wanted: all, those on and below the diagonal (others may be overwritten), or
// those alone.
enum class Part { all, lower_loose, lower };

// The sums of a product are cut after `depth` terms.
template <class T>
constexpr Index depth = 128;
// Columns of B that are packed at a time.
template <class T>
constexpr Index panel_columns = 131072 / (depth<T> * static_cast<Index>(sizeof(T)));

ELIMAX_INLINE Index least(Index a, Index b) { return a < b ? a : b; }

// The height of the next tile when `left` rows remain. Four vectors are better cut in two and two than
// in three and one.
template <class T>
ELIMAX_INLINE Index next_rows(Index left) {
  constexpr Index vector = width<Real<T>> / parts<T>;
  return left > 3 * vector && left <= 4 * vector ? 2 * vector : least(left, tile_rows<T>);
}

// Term p, row or column j of an operand, and onwards.
template <class T, bool contiguous>
ELIMAX_INLINE Broadcast<Real<T>> operand(View<const Real<T>> X, Index p, Index j) {
  if constexpr (contiguous) {
    return {X.data + j * parts<T> + p * X.ld, parts<T>, X.ld};
  } else {
    return {X.data + p * parts<T> + j * X.ld, X.ld, parts<T>};
  }
}

// One tile at C(i, j); with `lower`, the entries above the diagonal of C are left alone.
template <class T, bool contiguous, class R = Real<T>>
ELIMAX_INLINE void multiply_tile(Index rows, Index columns, Index k, R sign, R flip, View<const R> A, Broadcast<R> b,
                                 View<R> C, Index i, Index j, bool lower) {
  const auto run = kernel<T, MultiplyAdd, contiguous>(rows * parts<T>, columns);
  R* c = C.data + i * parts<T> + j * C.ld;
  if (!lower || i >= j + columns - 1) {
    run(k, A.data, A.ld, b, rows * parts<T>, sign, flip, c, C.ld);
    return;
  }
  constexpr Offset ld = tile_rows<T> * parts<T>;
  R buffer[ld * tile_columns<T>] = {};
  run(k, A.data, A.ld, b, rows * parts<T>, sign, flip, buffer, ld);
  for (Index column = 0; column < columns; ++column) {
    const Index first = j + column > i ? j + column - i : 0;
    for (Index r = first * parts<T>; r < rows * parts<T>; ++r) c[r + column * C.ld] += buffer[r + column * ld];
  }
}

template <class T, bool contiguous, class R = Real<T>>
void multiply_in_place(Index m, Index n, Index k, R sign, View<const R> A, View<const R> B, View<R> C, Part part) {
  constexpr R flip = contiguous ? 1 : -1;
  for (Index p = 0; p < k; p += depth<T>) {
    const Index terms = least(depth<T>, k - p);
    for (Index j = 0; j < n; j += tile_columns<T>) {
      const Index columns = least(tile_columns<T>, n - j);
      const Broadcast<R> b = operand<T, contiguous>(B, p, j);
      for (Index i = part == Part::all ? 0 : j, rows; i < m; i += rows) {
        rows = next_rows<T>(m - i);
        multiply_tile<T, contiguous>(rows, columns, terms, sign, flip,
                                     {A.data + i * parts<T> + p * A.ld, A.ld}, b, C, i, j, part == Part::lower);
      }
    }
  }
}

// strip[p][i] = A(i, p), or (A^H)(i, p) if not contiguous.
template <class T, bool contiguous, class R = Real<T>>
void pack_rows(Index rows, Index k, View<const R> A, R* strip) {
  constexpr Index ld = tile_rows<T> * parts<T>;
  if constexpr (contiguous) {
    for (Index p = 0; p < k; ++p, A.data += A.ld, strip += ld)
      __builtin_memcpy(strip, A.data, sizeof(R) * rows * parts<T>);
  } else {
    for (Index i = 0; i < rows; ++i, A.data += A.ld, strip += parts<T>)
      for (Index p = 0; p < k; ++p) {
        strip[p * ld] = A.data[p * parts<T>];
        if constexpr (parts<T> == 2) strip[p * ld + 1] = -A.data[p * parts<T> + 1];
      }
  }
}

// packed[strip of columns][p][j] = B(p, j), not conjugated.
template <class T, bool contiguous, class R = Real<T>>
void pack_columns(Index n, Index k, View<const R> B, R* packed) {
  constexpr Index ld = tile_columns<T> * parts<T>;
  for (Index j = 0; j < n; j += tile_columns<T>, packed += k * ld) {
    const Index columns = least(tile_columns<T>, n - j);
    const Broadcast<R> b = operand<T, contiguous>(B, 0, j);
    for (Index p = 0; p < k; ++p)
      for (Index r = 0; r < columns * parts<T>; ++r)
        packed[p * ld + r] = b.data[p * b.along + r / parts<T> * b.across + r % parts<T>];
  }
}

template <class T, bool a_contiguous, bool b_contiguous, class R = Real<T>>
__attribute__((noinline)) void multiply_packed(Index m, Index n, Index k, R sign, View<const R> A, View<const R> B,
                                               View<R> C, Part part) {
  constexpr Index row_step = tile_rows<T>, column_step = tile_columns<T>;
  constexpr Offset strip_ld = row_step * parts<T>, packed_ld = column_step * parts<T>;
  constexpr R flip = b_contiguous ? 1 : -1;
  alignas(64) R strip[strip_ld * depth<T>];
  alignas(64) R packed[panel_columns<T> * parts<T> * depth<T>];
  for (Index p = 0; p < k; p += depth<T>) {
    const Index terms = least(depth<T>, k - p);
    for (Index first = 0; first < n; first += panel_columns<T>) {
      const Index columns = least(panel_columns<T>, n - first);
      pack_columns<T, b_contiguous>(columns, terms, {operand<T, b_contiguous>(B, p, first).data, B.ld}, packed);
      for (Index i = part == Part::all ? 0 : first / row_step * row_step; i < m; i += row_step) {
        const Index rows = least(row_step, m - i);
        pack_rows<T, a_contiguous>(rows, terms, {operand<T, a_contiguous>(A, p, i).data, A.ld}, strip);
        for (Index j = 0; j < columns; j += column_step) {
          if (part != Part::all && first + j > i + rows - 1) break;
          const Broadcast<R> b = {packed + j * parts<T> * terms, parts<T>, packed_ld};
          multiply_tile<T, true>(rows, least(column_step, columns - j), terms, sign, flip, {strip, strip_ld}, b, C, i,
                                 first + j, part == Part::lower);
        }
      }
    }
  }
}

// C(m x n) += sign A B, the sums over k terms.
template <class T, bool a_contiguous, bool b_contiguous, class R = Real<T>>
void multiply(Index m, Index n, Index k, R sign, View<const R> A, View<const R> B, View<R> C, Part part = Part::all) {
  if constexpr (a_contiguous) {
    // Packing pays when each copied number is used often and the operands overflow the first-level cache.
    if (n < 32 || m < 32 || k < 16 || Offset{m + n} * k * Offset{sizeof(T)} <= 65536) {
      multiply_in_place<T, b_contiguous>(m, n, k, sign, A, B, C, part);
      return;
    }
  }
  multiply_packed<T, a_contiguous, b_contiguous>(m, n, k, sign, A, B, C, part);
}

}  // namespace
}  // namespace elimax
