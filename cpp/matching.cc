// matching.cc: which row gives every column its diagonal entry, and what is missing where there is none.
//
// A maximum-product matching gives log|a_ij| its largest sum over the chosen entries: an assignment problem
// with the costs c_ij = log max_k |a_kj| - log|a_ij| >= 0. It is solved column by column. Row i has the dual
// u_i and column j the dual v_j; the reduced costs c_ij - u_i - v_j are never negative and are zero on chosen
// entries, which proves these to be optimal. A column without a row looks for the shortest alternating path,
// by reduced costs, to a row without a column: Dijkstra's algorithm. Where it ends, what was found out of
// distances goes into the duals, and the path is flipped. Duals also scale: 2^(u_i) |a_ij| 2^(v_j) / max_k
// |a_kj| is 1 on chosen entries and nowhere more.
//
// Costs are integers, multiples of 2^-16 of the binary logarithm. So nothing is rounded, values that differ
// by noise tie, and one such step as the price of every entry off the diagonal lets the diagonal win them.
// With equal magnitudes this is a maximum matching that keeps most of the diagonal.
//
// The Dulmage-Mendelsohn decomposition of a matrix without a perfect matching: the columns that alternating
// paths reach from columns without a row have entries in fewer rows than they are; the rows reached from rows
// without a column, in fewer columns. What is left has a perfect matching.
//
// Sources: Duff, Koster, "On algorithms for permuting large entries to the diagonal of a sparse matrix", SIAM
//          J. Matrix Anal. Appl. 22 (2001) 973-996.
//          Jonker, Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
//          problems", Computing 38 (1987) 325-340: bids before searches.
//          Pothen, Fan, "Computing the block triangular form of a sparse matrix", ACM Trans. Math. Softw. 16
//          (1990) 303-324.
// Cost: O(n nnz log n) at worst, in practice a few passes over the matrix. O(nnz) for the decomposition.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "core.h"

namespace elimax {
namespace {

using Cost = std::int64_t;

constexpr double steps = 65536;         // of the binary logarithm
constexpr Cost cost_of_zero = 1 << 30;  // a zero is chosen only if nothing else can be
constexpr Cost infinite = std::numeric_limits<Cost>::max();

class Assignment {
 public:
  Assignment(Columns A, In<double> magnitudes, Out<Index> row_of_column);
  Index solve();
  void scale(Out<double> row_scale, Out<double> column_scale) const;

 private:
  void price(In<double> magnitudes);
  void start_duals();
  void assign_tight();
  void bid();
  bool augment(Index root);
  void scan(Index j, Cost base);
  Index nearest();
  void finish(Index root);

  Cost reduced(Index p, Index j) const { return cost_[p] - u_[A_.rows[p]] - v_[j]; }
  void choose(Index i, Index j) { row_of_[j] = i, column_of_[i] = j; }
  // The first entry of column j from `from` on that is tight and satisfies the condition, or none.
  template <class F>
  Index find_tight(Index j, Index from, F condition) const {
    for (Index p = from; p < A_.ptr[j + 1]; ++p)
      if (reduced(p, j) == 0 && condition(A_.rows[p])) return p;
    return none;
  }

  Columns A_;
  std::vector<std::int32_t> cost_;
  std::vector<double> largest_;   // log2 of the largest entry of a column
  std::vector<Cost> u_, v_;       // duals of rows and columns
  Out<Index> row_of_;             // of a column, or none
  std::vector<Index> column_of_;  // of a row, or none

