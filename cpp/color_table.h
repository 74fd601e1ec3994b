// color_table.h: which colors occur among the neighbors of a vertex.
//
// For every vertex w and every color c among its colored neighbors there is one slot (w, c), however many
// neighbors have the color. Two-colored subgraphs are kept by slots instead of edges: (w, c) stands for w in
// the subgraph of the colors of w and c. A vertex of a hundred thousand neighbors in two colors has two
// slots, which is what makes colorings with hubs linear in the edges.
#pragma once

#include "coloring.h"

namespace elimax {

class ColorTable {
 public:
  explicit ColorTable(Columns graph)
      : ptr_(graph.ptr), size_(graph.n_cols), color_(graph.rows.size()), first_(graph.rows.size()) {}

  Index begin(Index w) const { return ptr_[w]; }
  Index end(Index w) const { return ptr_[w] + size_[w]; }
  Index color(Index slot) const { return color_[slot]; }
  // The first neighbor of w that was given the color of this slot.
  Index first(Index slot) const { return first_[slot]; }

  Index find(Index w, Index c) const {
    for (Index s = begin(w); s < end(w); ++s)
      if (color_[s] == c) return s;
    return none;
  }
  // A slot for a color that w does not have yet.
  Index add(Index w, Index c, Index neighbor) {
    const Index s = ptr_[w] + size_[w]++;
    color_[s] = c;
    first_[s] = neighbor;
    return s;
  }

 private:
  In<Index> ptr_;
  std::vector<Index> size_, color_, first_;
};

// The smallest color that is not forbidden[color] == v.
inline Index first_allowed(const std::vector<Index>& forbidden, Index v) {
  Index c = 0;
  while (forbidden[c] == v) ++c;
  return c;
}

}  // namespace elimax
