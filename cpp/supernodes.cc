// supernodes.cc: fundamental supernodes, their relaxation, and the order of their elimination.
//
// A fundamental supernode is a maximal chain of columns j, j+1, ..., each the only child of the next and
// with the same structure below. With c columns and u rows below the last it is stored as a dense
// trapezoid. Small ones cost more in bookkeeping than in arithmetic, so a child is merged with its parent
// when that is predicted to save time in spite of the explicit zeros: c_child (c + u - u_child) of them.
// Any child can be merged, because columns are renumbered afterwards; the rows below are the parent's.
//
// A multifrontal sweep keeps the update matrices of eliminated children until their parent is formed.
// Visiting the child whose subtree needs most beyond what it leaves behind first keeps the peak lowest.
//
// Where fronts stay tiny all the same, columns are left single: scalar code then beats dense kernels.
//
// Sources: Ashcraft, Grimes, "The influence of relaxed supernode partitions on the multifrontal method",
//          ACM Trans. Math. Softw. 15 (1989) 291-309.
//          Liu, "On the storage requirement in the out-of-core multifrontal method for sparse
//          factorization", ACM Trans. Math. Softw. 12 (1986) 249-264: the order of the children.
// Cost: O(n), times log(children) for sorting them.

#include <algorithm>
#include <numeric>

#include "core.h"

namespace elimax {
namespace {

struct Block {
  Index columns;
  Index below;
  Index parent;
};

// Children lists of a forest, each in the order in which they are linked, last first.
class ChildLists {
 public:
  explicit ChildLists(std::size_t size) : first_(size + 1, none), next_(size, none) {}
  void link(Index child, Index parent) {
    Index& first = head(parent);
    next_[child] = first;
    first = child;
  }
  Index first(Index parent) const { return first_[parent == none ? next_.size() : parent]; }
  Index next(Index child) const { return next_[child]; }
  Index& head(Index parent) { return first_[parent == none ? next_.size() : parent]; }

