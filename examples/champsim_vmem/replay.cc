// Replays a stream through the paging of the drop-in, with a TLB that obeys its shootdowns, beside the tables of pressure.hpp.
#include "paging.hpp"

// A TLB as large as can be: whatever it says must be what the machine says.
static uint64_t replay(const Sizes &size, const std::vector<uint64_t> &stream, uint64_t *majors)
{
    Paging paging(size.pages, size.frames, 2 * size.pages);
    std::unordered_map<uint64_t, uint64_t> tlb;
    uint64_t shot = 0;
    paging.shootdown = [&](int64_t cpu, uint64_t page, uint64_t frame) {
        const auto found = tlb.find(page);
        if (cpu < 0)
            tlb.clear();
        else if (found != tlb.end() && found->second == frame)
            tlb.erase(found);
        shot++;
    };
    for (const uint64_t page : stream) {
        const auto [frame, fault] = paging.translate(0, page);
        const auto found = tlb.find(page);
        if (found != tlb.end() && (found->second != frame || fault != Fault::none))
            throw std::runtime_error("the TLB has a page that is gone");
        tlb[page] = frame;
        *majors += fault == Fault::major;
    }
    paging.check();
    if (tlb.size() > size.frames)
        throw std::runtime_error("the TLB has more pages than there are frames");
    return shot;
}

int main(int argc, char **argv)
try {
    const Sizes size = sizes(argc, argv);
    const auto stream = synthetic(size.accesses, size.pages, 1);
    {
        Paging paging(size.pages, size.pages + 1024, 1024);
        for (uint64_t page = 0; page < size.pages; page++)
            paging.translate(0, page);
        std::vector<uint64_t> all(size.accesses);
        std::mt19937_64 draw(2);
        for (auto &page : all)
            page = draw() % size.pages;
        std::printf("random hits, %llu pages\n", static_cast<unsigned long long>(size.pages));
        beside_plain(all, size.pages, [&](uint64_t page) { return paging.translate(0, page).first; });
    }
    {
        Paging paging(size.pages, size.frames, 2 * size.pages);
        uint64_t faults = 0, accesses = 0;
        std::printf("under pressure, %llu frames\n", static_cast<unsigned long long>(size.frames));
        beside_listed(stream, size.pages, size.frames, [&](uint64_t page) {
            const auto [frame, fault] = paging.translate(0, page);
            faults += fault != Fault::none;
            accesses++;
            return frame;
        });
        std::printf("%.4f faults an access\n", static_cast<double>(faults) / static_cast<double>(accesses));
    }
    uint64_t majors = 0;
    const uint64_t shot = replay(size, stream, &majors);
    std::printf("TLB: %llu shootdowns, %llu major faults, none of its pages was gone\n", static_cast<unsigned long long>(shot),
                static_cast<unsigned long long>(majors));
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
