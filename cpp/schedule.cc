// schedule.cc: a static schedule of the supernodal forest for a number of threads.
//
// Subtrees of the forest share nothing, so threads can work on them side by side; the fronts above them are
// worked on one by one, by all threads together. The cut is found by splitting the heaviest subtree again and
// again, its root going to the top: of the cuts met on the way the one is taken whose time, by the model of
// supernodes.cc and with the subtrees dealt out longest first, is least. Neighboring subtrees are joined
// where they are small.
//
// Update matrices lie on stacks, a pair for the top and one for every thread: blocks of even depth grow from
// the start of a pair, those of odd depth from its end. In a postorder the update matrices of a node's
// children are on top of theirs when the node's own goes on top of the other. Those that a subtree leaves to
// the top have places of their own.
//
// Sources: Geist, Ng, "Task scheduling for parallel sparse Cholesky factorization", Int. J. Parallel
//          Programming 18 (1989) 291-314: splitting the heaviest subtree.
//          Graham, SIAM J. Appl. Math. 17 (1969) 416-429: longest first.
//          Liu, SIAM Review 34 (1992) 82-109: the stack of update matrices.
// Cost: O(supernodes), and O(t log t) for each of some hundred cuts into t subtrees.

#include "schedule.h"

#include <limits>
#include <numeric>
#include <queue>
#include <utility>

#include "front.h"

