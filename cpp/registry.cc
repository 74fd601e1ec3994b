// registry.cc: structures by content hash, and counters of kernel runs.
//
// A compiled program names its structures by content, never by address: the program stays valid in
// another process that pinned the same content, and an unknown hash is a status instead of a crash.
// Look-up is a shared lock and one hash-table probe.

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "core.h"

namespace elimax {
namespace {

struct Slot {
  std::size_t operator()(const Hash& hash) const { return hash.low; }  // already uniform
};

template <class S>
struct Table {
  std::shared_mutex mutex;
  std::unordered_map<Hash, std::shared_ptr<const S>, Slot> structures;
};

template <class S>
Table<S>& table() {
  static Table<S>* instance = new Table<S>;  // never destroyed: programs may outlive static objects
  return *instance;
}

template <class S>
void clear_table() {
  std::unique_lock lock(table<S>().mutex);
  table<S>().structures.clear();
}

std::array<std::atomic<std::int64_t>, n_counters> counters{};

}  // namespace

template <class S>
void pin(Hash hash, std::shared_ptr<const S> structure) {
  std::unique_lock lock(table<S>().mutex);
  table<S>().structures.try_emplace(hash, std::move(structure));
}

template <class S>
std::shared_ptr<const S> find(Hash hash) {
  std::shared_lock lock(table<S>().mutex);
  const auto found = table<S>().structures.find(hash);
  return found == table<S>().structures.end() ? nullptr : found->second;
}

void clear_structures() {
  clear_table<Pattern>();
  clear_table<IndexMap>();
  clear_table<Symbolic>();
  clear_table<Embedding>();
}

void count(Counter counter, std::int64_t times) {
  counters[static_cast<int>(counter)].fetch_add(times, std::memory_order_relaxed);
}
std::int64_t counted(Counter counter) {
  return counters[static_cast<int>(counter)].load(std::memory_order_relaxed);
}

#define INSTANTIATE(S)                                  \
  template void pin<S>(Hash, std::shared_ptr<const S>); \
  template std::shared_ptr<const S> find<S>(Hash);
INSTANTIATE(Pattern)
INSTANTIATE(IndexMap)
INSTANTIATE(Symbolic)
INSTANTIATE(Embedding)
#undef INSTANTIATE

}  // namespace elimax
