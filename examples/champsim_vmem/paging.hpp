// What the drop-in is made of, without ChampSim's types: address spaces by CPU, faults in two kinds, shootdown.
#pragma once
#include "machine.hpp"
#include "pressure.hpp"

#include <array>
#include <functional>

enum class Fault { none, minor, major }; // major: the page comes back from swap

class Paging
{
    static constexpr uint64_t BASE = 1ull << 32; // where page 0 of each address space lies
    static constexpr size_t DRAINED = 256;
    Machine machine;
    uint64_t pages;
    std::vector<uint32_t> processes; // by CPU; 0: none yet
    uint64_t lost = 0;

    uint32_t process(uint32_t cpu) { return cpu < processes.size() && processes[cpu] ? processes[cpu] : begin(cpu); }

    [[gnu::cold]] uint32_t begin(uint32_t cpu) // cold: kept out of the text of hits
    {
        if (cpu >= processes.size())
            processes.resize(cpu + 1);
        processes[cpu] = static_cast<uint32_t>(Machine::good(rmapcore_spawn(machine)));
        Machine::good(rmapcore_mmap(machine, processes[cpu], BASE, pages * PAGE, 3, 0x32, 0, 0));
        return processes[cpu];
    }

    [[gnu::cold]] std::pair<uint64_t, Fault> faulted(int64_t kind, uint64_t physical)
    {
        if (Machine::good(kind) & RMAPCORE_EVICTED) // else nothing is gone: nothing here is shared or made read-only
            drain();
        return {physical / PAGE, (kind & RMAPCORE_KIND) == RMAPCORE_FAULT_SWAPIN ? Fault::major : Fault::minor};
    }

public:
    // Told which page of which CPU may not be used any more from a TLB, and which frame it had; CPU -1: all of them may not.
    std::function<void(int64_t cpu, uint64_t page, uint64_t frame)> shootdown;

    Paging(uint64_t pages_, uint64_t frames, uint64_t swap_pages)
        : machine("Machine('anon_vma', kernel='6.18', ram=" + std::to_string((frames + 1) * PAGE) + ", swap=" +
                  std::to_string((swap_pages + 1) * PAGE) + ", watch=65536)"),
          pages(pages_)
    {
    }

    // The frame of a page, brought in if it must be: a write, as fresh pages that are read would all be the zero page.
    std::pair<uint64_t, Fault> translate(uint32_t cpu, uint64_t page)
    {
        uint64_t physical;
        const int kind = rmapcore_touch(machine, process(cpu), BASE + page * PAGE, 1, &physical);
        return kind == RMAPCORE_HIT ? std::pair{physical / PAGE, Fault::none} : faulted(kind, physical);
    }

    // The physical address of the page-table entry of a level, 1 that of the page; page tables exist from a page's fault on.
    uint64_t entry(uint32_t cpu, uint64_t page, size_t level)
    {
        std::array<uint64_t, 8> entries{};
        const auto n = static_cast<size_t>(Machine::good(
            rmapcore_walk(machine, process(cpu), BASE + page * PAGE, entries.data(), static_cast<int>(entries.size()))));
        const auto levels = static_cast<size_t>(rmapcore_fact(machine, RMAPCORE_LEVELS));
        const size_t at = level <= levels ? levels - level : 0;
        return entries[std::min(at, n - 1)];
    }

    uint64_t frames_free() { return static_cast<uint64_t>(rmapcore_fact(machine, RMAPCORE_RAM_FREE)) / PAGE; }
    void check() { Machine::good(rmapcore_check(machine)); }

    void drain()
    {
        std::array<rmapcore_gone, DRAINED> records;
        int64_t n;
        while ((n = Machine::good(rmapcore_gone_take(machine, DRAINED, records.data()))) > 0)
            for (int64_t i = 0; i < n && shootdown; i++) {
                const auto cpu = std::find(processes.begin(), processes.end(), records[i].process) - processes.begin();
                shootdown(cpu, (records[i].address - BASE) / PAGE, records[i].frame);
            }
        const auto now = static_cast<uint64_t>(rmapcore_fact(machine, RMAPCORE_GONE_LOST));
        if (now != lost && shootdown)
            shootdown(-1, 0, 0);
        lost = now;
    }
};
