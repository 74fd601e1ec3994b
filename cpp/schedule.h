// schedule.h: the order in which sweeps visit the supernodes, on one thread and on several.
//
// A Schedule cuts the forest into subtrees, on which threads work side by side, and the top above them, whose
// fronts the whole crew works on together, one by one. What is computed for a supernode depends on that of
// its children alone, in their order: results do not depend on the schedule.
#pragma once

#include <algorithm>

#include "core.h"
#include "crew.h"

namespace elimax {

// Where the update matrices lie in a workspace: those of the top of the forest and those left to it in its
// shared part, others in the lane of the thread that works on them.
struct Stacks {
  std::vector<Offset> offset;  // in the shared part, or ~offset in a lane
  Offset shared = 0, lane = 0;

  Offset size(int threads) const { return shared + (threads == 1 ? 0 : threads * lane); }
  Offset at(Index s, int worker) const {
    return offset[s] >= 0 ? offset[s] : shared + worker * lane + ~offset[s];
  }
};

// What several threads do with a forest of supernodes.
struct Schedule {
  struct Range {
    Index first, last;  // last is not in it
  };
  Schedule(const Symbolic& symbolic, int threads);

  int threads;
  Index supernodes;
  std::vector<Range> subtrees;  // one or several whole subtrees each, the longest work first
  std::vector<Index> top;    // increasing: the other supernodes s, and ~s for the roots of the subtrees; with
                             // one thread there are no subtrees, and every supernode is of the top, unlisted
  std::vector<Offset> left;  // how many rows the roots of subtrees have below them that come before an entry
                             // of the top, and all of them
  std::vector<Index> first_child;   // of every supernode, or none
  std::vector<Index> next_sibling;  // the next child of the same parent, or none
  std::vector<bool> early;  // whether the triangle of a supernode is made when its first child arrives
  // Two kinds of stacks. Squares, u x u, lie there between the elimination of a supernode and that of its
  // parent (upward sweeps), or between its parent and itself (downward sweeps). Triangles (front.h) do so,
  // too, but where they are made early the children's are gone then.
  Stacks squares, triangles;
  Offset max_panel, max_panel_inside;  // the largest panel of all supernodes, and of those in subtrees

  // Where worker `id` has memory of its own, size(p) entries if the largest panel that it meets has p: that
  // of the captain, who alone works on the top, comes first. own(threads, size) is the size of it all.
  template <class Size>
  Offset own(int id, const Size& size) const {
    return id == 0 ? 0 : size(max_panel) + (id - 1) * size(max_panel_inside);
  }
  // visit(child) for the children of s, in order.
  template <class Visit>
  void for_children(Index s, const Visit& visit) const {
    for (Index child = first_child[s]; child != none; child = next_sibling[child]) visit(child);
  }
  // Whether s and its parent belong to the same subtree.
  bool is_inside(Index s) const { return squares.offset[s] < 0; }
  // visit(s, false) for the supernodes of the top, and visit(s, true) for the roots of subtrees, in order,
  // until one call returns false.
  template <class Visit>
  void for_top(const Visit& visit) const {
    if (subtrees.empty()) {
      for (Index s = 0; s < supernodes; ++s)
        if (!visit(s, false)) return;
    } else {
      for (const Index s : top)
        if (!visit(s >= 0 ? s : ~s, s < 0)) return;
    }
  }
  template <class Visit>
  void for_top_reversed(const Visit& visit) const {
    if (subtrees.empty()) {
      for (Index s = supernodes; s-- > 0;) visit(s);
    } else {
      for (auto s = top.rbegin(); s != top.rend(); ++s)
        if (*s >= 0) visit(*s);
    }
  }
};

// Who visits a supernode: worker number `id`, with the crew at its command if there is one.
struct Worker {
  int id = 0;
  Crew* crew = nullptr;
};

// Calls body(begin, end) for pieces of 0 .. n-1 that `worker` shares out among its crew, if they are worth
// it: each of the n takes about as long as it takes to write so many numbers.
template <class Body>
void share_out(Worker worker, Index n, Index numbers, const Body& body) {
  constexpr double worthwhile = 1 << 17;
  const int threads = worker.crew ? worker.crew->threads() : 1;
  if (threads == 1 || 1.0 * n * numbers < worthwhile) return body(0, n);
  const Index piece = std::max(1, n / (8 * threads));
  worker.crew->each((n + piece - 1) / piece,
                    [&](Index k, int) { body(k * piece, std::min(n, (k + 1) * piece)); });
}

// Calls visit(s, worker) for every supernode after its children, and arrive(s, worker) when that may be
// passed on to its parent: in the order of the children, each before the visit of the next, but for whole
// subtrees that are visited earlier. A visit that returns false is the last one of its subtree; no later
// supernode of the top is visited then.
template <class Visit, class Arrive>
void upward(const Schedule& schedule, Crew& crew, const Visit& visit, const Arrive& arrive) {
  std::atomic<Index> end = schedule.supernodes;  // the first supernode whose visit failed, or behind the last
  crew.each(static_cast<Index>(schedule.subtrees.size()), [&](Index task, int id) {
    const Worker worker{id, nullptr};
    const auto [first, last] = schedule.subtrees[task];
    for (Index s = first; s < last; ++s) {
      if (!visit(s, worker)) {
        Index before = end.load(std::memory_order_relaxed);
        while (s < before && !end.compare_exchange_weak(before, s, std::memory_order_relaxed)) {
        }
        return;
      }
      if (schedule.is_inside(s)) arrive(s, worker);
    }
  });
  const Worker captain{0, &crew};
  schedule.for_top([&](Index s, bool visited) {
    if (s >= end.load(std::memory_order_relaxed) || !(visited || visit(s, captain))) return false;
    arrive(s, captain);
    return true;
  });
}

template <class Visit>
void upward(const Schedule& schedule, Crew& crew, const Visit& visit) {
  upward(schedule, crew, visit, [](Index, Worker) {});
}

// Calls visit(s, worker) for every supernode after its parent.
template <class Visit>
void downward(const Schedule& schedule, Crew& crew, const Visit& visit) {
  const Worker captain{0, &crew};
  schedule.for_top_reversed([&](Index s) { visit(s, captain); });
  crew.each(static_cast<Index>(schedule.subtrees.size()), [&](Index task, int id) {
    const auto [first, last] = schedule.subtrees[task];
    for (Index s = last; s-- > first;) visit(s, Worker{id, nullptr});
  });
}

}  // namespace elimax