 private:
  std::vector<Index> first_, next_;
};

// How many children every column has.
std::vector<Index> children_of(In<Index> parent) {
  std::vector<Index> children(parent.size(), 0);
  for (const Index above : parent)
    if (above != none) ++children[above];
  return children;
}

// Blocks are numbered like their columns: children before parents. of[j] is the block of column j.
std::vector<Block> fundamental(In<Index> parent, In<Index> counts, Out<Index> of) {
  const Index n = static_cast<Index>(parent.size());
  const std::vector<Index> children = children_of(parent);
  std::vector<Block> blocks;
  for (Index j = 0; j < n; ++j) {
    const bool continues = j > 0 && parent[j - 1] == j && children[j] == 1 && counts[j - 1] == counts[j] + 1;
    if (!continues) blocks.push_back({0, 0, none});
    Block& block = blocks.back();
    of[j] = static_cast<Index>(blocks.size()) - 1;
    block.columns += 1;
    block.below = counts[j] - 1;
    block.parent = parent[j];  // a column until all blocks are known
  }
  for (Block& block : blocks) {
    if (block.parent != none) block.parent = of[block.parent];
  }
  return blocks;
}

// Merges children into parents, bottom up; among the children of one parent those with most rows below
// go first, for they bring fewest zeros. Returns for every block whether its parent absorbed it; the
// parent's columns then include its own.
std::vector<bool> relax(const Relaxation& relaxation, std::vector<Block>& blocks) {
  const Index n = static_cast<Index>(blocks.size());
  Index most = 0;
  for (const Block& block : blocks) most = std::max(most, block.below);
  std::vector<Index> start(most + 2, 0), by_below(n);
  for (const Block& block : blocks) ++start[block.below + 1];
  for (Index u = 0; u <= most; ++u) start[u + 1] += start[u];
  for (Index s = 0; s < n; ++s) by_below[start[blocks[s].below]++] = s;
  ChildLists children(n);
  for (const Index s : by_below) children.link(s, blocks[s].parent);

  std::vector<bool> absorbed(n, false);
  std::vector<double> times(n);
  for (Index s = 0; s < n; ++s) {
    times[s] = front_time(blocks[s].columns, blocks[s].below, relaxation);
    for (Index child = children.first(s); child != none; child = children.next(child)) {
      const Index columns = blocks[s].columns + blocks[child].columns;
      const double merged = front_time(columns, blocks[s].below, relaxation);
      const auto [faster, slower] = std::minmax(times[s], times[child]);
      if (merged > slower + relaxation.share * faster) continue;
      blocks[s].columns = columns;
      times[s] = merged;
      absorbed[child] = true;
    }
  }
  return absorbed;
}

// A postorder of the remaining blocks: order[k] is the k-th, none of them absorbed.
std::vector<Index> stack_order(In<Block> blocks, const std::vector<bool>& absorbed) {
  const Index n = static_cast<Index>(blocks.size());
  ChildLists children(n);
  std::vector<Index> size(n, 1);         // supernodes in the subtree
  std::vector<double> peak(n), left(n);  // of the stack inside a subtree, and its update matrix
  std::vector<Index> siblings;
  Index roots = 0;
  for (Index s = 0; s <= n; ++s) {
    if (s < n && absorbed[s]) continue;
    const Index node = s < n ? s : none;
    siblings.clear();
    for (Index child = children.first(node); child != none; child = children.next(child)) {
      siblings.push_back(child);
    }
    // Linking reverses a list: smallest peak - left first makes it largest first.
    std::sort(siblings.begin(), siblings.end(), [&](Index a, Index b) {
      const double excess_a = peak[a] - left[a], excess_b = peak[b] - left[b];
      return excess_a != excess_b ? excess_a < excess_b : a > b;
    });
    children.head(node) = none;
    for (const Index child : siblings) children.link(child, node);
    double held = 0, most = 0;
    for (Index child = children.first(node); child != none; child = children.next(child)) {
      most = std::max(most, held + peak[child]);
      held += left[child];
      (node == none ? roots : size[node]) += size[child];
    }
    if (node == none) break;
    left[s] = static_cast<double>(blocks[s].below) * blocks[s].below;
    peak[s] = std::max(most, held + left[s]);
    children.link(s, blocks[s].parent);
  }
  std::vector<Index> order(roots), start(n);  // start: where the subtree's block of the order begins
  const auto place = [&](Index node, Index begin) {
    for (Index child = children.first(node); child != none; child = children.next(child)) {
      start[child] = begin;
      begin += size[child];
    }
    if (node != none) order[begin] = node;
  };
  place(none, 0);
  for (Index s = n - 1; s >= 0; --s) {
    if (!absorbed[s]) place(s, start[s]);
  }
  return order;
}

double supernodal_time(In<Block> blocks, const std::vector<bool>& absorbed, const Relaxation& relaxation) {
  double sum = 0;
  for (std::size_t s = 0; s < blocks.size(); ++s)
    if (!absorbed[s]) sum += front_time(blocks[s].columns, blocks[s].below, relaxation);
  return sum;
}

double simplicial_time(In<Index> parent, In<Index> counts, const TimeModel& model) {
  const std::vector<Index> children = children_of(parent);
  double sum = 0;
  for (std::size_t j = 0; j < parent.size(); ++j) {
    const double u = counts[j] - 1;
    sum += model.column + u * (model.entry + u * model.square);
    if (u > 0 && children[parent[j]] > 1) sum += u * (model.moved_entry + u * model.moved_square);
  }
  return sum;
}

Supernodes single_columns(In<Index> parent, In<Index> counts, double time) {
  const std::size_t n = parent.size();
  Supernodes result{Method::simplicial, time, std::vector<Index>(n), std::vector<Index>(n, 1), {}, {}};
  std::iota(result.of.begin(), result.of.end(), 0);
  result.below.reserve(n);
  for (const Index count : counts) result.below.push_back(count - 1);
  result.parent.assign(parent.begin(), parent.end());
  return result;
}

}  // namespace

double front_time(Index columns, Index below, const Relaxation& relaxation) {
  const double c = columns, u = below;
  const double flops = c * (u * (c + u) + c * c / 3);
  return relaxation.front + relaxation.entry * c * (c + u) + relaxation.update * u * u +
         relaxation.flop * flops * (1 + relaxation.ramp / (c + u));
}

Supernodes supernodes(In<Index> parent, In<Index> counts, const TimeModel& model, Method method) {
  const double simplicial = simplicial_time(parent, counts, model);
  if (method == Method::simplicial) return single_columns(parent, counts, simplicial);
  Supernodes result;
  result.of.resize(parent.size());
  std::vector<Block> blocks = fundamental(parent, counts, result.of);
  const std::vector<bool> absorbed = relax(model.relaxation, blocks);
  result.method = Method::supernodal;
  result.time = supernodal_time(blocks, absorbed, model.relaxation);
  if (method == Method::automatic && simplicial < result.time)
    return single_columns(parent, counts, simplicial);
  // An absorbed block hangs its children below the block that absorbed it.
  const Index n_blocks = static_cast<Index>(blocks.size());
  std::vector<Index> keeper(n_blocks);
  for (Index s = n_blocks - 1; s >= 0; --s) {
    keeper[s] = absorbed[s] ? keeper[blocks[s].parent] : s;
    if (blocks[s].parent != none) blocks[s].parent = keeper[blocks[s].parent];
  }
  const std::vector<Index> order = stack_order(blocks, absorbed);
  std::vector<Index> number(n_blocks);
  for (std::size_t k = 0; k < order.size(); ++k) number[order[k]] = static_cast<Index>(k);
  for (const Index s : order) {
    result.columns.push_back(blocks[s].columns);
    result.below.push_back(blocks[s].below);
    result.parent.push_back(blocks[s].parent == none ? none : number[blocks[s].parent]);
  }
  for (Index& block : result.of) block = number[keeper[block]];
  return result;
}

}  // namespace elimax
