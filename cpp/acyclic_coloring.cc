// acyclic_coloring.cc: neighbors differ in color, and no cycle has two colors.
//
// A symmetric matrix with an acyclic coloring of its graph is found from the products with the indicator
// vectors of the colors by substitution (readings.cc): the vertices of two colors form trees. There are fewer
// colors than in a star coloring.
//
// When v is colored, color c is forbidden if a neighbor has it, or if two neighbors of one color are in the
// same tree of that color and c, which v would close to a cycle. The trees are disjoint sets of slots
// (color_table.h); where v has color c and a neighbor w, the trees of v and of w in their colors are united.
//
// Source: Gebremedhin, Tarafdar, Manne, Pothen, "New acyclic and star coloring algorithms with application to
//         computing Hessians", SISC 29 (2007) 1042-1072, section 3: there, sets of edges.
// Cost: over all edges (v, w), the number of colors around w, times that of finding a set: nearly constant.

#include <algorithm>
#include <numeric>

#include "color_table.h"

namespace elimax {
namespace {

class DisjointSets {
 public:
  explicit DisjointSets(std::size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), 0); }
  Index find(Index a) {
    while (parent_[a] != a) a = parent_[a] = parent_[parent_[a]];
    return a;
  }
  // Path halving alone makes a find logarithmic in the mean.
  void unite(Index a, Index b) { parent_[find(b)] = find(a); }

 private:
  std::vector<Index> parent_;
};

}  // namespace

Index color_acyclic(Columns graph, In<Index> order, Index most, Out<Index> color) {
  const Index n = graph.n_cols;
  ColorTable table(graph);
  DisjointSets trees(graph.rows.size());
  std::vector<Index> forbidden(n + 1, none), seen(n, none), times(n), slot_of(n),
      visitor(graph.rows.size(), none);
  std::fill(color.begin(), color.end(), none);
  Index n_colors = 0;
  for (const Index v : order) {
    for (Index p = graph.ptr[v]; p < graph.ptr[v + 1]; ++p) {
      const Index a = color[graph.rows[p]];
      if (a == none) continue;  // v itself, too
      forbidden[a] = v;
      times[a] = seen[a] == v ? times[a] + 1 : 1;
      seen[a] = v;
    }
    for (Index p = graph.ptr[v]; p < graph.ptr[v + 1]; ++p) {
      const Index w = graph.rows[p];
      if (color[w] == none || times[color[w]] == 1) continue;
      for (Index s = table.begin(w); s < table.end(w); ++s) {
        if (forbidden[table.color(s)] == v) continue;
        Index& visited_by = visitor[trees.find(s)];
        if (visited_by == v) forbidden[table.color(s)] = v;
        visited_by = v;
      }
    }
    const Index c = first_allowed(forbidden, v);
    color[v] = c;
    n_colors = std::max(n_colors, c + 1);
    if (n_colors > most) break;
    for (Index p = graph.ptr[v]; p < graph.ptr[v + 1]; ++p) {
      const Index w = graph.rows[p], a = w == v ? none : color[w];
      if (a == none) continue;
      Index there = table.find(w, c);
      if (there == none) there = table.add(w, c, v);
      if (times[a] > 0) slot_of[a] = table.add(v, a, w);
      times[a] = 0;
      trees.unite(slot_of[a], there);
    }
  }
  return n_colors;
}

}  // namespace elimax
