// coloring_order.cc: in which order a greedy coloring takes the vertices.
//
// - largest first: by falling degree;
// - smallest last: backwards, always a vertex of the smallest degree in the graph of those that are left;
// - incidence degree: always a vertex with the most neighbors among those that have been taken;
// - dynamic largest first: always a vertex of the largest degree in the graph of those that are left.
// Ties go to the vertex whose degree changed last, at first to the one with the largest number.
//
// A graph is given by its edges, or as the columns of a matrix that are neighbors if they share a row. Of the
// latter, rows longer than `longest` are left out: nearly all columns share them, so they say little about
// the order, and visiting all pairs would be quadratic.
//
// Sources: Gebremedhin, Manne, Pothen, SIAM Review 47 (2005), section 7; Gebremedhin, Nguyen, Patwary,
// Pothen,
//          "ColPack: Software for graph coloring and related problems in scientific computing", TOMS 40
//          (2013), section 4; Matula, Beck, "Smallest-last ordering and clustering and graph coloring
//          algorithms", JACM 30 (1983): lists of the vertices of each degree.
// Cost: the edges, each visited once or twice.

#include <algorithm>

#include "coloring.h"

namespace elimax {
namespace {

constexpr Index longest = 512;

struct Edges {
  Columns graph;

  template <class F>
  void for_neighbors(Index v, F visit) {
    for (Index p = graph.ptr[v]; p < graph.ptr[v + 1]; ++p)
      if (graph.rows[p] != v) visit(graph.rows[p]);
  }
};

struct SharedRows {
  Columns A;
  std::vector<Index> ptr, columns;
  std::vector<std::uint32_t> visited;
  std::uint32_t visit_number = 0;  // at most two for every column

  explicit SharedRows(Columns A) : A(A), ptr(A.n_rows + 1), columns(A.rows.size()), visited(A.n_cols) {
    transpose(A, ptr, columns);
  }
  template <class F>
  void for_neighbors(Index j, F visit) {
    ++visit_number;
    for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
      const Index i = A.rows[p];
      if (ptr[i + 1] - ptr[i] > longest) continue;
      for (Index q = ptr[i]; q < ptr[i + 1]; ++q) {
        const Index k = columns[q];
        if (k == j || visited[k] == visit_number) continue;
        visited[k] = visit_number;
        visit(k);
      }
    }
  }
};

// The vertices that are left, in a list for each key.
class Buckets {
 public:
  explicit Buckets(std::vector<Index> keys, Index largest)
      : key_(std::move(keys)), head_(largest + 1, none), next_(key_.size()), previous_(key_.size()) {
    for (std::size_t v = 0; v < key_.size(); ++v) insert(static_cast<Index>(v));
  }
  bool contains(Index v) const { return key_[v] != none; }
  Index top(Index key) const { return head_[key]; }
  void remove(Index v) {
    unlink(v);
    key_[v] = none;
  }
  // The new key.
  Index move(Index v, Index change) {
    unlink(v);
    key_[v] += change;
    insert(v);
    return key_[v];
  }

 private:
  void insert(Index v) {
    Index& head = head_[key_[v]];
    next_[v] = head;
    previous_[v] = none;
    if (head != none) previous_[head] = v;
    head = v;
  }
  void unlink(Index v) {
    if (previous_[v] == none)
      head_[key_[v]] = next_[v];
    else
      next_[previous_[v]] = next_[v];
    if (next_[v] != none) previous_[next_[v]] = previous_[v];
  }

  std::vector<Index> key_, head_, next_, previous_;
};

template <class Graph>
void take(Graph graph, Index n, VertexOrder method, Out<Index> order) {
  if (n == 0) return;
  std::vector<Index> degree(n, 0);
  for (Index v = 0; v < n; ++v) graph.for_neighbors(v, [&](Index) { ++degree[v]; });
  const Index largest = *std::max_element(degree.begin(), degree.end());

  if (method == VertexOrder::largest_first) {
    std::vector<Index> next(largest + 2, 0);
    for (const Index d : degree) ++next[largest - d + 1];
    for (Index d = 0; d < largest; ++d) next[d + 1] += next[d];
    for (Index v = 0; v < n; ++v) order[next[largest - degree[v]]++] = v;
    return;
  }
  const bool from_back = method == VertexOrder::smallest_last;
  const bool by_taken = method == VertexOrder::incidence_degree;
  // Keys are the degrees in the graph of those that are left, or the numbers of neighbors that are not.
  Index current = from_back ? 0 : largest;
  if (by_taken) {
    current = 0;
    std::fill(degree.begin(), degree.end(), 0);
  }
  Buckets left(std::move(degree), largest);
  for (Index k = 0; k < n; ++k) {
    while (left.top(current) == none) current += from_back ? 1 : -1;
    const Index v = left.top(current);
    left.remove(v);
    order[from_back ? n - 1 - k : k] = v;
    graph.for_neighbors(v, [&](Index w) {
      if (!left.contains(w)) return;
      const Index key = left.move(w, by_taken ? 1 : -1);
      // A key rises or falls by one, so that the search goes on where it stopped or one before.
      if (from_back ? key < current : key > current) current = key;
    });
  }
}

}  // namespace

void order_vertices(Columns graph, VertexOrder method, Out<Index> order) {
  take(Edges{graph}, graph.n_cols, method, order);
}

void order_columns(Columns A, VertexOrder method, Out<Index> order) {
  take(SharedRows(A), A.n_cols, method, order);
}

}  // namespace elimax
