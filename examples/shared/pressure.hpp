// A synthetic stream, the tables that simulators usually have, and the comparison with them.
//
// The stream: nine accesses of ten go to a tenth of the pages, the others anywhere, always the same for the same seed.
// The tables: std::map and std::unordered_map from page to frame, reserved for all pages, and each with an LRU list of at most
// `frames` pages, which is what eviction takes at the least.
#pragma once
#include <algorithm>
#include <array>
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

// Of this thread only: libraries that Python loads have threads of their own, which wait by turning round.
inline double processor_time()
{
    std::timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Nanoseconds of processor time of each access, once over the stream. access: page -> a number.
template <class Access> double time_of(const std::vector<uint64_t> &stream, Access &access)
{
    const double begin = processor_time();
    uint64_t sum = 0;
    for (const uint64_t page : stream)
        sum += access(page);
    __asm__ volatile("" : : "r"(sum)); // the compiler must not leave it out
    return (processor_time() - begin) / static_cast<double>(stream.size());
}

constexpr int ROUNDS = 5;

// The median time of an access of each way to do them. All go over the stream in turns, so that what else the computer does
// meets all alike, and once before that, so that all have been in use for a while.
template <class... Access> std::array<double, sizeof...(Access)> compared(const std::vector<uint64_t> &stream, Access &&...access)
{
    std::array<std::array<double, ROUNDS>, sizeof...(Access)> times;
    std::array<double, sizeof...(Access)> medians;
    for (int round = -1; round < ROUNDS; round++) {
        size_t way = 0;
        ((times[way++][static_cast<size_t>(std::max(round, 0))] = time_of(stream, access)), ...);
    }
    for (size_t way = 0; way < times.size(); way++) {
        std::nth_element(times[way].begin(), times[way].begin() + ROUNDS / 2, times[way].end());
        medians[way] = times[way][ROUNDS / 2];
    }
    return medians;
}

template <class... T> using ordered = std::map<T...>;
template <class... T> using hashed = std::unordered_map<T...>;

// Prints the times of rmapcore, of the std::map and of the std::unordered_map.
inline void table_of(const std::array<double, 3> &ns, const char *list)
{
    static const char *const ways[] = {"rmapcore", "std::map", "std::unordered_map"};
    for (size_t way = 0; way < ns.size(); way++)
        std::printf("%-34s %9.1f ns an access %7.2f x ours\n", (ways[way] + std::string(way ? list : "")).c_str(), ns[way], ns[way] / ns[0]);
}

// Random hits, beside tables that hold all pages.
template <class Access> void beside_plain(const std::vector<uint64_t> &stream, uint64_t pages, Access &&ours)
{
    Plain<ordered> map(pages);
    Plain<hashed> table(pages);
    for (uint64_t page = 0; page < pages; page++) {
        map(page);
        table(page);
    }
    table_of(compared(stream, ours, map, table), "");
}

// Memory pressure, beside tables with an LRU list.
template <class Access> void beside_listed(const std::vector<uint64_t> &stream, uint64_t pages, uint64_t frames, Access &&ours)
{
    Listed<ordered> map(pages, frames);
    Listed<hashed> table(pages, frames);
    table_of(compared(stream, ours, map, table), " with an LRU list");
}

struct Sizes { uint64_t pages, frames; size_t accesses; };

// PAGES FRAMES ACCESSES on the command line
inline Sizes sizes(int argc, char **argv)
{
    Sizes found{1 << 20, 1 << 17, 1 << 20};
    if (argc > 1) found.pages = std::stoull(argv[1]);
    if (argc > 2) found.frames = std::stoull(argv[2]);
    if (argc > 3) found.accesses = std::stoull(argv[3]);
    return found;
}
