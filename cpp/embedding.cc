// embedding.cc: where the entries of a symmetric or general pattern, and those of L, sit in the panels.
//
// All go supernode by supernode. `front_row[i]` remembers where row i is among the rows of the supernode
// at hand; what an earlier supernode left there is told apart by looking the row up.
//
// Source: the exact pattern of L is the row subtrees of the elimination tree: Liu, SIAM J. Matrix Anal.
//         Appl. 11 (1990) 134-172.
// Cost: O(entries + rows of all supernodes).

#include <algorithm>

#include "core.h"

namespace elimax {
namespace {

std::vector<Index> supernode_of(const Symbolic& symbolic) {
  std::vector<Index> of(symbolic.n);
  for (Index s = 0; s < symbolic.supernodes(); ++s) {
    std::fill(of.begin() + symbolic.super[s], of.begin() + symbolic.super[s + 1], s);
  }
  return of;
}

// Position of row i in the front of a supernode.
class FrontRows {
 public:
  explicit FrontRows(const Symbolic& symbolic) : symbolic_(symbolic), below_(symbolic.n, 0) {}
  void enter(Index s) {
    s_ = s;
    rows_ = In<Index>(symbolic_.rows).subspan(symbolic_.row_ptr[s], symbolic_.below(s));
    for (std::size_t p = 0; p < rows_.size(); ++p) below_[rows_[p]] = static_cast<Index>(p);
  }
  // `none` if the front has no such row.
  Index operator[](Index i) const {
    if (i < symbolic_.super[s_ + 1]) return i - symbolic_.super[s_];
    const auto p = static_cast<std::size_t>(below_[i]);
    return p < rows_.size() && rows_[p] == i ? symbolic_.columns(s_) + below_[i] : none;
  }

 private:
  const Symbolic& symbolic_;
  std::vector<Index> below_;
  In<Index> rows_;
  Index s_ = 0;
};

// The k-th pivot is the entry in the row i and the column j with number[j] = row_number[i] = k.
std::shared_ptr<Embedding> place(const Symbolic& symbolic, Columns pattern, In<Index> row_number,
                                 bool general, Index& outside) {
  struct Entry {
    Index row, column;
  };
  auto result = std::make_shared<Embedding>();
  const std::vector<Index> of = supernode_of(symbolic);
  const In<Index> number = symbolic.inverse;
  result->ptr.assign(symbolic.supernodes() + 1, 0);
  for (Index j = 0; j < pattern.n_cols; ++j) {
    for (Index p = pattern.ptr[j]; p < pattern.ptr[j + 1]; ++p) {
      ++result->ptr[of[std::min(number[j], row_number[pattern.rows[p]])] + 1];
    }
  }
  for (Index s = 0; s < symbolic.supernodes(); ++s) result->ptr[s + 1] += result->ptr[s];

  std::vector<Offset> next(result->ptr.begin(), result->ptr.end() - 1);
  std::vector<Entry> entries(pattern.rows.size());
  result->source.resize(entries.size());
  result->diagonal.assign(symbolic.n, none);
  for (Index j = 0; j < pattern.n_cols; ++j) {
    for (Index p = pattern.ptr[j]; p < pattern.ptr[j + 1]; ++p) {
      const Index row = row_number[pattern.rows[p]], column = number[j];
      const bool crossed = row < column && !(general && of[row] == of[column]);
      if (row == column) result->diagonal[row] = p;
      const Offset q = next[of[std::min(row, column)]]++;
      entries[q] = crossed ? Entry{column, row} : Entry{row, column};
      result->source[q] = crossed ? ~p : p;
    }
  }

  result->target.resize(entries.size());
  outside = none;
  FrontRows front_row(symbolic);
  for (Index s = 0; s < symbolic.supernodes(); ++s) {
    if (result->ptr[s] == result->ptr[s + 1]) continue;
    front_row.enter(s);
    const Offset upper = general ? symbolic.panel[s + 1] - symbolic.panel[s] : 0;
    for (Offset q = result->ptr[s]; q < result->ptr[s + 1]; ++q) {
      const Index row = front_row[entries[q].row];
      const bool crossed = result->source[q] < 0;
      const Index value = crossed ? ~result->source[q] : result->source[q];
      if (row == none && (outside == none || value < outside)) outside = value;
      result->target[q] =
          row + Offset{entries[q].column - symbolic.super[s]} * symbolic.front(s) + (crossed ? upper : 0);
    }
  }
  return outside == none ? result : nullptr;
}

}  // namespace

std::shared_ptr<const Embedding> embed(const Symbolic& symbolic, Columns lower, Index& outside) {
  return place(symbolic, lower, symbolic.inverse, false, outside);
}

std::shared_ptr<const Embedding> embed_general(const Symbolic& symbolic, Columns general,
                                               In<Index> row_of_column, Index& outside) {
  std::vector<Index> row_order(symbolic.n), row_number(symbolic.n);
  for (Index k = 0; k < symbolic.n; ++k) {
    row_order[k] = row_of_column[symbolic.permutation[k]];
    row_number[row_order[k]] = k;
  }
  auto result = place(symbolic, general, row_number, true, outside);
  if (result) result->row_order = std::move(row_order);
  return result;
}

void factor_pattern(const Symbolic& symbolic, Columns lower, Out<Offset> ptr, Out<Index> rows,
                    Out<Offset> position) {
  const Index n = symbolic.n;
  // Row k of the permuted lower triangle, unsorted: the entries left of the diagonal.
  std::vector<Index> left_ptr(n + 1, 0), left(lower.rows.size());
  const auto for_entries = [&](auto visit) {
    for (Index j = 0; j < n; ++j) {
      for (Index p = lower.ptr[j]; p < lower.ptr[j + 1]; ++p) {
        const auto [column, row] = std::minmax(symbolic.inverse[j], symbolic.inverse[lower.rows[p]]);
        visit(row, column);
      }
    }
  };
  for_entries([&](Index row, Index) { ++left_ptr[row]; });
  Index end = 0;
  for (Index& start : left_ptr) start = end += start;
  for_entries([&](Index row, Index column) { left[--left_ptr[row]] = column; });

  ptr[0] = 0;
  for (Index j = 0; j < n; ++j) ptr[j + 1] = ptr[j] + symbolic.counts[j];
  std::vector<Offset> next(ptr.begin(), ptr.end() - 1);
  std::vector<Index> seen(n, none);
  for (Index k = 0; k < n; ++k) {
    rows[next[k]++] = k;
    seen[k] = k;
    for (Index p = left_ptr[k]; p < left_ptr[k + 1]; ++p) {
      for (Index j = left[p]; seen[j] != k; j = symbolic.parent[j]) {
        rows[next[j]++] = k;
        seen[j] = k;
      }
    }
  }

  FrontRows front_row(symbolic);
  for (Index s = 0; s < symbolic.supernodes(); ++s) {
    front_row.enter(s);
    for (Index j = symbolic.super[s]; j < symbolic.super[s + 1]; ++j) {
      const Offset column = symbolic.panel[s] + Offset{j - symbolic.super[s]} * symbolic.front(s);
      for (Offset q = ptr[j]; q < ptr[j + 1]; ++q) position[q] = column + front_row[rows[q]];
    }
  }
}

}  // namespace elimax
