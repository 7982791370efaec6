// What gem5 asks of a page table, and a stream under memory pressure beside the tables of pressure.hpp.
#include "page_table.hpp"

static void must(bool holds, const char *what)
{
    if (!holds)
        throw std::runtime_error(what);
}

template <class Act> bool refused(Act &&act)
{
    try {
        act();
    } catch (const std::exception &) {
        return true;
    }
    return false;
}

static void semantics(const std::string &path)
{
    constexpr uint64_t at = 1ull << 32, far = 1ull << 36;
    PageTable table("Machine('anon_vma', kernel='6.18', ram='256KiB', swap='4MiB')");
    uint64_t physical = 0, again = 0;
    bool present = false;
    must(table.isUnmapped(at, PAGE) && !table.translate(at, physical, present), "nothing is mapped at first");
    table.map(at, 200 * PAGE);
    must(!table.isUnmapped(at + 199 * PAGE, PAGE) && table.isUnmapped(at + 200 * PAGE, PAGE), "what is mapped");
    must(refused([&] { table.map(at + PAGE, PAGE); }) && refused([&] { table.map(at + 1, PAGE); }), "mapped twice, or half pages");
    must(table.translate(at, physical, present) && !present, "mapped and not yet there");
    must(table.fault(at + 5, physical) == RMAPCORE_FAULT_ZERO && physical % PAGE == 5, "a first touch");
    must(table.translate(at + 9, again, present) && present && again == physical + 4, "the same frame");
    table.remap(at, PAGE, far);
    must(!table.translate(at, again, present) && table.translate(far + 5, again, present) && again == physical, "moved with its frame");
    for (uint64_t page = 1; page < 200; page++)
        table.fault(at + page * PAGE, physical);
    must(table.translate(far, again, present) && !present, "it went to swap");
    must((table.fault(far, physical) & RMAPCORE_KIND) == RMAPCORE_FAULT_SWAPIN, "and comes back");
    table.unmap(at + 10 * PAGE, 10 * PAGE);
    must(table.isUnmapped(at + 10 * PAGE, 10 * PAGE) && !table.isUnmapped(at + 9 * PAGE, 2 * PAGE), "a hole");
    table.map(at, 30 * PAGE, true);
    must(table.translate(at + 5 * PAGE, physical, present) && !present, "replaced");
    table.check();
    table.fault(at + 3 * PAGE + 1, physical);
    table.serialize(path);
    PageTable other;
    other.unserialize(path);
    must(other.translate(at + 3 * PAGE + 1, again, present) && present && again == physical, "serialised");
    must(!other.isUnmapped(far, PAGE) && other.isUnmapped(far + PAGE, PAGE), "with its ranges");
    other.check();
}

int main(int argc, char **argv)
try {
    const Sizes size = sizes(argc, argv);
    semantics(argc > 4 ? argv[4] : "page_table.saved");
    std::puts("map, unmap, remap, translate, serialise: as they should be");
    const auto stream = synthetic(size.accesses, size.pages, 1);
    PageTable table("Machine('anon_vma', kernel='6.18', ram=" + std::to_string((size.frames + 1) * PAGE) + ", swap=" +
                    std::to_string((2 * size.pages + 1) * PAGE) + ")");
    constexpr uint64_t at = 1ull << 32;
    table.map(at, size.pages * PAGE);
    std::printf("under pressure, %llu pages, %llu frames\n", static_cast<unsigned long long>(size.pages),
                static_cast<unsigned long long>(size.frames));
    uint64_t faults = 0, accesses = 0;
    beside_listed(stream, size.pages, size.frames, [&](uint64_t page) {
        uint64_t physical;
        faults += table.fault(at + page * PAGE, physical) != RMAPCORE_HIT;
        accesses++;
        return physical;
    });
    std::printf("%.4f faults an access\n", static_cast<double>(faults) / static_cast<double>(accesses));
    table.check();
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
