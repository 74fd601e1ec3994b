// limits.cc: what this machine can do, for limits.py: arithmetic in registers, and memory read or copied.
//
//     limits THREADS
//
// Prints flop/s and bytes/s as JSON, the best of several samples: a bound is what nobody exceeds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int lanes = 8;
#elif defined(__AVX__)
constexpr int lanes = 4;
#else
constexpr int lanes = 2;
#endif
typedef double Vector __attribute__((vector_size(lanes * sizeof(double))));

// Seconds that `work(thread)` takes on all threads at once, the least of `samples`.
double seconds(int threads, int samples, const std::function<void(int)>& work) {
  double least = 1e300;
  for (int sample = 0; sample < samples; ++sample) {
    std::vector<std::thread> helpers;
    const auto start = std::chrono::steady_clock::now();
    for (int t = 1; t < threads; ++t) helpers.emplace_back(work, t);
    work(0);
    for (std::thread& helper : helpers) helper.join();
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

// Enough independent chains of multiply-and-add to hide their latency, few enough to stay in 16 registers.
constexpr int chains = 12;
constexpr long turns = 1'000'000;
void multiply_and_add() {
  Vector x[chains] = {}, a = Vector{} + 0.5, b = Vector{} + 1.0;
  for (long turn = 0; turn < turns; ++turn)
#pragma GCC unroll 12
    for (int k = 0; k < chains; ++k) {
      x[k] = x[k] * a + b;
      asm volatile("" : "+x"(x[k]));
    }
}

}  // namespace

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 1;
  const double arithmetic = seconds(threads, 100, [](int) { multiply_and_add(); });
  const double flops = 2.0 * lanes * chains * turns * threads / arithmetic;

  constexpr std::size_t size = std::size_t{1} << 25;  // 256 MiB, beyond any cache
  std::vector<double> from(size, 1.0), to(size, 0.0);
  const auto part = [&](int t) { return size / threads * t / lanes * lanes; };
  volatile double sink = 0;
  const double reading = seconds(threads, 20, [&](int t) {
    Vector sums[8] = {};
    const Vector* end = reinterpret_cast<const Vector*>(&from[0] + part(t + 1));
    for (auto p = reinterpret_cast<const Vector*>(&from[0] + part(t)); p + 8 <= end; p += 8)
#pragma GCC unroll 8
      for (int k = 0; k < 8; ++k) sums[k] += p[k];
    for (int k = 1; k < 8; ++k) sums[0] += sums[k];
    sink = sums[0][0];
  });
  const double copying = seconds(
      threads, 8, [&](int t) { std::copy(&from[0] + part(t), &from[0] + part(t + 1), &to[0] + part(t)); });
  const double bytes = 8.0 * size * std::max(1 / reading, 2 / copying);
  std::printf("{\"flops\": %.6g, \"bytes\": %.6g}\n", flops, bytes);
  return 0;
}
