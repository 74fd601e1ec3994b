// gemm.h: products of dense matrices, C += sign A B in all the shapes that elimination needs.
//
// Small products run tile by tile on the operands where they lie. Large ones first copy the operands
// into the order in which tiles read them: a panel of B, of which one strip of columns stays in the
// first-level cache, and a block of A that stays in the second. Each thread keeps one buffer for these
// copies, because 1.3 MB is too much for the stack of a thread that JAX or a user started, and fresh
// memory would cost a page fault every 4 KiB. If the buffer cannot be had, the product runs in place.
// All ways add the same numbers in the same order.
//
// Source: Goto and van de Geijn (2008), sections 4-5; Van Zee and van de Geijn, "BLIS: a framework for
//         rapidly instantiating BLAS functionality", ACM Trans. Math. Softw. 41 (2015), article 14.
// Cost: 2 m n k operations for real numbers.
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
constexpr Index depth = 256;
// Rows of A and columns of B that are copied at a time.
template <class T>
constexpr Index block_rows = block_bytes / (depth * sizeof(T)) / tile_rows<T> * tile_rows<T>;
template <class T>
constexpr Index panel_columns = panel_bytes / (depth * sizeof(T));

constexpr ELIMAX_INLINE Index least(Index a, Index b) { return a < b ? a : b; }

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
ELIMAX_INLINE void multiply_tile(Index rows, Index columns, Index k, R sign, R flip, View<const R> A,
                                 Broadcast<R> b, View<R> C, Index i, Index j, bool lower) {
  const auto run = kernel<PlainOf<T>, MultiplyAdd, contiguous>(rows * parts<T>, columns);
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
    for (Index r = first * parts<T>; r < rows * parts<T>; ++r)
      c[r + column * C.ld] += buffer[r + column * ld];
  }
}

template <class T, bool contiguous, class R = Real<T>>
void multiply_in_place(Index m, Index n, Index k, R sign, View<const R> A, View<const R> B, View<R> C,
                       Part part) {
  constexpr R flip = contiguous ? flip_of<T> : -1;
  for (Index p = 0; p < k; p += depth) {
    const Index terms = least(depth, k - p);
    for (Index j = 0; j < n; j += tile_columns<T>) {
      const Index columns = least(tile_columns<T>, n - j);
      const Broadcast<R> b = operand<T, contiguous>(B, p, j);
      for (Index i = part == Part::all ? 0 : j, rows; i < m; i += rows) {
        rows = next_rows<T>(m - i);
        multiply_tile<T, contiguous>(rows, columns, terms, sign, flip,
                                     {A.data + i * parts<T> + p * A.ld, A.ld}, b, C, i, j,
                                     part == Part::lower);
      }
    }
  }
}

// strip[p][i] = A(i, p), or (A^H)(i, p) if not contiguous, for a strip of rows.
template <class T, bool contiguous, class R = Real<T>>
void pack_strip(Index rows, Index k, View<const R> A, R* strip) {
  constexpr Index ld = tile_rows<T> * parts<T>;
  if constexpr (!contiguous) {
    constexpr Index side = width<R> / parts<T>;
    const auto signs = alternate<R>(1, parts<T> == 2 ? -flip_of<T> : 1);
    for (Index i = 0; i < rows; i += side)
      for (Index p = 0; p < k; p += side) {
        const Index height = least(side, rows - i), count = least(side, k - p);
        const Lanes<R> lanes(count * parts<T>);
        Vector<R> x[side];
#pragma GCC unroll 16
        for (Index r = 0; r < side; ++r)
          x[r] = r < height ? lanes.load(A.data + (i + r) * A.ld + p * parts<T>) * signs : Vector<R>{};
        transpose<R, parts<T>>(x);
#pragma GCC unroll 16
        for (Index q = 0; q < side; ++q)
          if (q < count) store(strip + (p + q) * ld + i * parts<T>, x[q]);
      }
  } else if (rows == tile_rows<T>) {
    for (Index p = 0; p < k; ++p, A.data += A.ld, strip += ld)
      __builtin_memcpy(strip, A.data, sizeof(R) * ld);
  } else {
    for (Index p = 0; p < k; ++p, A.data += A.ld, strip += ld)
      for (Index r = 0; r < rows * parts<T>; ++r) strip[r] = A.data[r];
  }
}