namespace elimax {
namespace {

// What a front takes that a crew works on together: every thread but the first helps that much, and sharing
// it out loses so many nanoseconds.
constexpr double helpful = 0.75, hand_over = 100e3;
double shared_time(double time, int threads) {
  return std::min(time, time / (1 + helpful * (threads - 1)) + hand_over);
}

struct Forest {
  std::vector<double> time;     // of every supernode
  std::vector<double> subtree;  // of the subtree below and with it
  std::vector<Index> first;  // first supernode of its subtree: a range, because supernodes are in postorder
};

Forest forest_of(const Symbolic& symbolic) {
  const Index n = symbolic.supernodes();
  Forest forest{std::vector<double>(n), std::vector<double>(n, 0), std::vector<Index>(n)};
  for (Index s = 0; s < n; ++s) forest.first[s] = s;
  for (Index s = 0; s < n; ++s) {
    forest.time[s] = front_time(symbolic.columns(s), symbolic.below(s), symbolic.relaxation);
    forest.subtree[s] += forest.time[s];
    const Index parent = symbolic.super_parent[s];
    if (parent == none) continue;
    forest.subtree[parent] += forest.subtree[s];
    forest.first[parent] = std::min(forest.first[parent], forest.first[s]);
  }
  return forest;
}

// How long threads take for jobs that are dealt out in this order, each to the thread that is free first.
double makespan(const std::vector<double>& jobs, int threads) {
  std::priority_queue<double, std::vector<double>, std::greater<>> busy_until;
  for (int t = 0; t < threads; ++t) busy_until.push(0);
  double end = 0;
  for (const double job : jobs) {
    const double until = busy_until.top() + job;
    busy_until.pop();
    busy_until.push(until);
    end = std::max(end, until);
  }
  return end;
}

// The supernodes of the top, flagged.
std::vector<bool> cut(const Symbolic& symbolic, const Forest& forest, int threads) {
  const double total = std::accumulate(forest.time.begin(), forest.time.end(), 0.0);
  const double light = total / (64.0 * threads);  // subtrees that can be dealt out evenly whatever they are
  const auto lighter = [&](Index a, Index b) {
    return forest.subtree[a] != forest.subtree[b] ? forest.subtree[a] < forest.subtree[b] : a < b;
  };
  std::priority_queue<Index, std::vector<Index>, decltype(lighter)> heavy(lighter);
  const auto offer = [&](Index s) {
    if (forest.subtree[s] > light) heavy.push(s);
  };
  for (Index s = 0; s < symbolic.supernodes(); ++s)
    if (symbolic.super_parent[s] == none) offer(s);

  std::vector<Index> split;
  std::size_t best = 0;
  double least = std::numeric_limits<double>::infinity(), top = 0, below = total;
  for (int step = 0; step <= 32 * threads; ++step) {
    std::vector<double> jobs;
    for (auto rest = heavy; !rest.empty(); rest.pop()) jobs.push_back(forest.subtree[rest.top()]);
    const double time = top + std::max(makespan(jobs, threads), below / threads);
    if (time < least) {
      least = time;
      best = split.size();
    }
    if (heavy.empty()) break;
    const Index s = heavy.top();
    heavy.pop();
    split.push_back(s);
    below -= forest.time[s];
    top += shared_time(forest.time[s], threads);
    for (Index child = s - 1; child >= forest.first[s]; child = forest.first[child] - 1) offer(child);
  }
  std::vector<bool> in_top(symbolic.supernodes(), false);
  for (std::size_t k = 0; k < best; ++k) in_top[split[k]] = true;
  return in_top;
}

// Sets subtrees and top.
void divide(const Symbolic& symbolic, int threads, Schedule& schedule) {
  const Forest forest = forest_of(symbolic);
  const std::vector<bool> in_top = cut(symbolic, forest, threads);
  const Index n = symbolic.supernodes();
  const auto is_root = [&](Index s) {
    return symbolic.super_parent[s] == none || in_top[symbolic.super_parent[s]];
  };
  const double total = std::accumulate(forest.time.begin(), forest.time.end(), 0.0);
  std::vector<double> weight;  // of the subtrees
  bool open = false;           // whether the last range ends here and may grow
  for (Index s = 0; s < n; ++s) {
    if (in_top[s]) {
      schedule.top.push_back(s);
      open = false;
    } else if (is_root(s)) {
      schedule.top.push_back(~s);
      if (open && weight.back() + forest.subtree[s] < total / (16.0 * threads)) {
        schedule.subtrees.back().last = s + 1;
        weight.back() += forest.subtree[s];
      } else {
        schedule.subtrees.push_back({forest.first[s], s + 1});
        weight.push_back(forest.subtree[s]);
      }
      open = true;
    }
  }
  std::vector<Index> order(weight.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return weight[a] > weight[b]; });
  std::vector<Schedule::Range> sorted;
  for (const Index k : order) sorted.push_back(schedule.subtrees[k]);
  schedule.subtrees = std::move(sorted);
}

// A pair of stacks. Positions on the odd one count from the end of the pair.
class Pair {
 public:
  void push(bool odd, Offset size) { peak_ = std::max(peak_, (height_[odd] += size) + height_[!odd]); }
  void pop(bool odd, Offset size) { height_[odd] -= size; }
  Offset height(bool odd) const { return height_[odd]; }
  Offset peak() const { return peak_; }

