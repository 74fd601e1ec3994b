// equilibrate.cc: rows and columns of a matrix scaled by powers of two, which is exact, so that its largest
// entries are about 1.
//
// A general matrix: by rows first, then by columns, after which every row and column with an entry has its
// largest one in [1/2, 1) (as LAPACK's xGEEQUB). A symmetric one keeps its symmetry: scale i becomes
// scale i / sqrt(norm of row i) a few times over (Ruiz, "A scaling algorithm to equilibrate both rows and
// columns norms in matrices", RAL-TR-2001-034). Most rounds take the 2-norm: where many rows have their
// largest entry in the same few columns, as in a quadratic program with few constraints, the largest entries
// alone are content with a scaling in which all else is tiny; the 2-norms of those columns are not. Cost: two
// passes over the values, or one for every round of a symmetric matrix: two, if it is scaled well.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "numeric.h"

namespace elimax {
namespace {

// Rounds of symmetric scaling: the first by largest entries, after which no entry is larger than 2 and
// squares cannot overflow, the others by 2-norms.
constexpr int rounds = 7;

template <class T>
Real<T> magnitude(T x) {
  return std::max(std::abs(real_part(x)), std::abs(std::imag(x)));
}

// 2^-e for a number in [2^(e-1), 2^e); or 2^-(e/2). 1 for a number that is zero or not finite. By the bits of
// an IEEE number, as frexp and ldexp are calls that would take longer than the rest.
template <class R>
R reciprocal_scale(R largest, int root) {
  using Bits = std::conditional_t<sizeof(R) == 4, std::uint32_t, std::uint64_t>;
  constexpr int mantissa = std::numeric_limits<R>::digits - 1,
                bias = std::numeric_limits<R>::max_exponent - 1;
  constexpr int most = bias - 3;
  if (!(largest > 0) || !(largest <= std::numeric_limits<R>::max())) return 1;
  const int biased = static_cast<int>(std::bit_cast<Bits>(largest) >> mantissa);  // 0 if it is subnormal
  const int exponent = biased - bias + 1;
  return std::bit_cast<R>(static_cast<Bits>(bias + std::clamp(-exponent / root, -most, most)) << mantissa);
}

// The product of both scales and a value that lies between the smaller and the larger one overflows in
// neither step.
template <class T, class R = Real<T>>
T scaled_by(T value, R row, R column) {
  return value * std::min(row, column) * std::max(row, column);
}

}  // namespace

template <class T>
void equilibrate(Columns pattern, Storage storage, const T* values, Real<T>* rows, Real<T>* columns) {
  using R = Real<T>;
  const auto for_entries = [&](const auto& visit) {
    for (Index j = 0; j < pattern.n_cols; ++j)
      for (Index p = pattern.ptr[j]; p < pattern.ptr[j + 1]; ++p) visit(pattern.rows[p], j, values[p]);
  };
  if (storage == Storage::general) {
    std::fill_n(rows, pattern.n_rows, R(0));
    for_entries([&](Index i, Index, T value) { rows[i] = std::max(rows[i], magnitude(value)); });
    for (Index i = 0; i < pattern.n_rows; ++i) rows[i] = reciprocal_scale(rows[i], 1);
    std::fill_n(columns, pattern.n_cols, R(0));
    for_entries(
        [&](Index i, Index j, T value) { columns[j] = std::max(columns[j], magnitude(value) * rows[i]); });
    for (Index j = 0; j < pattern.n_cols; ++j) columns[j] = reciprocal_scale(columns[j], 1);
    return;
  }
  std::fill_n(columns, pattern.n_cols, R(1));
  for (int round = 0; round < rounds; ++round) {
    std::fill_n(rows, pattern.n_cols, R(0));
    if (round == 0)
      for_entries([&](Index i, Index j, T value) {
        rows[i] = std::max(rows[i], magnitude(value));
        rows[j] = std::max(rows[j], magnitude(value));
      });
    else
      for_entries([&](Index i, Index j, T value) {
        const R scaled = magnitude(scaled_by(value, columns[i], columns[j]));
        rows[i] += scaled * scaled;
        if (i != j) rows[j] += scaled * scaled;
      });
    bool changed = round == 0;
    for (Index j = 0; j < pattern.n_cols; ++j) {
      const R change = reciprocal_scale(round == 0 ? rows[j] : std::sqrt(rows[j]), 2);
      changed |= change != 1;
      columns[j] *= change;
    }
    if (!changed) break;
  }
  std::copy_n(columns, pattern.n_cols, rows);
}

template <class T>
void scale(Columns pattern, const T* values, const Real<T>* rows, const Real<T>* columns, T* scaled) {
  for (Index j = 0; j < pattern.n_cols; ++j)
    for (Index p = pattern.ptr[j]; p < pattern.ptr[j + 1]; ++p)
      scaled[p] = scaled_by(values[p], rows[pattern.rows[p]], columns[j]);
}

#define INSTANTIATE(T)                                                          \
  template void equilibrate<T>(Columns, Storage, const T*, Real<T>*, Real<T>*); \
  template void scale<T>(Columns, const T*, const Real<T>*, const Real<T>*, T*);
ELIMAX_FOR_SCALARS(INSTANTIATE)
#undef INSTANTIATE

}  // namespace elimax
