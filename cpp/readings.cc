// readings.cc: where every entry of a matrix is found in its products with the indicator vectors of colors.
//
// Directly: entry (i, j) is read at place i of the product of j's color if no other column of that color has
// an entry in row i, or at place j of the product, from the left, of i's color if no other row of that
// color has an entry in column j. If both are possible, the color that is needed anyway is chosen.
//
// By substitution: the product of color c at place v holds the sum of the entries between v and its neighbors
// of color c, which are in one tree of two colors. At a leaf it is one entry; without the entry the leaf's
// neighbor may become a leaf, whose reading then is the sum of one unknown and of entries that are known.
//
// Source: Gebremedhin, Manne, Pothen, SIAM Review 47 (2005), sections 3 and 6; Gebremedhin, Pothen, Tarafdar,
//         Walther, "Efficient computation of sparse Hessians using coloring and automatic differentiation",
//         INFORMS Journal on Computing 21 (2009), section 3.
// Cost: a few passes over the entries.

#include <algorithm>

#include "coloring.h"

namespace elimax {
namespace {

Index count_colors(In<Index> color) {
  return color.empty() ? 0 : *std::max_element(color.begin(), color.end()) + 1;
}

// The columns sorted by color, those of none left out.
std::vector<Index> by_color(In<Index> color) {
  std::vector<Index> next(count_colors(color) + 2, 0);
  for (const Index c : color) ++next[c + 2];
  next[1] = 0;
  for (std::size_t c = 1; c < next.size(); ++c) next[c] += next[c - 1];
  std::vector<Index> columns(next.back());
  for (std::size_t j = 0; j < color.size(); ++j)
    if (color[j] != none) columns[next[color[j] + 1]++] = static_cast<Index>(j);
  return columns;
}

}  // namespace

bool read_directly(Columns A, In<Index> row_color, In<Index> column_color, Index offset, bool lower,
                   Out<Index> color_of_entry, Out<Index> place_of_entry) {
  const auto nnz = static_cast<Index>(A.rows.size());
  std::vector<bool> by_column(nnz), by_row(nnz);
  {
    std::vector<Index> seen(A.n_rows, none), first(A.n_rows);
    for (const Index j : by_color(column_color)) {
      const Index c = column_color[j];
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
        const Index i = A.rows[p];
        if (seen[i] == c) {
          by_column[first[i]] = false;
        } else {
          by_column[p] = true;
          seen[i] = c;
          first[i] = p;
        }
      }
    }
  }
  std::vector<Index> seen(count_colors(row_color), none), first(seen.size());
  for (Index j = 0; j < A.n_cols; ++j)
    for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
      const Index c = row_color[A.rows[p]];
      if (c == none) continue;
      if (seen[c] == j) {
        by_row[first[c]] = false;
      } else {
        by_row[p] = true;
        seen[c] = j;
        first[c] = p;
      }
    }

  std::vector<bool> is_used(std::max(count_colors(column_color), offset + count_colors(row_color)));
  bool complete = true;
  const auto read = [&](Index p, Index j, bool through_column) {
    const Index i = A.rows[p];
    color_of_entry[p] = through_column ? column_color[j] : offset + row_color[i];
    place_of_entry[p] = through_column ? i : j;
    is_used[color_of_entry[p]] = true;
  };
  for (const bool chosen : {false, true})
    for (Index j = 0; j < A.n_cols; ++j)
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
        const Index i = A.rows[p];
        if (lower && i < j) continue;
        if ((by_column[p] && by_row[p]) != chosen) continue;
        if (chosen)
          read(p, j, is_used[column_color[j]] || !is_used[offset + row_color[i]]);
        else if (by_column[p] || by_row[p])
          read(p, j, by_column[p]);
        else
          complete = false;
      }
  return complete;
}

bool read_by_substitution(Columns A, In<Index> entry, In<Index> color, Out<Index> color_of_entry,
                          Out<Index> place_of_entry, Out<Index> position, Out<Index> next) {
  const auto n_entries = static_cast<Index>(position.size());
  // A vertex and a color among its neighbors: the unsolved entries there, as their number and as the
  // exclusive or of their numbers, which is the last of them when one is left; the entry that was solved
  // here.
  struct Slot {
    Index vertex, color, unsolved, mixed, solved;
  };
  std::vector<Slot> slots;
  slots.reserve(A.rows.size());
  std::vector<Index> slot_of(count_colors(color)), seen(slot_of.size(), none);
  std::vector<Index> ends(2 * position.size(), none);
  Index k = 0;
  const auto solve = [&](Index e, Index c, Index place) {
    color_of_entry[k] = c;
    place_of_entry[k] = place;
    next[k] = none;
    position[e] = k++;
  };
  for (Index v = 0; v < A.n_cols; ++v)
    for (Index p = A.ptr[v]; p < A.ptr[v + 1]; ++p) {
      const Index w = A.rows[p], c = color[w], e = entry[p];
      if (w == v) {
        solve(e, c, v);
        continue;
      }
      if (c == color[v]) return false;
      if (seen[c] != v) {
        seen[c] = v;
        slot_of[c] = static_cast<Index>(slots.size());
        slots.push_back({v, c, 0, 0, none});
      }
      const Index s = slot_of[c];
      ++slots[s].unsolved;
      slots[s].mixed ^= e;
      ends[2 * e + (ends[2 * e] != none)] = s;
    }

  // Leaves, first all that are leaves from the start.
  std::vector<Index> queue;
  queue.reserve(slots.size());
  for (std::size_t s = 0; s < slots.size(); ++s)
    if (slots[s].unsolved == 1) queue.push_back(static_cast<Index>(s));
  for (std::size_t head = 0; head < queue.size(); ++head) {
    const Index s = queue[head];
    Slot& leaf = slots[s];
    if (leaf.unsolved == 0) continue;  // from its other end
    const Index e = leaf.mixed, other = ends[2 * e] == s ? ends[2 * e + 1] : ends[2 * e];
    solve(e, leaf.color, leaf.vertex);
    leaf.solved = position[e];
    leaf.unsolved = 0;
    slots[other].mixed ^= e;
    if (--slots[other].unsolved == 1) queue.push_back(other);
  }
  if (k < n_entries) return false;
  for (Index e = 0; e < n_entries; ++e)
    for (const Index s : {ends[2 * e], ends[2 * e + 1]})
      if (s != none && slots[s].solved != none && slots[s].solved != position[e])
        next[position[e]] = slots[s].solved;
  return true;
}

}  // namespace elimax
