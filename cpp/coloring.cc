// coloring.cc: which columns of a matrix may share one product with it.
//
// A product A s with the indicator vector s of a color adds up the columns of that color. Entry (i, j) can be
// read off it if no other column of j's color has an entry in row i: columns that share a row differ in
// color, which is a distance-2 coloring of one side of the bipartite graph of rows and columns. If only the
// diagonal is wanted, columns j and k may share a color unless (j, k) or (k, j) is an entry: a distance-1
// coloring of the graph of A + A^T.
//
// Source: Gebremedhin, Manne, Pothen, "What color is your Jacobian? Graph coloring for computing
//         derivatives", SIAM Review 47 (2005) 629-705: greedy partial distance-2 and distance-1 coloring.
// Cost: the sum of the squares of the rows' lengths, but linear in the length of rows that are longer than
//       `longest`: those keep the set of their colors, instead of being searched for it.

#include "coloring.h"

#include <algorithm>
#include <bit>

namespace elimax {
namespace {

constexpr Index longest = 64;

// The colors that occur in one row.
class ColorSet {
 public:
  bool contains(Index color) const {
    const auto word = static_cast<std::size_t>(color / 64);
    return word < words_.size() && (words_[word] >> color % 64 & 1);
  }
  void insert(Index color) {
    const auto word = static_cast<std::size_t>(color / 64);
    if (word >= words_.size()) words_.resize(word + 1);
    words_[word] |= std::uint64_t{1} << color % 64;
    while (full_ < words_.size() && words_[full_] == ~std::uint64_t{0}) ++full_;
  }
  // The smallest color that is missing.
  Index first_missing() const {
    const Index base = static_cast<Index>(64 * full_);
    return full_ < words_.size() ? base + std::countr_one(words_[full_]) : base;
  }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t full_ = 0;  // words without a gap
};

}  // namespace

void transpose(Columns A, Out<Index> ptr, Out<Index> columns, Out<Index> entries) {
  std::fill(ptr.begin(), ptr.end(), 0);
  for (const Index i : A.rows) ++ptr[i + 1];
  for (Index i = 0; i < A.n_rows; ++i) ptr[i + 1] += ptr[i];
  std::vector<Index> next(ptr.begin(), ptr.end() - 1);
  for (Index j = 0; j < A.n_cols; ++j)
    for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
      const Index q = next[A.rows[p]]++;
      columns[q] = j;
      if (!entries.empty()) entries[q] = p;
    }
}

Index color_columns(Columns A, In<Index> order, Index most, Out<Index> color) {
  std::vector<Index> row_ptr(A.n_rows + 1), columns(A.rows.size());
  transpose(A, row_ptr, columns);
  std::vector<Index> set_of(A.n_rows, none), forbidden(A.n_cols + 1, none);
  std::vector<ColorSet> sets;
  for (Index i = 0; i < A.n_rows; ++i) {
    if (row_ptr[i + 1] - row_ptr[i] <= longest) continue;
    set_of[i] = static_cast<Index>(sets.size());
    sets.emplace_back();
  }
  std::fill(color.begin(), color.end(), none);
  Index n_colors = 0;
  std::vector<Index> long_rows;
  for (const Index j : order) {
    long_rows.clear();
    Index c = 0;
    for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
      const Index i = A.rows[p];
      if (set_of[i] != none) {
        long_rows.push_back(set_of[i]);
        c = std::max(c, sets[set_of[i]].first_missing());
        continue;
      }
      for (Index q = row_ptr[i]; q < row_ptr[i + 1]; ++q)
        if (const Index other = color[columns[q]]; other != none) forbidden[other] = j;
    }
    const auto is_taken = [&](Index s) { return sets[s].contains(c); };
    while (forbidden[c] == j || std::any_of(long_rows.begin(), long_rows.end(), is_taken)) ++c;
    for (const Index s : long_rows) sets[s].insert(c);
    color[j] = c;
    n_colors = std::max(n_colors, c + 1);
    if (n_colors > most) break;
  }
  return n_colors;
}

Index color_vertices(Columns graph, In<Index> order, Out<Index> color) {
  std::vector<Index> forbidden(graph.n_cols + 1, none);
  std::fill(color.begin(), color.end(), none);
  Index n_colors = 0;
  for (const Index j : order) {
    for (Index p = graph.ptr[j]; p < graph.ptr[j + 1]; ++p)
      if (const Index other = color[graph.rows[p]]; other != none) forbidden[other] = j;
    Index c = 0;
    while (forbidden[c] == j) ++c;
    color[j] = c;
    n_colors = std::max(n_colors, c + 1);
  }
  return n_colors;
}

}  // namespace elimax
