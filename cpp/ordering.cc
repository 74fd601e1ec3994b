// ordering.cc: approximate minimum degree.
//
// Eliminating a vertex connects its neighbors pairwise. The quotient graph keeps that clique as one
// *element*, the list of its members, so that the graph never grows: a *variable* lists the elements it
// belongs to and the variables it is still adjacent to by an entry of A. Eliminating the pivot p
// replaces p and its elements by the element Lp, the union of their lists. Then
// - elements with no member outside of Lp are absorbed by it (aggressive absorption);
// - variables of Lp without any other neighbor are eliminated at once (mass elimination);
// - variables of Lp with equal lists, found by hashing, become one supervariable of added weight;
// - the degree of i in Lp is bounded by |Ai \ i| + |Lp \ i| + sum over its elements e of |Le \ Lp|, where
//   one pass over the lists of Lp's members gives all |Le \ Lp|; the next pivot has least bound.
// Rows with more than 10 sqrt(n) entries come last; they would only slow the rest down.
//
// Source: Amestoy, Davis, Duff, "An approximate minimum degree ordering algorithm", SIAM J. Matrix Anal.
//         Appl. 17 (1996) 886-905.
// Cost: O(n nnz(A)) at worst, in practice about O(nnz(A)); 1.2 times the memory of the graph.

#include <algorithm>
#include <cmath>
#include <utility>

#include "core.h"

namespace elimax {
namespace {

class MinimumDegree {
 public:
  explicit MinimumDegree(Columns lower);
  void order(Out<Index> permutation);

 private:
  struct Node {
    Index start;     // its list is links_[start .. start + length - 1]
    Index length;    // 0 once the node is gone
    Index elements;  // the first so many of a variable's list are elements; `none` in an element
    Index weight;    // columns that a variable stands for; negative while it is in Lp, 0 once it is gone
    Index degree;    // bound on the weight of a variable's neighbors; weight of an element's list
    Index mark;  // element e: flag_ + |Le \ Lp| if that was measured, else less than flag_; 0 once absorbed
    Index next, previous;  // in a list of equal degree; next in a bucket of equal hash
  };

  void set_aside();
  Index pop_least();
  void eliminate(Index pivot);
  void form_element(Index pivot);
  void measure_elements();
  void update_variables(Index pivot);
  bool update_lists(Index pivot, Index i);
  void merge_equal();
  bool equal_lists(const Node& a, const Node& b) const;
  void finish(Index pivot);

  bool take(Index i);
  void absorb(Index element, Index pivot);
  void list(Index i);
  void unlist(Index i);
  void reserve(Index entries);
  void raise_flag();
  void write(Out<Index> permutation);