// panel[strip of columns][p][j] = B(p, j), not conjugated.
template <class T, bool contiguous, class R = Real<T>>
void pack_panel(Index n, Index k, View<const R> B, R* panel) {
  constexpr Index ld = tile_columns<T> * parts<T>;
  for (Index j = 0; j < n; j += tile_columns<T>, panel += k * ld) {
    const Broadcast<R> b = operand<T, contiguous>(B, 0, j);
    const Index count = least(tile_columns<T>, n - j) * parts<T>;
    if (contiguous && count == ld) {
      for (Index p = 0; p < k; ++p) __builtin_memcpy(panel + p * ld, b.data + p * b.along, sizeof(R) * ld);
    } else {
      for (Index r = 0; r < count; ++r) {
        const R* column = b.data + r / parts<T> * b.across + r % parts<T>;
        for (Index p = 0; p < k; ++p) panel[p * ld + r] = column[p * b.along];
      }
    }
  }
}

// A^H B for a small product: strips of A are transposed on the stack.
template <class T, class R = Real<T>>
__attribute__((noinline)) void multiply_transposed(Index m, Index n, Index k, R sign, View<const R> A,
                                                   View<const R> B, View<R> C) {
  constexpr Offset ld = tile_rows<T> * parts<T>;
  R strip[ld * depth];
  for (Index p = 0; p < k; p += depth) {
    const Index terms = least(depth, k - p);
    for (Index i = 0; i < m; i += tile_rows<T>) {
      const Index rows = least(tile_rows<T>, m - i);
      pack_strip<T, false>(rows, terms, {operand<T, false>(A, p, i).data, A.ld}, strip);
      for (Index j = 0; j < n; j += tile_columns<T>)
        multiply_tile<T, false>(rows, least(tile_columns<T>, n - j), terms, sign, R(-1), {strip, ld},
                                operand<T, false>(B, p, j), C, i, j, false);
    }
  }
}

template <class T, bool a_contiguous, bool b_contiguous, class R = Real<T>>
__attribute__((noinline)) void multiply_packed(Index m, Index n, Index k, R sign, View<const R> A,
                                               View<const R> B, View<R> C, Part part, R* buffer) {
  constexpr Index row_step = tile_rows<T>, column_step = tile_columns<T>, vector = width<R> / parts<T>;
  constexpr Offset strip_ld = row_step * parts<T>, panel_ld = column_step * parts<T>;
  constexpr R flip = b_contiguous ? flip_of<T> : -1;
  R* const block = buffer;
  R* const panel = buffer + block_rows<T> * parts<T> * depth;
  for (Index p = 0; p < k; p += depth) {
    const Index terms = least(depth, k - p);
    for (Index first = 0; first < n; first += panel_columns<T>) {
      const Index columns = least(panel_columns<T>, n - first);
      pack_panel<T, b_contiguous>(columns, terms, {operand<T, b_contiguous>(B, p, first).data, B.ld}, panel);
      for (Index top = part == Part::all ? 0 : first / row_step * row_step; top < m; top += block_rows<T>) {
        const Index end = least(m, top + block_rows<T>);
        for (Index i = top; i < end; i += row_step)
          pack_strip<T, a_contiguous>(least(row_step, end - i), terms,
                                      {operand<T, a_contiguous>(A, p, i).data, A.ld},
                                      block + (i - top) * parts<T> * terms);
        for (Index j = first; j < first + columns; j += column_step) {
          const Broadcast<R> b = {panel + (j - first) * parts<T> * terms, parts<T>, panel_ld};
          for (Index i = top; i < end; i += row_step) {
            const Index above = part != Part::all && j > i ? (j - i) / vector * vector : 0;
            const Index rows = least(row_step, end - i) - above;
            if (rows <= 0) continue;
            const R* strip = block + (i - top) * parts<T> * terms + above * parts<T>;
            multiply_tile<T, true>(rows, least(column_step, first + columns - j), terms, sign, flip,
                                   {strip, strip_ld}, b, C, i + above, j, part == Part::lower);
          }
        }
      }
    }
  }
}

// C(m x n) += sign A B, the sums over k terms.
template <class T, bool a_contiguous, bool b_contiguous, class R = Real<T>>
void multiply(Index m, Index n, Index k, R sign, View<const R> A, View<const R> B, View<R> C,
              Part part = Part::all) {
  // Packing pays when each copied number is used often and the operands strain the second-level cache.
  if (n >= 32 && m >= 32 && k >= 16 && Offset{m + n} * k * Offset{sizeof(T)} > (384 << 10)) {
    if (void* buffer = packing_buffer())
      return multiply_packed<T, a_contiguous, b_contiguous>(m, n, k, sign, A, B, C, part,
                                                            static_cast<R*>(buffer));
  }
  if constexpr (a_contiguous) {
    multiply_in_place<T, b_contiguous>(m, n, k, sign, A, B, C, part);
  } else {
    multiply_transposed<T>(m, n, k, sign, A, B, C);
  }
}

}  // namespace
}  // namespace elimax
