// symbolic.cc: the static structure of a supernodal multifrontal factorization.
//
// Permute, find the elimination tree, renumber by a postorder, count, form supernodes and renumber
// once more so that each owns consecutive columns. None of the renumberings changes the fill: they
// all keep descendants before ancestors.
//
// The rows of all supernodes come from one sweep over the rows k of L: from every A(k,i), i < k, walk up
// the supernodal tree until a supernode that has seen k, or k's own, and append k on the way. That
// leaves every list sorted and costs one step per entry; and it meets k in a supernode exactly when it
// is about to meet it in the parent, so the relative indices fall out.
//
// Sources: Liu, "The role of elimination trees in sparse factorization", SIAM J. Matrix Anal. Appl. 11
//          (1990) 134-172, for row subtrees and equivalent reorderings.
//          Liu, "The multifrontal method for sparse matrix solution: theory and practice", SIAM Review
//          34 (1992) 82-109, for relative indices and the update matrices' stack.
// Cost: O(nnz(A) + size of the row structure), O(nnz(A)) memory besides the result.

#include <algorithm>

#include "core.h"

namespace elimax {
namespace {

Index size_of(In<Index> array) { return static_cast<Index>(array.size()); }

std::vector<Index> inverse_of(In<Index> permutation) {
  std::vector<Index> inverse(permutation.size());
  for (Index k = 0; k < size_of(permutation); ++k) inverse[permutation[k]] = k;
  return inverse;
}

// The strict triangle whose entry {i, j}, in the new numbers, is stored in column max(i, j) if `upper`,
// in column min(i, j) otherwise. Rows of a column are not sorted.
Pattern renumbered(Columns triangle, In<Index> number, bool upper) {
  const Index n = triangle.n_cols;
  Pattern result{n, n, std::vector<Index>(n + 1, 0), {}};
  const auto for_entries = [&](auto visit) {
    for (Index j = 0; j < n; ++j) {
      for (Index p = triangle.ptr[j]; p < triangle.ptr[j + 1]; ++p) {
        if (triangle.rows[p] == j) continue;
        const auto [low, high] = std::minmax(number[j], number[triangle.rows[p]]);
        upper ? visit(high, low) : visit(low, high);
      }
    }
  };
  for_entries([&](Index column, Index) { ++result.ptr[column]; });
  Index end = 0;
  for (Index& ptr : result.ptr) ptr = end += ptr;  // ptr[j]: end of column j, then its start
  result.rows.resize(end);
  for_entries([&](Index column, Index row) { result.rows[--result.ptr[column]] = row; });
  return result;
}

// Numbers that do not depend on the order of the supernodes' children.
struct Tree {
  std::vector<Index> number;  // number[k] = final number of pivot k of the given permutation
  std::vector<Index> of;      // supernode of pivot k of the given permutation
};

// Sets permutation, inverse, parent, counts and everything about supernodes but their rows.
Tree eliminate(Columns upper, In<Index> permutation, const TimeModel& model, Method method,
               Symbolic& result) {
  const Index n = upper.n_cols;
  std::vector<Index> parent(n), post(n);
  elimination_tree(upper, parent);
  postorder(parent, post);
  const std::vector<Index> rank = inverse_of(post);
  std::vector<Index> post_parent(n), counts(n);
  for (Index k = 0; k < n; ++k) {
    post_parent[k] = parent[post[k]] == none ? none : rank[parent[post[k]]];
  }
  column_counts(renumbered(upper, rank, false), post_parent, counts);
  const Supernodes nodes = supernodes(post_parent, counts, model, method);
  result.method = nodes.method;
  result.predicted_time = nodes.time;

  const Index n_nodes = size_of(nodes.parent);
  result.super.assign(n_nodes + 1, 0);
  result.row_ptr.assign(n_nodes + 1, 0);
  result.panel.assign(n_nodes + 1, 0);
  for (Index s = 0; s < n_nodes; ++s) {
    const Index c = nodes.columns[s], u = nodes.below[s];
    result.super[s + 1] = result.super[s] + c;
    result.row_ptr[s + 1] = result.row_ptr[s] + u;
    result.panel[s + 1] = result.panel[s] + Offset{c} * (c + u);
    result.max_columns = std::max(result.max_columns, c);
    result.max_rows = std::max(result.max_rows, c + u);
    result.max_below = std::max(result.max_below, u);
    result.max_panel = std::max(result.max_panel, Offset{c} * (c + u));
  }
  result.super_parent = nodes.parent;

  std::vector<Index> next(result.super.begin(), result.super.end() - 1), number(n);
  for (Index j = 0; j < n; ++j) number[j] = next[nodes.of[j]]++;
  result.permutation.resize(n);
  result.inverse.resize(n);
  result.parent.resize(n);
  result.counts.resize(n);
  Tree tree{std::vector<Index>(n), std::vector<Index>(n)};
  for (Index j = 0; j < n; ++j) {
    const Index k = number[j], pivot = post[j];
    result.permutation[k] = permutation[pivot];
    result.inverse[permutation[pivot]] = k;
    result.parent[k] = post_parent[j] == none ? none : number[post_parent[j]];
    result.counts[k] = counts[j];
    result.factor_nonzeros += counts[j];
    result.flops += static_cast<double>(counts[j]) * counts[j];
    tree.number[pivot] = k;
    tree.of[pivot] = nodes.of[j];
  }
  return tree;
}

// Sets rows and relative.
void row_structure(Columns upper, const Tree& tree, Symbolic& result) {
  struct Node {
    Index seen;  // last row that was met
    Index parent;
    Offset end;    // of its rows so far
    Offset front;  // rows[p] is row p - front of the front
  };
  std::vector<Node> nodes(result.super_parent.size());
  for (Index s = 0; s < result.supernodes(); ++s) {
    nodes[s] = {none, result.super_parent[s], result.row_ptr[s], result.row_ptr[s] - result.columns(s)};
  }
  result.rows.resize(result.row_ptr.back());
  result.relative.resize(result.row_ptr.back());
  const std::vector<Index> pivot = inverse_of(tree.number);
  for (Index k = 0; k < result.n; ++k) {
    const Index home = tree.of[pivot[k]], home_row = k - result.super[home];
    for (Index p = upper.ptr[pivot[k]]; p < upper.ptr[pivot[k] + 1]; ++p) {
      for (Index s = tree.of[upper.rows[p]]; s != home && nodes[s].seen != k;) {
        Node& node = nodes[s];
        const Node& above = nodes[node.parent];
        const Offset above_row = above.end - (above.seen == k) - above.front;
        result.rows[node.end] = k;
        result.relative[node.end++] = node.parent == home ? home_row : static_cast<Index>(above_row);
        node.seen = k;
        s = node.parent;
      }
    }
  }
}

// Sets vector and vectors. A front vector is made when the first child pushes to it, or by a leaf, and is
// gone when its own supernode has pushed: those of even and of odd depths are on two stacks then, one behind
// the other. Each has room for whole vectors of any type of numbers.
void vector_stacks(Symbolic& result) {
  constexpr Offset whole = 16;
  const Index n_nodes = result.supernodes();
  std::vector<std::uint8_t> odd(n_nodes, 0);
  for (Index s = n_nodes - 1; s >= 0; --s) {
    if (result.super_parent[s] != none) odd[s] = !odd[result.super_parent[s]];
  }
  const auto size = [&](Index s) { return (result.front(s) + whole - 1) / whole * whole; };
  result.vector.assign(n_nodes, none);
  Offset top[2] = {0, 0}, peak[2] = {0, 0};
  const auto make = [&](Index s) {
    if (s == none || result.vector[s] != none) return;
    result.vector[s] = top[odd[s]];
    top[odd[s]] += size(s);
    peak[odd[s]] = std::max(peak[odd[s]], top[odd[s]]);
  };
  for (Index s = 0; s < n_nodes; ++s) {
    make(s);
    make(result.super_parent[s]);
    top[odd[s]] -= size(s);
  }
  for (Index s = 0; s < n_nodes; ++s) {
    if (odd[s]) result.vector[s] += peak[0];
  }
  result.vectors = peak[0] + peak[1];
}

}  // namespace

std::shared_ptr<const Symbolic> analyze(Columns lower, In<Index> permutation, const TimeModel& model,
                                        Method method) {
  auto result = std::make_shared<Symbolic>();
  result->n = lower.n_cols;
  result->relaxation = model.relaxation;
  const Pattern upper = renumbered(lower, inverse_of(permutation), true);
  const Tree tree = eliminate(upper, permutation, model, method, *result);
  row_structure(upper, tree, *result);
  vector_stacks(*result);
  return result;
}

}  // namespace elimax
