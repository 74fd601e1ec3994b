// star_coloring.cc: neighbors differ in color, and no path of four vertices has two colors.
//
// A symmetric matrix with a star coloring of its graph is read off the products with the indicator vectors of
// the colors: the vertices of two colors form stars, and at a leaf v whose hub w is the only neighbor of
// that color, the product of w's color holds nothing but the entry (v, w) [1].
//
// When v is colored, color c is forbidden if a neighbor has it; if a neighbor w is a leaf of a star whose hub
// has color c, since v would be the fourth vertex of a path; or if two neighbors of v have the same color and
// one of them has a neighbor of color c, since v would be an inner vertex of such a path. This is Algorithm
// 4.1 of [2], where stars are kept by their edges and all colored neighbors of a neighbor are visited; here
// they are kept by slots (color_table.h).
//
// If the graph is bipartite and each side has colors of its own, neighbors need not be told apart, and the
// result is a star bicoloring of the matrix between the sides [1, section 6; 3].
//
// Sources: [1] Gebremedhin, Manne, Pothen, "What color is your Jacobian?", SIAM Review 47 (2005) 629-705.
//          [2] Gebremedhin, Tarafdar, Manne, Pothen, "New acyclic and star coloring algorithms with
//              application to computing Hessians", SISC 29 (2007) 1042-1072.
//          [3] Montoison, Dalle, Gebremedhin, "Revisiting sparse matrix coloring and bicoloring",
//              arXiv:2505.07308.
// Cost: over all edges (v, w), the number of colors around w: at most that of [2], the edges at distance two.

#include <algorithm>

#include "color_table.h"

namespace elimax {

Index color_star(Columns graph, In<Index> order, Index left, Index most, Out<Index> color) {
  const Index n = graph.n_cols;
  ColorTable table(graph);
  std::vector<Index> forbidden(n + 1, none), seen(n, none), placed(n, none), first(n), slot_of(n);
  std::vector<bool> is_leaf(graph.rows.size()), is_hub(graph.rows.size());
  std::fill(color.begin(), color.end(), none);
  Index n_colors[] = {0, 0};  // of each side
  const auto forbid_around = [&](Index w, Index v) {
    for (Index s = table.begin(w); s < table.end(w); ++s) forbidden[table.color(s)] = v;
  };
  for (const Index v : order) {
    for (Index p = graph.ptr[v]; p < graph.ptr[v + 1]; ++p) {
      const Index w = graph.rows[p], a = color[w];
      if (a == none) continue;  // v itself, too
      if (left == none) forbidden[a] = v;
      if (seen[a] == v) {
        if (first[a] != none) forbid_around(first[a], v);
        first[a] = none;
        forbid_around(w, v);
        continue;
      }
      seen[a] = v;
      first[a] = w;
      for (Index s = table.begin(w); s < table.end(w); ++s)
        if (is_leaf[s]) forbidden[table.color(s)] = v;
    }
    const Index c = first_allowed(forbidden, v);
    color[v] = c;
    Index& count = n_colors[v < left];
    count = std::max(count, c + 1);
    if (n_colors[0] + n_colors[1] > most) break;

    // The neighbors of v that are colored now see c, and v sees their colors.
    for (Index p = graph.ptr[v]; p < graph.ptr[v + 1]; ++p) {
      const Index w = graph.rows[p], a = w == v ? none : color[w];
      if (a == none) continue;
      const Index old = table.find(w, c), there = old == none ? table.add(w, c, v) : old;
      Index& here = slot_of[a];
      const bool first_of_color = placed[a] != v;
      if (first_of_color) here = table.add(v, a, w);
      placed[a] = v;
      if (old != none) {  // w is the hub of a star that v joins
        if (!is_hub[there]) is_leaf[table.find(table.first(there), a)] = true;
        is_hub[there] = is_leaf[here] = true;
      }
      if (!first_of_color) {  // v is
        if (!is_hub[here]) is_leaf[table.find(table.first(here), c)] = true;
        is_hub[here] = is_leaf[there] = true;
      }
    }
  }
  return n_colors[0] + n_colors[1];
}

}  // namespace elimax