 private:
  Offset height_[2] = {0, 0};
  Offset peak_ = 0;
};

// Whether the children of a supernode hold so much that one should not wait for another, nor has to: it would
// not stay in the cache.
std::vector<bool> early(const Symbolic& symbolic) {
  constexpr Offset much = 1 << 14;
  const Index n = symbolic.supernodes();
  std::vector<Offset> held(n, 0);
  for (Index s = 0; s < n; ++s)
    if (symbolic.super_parent[s] != none)
      held[symbolic.super_parent[s]] += Trapezoids(symbolic.below(s)).size();
  std::vector<bool> result(n);
  for (Index s = 0; s < n; ++s) result[s] = held[s] > much;
  return result;
}

// Where update matrices lie that have size(u) entries. `early` says of a supernode that its own is made when
// the first child arrives, and a child's is gone then; else the children's stay until it is made.
template <class Size>
Stacks stacks(const Symbolic& symbolic, const Schedule& schedule, const std::vector<bool>& early,
              const Size& size) {
  const Index n = symbolic.supernodes();
  std::vector<bool> odd(n, false), handed(n, false);
  for (Index s = n - 1; s >= 0; --s)
    if (symbolic.super_parent[s] != none) odd[s] = !odd[symbolic.super_parent[s]];
  const auto entries = [&](Index s) { return size(symbolic.below(s)); };

  Stacks result{std::vector<Offset>(n), 0, 0};
  Offset left_to_top = 0;
  for (const Index s : schedule.top)
    if (s < 0) {
      handed[~s] = true;
      result.offset[~s] = left_to_top;
      left_to_top += entries(~s);
    }

  std::vector<Offset> held(n, 0);  // by the children of a supernode
  const auto make = [&](Pair& pair, Index s) {
    result.offset[s] = pair.height(odd[s]);
    pair.push(odd[s], entries(s));
  };
  const auto visit = [&](Pair& pair, Index s) {
    if (!handed[s] && !early[s]) make(pair, s);
    pair.pop(!odd[s], held[s]);
  };
  const auto arrive = [&](Pair& pair, Index s) {
    const Index parent = symbolic.super_parent[s];
    if (parent == none) return;
    if (early[parent] && !handed[parent] && schedule.first_child[parent] == s) make(pair, parent);
    if (handed[s]) return;
    if (early[parent])
      pair.pop(odd[s], entries(s));
    else
      held[parent] += entries(s);
  };

  for (const auto [first, last] : schedule.subtrees) {
    Pair pair;
    for (Index s = first; s < last; ++s) {
      visit(pair, s);
      if (!handed[s]) arrive(pair, s);
    }
    result.lane = std::max(result.lane, pair.peak());
  }
  Pair top;
  schedule.for_top([&](Index s, bool visited) {
    if (!visited) visit(top, s);
    arrive(top, s);
    return true;
  });
  result.shared = left_to_top + top.peak();

  for (const auto [first, last] : schedule.subtrees)
    for (Index s = first; s < last; ++s)
      if (!handed[s]) {
        Offset& offset = result.offset[s];
        offset = ~(odd[s] ? result.lane - offset - entries(s) : offset);
      }
  schedule.for_top([&](Index s, bool visited) {
    Offset& offset = result.offset[s];
    if (!visited) offset = odd[s] ? result.shared - offset - entries(s) : left_to_top + offset;
    return true;
  });
  return result;
}

}  // namespace

Schedule::Schedule(const Symbolic& symbolic, int threads)
    : threads(threads),
      supernodes(symbolic.supernodes()),
      first_child(supernodes, none),
      next_sibling(supernodes, none),
      early(elimax::early(symbolic)),
      max_panel(symbolic.max_panel),
      max_panel_inside(0) {
  for (Index s = supernodes - 1; s >= 0; --s)
    if (const Index parent = symbolic.super_parent[s]; parent != none)
      next_sibling[s] = std::exchange(first_child[parent], s);
  if (threads > 1) divide(symbolic, threads, *this);
  left.push_back(0);
  for (const Index s : top) left.push_back(left.back() + (s < 0 ? symbolic.below(~s) : 0));
  squares =
      stacks(symbolic, *this, std::vector<bool>(supernodes, false), [](Index u) { return Offset{u} * u; });
  triangles = stacks(symbolic, *this, early, [](Index u) { return Trapezoids(u).size(); });
  for (const auto [first, last] : subtrees)
    for (Index s = first; s < last; ++s)
      max_panel_inside = std::max(max_panel_inside, symbolic.panel[s + 1] - symbolic.panel[s]);
}

std::shared_ptr<const Schedule> Schedules::of(const Symbolic& symbolic, int threads) const {
  std::lock_guard lock(mutex_);
  auto& found = known_[threads];
  if (!found) found = std::make_shared<const Schedule>(symbolic, threads);
  return found;
}

}  // namespace elimax
