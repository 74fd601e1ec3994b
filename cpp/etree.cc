// etree.cc: the elimination tree, its postorder, and the number of nonzeros in each column of L.
//
// parent[j] = min { i > j : L(i,j) != 0 }. The tree says which columns depend on which: the structure
// of column j, without j, is contained in that of its parent. Row i of L is the subtree that consists
// of the paths from every k with A(i,k) != 0, k < i, up to i.
//
// Sources: Liu, "The role of elimination trees in sparse factorization", SIAM J. Matrix Anal. Appl. 11
//          (1990) 134-172: the tree by path compression.
//          Gilbert, Ng, Peyton, "An efficient algorithm to compute row and column counts for sparse
//          Cholesky factorization", SIAM J. Matrix Anal. Appl. 15 (1994) 1075-1091.
// Cost: O(nnz(A) log n) at worst and O(nnz(A)) in practice; O(n) for the postorder.

#include <algorithm>

#include "core.h"

namespace elimax {

void elimination_tree(Columns upper, Out<Index> parent) {
  std::vector<Index> ancestor(upper.n_cols);  // a shortcut towards the root of the tree built so far
  for (Index k = 0; k < upper.n_cols; ++k) {
    parent[k] = ancestor[k] = none;
    for (Index p = upper.ptr[k]; p < upper.ptr[k + 1]; ++p) {
      // A(i,k) != 0 with i < k: row k of L reaches i, so k is an ancestor of i.
      for (Index i = upper.rows[p]; i != none && i < k;) {
        const Index up = ancestor[i];
        ancestor[i] = k;
        if (up == none) parent[i] = k;  // i was a root: k adopts it
        i = up;
      }
    }
  }
}

// A subtree occupies a block of the postorder that its root closes. The blocks of a node's children
// fill its own block from the end, so that one sweep from the roots down places everything.
void postorder(In<Index> parent, Out<Index> post) {
  const Index n = static_cast<Index>(parent.size());
  std::vector<Index> size(n, 1);
  for (Index j = 0; j < n; ++j) {
    if (parent[j] != none) size[parent[j]] += size[j];
  }
  std::vector<Index> free_end(n);  // end of what is left of a node's block for its children
  Index roots_end = n;
  for (Index j = n - 1; j >= 0; --j) {
    Index& end = parent[j] == none ? roots_end : free_end[parent[j]];
    free_end[j] = end - 1;
    post[end - 1] = j;
    end -= size[j];
  }
}

// counts[j] is the number of row subtrees that j belongs to. The one of row i is the union of the paths
// from its leaves to i: +1 at every leaf, -1 where the paths of two consecutive leaves meet (their least
// common ancestor), -1 at the parent of i. Summing these weights over the descendants of j counts j's rows.
void column_counts(Columns lower, In<Index> parent, Out<Index> counts) {
  const Index n = lower.n_cols;
  Out<Index> weight = counts;
  std::vector<Index> first(n);            // first descendant
  std::vector<Index> ancestor(n);         // disjoint sets of finished subtrees, named by their roots
  std::vector<Index> last_leaf(n, none);  // of the row subtree of i, so far
  for (Index j = 0; j < n; ++j) first[j] = ancestor[j] = j, weight[j] = 0;
  for (Index j = 0; j < n; ++j) {
    if (first[j] == j) weight[j] += 1;  // a leaf of the tree is the only leaf of its own row
    if (parent[j] != none) {
      first[parent[j]] = std::min(first[parent[j]], first[j]);
      --weight[parent[j]];
    }
  }
  for (Index j = 0; j < n; ++j) {
    for (Index p = lower.ptr[j]; p < lower.ptr[j + 1]; ++p) {
      const Index i = lower.rows[p];
      const Index previous = last_leaf[i];
      if (i <= j || previous >= first[j]) continue;  // a leaf of row i lies in the subtree of j
      ++weight[j];
      if (previous != none) {
        Index meet = previous;
        while (ancestor[meet] != meet) meet = ancestor[meet] = ancestor[ancestor[meet]];
        --weight[meet];
      }
      last_leaf[i] = j;
    }
    if (parent[j] != none) ancestor[j] = parent[j];
  }
  for (Index j = 0; j < n; ++j) {
    if (parent[j] != none) counts[parent[j]] += weight[j];
  }
}

}  // namespace elimax