  // The search from one column.
  std::vector<Cost> distance_;  // of a row; infinite if it was not reached
  std::vector<Index> from_;     // the column that it was reached from
  std::vector<Index> reached_;  // rows with a distance
  std::vector<Index> near_;     // rows as near as the column at hand: no need for the heap
  std::vector<bool> settled_;   // rows of known distance; those that no path leads on from stay so for ever
  std::vector<std::pair<Cost, Index>> heap_;  // the others, by distance
  Cost best_ = infinite;                      // distance of the nearest row without a column so far
  Index end_ = none;                          // that row
};

Assignment::Assignment(Columns A, In<double> magnitudes, Out<Index> row_of_column)
    : A_(A),
      cost_(A.rows.size()),
      largest_(A.n_cols, 0),
      u_(A.n_rows, 0),
      v_(A.n_cols, 0),
      row_of_(row_of_column),
      column_of_(A.n_rows, none),
      distance_(A.n_rows, infinite),
      from_(A.n_rows),
      settled_(A.n_rows, false) {
  std::fill(row_of_.begin(), row_of_.end(), none);
  price(magnitudes);
}

Index Assignment::solve() {
  start_duals();
  assign_tight();
  bid();
  Index rank = 0;
  for (Index j = 0; j < A_.n_cols; ++j) rank += row_of_[j] != none || augment(j);
  return rank;
}

void Assignment::price(In<double> magnitudes) {
  const auto logarithm = [&](Index p) { return magnitudes.empty() ? 0.0 : std::log2(magnitudes[p]); };
  for (Index j = 0; j < A_.n_cols; ++j) {
    double largest = -std::numeric_limits<double>::infinity();
    for (Index p = A_.ptr[j]; p < A_.ptr[j + 1]; ++p) largest = std::max(largest, logarithm(p));
    if (std::isfinite(largest)) largest_[j] = largest;
    for (Index p = A_.ptr[j]; p < A_.ptr[j + 1]; ++p) {
      const double loss = largest_[j] - logarithm(p);
      const Cost cost = std::isfinite(loss) ? std::llround(loss * steps) : cost_of_zero;
      cost_[p] = static_cast<std::int32_t>(cost + (A_.rows[p] != j));
    }
  }
}

void Assignment::start_duals() {
  std::fill(u_.begin(), u_.end(), infinite);
  for (std::size_t p = 0; p < cost_.size(); ++p) u_[A_.rows[p]] = std::min<Cost>(u_[A_.rows[p]], cost_[p]);
  for (Cost& u : u_)
    if (u == infinite) u = 0;
  for (Index j = 0; j < A_.n_cols; ++j) {
    Cost least = infinite;
    for (Index p = A_.ptr[j]; p < A_.ptr[j + 1]; ++p) least = std::min(least, reduced(p, j));
    if (least != infinite) v_[j] = least;
  }
}

// Tight entries: those on the diagonal, then any, then any that another column can do without.
void Assignment::assign_tight() {
  for (Index j = 0; j < A_.n_cols; ++j)
    if (find_tight(j, A_.ptr[j], [&](Index i) { return i == j; }) != none) choose(j, j);
  for (Index j = 0; j < A_.n_cols; ++j) {
    if (row_of_[j] != none) continue;
    const Index p = find_tight(j, A_.ptr[j], [&](Index i) { return column_of_[i] == none; });
    if (p != none) choose(A_.rows[p], j);
  }
  std::vector<Index> next(A_.ptr.begin(), A_.ptr.end() - 1);  // rows before it have a column, for ever
  for (Index j = 0; j < A_.n_cols; ++j) {
    if (row_of_[j] != none) continue;
    find_tight(j, A_.ptr[j], [&](Index i) {
      const Index other = column_of_[i];
      const Index p = find_tight(other, next[other], [&](Index k) { return column_of_[k] == none; });
      next[other] = p == none ? A_.ptr[other + 1] : p + 1;
      if (p == none) return false;
      choose(A_.rows[p], other);
      choose(i, j);
      return true;
    });
  }
}

// A column without a row takes the one with least reduced cost, lowers its dual until the second best is as
// good, and leaves whoever had it without a row. Where many columns want the same few rows, this settles most
// of them at the price of their own entries, not of a search through all. A tie is left to the search.
void Assignment::bid() {
  std::vector<Index> bidders;
  for (Index j = A_.n_cols - 1; j >= 0; --j)
    if (row_of_[j] == none) bidders.push_back(j);
  for (Offset left = 8 * Offset{A_.ptr[A_.n_cols]}; left > 0 && !bidders.empty();) {
    const Index j = bidders.back();
    bidders.pop_back();
    left -= A_.ptr[j + 1] - A_.ptr[j];
    Cost first = infinite, second = infinite;
    Index best = none;
    for (Index p = A_.ptr[j]; p < A_.ptr[j + 1]; ++p) {
      const Cost cost = cost_[p] - u_[A_.rows[p]];
      const bool free = column_of_[A_.rows[p]] == none;
      if (cost < first || (cost == first && free)) {
        second = std::exchange(first, cost);
        best = A_.rows[p];
      } else {
        second = std::min(second, cost);
      }
    }
    const bool free = best != none && column_of_[best] == none;
    if (second == infinite || (first == second && !free)) continue;
    v_[j] = free ? first : second;
    if (!free) {
      u_[best] -= second - first;
      row_of_[column_of_[best]] = none;
      bidders.push_back(column_of_[best]);
    }
    choose(best, j);
  }
}

// The shortest alternating path from a column without a row to a row without a column; false if none is.
bool Assignment::augment(Index root) {
  best_ = infinite;
  Cost base = 0;
  for (Index i = none, j = root;;) {
    scan(j, base);
    if (best_ == base || (i = nearest()) == none) break;
    settled_[i] = true;
    base = distance_[i];
    j = column_of_[i];
  }
  finish(root);
  return row_of_[root] != none;
}

// The nearest row not settled; none if there is one without a column that is no farther.
Index Assignment::nearest() {
  while (!near_.empty()) {
    const Index i = near_.back();
    near_.pop_back();
    if (!settled_[i]) return i;
  }
  while (!heap_.empty() && heap_.front().first < best_) {
    const Index i = heap_.front().second;
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
    if (!settled_[i]) return i;  // else there was a shorter way to it
  }
  return none;
}

// Ways that lead through column j, at the given distance, to its rows.
void Assignment::scan(Index j, Cost base) {
  for (Index p = A_.ptr[j]; p < A_.ptr[j + 1]; ++p) {
    const Index i = A_.rows[p];
    if (settled_[i]) continue;
    const Cost distance = base + reduced(p, j);
    if (distance >= best_ || distance >= distance_[i]) continue;
    if (distance_[i] == infinite) reached_.push_back(i);
    distance_[i] = distance;
    from_[i] = j;
    if (column_of_[i] == none) {
      best_ = distance;
      end_ = i;
    } else if (distance == base) {
      near_.push_back(i);
    } else {
      heap_.push_back({distance, i});
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
  }
}

// Distances into duals, the path into the matching, and all of the search forgotten; but rows that lead
// nowhere lead nowhere from other columns, either.
void Assignment::finish(Index root) {
  const bool found = best_ != infinite;
  if (found) v_[root] += best_;
  for (const Index i : reached_) {
    if (found && settled_[i]) {
      u_[i] -= best_ - distance_[i];
      v_[column_of_[i]] += best_ - distance_[i];
      settled_[i] = false;
    }
    distance_[i] = infinite;
  }
  if (found) {
    for (Index i = end_, j = none; j != root;) {
      j = from_[i];
      const Index previous = row_of_[j];
      choose(i, j);
      i = previous;
    }
  }
  reached_.clear();
  near_.clear();
  heap_.clear();
}

void Assignment::scale(Out<double> row_scale, Out<double> column_scale) const {
  for (Index i = 0; i < A_.n_rows; ++i) row_scale[i] = static_cast<double>(u_[i]) / steps;
  for (Index j = 0; j < A_.n_cols; ++j) column_scale[j] = static_cast<double>(v_[j]) / steps - largest_[j];
}

// Marks the rows and columns that alternating paths reach from columns without a row.
void reach(Columns A, In<Index> row_of_column, In<Index> column_of_row, Part part, Out<Index> row_part,
           Out<Index> column_part) {
  std::vector<Index> stack;
  const auto visit = [&](Index j) {
    if (std::exchange(column_part[j], static_cast<Index>(part)) != static_cast<Index>(part))
      stack.push_back(j);
  };
  for (Index root = 0; root < A.n_cols; ++root) {
    if (row_of_column[root] == none) visit(root);
    while (!stack.empty()) {
      const Index j = stack.back();
      stack.pop_back();
      for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) {
        const Index i = A.rows[p];
        row_part[i] = static_cast<Index>(part);
        visit(column_of_row[i]);  // it has one, for the matching is a maximum one
      }
    }
  }
}

Pattern transpose(Columns A) {
  Pattern T{A.n_cols, A.n_rows, std::vector<Index>(A.n_rows + 1, 0), std::vector<Index>(A.rows.size())};
  for (const Index i : A.rows) ++T.ptr[i];
  Index end = 0;
  for (Index& start : T.ptr) start = end += start;
  for (Index j = A.n_cols - 1; j >= 0; --j)
    for (Index p = A.ptr[j]; p < A.ptr[j + 1]; ++p) T.rows[--T.ptr[A.rows[p]]] = j;
  return T;
}

}  // namespace

Index maximum_product_matching(Columns A, In<double> magnitudes, Out<Index> row_of_column,
                               Out<double> row_scale, Out<double> column_scale) {
  Assignment assignment(A, magnitudes, row_of_column);
  const Index rank = assignment.solve();
  assignment.scale(row_scale, column_scale);
  return rank;
}

void dulmage_mendelsohn(Columns A, In<Index> row_of_column, Out<Index> row_part, Out<Index> column_part) {
  std::vector<Index> column_of_row(A.n_rows, none);
  for (Index j = 0; j < A.n_cols; ++j)
    if (row_of_column[j] != none) column_of_row[row_of_column[j]] = j;
  std::ranges::fill(row_part, static_cast<Index>(Part::square));
  std::ranges::fill(column_part, static_cast<Index>(Part::square));
  reach(A, row_of_column, column_of_row, Part::underdetermined, row_part, column_part);
  reach(transpose(A), column_of_row, row_of_column, Part::overdetermined, column_part, row_part);
}

}  // namespace elimax