  Index n_;
  std::vector<Node> nodes_;
  std::vector<Index> links_;      // all lists
  Index free_ = 0;                // links_ is unused from here on
  std::vector<Index> into_;       // what a variable was merged into, or an element absorbed by
  std::vector<Index> pivots_;     // eliminated so far, in order
  std::vector<Index> dense_;      // rows left for the end
  std::vector<Index> by_degree_;  // first variable of every degree
  std::vector<Index> by_hash_;    // first variable of every hash
  Index least_ = 0;               // no variable has a lower degree
  Index left_;                    // columns not yet eliminated
  Index flag_ = 2;                // see Node::mark
  Index widest_ = 0;              // largest weight of an element's list
  Index begin_ = 0, end_ = 0;     // Lp is links_[begin_ .. end_ - 1]
  Index weight_ = 0;              // of Lp
};

MinimumDegree::MinimumDegree(Columns lower)
    : n_(lower.n_cols), nodes_(n_), into_(n_, none), by_degree_(n_, none), by_hash_(n_, none), left_(n_) {
  const auto for_edges = [&](auto visit) {
    for (Index j = 0; j < n_; ++j) {
      for (Index p = lower.ptr[j]; p < lower.ptr[j + 1]; ++p) {
        if (lower.rows[p] != j) visit(lower.rows[p], j);
      }
    }
  };
  for (Node& node : nodes_) node = {0, 0, 0, 1, 0, 1, none, none};
  for_edges([&](Index i, Index j) { ++nodes_[i].degree, ++nodes_[j].degree; });
  for (Node& node : nodes_) {
    node.start = free_;
    free_ += node.degree;
  }
  links_.resize(static_cast<std::size_t>(free_) + free_ / 5 + n_);
  for_edges([&](Index i, Index j) {
    links_[nodes_[i].start + nodes_[i].length++] = j;
    links_[nodes_[j].start + nodes_[j].length++] = i;
  });
}

void MinimumDegree::order(Out<Index> permutation) {
  set_aside();
  while (left_ > 0) eliminate(pop_least());
  write(permutation);
}

// Isolated vertices are eliminated first, dense rows left for the end.
void MinimumDegree::set_aside() {
  const double dense = std::max(16.0, 10.0 * std::sqrt(static_cast<double>(n_)));
  for (Index i = 0; i < n_; ++i) {
    Node& node = nodes_[i];
    if (node.degree > 0 && node.degree <= dense) {
      list(i);
      continue;
    }
    (node.degree == 0 ? pivots_ : dense_).push_back(i);
    node.length = 0;
    node.elements = none;
    node.weight = node.mark = 0;
    --left_;
  }
}

Index MinimumDegree::pop_least() {
  while (by_degree_[least_] == none) ++least_;
  const Index pivot = by_degree_[least_];
  unlist(pivot);
  return pivot;
}

void MinimumDegree::eliminate(Index pivot) {
  pivots_.push_back(pivot);
  left_ -= nodes_[pivot].weight;
  form_element(pivot);
  measure_elements();
  update_variables(pivot);
  merge_equal();
  finish(pivot);
}

// Lp = (Ap and the members of p's elements) without p, in place of p's list if p has no elements.
void MinimumDegree::form_element(Index pivot) {
  Node& p = nodes_[pivot];
  p.weight = 0;
  weight_ = 0;
  if (p.elements == 0) {
    begin_ = end_ = p.start;
    for (Index q = p.start; q < p.start + p.length; ++q) {
      if (take(links_[q])) links_[end_++] = links_[q];
    }
  } else {
    Index members = p.length - p.elements;
    for (Index k = 0; k < p.elements; ++k) members += nodes_[links_[p.start + k]].length;
    reserve(std::min(members, left_));
    begin_ = free_;
    for (Index q = p.start; q < p.start + p.elements; ++q) {
      const Node& element = nodes_[links_[q]];
      for (Index r = element.start; r < element.start + element.length; ++r) {
        if (take(links_[r])) links_[free_++] = links_[r];
      }
      absorb(links_[q], pivot);
    }
    for (Index q = p.start + p.elements; q < p.start + p.length; ++q) {
      if (take(links_[q])) links_[free_++] = links_[q];
    }
    end_ = free_;
  }
  p.start = begin_;
  p.elements = none;
}

// Moves i into Lp unless it is there or gone.
bool MinimumDegree::take(Index i) {
  Node& node = nodes_[i];
  if (node.weight <= 0) return false;
  unlist(i);
  weight_ += node.weight;
  node.weight = -node.weight;
  return true;
}

void MinimumDegree::absorb(Index element, Index pivot) {
  into_[element] = pivot;
  nodes_[element].mark = nodes_[element].length = 0;
}

// mark[e] - flag_ = |Le \ Lp| for every element e that shares a variable with Lp.
void MinimumDegree::measure_elements() {
  for (Index q = begin_; q < end_; ++q) {
    const Node& node = nodes_[links_[q]];
    const Index weight = -node.weight;
    for (Index r = node.start; r < node.start + node.elements; ++r) {
      Node& element = nodes_[links_[r]];
      if (element.mark >= flag_) {
        element.mark -= weight;
      } else if (element.mark != 0) {
        element.mark = element.degree + flag_ - weight;
      }
    }
  }
}

void MinimumDegree::update_variables(Index pivot) {
  for (Index q = begin_; q < end_; ++q) {
    const Index i = links_[q];
    if (update_lists(pivot, i)) continue;
    Node& node = nodes_[i];  // no neighbor outside of Lp: mass elimination
    into_[i] = pivot;
    weight_ += node.weight;
    left_ += node.weight;
    node.weight = node.length = 0;
  }
  nodes_[pivot].degree = weight_;
  widest_ = std::max(widest_, weight_);
  raise_flag();
}

// Drops from the lists of i what Lp stands for and puts p in; bounds the degree of i without Lp; files i
// under the hash of its lists. False if nothing but p is left.
bool MinimumDegree::update_lists(Index pivot, Index i) {
  Node& node = nodes_[i];
  const Index variables = node.start + node.elements, end = node.start + node.length;
  Index kept = node.start, degree = 0;
  std::uint32_t hash = 0;
  for (Index q = node.start; q < variables; ++q) {
    const Index e = links_[q], mark = nodes_[e].mark;
    if (mark == 0) continue;
    if (mark == flag_) {
      absorb(e, pivot);
      continue;
    }
    degree += mark - flag_;
    hash += static_cast<std::uint32_t>(e);
    links_[kept++] = e;
  }
  const Index kept_variables = kept;
  for (Index q = variables; q < end; ++q) {
    const Index j = links_[q], weight = nodes_[j].weight;
    if (weight <= 0) continue;
    degree += weight;
    hash += static_cast<std::uint32_t>(j);
    links_[kept++] = j;
  }
  if (degree == 0) return false;
  // There is room for p: it replaces an element or a variable that Lp covers. It goes first, the first
  // variable makes way for the first element.
  links_[kept] = links_[kept_variables];
  links_[kept_variables] = links_[node.start];
  links_[node.start] = pivot;
  node.elements = kept_variables - node.start + 1;
  node.length = kept - node.start + 1;
  node.degree = std::min(node.degree, degree);
  const Index bucket = static_cast<Index>(hash % static_cast<std::uint32_t>(n_));
  node.previous = bucket;
  node.next = by_hash_[bucket];
  by_hash_[bucket] = i;
  return true;
}

// Variables of Lp with equal lists are indistinguishable from now on.
void MinimumDegree::merge_equal() {
  for (Index q = begin_; q < end_; ++q) {
    if (nodes_[links_[q]].weight == 0) continue;
    Index& bucket = by_hash_[nodes_[links_[q]].previous];
    for (Index i = bucket; i != none && nodes_[i].next != none; i = nodes_[i].next) {
      Node& node = nodes_[i];
      for (Index r = node.start + 1; r < node.start + node.length; ++r) nodes_[links_[r]].mark = flag_;
      Index before = i;
      for (Index j = node.next; j != none; j = nodes_[j].next) {
        Node& other = nodes_[j];
        if (!equal_lists(node, other)) {
          before = j;
          continue;
        }
        into_[j] = i;
        node.weight += other.weight;
        other.weight = other.length = 0;
        nodes_[before].next = other.next;
      }
      ++flag_;
    }
    bucket = none;
  }
}

// Whether b lists what a lists; the entries of a (after p, the first of both) are marked.
bool MinimumDegree::equal_lists(const Node& a, const Node& b) const {
  if (a.length != b.length || a.elements != b.elements) return false;
  for (Index r = b.start + 1; r < b.start + b.length; ++r) {
    if (nodes_[links_[r]].mark != flag_) return false;
  }
  return true;
}

// Closes the list of the new element and returns its variables to the lists of equal degree.
void MinimumDegree::finish(Index pivot) {
  Index kept = begin_;
  for (Index q = begin_; q < end_; ++q) {
    const Index i = links_[q];
    Node& node = nodes_[i];
    if (node.weight == 0) continue;
    node.weight = -node.weight;
    node.degree = std::min(node.degree + weight_, left_) - node.weight;
    list(i);
    least_ = std::min(least_, node.degree);
    links_[kept++] = i;
  }
  Node& element = nodes_[pivot];
  element.length = kept - begin_;
  if (element.length == 0) element.mark = 0;
  if (free_ == end_) free_ = kept;
}

void MinimumDegree::list(Index i) {
  Node& node = nodes_[i];
  Index& first = by_degree_[node.degree];
  node.previous = none;
  node.next = first;
  if (first != none) nodes_[first].previous = i;
  first = i;
}

void MinimumDegree::unlist(Index i) {
  const Node& node = nodes_[i];
  (node.previous == none ? by_degree_[node.degree] : nodes_[node.previous].next) = node.next;
  if (node.next != none) nodes_[node.next].previous = node.previous;
}

// Makes room at the end of links_ by moving all live lists to its start. The head of a list, kept in
// `start` meanwhile, gives way to the complement of its owner, which tells lists from what is between.
void MinimumDegree::reserve(Index entries) {
  if (static_cast<std::size_t>(free_) + entries <= links_.size()) return;
  for (Index i = 0; i < n_; ++i) {
    Node& node = nodes_[i];
    if (node.length > 0) node.start = std::exchange(links_[node.start], ~i);
  }
  Index to = 0;
  for (Index from = 0; from < free_;) {
    const Index entry = links_[from++];
    if (entry >= 0) continue;
    Node& node = nodes_[~entry];
    links_[to] = node.start;
    node.start = to++;
    for (Index k = 1; k < node.length; ++k) links_[to++] = links_[from++];
  }
  free_ = to;
  if (static_cast<std::size_t>(free_) + entries > links_.size()) links_.resize(free_ + entries);
}

// Makes all marks so far lower than the flag.
void MinimumDegree::raise_flag() {
  flag_ += widest_;
  if (flag_ < INT32_MAX - 2 * Offset{n_}) return;  // room for the marks of one more pivot
  for (Node& node : nodes_) node.mark = node.mark != 0;
  flag_ = 2;
}

// A pivot goes with the variables merged into it, the dense rows go last. Elements are postordered by
// absorption, which costs little and puts side by side what is eliminated together.
void MinimumDegree::write(Out<Index> permutation) {
  const Index n_pivots = static_cast<Index>(pivots_.size());
  std::vector<Index> number(n_, none), parent(n_pivots), post(n_pivots), rank(n_pivots + 1, n_pivots);
  for (Index k = 0; k < n_pivots; ++k) number[pivots_[k]] = k;
  for (const Index i : dense_) number[i] = n_pivots;
  for (Index k = 0; k < n_pivots; ++k) {
    const Index into = into_[pivots_[k]];
    parent[k] = into == none ? none : number[into];
  }
  postorder(parent, post);
  for (Index k = 0; k < n_pivots; ++k) rank[post[k]] = k;
  std::vector<Index> group(n_), start(n_pivots + 2, 0);
  for (Index i = 0; i < n_; ++i) {
    Index end = i;  // of the chain of merged variables that starts at i: a pivot
    while (number[end] == none) end = into_[end];
    for (Index j = i; number[j] == none;) j = std::exchange(into_[j], end);
    group[i] = rank[number[end]];
    ++start[group[i] + 1];
  }
  for (Index k = 0; k <= n_pivots; ++k) start[k + 1] += start[k];
  for (Index i = 0; i < n_; ++i) permutation[start[group[i]]++] = i;
}

}  // namespace

void amd(Columns lower, Out<Index> permutation) { MinimumDegree(lower).order(permutation); }

}  // namespace elimax
