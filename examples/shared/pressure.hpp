// A synthetic stream, the tables that simulators usually have, and the comparison with them.
//
// The stream: nine accesses of ten go to a tenth of the pages, the others anywhere, always the same for the same seed.
// The tables: std::map and std::unordered_map from page to frame, reserved for all pages, and each with an LRU list of at most
// `frames` pages, which is what eviction takes at the least.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <list>
#include <map>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

constexpr uint64_t PAGE = 4096;

inline std::vector<uint64_t> synthetic(size_t n, uint64_t pages, uint64_t seed)
{
    std::mt19937_64 draw(seed);
    std::vector<uint64_t> stream(n);
    const uint64_t hot = std::max<uint64_t>(pages / 10, 1);
    for (auto &page : stream)
        page = draw() % 10 ? draw() % hot * 10 % pages : draw() % pages;
    return stream;
}

template <class Table> void reserve(Table &, size_t) {}
template <class K, class V> void reserve(std::unordered_map<K, V> &table, size_t n) { table.reserve(n); }

// Frames without end: what a simulator without eviction has.
template <template <class...> class Map> class Plain
{
    Map<uint64_t, uint64_t> table;

public:
    explicit Plain(size_t pages) { reserve(table, pages); }
    uint64_t operator()(uint64_t page) { return table.try_emplace(page, table.size()).first->second; }
};

// With a list in order of use, and the least recently used page evicted.
template <template <class...> class Map> class Listed
{
    std::list<std::pair<uint64_t, uint64_t>> order; // page, frame; newest first
    Map<uint64_t, std::list<std::pair<uint64_t, uint64_t>>::iterator> table;
    size_t frames;

public:
    uint64_t faults = 0;
    Listed(size_t pages, size_t frames_) : frames(frames_) { reserve(table, pages); }
    uint64_t operator()(uint64_t page)
    {
        const auto found = table.find(page);
        if (found != table.end()) {
            order.splice(order.begin(), order, found->second);
            return found->second->second;
        }
        faults++;
        uint64_t frame = order.size();
        if (order.size() == frames) {
            frame = order.back().second;
            table.erase(order.back().first);
            order.pop_back();
        }
        order.emplace_front(page, frame);
        table[page] = order.begin();
        return frame;
    }
};

// Nanoseconds of processor time of each access, the best of three runs over the stream. access: page -> a number.
template <class Access> double time_of(const std::vector<uint64_t> &stream, Access &&access)
{
    double best = 1e30;
    uint64_t sum = 0;
    for (int round = 0; round < 3; round++) {
        const std::clock_t begin = std::clock();
        for (const uint64_t page : stream)
            sum += access(page);
        const double took = static_cast<double>(std::clock() - begin) * 1e9 / CLOCKS_PER_SEC;
        best = std::min(best, took / static_cast<double>(stream.size()));
    }
    __asm__ volatile("" : : "r"(sum)); // the compiler must not leave it out
    return best;
}

inline void row(const char *what, double ns, double ours)
{
    std::printf("%-34s %9.1f ns an access %7.2f x ours\n", what, ns, ns / ours);
}

template <template <class...> class Map> void plain_row(const char *what, const std::vector<uint64_t> &stream, uint64_t pages, double ours)
{
    Plain<Map> table(pages);
    for (uint64_t page = 0; page < pages; page++)
        table(page);
    row(what, time_of(stream, table), ours);
}

template <template <class...> class Map>
void listed_row(const char *what, const std::vector<uint64_t> &stream, uint64_t pages, uint64_t frames, double ours)
{
    Listed<Map> table(pages, frames);
    const double ns = time_of(stream, [&table](uint64_t page) { return table(page); });
    row(what, ns, ours);
}

template <class... T> using ordered = std::map<T...>;
template <class... T> using hashed = std::unordered_map<T...>;

struct Sizes { uint64_t pages, frames; size_t accesses; };

// PAGES FRAMES ACCESSES on the command line
inline Sizes sizes(int argc, char **argv)
{
    Sizes found{1 << 20, 1 << 17, 1 << 22};
    if (argc > 1) found.pages = std::stoull(argv[1]);
    if (argc > 2) found.frames = std::stoull(argv[2]);
    if (argc > 3) found.accesses = std::stoull(argv[3]);
    return found;
}
