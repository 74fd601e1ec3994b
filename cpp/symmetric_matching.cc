// symmetric_matching.cc: pairs of columns of a symmetric matrix that are to be eliminated together.
//
// A column whose diagonal entry is zero or small is no pivot by itself, but together with a partner to which
// a large entry connects it, it is one of 2 x 2. A perfect matching, read as a permutation of the columns,
// has such entries between neighbors on its cycles. Along every cycle each weak column is joined with the
// next one, unless that is taken: a run of weak columns pairs up within itself, and needs the strong column
// behind it if it is odd. A cycle of weak columns only, odd in number, leaves the last one to its neighbors:
// a group of three.
//
// Source: Duff, Pralet, "Strategies for scaling and pivoting for sparse symmetric indefinite problems", SIAM
// J.
//         Matrix Anal. Appl. 27 (2005) 313-340.
// Cost: O(n).

#include <algorithm>
#include <numeric>

#include "core.h"

namespace elimax {

void symmetric_matching(In<Index> row_of_column, In<Index> weak, Out<Index> group) {
  const Index n = static_cast<Index>(row_of_column.size());
  std::iota(group.begin(), group.end(), 0);
  std::vector<bool> seen(n, false), paired(n, false);
  const auto join = [&](Index j, Index next) {
    const Index lowest = std::min(j, group[next]);
    if (paired[next])
      group[row_of_column[next]] = lowest;  // once around: next and the one behind it are a pair
    group[j] = group[next] = lowest;
    paired[j] = paired[next] = true;
  };
  for (Index first = 0; first < n; ++first) {
    if (seen[first] || !weak[first] || row_of_column[first] == first) continue;
    Index start = first;  // or the last weak column on the cycle that follows a strong one
    Index j = first;
    do {
      seen[j] = true;
      if (!weak[j] && weak[row_of_column[j]]) start = row_of_column[j];
      j = row_of_column[j];
    } while (j != first);
    j = start;
    do {
      if (weak[j] && !paired[j]) join(j, row_of_column[j]);
      j = row_of_column[j];
    } while (j != start);
  }
}

}  // namespace elimax
